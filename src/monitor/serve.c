/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/serve.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/now.h"

#define GROUPS_MAX 65536	/* NGROUPS_MAX of the kernel */

static void drop(struct client *client)
{
	struct server *server = client->server;

	for (size_t i = 0; i < SERVE_CLIENTS_MAX; i++)
		if (server->clients[i] == client)
			server->clients[i] = NULL;
	loop_remove(server->loop, client->fd);
	close(client->fd);
	free(client->out);
	free(client);
}

static bool in_group(int fd, gid_t group)
{
	cleanup(freep) gid_t *groups = NULL;
	socklen_t size = GROUPS_MAX * sizeof(gid_t);

	if (group == (gid_t)-1)
		return false;
	groups = malloc(size);
	if (!groups || getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) < 0)
		return false;
	for (size_t i = 0; i < size / sizeof(gid_t); i++)
		if (groups[i] == group)
			return true;
	return false;
}

/* Who may ask? And who may act? */
static bool admitted(const struct server *server, int fd, bool *may_act)
{
	socklen_t size = sizeof(struct ucred);
	struct ucred peer;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return false;
	*may_act = peer.uid == 0;
	return peer.uid == 0 || peer.uid == server->user ||
	       (server->group != (gid_t)-1 && peer.gid == server->group) ||
	       in_group(fd, server->group);
}

/* Write what the socket takes. False: the client is gone, or done with. */
static bool flush(struct client *client)
{
	size_t done = 0;

	while (done < client->out_n) {
		ssize_t n = send(client->fd, client->out + done, client->out_n - done,
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN)
			return false;
		if (n < 0)
			break;
		done += (size_t)n;
	}
	if (done) {
		memmove(client->out, client->out + done, client->out_n - done);
		client->moved_ns = now_ns(CLOCK_MONOTONIC);
	}
	client->out_n -= done;
	return client->out_n || !client->close;
}

/* All lines that are there. False: it said what it may not, or goes. */
static bool take_lines(struct client *client, struct err *err)
{
	struct server *server = client->server;
	char *end;

	while ((end = memchr(client->line, '\n', client->line_n))) {
		size_t n = (size_t)(end - client->line) + 1;

		*end = '\0';
		if (strlen(client->line) + 1 != n ||
		    server->request(client, client->line, server->ctx, err) < 0)
			return false;
		memmove(client->line, client->line + n, client->line_n - n);
		client->line_n -= n;
	}
	return client->line_n < sizeof(client->line);
}

/* False: nothing more will come, and nothing is left to be said. */
static bool take_input(struct client *client, struct err *err)
{
	ssize_t n = recv(client->fd, client->line + client->line_n,
			 sizeof(client->line) - client->line_n, MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n == 0) {
		/* It may still want to read what it asked for; who watches goes. */
		client->close = true;
		return client->out_n && !client->watches;
	}
	client->line_n += (size_t)n;
	client->moved_ns = now_ns(CLOCK_MONOTONIC);
	return take_lines(client, err);
}

static void wait_to_write(struct client *client)
{
	loop_change(client->server->loop, client->fd,
		    (client->close ? 0 : (uint32_t)EPOLLIN) |
			    (client->out_n ? (uint32_t)EPOLLOUT : 0));
}

static int on_client(int fd, uint32_t events, void *ctx, struct err *err)
{
	struct client *client = ctx;
	struct err why = { 0 };
	bool stays = true;

	(void)fd;
	(void)err;
	if (events & EPOLLIN)
		stays = take_input(client, &why);
	else if (events & (EPOLLERR | EPOLLHUP))
		stays = false;
	if (stays && flush(client))
		wait_to_write(client);
	else
		drop(client);
	return 0;
}

static int on_socket(int fd, uint32_t events, void *ctx, struct err *err)
{
	struct server *server = ctx;
	cleanup(fd_close) int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct client *client;
	bool may_act;
	size_t i = 0;

	(void)events;
	/* Who waits would have us called again and again. */
	if (peer < 0 && errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
		server->deaf = true;
		loop_change(server->loop, fd, 0);
	}
	while (i < SERVE_CLIENTS_MAX && server->clients[i])
		i++;
	/* Nothing is said to who may not ask: it learns that from the end of the line. */
	if (peer < 0 || i == SERVE_CLIENTS_MAX || !admitted(server, peer, &may_act))
		return 0;
	client = calloc(1, sizeof(*client));
	if (!client)
		return 0;
	client->server = server;
	client->may_act = may_act;
	client->fd = peer;
	client->moved_ns = now_ns(CLOCK_MONOTONIC);
	if (loop_add(server->loop, peer, EPOLLIN, on_client, client, err) < 0) {
		free(client);
		return 0;
	}
	server->clients[i] = client;
	peer = -1;
	return 0;
}

int serve_start(struct server *server, struct loop *loop, int fd, gid_t group, serve_fn *request,
		void *ctx, struct err *err)
{
	*server = (struct server){
		.loop = loop, .fd = fd, .group = group, .user = geteuid(), .request = request,
		.ctx = ctx,
	};
	return loop_add(loop, fd, EPOLLIN, on_socket, server, err);
}

void serve_tick(struct server *server, uint64_t now)
{
	for (size_t i = 0; i < SERVE_CLIENTS_MAX; i++) {
		struct client *client = server->clients[i];

		if (client && !client->watches && now > client->moved_ns &&
		    now - client->moved_ns > SERVE_IDLE_S * 1000000000ull)
			drop(client);
	}
	if (server->loop && server->deaf)
		loop_change(server->loop, server->fd, EPOLLIN);
	server->deaf = false;
}

void serve_stop(struct server *server)
{
	for (size_t i = 0; i < SERVE_CLIENTS_MAX; i++)
		if (server->clients[i])
			drop(server->clients[i]);
	if (server->loop)
		loop_remove(server->loop, server->fd);
	server->loop = NULL;
}

int serve_write(struct client *client, const char *line, size_t n)
{
	size_t room = client->out_n + n + 1;
	char *out;

	if (room > SERVE_UNREAD_MAX)
		return -ENOSPC;
	if (room > client->out_room) {
		out = realloc(client->out, 2 * room);
		if (!out)
			return -ENOMEM;
		client->out = out;
		client->out_room = 2 * room;
	}
	memcpy(client->out + client->out_n, line, n);
	client->out[client->out_n + n] = '\n';
	client->out_n = room;
	return 0;
}

bool serve_is_watched(const struct server *server)
{
	for (size_t i = 0; i < SERVE_CLIENTS_MAX; i++)
		if (server->clients[i] && server->clients[i]->watches)
			return true;
	return false;
}

void serve_publish(struct server *server, const char *line, size_t n)
{
	for (size_t i = 0; i < SERVE_CLIENTS_MAX; i++) {
		struct client *client = server->clients[i];

		if (!client || !client->watches)
			continue;
		if (serve_write(client, line, n) < 0 || !flush(client))
			drop(client);
		else
			wait_to_write(client);
	}
}
