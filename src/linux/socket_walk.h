/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_LINUX_SOCKET_WALK_H
#define HVSM_LINUX_SOCKET_WALK_H

#include "base/map.h"
#include "guest/list.h"
#include "linux/object.h"
#include "linux/partial.h"
#include "linux/socket.h"

/*
 * What the parts of socket_list() share. Each kind of socket has a file of its own, with a
 * function that walks its tables and one that reads what only it has.
 */

/* struct sock and its smaller relatives. */
struct sock_fields {
	struct field sock, common, node;
	struct field family, state, net, daddr, saddr, dport, num, v6_daddr, v6_saddr, device;
	struct field listener;
	struct field type, protocol, uid, filter, kernel, socket;
	struct field timewait, substate;
	struct field alloc_socket, alloc_inode, ino;
};

/* Twice what makes a view read past the pages that it keeps. */
#define SOCKET_PIECE_BYTES (128u << 10)

struct socket_walk {
	const struct kernel *kernel;
	struct view *view;
	struct sockets *sockets;
	const struct sock_fields *f;
	struct map nets;	/* struct net → inode number */
	VEC(gva) net_list;
	struct map by_address;	/* struct sock → where in sockets->all it stands */
	struct map tables;	/* those that were walked */
	bool walked[SOCKET_KINDS];	/* there are tables of that kind … */
	bool broken[SOCKET_KINDS];	/* … one of which was not seen to its end */
	struct partial partial;
	struct object object;	/* the sock that was read last */
	uint8_t piece[SOCKET_PIECE_BYTES];	/* of the table that is walked */
};

/* How a socket was found: what socket.h says of listed, second and held. */
enum socket_way {
	WAY_LISTED,
	WAY_SECOND,
	WAY_HELD,
};

/* A hash table: heads of chains, side by side. */
struct socket_table {
	gva at;
	uint64_t heads;
	uint32_t stride;	/* bytes from one head to the next */
	uint32_t link;		/* where in a struct sock its link lies */
	bool nulls;		/* the chains are hlist_nulls */
	enum socket_kind kind;
	enum socket_way way;
};

/**
 * socket_table_walk - add every socket of a hash table
 * A table that was walked before is left out. Chains that cannot be followed are noted in
 * @walk. Return: 0, or what must end the whole.
 */
nodiscard int socket_table_walk(struct socket_walk *walk, const struct socket_table *table,
				struct err *err);

/* One chain, @head the address of its head. As socket_table_walk(), but failures are returned. */
nodiscard int socket_chain_walk(struct socket_walk *walk, const struct socket_table *table,
				gva head, struct err *err);

/* Note how a part of a table of @kind went; 0, or what must end the whole. */
nodiscard int socket_table_walked(struct socket_walk *walk, enum socket_kind kind, int r,
				  struct err *err);

/**
 * socket_add - read a struct sock and add it, unless it is there already
 * @index: receives where it stands, also where only a part of it could be read; untouched
 *         where it was not added. May be NULL
 *
 * Return: 0, -EBADMSG, -EFAULT (something of it cannot be read), -ELOOP (limits), -ESRCH,
 *         -ENOMEM.
 */
nodiscard int socket_add(struct socket_walk *walk, gva at, enum socket_way way, uint32_t *index,
			 struct err *err);

/* What only one kind has; @walk->object holds its struct sock. As socket_add(). */
nodiscard int socket_read_unix(struct socket_walk *walk, struct socket *socket, struct err *err);
nodiscard int socket_read_packet(struct socket_walk *walk, struct socket *socket, struct err *err);
nodiscard int socket_read_netlink(struct socket_walk *walk, struct socket *socket,
				  struct err *err);

/* The tables of one kind, in every network namespace. As socket_table_walk(). */
nodiscard int socket_walk_inet(struct socket_walk *walk, struct err *err);
nodiscard int socket_walk_unix(struct socket_walk *walk, struct err *err);
nodiscard int socket_walk_packet(struct socket_walk *walk, struct err *err);
nodiscard int socket_walk_netlink(struct socket_walk *walk, struct err *err);

/* Who holds which socket, and those that no table has. As file_table_walk(). */
nodiscard int socket_walk_files(struct socket_walk *walk, const struct tasks *tasks,
				struct err *err);

#endif
