/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "linux/hook_net.h"

/*
 * Who gets the packets that come in: handlers by Ethernet type (net/core/dev.c), of the whole
 * machine, of one namespace (7.x) and of one device; protocols of IPv4 and IPv6; and what puts
 * segments together. A device's own handler (a bridge) is a member of it: hooks_netdev.c.
 */
#define PACKET	    "packet handler"
#define PACKET_NAME .name = "packet_type.type", .network_order = true

static const struct hook_net registries[] = {
	{ .mechanism = PACKET, .way = HOOK_LIST, .symbol = "ptype_all",
	  .member = "net_hotdata.ptype_all", .type = "packet_type", .link = "packet_type.list",
	  PACKET_NAME, .table = true, .registered = true },
	{ .mechanism = PACKET, .way = HOOK_LISTS, .symbol = "ptype_base", .type = "packet_type",
	  .link = "packet_type.list", PACKET_NAME, .table = true,
	  .registered = true, .count = 16 },
	{ .mechanism = "packet offload", .way = HOOK_LIST, .symbol = "offload_base",
	  .member = "net_hotdata.offload_base", .type = "packet_offload",
	  .link = "packet_offload.list",
	  .name = "packet_offload.type", .network_order = true, .table = true },
	{ .mechanism = "IPv4 protocol", .way = HOOK_POINTERS, .symbol = "inet_protos",
	  .type = "net_protocol", .table = true, .count = 256 },
	{ .mechanism = "IPv6 protocol", .way = HOOK_POINTERS, .symbol = "inet6_protos",
	  .type = "inet6_protocol", .table = true, .count = 256 },
	{ .mechanism = "IPv4 offload", .way = HOOK_POINTERS, .symbol = "inet_offloads",
	  .type = "net_offload", .table = true, .count = 256 },
	{ .mechanism = "IPv6 offload", .way = HOOK_POINTERS, .symbol = "inet6_offloads",
	  .type = "net_offload", .table = true, .count = 256 },
	{ .mechanism = "IPv4 tunnel", .way = HOOK_POINTERS, .symbol = "iptun_encaps",
	  .type = "ip_tunnel_encap_ops", .table = true, .count = 8 },
	{ .mechanism = "IPv6 tunnel", .way = HOOK_POINTERS, .symbol = "ip6tun_encaps",
	  .type = "ip6_tnl_encap_ops", .table = true, .count = 8 },
};

static const struct hook_net of_net[] = {
	{ .mechanism = PACKET, .way = HOOK_LIST, .member = "net.ptype_all",
	  .type = "packet_type", .link = "packet_type.list", PACKET_NAME,
	  .table = true, .registered = true },
	{ .mechanism = PACKET, .way = HOOK_LIST, .member = "net.ptype_specific",
	  .type = "packet_type", .link = "packet_type.list", PACKET_NAME,
	  .table = true, .registered = true },
};

static const struct hook_net of_device[] = {
	{ .mechanism = PACKET, .way = HOOK_LIST, .member = "net_device.ptype_all",
	  .type = "packet_type", .link = "packet_type.list", PACKET_NAME,
	  .table = true, .registered = true },
	{ .mechanism = PACKET, .way = HOOK_LIST, .member = "net_device.ptype_specific",
	  .type = "packet_type", .link = "packet_type.list", PACKET_NAME,
	  .table = true, .registered = true },
};

static bool is_of_module(const struct hook_walk *walk, gva at)
{
	const struct modules *modules = walk->owners ? owners_modules(walk->owners) : NULL;

	for (size_t i = 0; modules && i < modules->list.n; i++)
		if (modules->list.v[i].found_by & MODULE_BY_LIST &&
		    module_has(&modules->list.v[i], at, NULL))
			return true;
	return false;
}

/*
 * The kernel's own protocols: no module takes their place, though it could have a table of its
 * own that is as good as any.
 */
static int visit_own(struct hook_walk *walk, struct err *err)
{
	static const struct {
		const char *symbol, *type, *name;
		uint32_t number;
	} own[] = {
		{ "inet_protos", "net_protocol", "IPv4 protocol 1", 1 },
		{ "inet_protos", "net_protocol", "IPv4 protocol 6", 6 },
		{ "inet_protos", "net_protocol", "IPv4 protocol 17", 17 },
		{ "inet6_protos", "inet6_protocol", "IPv6 protocol 6", 6 },
		{ "inet6_protos", "inet6_protocol", "IPv6 protocol 17", 17 },
		{ "inet6_protos", "inet6_protocol", "IPv6 protocol 58", 58 },
	};
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(own) && r >= 0; i++) {
		struct hook_object object = { .mechanism = "IP protocol", .text = own[i].name };
		gva at = symbols_lookup(walk->kernel->symbols, own[i].symbol), table;

		if (!at.v)
			continue;	/* IPv6 is not built in */
		object.at = gva_add(at, own[i].number * sizeof(table));
		r = view_ptr(walk->view, object.at, &table, err);
		if (r >= 0 && is_of_module(walk, table))
			r = hook_wrong(walk, &object, own[i].type, "(the table)", object.at, table,
				       "the kernel's own", err);
		r = partial_add(&walk->partial, r, err);
	}
	return r;
}

static int visit_net(struct hook_walk *walk, gva net, const char *where, void *ctx,
		     struct err *err)
{
	(void)ctx;
	return hook_net_walk(walk, of_net, ARRAY_SIZE(of_net), net, where, err);
}

static int visit_device(struct hook_walk *walk, gva device, const char *where, void *ctx,
			struct err *err)
{
	(void)ctx;
	return hook_net_walk(walk, of_device, ARRAY_SIZE(of_device), device, where, err);
}

static int walk_packet(struct hook_walk *walk, struct err *err)
{
	int r = hook_net_walk(walk, registries, ARRAY_SIZE(registries), gva_of(0), NULL, err);

	if (r >= 0)
		r = visit_own(walk, err);
	if (r >= 0)
		r = hook_net_namespaces(walk, visit_net, NULL, err);
	return r < 0 ? r : hook_net_devices(walk, visit_device, NULL, err);
}

const struct hook_source hooks_packet = { .id = "packet", .walk = walk_packet };
