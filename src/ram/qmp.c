/* SPDX-License-Identifier: Apache-2.0 */
#include "ram/qmp.h"

#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/limits.h"

struct qmp {
	int fd;
	int answer_ms;
	char *bytes;		/* received and not yet used */
	size_t n, room;
};

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int qmp_connect(int fd, struct err *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	cleanup(fd_close) int s = -1;

	s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s < 0)
		return err_set(err, -errno, "socket: %s", strerror(errno));
	/* By its descriptor: the path may be longer than an address, or in another root. */
	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d", fd);
	if (connect(s, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return err_set(err, -errno, "%s", errno == EAGAIN ? "others wait there already"
								   : strerror(errno));
	return take_fd(&s);
}

pid_t qmp_peer(int fd, struct err *err)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return err_set(err, -errno, "peer of a socket: %s", strerror(errno));
	if (peer.pid <= 0)
		return err_set(err, -ESRCH, "the process behind the socket is not on this host");
	return peer.pid;
}

/*
 * The length of the first JSON object in @bytes, found by its braces; 0: it is not complete.
 * By lines would not do: "pretty" monitors spread an object over many.
 */
static size_t object_length(const char *bytes, size_t n, size_t *scanned, unsigned *state)
{
	/* state: depth × 4 + in a string × 2 + after a backslash */
	unsigned depth = *state / 4;
	bool quoted = *state & 2, escaped = *state & 1;
	size_t i;

	for (i = *scanned; i < n; i++) {
		char c = bytes[i];

		if (quoted) {
			quoted = escaped || c != '"';
			escaped = !escaped && c == '\\';
		} else if (c == '"') {
			quoted = true;
		} else if (c == '{') {
			depth++;
		} else if (c == '}' && depth && !--depth) {
			return i + 1;
		}
	}
	*scanned = n;
	*state = depth * 4 + quoted * 2u + escaped;
	return 0;
}

/* More bytes from the peer. Return: 0 or an errno. */
static int receive(struct qmp *qmp, int64_t deadline, struct err *err)
{
	struct pollfd poller = { .fd = qmp->fd, .events = POLLIN };
	int64_t left = deadline - now_ms();
	ssize_t n;
	int r;

	r = left > 0 ? poll(&poller, 1, (int)left) : 0;
	if (r < 0 && errno == EINTR)
		return 0;
	if (r == 0)
		return err_set(err, -ETIMEDOUT, "the monitor does not answer");
	if (qmp->room - qmp->n < 4096) {
		size_t room = qmp->room ? qmp->room * 2 : 16384;
		char *bigger;

		if (qmp->n >= QMP_MESSAGE_MAX)
			return err_set(err, -ELOOP, "a message of over %u bytes",
				       QMP_MESSAGE_MAX);
		bigger = realloc(qmp->bytes, room);
		if (!bigger)
			return -ENOMEM;
		qmp->bytes = bigger;
		qmp->room = room;
	}
	n = read(qmp->fd, qmp->bytes + qmp->n, qmp->room - qmp->n);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n < 0)
		return err_set(err, -errno, "monitor: %s", strerror(errno));
	if (n == 0)
		return err_set(err, -EBADMSG, "the monitor hung up");
	qmp->n += (size_t)n;
	return 0;
}

/* The next message; a new reference. */
static int next_message(struct qmp *qmp, int64_t deadline, json_t **ret, struct err *err)
{
	size_t scanned = 0, n;
	json_error_t problem;
	unsigned state = 0;
	json_t *message = NULL;
	int r;

	while (!(n = object_length(qmp->bytes, qmp->n, &scanned, &state))) {
		r = receive(qmp, deadline, err);
		if (r < 0)
			return r;
	}
	r = json_load_text(qmp->bytes, n, 0, &message, &problem);
	qmp->n -= n;
	memmove(qmp->bytes, qmp->bytes + n, qmp->n);
	if (r == -ENOMEM)
		return err_set(err, r, "no memory for what the monitor says");
	if (!json_is_object(message)) {
		json_decref(message);
		return err_set(err, -EBADMSG, "not a message of QMP: %s", problem.text);
	}
	*ret = message;
	return 0;
}

