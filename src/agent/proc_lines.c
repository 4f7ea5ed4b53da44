/* SPDX-License-Identifier: Apache-2.0 */

#include "agent/proc_lines.h"

#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

int proc_open(int dir, const char *path)
{
	int fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW);

	return fd < 0 ? -errno : fd;
}

/* What the kernel fills at least, before it has somebody read on. */
#define SEQ_BYTES 4096u

/* What stands in the buffer while it is worked on. */
struct buffer {
	size_t used;
	bool skip;		/* the rest of a line that is too long */
	uint32_t lines;
};

/* Hand out the lines that are whole; false: enough of them. */
static bool whole_lines(struct proc_lines *lines, struct buffer *buffer, proc_line_fn *fn,
			void *ctx)
{
	char *at = lines->text, *end = at + buffer->used, *newline;

	while ((newline = memchr(at, '\n', (size_t)(end - at)))) {
		bool more = buffer->skip || fn(at, (size_t)(newline - at), ctx);

		buffer->skip = false;
		buffer->lines++;
		at = newline + 1;
		if (!more)
			return false;
	}
	buffer->used = (size_t)(end - at);
	memmove(lines->text, at, buffer->used);
	if (buffer->used < sizeof(lines->text))
		return true;
	/* One line that fills all of it: its beginning has to do. */
	buffer->used = 0;
	if (buffer->skip)
		return true;
	buffer->skip = true;
	return fn(lines->text, sizeof(lines->text), ctx);
}

int proc_lines_read(struct proc_lines *lines, int fd, size_t line_max, proc_line_fn *fn,
		    void *ctx)
{
	struct buffer buffer = {0};
	bool last;

	lines->reads = 0;
	while (buffer.lines < PROC_LINES_MAX) {
		size_t room = sizeof(lines->text) - buffer.used;
		ssize_t n = read(fd, lines->text + buffer.used, room);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		last = n == 0 || (line_max && room >= SEQ_BYTES &&
				  (size_t)n + line_max < SEQ_BYTES);
		lines->reads += n > 0;
		buffer.used += (size_t)n;
		if (!whole_lines(lines, &buffer, fn, ctx))
			return 0;
		if (last) {
			if (buffer.used && !buffer.skip)
				fn(lines->text, buffer.used, ctx);
			return 0;
		}
	}
	return -ELOOP;
}
