/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/ko_file.h"

#include <elf.h>
#include <string.h>

/* Between sections of which nobody knows where they were, and all that is there. */
#define NOWHERE_BYTES (128u << 20)

struct place_fields {
	struct field percpu, static_calls;
};

static const struct member place_members[] = {
	MEMBER_OPTIONAL(struct place_fields, percpu, "module.percpu"),
	MEMBER_OPTIONAL(struct place_fields, static_calls, "module.static_call_sites"),
};
LAYOUT(place_layout, struct place_fields, place_members);

int ko_place_read(const struct kernel *kernel, struct view *view,
		  const struct module_info *module, struct ko_place *ret, struct err *err)
{
	const struct place_fields *f;
	int r;

	r = types_layout(kernel->types, &place_layout, (const void **)&f, err);
	*ret = (struct ko_place){ .module = module };
	if (r >= 0 && f->percpu.there)
		r = field_ptr(view, module->at, &f->percpu, &ret->percpu, err);
	if (r >= 0 && f->static_calls.there)
		r = field_ptr(view, module->at, &f->static_calls, &ret->static_calls, err);
	return r;
}

bool ko_is_loaded(const struct elf_section *section)
{
	/* rewrite_section_headers(), percpu_modalloc(): these are not kept, or kept elsewhere. */
	static const char *const not_kept[] = { ".modinfo", "__versions", ".data..percpu",
						"__version_ext_crcs", "__version_ext_names" };

	if (!(section->flags & SHF_ALLOC))
		return false;
	for (size_t i = 0; i < sizeof(not_kept) / sizeof(not_kept[0]); i++)
		if (!strcmp(section->name, not_kept[i]))
			return false;
	return true;
}

bool ko_is_init(const struct elf_section *section)
{
	return !strncmp(section->name, ".init", 5);
}

/* Is [at, at + n) in this part of the module's memory? */
static bool is_in(const struct module_info *module, enum module_area_kind kind, gva at, uint64_t n)
{
	const struct module_area *area = &module->area[kind];

	return at.v - area->at.v <= area->size_bytes &&
	       n <= area->size_bytes - (at.v - area->at.v);
}

/* Does it touch any part of the module's memory? */
static bool touches(const struct module_info *module, gva at, uint64_t n)
{
	for (unsigned i = 0; i < MODULE_AREAS; i++) {
		const struct module_area *area = &module->area[i];

		if (area->size_bytes && at.v < area->at.v + area->size_bytes &&
		    area->at.v < at.v + n)
			return true;
	}
	return false;
}

static bool fits(const struct module_info *module, const struct elf_section *section, gva at)
{
	uint64_t n = section->size_bytes;

	if (at.v & (section->align - 1) || !gva_is_kernel(at) || n > -at.v)
		return false;
	if (ko_is_init(section))
		return !touches(module, at, n) || is_in(module, MODULE_INIT_TEXT, at, n) ||
		       is_in(module, MODULE_INIT_DATA, at, n) ||
		       is_in(module, MODULE_INIT_RODATA, at, n);
	if (section->flags & SHF_EXECINSTR)
		return is_in(module, MODULE_TEXT, at, n);
	/* What is constant from init on is marked as writable, or not, depending on the kernel. */
	return is_in(module, MODULE_RO_AFTER_INIT, at, n) ||
	       is_in(module, section->flags & SHF_WRITE ? MODULE_DATA : MODULE_RODATA, at, n);
}

static int put(struct ko *ko, size_t i, const struct module_info *module, gva at, struct err *err)
{
	const struct elf_section *section = &ko->elf.sections.v[i];

	if (!fits(module, section, at))
		return fail(err, -EBADMSG, at, "section %s of %llu bytes lies in no part of it "
			    "where it belongs", section->name,
			    (unsigned long long)section->size_bytes);
	ko->sections[i].at = at;
	ko->sections[i].placed = true;
	ko->sections[i].listed = true;
	return 0;
}

/* The guest lists what it loaded in the order of the file, and its symbol table besides. */
static int put_all(struct ko *ko, const struct ko_place *place, struct err *err)
{
	size_t next = 1;
	int r = 0;

	for (size_t k = 0; r >= 0 && k < place->sections->list.n; k++) {
		const struct module_section *section = &place->sections->list.v[k];
		size_t i = next;

		while (i < ko->elf.sections.n &&
		       (!ko_is_loaded(&ko->elf.sections.v[i]) ||
			!ko->elf.sections.v[i].size_bytes ||
			strncmp(ko->elf.sections.v[i].name, section->name,
				sizeof(section->name) - 1)))
			i++;
		if (i < ko->elf.sections.n) {
			r = put(ko, i, place->module, section->at, err);
			next = i + 1;
		} else if (strcmp(section->name, ".symtab") && strcmp(section->name, ".strtab")) {
			return fail(err, -EBADMSG, section->at, "it has a section %s more",
				    section->name);
		}
	}
	return r;
}

