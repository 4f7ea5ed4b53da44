/* SPDX-License-Identifier: Apache-2.0 */

#include "agent/notify.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/cleanup.h"

static int manager = -1;

/* A manager that does not listen is its own affair: nothing waits, nothing fails. */
static void tell(const char *state)
{
	if (manager >= 0)
		(void)!send(manager, state, strlen(state), MSG_DONTWAIT | MSG_NOSIGNAL);
}

int notify_start(struct agent *agent, struct err *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const char *path = getenv("NOTIFY_SOCKET");
	size_t n = path ? strlen(path) : 0;
	cleanup(fd_close) int fd = -1;

	(void)agent;
	(void)err;
	if (!n || n >= sizeof(address.sun_path) || (*path != '/' && *path != '@'))
		return 0;
	memcpy(address.sun_path, path, n);
	if (*path == '@')
		address.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&address,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) < 0)
		agent_say("the service manager cannot be told: %s", strerror(errno));
	else
		manager = take_fd(&fd);
	return 0;
}

static int on_period(void *ctx, struct err *err)
{
	(void)ctx;
	(void)err;
	tell("WATCHDOG=1");
	return 0;
}

int notify_ready(struct agent *agent, struct err *err)
{
	tell("READY=1\nSTATUS=measuring what is executed");
	return loop_every(&agent->loop, on_period, NULL, err);
}

void notify_stopping(void)
{
	tell("STOPPING=1");
}
