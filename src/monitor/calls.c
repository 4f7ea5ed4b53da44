/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/calls.h"

#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

int calls_allow(scmp_filter_ctx filter, const struct call *calls, size_t n)
{
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++)
		r = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, calls[i].number, calls[i].n,
					   calls[i].when);
	return r;
}

int calls_refuse(scmp_filter_ctx filter, const int *numbers, size_t n)
{
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++)
		r = seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(EACCES), numbers[i], 0, NULL);
	return r;
}

int calls_allow_abort(scmp_filter_ctx filter)
{
	const struct call calls[] = {
		{ SCMP_SYS(rt_sigprocmask), "abort(): an assertion that fails must say so" },
		{ SCMP_SYS(gettid), "the same" },
		{ SCMP_SYS(getpid), "the same" },
		{ SCMP_SYS(tgkill), "it signals the thread that called it", 1,
		  { CALL_IF(0, SCMP_CMP_EQ, (scmp_datum_t)getpid()) } },
	};

	return calls_allow(filter, calls, ARRAY_SIZE(calls));
}

int calls_load(uint32_t otherwise, int (*add)(scmp_filter_ctx filter), struct err *err)
{
	scmp_filter_ctx filter = seccomp_init(otherwise);
	int r;

	if (!filter)
		return err_set(err, -ENOMEM, "no memory for a seccomp filter");
	/* Calls of 32-bit and x32 programs have other numbers: nobody makes them here. */
	r = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	/* A tree: what is frequent is not at the end of a list of 40 comparisons. */
	if (r == 0)
		r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (r == 0)
		r = add(filter);
	if (r == 0)
		r = seccomp_load(filter);
	seccomp_release(filter);
	return r == 0 ? 0 : err_set(err, r, "seccomp: %s", strerror(-r));
}
