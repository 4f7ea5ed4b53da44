/* SPDX-License-Identifier: Apache-2.0 */
#include "ram/served.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/now.h"
#include "ram/handover.h"
#include "ram/machine.h"

#define BUFFER_BYTES ((size_t)FETCH_FRAMES_MAX * GUEST_PAGE_SIZE)

/* Its size stays, and the mapping that there is when they are set is the last to write by. */
#define BUFFER_SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE)

/* What is fetched where no more is asked for: the neighbours are often wanted next. */
#define AHEAD_FRAMES 8u

/* What was fetched ahead is of then, and is not taken for what is there now for longer. */
#define AHEAD_MS 50u

/* --- the process with the rights --- */

struct served_buffer {
	int fd;
	uint8_t *data;
};

bool ram_is_served(const struct ram *ram)
{
	return !ram->ops->hand_over && ram->ops->fetch;
}

static void buffer_freep(struct served_buffer **buffer)
{
	served_buffer_free(*buffer);
}

void served_buffer_free(struct served_buffer *buffer)
{
	if (!buffer)
		return;
	if (buffer->data)
		munmap(buffer->data, BUFFER_BYTES);
	fd_close(&buffer->fd);
	free(buffer);
}

static int buffer_make(struct served_buffer **ret, struct err *err)
{
	cleanup(buffer_freep) struct served_buffer *buffer = calloc(1, sizeof(*buffer));
	void *data;

	if (!buffer)
		return err_set(err, -ENOMEM, "no memory to hand over a guest");
	buffer->fd = memfd_create("hvsm-memory", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (buffer->fd < 0 || ftruncate(buffer->fd, BUFFER_BYTES) < 0)
		return err_set(err, -errno, "memory to hand over: %s", strerror(errno));
	data = mmap(NULL, BUFFER_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, buffer->fd, 0);
	if (data == MAP_FAILED)
		return err_set(err, -errno, "memory to hand over: %s", strerror(errno));
	buffer->data = data;
	if (fcntl(buffer->fd, F_ADD_SEALS, BUFFER_SEALS) < 0)
		return err_set(err, -errno, "memory to hand over: %s (Linux before 5.1?)",
			       strerror(errno));
	*ret = take_ptr(&buffer);
	return 0;
}

int served_hand_over(struct ram *ram, struct handover *to, struct err *err)
{
	int r = ram->buffer ? 0 : buffer_make(&ram->buffer, err);

	if (r < 0)
		return r;
	write_u8(&to->text, HANDOVER_SERVED);
	write_text(&to->text, ram->layout);
	write_u32(&to->text, (uint32_t)ram->ranges_n);
	for (size_t i = 0; i < ram->ranges_n; i++) {
		write_u64(&to->text, ram->ranges[i].start.v);
		write_u64(&to->text, ram->ranges[i].size_bytes);
	}
	r = handover_add(to, ram->buffer->fd, err);
	if (r >= 0 && ram->machine)
		r = handover_add(to, machine_fd(ram->machine), err);
	return r < 0 ? r : 0;
}

int ram_fetch(struct ram *ram, uint64_t first, uint32_t n, uint64_t *there, struct err *err)
{
	uint64_t found = 0;
	int r;

	if (!n) {
		r = first == FETCH_RENEW && ram->ops->renew ? ram->ops->renew(ram, err) :
							      ram_alive(ram, err);
	} else if (n > FETCH_FRAMES_MAX || first > UINT64_MAX >> GUEST_PAGE_SHIFT ||
		   !ram_has(ram, gpa_of(first << GUEST_PAGE_SHIFT),
			    (uint64_t)n << GUEST_PAGE_SHIFT)) {
		return err_set(err, -EINVAL, "%u frames from %#" PRIx64 " on are not RAM", n,
			       first);
	} else {
		r = ram->ops->fetch(ram, first, n, ram->buffer->data, &found, err);
	}
	if (r < 0)
		return r;
	*there = found;
	return 0;
}

/* --- the one without --- */

struct served {
	struct ram ram;
	struct memory_elsewhere starter;
	const uint8_t *buffer;
	uint64_t first;		/* frames that the buffer has … */
	uint32_t n;
	uint64_t there;		/* … which of them there are … */
	uint64_t unread;	/* … and which nobody has read yet */
	uint64_t fetched_ns;
	uint64_t next;		/* where the last fetch ended */
	uint32_t ahead;
	bool old;		/* of PV: which machine frames there are is of an earlier instant */
};

static void served_rest(struct ram *ram)
{
	struct served *served = (struct served *)ram;

	served->n = 0;
	served->next = UINT64_MAX;
	served->old = ram->machine;
}

/* One list of machine frames for all that is read in one instant. */
static int renew(struct served *served, struct err *err)
{
	uint64_t none;
	int r;

	if (!served->old)
		return 0;
	r = served->starter.fetch(served->starter.ctx, FETCH_RENEW, 0, &none, err);
	if (r >= 0)
		served->old = false;
	return r < 0 ? r : 0;
}

/*
 * Fetch frames from @frame on: @wanted, which lie in RAM, and more of the @most that do. Who
 * goes on where the last ones ended will do so again.
 */
static int fetch(struct served *served, uint64_t frame, uint64_t wanted, uint64_t most,
		 struct err *err)
{
	uint64_t n, there;
	int r;

	served->ahead = frame == served->next ? served->ahead * 2 : AHEAD_FRAMES;
	if (served->ahead > FETCH_FRAMES_MAX)
		served->ahead = FETCH_FRAMES_MAX;
	n = wanted > served->ahead ? wanted : served->ahead;
	n = n < most ? n : most;
	n = n < FETCH_FRAMES_MAX ? n : FETCH_FRAMES_MAX;
	served->n = 0;
	r = served->starter.fetch(served->starter.ctx, frame, (uint32_t)n, &there, err);
	if (r < 0)
		return r;
	served->first = frame;
	served->n = (uint32_t)n;
	served->next = frame + n;
	served->there = there;
	served->unread = UINT64_MAX;
	served->fetched_ns = now_ns(CLOCK_MONOTONIC);
	return 0;
}

static bool has(const struct served *served, uint64_t frame)
{
	return frame >= served->first && frame - served->first < served->n;
}

/* What is left of an earlier read. */
static void forget_old(struct served *served)
{
	if (now_ns(CLOCK_MONOTONIC) - served->fetched_ns >= AHEAD_MS * 1000000ull)
		served->n = 0;
}

/* A copy is read once: who reads again wants to know what is there now. */
static int served_read(struct ram *ram, size_t range, uint64_t offset, void *buf, size_t len,
		       struct err *err)
{
	struct served *served = (struct served *)ram;
	uint64_t at = ram->ranges[range].start.v + offset;
	uint64_t end = (ram->ranges[range].start.v + ram->ranges[range].size_bytes) >>
		       GUEST_PAGE_SHIFT;
	uint8_t *to = buf;
	int r = renew(served, err);

	forget_old(served);
	while (len && r >= 0) {
		uint64_t frame = at >> GUEST_PAGE_SHIFT, bit;
		size_t in_page = at & GUEST_PAGE_MASK, n = GUEST_PAGE_SIZE - in_page;

		if (!has(served, frame) || !(served->unread >> (frame - served->first) & 1))
			r = fetch(served, frame,
				  (in_page + len + GUEST_PAGE_MASK) >> GUEST_PAGE_SHIFT,
				  end - frame, err);
		if (r < 0)
			return r;
		bit = 1ull << (frame - served->first);
		served->unread &= ~bit;
		if (!(served->there & bit))
			return err_set(err, -EFAULT, "no memory at %#" PRIx64 " just now", at);
		if (n > len)
			n = len;
		memcpy(to, served->buffer + (frame - served->first) * GUEST_PAGE_SIZE + in_page, n);
		at += n;
		to += n;
		len -= n;
	}
	return r;
}

/* Runs of frames that are there; one ends with what was fetched at the latest. */
static int served_populated(struct ram *ram, size_t range, uint64_t offset, uint64_t *start,
			    uint64_t *len, struct err *err)
{
	struct served *served = (struct served *)ram;
	uint64_t base = ram->ranges[range].start.v, at = base + offset;
	uint64_t end = (base + ram->ranges[range].size_bytes) >> GUEST_PAGE_SHIFT;
	uint64_t frame = at >> GUEST_PAGE_SHIFT, behind, first;
	int r = renew(served, err);

	if (r < 0)
		return r;
	forget_old(served);
	while (frame < end) {
		r = has(served, frame) ? 0 : fetch(served, frame, FETCH_FRAMES_MAX,
						       end - frame, err);

		if (r < 0)
			return r;
		behind = served->first + served->n;
		while (frame < behind && !(served->there >> (frame - served->first) & 1))
			frame++;
		if (frame == behind)
			continue;
		first = frame << GUEST_PAGE_SHIFT;
		while (frame < behind && served->there >> (frame - served->first) & 1)
			frame++;
		*start = (first > at ? first : at) - base;
		*len = (frame << GUEST_PAGE_SHIFT) - base - *start;
		return 0;
	}
	return -ENOENT;
}

static int served_alive(struct ram *ram, struct err *err)
{
	struct served *served = (struct served *)ram;
	uint64_t none;

	return served->starter.fetch(served->starter.ctx, 0, 0, &none, err);
}

static void served_close(struct ram *ram)
{
	struct served *served = (struct served *)ram;

	if (served->buffer)
		munmap((void *)(uintptr_t)served->buffer, BUFFER_BYTES);
	free(served);
}

static const struct ram_ops served_ops = {
	.name = "served",
	.read = served_read,
	.populated = served_populated,
	.alive = served_alive,
	.rest = served_rest,
	.close = served_close,
};

static int read_layout(struct bytes *text, struct ram *ram, struct err *err)
{
	struct ram_range ranges[RAM_RANGES_MAX];
	const char *layout = bytes_text(text);
	uint32_t n = bytes_u32(text);

	if (!layout || n > RAM_RANGES_MAX)
		return err_set(err, -EBADMSG, "no memory was handed over");
	for (uint32_t i = 0; i < n; i++) {
		ranges[i].start.v = bytes_u64(text);
		ranges[i].size_bytes = bytes_u64(text);
	}
	if (!bytes_at_end(text))
		return err_set(err, -EBADMSG, "no memory was handed over");
	snprintf(ram->layout, sizeof(ram->layout), "%s", layout);
	return ram_set_ranges(ram, ranges, n, err);
}

static int map_buffer(int fd, const uint8_t **ret, struct err *err)
{
	struct stat status;
	int seals = fcntl(fd, F_GET_SEALS);
	void *data;

	/* A size that could change would be a signal. */
	if (seals < 0 || !(seals & F_SEAL_SHRINK) || fstat(fd, &status) < 0 ||
	    status.st_size != (off_t)BUFFER_BYTES)
		return err_set(err, -EBADMSG, "no buffer was handed over");
	data = mmap(NULL, BUFFER_BYTES, PROT_READ, MAP_SHARED, fd, 0);
	if (data == MAP_FAILED)
		return err_set(err, -errno, "memory that was handed over: %s", strerror(errno));
	*ret = data;
	return 0;
}

int served_take(struct bytes *text, const int *fds, size_t fds_n,
		const struct memory_elsewhere *starter, struct ram **ret, struct err *err)
{
	cleanup(ram_close) struct ram *ram = NULL;
	struct served *served;
	int r;

	if (!starter)
		return err_set(err, -ENOTSUP, "only who opened this memory can read it");
	served = calloc(1, sizeof(*served));
	if (!served)
		return err_set(err, -ENOMEM, "no memory for a guest");
	ram = &served->ram;
	ram->ops = &served_ops;
	served->starter = *starter;
	served_rest(ram);
	r = fds_n == 1 || fds_n == 2 ? read_layout(text, ram, err) :
				       err_set(err, -EBADMSG, "no memory was handed over");
	if (r >= 0)
		r = map_buffer(fds[0], &served->buffer, err);
	if (r >= 0 && fds_n == 2)
		r = machine_take(fds[1], &ram->machine, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < fds_n; i++)
		close(fds[i]);		/* the mappings stay */
	*ret = take_ptr(&ram);
	return 0;
}
