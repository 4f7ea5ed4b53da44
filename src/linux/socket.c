/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/socket.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "guest/paging.h"
#include "linux/net.h"
#include "linux/socket_walk.h"

/*
 * Bytes of a table that are read at a time. Pieces of a small table are kept in the view, so
 * that following its chains reads no page twice; those of a large one would crowd out all
 * else there, and are read past it.
 */
#define PIECE_SMALL GUEST_PAGE_SIZE
#define TABLE_LARGE (256u << 10)

enum {				/* include/linux/socket.h, include/uapi/linux/in.h */
	FAMILY_UNIX = 1, FAMILY_INET = 2, FAMILY_INET6 = 10, FAMILY_NETLINK = 16,
	FAMILY_PACKET = 17,
	PROTOCOL_ICMP = 1, PROTOCOL_TCP = 6, PROTOCOL_UDP = 17, PROTOCOL_ICMPV6 = 58,
	PROTOCOL_UDPLITE = 136,
};

static const struct member sock_members[] = {
	MEMBER(struct sock_fields, sock, "sock"),
	MEMBER(struct sock_fields, common, "sock_common"),
	MEMBER(struct sock_fields, node, "sock_common.skc_node|sock_common.skc_nulls_node"),
	MEMBER(struct sock_fields, family, "sock_common.skc_family"),
	MEMBER(struct sock_fields, state, "sock_common.skc_state"),
	MEMBER(struct sock_fields, net, "sock_common.skc_net"),
	MEMBER(struct sock_fields, daddr, "sock_common.skc_daddr"),
	MEMBER(struct sock_fields, saddr, "sock_common.skc_rcv_saddr"),
	MEMBER(struct sock_fields, dport, "sock_common.skc_dport"),
	MEMBER(struct sock_fields, num, "sock_common.skc_num"),
	MEMBER_OPTIONAL(struct sock_fields, v6_daddr, "sock_common.skc_v6_daddr"),
	MEMBER_OPTIONAL(struct sock_fields, v6_saddr, "sock_common.skc_v6_rcv_saddr"),
	MEMBER(struct sock_fields, device, "sock_common.skc_bound_dev_if"),
	MEMBER(struct sock_fields, listener, "sock_common.skc_listener"),
	MEMBER(struct sock_fields, type, "sock.sk_type"),
	MEMBER(struct sock_fields, protocol, "sock.sk_protocol"),
	MEMBER(struct sock_fields, uid, "sock.sk_uid"),
	MEMBER(struct sock_fields, filter, "sock.sk_filter"),
	MEMBER_OPTIONAL(struct sock_fields, kernel, "sock.sk_kern_sock"),
	MEMBER(struct sock_fields, socket, "sock.sk_socket"),
	MEMBER(struct sock_fields, timewait, "inet_timewait_sock"),
	MEMBER(struct sock_fields, substate, "inet_timewait_sock.tw_substate"),
	MEMBER(struct sock_fields, alloc_socket, "socket_alloc.socket"),
	MEMBER(struct sock_fields, alloc_inode, "socket_alloc.vfs_inode"),
	MEMBER(struct sock_fields, ino, "inode.i_ino"),
};
LAYOUT(sock_layout, struct sock_fields, sock_members);

/* --- one socket --- */

static enum socket_kind kind_of(const struct socket *socket)
{
	switch (socket->family) {
	case FAMILY_UNIX:
		return SOCKET_UNIX;
	case FAMILY_PACKET:
		return SOCKET_PACKET;
	case FAMILY_NETLINK:
		return SOCKET_NETLINK;
	case FAMILY_INET:
	case FAMILY_INET6:
		break;
	default:
		return SOCKET_OTHER;
	}
	if (socket->type == TYPE_RAW)
		return SOCKET_RAW;
	if (socket->type == TYPE_STREAM && socket->protocol == PROTOCOL_TCP)
		return SOCKET_TCP;
	if (socket->type != TYPE_DGRAM)
		return SOCKET_OTHER;
	switch (socket->protocol) {
	case PROTOCOL_UDP:
		return SOCKET_UDP;
	case PROTOCOL_UDPLITE:
		return SOCKET_UDPLITE;
	case PROTOCOL_ICMP:
	case PROTOCOL_ICMPV6:
		return SOCKET_PING;
	default:
		return SOCKET_OTHER;
	}
}

