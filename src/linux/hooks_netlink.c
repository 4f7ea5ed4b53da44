/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "linux/hook_net.h"
#include "linux/module_symbols.h"
#include "linux/object.h"
#include "linux/xarray.h"

/*
 * What answers messages of netlink, by which ip(8) and ss(8) learn what there is: of each
 * protocol, of rtnetlink by family and message, generic families with their operations, and
 * those that list sockets.
 *
 * By hand: arrays whose size stands in another member; unions; and inet_diag, whose types are
 * those of a module.
 */
#define RTNL_MESSAGES 100u	/* the least that a kernel has: RTM_NR_MSGTYPES of 5.10 */
#define RTNL_FAMILIES 130u	/* RTNL_FAMILY_MAX + 1: RTNL_FAMILY_IP6MR is the last of 5.10 */
#define DIAG_PROTOCOLS 256u

static const struct hook_net registries[] = {
	{ .mechanism = "socket listing", .way = HOOK_POINTERS, .symbol = "sock_diag_handlers",
	  .type = "sock_diag_handler", .table = true },
};

/* A function in a table that the types do not tell enough of. */
static int visit_function(struct hook_walk *walk, const struct hook_object *object, gva table,
			  uint32_t at, uint64_t target, const char *type, const char *member,
			  struct err *err)
{
	const struct hook hook = {
		.object = object,
		.at = gva_add(table, at),
		.table = table,
		.target = gva_of(target),
		.type = type,
		.member = member,
	};

	if (!target)
		return 0;
	walk->pointers++;
	return walk->visit(&hook, walk->ctx, err);
}

/* --- rtnetlink --- */

struct message {
	uint32_t family, type;
};

static void print_message(const struct hook_object *object, char *buf, size_t size)
{
	const struct message *message = object->ctx;

	/* RTM_BASE is 16: include/uapi/linux/rtnetlink.h. */
	snprintf(buf, size, "rtnetlink family %u message %u", message->family,
		 message->type + 16);
}

static int visit_family(struct hook_walk *walk, gva family, uint32_t number, struct err *err)
{
	struct message message = { .family = number };
	struct hook_object object = {
		.mechanism = "rtnetlink message",
		.print = print_message,
		.ctx = &message,
	};
	uint64_t links[RTNL_MESSAGES];
	int r = view_read(walk->view, family, links, sizeof(links), err);

	for (; message.type < RTNL_MESSAGES && r >= 0; message.type++) {
		object.at = gva_of(links[message.type]);
		if (object.at.v)
			r = hook_members(walk, &object, "rtnl_link", err);
	}
	return r;
}

static int visit_rtnetlink(struct hook_walk *walk, struct err *err)
{
	gva at = symbols_lookup(walk->kernel->symbols, "rtnl_msg_handlers");
	uint64_t families[RTNL_FAMILIES];
	int r = at.v ? view_read(walk->view, at, families, sizeof(families), err) : 0;

	for (uint32_t i = 0; at.v && i < RTNL_FAMILIES && r >= 0; i++)
		if (families[i])
			r = partial_add(&walk->partial,
					visit_family(walk, gva_of(families[i]), i, err), err);
	return partial_add(&walk->partial, r, err);
}

/* --- netlink and its generic families --- */

struct netlink_fields {
	struct field table, families;
	struct field name, ops, ops_n, small, small_n, split, split_n;
	struct field op, small_op, split_op, split_first, split_flags;
};

static const struct member netlink_members[] = {
	MEMBER(struct netlink_fields, table, "netlink_table"),
	MEMBER(struct netlink_fields, families, "idr.idr_rt"),
	MEMBER(struct netlink_fields, name, "genl_family.name"),
	MEMBER(struct netlink_fields, ops, "genl_family.ops"),
	MEMBER(struct netlink_fields, ops_n, "genl_family.n_ops"),
	MEMBER_OPTIONAL(struct netlink_fields, small, "genl_family.small_ops"),
	MEMBER_OPTIONAL(struct netlink_fields, small_n, "genl_family.n_small_ops"),
	MEMBER_OPTIONAL(struct netlink_fields, split, "genl_family.split_ops"),
	MEMBER_OPTIONAL(struct netlink_fields, split_n, "genl_family.n_split_ops"),
	MEMBER(struct netlink_fields, op, "genl_ops"),
	MEMBER_OPTIONAL(struct netlink_fields, small_op, "genl_small_ops"),
	MEMBER_OPTIONAL(struct netlink_fields, split_op, "genl_split_ops"),
	MEMBER_OPTIONAL(struct netlink_fields, split_first, "genl_split_ops.pre_doit"),
	MEMBER_OPTIONAL(struct netlink_fields, split_flags, "genl_split_ops.flags"),
};
LAYOUT(netlink_layout, struct netlink_fields, netlink_members);