/* A message, and with it a descriptor unless that is -1. */
static ssize_t send_with(int s, char *text, size_t n, int fd)
{
	struct iovec part = { text, n };
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };

	if (fd >= 0) {
		message.msg_control = &control;
		message.msg_controllen = sizeof(control.room);
		control.header = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(fd)),
						   .cmsg_level = SOL_SOCKET,
						   .cmsg_type = SCM_RIGHTS };
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	}
	return sendmsg(s, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static int transmit(struct qmp *qmp, const json_t *message, int fd, struct err *err)
{
	cleanup(freep) char *text = json_dump_text(message, 0);
	size_t n = text ? strlen(text) : 0;
	ssize_t sent;

	if (!text)
		return -ENOMEM;
	text[n] = '\n';		/* in place of the NUL */
	/* Some hundred bytes fit the socket's buffer, or the peer has not read for long. */
	sent = send_with(qmp->fd, text, n + 1, fd);
	if (sent < 0)
		return err_set(err, -errno, "monitor: %s", strerror(errno));
	return (size_t)sent == n + 1 ? 0 : err_set(err, -ETIMEDOUT, "the monitor does not read");
}

/* Send @command, with a descriptor or -1, and wait for what it returns; a new reference. */
static int execute_with(struct qmp *qmp, const json_t *command, int fd, json_t **ret,
			struct err *err)
{
	int64_t deadline = now_ms() + qmp->answer_ms;
	json_t *message, *value;
	int r = transmit(qmp, command, fd, err);

	for (unsigned n = 0; r == 0 && n < QMP_EVENTS_MAX; n++) {
		r = next_message(qmp, deadline, &message, err);
		if (r < 0)
			return r;
		value = json_object_get(message, "return");
		if (value) {
			*ret = json_incref(value);
			json_decref(message);
			return 0;
		}
		value = json_object_get(message, "error");
		if (value) {
			const char *why = json_string_value(json_object_get(value, "desc"));

			r = err_set(err, -ENOTSUP, "the monitor refuses: %s", why ? why : "?");
		}
		json_decref(message);
	}
	return r < 0 ? r : err_set(err, -ELOOP, "over %u events", QMP_EVENTS_MAX);
}

static int execute(struct qmp *qmp, const json_t *command, json_t **ret, struct err *err)
{
	return execute_with(qmp, command, -1, ret, err);
}

static int negotiate(struct qmp *qmp, int greeting_ms, struct err *err)
{
	json_t *message = NULL, *command;
	int r = next_message(qmp, now_ms() + greeting_ms, &message, err);
	bool greeted;

	if (r == -ETIMEDOUT)
		return err_set(err, r, "the monitor is busy with another client");
	if (r < 0)
		return r;
	greeted = json_is_object(json_object_get(message, "QMP"));
	json_decref(message);
	if (!greeted)
		return err_set(err, -EBADMSG, "the socket does not speak QMP");
	command = json_pack("{s:s}", "execute", "qmp_capabilities");
	if (!command)
		return -ENOMEM;
	r = execute(qmp, command, &message, err);
	json_decref(command);
	if (r == 0)
		json_decref(message);
	return r;
}

int qmp_open(int fd, int greeting_ms, int answer_ms, struct qmp **ret, struct err *err)
{
	cleanup(qmp_close) struct qmp *qmp = calloc(1, sizeof(*qmp));
	int r;

	if (!qmp) {
		close(fd);
		return -ENOMEM;
	}
	qmp->fd = fd;
	qmp->answer_ms = answer_ms;
	r = negotiate(qmp, greeting_ms, err);
	if (r < 0)
		return r;
	*ret = take_ptr(&qmp);
	return 0;
}

int qmp_human(struct qmp *qmp, const char *command, char **ret, struct err *err)
{
	json_t *message, *value = NULL;
	char *copy = NULL;
	int r;

	message = json_pack("{s:s, s:{s:s}}", "execute", "human-monitor-command", "arguments",
			    "command-line", command);
	if (!message)
		return -ENOMEM;
	r = execute(qmp, message, &value, err);
	json_decref(message);
	if (r < 0)
		return r;
	if (json_is_string(value)) {
		copy = strdup(json_string_value(value));
		r = copy ? 0 : -ENOMEM;
	} else {
		r = err_set(err, -EBADMSG, "an answer that is not text");
	}
	json_decref(value);
	if (r == 0)
		*ret = copy;
	return r;
}

int qmp_execute(struct qmp *qmp, const char *command, json_t *arguments, json_t **ret,
		struct err *err)
{
	json_t *value = NULL;
	json_t *message = json_pack("{s:s, s:o*}", "execute", command, "arguments", arguments);
	int r = message ? execute(qmp, message, &value, err) : -ENOMEM;

	json_decref(message);
	if (r < 0)
		return r;
	if (ret)
		*ret = value;
	else
		json_decref(value);
	return 0;
}

int qmp_give(struct qmp *qmp, const char *name, int fd, struct err *err)
{
	json_t *value = NULL;
	json_t *message = json_pack("{s:s, s:{s:s}}", "execute", "getfd", "arguments", "fdname",
				    name);
	int r = message ? execute_with(qmp, message, fd, &value, err) : -ENOMEM;

	json_decref(message);
	if (r == 0)
		json_decref(value);
	return r;
}

void qmp_close(struct qmp **qmp)
{
	if (!*qmp)
		return;
	close((*qmp)->fd);
	free((*qmp)->bytes);
	free(*qmp);
	*qmp = NULL;
}
