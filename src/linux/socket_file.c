/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/limits.h"
#include "linux/file_table.h"
#include "linux/socket_walk.h"

/* Who holds a socket: file → struct socket → struct sock (net/socket.c). */
struct holder_fields {
	struct field op, inode, data, sk;
};

static const struct member holder_members[] = {
	MEMBER(struct holder_fields, op, "file.f_op"),
	MEMBER(struct holder_fields, inode, "file.f_inode"),
	MEMBER(struct holder_fields, data, "file.private_data"),
	MEMBER(struct holder_fields, sk, "socket.sk"),
};
LAYOUT(holder_layout, struct holder_fields, holder_members);

#define NO_SOCKET UINT32_MAX

/* One socket, by its place in the list, and one who holds it. */
struct holding {
	uint32_t socket;
	struct socket_owner owner;
};

struct holders {
	struct socket_walk *walk;
	const struct holder_fields *f;
	gva socket_file_ops;	/* 0: this kernel does not tell */
	struct map files;	/* struct file → the socket's place, or NO_SOCKET */
	VEC(struct holding) all;
};

/*
 * The socket that a file stands for. Its operations tell, and so does its inode, which lies
 * beside the struct socket: a file whose operations were replaced is one all the same.
 */
static int socket_of(struct holders *holders, gva file, uint32_t *index, struct err *err)
{
	const struct holder_fields *f = holders->f;
	struct socket_walk *walk = holders->walk;
	gva op, inode, data, beside, sk;
	int r;

	*index = NO_SOCKET;
	r = field_ptr(walk->view, file, &f->op, &op, err);
	if (r >= 0)
		r = field_ptr(walk->view, file, &f->inode, &inode, err);
	if (r >= 0)
		r = field_ptr(walk->view, file, &f->data, &data, err);
	if (r < 0)
		return wrap(err, r, "open file");
	beside = field_at(field_object(data, &walk->f->alloc_socket), &walk->f->alloc_inode);
	if (!data.v || (op.v != holders->socket_file_ops.v && inode.v != beside.v))
		return 0;
	r = field_ptr(walk->view, data, &f->sk, &sk, err);
	if (r < 0)
		return wrap(err, r, "socket of an open file");
	if (!sk.v)		/* released just now */
		return 0;
	return socket_add(walk, sk, WAY_HELD, index, err);
}

static int add_holder(const struct file_slot *slot, void *ctx, struct err *err)
{
	struct holders *holders = ctx;
	struct holding *holding;
	uint32_t index;
	int r;

	if (!map_get(&holders->files, slot->file.v, &index)) {
		r = socket_of(holders, slot->file, &index, err);
		if (r < 0)
			wrap(err, r, "PID %d, file %u", slot->task->tgid, slot->fd);
		r = partial_add(&holders->walk->partial, r, err);
		if (r >= 0)
			r = map_put(&holders->files, slot->file.v, index);
		if (r < 0)
			return r;
	}
	if (index == NO_SOCKET)
		return 0;
	if (holders->all.n == SOCKETS_MAX)
		return err_set(err, -ELOOP, "over %u owners of sockets", SOCKETS_MAX);
	holding = vec_add(&holders->all);
	if (!holding)
		return -ENOMEM;
	holding->socket = index;
	holding->owner = (struct socket_owner){
		.task = slot->task->at,
		.pid = (uint32_t)slot->task->tgid,
		.tid = (uint32_t)slot->task->pid,
		.fd = slot->fd,
	};
	return 0;
}

static int by_socket(const void *a, const void *b)
{
	const struct holding *x = a, *y = b;

	if (x->socket != y->socket)
		return x->socket < y->socket ? -1 : 1;
	if (x->owner.pid != y->owner.pid)
		return x->owner.pid < y->owner.pid ? -1 : 1;
	if (x->owner.tid != y->owner.tid)
		return x->owner.tid < y->owner.tid ? -1 : 1;
	return x->owner.fd < y->owner.fd ? -1 : x->owner.fd > y->owner.fd;
}

/* Give each socket its owners, side by side. */
static int assign(struct holders *holders)
{
	struct sockets *sockets = holders->walk->sockets;

	if (holders->all.n)
		qsort(holders->all.v, holders->all.n, sizeof(*holders->all.v), by_socket);
	for (size_t i = 0; i < holders->all.n; i++) {
		struct socket *socket = &sockets->all.v[holders->all.v[i].socket];
		struct socket_owner *owner = vec_add(&sockets->owners);

		if (!owner)
			return -ENOMEM;
		*owner = holders->all.v[i].owner;
		if (!socket->owners_n++)
			socket->owners_at = (uint32_t)sockets->owners.n - 1;
	}
	return 0;
}

int socket_walk_files(struct socket_walk *walk, const struct tasks *tasks, struct err *err)
{
	struct holders holders = {
		.walk = walk,
		.socket_file_ops = symbols_lookup(walk->kernel->symbols, "socket_file_ops"),
	};
	int r;

	r = types_layout(walk->kernel->types, &holder_layout, (const void **)&holders.f, err);
	if (r >= 0)
		r = file_table_walk(walk->kernel, walk->view, tasks, add_holder, &holders, err);
	r = partial_add(&walk->partial, r, err);
	if (assign(&holders) < 0)
		r = -ENOMEM;
	map_free(&holders.files);
	vec_free(&holders.all);
	return r;
}