struct netlink {
	struct hook_walk *walk;
	const struct netlink_fields *f;
};

static int visit_tables(const struct netlink *netlink, struct err *err)
{
	struct hook_walk *walk = netlink->walk;
	gva at = symbols_lookup(walk->kernel->symbols, "nl_table");
	char name[32];
	struct hook_object object = { .mechanism = "netlink protocol", .text = name };
	int r = at.v ? view_ptr(walk->view, at, &at, err) : 0;

	/* MAX_LINKS: include/uapi/linux/netlink.h. */
	for (uint32_t i = 0; at.v && i < 32 && r >= 0; i++) {
		snprintf(name, sizeof(name), "netlink protocol %u", i);
		object.at = gva_add(at, (uint64_t)i * netlink->f->table.size_bytes);
		r = hook_members(walk, &object, "netlink_table", err);
	}
	return partial_add(&walk->partial, r, err);
}

static void print_family(const struct hook_object *object, char *buf, size_t size)
{
	const struct netlink *netlink = object->ctx;
	char name[16];

	if (view_string(netlink->walk->view, field_at(object->at, &netlink->f->name), name,
			sizeof(name), NULL) < 0)
		name[0] = '\0';
	snprintf(buf, size, "generic netlink family %s", name);
}

/* GENL_CMD_CAP_DO: the union has functions for that, otherwise those for dumps. */
static int visit_split(const struct netlink *netlink, const struct hook_object *object, gva at,
		       struct err *err)
{
	static const char *const does[] = { "pre_doit", "doit", "post_doit" };
	static const char *const dumps[] = { "start", "dumpit", "done" };
	const struct netlink_fields *f = netlink->f;
	struct view *view = netlink->walk->view;
	uint64_t flags, word[3];
	int r = field_read(view, at, &f->split_flags, &flags, err);

	if (r >= 0)
		r = view_read(view, field_at(at, &f->split_first), word, sizeof(word), err);
	for (uint32_t i = 0; i < 3 && r >= 0; i++)
		r = visit_function(netlink->walk, object, at, f->split_first.at + i * 8, word[i],
				   "genl_split_ops", flags & 2 ? does[i] : dumps[i], err);
	return r;
}

/* Operations of one of the three kinds, one behind the other. */
static int visit_operations(const struct netlink *netlink, const struct hook_object *object,
			    const struct field *table, const struct field *count,
			    const struct field *size, const char *type, struct err *err)
{
	struct view *view = netlink->walk->view;
	bool is_split = size == &netlink->f->split_op;
	uint64_t n;
	gva at;
	int r;

	if (!table->there || !count->there || !size->there)
		return 0;
	r = field_ptr(view, object->at, table, &at, err);
	if (r >= 0)
		r = field_read(view, object->at, count, &n, err);
	for (uint64_t i = 0; r >= 0 && at.v && i < n && i < HOOK_ARRAY_MAX; i++) {
		gva op = gva_add(at, i * size->size_bytes);

		r = is_split ? visit_split(netlink, object, op, err) :
			       hook_table(netlink->walk, object, type, op, err);
	}
	return r;
}

static int visit_genl(uint64_t index, uint64_t entry, void *ctx, struct err *err)
{
	const struct netlink *netlink = ctx;
	const struct netlink_fields *f = netlink->f;
	const struct hook_object object = {
		.mechanism = "generic netlink family",
		.at = gva_of(entry),
		.print = print_family,
		.ctx = netlink,
	};
	int r;

	(void)index;
	netlink->walk->objects++;
	r = hook_table(netlink->walk, &object, "genl_family", object.at, err);
	if (r >= 0)
		r = visit_operations(netlink, &object, &f->ops, &f->ops_n, &f->op, "genl_ops",
				     err);
	if (r >= 0)
		r = visit_operations(netlink, &object, &f->small, &f->small_n, &f->small_op,
				     "genl_small_ops", err);
	if (r >= 0)
		r = visit_operations(netlink, &object, &f->split, &f->split_n, &f->split_op,
				     "genl_split_ops", err);
	return partial_add(&netlink->walk->partial, r, err);
}

