/* SPDX-License-Identifier: Apache-2.0 */
#include "check/hooked.h"

static int notifiers_run(struct check_run *run, struct err *err)
{
	static const struct hook_source *const sources[] = { &hooks_notifier, NULL };

	return hooked_run(run, sources, "notifiers", NULL, err);
}

CHECK(notifiers,
	.id = "notifiers",
	.group = GROUP_POINTERS,
	.title = "A notifier leads to foreign code",
	.proves = "Each notifier of the kernel's own chains (key strokes, modules, oopses, "
		  "reboot, panic, addresses, …) and of each network namespace's devices is a "
		  "function of the kernel or of a listed module.",
	.techniques = TECHNIQUES("T1014", "T1056.001"),
	.fuel_max = 20000,
	.run = notifiers_run);
