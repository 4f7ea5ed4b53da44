/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "linux/socket_walk.h"

/*
 * TCP, UDP, UDP-Lite, raw and ICMP datagram sockets. Each has hash tables for the whole
 * machine; from 6.1 on a network namespace can have tables of its own for TCP and UDP
 * (d1e5e6408b30, 9804985bf27f).
 */
struct inet_fields {
	struct field hashinfo, net_udp;
	struct field ehash, ehash_mask, ehash_bucket, ehash_chain;
	struct field listening, lhash2, lhash2_mask, listen_bucket, listen_nulls, listen_head;
	struct field udp, udp_mask, udp_slot, udp_head, udp2, udp_slot2, udp_link2, listen_link2;
	struct field raw, raw_head, ping, ping_head;
};

static const struct member inet_members[] = {
	MEMBER_OPTIONAL(struct inet_fields, hashinfo, "net.ipv4.tcp_death_row.hashinfo"),
	MEMBER_OPTIONAL(struct inet_fields, net_udp, "net.ipv4.udp_table"),
	MEMBER(struct inet_fields, ehash, "inet_hashinfo.ehash"),
	MEMBER(struct inet_fields, ehash_mask, "inet_hashinfo.ehash_mask"),
	MEMBER(struct inet_fields, ehash_bucket, "inet_ehash_bucket"),
	MEMBER(struct inet_fields, ehash_chain, "inet_ehash_bucket.chain"),
	/* cae3873c5b3a (5.19): lhash2 alone. Before, it has a link of its own in a socket. */
	MEMBER_OPTIONAL(struct inet_fields, listening, "inet_hashinfo.listening_hash"),
	MEMBER(struct inet_fields, lhash2, "inet_hashinfo.lhash2"),
	MEMBER(struct inet_fields, lhash2_mask, "inet_hashinfo.lhash2_mask"),
	MEMBER(struct inet_fields, listen_bucket, "inet_listen_hashbucket"),
	MEMBER_OPTIONAL(struct inet_fields, listen_nulls, "inet_listen_hashbucket.nulls_head"),
	MEMBER_OPTIONAL(struct inet_fields, listen_head, "inet_listen_hashbucket.head"),
	MEMBER(struct inet_fields, udp, "udp_table.hash"),
	MEMBER(struct inet_fields, udp_mask, "udp_table.mask"),
	MEMBER(struct inet_fields, udp_slot, "udp_hslot"),
	MEMBER(struct inet_fields, udp_head, "udp_hslot.head"),
	MEMBER(struct inet_fields, udp2, "udp_table.hash2"),
	/* Its slots grew a counter with accdd51dc74f (6.13); the head stays at their start. */
	MEMBER(struct inet_fields, udp_slot2, "udp_hslot_main|udp_hslot"),
	MEMBER(struct inet_fields, udp_link2, "sock_common.skc_portaddr_node"),
	MEMBER_OPTIONAL(struct inet_fields, listen_link2,
			"inet_connection_sock.icsk_listen_portaddr_node"),
	MEMBER_OPTIONAL(struct inet_fields, raw, "raw_hashinfo.ht"),
	MEMBER_OPTIONAL(struct inet_fields, raw_head, "raw_hashinfo.ht[0]"),
	MEMBER_OPTIONAL(struct inet_fields, ping, "ping_table.hash"),
	MEMBER_OPTIONAL(struct inet_fields, ping_head, "ping_table.hash[0]"),
};
LAYOUT(inet_layout, struct inet_fields, inet_members);

/* A table behind a pointer, with the number of its chains less one. */
static int walk_masked(struct socket_walk *walk, gva object, const struct field *pointer,
		       const struct field *mask, struct socket_table *table, struct err *err)
{
	uint64_t last;
	gva at;
	int r;

	r = field_ptr(walk->view, object, pointer, &at, err);
	if (r >= 0)
		r = field_read(walk->view, object, mask, &last, err);
	if (r < 0)
		return table->way == WAY_LISTED ? socket_table_walked(walk, table->kind, r, err) :
						  partial_add(&walk->partial, r, err);
	table->at = gva_add(at, table->at.v);
	table->heads = last + 1;
	return socket_table_walk(walk, table, err);
}

static int walk_tcp(struct socket_walk *walk, const struct inet_fields *f, gva hashinfo,
		    struct err *err)
{
	struct socket_table table = {
		.at = gva_of(f->ehash_chain.at),
		.stride = f->ehash_bucket.size_bytes,
		.link = walk->f->node.at,
		.nulls = true,
		.kind = SOCKET_TCP,
	};
	const struct field *head = f->listen_nulls.there ? &f->listen_nulls : &f->listen_head;
	int r;

	r = map_put(&walk->tables, hashinfo.v, 0);
	if (r != 0)
		return r < 0 ? r : 0;
	r = walk_masked(walk, hashinfo, &f->ehash, &f->ehash_mask, &table, err);
	if (r < 0)
		return r;