static void read_addresses(const struct socket_walk *walk, struct socket *socket)
{
	const struct object *object = &walk->object;
	const struct sock_fields *f = walk->f;

	if (socket->family == FAMILY_INET) {
		object_copy(object, &f->saddr, socket->local.ip, 4);
		object_copy(object, &f->daddr, socket->remote.ip, 4);
	} else if (socket->family == FAMILY_INET6) {
		object_copy(object, &f->v6_saddr, socket->local.ip, 16);
		object_copy(object, &f->v6_daddr, socket->remote.ip, 16);
	}
	socket->local.port = (uint16_t)object_uint(object, &f->num);
	if (socket->kind != SOCKET_RAW)
		socket->remote.port = ntohs((uint16_t)object_uint(object, &f->dport));
}

/* What a full socket and its two smaller relatives have in common (struct sock_common). */
static int read_common(struct socket_walk *walk, struct socket *socket, struct err *err)
{
	const struct sock_fields *f = walk->f;
	const struct object *object = &walk->object;
	int r;

	r = object_read(walk->view, socket->at, &f->common, &walk->object, err);
	if (r < 0)
		return wrap(err, r, "socket");
	socket->family = (uint16_t)object_uint(object, &f->family);
	socket->state = (uint8_t)object_uint(object, &f->state);
	socket->net_at = object_ptr(object, &f->net);
	map_get(&walk->nets, socket->net_at.v, &socket->net);
	socket->device = object_u32(object, &f->device);
	return 0;
}

/*
 * A request has no socket yet, a time-wait socket has none any more
 * (include/net/inet_timewait_sock.h, request_sock.h). Both are TCP: no other kind has them in a
 * table that is walked.
 */
static int read_mini(struct socket_walk *walk, struct socket *socket, struct err *err)
{
	const struct sock_fields *f = walk->f;
	uint64_t value = 0;
	int r;

	socket->kind = SOCKET_TCP;
	socket->type = TYPE_STREAM;
	socket->protocol = PROTOCOL_TCP;
	read_addresses(walk, socket);
	if (socket->state == STATE_TIME_WAIT) {
		r = field_read(walk->view, socket->at, &f->substate, &value, err);
		socket->state = (uint8_t)value;
	} else {
		r = field_read(walk->view, object_ptr(&walk->object, &f->listener), &f->uid, &value,
			       err);
		socket->uid = (uint32_t)value;
	}
	return r < 0 ? wrap(err, r, "socket") : 0;
}

static int read_full(struct socket_walk *walk, struct socket *socket, struct err *err)
{
	const struct sock_fields *f = walk->f;
	const struct object *object = &walk->object;
	int r;

	r = object_read(walk->view, socket->at, &f->sock, &walk->object, err);
	if (r < 0)
		return wrap(err, r, "socket");
	socket->type = (uint16_t)object_uint(object, &f->type);
	socket->protocol = (uint16_t)object_uint(object, &f->protocol);
	socket->uid = object_u32(object, &f->uid);
	socket->filter = object_ptr(object, &f->filter);
	socket->kernel = object_uint(object, &f->kernel);
	socket->socket_at = object_ptr(object, &f->socket);
	socket->kind = kind_of(socket);
	if (socket->family == FAMILY_INET || socket->family == FAMILY_INET6)
		read_addresses(walk, socket);

	switch (socket->kind) {
	case SOCKET_UNIX:
		return socket_read_unix(walk, socket, err);
	case SOCKET_PACKET:
		return socket_read_packet(walk, socket, err);
	case SOCKET_NETLINK:
		return socket_read_netlink(walk, socket, err);
	default:
		return 0;
	}
}

static void found(struct socket *socket, enum socket_way way)
{
	socket->listed |= way == WAY_LISTED;
	socket->second |= way == WAY_SECOND;
	socket->held |= way == WAY_HELD;
}

int socket_add(struct socket_walk *walk, gva at, enum socket_way way, uint32_t *index,
	       struct err *err)
{
	struct sockets *sockets = walk->sockets;
	struct socket socket = { .at = at };
	struct partial missing = partial_of(walk->view);
	struct socket *place;
	uint32_t there;
	int r;

