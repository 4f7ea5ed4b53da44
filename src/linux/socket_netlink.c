/* SPDX-License-Identifier: Apache-2.0 */
#include "base/limits.h"
#include "guest/paging.h"
#include "linux/socket_walk.h"

/*
 * Netlink sockets: a resizable hash table per protocol (net/netlink/af_netlink.c, lib/
 * rhashtable.c). While one is being resized its elements are in two tables; bit 0 of a head
 * is a lock, and a chain ends with an odd value.
 */
#define PROTOCOLS 32u		/* MAX_LINKS of include/uapi/linux/netlink.h */
#define TABLES	  4u		/* a resize at a time, and one that was found too small meanwhile */

struct netlink_fields {
	struct field table, hash, size, nest, future, buckets, next;
	struct field node, portid, groups;
};

static const struct member netlink_members[] = {
	MEMBER(struct netlink_fields, table, "netlink_table"),
	MEMBER(struct netlink_fields, hash, "netlink_table.hash.tbl"),
	MEMBER(struct netlink_fields, size, "bucket_table.size"),
	MEMBER(struct netlink_fields, nest, "bucket_table.nest"),
	MEMBER(struct netlink_fields, future, "bucket_table.future_tbl"),
	MEMBER(struct netlink_fields, buckets, "bucket_table.buckets"),
	MEMBER(struct netlink_fields, next, "rhash_head.next"),
	MEMBER(struct netlink_fields, node, "netlink_sock.node"),
	MEMBER(struct netlink_fields, portid, "netlink_sock.portid"),
	MEMBER(struct netlink_fields, groups, "netlink_sock.groups"),
};
LAYOUT(netlink_layout, struct netlink_fields, netlink_members);

int socket_read_netlink(struct socket_walk *walk, struct socket *socket, struct err *err)
{
	const struct netlink_fields *f;
	uint64_t portid;
	gva groups;
	int r;

	r = types_layout(walk->kernel->types, &netlink_layout, (const void **)&f, err);
	if (r >= 0)
		r = field_read(walk->view, socket->at, &f->portid, &portid, err);
	if (r >= 0)
		r = field_ptr(walk->view, socket->at, &f->groups, &groups, err);
	if (r >= 0 && groups.v)
		r = view_u32(walk->view, groups, &socket->groups, err);
	if (r < 0)
		return wrap(err, r, "netlink socket");
	socket->portid = (uint32_t)portid;
	return 0;
}

/* These chains have no back pointers: a socket that was met before ends one. */
static int walk_chain(struct socket_walk *walk, const struct netlink_fields *f, gva at,
		      struct err *err)
{
	uint32_t before = (uint32_t)walk->sockets->all.n;
	int r = 0;

	at.v &= ~1ull;
	while (r >= 0 && at.v && !(at.v & 1)) {
		uint32_t index = 0;

		if (!gva_is_kernel(at))
			return fail(err, -EBADMSG, at, "netlink socket out of place");
		r = socket_add(walk, field_object(at, &f->node), WAY_LISTED, &index, err);
		r = socket_table_walked(walk, SOCKET_NETLINK, r, err);
		if (r >= 0 && index < before)
			return fail(err, -EBADMSG, at,
				    "netlink socket unreadable or in two places");
		before = index + 1;
		if (r >= 0)
			r = field_ptr(walk->view, at, &f->next, &at, err);
	}
	return r;
}

static int walk_buckets(struct socket_walk *walk, const struct netlink_fields *f, gva table,
			struct err *err)
{
	uint64_t size, nest;
	int r;

	r = field_read(walk->view, table, &f->size, &size, err);
	if (r >= 0)
		r = field_read(walk->view, table, &f->nest, &nest, err);
	if (r >= 0 && (size > SOCKET_HEADS_MAX || nest))
		r = fail(err, -EBADMSG, table, "%s table of %llu chains of netlink sockets",
			 nest ? "nested" : "flat", (unsigned long long)size);
	for (uint64_t i = 0; r >= 0 && i < size; i++) {
		gva first;

		if (i % 512 == 0)
			r = view_burn(walk->view, 1, err);
		if (r >= 0)
			r = view_ptr(walk->view, gva_add(field_at(table, &f->buckets), i * 8),
				     &first, err);
		if (r >= 0)
			r = walk_chain(walk, f, first, err);
		r = socket_table_walked(walk, SOCKET_NETLINK, r, err);
	}
	return r;
}

static int walk_protocol(struct socket_walk *walk, const struct netlink_fields *f, gva table,
			 struct err *err)
{
	gva buckets;
	int r;

	r = field_ptr(walk->view, table, &f->hash, &buckets, err);
	for (uint32_t n = 0; r >= 0 && buckets.v; n++) {
		if (n == TABLES)
			return fail(err, -EBADMSG, table, "netlink sockets in over %u tables",
				    TABLES);
		r = walk_buckets(walk, f, buckets, err);
		if (r >= 0)
			r = field_ptr(walk->view, buckets, &f->future, &buckets, err);
	}
	return r;
}

int socket_walk_netlink(struct socket_walk *walk, struct err *err)
{
	gva tables = symbols_lookup(walk->kernel->symbols, "nl_table");
	const struct netlink_fields *f;
	int r;

	r = types_layout(walk->kernel->types, &netlink_layout, (const void **)&f, err);
	if (r == -ENOENT || !tables.v)
		return 0;
	if (r >= 0)
		r = view_ptr(walk->view, tables, &tables, err);
	r = socket_table_walked(walk, SOCKET_NETLINK, r, err);
	for (uint32_t i = 0; r >= 0 && i < PROTOCOLS; i++) {
		r = walk_protocol(walk, f, gva_add(tables, (uint64_t)i * f->table.size_bytes), err);
		r = socket_table_walked(walk, SOCKET_NETLINK, r, err);
	}
	return r;
}
