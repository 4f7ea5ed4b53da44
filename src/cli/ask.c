/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/ask.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/cleanup.h"

static int reach(struct err *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	cleanup(fd_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const char *named = getenv("HVSM_SOCKET");
	const char *path = named && *named ? named : ASK_SOCKET;

	if (strlen(path) >= sizeof(address.sun_path))
		return err_set(err, -EINVAL, "socket '%s': its path is too long", path);
	memcpy(address.sun_path, path, strlen(path));
	if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return err_set(err, -errno, "socket '%s': %s", path, strerror(errno));
	return take_fd(&fd);
}

static int tell(int fd, const char *text, size_t n, struct err *err)
{
	while (n) {
		ssize_t done = send(fd, text, n, MSG_NOSIGNAL);

		if (done < 0 && errno != EINTR)
			return err_set(err, -errno, "hvsmd does not listen: %s", strerror(errno));
		if (done > 0) {
			text += done;
			n -= (size_t)done;
		}
	}
	return 0;
}

/* Until the end of the line. */
static int hear(int fd, char **ret, size_t *size, struct err *err)
{
	cleanup(freep) char *line = NULL;
	size_t n = 0, room = 0;

	for (;;) {
		struct pollfd ready = { .fd = fd, .events = POLLIN };
		ssize_t got;

		if (n == room) {
			char *more = room < ASK_BYTES_MAX ? realloc(line, room + 65536) : NULL;

			if (!more)
				return err_set(err, -ENOMEM, "an answer that is too long");
			line = more;
			room += 65536;
		}
		if (poll(&ready, 1, ASK_MS) == 0)
			return err_set(err, -ETIMEDOUT, "hvsmd does not answer");
		got = recv(fd, line + n, room - n, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return err_set(err, -errno, "no answer: %s", strerror(errno));
		if (got == 0)
			return err_set(err, -EACCES, "hvsmd closed the connection");
		n += (size_t)got;
		if (line[n - 1] == '\n')
			break;
	}
	*ret = take_ptr(&line);
	*size = n;
	return 0;
}

int ask_once(const char *request, const char *schema, json_t **ret, struct err *err)
{
	cleanup(fd_close) int fd = reach(err);
	cleanup(freep) char *line = NULL;
	const char *is;
	json_t *answer;
	size_t n = 0;
	int r = fd;

	if (r >= 0)
		r = tell(fd, request, strlen(request), err);
	if (r >= 0)
		r = tell(fd, "\n", 1, err);
	if (r >= 0)
		r = hear(fd, &line, &n, err);
	if (r < 0)
		return r;
	answer = json_loadb(line, n, JSON_REJECT_DUPLICATES, NULL);
	is = json_string_value(json_object_get(answer, "schema"));
	if (is && !strcmp(is, schema)) {
		*ret = answer;
		return 0;
	}
	r = is && !strcmp(is, "hvsm.error/1") ?
		err_set(err, -EREMOTEIO, "hvsmd refuses: %s",
			json_string_value(json_object_get(answer, "text"))) :
		err_set(err, -EBADMSG, "an answer that is none");
	json_decref(answer);
	return r;
}
