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

void asking_end(struct asking *asking)
{
	fd_close(&asking->fd);
	free(asking->text);
	*asking = ASKING_NONE;
}

/* More of what is said. 0, -ETIMEDOUT, -EINTR, -ECONNRESET, … */
static int hear(struct asking *asking, int timeout_ms, struct err *err)
{
	struct pollfd ready = { .fd = asking->fd, .events = POLLIN };
	ssize_t got;
	int n;

	if (asking->n == asking->room) {
		char *more = asking->room < ASK_BYTES_MAX ?
				     realloc(asking->text, asking->room + 65536) : NULL;

		if (!more)
			return err_set(err, -ENOMEM, "an answer that is too long");
		asking->text = more;
		asking->room += 65536;
	}
	n = poll(&ready, 1, timeout_ms);
	if (n == 0)
		return err_set(err, -ETIMEDOUT, "hvsmd does not answer");
	got = n < 0 ? -1 : recv(asking->fd, asking->text + asking->n, asking->room - asking->n, 0);
	if (got < 0)
		return err_set(err, -errno, "no answer: %s", strerror(errno));
	if (got == 0)
		return err_set(err, -ECONNRESET, "hvsmd closed the connection");
	asking->n += (size_t)got;
	return 0;
}

int ask_next(struct asking *asking, int timeout_ms, json_t **ret, struct err *err)
{
	json_t *json;
	char *end;
	size_t n;

	while (!(end = asking->n ? memchr(asking->text, '\n', asking->n) : NULL)) {
		int r = hear(asking, timeout_ms, err);

		if (r < 0)
			return r;
	}
	n = (size_t)(end - asking->text) + 1;
	json = json_loadb(asking->text, n, JSON_REJECT_DUPLICATES, NULL);
	memmove(asking->text, asking->text + n, asking->n - n);
	asking->n -= n;
	if (!json)
		return err_set(err, -EBADMSG, "an answer that is none");
	*ret = json;
	return 0;
}

/* The answer, where it is one; takes the reference. */
static int judge(json_t *answer, const char *schema, json_t **ret, struct err *err)
{
	const char *is = json_string_value(json_object_get(answer, "schema"));
	const char *text = json_string_value(json_object_get(answer, "text"));
	int r;

	if (is && !strcmp(is, schema)) {
		*ret = answer;
		return 0;
	}
	r = is && !strcmp(is, "hvsm.error/1") ?
		err_set(err, -EREMOTEIO, "hvsmd refuses: %s", text ? text : "?") :
		err_set(err, -EBADMSG, "an answer that is none");
	json_decref(answer);
	return r;
}

/* The question is asked; its answer is the next line. */
static int start(const char *request, const char *schema, struct asking *asking, json_t **ret,
		 struct err *err)
{
	json_t *answer = NULL;
	int r = asking->fd = reach(err);

	if (r >= 0)
		r = tell(asking->fd, request, strlen(request), err);
	if (r >= 0)
		r = tell(asking->fd, "\n", 1, err);
	if (r < 0)
		return r;
	do
		r = ask_next(asking, ASK_MS, &answer, err);
	while (r == -EINTR);
	/* Who may not ask is told nothing. */
	if (r == -ECONNRESET)
		return err_set(err, -EACCES, "hvsmd closed the connection");
	return r < 0 ? r : judge(answer, schema, ret, err);
}

int ask_begin(const char *request, const char *schema, struct asking *ret, struct err *err)
{
	cleanup(asking_end) struct asking asking = ASKING_NONE;
	json_t *answer = NULL;
	int r = start(request, schema, &asking, &answer, err);

	json_decref(answer);
	if (r < 0)
		return r;
	*ret = asking;
	asking = ASKING_NONE;
	return 0;
}

int ask_once(const char *request, const char *schema, json_t **ret, struct err *err)
{
	cleanup(asking_end) struct asking asking = ASKING_NONE;

	return start(request, schema, &asking, ret, err);
}
