/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_MONITOR_SANDBOX_CALLS_H
#define HVSM_MONITOR_SANDBOX_CALLS_H

#include "base/err.h"

/* For sandbox.c only. */

/* Is this a build with sanitizers? They need more, and what they need they get. */
#if defined(__SANITIZE_ADDRESS__)
#define SANDBOX_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(undefined_behavior_sanitizer)
#define SANDBOX_SANITIZED 1
#endif
#endif
#ifndef SANDBOX_SANITIZED
#define SANDBOX_SANITIZED 0
#endif

/**
 * sandbox_calls_load - from now on the process may make the system calls of the list only
 * Any other raises SIGSYS. Sets no_new_privs. Return: 0, or a negative errno.
 */
nodiscard int sandbox_calls_load(struct err *err);

#endif