	if (map_get(&walk->by_address, at.v, &there)) {
		found(&sockets->all.v[there], way);
		if (index)
			*index = there;
		return 0;
	}
	if (sockets->all.n == SOCKETS_MAX)
		return err_set(err, -ELOOP, "over %u sockets", SOCKETS_MAX);
	r = read_common(walk, &socket, err);
	if (r < 0)
		return r;
	found(&socket, way);
	/* Only the table can have them; a file that leads to one lies. */
	if (way == WAY_LISTED &&
	    (socket.state == STATE_TIME_WAIT || socket.state == STATE_NEW_SYN_RECV))
		r = read_mini(walk, &socket, err);
	else
		r = read_full(walk, &socket, err);
	if (partial_add(&missing, r, err) < 0)
		return r;

	r = map_put(&walk->by_address, at.v, (uint32_t)sockets->all.n);
	if (r < 0)
		return r;
	place = vec_add(&sockets->all);
	if (!place)
		return -ENOMEM;
	*place = socket;
	if (index)
		*index = (uint32_t)sockets->all.n - 1;
	return partial_end(&missing, 0, err);
}

/* --- tables --- */

int socket_table_walked(struct socket_walk *walk, enum socket_kind kind, int r,
			struct err *err)
{
	walk->walked[kind] = true;
	walk->broken[kind] |= r < 0;
	return partial_add(&walk->partial, r, err);
}

/* Only of the tables that list sockets it matters whether they were seen to their end. */
static int note(struct socket_walk *walk, const struct socket_table *table, int r,
		struct err *err)
{
	if (table->way != WAY_LISTED)
		return partial_add(&walk->partial, r, err);
	return socket_table_walked(walk, table->kind, r, err);
}

struct chain {
	struct socket_walk *walk;
	const struct socket_table *table;
};

/* A socket that cannot be read does not end its chain. */
static int chain_link(gva link, void *ctx, struct err *err)
{
	const struct chain *chain = ctx;
	int r;

	r = socket_add(chain->walk, gva_sub(link, chain->table->link), chain->table->way, NULL,
		       err);
	return note(chain->walk, chain->table, r, err);
}

int socket_chain_walk(struct socket_walk *walk, const struct socket_table *table, gva head,
		      struct err *err)
{
	struct chain chain = { walk, table };

	return (table->nulls ? hlist_nulls_walk : hlist_walk)(walk->view, head, SOCKETS_MAX,
							      chain_link, &chain, err);
}

/* The heads in one piece of a table; most are empty, which one read of them all shows. */
static int walk_piece(struct socket_walk *walk, const struct socket_table *table, gva at,
		      uint32_t heads, struct err *err)
{
	uint8_t *piece = walk->piece;
	int r;

	/* Tables of forged namespaces may share pages: they cost fuel all the same. */
	r = view_burn(walk->view, 1, err);
	if (r >= 0)
		r = view_read(walk->view, at, piece, (size_t)(heads - 1) * table->stride + 8, err);
	for (uint32_t i = 0; r >= 0 && i < heads; i++) {
		uint64_t first;

		memcpy(&first, piece + i * table->stride, sizeof(first));
		if (table->nulls ? first & 1 : !first)
			continue;
		r = socket_chain_walk(walk, table, gva_add(at, (uint64_t)i * table->stride), err);
		r = note(walk, table, r, err);
	}
	return r;
}

int socket_table_walk(struct socket_walk *walk, const struct socket_table *table,
		      struct err *err)
{
	bool large = table->heads * table->stride > TABLE_LARGE;
	uint32_t at_once;
	int r = 0;

	if (!gva_is_kernel(table->at) || table->heads > SOCKET_HEADS_MAX || table->stride < 8 ||
	    table->stride > 256) {
		r = fail(err, -EBADMSG, table->at, "table of %llu chains of sockets",
			 (unsigned long long)table->heads);
		return note(walk, table, r, err);
	}
	r = map_put(&walk->tables, table->at.v, 0);
	if (r != 0)
		return r < 0 ? r : 0;
	at_once = (large ? SOCKET_PIECE_BYTES : PIECE_SMALL) / table->stride;
	walk->walked[table->kind] |= table->way == WAY_LISTED;
	for (uint64_t i = 0; r >= 0 && i < table->heads; i += at_once) {
		uint64_t left = table->heads - i;

		r = walk_piece(walk, table, gva_add(table->at, i * table->stride),
			       left < at_once ? (uint32_t)left : at_once, err);
		r = note(walk, table, r, err);
	}
	return r;
}

/* --- all --- */

