/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/ko_file.h"

#include <elf.h>
#include <string.h>

/*
 * The kernel puts the sections of one kind behind each other, in the order of the file, each
 * aligned as it asks for. Up to 6.3 the kinds follow each other in one block, each from a new
 * page on; from 6.4 each has a block of its own. Either way its start is where the guest's
 * struct module says that the kind begins.
 */
static enum module_area_kind kind_of(const struct ko_place *place,
				     const struct elf_section *section)
{
	const struct module_area *late = &place->module->area[MODULE_RO_AFTER_INIT];

	if (section->flags & SHF_EXECINSTR)
		return MODULE_TEXT;
	if (!(section->flags & SHF_WRITE))
		return MODULE_RODATA;
	/* module_mark_ro_after_init() */
	if (!strcmp(section->name, ".data..ro_after_init") ||
	    !strcmp(section->name, "__jump_table"))
		return MODULE_RO_AFTER_INIT;
	/* From 6.13 these as well: the guest's own pointer to them says whether. */
	if (!strcmp(section->name, ".static_call_sites") &&
	    place->static_calls.v - late->at.v < late->size_bytes)
		return MODULE_RO_AFTER_INIT;
	return MODULE_DATA;
}

int ko_layout(struct ko *ko, const struct ko_place *place, struct err *err)
{
	uint64_t used[MODULE_AREAS] = { 0 };

	for (size_t i = 1; i < ko->elf.sections.n; i++) {
		const struct elf_section *section = &ko->elf.sections.v[i];
		enum module_area_kind kind = kind_of(place, section);
		const struct module_area *area = &place->module->area[kind];
		uint64_t at;

		if (!ko_is_loaded(section) || ko_is_init(section))
			continue;
		if (__builtin_add_overflow(used[kind], section->align - 1, &at))
			at = UINT64_MAX;
		at &= ~(section->align - 1);
		if (at > area->size_bytes || section->size_bytes > area->size_bytes - at)
			return fail(err, -EBADMSG, area->at, "section %s does not fit into its %s",
				    section->name, module_area_name(kind));
		ko->sections[i].at = gva_add(area->at, at);
		ko->sections[i].placed = true;
		used[kind] = at + section->size_bytes;
	}
	return 0;
}
