/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/ko.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "reference/ko_file.h"

static int check_object(struct ko *ko, struct err *err)
{
	uint64_t bytes = 0, relocations = 0;

	if (ko->elf.type != ET_REL)
		return err_set(err, -EBADMSG, "not a module's object file");
	/* The kernel knows no other numbers of sections than those that fit into a header. */
	if (ko->elf.sections.n < 2 || ko->elf.sections.n >= SHN_LORESERVE)
		return err_set(err, -EBADMSG, "an object file of %zu sections",
			       ko->elf.sections.n);
	for (size_t i = 1; i < ko->elf.sections.n; i++) {
		const struct elf_section *section = &ko->elf.sections.v[i];

		if (section->align > GUEST_PAGE_SIZE)
			return err_set(err, -EBADMSG, "section %s is aligned to %llu bytes",
				       section->name, (unsigned long long)section->align);
		if (section->type == SHT_RELA)
			relocations += section->size_bytes / sizeof(Elf64_Rela);
		if (section->flags & SHF_ALLOC && (section->size_bytes > KO_BYTES_MAX ||
						   (bytes += section->size_bytes) > KO_BYTES_MAX))
			return err_set(err, -ELOOP, "a module of over %u bytes", KO_BYTES_MAX);
		if (!strcmp(section->name, ".data..percpu"))
			ko->percpu_section = (uint16_t)i;
	}
	if (relocations > KO_RELOCATIONS_MAX)
		return err_set(err, -ELOOP, "a module of over %u relocations", KO_RELOCATIONS_MAX);
	return 0;
}

int ko_open(struct blob *file, struct ko **ret, struct err *err)
{
	cleanup(ko_close) struct ko *ko = calloc(1, sizeof(*ko));
	int r;

	if (!ko)
		return -ENOMEM;
	r = elf_read(file->data, file->size, &ko->elf, err);
	if (r >= 0)
		r = check_object(ko, err);
	if (r < 0)
		return r;
	ko->sections = calloc(ko->elf.sections.n, sizeof(*ko->sections));
	if (!ko->sections)
		return -ENOMEM;
	ko->file = *file;
	*file = (struct blob){ NULL, 0 };
	*ret = take_ptr(&ko);
	return 0;
}

void ko_close(struct ko **ko)
{
	if (!*ko)
		return;
	elf_free(&(*ko)->elf);
	blob_free(&(*ko)->file);
	vec_free(&(*ko)->exports);
	free((*ko)->names);
	free((*ko)->sections);
	free(*ko);
	*ko = NULL;
}

int ko_shrink(struct ko *ko)
{
	size_t bytes = 1;
	char *at;

	for (size_t i = 0; i < ko->exports.n; i++)
		bytes += strlen(ko->exports.v[i].name) + 1;
	at = malloc(bytes);
	if (!at)
		return -ENOMEM;
	free(ko->names);
	ko->names = at;
	for (size_t i = 0; i < ko->exports.n; i++) {
		at = stpcpy(at, ko->exports.v[i].name) + 1;
		ko->exports.v[i].name = at - strlen(ko->exports.v[i].name) - 1;
	}
	elf_free(&ko->elf);
	blob_free(&ko->file);
	free(ko->sections);
	ko->sections = NULL;
	return 0;
}

/* The addresses of symbols, each looked up when a relocation first needs it. */
struct symbol_values {
	const struct ko *ko;
	ko_resolve_fn *resolve;
	void *ctx;
	gva *at;
	bool *known;
};

static int symbol_value(struct symbol_values *values, uint64_t i, gva *ret, struct err *err)
{
	const struct elf_symbol *symbol;
	int r;

	if (i >= values->ko->elf.symbols.n)
		return err_set(err, -EBADMSG, "a relocation by symbol %llu of %zu",
			       (unsigned long long)i, values->ko->elf.symbols.n);
	if (!values->known[i]) {
		symbol = &values->ko->elf.symbols.v[i];
		if (symbol->section != SHN_UNDEF)
			r = ko_symbol_at(values->ko, symbol, &values->at[i], err);
		else if (!symbol->name[0])
			r = 0;	/* symbol 0: no symbol at all */
		else
			r = values->resolve(symbol->name, &values->at[i], values->ctx, err);
		/* simplify_symbols(): a weak one that no one has is 0. */
		if (r == -ENOENT && symbol->bind == STB_WEAK)
			values->at[i] = gva_of(0);
		else if (r < 0)
			return r;
		values->known[i] = true;
	}
	*ret = values->at[i];
	return 0;
}

