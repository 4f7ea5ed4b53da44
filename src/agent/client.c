/* SPDX-License-Identifier: Apache-2.0 */

#include "agent/client.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/agent.h"
#include "base/cleanup.h"

/* All @size_bytes, or an error: a stream that ends early is one. */
static int read_all(int fd, void *buf, size_t size_bytes, struct err *err)
{
	uint8_t *at = buf;

	while (size_bytes) {
		ssize_t n = read(fd, at, size_bytes);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_set(err, n < 0 ? -errno : -EPIPE,
				       "the agent's answer ends early");
		at += n;
		size_bytes -= (size_t)n;
	}
	return 0;
}

int client_connect(struct agent_anchor *anchor, struct err *err)
{
	const struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = AGENT_SOCKET };
	cleanup(fd_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct agent_anchor got;
	int r;

	if (fd < 0)
		return err_set(err, -errno, "socket");
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		r = -errno;
		if (r == -ENOENT || r == -ECONNREFUSED)
			return err_set(err, r, "no agent is running (`hvsm-agent run` starts it)");
		return err_set(err, r, "%s: %s", AGENT_SOCKET, strerror(-r));
	}
	r = read_all(fd, &got, sizeof(got), err);
	if (r < 0)
		return r;
	if (got.magic != AGENT_MAGIC || got.format != AGENT_FORMAT)
		return err_set(err, -EBADMSG, "the running agent is of another version");
	*anchor = got;
	return take_fd(&fd);
}

int client_log(int fd, const struct agent_anchor *anchor, client_record_fn *fn, void *ctx,
	       struct err *err)
{
	uint64_t left = anchor->log_bytes;
	int r = 0;

	while (r >= 0 && left) {
		cleanup(freep) struct agent_record *record = NULL;
		struct agent_record header;

		r = read_all(fd, &header, sizeof(header), err);
		if (r < 0)
			return r;
		if (header.size_bytes < sizeof(header) || header.size_bytes > AGENT_RECORD_MAX ||
		    header.size_bytes > left)
			return err_set(err, -EBADMSG, "the agent's log is damaged");
		record = malloc(header.size_bytes);
		if (!record)
			return -ENOMEM;
		*record = header;
		r = read_all(fd, record + 1, header.size_bytes - sizeof(header), err);
		if (r < 0)
			return r;
		left -= header.size_bytes;
		r = fn(record, ctx, err);
	}
	return r < 0 ? r : 0;
}