	table.at = gva_of(head->at);
	table.stride = f->listen_bucket.size_bytes;
	table.nulls = f->listen_nulls.there;
	if (!f->listening.there)
		return walk_masked(walk, hashinfo, &f->lhash2, &f->lhash2_mask, &table, err);
	table.at = gva_add(field_at(hashinfo, &f->listening), head->at);
	table.heads = table.stride ? f->listening.size_bytes / table.stride : 0;
	r = socket_table_walk(walk, &table, err);
	if (r < 0 || !f->listen_link2.there || !f->listen_head.there)
		return r;

	/* What is not in the first table is not in /proc/net/tcp, but is connected to. */
	table.at = gva_of(f->listen_head.at);
	table.link = f->listen_link2.at;
	table.nulls = false;
	table.way = WAY_SECOND;
	return walk_masked(walk, hashinfo, &f->lhash2, &f->lhash2_mask, &table, err);
}

static int walk_udp(struct socket_walk *walk, const struct inet_fields *f, gva udp_table,
		    enum socket_kind kind, struct err *err)
{
	struct socket_table table = {
		.at = gva_of(f->udp_head.at),
		.stride = f->udp_slot.size_bytes,
		.link = walk->f->node.at,
		.kind = kind,
	};
	int r;

	r = walk_masked(walk, udp_table, &f->udp, &f->udp_mask, &table, err);
	if (r < 0)
		return r;

	/* What is not in the first table is not in /proc/net/udp, but gets what is sent to it. */
	table.at = gva_of(f->udp_head.at);
	table.stride = f->udp_slot2.size_bytes;
	table.link = f->udp_link2.at;
	table.way = WAY_SECOND;
	return walk_masked(walk, udp_table, &f->udp2, &f->udp_mask, &table, err);
}

/* A table that is an array of heads, of one kind or the other, within a variable. */
static int walk_array(struct socket_walk *walk, const char *symbol, const struct field *array,
		      const struct field *head, enum socket_kind kind, struct err *err)
{
	gva at = symbols_lookup(walk->kernel->symbols, symbol);
	struct socket_table table = {
		.at = field_at(at, array),
		.link = walk->f->node.at,
		.stride = array->element_bytes,
		.kind = kind,
	};

	if (!at.v || !array->there || !head->there || !array->element_bytes) {
		walk->broken[kind] = true;
		return 0;
	}
	table.heads = array->size_bytes / array->element_bytes;
	table.nulls = !strcmp(types_name(walk->kernel->types, head->type), "hlist_nulls_head");
	return socket_table_walk(walk, &table, err);
}

/* The tables that the namespaces refer to, beside those that all share. */
static int walk_nets(struct socket_walk *walk, const struct inet_fields *f, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < walk->net_list.n; i++) {
		gva net = walk->net_list.v[i], table = gva_of(0);

		if (f->hashinfo.there) {
			r = field_ptr(walk->view, net, &f->hashinfo, &table, err);
			r = socket_table_walked(walk, SOCKET_TCP, r, err);
			if (r >= 0 && table.v)
				r = walk_tcp(walk, f, table, err);
		}
		table.v = 0;
		if (r >= 0 && f->net_udp.there) {
			r = field_ptr(walk->view, net, &f->net_udp, &table, err);
			r = socket_table_walked(walk, SOCKET_UDP, r, err);
			if (r >= 0 && table.v)
				r = walk_udp(walk, f, table, SOCKET_UDP, err);
		}
	}
	return r;
}

int socket_walk_inet(struct socket_walk *walk, struct err *err)
{
	const struct symbols *symbols = walk->kernel->symbols;
	gva tcp = symbols_lookup(symbols, "tcp_hashinfo");
	gva udp = symbols_lookup(symbols, "udp_table");
	gva udplite = symbols_lookup(symbols, "udplite_table");	/* gone in 7.x */
	const struct inet_fields *f;
	int r;

	r = types_layout(walk->kernel->types, &inet_layout, (const void **)&f, err);
	if (r >= 0 && tcp.v)
		r = walk_tcp(walk, f, tcp, err);
	if (r >= 0 && udp.v)
		r = walk_udp(walk, f, udp, SOCKET_UDP, err);
	if (r >= 0 && udplite.v)
		r = walk_udp(walk, f, udplite, SOCKET_UDPLITE, err);
	if (r >= 0)
		r = walk_nets(walk, f, err);
	if (r >= 0)
		r = walk_array(walk, "raw_v4_hashinfo", &f->raw, &f->raw_head, SOCKET_RAW, err);
	if (r >= 0)
		r = walk_array(walk, "raw_v6_hashinfo", &f->raw, &f->raw_head, SOCKET_RAW, err);
	if (r >= 0)
		r = walk_array(walk, "ping_table", &f->ping, &f->ping_head, SOCKET_PING, err);
	return r;
}
