/* SPDX-License-Identifier: Apache-2.0 */
#include "check/hooked.h"

/* Security modules are built in (since 20510f2f4e2d, 2.6.24), so a module has no part in it. */
static int security_hooks_run(struct check_run *run, struct err *err)
{
	static const struct hook_source *const sources[] = { &hooks_lsm, NULL };

	return hooked_run(run, sources, "security hooks", NULL, err);
}

CHECK(security_hooks,
	.id = "security-hooks",
	.group = GROUP_POINTERS,
	.title = "A hook of security modules leads to code that is not the kernel's",
	.proves = "Each function that is called where security modules decide is one of the "
		  "kernel's own, or a program of BPF.",
	.techniques = TECHNIQUES("T1014", "T1562.001"),
	.fuel_max = 20000,
	.run = security_hooks_run);
