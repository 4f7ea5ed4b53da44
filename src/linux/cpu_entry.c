/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/cpu_entry.h"

/* The areas lie in one entry of the table of level 4: CPU_ENTRY_AREA_MAP_SIZE. */
#define MAP_BYTES (1ull << 39)

static const struct member entry_members[] = {
	MEMBER(struct cpu_entry_fields, area, "cpu_entry_area"),
	MEMBER(struct cpu_entry_fields, gdt, "cpu_entry_area.gdt"),
	MEMBER(struct cpu_entry_fields, entry_stack, "cpu_entry_area.entry_stack_page"),
	MEMBER(struct cpu_entry_fields, tss, "cpu_entry_area.tss"),
	MEMBER(struct cpu_entry_fields, stacks, "cpu_entry_area.estacks"),
};
LAYOUT(entry_layout, struct cpu_entry_fields, entry_members);

int cpu_entry_fields(const struct kernel *kernel, const struct cpu_entry_fields **ret,
		     struct err *err)
{
	return types_layout(kernel->types, &entry_layout, (const void **)ret, err);
}

int cpu_entry_area(const struct kernel *kernel, struct view *view, uint32_t cpu, gva *ret,
		   struct err *err)
{
	gva offset = symbols_lookup(kernel->symbols, "_cea_offset");
	const struct cpu_entry_fields *f;
	uint32_t place = cpu;
	int r = cpu_entry_fields(kernel, &f, err);

	if (r >= 0 && offset.v)
		r = view_u32(view, kernel_per_cpu(kernel, offset, cpu), &place, err);
	if (r < 0)
		return wrap(err, r, "entry area of CPU %u", cpu);
	if (!f->area.size_bytes || place >= (MAP_BYTES - GUEST_PAGE_SIZE) / f->area.size_bytes)
		return err_set(err, -EBADMSG, "entry area of CPU %u at place %u", cpu, place);
	*ret = gva_of(CPU_ENTRY_IDT + GUEST_PAGE_SIZE + (uint64_t)place * f->area.size_bytes);
	return 0;
}
