/* SPDX-License-Identifier: Apache-2.0 */
#include "check/callbacks.h"

/*
 * Whom tracepoints call, those that have a probe and, of all, what would call one and what is
 * called when the first probe comes and the last goes. BPF attaches functions of the kernel.
 */
static int judge(const struct callback *callback, void *ctx, struct err *err)
{
	struct callbacks *callbacks = ctx;

	(void)err;
	if (!callbacks_is_sound(callbacks, callback, false))
		callbacks_report(callbacks, callback, "tracepoint", callback->name);
	return 0;
}

static int tracepoints_run(struct check_run *run, struct err *err)
{
	struct callbacks callbacks;
	struct err why = { 0 };
	uint64_t seen = 0;
	int r, bad;

	r = callbacks_open(run, &callbacks, err);
	if (r >= 0 && owners_modules_error(callbacks.owners) < 0)
		check_inconclusive(run, "the modules could not be listed");
	if (r >= 0) {
		bad = tracepoint_callbacks(check_kernel(run), check_view(run),
					   owners_modules(callbacks.owners), judge, &callbacks,
					   &seen, &why);
		r = callbacks_end(&callbacks, bad, "tracepoints", seen, &why);
	}
	if (r >= 0 && !seen)
		check_note(run, "this kernel has no tracepoints");
	callbacks_close(&callbacks);
	return r;
}

CHECK(tracepoints,
	.id = "tracepoints",
	.group = GROUP_POINTERS,
	.title = "A tracepoint calls code that is no one's",
	.proves = "Every probe of a tracepoint of the kernel and of listed modules, and all else "
		  "that a tracepoint calls, is a function of the kernel or of a listed module.",
	.techniques = TECHNIQUES("T1014", "T1056"),
	.fuel_max = 40000,
	.run = tracepoints_run);
