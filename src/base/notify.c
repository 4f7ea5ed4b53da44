/* SPDX-License-Identifier: Apache-2.0 */

#include "base/notify.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/cleanup.h"

static int manager = -1;

int notify_open(struct err *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const char *path = getenv("NOTIFY_SOCKET");
	size_t n = path ? strlen(path) : 0;
	cleanup(fd_close) int fd = -1;

	if (!n || n >= sizeof(address.sun_path) || (*path != '/' && *path != '@'))
		return 0;
	memcpy(address.sun_path, path, n);
	if (*path == '@')
		address.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&address,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) < 0)
		return err_set(err, -errno, "the service manager cannot be told: %s",
			       strerror(errno));
	manager = take_fd(&fd);
	return 0;
}

/* A manager that does not listen is its own affair: nothing waits, nothing fails. */
void notify_tell(const char *state)
{
	if (manager >= 0)
		(void)!send(manager, state, strlen(state), MSG_DONTWAIT | MSG_NOSIGNAL);
}