/* Init sections of which the guest says nothing any more: each somewhere of its own. */
static void put_init(struct ko *ko, const struct module_info *module)
{
	gva at = module->area[MODULE_TEXT].at;

	for (unsigned i = 0; i < MODULE_AREAS; i++)
		if (module->area[i].size_bytes && (!at.v || module->area[i].at.v < at.v))
			at = module->area[i].at;
	at.v -= NOWHERE_BYTES;
	for (size_t i = 1; i < ko->elf.sections.n; i++) {
		const struct elf_section *section = &ko->elf.sections.v[i];

		if (ko->sections[i].placed || !ko_is_loaded(section) || !ko_is_init(section))
			continue;
		at.v = (at.v - section->size_bytes) & ~(section->align - 1);
		ko->sections[i].at = at;
		ko->sections[i].placed = true;
	}
}

static void set_flags(struct ko *ko)
{
	for (size_t i = 1; i < ko->elf.sections.n; i++) {
		const struct elf_section *section = &ko->elf.sections.v[i];

		ko->sections[i].flags = (section->flags & SHF_EXECINSTR ? PART_EXEC : 0u) |
					(section->flags & SHF_WRITE ? PART_WRITE : 0u) |
					(ko_is_init(section) ? PART_GONE : 0u);
	}
}

int ko_symbol_at(const struct ko *ko, const struct elf_symbol *symbol, gva *ret, struct err *err)
{
	const struct ko_section *section;

	if (symbol->section == SHN_ABS) {
		*ret = gva_of(symbol->value);
		return 0;
	}
	if (ko->percpu_section && symbol->section == ko->percpu_section) {
		*ret = gva_add(ko->percpu, symbol->value);
		return 0;
	}
	if (symbol->section >= ko->elf.sections.n)
		return err_set(err, -EBADMSG, "symbol '%s' is in no section", symbol->name);
	section = &ko->sections[symbol->section];
	if (!section->placed)
		return err_set(err, -EBADMSG, "section %s has no place in the guest",
			       ko->elf.sections.v[symbol->section].name);
	*ret = gva_add(section->at, symbol->value);
	return 0;
}

static int by_name(const void *a, const void *b)
{
	const struct ko_symbol *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static struct ko_symbol *find(const struct ko *ko, const char *name)
{
	struct ko_symbol key = { .name = name };

	if (!ko->exports.n)
		return NULL;
	return bsearch(&key, ko->exports.v, ko->exports.n, sizeof(key), by_name);
}

/* EXPORT_SYMBOL(name) makes a local symbol __ksymtab_NAME (include/linux/export.h). */
static int collect_exports(struct ko *ko)
{
	static const char prefix[] = "__ksymtab_";

	ko->exports.n = 0;
	for (size_t i = 0; i < ko->elf.symbols.n; i++) {
		const struct elf_symbol *symbol = &ko->elf.symbols.v[i];
		struct ko_symbol *export;

		if (strncmp(symbol->name, prefix, strlen(prefix)) || symbol->section == SHN_UNDEF)
			continue;
		export = vec_add(&ko->exports);
		if (!export)
			return -ENOMEM;
		export->name = symbol->name + strlen(prefix);
	}
	if (ko->exports.n)
		qsort(ko->exports.v, ko->exports.n, sizeof(*ko->exports.v), by_name);
	for (size_t i = 0; i < ko->elf.symbols.n; i++) {
		const struct elf_symbol *symbol = &ko->elf.symbols.v[i];
		struct ko_symbol *export;
		gva at;

		if (symbol->bind == STB_LOCAL || symbol->section == SHN_UNDEF)
			continue;
		export = find(ko, symbol->name);
		if (export && ko_symbol_at(ko, symbol, &at, NULL) >= 0)
			export->at = at;
	}
	return 0;
}

int ko_export(const struct ko *ko, const char *name, gva *ret)
{
	const struct ko_symbol *export = find(ko, name);

	if (!export || !export->at.v)
		return -ENOENT;
	*ret = export->at;
	return 0;
}

int ko_place(struct ko *ko, const struct ko_place *place, struct err *err)
{
	int r;

	ko->percpu = place->percpu;
	for (size_t i = 0; i < ko->elf.sections.n; i++)
		ko->sections[i] = (struct ko_section){ 0 };
	set_flags(ko);
	r = ko_layout(ko, place, place->sections ? NULL : err);
	if (place->sections)
		r = put_all(ko, place, err);
	if (r < 0)
		return r;
	put_init(ko, place->module);
	for (size_t i = 1; i < ko->elf.sections.n && place->sections; i++) {
		const struct elf_section *section = &ko->elf.sections.v[i];

		if (ko_is_loaded(section) && section->size_bytes && !ko->sections[i].listed)
			return err_set(err, -EBADMSG, "it lacks the section %s", section->name);
	}
	return collect_exports(ko);
}
