/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_MONITOR_SERVE_H
#define HVSM_MONITOR_SERVE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/loop.h"

/*
 * The socket of the command line: a client writes one line (a request in JSON) at a time and
 * reads lines. Who it is says the kernel (SO_PEERCRED, SO_PEERGROUPS), not the client.
 */
#define SERVE_CLIENTS_MAX 64u
#define SERVE_LINE_MAX	  4096u		/* of a request */
#define SERVE_UNREAD_MAX  (4u << 20)	/* a client that reads slower loses the connection */
#define SERVE_IDLE_S	  30u		/* so does who neither asks, reads nor watches */

struct server;

struct client {
	int fd;
	struct server *server;
	bool may_act;		/* it is root */
	bool watches;		/* it gets what serve_publish() says */
	bool close;		/* when all is written */
	uint64_t moved_ns;	/* when it last said or read something, CLOCK_MONOTONIC */
	char line[SERVE_LINE_MAX];
	size_t line_n;
	char *out;
	size_t out_n, out_room;
};

/* A line came, without its newline; it answers with serve_write(). 0, or the client is dropped. */
typedef int serve_fn(struct client *client, const char *line, void *ctx, struct err *err);

struct server {
	struct loop *loop;
	int fd;
	gid_t group;		/* whose members may ask, besides root; (gid_t)-1: none */
	uid_t user;		/* who may ask as well: the daemon's own */
	serve_fn *request;
	void *ctx;
	bool deaf;		/* until the next tick: nobody could be accepted */
	struct client *clients[SERVE_CLIENTS_MAX];
};

/**
 * serve_start - accept clients from now on
 * @fd: listens; stays the caller's. @server stays where it is until serve_stop().
 */
nodiscard int serve_start(struct server *server, struct loop *loop, int fd, gid_t group,
			  serve_fn *request, void *ctx, struct err *err);
void serve_stop(struct server *server);

/*
 * Once a second or so: who does nothing makes room, and whom there was no descriptor for is tried
 * again. @now: CLOCK_MONOTONIC
 */
void serve_tick(struct server *server, uint64_t now);

/* A line for one client, newline added. -ENOMEM, -ENOSPC: it did not read what it was told. */
nodiscard int serve_write(struct client *client, const char *line, size_t n);

/* Is there one that watches? */
bool serve_is_watched(const struct server *server);

/* A line for all that watch. */
void serve_publish(struct server *server, const char *line, size_t n);

#endif