/* arch/x86/kernel/module.c, apply_relocate_add() */
static int relocate(uint8_t *to, uint64_t room, uint32_t type, uint64_t value, uint64_t place)
{
	uint32_t low;

	switch (type) {
	case R_X86_64_NONE:
		return 0;
	case R_X86_64_PC64:
		value -= place;
		__attribute__((fallthrough));
	case R_X86_64_64:
		if (room < sizeof(value))
			return -EBADMSG;
		memcpy(to, &value, sizeof(value));
		return 0;
	case R_X86_64_PC32:
	case R_X86_64_PLT32:
		value -= place;
		break;
	case R_X86_64_32:
		if (value > UINT32_MAX)
			return -ERANGE;
		break;
	case R_X86_64_32S:
		if ((uint64_t)(int64_t)(int32_t)(uint32_t)value != value)
			return -ERANGE;
		break;
	default:
		return -ENOTSUP;
	}
	if (room < sizeof(low))
		return -EBADMSG;
	low = (uint32_t)value;
	memcpy(to, &low, sizeof(low));
	return 0;
}

static int relocate_section(struct symbol_values *values, const struct elf_section *table,
			    struct shipped_part *part, struct err *err)
{
	for (uint64_t i = 0; i < table->size_bytes / sizeof(Elf64_Rela); i++) {
		Elf64_Rela rela;
		gva symbol = { 0 };
		int r;

		memcpy(&rela, table->bytes + i * sizeof(rela), sizeof(rela));
		if (rela.r_offset >= part->size_bytes)
			return err_set(err, -EBADMSG, "a relocation outside of %s", part->name);
		r = symbol_value(values, ELF64_R_SYM(rela.r_info), &symbol, err);
		if (r < 0)
			return wrap(err, r, "relocations of %s", part->name);
		r = relocate(part->bytes + rela.r_offset, part->size_bytes - rela.r_offset,
			     (uint32_t)ELF64_R_TYPE(rela.r_info),
			     symbol.v + (uint64_t)rela.r_addend, part->at.v + rela.r_offset);
		if (r < 0)
			return err_set(err, -EBADMSG, "%s+%#llx: a relocation of type %u that %s",
				       part->name, (unsigned long long)rela.r_offset,
				       (unsigned)ELF64_R_TYPE(rela.r_info),
				       r == -ENOTSUP ? "modules do not have" : "does not fit");
	}
	return 0;
}

/* The parts that the kernel patches by, and what it fills in itself. */
static int note_table(struct shipped *shipped, const struct elf_section *section, gva at,
		      struct err *err)
{
	int table = shipped_table_of(section->name);
	struct shipped_range range = { at, section->size_bytes };
	struct shipped_runtime *runtime;

	if (table >= 0) {
		if (shipped->table[table].size_bytes)
			return err_set(err, -EBADMSG, "two sections %s", section->name);
		shipped->table[table] = range;
	} else if (!strncmp(section->name, "runtime_", 8)) {
		runtime = vec_add(&shipped->runtime);
		if (!runtime)
			return -ENOMEM;
		snprintf(runtime->name, sizeof(runtime->name), "%s", section->name);
		runtime->range = range;
	}
	return 0;
}

static int add_parts(const struct ko *ko, struct shipped *shipped, struct err *err)
{
	for (size_t i = 1; i < ko->elf.sections.n; i++) {
		const struct elf_section *section = &ko->elf.sections.v[i];
		struct shipped_part *part;
		int r;

		if (!ko_is_loaded(section) || !section->bytes || !section->size_bytes ||
		    !ko->sections[i].placed)
			continue;
		part = shipped_add(shipped, section->name, ko->sections[i].at, section->size_bytes,
				   ko->sections[i].flags);
		if (!part)
			return -ENOMEM;
		memcpy(part->bytes, section->bytes, section->size_bytes);
		r = note_table(shipped, section, ko->sections[i].at, err);
		if (r < 0)
			return r;
	}
	return shipped_sort(shipped, err);
}

