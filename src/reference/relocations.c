/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/relocations.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/limits.h"
#include "base/writer.h"

#define PAGE_BYTES 4096u

static inline void move_8(uint8_t *at, uint64_t by)
{
	uint64_t value;

	memcpy(&value, at, sizeof(value));
	value += by;
	memcpy(at, &value, sizeof(value));
}

static inline void move_4(uint8_t *at, uint32_t by)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	value += by;
	memcpy(at, &value, sizeof(value));
}

/* In struct relocations: above the offset in a page. */
#define RELOCATION_SHORT   0x1000u	/* of 4 bytes, not 8 */
#define RELOCATION_INVERSE 0x2000u

/* In a page none has more that do not overlap. */
#define PAGE_RELOCATIONS_MAX (PAGE_BYTES / 4)

static uint16_t packed(const struct relocation *relocation)
{
	return (uint16_t)(relocation->at % PAGE_BYTES |
			  (relocation->size_bytes == 4 ? RELOCATION_SHORT : 0) |
			  (relocation->inverse ? RELOCATION_INVERSE : 0));
}

/* By their pages, as they come: after that pages[i] is where those of page i begin. */
static int sort_pages(const struct relocation *kept, size_t n, struct relocations *ret,
		      struct err *err)
{
	uint32_t *pages = ret->pages.v, first = 0;

	for (size_t i = 0; i < n; i++)
		if (pages[kept[i].at / PAGE_BYTES]++ == PAGE_RELOCATIONS_MAX)
			return err_set(err, -EBADMSG, "relocations overlap at %#x",
				       kept[i].at);
	for (size_t page = 0; page < ret->pages.n; page++) {
		uint32_t those = pages[page];

		pages[page] = first;
		first += those;
	}
	for (size_t i = 0; i < n; i++)
		ret->list.v[pages[kept[i].at / PAGE_BYTES]++] =
			packed(&kept[i]);
	memmove(pages + 1, pages, (ret->pages.n - 1) * sizeof(*pages));
	pages[0] = 0;
	return 0;
}

/* Those of one page, which come in three lists that are in order themselves. */
static void sort_page(uint16_t *list, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		uint16_t moved = list[i];
		size_t to = i;

		for (; to && list[to - 1] % PAGE_BYTES > moved % PAGE_BYTES; to--)
			list[to] = list[to - 1];
		list[to] = moved;
	}
}

/* Each by itself: so that what was moved can be moved back. */
static int check_apart(const struct relocations *relocations, struct err *err)
{
	struct relocations_at walk = {0};
	struct relocation relocation;
	uint64_t end = 0;

	for (; relocations_next(relocations, &walk, &relocation);
	     end = relocation.at + relocation.size_bytes)
		if (relocation.at < end)
			return err_set(err, -EBADMSG, "relocations overlap at %#x",
				       relocation.at);
	return 0;
}

int relocations_pack(const struct relocation *kept, size_t n, struct relocations *ret,
		     struct err *err)
{
	size_t pages = 1;
	int r;

	for (size_t i = 0; i < n; i++)
		if (kept[i].at / PAGE_BYTES + 2 > pages)
			pages = kept[i].at / PAGE_BYTES + 2;
	ret->pages.v = calloc(pages, sizeof(*ret->pages.v));
	ret->list.v = malloc((n + 1) * sizeof(*ret->list.v));
	if (!ret->pages.v || !ret->list.v)
		return err_set(err, -ENOMEM, "no memory for relocations");
	ret->pages.n = ret->pages.room = pages;
	ret->list.n = ret->list.room = n;
	r = sort_pages(kept, n, ret, err);
	if (r < 0)
		return r;
	for (size_t page = 0; page + 1 < pages; page++)
		sort_page(ret->list.v + ret->pages.v[page],
			  ret->pages.v[page + 1] - ret->pages.v[page]);
	return check_apart(ret, err);
}

bool relocations_next(const struct relocations *relocations, struct relocations_at *at,
		      struct relocation *ret)
{
	uint16_t packed;

