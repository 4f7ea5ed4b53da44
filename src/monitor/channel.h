/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_MONITOR_CHANNEL_H
#define HVSM_MONITOR_CHANNEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/writer.h"

/*
 * Messages between the processes of the monitor, over a SOCK_SEQPACKET socket pair. A message
 * is {u32 type, u32 size of its body} and the body, little endian, written and read by cursors,
 * and maybe some descriptors (SCM_RIGHTS).
 *
 * What may be said is a table of rules, and nothing else is: a message whose type the table
 * does not have for its sender, whose body is too short or too long, or that carries another
 * number of descriptors than it may, ends the peer. The channel is then dead, its socket shut
 * down, and what came with the message closed.
 */

/* A body at most: what is larger goes in a sealed memfd (sealed.h). */
#define CHANNEL_BODY_MAX	(32u << 10)

/* Descriptors in one message: the kernel's limit is 253 (SCM_MAX_FD). */
#define CHANNEL_FDS_MAX		250u

/* The descriptor that a process which was started for a role finds its channel at. */
#define CHANNEL_FD		3

enum role {
	ROLE_STARTER,	/* hvsmd's parent, or `hvsm scan`: opens guests, holds references */
	ROLE_SCANNER,	/* one guest, sandboxed */
	ROLE_CONTROL,	/* reports, API; never sees guest memory */
	ROLE_LIBVIRT,	/* hears what libvirt says of its domains */
	ROLE_XEN,	/* holds the monitor rings of domains of Xen */
	ROLE_FINDER,	/* finds one reference */
};

struct channel;
struct message;

/**
 * channel_handler - a message of this type arrived
 * @message: checked against its rule; what it does not take of the descriptors is closed
 * @ctx:     of channel_dispatch()
 *
 * Return: 0, or a negative errno that channel_dispatch() hands on. -EPROTO: the body is not
 *         what it has to be; that ends the peer, too.
 */
typedef int channel_handler(struct channel *channel, struct message *message, void *ctx,
			    struct err *err);

struct channel_rule {
	uint32_t type;
	const char *name;		/* for errors */
	enum role sender;
	uint32_t size_min, size_max;	/* of the body; at most CHANNEL_BODY_MAX */
	uint32_t fds_min, fds_max;	/* at most CHANNEL_FDS_MAX */
	channel_handler *handler;	/* NULL: only channel_receive() takes it */
};

struct channel {
	int fd;			/* -1: none */
	enum role self, peer;
	const struct channel_rule *rules;
	size_t rules_n;
	bool dead;		/* the peer broke a rule */
};

#define CHANNEL_NONE ((struct channel){ .fd = -1 })

struct message {
	const struct channel_rule *rule;	/* NULL: none */
	struct bytes body;			/* inside @buffer */
	int fds[CHANNEL_FDS_MAX];		/* -1: taken, with take_fd() */
	size_t fds_n;
	uint8_t buffer[8 + CHANNEL_BODY_MAX];
};

/**
 * channel_pair - the two ends, close-on-exec
 * Return: 0, or a negative errno.
 */
nodiscard int channel_pair(int fds[2], struct err *err);

/**
 * channel_init - talk over @fd by @rules
 * @fd:    becomes the channel's
 * @rules: the caller's, must outlive the channel; one for each {type, sender}
 */
void channel_init(struct channel *channel, int fd, enum role self, enum role peer,
		  const struct channel_rule *rules, size_t rules_n);

/* Closes the socket. Again, or of CHANNEL_NONE: nothing. */
void channel_close(struct channel *channel);

/**
 * channel_send - say something
 * @type:       one that the rules have for us, with this size and number of descriptors; it is
 *              -EINVAL, and our fault, otherwise
 * @body:       @size bytes
 * @fds:        @fds_n descriptors, which stay the caller's; NULL where there are none
 * @timeout_ms: how long to wait where the peer does not read; -1: for ever
 *
 * Return: 0, -EPIPE (the peer is gone), -ETIMEDOUT, -EPROTO (the channel is dead), -EINVAL.
 */
nodiscard int channel_send(struct channel *channel, uint32_t type, const void *body, size_t size,
			   const int *fds, size_t fds_n, int timeout_ms, struct err *err);

/* The same with what was written with a cursor; -EINVAL, too, where it is bad. */
nodiscard int channel_send_written(struct channel *channel, uint32_t type,
				   const struct writer *body, const int *fds, size_t fds_n,
				   int timeout_ms, struct err *err);

/**
 * channel_receive - the next message, of whatever type the rules allow the peer
 * @message:    to be given back with message_deinit() on success
 * @timeout_ms: -1: for ever
 *
 * Return: 0, -ETIMEDOUT (none came), -EPIPE (the peer closed its end, or died),
 *         -EPROTO (it broke a rule, now or before), -EMFILE (the channel is dead as well, for what
 *         was sent is lost: there was no room for its descriptors), or another errno.
 */
nodiscard int channel_receive(struct channel *channel, struct message *message, int timeout_ms,
			      struct err *err);

/* Closes the descriptors that nobody took. */
void message_deinit(struct message *message);

/**
 * channel_dispatch - the next message, to its handler
 * Return: as channel_receive(), or what the handler returned. A message without a handler is
 *         -EPROTO: it was not asked for.
 */
nodiscard int channel_dispatch(struct channel *channel, void *ctx, int timeout_ms,
			       struct err *err);

/**
 * channel_violated - the peer said what cannot be: the channel is dead from now on
 * For whoever reads bodies. Return: -EPROTO, always.
 */
int channel_violated(struct channel *channel, struct err *err, const char *fmt, ...)
	printf_like(3, 4);

#endif