static int relocate_all(struct symbol_values *values, struct shipped *shipped, struct err *err)
{
	const struct ko *ko = values->ko;

	for (size_t i = 1; i < ko->elf.sections.n; i++) {
		const struct elf_section *table = &ko->elf.sections.v[i];
		struct shipped_part *part;
		int r;

		if (table->type != SHT_RELA && table->type != SHT_REL)
			continue;
		if (table->info >= ko->elf.sections.n)
			return err_set(err, -EBADMSG, "relocations %s of no section", table->name);
		if (!ko_is_loaded(&ko->elf.sections.v[table->info]))
			continue;
		if (!table->size_bytes)
			continue;
		if (table->type == SHT_REL || !ko->elf.sections.v[table->info].bytes ||
		    !ko->elf.sections.v[table->info].size_bytes || !table->info)
			return err_set(err, -EBADMSG, "relocations %s that modules do not have",
				       table->name);
		part = (struct shipped_part *)(uintptr_t)
			shipped_part(shipped, ko->sections[table->info].at);
		/* Section 0, which is none, may say of itself what it likes. */
		if (!part || part->size_bytes != ko->elf.sections.v[table->info].size_bytes)
			return err_set(err, -EBADMSG, "relocations %s of no section", table->name);
		r = relocate_section(values, table, part, err);
		if (r < 0)
			return r;
	}
	return 0;
}

struct named {
	const char *name;	/* without its prefix */
	gva at;
};

static int by_named(const void *a, const void *b)
{
	const struct named *x = a, *y = b;

	return strcmp(x->name, y->name);
}

struct names {
	VEC(struct named) list;
};

static int find_named(const struct ko *ko, const char *prefix, struct names *ret)
{
	for (size_t i = 0; i < ko->elf.symbols.n; i++) {
		const struct elf_symbol *symbol = &ko->elf.symbols.v[i];
		struct named *named;
		gva at;

		if (strncmp(symbol->name, prefix, strlen(prefix)) ||
		    symbol->section == SHN_UNDEF || ko_symbol_at(ko, symbol, &at, NULL) < 0)
			continue;
		named = vec_add(&ret->list);
		if (!named)
			return -ENOMEM;
		*named = (struct named){ symbol->name + strlen(prefix), at };
	}
	if (ret->list.n)
		qsort(ret->list.v, ret->list.n, sizeof(*ret->list.v), by_named);
	return 0;
}

/* DEFINE_STATIC_CALL(NAME) makes a key and a trampoline, which their names alone connect. */
static int find_trampolines(const struct ko *ko, struct shipped *shipped)
{
	struct names keys = { 0 }, codes = { 0 };
	int r;

	r = find_named(ko, "__SCK__", &keys);
	if (r >= 0)
		r = find_named(ko, "__SCT__", &codes);
	for (size_t i = 0, k = 0; r >= 0 && i < codes.list.n && k < keys.list.n;) {
		int order = by_named(&codes.list.v[i], &keys.list.v[k]);
		struct shipped_trampoline *trampoline;

		if (!order) {
			trampoline = vec_add(&shipped->trampolines);
			if (trampoline)
				*trampoline = (struct shipped_trampoline){ codes.list.v[i].at,
									   keys.list.v[k].at };
			else
				r = -ENOMEM;
		}
		i += order <= 0;
		k += order > 0;
	}
	vec_free(&keys.list);
	vec_free(&codes.list);
	return r;
}

int ko_load(const struct ko *ko, ko_resolve_fn *resolve, void *ctx, struct shipped *ret,
	    struct err *err)
{
	cleanup(freep) gva *at = calloc(ko->elf.symbols.n + 1, sizeof(*at));
	cleanup(freep) bool *known = calloc(ko->elf.symbols.n + 1, sizeof(*known));
	struct symbol_values values = { ko, resolve, ctx, at, known };
	int r;

	if (!at || !known)
		return -ENOMEM;
	r = add_parts(ko, ret, err);
	if (r >= 0)
		r = find_trampolines(ko, ret);
	return r < 0 ? r : relocate_all(&values, ret, err);
}
