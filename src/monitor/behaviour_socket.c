/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/map.h"
#include "linux/socket.h"
#include "monitor/behaviour_part.h"
#include "report/encode.h"

/*
 * Sockets that somebody outside can reach, or that reach outside. Nothing in the kernel counts
 * their changes, and the tables and the files of all processes are much to read: once a second.
 */

#define READ_AGAIN_NS 1000000000ull

enum role {
	ROLE_NONE,		/* not told: netlink, unbound, closing, … */
	ROLE_LISTEN,		/* waits for whoever comes; also: bound datagram and raw sockets */
	ROLE_CONNECTION,
};

struct known_socket {
	struct socket socket;
	enum role role;
	uint32_t pid;		/* who holds it; 0: nobody */
	char comm[TASK_COMM_BYTES];
};

struct known_sockets {
	VEC(struct known_socket) v;
	struct map by_address;	/* place in @v, + 1 */
};

struct part_sockets {
	struct known_sockets was, now;
	uint64_t read_ns;
};

static void known_free(struct known_sockets *known)
{
	vec_free(&known->v);
	map_free(&known->by_address);
	*known = (struct known_sockets){0};
}

static void *sockets_open(void)
{
	return calloc(1, sizeof(struct part_sockets));
}

static void sockets_forget(void *ctx)
{
	struct part_sockets *part = ctx;

	known_free(&part->was);
	known_free(&part->now);
	*part = (struct part_sockets){0};
}

static void sockets_close(void *ctx)
{
	sockets_forget(ctx);
	free(ctx);
}

static size_t sockets_count(const void *ctx)
{
	const struct part_sockets *part = ctx;

	return part->was.v.n;
}

static enum role tcp_role(const struct socket *socket)
{
	switch (socket->state) {
	case STATE_LISTEN:
		return ROLE_LISTEN;
	case STATE_ESTABLISHED:
	case STATE_SYN_SENT:
	case STATE_SYN_RECV:
	case STATE_CLOSE_WAIT:
		return ROLE_CONNECTION;
	case STATE_FIN_WAIT1:
	case STATE_FIN_WAIT2:		/* half closed, unless nobody has it any more */
		return socket->inode ? ROLE_CONNECTION : ROLE_NONE;
	default:
		return ROLE_NONE;
	}
}

static enum role role_of(const struct socket *socket)
{
	if (socket->kernel)
		return ROLE_NONE;
	switch (socket->kind) {
	case SOCKET_TCP:
		return tcp_role(socket);
	case SOCKET_UDP:
	case SOCKET_UDPLITE:
	case SOCKET_RAW:
	case SOCKET_PING:
		if (socket->state == STATE_ESTABLISHED)
			return ROLE_CONNECTION;
		return socket->local.port ? ROLE_LISTEN : ROLE_NONE;
	case SOCKET_PACKET:
		return ROLE_LISTEN;
	case SOCKET_UNIX:
		return socket->state == STATE_LISTEN && *socket->name ? ROLE_LISTEN : ROLE_NONE;
	default:
		return ROLE_NONE;
	}
}

static int known_add(struct known_sockets *known, const struct known_socket *socket,
		     struct err *err)
{
	struct known_socket *slot;

	if (map_get(&known->by_address, socket->socket.at.v, NULL))
		return 0;
	if (known->v.n == BEHAVIOUR_SOCKETS_MAX)
		return err_set(err, -ELOOP, "over %u sockets", BEHAVIOUR_SOCKETS_MAX);
	slot = vec_add(&known->v);
	if (!slot)
		return -ENOMEM;
	*slot = *socket;
	return map_put(&known->by_address, socket->socket.at.v, (uint32_t)known->v.n) < 0 ?
		-ENOMEM : 0;
}

static const char *comm_of(const struct tasks *tasks, uint32_t pid)
{
	for (size_t i = 0; i < tasks->n; i++)
		if (tasks->v[i].tgid == (int32_t)pid)
			return tasks->v[i].comm;
	return "";
}

static int add_socket(struct known_sockets *known, const struct sockets *sockets,
		      const struct tasks *tasks, const struct socket *socket, struct err *err)
{
	struct known_socket new = { .socket = *socket, .role = role_of(socket) };
	const char *comm;

	if (new.role == ROLE_NONE)
		return 0;
	if (socket->owners_n && socket->owners_at < sockets->owners.n) {
		new.pid = sockets->owners.v[socket->owners_at].pid;
		comm = comm_of(tasks, new.pid);
		memcpy(new.comm, comm, strlen(comm));
	}
	return known_add(known, &new, err);
}

static int sockets_read(void *ctx, const struct glance *glance, struct err *err)
{
	struct part_sockets *part = ctx;
	struct sockets sockets = {0};
	struct tasks tasks = {0};
	int r, bad = 0;

	if (!glance->first && glance->mono_ns - part->read_ns < READ_AGAIN_NS)
		return READ_NOTHING;
	known_free(&part->now);
	r = task_list(glance->kernel, glance->view, &tasks, err);
	if (r >= 0)
		r = socket_list(glance->kernel, glance->view, &tasks, &sockets, err);
	for (size_t i = 0; i < sockets.all.n && bad >= 0; i++)
		bad = add_socket(&part->now, &sockets, &tasks, &sockets.all.v[i],
				 r < 0 ? NULL : err);
	sockets_free(&sockets);
	tasks_free(&tasks);
	return r < 0 ? r : bad < 0 ? bad : READ_ALL;
}

