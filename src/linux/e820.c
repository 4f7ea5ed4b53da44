/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/e820.h"

#include <inttypes.h>

#include "base/limits.h"

/* arch/x86/include/asm/e820/types.h: E820_MAX_ENTRIES is 128 + 3 * MAX_NUMNODES (1024). */
#define ENTRIES_MAX 3200u
#define TYPE_RAM    1u

/* Firmware keeps a little of each range for itself: ACPI tables, SMRAM. */
#define SMALL_BYTES (16u << 20)

struct e820_fields {
	struct field count, entries, entry, start, size, type;
};

static const struct member e820_members[] = {
	MEMBER(struct e820_fields, count, "e820_table.nr_entries"),
	MEMBER(struct e820_fields, entries, "e820_table.entries"),
	MEMBER(struct e820_fields, entry, "e820_entry"),
	MEMBER(struct e820_fields, start, "e820_entry.addr"),
	MEMBER(struct e820_fields, size, "e820_entry.size"),
	MEMBER(struct e820_fields, type, "e820_entry.type"),
};
LAYOUT(e820_layout, struct e820_fields, e820_members);

static bool overlap(const struct ram_range *range, uint64_t start, uint64_t size)
{
	return start < range->start.v + range->size_bytes && range->start.v < start + size;
}

/* Which of our ranges the guest uses, one bit each; more than 64 ranges are not told apart. */
static int mark_ranges(const struct ram *ram, uint64_t start, uint64_t size, uint64_t *used,
		       struct err *err)
{
	if (!ram_has(ram, gpa_of(start), size))
		return err_set(err, -EBADMSG, "the guest has RAM at %#" PRIx64 "+%#" PRIx64
			       " that is not where it is looked for", start, size);
	for (size_t i = 0; i < ram->ranges_n && i < 64; i++)
		if (overlap(&ram->ranges[i], start, size))
			*used |= 1ull << i;
	return 0;
}

/* What was plugged in later is not in that map. */
static int check_unused(const struct ram *ram, uint64_t used, struct err *err)
{
	for (size_t i = 0; i < ram->ranges_n && i < 64; i++)
		if (!(used & 1ull << i) && ram->ranges[i].size_bytes > SMALL_BYTES &&
		    !overlap(&ram->room, ram->ranges[i].start.v, ram->ranges[i].size_bytes))
			return err_set(err, -EBADMSG, "the guest knows of no RAM at %#" PRIx64
				       ", where its memory is looked for",
				       ram->ranges[i].start.v);
	return 0;
}

int e820_check(const struct kernel *kernel, struct view *view, struct err *err)
{
	const struct e820_fields *f;
	const struct ram *ram = view_ram(view);
	uint64_t count, used = 0;
	gva table, at;
	int r;

	r = types_layout(kernel->types, &e820_layout, (const void **)&f, err);
	if (r >= 0)
		r = kernel_symbol(kernel, "e820_table_firmware", &at, err);
	if (r >= 0)
		r = view_ptr(view, at, &table, err);
	if (r >= 0)
		r = field_read(view, table, &f->count, &count, err);
	if (r >= 0 && (!count || count > ENTRIES_MAX || !f->entry.size_bytes))
		r = err_set(err, -EBADMSG, "a memory map of %" PRIu64 " entries", count);
	for (uint64_t i = 0; r >= 0 && i < count; i++) {
		gva entry = gva_add(field_at(table, &f->entries), i * f->entry.size_bytes);
		uint64_t start, size, type;

		r = field_read(view, entry, &f->start, &start, err);
		if (r >= 0)
			r = field_read(view, entry, &f->size, &size, err);
		if (r >= 0)
			r = field_read(view, entry, &f->type, &type, err);
		if (r >= 0 && (uint32_t)type == TYPE_RAM)
			r = mark_ranges(ram, start & ~GUEST_PAGE_MASK,
					size & ~GUEST_PAGE_MASK, &used, err);
	}
	return r < 0 ? r : check_unused(ram, used, err);
}
