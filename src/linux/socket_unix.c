/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "linux/socket_walk.h"

/*
 * UNIX sockets: one table for the whole machine (unix_socket_table), from 6.0 on one per
 * network namespace (cf2f225e2653). Both have 512 chains in all versions: 256 for names in
 * the file system, 256 for abstract names and sockets without one.
 */
#define HEADS 512u		/* UNIX_HASH_SIZE of include/net/af_unix.h, twice that before 6.0 */

/* Of struct sockaddr_un, which is part of the ABI. */
#define FAMILY_BYTES 2u
#define PATH_BYTES   108u

struct unix_fields {
	struct field buckets, head, addr, peer, len, name;
};

static const struct member unix_members[] = {
	MEMBER_OPTIONAL(struct unix_fields, buckets, "net.unx.table.buckets"),
	MEMBER(struct unix_fields, head, "hlist_head"),
	MEMBER(struct unix_fields, addr, "unix_sock.addr"),
	MEMBER(struct unix_fields, peer, "unix_sock.peer"),
	MEMBER(struct unix_fields, len, "unix_address.len"),
	MEMBER(struct unix_fields, name, "unix_address.name"),
};
LAYOUT(unix_layout, struct unix_fields, unix_members);

/* As /proc/net/unix shows it (unix_seq_show()): "@" for every zero in an abstract name. */
static int read_name(struct socket_walk *walk, const struct unix_fields *f, gva addr,
		     struct socket *socket, struct err *err)
{
	char path[PATH_BYTES] = "";
	uint64_t len;
	size_t n;
	int r;

	r = field_read(walk->view, addr, &f->len, &len, err);
	if (r < 0)
		return wrap(err, r, "name of a UNIX socket");
	/* One more than the struct holds: a path of 108 bytes is counted with its terminator. */
	if (len < FAMILY_BYTES || len > FAMILY_BYTES + PATH_BYTES + 1)
		return fail(err, -EBADMSG, addr, "UNIX socket's name of %llu bytes",
			    (unsigned long long)len);
	n = len - FAMILY_BYTES < PATH_BYTES ? len - FAMILY_BYTES : PATH_BYTES;
	if (!n)
		return 0;
	r = view_read(walk->view, gva_add(field_at(addr, &f->name), FAMILY_BYTES), path, n, err);
	if (r < 0)
		return wrap(err, r, "name of a UNIX socket");
	if (path[0])
		n = strnlen(path, n);
	for (size_t i = 0; i < n; i++)
		socket->name[i] = path[i] ? path[i] : '@';
	return 0;
}

int socket_read_unix(struct socket_walk *walk, struct socket *socket, struct err *err)
{
	const struct unix_fields *f;
	gva addr;
	int r;

	r = types_layout(walk->kernel->types, &unix_layout, (const void **)&f, err);
	if (r >= 0)
		r = field_ptr(walk->view, socket->at, &f->peer, &socket->peer_at, err);
	if (r >= 0)
		r = field_ptr(walk->view, socket->at, &f->addr, &addr, err);
	if (r < 0)
		return wrap(err, r, "UNIX socket");
	return addr.v ? read_name(walk, f, addr, socket, err) : 0;
}

int socket_walk_unix(struct socket_walk *walk, struct err *err)
{
	gva all = symbols_lookup(walk->kernel->symbols, "unix_socket_table");
	struct socket_table table = {
		.heads = HEADS,
		.link = walk->f->node.at,
		.kind = SOCKET_UNIX,
	};
	const struct unix_fields *f;
	int r;

	r = types_layout(walk->kernel->types, &unix_layout, (const void **)&f, err);
	if (r == -ENOENT)	/* this kernel has them in a module, or not at all */
		return 0;
	if (r < 0)
		return r;
	table.stride = f->head.size_bytes;
	if (!f->buckets.there) {
		table.at = all;
		return all.v ? socket_table_walk(walk, &table, err) : 0;
	}
	for (size_t i = 0; r >= 0 && i < walk->net_list.n; i++) {
		r = field_ptr(walk->view, walk->net_list.v[i], &f->buckets, &table.at, err);
		r = r < 0 ? socket_table_walked(walk, SOCKET_UNIX, r, err) :
			    socket_table_walk(walk, &table, err);
	}
	return r;
}
