/* SPDX-License-Identifier: Apache-2.0 */

/* hvsm sockets - the sockets of a guest. */

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/listing.h"
#include "cli/output.h"
#include "cli/pids.h"
#include "cli/table.h"
#include "linux/socket.h"
#include "linux/task.h"
#include "report/encode.h"

/* Address families as the guest numbers them: those of Linux on every architecture. */
#define GUEST_AF_INET  2
#define GUEST_AF_INET6 10

struct open_sockets {
	struct tasks tasks;
	struct pids pids;	/* of @tasks */
	struct sockets sockets;
};

static bool is_inet(const struct socket *socket)
{
	return socket->family == GUEST_AF_INET || socket->family == GUEST_AF_INET6;
}

static json_t *end_json(const struct socket *socket, const struct socket_address *end)
{
	char ip[INET6_ADDRSTRLEN];
	int family = socket->family == GUEST_AF_INET ? AF_INET : AF_INET6;

	if (!is_inet(socket) || !inet_ntop(family, end->ip, ip, sizeof(ip)))
		return json_null();
	return json_pack("{s:s, s:i}", "address", ip, "port", (int)end->port);
}

static json_t *owners_json(const struct open_sockets *open, const struct socket *socket)
{
	json_t *array = json_array();

	for (uint32_t i = 0; i < socket->owners_n; i++) {
		const struct socket_owner *owner;
		const char *comm;

		owner = &open->sockets.owners.v[socket->owners_at + i];
		comm = pids_comm(&open->pids, &open->tasks, owner->pid);
		encode_append(&array, json_pack("{s:o, s:o, s:o, s:o}",
						"pid", encode_count(owner->pid),
						"tid", encode_count(owner->tid),
						"fd", encode_count(owner->fd),
						"comm", encode_text(comm)));
	}
	return array;
}

/* What only some kinds of sockets have: null for the others. */
static json_t *kind_part(const struct socket *socket)
{
	bool is_unix = socket->kind == SOCKET_UNIX, netlink = socket->kind == SOCKET_NETLINK;

	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
			 "local", end_json(socket, &socket->local),
			 "remote", end_json(socket, &socket->remote),
			 "device", socket->device ? encode_count(socket->device) : json_null(),
			 "name", encode_text_or_null(is_unix ? socket->name : NULL),
			 "peer", is_unix && socket->peer ? encode_count(socket->peer)
							 : json_null(),
			 "portid", netlink ? encode_count(socket->portid) : json_null(),
			 "groups", netlink ? encode_hex(socket->groups) : json_null());
}

static json_t *socket_json(const struct open_sockets *open, const struct socket *socket)
{
	json_t *kind = kind_part(socket), *item;

	item = json_pack("{s:s, s:s, s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:b, s:b, s:b, s:b,"
			 " s:o}",
			 "kind", socket_kind_name(socket),
			 "type", socket_type_name(socket->type),
			 "family", encode_count(socket->family),
			 "protocol", encode_count(socket->protocol),
			 "state", socket_state_name(socket->state),
			 "inode", encode_count(socket->inode),
			 "uid", encode_count(socket->uid),
			 "net", encode_count(socket->net),
			 "owners", owners_json(open, socket),
			 "filter", encode_address_or_null(socket->filter),
			 "listed", socket->listed,
			 "held", socket->held,
			 "unlisted", socket->unlisted,
			 "kernel", socket->kernel,
			 "address", encode_address(socket->at));
	if (!kind || json_object_update(item, kind) < 0) {
		json_decref(item);
		item = NULL;
	}
	json_decref(kind);
	return item;
}

static int sockets_read(const struct attached *guest, const struct arguments *args, void *data,
			struct err *err)
{
	struct open_sockets *open = data;
	int tasks_r, r;

	(void)args;
	tasks_r = task_list(guest->kernel, guest->view, &open->tasks, err);
	r = pids_init(&open->tasks, &open->pids, err);
	if (r < 0)
		return r;
	r = socket_list(guest->kernel, guest->view, &open->tasks, &open->sockets,
			tasks_r < 0 ? NULL : err);
	return tasks_r < 0 ? tasks_r : r;
}

static void sockets_free_all(void *data)
{
	struct open_sockets *open = data;

	sockets_free(&open->sockets);
	pids_free(&open->pids);
	tasks_free(&open->tasks);
}

static json_t *sockets_json(const void *data)
{
	const struct open_sockets *open = data;
	json_t *items = json_array();

	for (size_t i = 0; i < open->sockets.all.n; i++)
		encode_append(&items, socket_json(open, &open->sockets.all.v[i]));
	return items;
}

/* "714/sshd", with "+2" behind it where more processes hold it. */
static void add_owner(struct table *table, const struct open_sockets *open,
		      const struct socket *socket)
{
	const struct socket_owner *owner;
	const char *comm;

	if (!socket->owners_n) {
		table_text(table, "%s", socket->kernel ? "kernel" : "-");
		return;
	}
	owner = &open->sockets.owners.v[socket->owners_at];
	comm = pids_comm(&open->pids, &open->tasks, owner->pid);
	if (socket->owners_n == 1)
		table_text(table, "%" PRIu32 "/%s", owner->pid, comm ? comm : "?");
	else
		table_text(table, "%" PRIu32 "/%s +%" PRIu32, owner->pid, comm ? comm : "?",
			   socket->owners_n - 1);
}

static void add_ends(struct table *table, const struct socket *socket)
{
	char end[128];

	if (is_inet(socket)) {
		table_text(table, "%s",
			   socket_print(socket, &socket->local, end, sizeof(end)));
		table_text(table, "%s",
			   socket_print(socket, &socket->remote, end, sizeof(end)));
		return;
	}
	table_text(table, "%s", *socket->name ? socket->name : "-");
	if (socket->peer)
		table_text(table, "%" PRIu64, socket->peer);
	else
		table_text(table, "-");
}

static int sockets_text(const struct arguments *args, const void *data, struct err *err)
{
	static const struct column columns[] = {
		{ "KIND", false }, { "STATE", false }, { "INODE", true }, { "UID", true },
		{ "PROCESS", false }, { "LOCAL", false }, { "REMOTE", false },
	};
	cleanup(table_free) struct table table = table_of(columns, ARRAY_SIZE(columns));
	const struct open_sockets *open = data;

	(void)args;
	for (size_t i = 0; i < open->sockets.all.n; i++) {
		const struct socket *socket = &open->sockets.all.v[i];

		table_text(&table, "%s", socket_kind_name(socket));
		table_text(&table, "%s", socket_state_name(socket->state));
		table_text(&table, "%" PRIu64, socket->inode);
		table_text(&table, "%" PRIu32, socket->uid);
		add_owner(&table, open, socket);
		add_ends(&table, socket);
	}
	return table_print(&table, output_columns(), stdout, err);
}

static const struct listing listing = {
	.schema = "hvsm.sockets/1",
	.bytes = sizeof(struct open_sockets),
	.read = sockets_read,
	.free = sockets_free_all,
	.json = sockets_json,
	.text = sockets_text,
};

const struct command sockets_command = {
	.name = "sockets",
	.operands = "TARGET",
	.operands_min = 1,
	.operands_max = 1,
	.options = OPTION_JSON,
	.summary = "the sockets of a guest, and who holds them",
	.about =
		"List the sockets of all network namespaces, from the kernel's own tables and\n"
		"from the files that processes hold, with the first process that holds each.\n"
		"LOCAL of a UNIX socket is its path, or its abstract name behind an @; REMOTE is\n"
		"the inode of its peer.",
	.example = "  hvsm sockets web1 | grep LISTEN",
	.listing = &listing,
};