/* The same socket: a new one may lie where another was. */
static bool same(const struct known_socket *a, const struct known_socket *b)
{
	const struct socket *x = &a->socket, *y = &b->socket;

	if (x->kind != y->kind || x->net_at.v != y->net_at.v)
		return false;
	if (x->inode && y->inode)
		return x->inode == y->inode;
	return a->role == b->role && x->local.port == y->local.port &&
	       x->remote.port == y->remote.port &&
	       !memcmp(x->remote.ip, y->remote.ip, sizeof(x->remote.ip));
}

static const struct known_socket *find(const struct known_sockets *known,
				       const struct known_socket *socket)
{
	uint32_t place;

	if (!map_get(&known->by_address, socket->socket.at.v, &place) ||
	    !same(&known->v.v[place - 1], socket))
		return NULL;
	return &known->v.v[place - 1];
}

static json_t *end_json(const struct known_socket *known, bool remote)
{
	const struct socket *socket = &known->socket;
	char text[128];

	if (remote && known->role != ROLE_CONNECTION)
		return json_null();
	if (socket->kind == SOCKET_UNIX)
		return encode_text(socket->name);
	if (socket->kind == SOCKET_PACKET)
		return socket->device ? json_sprintf("interface %u", socket->device) :
					json_string("all interfaces");
	return encode_text(socket_print(socket, remote ? &socket->remote : &socket->local, text,
					sizeof(text)));
}

static void tell_socket(const struct glance *glance, enum event_kind kind,
			const struct known_socket *known)
{
	const struct socket *socket = &known->socket;

	if (!glance_wants(glance, kind))
		return;
	glance_tell(glance, kind,
		  json_pack("{s:s, s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:o}",
			    "kind", socket_kind_name(socket),
			    "local", end_json(known, false),
			    "remote", end_json(known, true),
			    "state", socket_state_name(socket->state),
			    "inode", encode_count(socket->inode),
			    "uid", encode_count(socket->uid),
			    "net", encode_count(socket->net),
			    "pid", known->pid ? encode_count(known->pid) : json_null(),
			    "comm", encode_text_or_null(known->comm)));
}

/* Ports on which TCP listens, with their namespace; a hash that two of them share does no harm. */
static uint64_t port_key(const struct socket *socket)
{
	return (socket->net_at.v << 16 | socket->local.port) + 1;
}

static int add_ports(const struct known_sockets *known, struct map *ports)
{
	int r = 0;

	for (size_t i = 0; i < known->v.n && r >= 0; i++)
		if (known->v.v[i].socket.kind == SOCKET_TCP && known->v.v[i].role == ROLE_LISTEN)
			r = map_put(ports, port_key(&known->v.v[i].socket), 1);
	return r < 0 ? r : 0;
}

static void tell_new(const struct glance *glance, const struct known_socket *now,
		     const struct map *ports)
{
	bool inbound = now->socket.kind == SOCKET_TCP &&
		       map_get(ports, port_key(&now->socket), NULL);

	tell_socket(glance, now->role == ROLE_LISTEN ? EVENT_LISTEN :
			  inbound ? EVENT_ACCEPT : EVENT_CONNECT, now);
}

static int compare_all(const struct glance *glance, struct part_sockets *part, bool complete,
		       const struct map *ports, struct err *err)
{
	size_t n = part->now.v.n;
	int r = 0;

	for (size_t i = 0; i < part->was.v.n && r >= 0; i++) {
		const struct known_socket *was = &part->was.v.v[i];

		if (find(&part->now, was))
			continue;
		if (complete)
			tell_socket(glance, EVENT_SOCKET_CLOSE, was);
		else
			r = known_add(&part->now, was, err);
	}
	for (size_t i = 0; i < n; i++) {
		const struct known_socket *now = &part->now.v.v[i];
		const struct known_socket *was = find(&part->was, now);

		if (!was || was->role != now->role)
			tell_new(glance, now, ports);
	}
	return r;
}

static int sockets_compare(void *ctx, const struct glance *glance, bool complete, struct err *err)
{
	struct part_sockets *part = ctx;
	struct map ports = {0};
	int r;

	r = add_ports(&part->was, &ports);
	if (r >= 0)
		r = add_ports(&part->now, &ports);
	if (r >= 0)
		r = compare_all(glance, part, complete, &ports, err);
	map_free(&ports);
	if (r < 0 && r != -ELOOP)
		return r;
	if (complete)
		part->read_ns = glance->mono_ns;
	known_free(&part->was);
	part->was = part->now;
	part->now = (struct known_sockets){0};
	return 0;
}

const struct part behaviour_sockets = {
	.name = "sockets",
	.kinds = EVENT_BIT(EVENT_LISTEN) | EVENT_BIT(EVENT_ACCEPT) | EVENT_BIT(EVENT_CONNECT) |
		 EVENT_BIT(EVENT_SOCKET_CLOSE),
	.open = sockets_open,
	.close = sockets_close,
	.read = sockets_read,
	.compare = sockets_compare,
	.forget = sockets_forget,
	.count_name = "sockets",
	.count = sockets_count,
};
