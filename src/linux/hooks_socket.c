/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "linux/hook_net.h"
#include "linux/socket.h"

/*
 * Sockets: families, protocols and what can be chosen for them, as they are registered; and
 * every socket that there is, with its own functions and the tables that it leads to. A socket
 * may have other tables than its protocol's (TLS, MPTCP and BPF do that).
 *
 * By hand: which struct a socket is the beginning of.
 */
static const struct hook_net registries[] = {
	{ .mechanism = "socket family", .way = HOOK_POINTERS, .symbol = "net_families",
	  .type = "net_proto_family", .table = true },
	{ .mechanism = "protocol", .way = HOOK_LIST, .symbol = "proto_list", .type = "proto",
	  .link = "proto.node", .name = "proto.name", .table = true },
	{ .mechanism = "IPv4 sockets", .way = HOOK_LISTS, .symbol = "inetsw",
	  .type = "inet_protosw", .link = "inet_protosw.list", .name = "inet_protosw.protocol",
	  .table = true, .count = 11 },
	{ .mechanism = "IPv6 sockets", .way = HOOK_LISTS, .symbol = "inetsw6",
	  .type = "inet_protosw", .link = "inet_protosw.list", .name = "inet_protosw.protocol",
	  .table = true, .count = 11 },
	{ .mechanism = "congestion control", .way = HOOK_LIST, .symbol = "tcp_cong_list",
	  .type = "tcp_congestion_ops", .link = "tcp_congestion_ops.list",
	  .name = "tcp_congestion_ops.name", .table = true },
	{ .mechanism = "TCP upper layer", .way = HOOK_LIST, .symbol = "tcp_ulp_list",
	  .type = "tcp_ulp_ops", .link = "tcp_ulp_ops.list", .name = "tcp_ulp_ops.name",
	  .table = true },
	{ .mechanism = "MPTCP scheduler", .way = HOOK_LIST, .symbol = "mptcp_sched_list",
	  .type = "mptcp_sched_ops", .link = "mptcp_sched_ops.list",
	  .name = "mptcp_sched_ops.name", .table = true },
};

struct sock_hook_fields {
	struct field proto, rcv, bind, unbind;
};

static const struct member sock_hook_members[] = {
	MEMBER(struct sock_hook_fields, proto, "sock.__sk_common.skc_prot"),
	MEMBER_OPTIONAL(struct sock_hook_fields, rcv, "netlink_sock.netlink_rcv"),
	MEMBER_OPTIONAL(struct sock_hook_fields, bind, "netlink_sock.netlink_bind"),
	MEMBER_OPTIONAL(struct sock_hook_fields, unbind, "netlink_sock.netlink_unbind"),
};
LAYOUT(sock_hook_layout, struct sock_hook_fields, sock_hook_members);

static void print_socket(const struct hook_object *object, char *buf, size_t size)
{
	const struct socket *socket = object->ctx;
	char local[64] = "";

	if (socket->kind != SOCKET_UNIX && socket->kind != SOCKET_NETLINK &&
	    socket->kind != SOCKET_PACKET && socket->kind != SOCKET_OTHER)
		socket_print(socket, &socket->local, local, sizeof(local));
	snprintf(buf, size, "%s socket%s%s, inode %" PRIu64, socket_kind_name(socket),
		 local[0] ? " " : "", local, socket->inode);
}

/* Of struct netlink_sock without the rest: where a dump was is left as it is afterwards. */
static int visit_netlink(struct hook_walk *walk, const struct sock_hook_fields *f,
			 const struct hook_object *object, struct err *err)
{
	int r = hook_field(walk, object, "netlink_sock", "netlink_rcv", &f->rcv, err);

	if (r >= 0)
		r = hook_field(walk, object, "netlink_sock", "netlink_bind", &f->bind, err);
	return r < 0 ? r : hook_field(walk, object, "netlink_sock", "netlink_unbind", &f->unbind,
				      err);
}

static int visit_socket(struct hook_walk *walk, const struct sock_hook_fields *f,
			const struct socket *socket, struct err *err)
{
	struct hook_object object = {
		.mechanism = "socket",
		.at = socket->at,
		.print = print_socket,
		.ctx = socket,
	};
	const char *type = socket->kind == SOCKET_TCP ? "tcp_sock" :
			   socket->kind == SOCKET_UDP ? "udp_sock" : "sock";
	gva proto;
	int r = field_ptr(walk->view, socket->at, &f->proto, &proto, err);

	if (r >= 0)
		r = hook_table(walk, &object, "proto", proto, err);
	/* Those that wait, and requests, are no full struct sock. */
	if (r >= 0 && socket->state != STATE_TIME_WAIT && socket->state != STATE_NEW_SYN_RECV)
		r = hook_members(walk, &object, type, err);
	if (r >= 0 && socket->kind == SOCKET_NETLINK)
		r = visit_netlink(walk, f, &object, err);
	if (r >= 0 && socket->socket_at.v) {
		object.at = socket->socket_at;
		r = hook_members(walk, &object, "socket", err);
	}
	return r;
}

static int visit_sockets(struct hook_walk *walk, const struct sock_hook_fields *f,
			 struct err *err)
{
	struct sockets sockets = {0};
	struct tasks tasks = {0};
	int r = partial_add(&walk->partial,
			    task_list(walk->kernel, walk->view, &tasks, err), err);

	if (r >= 0)
		r = partial_add(&walk->partial, socket_list(walk->kernel, walk->view, &tasks,
							    &sockets, err), err);
	for (size_t i = 0; i < sockets.all.n && r >= 0; i++)
		r = partial_add(&walk->partial,
				visit_socket(walk, f, &sockets.all.v[i], err), err);
	sockets_free(&sockets);
	tasks_free(&tasks);
	return r;
}

static int walk_socket(struct hook_walk *walk, struct err *err)
{
	const struct sock_hook_fields *f;
	int r = types_layout(walk->kernel->types, &sock_hook_layout, (const void **)&f, err);

	if (r >= 0)
		r = hook_net_walk(walk, registries, ARRAY_SIZE(registries), gva_of(0), NULL,
				       err);
	return r < 0 ? r : visit_sockets(walk, f, err);
}

const struct hook_source hooks_socket = { .id = "socket", .walk = walk_socket };
