/* SPDX-License-Identifier: Apache-2.0 */
#include "check/hooked.h"

static int netlink_handlers_run(struct check_run *run, struct err *err)
{
	static const struct hook_source *const sources[] = { &hooks_netlink, NULL };
	static const char *const fixed[] = {
		"sock_diag_handler", "inet_diag_handler", "genl_ops", "genl_small_ops",
		"genl_split_ops", NULL,
	};

	return hooked_run_fixed(run, sources, "netlink handlers", fixed, err);
}

CHECK(netlink_handlers,
	.id = "netlink-handlers",
	.group = GROUP_POINTERS,
	.title = "What answers a netlink message leads to foreign code",
	.proves = "Each function that answers netlink messages, and so what ip(8) and ss(8) show, "
		  "is one of the kernel or of a listed module, in a table that one of them has.",
	.techniques = TECHNIQUES("T1014", "T1564"),
	.fuel_max = 40000,
	.run = netlink_handlers_run);
