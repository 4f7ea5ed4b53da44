/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_MONITOR_CALLS_H
#define HVSM_MONITOR_CALLS_H

#include <seccomp.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/*
 * Which system calls a process may still make (seccomp): lists, with a reason for each call.
 */

/* Is this a build with sanitizers? They need more, and what they need they get. */
#if defined(__SANITIZE_ADDRESS__)
#define CALLS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(undefined_behavior_sanitizer)
#define CALLS_SANITIZED 1
#endif
#endif
#ifndef CALLS_SANITIZED
#define CALLS_SANITIZED 0
#endif

/* A system call, and why it is needed. Where there are conditions, all of them must hold. */
struct call {
	int number;
	const char *why;
	unsigned n;
	struct scmp_arg_cmp when[2];
};

#define CALL_IF(argument, op, ...) { argument, op, __VA_ARGS__ }

/* For @add of calls_load(): 0, or a negative errno. */
nodiscard int calls_allow(scmp_filter_ctx filter, const struct call *calls, size_t n);
nodiscard int calls_refuse(scmp_filter_ctx filter, const int *numbers, size_t n);	/* EACCES */

/* It signals the thread that called it, and what its handlers need. */
nodiscard int calls_allow_abort(scmp_filter_ctx filter);

/**
 * calls_load - from now on the process may make those system calls only that @add has allowed
 * @otherwise: what any other does (SCMP_ACT_*); one of 32-bit or x32 programs ends the process
 * Sets no_new_privs. Return: 0, or a negative errno.
 */
nodiscard int calls_load(uint32_t otherwise, int (*add)(scmp_filter_ctx filter), struct err *err);

#endif