/* --- inet_diag --- */

/* The module's own variable, or the kernel's where it is built in. */
static gva diag_table(struct hook_walk *walk)
{
	static const char name[] = "inet_diag_table";
	const struct modules *modules = walk->owners ? owners_modules(walk->owners) : NULL;
	gva at = symbols_lookup(walk->kernel->symbols, name);
	struct module_symbols *symbols = NULL;

	for (size_t i = 0; modules && !at.v && i < modules->list.n; i++) {
		const struct module_info *module = &modules->list.v[i];

		if (strcmp(module->name, "inet_diag") ||
		    module_symbols_read(walk->kernel, walk->view, module, &symbols, NULL) < 0)
			continue;
		for (size_t k = 0; k < module_symbols_count(symbols); k++) {
			struct module_symbol symbol = module_symbols_get(symbols, k);

			if (!strcmp(symbol.name, name))
				at = symbol.at;
		}
		module_symbols_free(&symbols);
	}
	return at;
}

/*
 * struct inet_diag_handler (include/linux/inet_diag.h): its module, from 6.8 on (223f55196bbd),
 * then functions, of which 7.2 has one less, and two small numbers.
 */
static int visit_diag(struct hook_walk *walk, const struct hook_object *object, struct err *err)
{
	static const char *const functions[] = {
		"function 1", "function 2", "function 3", "function 4", "function 5", "function 6",
	};
	uint64_t word[ARRAY_SIZE(functions) + 1];
	bool has_owner;
	int r = view_read(walk->view, object->at, word, sizeof(word), err);

	if (r < 0)
		return r;
	walk->objects++;
	has_owner = !word[0] || modules_find(owners_modules(walk->owners), gva_of(word[0]));
	for (uint32_t i = 0; i < ARRAY_SIZE(functions) && r >= 0; i++) {
		uint64_t target = word[i + has_owner];

		if (target && target <= UINT32_MAX)
			break;
		r = visit_function(walk, object, object->at, (i + has_owner) * 8, target,
				   "inet_diag_handler", functions[i], err);
	}
	return r;
}

static int visit_diags(struct hook_walk *walk, struct err *err)
{
	char name[48];
	struct hook_object object = { .mechanism = "socket listing", .text = name };
	gva at = diag_table(walk);
	int r = at.v && walk->owners ? view_ptr(walk->view, at, &at, err) : 0;

	for (uint32_t i = 0; at.v && walk->owners && i < DIAG_PROTOCOLS && r >= 0; i++) {
		r = view_ptr(walk->view, gva_add(at, i * 8), &object.at, err);
		snprintf(name, sizeof(name), "socket listing of IP protocol %u", i);
		if (r >= 0 && object.at.v)
			r = visit_diag(walk, &object, err);
	}
	return partial_add(&walk->partial, r, err);
}

static int walk_netlink(struct hook_walk *walk, struct err *err)
{
	struct netlink netlink = { .walk = walk };
	gva families = symbols_lookup(walk->kernel->symbols, "genl_fam_idr");
	int r = types_layout(walk->kernel->types, &netlink_layout, (const void **)&netlink.f, err);

	if (r >= 0)
		r = hook_net_walk(walk, registries, ARRAY_SIZE(registries), gva_of(0), NULL,
				       err);
	if (r >= 0)
		r = visit_tables(&netlink, err);
	if (r >= 0 && families.v)
		r = partial_add(&walk->partial,
				xarray_walk(walk->kernel, walk->view,
					    field_at(families, &netlink.f->families),
					    HOOK_OBJECTS_MAX, visit_genl, &netlink, err), err);
	if (r >= 0)
		r = visit_rtnetlink(walk, err);
	return r < 0 ? r : visit_diags(walk, err);
}

const struct hook_source hooks_netlink = { .id = "netlink", .walk = walk_netlink };
