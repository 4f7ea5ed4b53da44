/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "linux/hook_net.h"
#include "linux/object.h"

/*
 * Netfilter hooks of every network namespace and device (net/netfilter/core.c): each place has
 * a struct nf_hook_entries, the functions one behind the other, and behind those pointers to
 * the nf_hook_ops by which they were registered.
 *
 * By hand: that array, which no type tells of. What is in the modules nf_tables and x_tables
 * (expressions, matches, targets) is of types that the kernel's own BTF does not have.
 */
struct netfilter_fields {
	struct field nf, count, hooks, entry, hook, ops_size, ops_hook, priority, ingress, egress;
};

static const struct member netfilter_members[] = {
	MEMBER(struct netfilter_fields, nf, "net.nf"),
	MEMBER(struct netfilter_fields, count, "nf_hook_entries.num_hook_entries"),
	MEMBER(struct netfilter_fields, hooks, "nf_hook_entries.hooks"),
	MEMBER(struct netfilter_fields, entry, "nf_hook_entry"),
	MEMBER(struct netfilter_fields, hook, "nf_hook_entry.hook"),
	MEMBER(struct netfilter_fields, ops_size, "nf_hook_ops"),
	MEMBER(struct netfilter_fields, ops_hook, "nf_hook_ops.hook"),
	MEMBER(struct netfilter_fields, priority, "nf_hook_ops.priority"),
	MEMBER_OPTIONAL(struct netfilter_fields, ingress, "net_device.nf_hooks_ingress"),
	MEMBER_OPTIONAL(struct netfilter_fields, egress, "net_device.nf_hooks_egress"),
};
LAYOUT(netfilter_layout, struct netfilter_fields, netfilter_members);

#define MECHANISM "netfilter hook"

static const struct hook_net registries[] = {
	{ .mechanism = "netfilter socket option", .way = HOOK_LIST, .symbol = "nf_sockopts",
	  .type = "nf_sockopt_ops", .link = "nf_sockopt_ops.list", .table = true },
	{ .mechanism = "nf_ct_hook", .way = HOOK_POINTER, .symbol = "nf_ct_hook",
	  .type = "nf_ct_hook", .table = true },
	{ .mechanism = "nf_nat_hook", .way = HOOK_POINTER, .symbol = "nf_nat_hook",
	  .type = "nf_nat_hook", .table = true },
	{ .mechanism = "nfnl_ct_hook", .way = HOOK_POINTER, .symbol = "nfnl_ct_hook",
	  .type = "nfnl_ct_hook", .table = true },
	{ .mechanism = "nf_ipv6_ops", .way = HOOK_POINTER, .symbol = "nf_ipv6_ops",
	  .type = "nf_ipv6_ops", .table = true },
	{ .mechanism = "nf_defrag_v4_hook", .way = HOOK_POINTER, .symbol = "nf_defrag_v4_hook",
	  .type = "nf_defrag_hook", .table = true },
	{ .mechanism = "nf_defrag_v6_hook", .way = HOOK_POINTER, .symbol = "nf_defrag_v6_hook",
	  .type = "nf_defrag_hook", .table = true },
	{ .mechanism = "netfilter queue", .way = HOOK_POINTER, .symbol = "nf_queue_handler",
	  .type = "nf_queue_handler", .table = true },
	{ .mechanism = "netfilter logger", .way = HOOK_POINTERS, .symbol = "loggers",
	  .type = "nf_logger", .name = "nf_logger.name", .table = true },
};

static const struct hook_net of_net[] = {
	{ .mechanism = "netfilter queue", .way = HOOK_POINTER, .member = "net.nf.queue_handler",
	  .type = "nf_queue_handler", .table = true },
	{ .mechanism = "netfilter logger", .way = HOOK_POINTERS, .member = "net.nf.nf_loggers",
	  .type = "nf_logger", .name = "nf_logger.name", .table = true },
};

struct netfilter {
	struct hook_walk *walk;
	const struct netfilter_fields *f;
	const char *where;	/* "net:[4026532008]" */
	gva net, nf;
};

