/* SPDX-License-Identifier: Apache-2.0 */
#include "ram/ram.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "ram/machine.h"
#include "ram/served.h"

static uint64_t range_end(const struct ram_range *range)
{
	return range->start.v + range->size_bytes;
}

/* The last range that starts at or before @at; ranges_n where there is none. */
static size_t range_at(const struct ram *ram, uint64_t at)
{
	size_t low = 0, high = ram->ranges_n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (ram->ranges[mid].start.v <= at)
			low = mid + 1;
		else
			high = mid;
	}
	return low ? low - 1 : ram->ranges_n;
}

int ram_read(struct ram *ram, gpa at, void *buf, size_t len, struct err *err)
{
	uint8_t *to = buf;
	int r;

	if (!len)
		return err_set(err, -EINVAL, "a read of no bytes at %#" PRIx64, at.v);

	while (len) {
		size_t i = range_at(ram, at.v), n = len;
		uint64_t offset;

		if (i == ram->ranges_n || at.v >= range_end(&ram->ranges[i])) {
			ram->outside++;
			ram->in_room += at.v - ram->room.start.v < ram->room.size_bytes;
			return err_set(err, -EFAULT, "no RAM at %#" PRIx64, at.v);
		}
		offset = at.v - ram->ranges[i].start.v;
		if (n > ram->ranges[i].size_bytes - offset)
			n = (size_t)(ram->ranges[i].size_bytes - offset);

		ram->reads++;
		r = ram->ops->read(ram, i, offset, to, n, err);
		if (r < 0)
			return r;
		ram->read_bytes += n;
		to += n;
		at.v += n;
		len -= n;
	}
	return 0;
}

int ram_read_in_place(struct ram *ram, gpa at, size_t len, ram_reader_fn *reader, void *ctx)
{
	size_t i = range_at(ram, at.v);
	int r;

	if (!ram->ops->read_in_place || i == ram->ranges_n || at.v >= range_end(&ram->ranges[i]) ||
	    len > range_end(&ram->ranges[i]) - at.v)
		return -EAGAIN;
	r = ram->ops->read_in_place(ram, i, at.v - ram->ranges[i].start.v, len, reader, ctx);
	if (r == 0) {
		ram->reads++;
		ram->read_bytes += len;
	}
	return r;
}

int ram_populated(struct ram *ram, gpa from, gpa *start, uint64_t *len, struct err *err)
{
	for (size_t i = 0; i < ram->ranges_n; i++) {
		const struct ram_range *range = &ram->ranges[i];
		uint64_t offset = 0, at, n;
		int r;

		if (from.v >= range_end(range))
			continue;
		if (from.v > range->start.v)
			offset = from.v - range->start.v;
		at = offset;
		n = range->size_bytes - offset;
		if (ram->ops->populated) {
			r = ram->ops->populated(ram, i, offset, &at, &n, err);
			if (r == -ENOENT)
				continue;
			if (r < 0)
				return r;
		}
		start->v = range->start.v + at;
		*len = n;
		return 0;
	}
	return -ENOENT;
}

bool ram_has(const struct ram *ram, gpa at, uint64_t len)
{
	uint64_t end;

	if (__builtin_add_overflow(at.v, len, &end))
		return false;
	while (at.v < end) {
		size_t i = range_at(ram, at.v);

		if (i == ram->ranges_n || at.v >= range_end(&ram->ranges[i]))
			return false;
		at.v = range_end(&ram->ranges[i]);
	}
	return true;
}

uint64_t ram_bytes(const struct ram *ram)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < ram->ranges_n; i++)
		sum += ram->ranges[i].size_bytes;
	return sum;
}

bool ram_is_live(const struct ram *ram)
{
	return ram->ops->alive;
}

int ram_alive(struct ram *ram, struct err *err)
{
	return ram->ops->alive ? ram->ops->alive(ram, err) : 0;
}

static int by_start(const void *a, const void *b)
{
	const struct ram_range *x = a, *y = b;

	return (x->start.v > y->start.v) - (x->start.v < y->start.v);
}

int ram_set_ranges(struct ram *ram, const struct ram_range *ranges, size_t n, struct err *err)
{
	struct ram_range *copy;

	if (!n || n > RAM_RANGES_MAX)
		return err_set(err, -EBADMSG, "a layout of %zu RAM ranges", n);
	copy = malloc(n * sizeof(*copy));
	if (!copy)
		return -ENOMEM;
	memcpy(copy, ranges, n * sizeof(*copy));
	qsort(copy, n, sizeof(*copy), by_start);

	for (size_t i = 0; i < n; i++) {
		uint64_t end;

		if (!copy[i].size_bytes ||
		    ((copy[i].start.v | copy[i].size_bytes) & GUEST_PAGE_MASK) ||
		    __builtin_add_overflow(copy[i].start.v, copy[i].size_bytes, &end) ||
		    (i + 1 < n && end > copy[i + 1].start.v)) {
			err_set(err, -EBADMSG, "RAM range %#" PRIx64 "+%#" PRIx64 " is not sound",
				copy[i].start.v, copy[i].size_bytes);
			free(copy);
			return -EBADMSG;
		}
	}
	free(ram->ranges);
	ram->ranges = copy;
	ram->ranges_n = n;
	return 0;
}

int ram_set_registers(struct ram *ram, const struct registers *cpus, size_t n, struct err *err)
{
	struct registers *copy = NULL;

	if (n) {
		copy = calloc(n, sizeof(*copy));
		if (!copy)
			return err_set(err, -ENOMEM, "no memory for registers");
		memcpy(copy, cpus, n * sizeof(*copy));
	}
	free(ram->cpus);
	ram->cpus = copy;
	ram->cpus_n = n;
	return 0;
}

int ram_read_registers(struct ram *ram, struct err *err)
{
	int r = ram->ops->registers ? ram->ops->registers(ram, err) : 0;

	if (r < 0) {
		free(ram->cpus);
		ram->cpus = NULL;
		ram->cpus_n = 0;
	}
	return r;
}

bool ram_is_pv(const struct ram *ram)
{
	return ram->machine;
}

gpa ram_of_table(struct ram *ram, uint64_t address)
{
	return ram->machine ? machine_to_guest(ram->machine, address) : gpa_of(address);
}

void ram_rest(struct ram *ram)
{
	if (ram->ops->rest)
		ram->ops->rest(ram);
}

void ram_close(struct ram **ram)
{
	if (!*ram)
		return;
	free((*ram)->ranges);
	free((*ram)->cpus);
	served_buffer_free((*ram)->buffer);
	machine_free((*ram)->machine);
	(*ram)->ops->close(*ram);
	*ram = NULL;
}
