/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "check/callbacks.h"

/*
 * Whom ftrace calls: users of ftrace (struct ftrace_ops), fprobes, the function graph. The
 * kernel's own tracers, live patches and BPF are functions of the kernel, of a listed module or
 * of BPF. A listed module outside of the kernel's tree that traces is no finding: its code is
 * what module-code looks at, and legitimate agents do the same.
 *
 * The name of a finding is the first function that is traced, for an ftrace_ops can be anywhere.
 */
static int judge(const struct callback *callback, void *ctx, struct err *err)
{
	struct callbacks *callbacks = ctx;
	struct check_run *run = callbacks->run;
	char name[64], symbol[160];
	uint64_t n;
	gva first;

	(void)err;
	if (callbacks_is_sound(callbacks, callback, true))
		return 0;
	if (strcmp(callback->kind, "ftrace") ||
	    ftrace_ops_first(check_kernel(run), check_view(run), callback->object, &first, &n,
			     NULL) < 0) {
		snprintf(name, sizeof(name), "%#" PRIx64, callback->object.v);
		callbacks_report(callbacks, callback, callback->kind, name);
	} else {
		callbacks_report(callbacks, callback, "ftrace",
				 n ? owner_symbol(callbacks->owners, first, symbol,
						  sizeof(symbol)) : "all functions");
	}
	return 0;
}

static int ftrace_users_run(struct check_run *run, struct err *err)
{
	struct callbacks callbacks;
	struct err why = { 0 };
	uint64_t seen = 0;
	int r, bad;

	r = callbacks_open(run, &callbacks, err);
	if (r >= 0) {
		bad = ftrace_callbacks(check_kernel(run), check_view(run), judge, &callbacks,
				       &seen, &why);
		r = callbacks_end(&callbacks, bad, "users of ftrace", seen, &why);
	}
	if (r >= 0 && !seen)
		check_note(run, "nothing uses ftrace");
	callbacks_close(&callbacks);
	return r;
}

CHECK(ftrace_users,
	.id = "ftrace-users",
	.group = GROUP_POINTERS,
	.title = "ftrace calls code that is no one's",
	.proves = "Every function that ftrace, an fprobe or the function graph calls is one of the "
		  "kernel, of a listed module or of BPF, and so is whose memory its user is in.",
	.techniques = TECHNIQUES("T1014", "T1056"),
	.fuel_max = 40000,
	.run = ftrace_users_run);
