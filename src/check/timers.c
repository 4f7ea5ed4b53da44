/* SPDX-License-Identifier: Apache-2.0 */
#include "check/hooked.h"

static int timers_run(struct check_run *run, struct err *err)
{
	static const struct hook_source *const sources[] = { &hooks_timer, NULL };

	return hooked_run(run, sources, "wheels, clocks and timers", NULL, err);
}

CHECK(timers,
	.id = "timers",
	.group = GROUP_POINTERS,
	.title = "A timer leads to foreign code",
	.proves = "Each timer that is pending on any CPU, of low or high resolution, and each "
		  "delayed work, calls a function of the kernel or of a listed module.",
	.techniques = TECHNIQUES("T1014", "T1053"),
	.fuel_max = 100000,
	.run = timers_run);
