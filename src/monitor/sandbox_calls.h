/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_MONITOR_SANDBOX_CALLS_H
#define HVSM_MONITOR_SANDBOX_CALLS_H

#include "base/err.h"

/* For sandbox.c only. */

/**
 * sandbox_calls_load - from now on the process may make the system calls of the list only
 * Any other raises SIGSYS. Sets no_new_privs. Return: 0, or a negative errno.
 */
nodiscard int sandbox_calls_load(struct err *err);

#endif