static int list_nets(struct socket_walk *walk, struct err *err)
{
	struct nets nets = {0};
	int r = nets_read(walk->kernel, walk->view, &nets, err);
	int r2 = 0;

	for (size_t i = 0; i < nets.list.n && r2 >= 0; i++) {
		gva *place;

		r2 = map_put(&walk->nets, nets.list.v[i].at.v, nets.list.v[i].inode);
		place = r2 < 0 ? NULL : vec_add(&walk->net_list);
		if (place)
			*place = nets.list.v[i].at;
		else
			r2 = -ENOMEM;
	}
	nets_free(&nets);
	/* Sockets of a namespace that was not reached are in tables that were not walked. */
	if (r < 0)
		memset(walk->broken, true, sizeof(walk->broken));
	return r2 < 0 ? r2 : partial_add(&walk->partial, r, err);
}

/*
 * Must a socket of this kind and in this state be in a table? Unbound ones are in none, and
 * so are TCP sockets that neither listen nor have a peer (net/ipv4/inet_hashtables.c, udp.c,
 * raw.c, ping.c). UNIX and packet sockets are put there when they are made
 * (net/unix/af_unix.c: unix_create1(), net/packet/af_packet.c: packet_create()).
 */
static bool belongs_in_table(const struct socket *socket)
{
	switch (socket->kind) {
	case SOCKET_TCP:
		return socket->state != STATE_CLOSE && socket->state != STATE_NONE;
	case SOCKET_UDP:
	case SOCKET_UDPLITE:
	case SOCKET_RAW:
	case SOCKET_PING:
		return socket->local.port;
	case SOCKET_UNIX:
	case SOCKET_PACKET:
		return true;
	case SOCKET_NETLINK:
		return socket->portid;
	default:
		return false;
	}
}

struct place {
	uint64_t at;		/* struct socket */
	uint32_t index;
};

static int by_place(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	return x->at < y->at ? -1 : x->at > y->at;
}

/*
 * The inodes, beside each of which lies a struct socket (SOCK_INODE()). In the order of their
 * addresses, as several share a page: chains lead to them in no order at all.
 */
static int read_inodes(struct socket_walk *walk, struct err *err)
{
	const struct sock_fields *f = walk->f;
	struct sockets *sockets = walk->sockets;
	VEC(struct place) places = { 0 };
	int r = 0;

	for (size_t i = 0; r >= 0 && i < sockets->all.n; i++) {
		struct place *place = sockets->all.v[i].socket_at.v ? vec_add(&places) : NULL;

		if (place)
			*place = (struct place){ sockets->all.v[i].socket_at.v, (uint32_t)i };
		else if (sockets->all.v[i].socket_at.v)
			r = -ENOMEM;
	}
	if (places.n)
		qsort(places.v, places.n, sizeof(*places.v), by_place);
	for (size_t i = 0; r >= 0 && i < places.n; i++) {
		gva socket = field_object(gva_of(places.v[i].at), &f->alloc_socket);

		r = field_read(walk->view, field_at(socket, &f->alloc_inode), &f->ino,
			       &sockets->all.v[places.v[i].index].inode, err);
		if (r < 0)
			wrap(err, r, "inode of a socket");
		r = partial_add(&walk->partial, r, err);
	}
	vec_free(&places);
	return r;
}

static int by_rank(const void *a, const void *b)
{
	const struct socket *x = a, *y = b;

	if (x->net != y->net)
		return x->net < y->net ? -1 : 1;
	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	if (x->family != y->family)
		return x->family < y->family ? -1 : 1;
	if (x->inode != y->inode)
		return x->inode < y->inode ? -1 : 1;
	return x->at.v < y->at.v ? -1 : x->at.v > y->at.v;
}

static void finish(struct socket_walk *walk)
{
	struct sockets *sockets = walk->sockets;

	for (size_t i = 0; i < sockets->all.n; i++) {
		struct socket *socket = &sockets->all.v[i];
		uint32_t peer;

		socket->unlisted = !socket->listed &&
			walk->walked[socket->kind] && !walk->broken[socket->kind] &&
			belongs_in_table(socket);
		if (map_get(&walk->by_address, socket->peer_at.v, &peer))
			socket->peer = sockets->all.v[peer].inode;
	}
	if (sockets->all.n)
		qsort(sockets->all.v, sockets->all.n, sizeof(*sockets->all.v), by_rank);
}

