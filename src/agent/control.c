/* SPDX-License-Identifier: Apache-2.0 */

#include "agent/control.h"

#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"

#define CLIENTS_MAX  8
#define IDLE_TICKS   60		/* a client that took nothing for so many periods is dropped */
#define CHUNK_BYTES  (256u << 10)

struct client {
	int fd;			/* -1: free */
	unsigned idle;
	uint64_t sent;		/* of the anchor and the log behind it */
	struct agent_anchor anchor;
};

static struct {
	struct agent *agent;
	struct client clients[CLIENTS_MAX];
	bool bound;
} control;

static void client_drop(struct client *client)
{
	loop_remove(&control.agent->loop, client->fd);
	close(client->fd);
	client->fd = -1;
}

/* The log up to the anchor's log_bytes never changes and never moves, so it is sent as it is. */
static ssize_t client_send(struct client *client)
{
	uint64_t head = sizeof(client->anchor), from = client->sent, left;
	const uint8_t *at;

	if (from < head) {
		at = (const uint8_t *)&client->anchor + from;
		left = head - from;
	} else {
		at = control.agent->log.memory.at + (from - head);
		left = head + client->anchor.log_bytes - from;
	}
	if (!left)
		return 0;
	return send(client->fd, at, left < CHUNK_BYTES ? left : CHUNK_BYTES,
		    MSG_DONTWAIT | MSG_NOSIGNAL);
}

static int on_client(int fd, uint32_t events, void *ctx, struct err *err)
{
	struct client *client = ctx;
	ssize_t n;

	(void)fd;
	(void)events;
	(void)err;
	n = client_send(client);
	if (n > 0) {
		client->sent += (uint64_t)n;
		client->idle = 0;
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		client_drop(client);
	}
	return 0;
}

static int on_connect(int fd, uint32_t events, void *ctx, struct err *err)
{
	struct agent *agent = ctx;
	struct client *client = NULL;
	int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	(void)err;
	if (peer < 0)
		return 0;
	for (unsigned i = 0; i < CLIENTS_MAX; i++)
		if (control.clients[i].fd < 0)
			client = &control.clients[i];
	if (!client) {
		close(peer);
		return 0;
	}
	*client = (struct client){ .fd = peer };
	pthread_mutex_lock(&agent->log.lock);
	client->anchor = *our_anchor;
	pthread_mutex_unlock(&agent->log.lock);
	if (loop_add(&agent->loop, peer, EPOLLOUT, on_client, client, NULL) < 0) {
		close(peer);
		client->fd = -1;
	}
	return 0;
}

static int on_tick(void *ctx, struct err *err)
{
	(void)ctx;
	(void)err;
	for (unsigned i = 0; i < CLIENTS_MAX; i++)
		if (control.clients[i].fd >= 0 && ++control.clients[i].idle > IDLE_TICKS)
			client_drop(&control.clients[i]);
	return 0;
}

static int listen_at(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	cleanup(fd_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return -EBUSY;
	unlink(path);
	mkdir("/run", 0755);
	mkdir(AGENT_RUN_DIR, 0700);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    chmod(path, 0600) < 0 || listen(fd, CLIENTS_MAX) < 0)
		return -errno;
	return take_fd(&fd);
}

int control_start(struct agent *agent, struct err *err)
{
	int fd = listen_at(AGENT_SOCKET), r;

	/* Also where it is busy: whoever has it does not keep the agent from measuring. */
	if (fd < 0) {
		agent_say("%s: %s: no `status` and no `log`", AGENT_SOCKET, strerror(-fd));
		return 0;
	}
	control.agent = agent;
	control.bound = true;
	for (unsigned i = 0; i < CLIENTS_MAX; i++)
		control.clients[i].fd = -1;
	r = loop_every(&agent->loop, on_tick, NULL, err);
	return r < 0 ? r : loop_add(&agent->loop, fd, EPOLLIN, on_connect, agent, err);
}

void control_stop(void)
{
	if (control.bound)
		unlink(AGENT_SOCKET);
}
