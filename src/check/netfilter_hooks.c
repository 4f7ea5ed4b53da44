/* SPDX-License-Identifier: Apache-2.0 */
#include "check/hooked.h"

static int netfilter_hooks_run(struct check_run *run, struct err *err)
{
	static const struct hook_source *const sources[] = { &hooks_netfilter, NULL };

	return hooked_run(run, sources, "netfilter hooks", NULL, err);
}

CHECK(netfilter_hooks,
	.id = "netfilter-hooks",
	.group = GROUP_POINTERS,
	.title = "A netfilter hook leads to foreign code",
	.proves = "Each netfilter hook of each network namespace and device is the function that "
		  "was registered for it, and one of the kernel or of a listed module; so are "
		  "socket options, loggers and what connection tracking put in.",
	.techniques = TECHNIQUES("T1014", "T1205"),
	.fuel_max = 40000,
	.run = netfilter_hooks_run);
