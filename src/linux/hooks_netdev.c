/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "base/limits.h"
#include "linux/hook_net.h"

/*
 * Network devices of every namespace, with all the tables that they lead to; what sends for
 * them (queueing disciplines); and what was registered for devices, addresses and routes.
 */
static const struct hook_net registries[] = {
	{ .mechanism = "namespace operations", .way = HOOK_LIST, .symbol = "pernet_list",
	  .type = "pernet_operations", .link = "pernet_operations.list", .table = true },
	{ .mechanism = "link type", .way = HOOK_LIST, .symbol = "link_ops",
	  .type = "rtnl_link_ops", .link = "rtnl_link_ops.list", .name = "rtnl_link_ops.kind",
	  .table = true },
	{ .mechanism = "link family", .way = HOOK_LIST, .symbol = "rtnl_af_ops",
	  .type = "rtnl_af_ops", .link = "rtnl_af_ops.list", .name = "rtnl_af_ops.family",
	  .table = true },
	{ .mechanism = "queueing discipline", .way = HOOK_CHAIN, .symbol = "qdisc_base",
	  .type = "Qdisc_ops", .link = "Qdisc_ops.next", .name = "Qdisc_ops.id", .table = true },
	{ .mechanism = "traffic classifier", .way = HOOK_LIST, .symbol = "tcf_proto_base",
	  .type = "tcf_proto_ops", .link = "tcf_proto_ops.head", .name = "tcf_proto_ops.kind",
	  .table = true },
	{ .mechanism = "traffic action", .way = HOOK_LIST, .symbol = "act_base",
	  .type = "tc_action_ops", .link = "tc_action_ops.head", .name = "tc_action_ops.kind",
	  .table = true },
	{ .mechanism = "neighbour table", .way = HOOK_POINTERS, .symbol = "neigh_tables",
	  .type = "neigh_table", .name = "neigh_table.id", .table = true },
	{ .mechanism = "lightweight tunnel", .way = HOOK_POINTERS, .symbol = "lwtun_encaps",
	  .type = "lwtunnel_encap_ops", .table = true },
	{ .mechanism = "IPsec states", .way = HOOK_POINTERS, .symbol = "xfrm_state_afinfo",
	  .type = "xfrm_state_afinfo", .table = true },
	{ .mechanism = "IPsec policies", .way = HOOK_POINTERS, .symbol = "xfrm_policy_afinfo",
	  .type = "xfrm_policy_afinfo", .table = true },
};

static const struct hook_net of_net[] = {
	{ .mechanism = "routing rules", .way = HOOK_LIST, .member = "net.rules_ops",
	  .type = "fib_rules_ops", .link = "fib_rules_ops.list", .name = "fib_rules_ops.family",
	  .table = true },
};

static const struct hook_net of_device[] = {
	{ .mechanism = "queueing discipline", .way = HOOK_POINTER, .member = "net_device.qdisc",
	  .type = "Qdisc" },
};

static int visit_net(struct hook_walk *walk, gva net, const char *where, void *ctx,
		     struct err *err)
{
	(void)ctx;
	return hook_net_walk(walk, of_net, ARRAY_SIZE(of_net), net, where, err);
}

static int visit_device(struct hook_walk *walk, gva device, const char *where, void *ctx,
			struct err *err)
{
	const struct hook_object object = {
		.mechanism = "network device",
		.at = device,
		.text = where,
	};
	int r = hook_members(walk, &object, "net_device", err);

	(void)ctx;
	if (r < 0)
		return r;
	return hook_net_walk(walk, of_device, ARRAY_SIZE(of_device), device, where, err);
}

static int walk_netdev(struct hook_walk *walk, struct err *err)
{
	int r = hook_net_devices(walk, visit_device, NULL, err);

	if (r >= 0)
		r = hook_net_namespaces(walk, visit_net, NULL, err);
	return r < 0 ? r : hook_net_walk(walk, registries, ARRAY_SIZE(registries), gva_of(0),
					      NULL, err);
}

const struct hook_source hooks_netdev = { .id = "netdev", .walk = walk_netdev };
