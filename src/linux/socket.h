/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_LINUX_SOCKET_H
#define HVSM_LINUX_SOCKET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/vec.h"
#include "linux/task.h"

/*
 * Sockets of every network namespace: from the kernel's tables (what ss(8) lists), joined
 * with the files that processes hold. What a process holds and no table has is there, too.
 */
enum socket_kind {
	SOCKET_OTHER,		/* seen through a file only; family and protocol say what */
	SOCKET_TCP,
	SOCKET_UDP,
	SOCKET_UDPLITE,
	SOCKET_RAW,
	SOCKET_PING,		/* ICMP datagrams */
	SOCKET_UNIX,
	SOCKET_PACKET,
	SOCKET_NETLINK,
	SOCKET_KINDS,
};

/* "tcp", "udp", …, with a 6 where it is of AF_INET6; by family where the kind is OTHER. */
struct socket;
const char *socket_kind_name(const struct socket *socket);

/* socket.state, for all kinds: include/net/tcp_states.h. */
enum socket_state {
	STATE_NONE,		/* 0: could not be read */
	STATE_ESTABLISHED,	/* also: a connected UDP or UNIX socket */
	STATE_SYN_SENT,
	STATE_SYN_RECV,
	STATE_FIN_WAIT1,
	STATE_FIN_WAIT2,
	STATE_TIME_WAIT,
	STATE_CLOSE,		/* also: unconnected UDP, raw, UNIX … */
	STATE_CLOSE_WAIT,
	STATE_LAST_ACK,
	STATE_LISTEN,
	STATE_CLOSING,
	STATE_NEW_SYN_RECV,	/* a request that has no full socket yet */
};

/* "ESTABLISHED", "LISTEN", …; "?" for a number that is none of these. */
const char *socket_state_name(uint8_t state);

enum {				/* socket.type: include/linux/net.h */
	TYPE_STREAM    = 1,
	TYPE_DGRAM     = 2,
	TYPE_RAW       = 3,
	TYPE_RDM       = 4,
	TYPE_SEQPACKET = 5,
	TYPE_PACKET    = 10,
};

/* "stream", "dgram", …; "?" otherwise. */
const char *socket_type_name(uint16_t type);

struct socket_address {
	uint8_t ip[16];		/* network order; IPv4: the first four bytes */
	uint16_t port;		/* host order; raw: the protocol (local), 0 (remote) */
};

/* A file descriptor through which a process holds a socket. */
struct socket_owner {
	gva task;
	uint32_t pid;		/* TGID */
	uint32_t tid;		/* differs where a thread has a file table of its own */
	uint32_t fd;
};

struct socket {
	gva at;			/* struct sock, inet_timewait_sock or request_sock */
	gva socket_at;		/* struct socket; 0: it has none, such as one not accepted yet */
	enum socket_kind kind;
	uint16_t family;	/* AF_*; INET 2, INET6 10, UNIX 1, PACKET 17, NETLINK 16 */
	uint16_t type;		/* TYPE_* */
	uint16_t protocol;	/* IPPROTO_*; packet: ETH_P_*; netlink: NETLINK_* */
	uint8_t state;		/* enum socket_state; another number: as the guest has it */

	uint64_t inode;		/* of the socket's file; 0: it has none (see owners_n) */
	uint32_t uid;		/* of who made it, in the initial user namespace */
	uint32_t net;		/* inode of its network namespace; 0: not in the list */
	gva net_at;		/* struct net */
	gva filter;		/* struct sk_filter (a BPF program sees each packet), or 0 */

	bool listed;		/* the table of its kind has it that /proc/net is made from */
	bool second;		/* so has another, by which packets find it (UDP, listeners) */
	bool held;		/* a file leads to it */

	/*
	 * It was found in another way, its state is one that must be listed, and it is not. Look
	 * again before you believe it: between two reads a socket may have been bound.
	 */
	bool unlisted;
	bool kernel;		/* made by the kernel for itself */

	/* INET and INET6 */
	struct socket_address local, remote;
	uint32_t device;	/* index of the interface it is bound to; 0: any */

	/* UNIX: path, or "@" and an abstract name with NULs as "@" (as /proc/net/unix) */
	char name[110];		/* "" where it is not bound; guest text: escape it */
	uint64_t peer;		/* inode of the socket at the other end; 0: none */
	gva peer_at;

	/* PACKET: interface it listens on (in @device). NETLINK: */
	uint32_t portid;
	uint32_t groups;	/* the first 32 multicast groups */

	/* sockets.owners[owners_at … + owners_n). None: an orphan, in flight, or the kernel's. */
	uint32_t owners_at;
	uint32_t owners_n;
};

struct sockets {
	VEC(struct socket) all;		/* by namespace, kind, family, inode, address */
	VEC(struct socket_owner) owners;
};

/**
 * socket_list - every socket of the guest
 * @tasks: who may hold them; from task_list()
 * @ret:   {0} before; on failure it holds what had been found; to be given to sockets_free()
 *
 * A chain or a file table that cannot be followed makes the call fail at its end; what the
 * others held is there.
 *
 * Return: 0 (complete), -EBADMSG, -EFAULT (something was left out), -ELOOP (limits), -ESRCH,
 *         -ENOENT (types), -ENOMEM.
 */
nodiscard int socket_list(const struct kernel *kernel, struct view *view,
			  const struct tasks *tasks, struct sockets *ret, struct err *err);

void sockets_free(struct sockets *sockets);

/**
 * socket_print - one end of a socket as a person reads it
 * "10.0.2.15:22", "[::1]:53", "*:5353" (any address, or a raw socket's protocol).
 * Return: @buf.
 */
const char *socket_print(const struct socket *socket, const struct socket_address *address,
			 char *buf, size_t size);

#endif
