/* SPDX-License-Identifier: Apache-2.0 */
#include "check/callbacks.h"

/*
 * Whom kprobes and uprobes call. Tracers of the kernel (kprobe_events, perf, BPF) have handlers
 * of the kernel's own; modules have theirs, out-of-tree ones as well, which is no finding while
 * the module is listed: `hvsm modules` and the kernel's taint tell of those.
 */
static int judge(const struct callback *callback, void *ctx, struct err *err)
{
	struct callbacks *callbacks = ctx;
	char symbol[160];

	(void)err;
	if (callbacks_is_sound(callbacks, callback, false))
		return 0;
	if (callback->at.v)
		callbacks_report(callbacks, callback, "kprobe",
				 owner_symbol(callbacks->owners, callback->at, symbol,
					      sizeof(symbol)));
	else
		callbacks_report(callbacks, callback, "uprobe", callback->name);
	return 0;
}

static int kprobes_run(struct check_run *run, struct err *err)
{
	struct callbacks callbacks;
	struct err why = { 0 };
	uint64_t seen;
	int r, bad;

	r = callbacks_open(run, &callbacks, err);
	if (r >= 0) {
		bad = kprobe_callbacks(check_kernel(run), check_view(run), judge, &callbacks,
				       &seen, &why);
		r = callbacks_end(&callbacks, bad, "kprobes", seen, &why);
	}
	if (r >= 0) {
		callbacks.seen = 0;
		bad = uprobe_callbacks(check_kernel(run), check_view(run), judge, &callbacks,
				       &seen, &why);
		r = callbacks_end(&callbacks, bad, "uprobes", seen, &why);
	}
	if (r >= 0)
		check_note(run, "all kprobes and uprobes that are registered");
	callbacks_close(&callbacks);
	return r;
}

CHECK(kprobes,
	.id = "kprobes",
	.group = GROUP_POINTERS,
	.title = "A kprobe or uprobe calls code that is no one's",
	.proves = "Every handler of a kprobe, kretprobe or uprobe that is registered is a function "
		  "of the kernel or of a listed module, and so is whose memory the probe is in.",
	.techniques = TECHNIQUES("T1014", "T1056"),
	.fuel_max = 40000,
	.run = kprobes_run);