static int walk_all(struct socket_walk *walk, const struct tasks *tasks, struct err *err)
{
	int r;

	r = list_nets(walk, err);
	if (r >= 0)
		r = socket_walk_inet(walk, err);
	if (r >= 0)
		r = socket_walk_unix(walk, err);
	if (r >= 0)
		r = socket_walk_packet(walk, err);
	if (r >= 0)
		r = socket_walk_netlink(walk, err);
	if (r >= 0)
		r = socket_walk_files(walk, tasks, err);
	if (r >= 0)
		r = read_inodes(walk, err);
	return r;
}

int socket_list(const struct kernel *kernel, struct view *view, const struct tasks *tasks,
		struct sockets *ret, struct err *err)
{
	cleanup(freep) struct socket_walk *walk = calloc(1, sizeof(*walk));
	struct err own = { 0 };
	int r;

	if (!walk)
		return -ENOMEM;
	walk->kernel = kernel;
	walk->view = view;
	walk->sockets = ret;
	walk->partial = partial_of(view);
	r = types_layout(kernel->types, &sock_layout, (const void **)&walk->f, &own);
	if (r >= 0)
		r = walk_all(walk, tasks, &own);
	if (r < 0)	/* some tables were not walked: nothing is amiss for that */
		memset(walk->broken, true, sizeof(walk->broken));
	finish(walk);
	map_free(&walk->nets);
	map_free(&walk->by_address);
	map_free(&walk->tables);
	vec_free(&walk->net_list);
	if (r < 0 && err)
		*err = own;
	return partial_end(&walk->partial, r, err);
}

void sockets_free(struct sockets *sockets)
{
	vec_free(&sockets->all);
	vec_free(&sockets->owners);
}

/* --- words --- */

const char *socket_kind_name(const struct socket *socket)
{
	static const char *const names[SOCKET_KINDS][2] = {
		[SOCKET_OTHER] = { "other", "other" },
		[SOCKET_TCP] = { "tcp", "tcp6" },
		[SOCKET_UDP] = { "udp", "udp6" },
		[SOCKET_UDPLITE] = { "udplite", "udplite6" },
		[SOCKET_RAW] = { "raw", "raw6" },
		[SOCKET_PING] = { "icmp", "icmp6" },
		[SOCKET_UNIX] = { "unix", "unix" },
		[SOCKET_PACKET] = { "packet", "packet" },
		[SOCKET_NETLINK] = { "netlink", "netlink" },
	};
	static const struct {
		uint16_t family;
		const char *name;
	} others[] = {
		{ FAMILY_INET, "inet" }, { FAMILY_INET6, "inet6" }, { 15, "key" }, { 29, "can" },
		{ 30, "tipc" }, { 31, "bluetooth" }, { 38, "alg" }, { 40, "vsock" },
		{ 42, "qipcrtr" }, { 43, "smc" }, { 44, "xdp" }, { 45, "mctp" },
	};

	if (socket->kind != SOCKET_OTHER)
		return names[socket->kind][socket->family == FAMILY_INET6];
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (others[i].family == socket->family)
			return others[i].name;
	return "other";
}

const char *socket_state_name(uint8_t state)
{
	static const char *const names[] = {
		"?", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT",
		"CLOSE", "CLOSE_WAIT", "LAST_ACK", "LISTEN", "CLOSING", "NEW_SYN_RECV",
	};

	return state < ARRAY_SIZE(names) ? names[state] : "?";
}

const char *socket_type_name(uint16_t type)
{
	switch (type) {
	case TYPE_STREAM:
		return "stream";
	case TYPE_DGRAM:
		return "dgram";
	case TYPE_RAW:
		return "raw";
	case TYPE_RDM:
		return "rdm";
	case TYPE_SEQPACKET:
		return "seqpacket";
	case TYPE_PACKET:
		return "packet";
	default:
		return "?";
	}
}

const char *socket_print(const struct socket *socket, const struct socket_address *address,
			 char *buf, size_t size)
{
	static const uint8_t any[16];
	bool v6 = socket->family == FAMILY_INET6;
	char ip[INET6_ADDRSTRLEN] = "*";
	char port[8] = "*";

	if (memcmp(address->ip, any, sizeof(any)))
		inet_ntop(v6 ? AF_INET6 : AF_INET, address->ip, ip, sizeof(ip));
	else
		v6 = false;
	if (address->port)
		snprintf(port, sizeof(port), "%u", address->port);
	snprintf(buf, size, v6 ? "[%s]:%s" : "%s:%s", ip, port);
	return buf;
}
