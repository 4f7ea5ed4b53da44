/* SPDX-License-Identifier: Apache-2.0 */
#include "check/hooked.h"

static int kernel_callbacks_run(struct check_run *run, struct err *err)
{
	static const struct hook_source *const sources[] = { &hooks_callback, NULL };

	return hooked_run(run, sources, "callbacks and tasks", NULL, err);
}

CHECK(kernel_callbacks,
	.id = "kernel-callbacks",
	.group = GROUP_POINTERS,
	.title = "A registered callback leads to foreign code",
	.proves = "Each callback for suspend, for CPUs that come and go, for lack of memory, of "
		  "clocks, performance counters, the log's dumpers and SysRq keys, and each task "
		  "work that waits, is a function of the kernel or of a listed module.",
	.techniques = TECHNIQUES("T1014"),
	.fuel_max = 60000,
	.run = kernel_callbacks_run);
