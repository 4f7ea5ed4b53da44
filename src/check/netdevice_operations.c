/* SPDX-License-Identifier: Apache-2.0 */
#include "check/hooked.h"

/* ethtool_ops are no such: DSA makes copies of a device's. */
static int netdevice_operations_run(struct check_run *run, struct err *err)
{
	static const struct hook_source *const sources[] = { &hooks_netdev, NULL };
	static const char *const fixed[] = {
		"net_device_ops", "header_ops", "Qdisc_ops", "rtnl_link_ops", NULL,
	};

	return hooked_run_fixed(run, sources, "devices and their like", fixed, err);
}

CHECK(netdevice_operations,
	.id = "netdevice-operations",
	.group = GROUP_POINTERS,
	.title = "A network device leads to foreign code",
	.proves = "Each operation of each network device in each namespace, of queueing "
		  "disciplines, tunnels, neighbours, routes and namespaces is a function of the "
		  "kernel or of a listed module, in a table that one of them has.",
	.techniques = TECHNIQUES("T1014", "T1205"),
	.fuel_max = 60000,
	.run = netdevice_operations_run);
