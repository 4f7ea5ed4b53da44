/* SPDX-License-Identifier: Apache-2.0 */
#include "make/memory.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "guest/paging.h"
#include "ram/fake.h"

static size_t find(const struct memory *m, uint64_t at)
{
	size_t i = 0;

	while (i < m->pages_n && m->pages[i].at < at)
		i++;
	return i;
}

void *memory_page(struct memory *m, uint64_t at)
{
	size_t i = find(m, at &= ~GUEST_PAGE_MASK);

	if (i < m->pages_n && m->pages[i].at == at)
		return m->pages[i].bytes;
	if (m->pages_n == ARRAY_SIZE(m->pages))
		abort();
	memmove(&m->pages[i + 1], &m->pages[i], (m->pages_n - i) * sizeof(m->pages[0]));
	m->pages_n++;
	m->pages[i].at = at;
	m->pages[i].bytes = calloc(1, GUEST_PAGE_SIZE);
	if (!m->pages[i].bytes)
		abort();
	return m->pages[i].bytes;
}

void memory_drop(struct memory *m, uint64_t at)
{
	size_t i = find(m, at & ~GUEST_PAGE_MASK);

	if (i == m->pages_n || m->pages[i].at != (at & ~GUEST_PAGE_MASK))
		return;
	free(m->pages[i].bytes);
	m->pages_n--;
	memmove(&m->pages[i], &m->pages[i + 1], (m->pages_n - i) * sizeof(m->pages[0]));
}

void memory_write(struct memory *m, uint64_t at, const void *data, size_t len)
{
	const uint8_t *from = data;

	while (len) {
		size_t offset = at & GUEST_PAGE_MASK, n = GUEST_PAGE_SIZE - offset;

		if (n > len)
			n = len;
		memcpy((uint8_t *)memory_page(m, at) + offset, from, n);
		at += n;
		from += n;
		len -= n;
	}
}

void memory_u32(struct memory *m, uint64_t at, uint32_t value)
{
	memory_write(m, at, &value, sizeof(value));
}

void memory_u64(struct memory *m, uint64_t at, uint64_t value)
{
	memory_write(m, at, &value, sizeof(value));
}

uint64_t memory_map(struct memory *m, struct space space, uint64_t virt, uint64_t phys,
		    unsigned level, uint64_t flags)
{
	uint64_t table = space.root.v, at;

	for (unsigned i = space.levels; i > level; i--) {
		uint64_t *entry = (uint64_t *)memory_page(m, table) + paging_index(gva_of(virt), i);

		if (!(*entry & PTE_PRESENT)) {
			*entry = m->next_table | PTE_PRESENT | PTE_WRITE | PTE_USER;
			m->next_table += GUEST_PAGE_SIZE;
		}
		table = *entry & PTE_ADDRESS;
	}
	at = table + 8 * paging_index(gva_of(virt), level);
	memory_u64(m, at, phys | flags | (level > 1 ? PTE_LARGE : 0));
	return at;
}

#define LOADED_MAX 900u		/* pages: leave room for what a test adds */
#define ADDRESS_BYTES 6u	/* page tables lead no further */
#define GAP_MIN 16u		/* zeros that end a run: its head is half as long */

void memory_load(struct memory *m, const uint8_t *data, size_t size)
{
	struct bytes b = bytes_of(data, size);

	while (b.left && m->pages_n < LOADED_MAX) {
		uint64_t at = 0;
		size_t n;

		bytes_copy(&b, &at, ADDRESS_BYTES);
		n = bytes_u16(&b);
		n = n < b.left ? n : b.left;
		n = n < 8 * GUEST_PAGE_SIZE ? n : 8 * GUEST_PAGE_SIZE;
		if (!bytes_ok(&b))
			return;
		memory_page(m, at);
		memory_write(m, at, bytes_take(&b, n), n);
	}
}

static size_t run_length(const uint8_t *at, size_t left)
{
	size_t n = 0, zeros = 0;

	while (n < left && zeros < GAP_MIN)
		zeros = at[n++] ? 0 : zeros + 1;
	return n - zeros;
}

uint8_t *memory_save(const struct memory *m, size_t *size)
{
	/* At worst a run per 17 bytes. */
	uint8_t *out = malloc(m->pages_n * GUEST_PAGE_SIZE * 3 / 2 + 1);

	*size = 0;
	for (size_t i = 0; out && i < m->pages_n; i++)
		for (size_t at = 0; at < GUEST_PAGE_SIZE; at++) {
			const uint8_t *from = m->pages[i].bytes + at;
			uint64_t address = m->pages[i].at + at;
			uint16_t n = (uint16_t)run_length(from, GUEST_PAGE_SIZE - at);

			if (!n)
				continue;
			memcpy(out + *size, &address, ADDRESS_BYTES);
			memcpy(out + *size + ADDRESS_BYTES, &n, sizeof(n));
			memcpy(out + *size + ADDRESS_BYTES + sizeof(n), from, n);
			*size += ADDRESS_BYTES + sizeof(n) + n;
			at += n;
		}
	return out;
}

struct ram *memory_open(struct memory *m)
{
	static struct ram_range ranges[ARRAY_SIZE(m->pages)];
	static void *bytes[ARRAY_SIZE(m->pages)];
	struct ram *ram;

	for (size_t i = 0; i < m->pages_n; i++) {
		ranges[i] = (struct ram_range){ gpa_of(m->pages[i].at), GUEST_PAGE_SIZE };
		bytes[i] = m->pages[i].bytes;
	}
	if (fake_open(ranges, bytes, m->pages_n, &ram, NULL) < 0)
		abort();
	return ram;
}

struct view *memory_view(struct memory *m, uint64_t fuel, struct ram **ram)
{
	struct view *view;

	*ram = memory_open(m);
	if (view_open(*ram, fuel, &view) < 0)
		abort();
	return view;
}

void memory_free(struct memory *m)
{
	for (size_t i = 0; i < m->pages_n; i++)
		free(m->pages[i].bytes);
	m->pages_n = 0;
}