	if (at->i == relocations->list.n)
		return false;
	while (at->i == relocations->pages.v[at->page + 1])
		at->page++;
	packed = relocations->list.v[at->i++];
	*ret = (struct relocation){
		(uint32_t)(at->page * PAGE_BYTES + packed % PAGE_BYTES),
		packed & RELOCATION_SHORT ? 4 : 8, packed & RELOCATION_INVERSE,
	};
	return true;
}

void relocations_free(struct relocations *relocations)
{
	if (!relocations->borrowed) {
		vec_free(&relocations->pages);
		vec_free(&relocations->list);
	}
	*relocations = (struct relocations){0};
}

/* Those of one page: @bytes is the copy of all. */
static void apply_page(const struct relocations *relocations, size_t page, uint64_t from,
		       uint8_t *bytes, size_t n, uint64_t by)
{
	const uint16_t *end = relocations->list.v + relocations->pages.v[page + 1];

	for (const uint16_t *at = relocations->list.v + relocations->pages.v[page]; at < end;
	     at++) {
		uint64_t offset = page * PAGE_BYTES + *at % PAGE_BYTES - from;
		uint64_t distance = *at & RELOCATION_INVERSE ? -by : by;

		if (offset >= n || n - offset < (*at & RELOCATION_SHORT ? 4 : 8))
			continue;
		/* Copies of a fixed size: there are a hundred thousand of them. */
		if (*at & RELOCATION_SHORT)
			move_4(bytes + offset, (uint32_t)distance);
		else
			move_8(bytes + offset, distance);
	}
}

void relocations_apply(const struct relocations *relocations, uint64_t from, uint8_t *bytes,
		       size_t n, uint64_t by)
{
	for (uint64_t page = from / PAGE_BYTES;
	     page + 1 < relocations->pages.n && page * PAGE_BYTES < from + n; page++)
		apply_page(relocations, page, from, bytes, n, by);
}

/* --- in bytes that several processes share --- */

size_t relocations_written_max(const struct relocations *relocations)
{
	return 64 + relocations->pages.n * sizeof(*relocations->pages.v) +
	       relocations->list.n * sizeof(*relocations->list.v);
}

void relocations_write(const struct relocations *relocations, struct writer *w)
{
	write_aligned(w);
	write_u64(w, relocations->pages.n);
	write_u64(w, relocations->list.n);
	write_bytes(w, relocations->pages.v, relocations->pages.n * sizeof(*relocations->pages.v));
	write_bytes(w, relocations->list.v, relocations->list.n * sizeof(*relocations->list.v));
}

static bool is_inside(const struct relocations *relocations)
{
	const uint32_t *pages = relocations->pages.v;

	for (size_t i = 1; i < relocations->pages.n; i++)
		if (pages[i] < pages[i - 1])
			return false;
	return !pages[0] && pages[relocations->pages.n - 1] == relocations->list.n;
}

int relocations_read(struct bytes *b, struct relocations *ret, struct err *err)
{
	struct relocations read = { .borrowed = true };
	uint64_t pages, n;
	int r;

	bytes_align(b);
	pages = bytes_u64(b);
	n = bytes_u64(b);
	if (!bytes_ok(b) || !pages || pages > KERNEL_IMAGE_MAX / PAGE_BYTES + 2 ||
	    n > pages * PAGE_RELOCATIONS_MAX)
		return err_set(err, -EBADMSG, "no table of relocations");
	read.pages.v = (uint32_t *)(uintptr_t)bytes_take(b, pages * sizeof(*read.pages.v));
	read.list.v = (uint16_t *)(uintptr_t)bytes_take(b, n * sizeof(*read.list.v));
	read.pages.n = pages;
	read.list.n = n;
	if (!bytes_ok(b) || !is_inside(&read))
		return err_set(err, -EBADMSG, "a table of relocations that leads out of itself");
	r = check_apart(&read, err);
	if (r >= 0)
		*ret = read;
	return r;
}