/* One function of a place: @i of @count. */
static int visit_entry(const struct netfilter *netfilter, gva entries, const char *place,
		       uint64_t i, uint64_t count, struct err *err)
{
	const struct netfilter_fields *f = netfilter->f;
	struct view *view = netfilter->walk->view;
	gva first = field_at(entries, &f->hooks), ops = gva_of(0);
	char text[128];
	struct hook_object object = {
		.mechanism = MECHANISM,
		.at = gva_add(first, i * f->entry.size_bytes),
		.text = text,
		.registered = true,
	};
	gva function = gva_of(0), registered = gva_of(0);
	uint64_t priority = 0;
	int r;

	netfilter->walk->objects++;
	r = view_ptr(view, gva_add(first, count * f->entry.size_bytes + i * sizeof(ops)), &ops,
		     err);
	if (r >= 0)
		r = field_read(view, ops, &f->priority, &priority, err);
	if (r >= 0)
		r = field_ptr(view, ops, &f->ops_hook, &registered, err);
	if (r >= 0)
		r = field_ptr(view, object.at, &f->hook, &function, err);
	snprintf(text, sizeof(text), "%s%s%s %d", netfilter->where,
		 netfilter->where[0] ? " " : "", place, (int)(uint32_t)priority);
	/* What takes its place while it is being removed (dummy_ops) has the same function, too. */
	if (r >= 0 && function.v != registered.v)
		return hook_wrong(netfilter->walk, &object, "nf_hook_entry", "hook",
				  field_at(object.at, &f->hook), function,
				  "the function that its nf_hook_ops tells of", err);
	if (r < 0)
		return r;
	return hook_pointer(netfilter->walk, &object, "nf_hook_entry", "hook",
			    field_at(object.at, &f->hook), function, err);
}

/* A place: @at leads to its entries. */
static int visit_place(const struct netfilter *netfilter, gva at, const char *place,
		       struct err *err)
{
	struct hook_walk *walk = netfilter->walk;
	uint64_t count = 0;
	gva entries;
	int r = view_ptr(walk->view, at, &entries, err);

	if (r >= 0 && !entries.v)
		return 0;
	if (r >= 0)
		r = field_read(walk->view, entries, &netfilter->f->count, &count, err);
	if (r >= 0 && count > NETFILTER_HOOKS_MAX)
		r = fail(err, -EBADMSG, entries, "%llu netfilter hooks",
			 (unsigned long long)count);
	for (uint64_t i = 0; i < count && r >= 0; i++)
		r = visit_entry(netfilter, entries, place, i, count, err);
	return partial_add(&walk->partial, r, err);
}

/* By the types: every array of such pointers, whatever protocols there are. */
static int visit_places(const struct type_member *member, void *ctx, struct err *err)
{
	const struct netfilter *netfilter = ctx;
	const struct types *types = netfilter->walk->kernel->types;
	char place[64];
	int r = 0;

	if (member->kind != TYPE_STRUCT_POINTER ||
	    strcmp(types_name(types, member->type), "nf_hook_entries"))
		return 0;
	for (uint32_t i = 0; i < member->count && r >= 0; i++) {
		snprintf(place, sizeof(place), "%s[%u]", member->name, i);
		r = visit_place(netfilter, gva_add(netfilter->nf, member->at + i * 8), place, err);
	}
	return r;
}

static int visit_net(struct hook_walk *walk, gva net, const char *where, void *ctx,
		     struct err *err)
{
	struct netfilter *netfilter = ctx;
	int r;

	netfilter->where = where;
	netfilter->nf = field_at(net, &netfilter->f->nf);
	r = types_members(walk->kernel->types, netfilter->f->nf.type, visit_places, netfilter,
			  err);
	return r < 0 ? r : hook_net_walk(walk, of_net, ARRAY_SIZE(of_net), net, where, err);
}

static int visit_device(struct hook_walk *walk, gva device, const char *where, void *ctx,
			struct err *err)
{
	struct netfilter *netfilter = ctx;
	const struct netfilter_fields *f = netfilter->f;
	int r = 0;

	(void)walk;
	netfilter->where = where;
	if (f->ingress.there)
		r = visit_place(netfilter, field_at(device, &f->ingress), "ingress", err);
	if (r >= 0 && f->egress.there)
		r = visit_place(netfilter, field_at(device, &f->egress), "egress", err);
	return r;
}

static int walk_netfilter(struct hook_walk *walk, struct err *err)
{
	struct netfilter netfilter = { .walk = walk };
	int r = types_layout(walk->kernel->types, &netfilter_layout,
			     (const void **)&netfilter.f, err);

	if (r >= 0)
		r = hook_net_namespaces(walk, visit_net, &netfilter, err);
	if (r >= 0)
		r = hook_net_devices(walk, visit_device, &netfilter, err);
	return r < 0 ? r : hook_net_walk(walk, registries, ARRAY_SIZE(registries), gva_of(0),
					      NULL, err);
}

const struct hook_source hooks_netfilter = { .id = "netfilter", .walk = walk_netfilter };
