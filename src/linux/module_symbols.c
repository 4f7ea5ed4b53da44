/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/module_symbols.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"

#define STRINGS_CHUNK 4096u
#define NAME_MAX_BYTES 4096u	/* of one name; KSYM_NAME_LEN is 512 */

struct table_fields {
	struct field kallsyms, symtab, count, strtab, typetab;
};

static const struct member table_members[] = {
	MEMBER(struct table_fields, kallsyms, "module.kallsyms"),
	MEMBER(struct table_fields, symtab, "mod_kallsyms.symtab"),
	MEMBER(struct table_fields, count, "mod_kallsyms.num_symtab"),
	MEMBER(struct table_fields, strtab, "mod_kallsyms.strtab"),
	/* 1c7651f43777 (5.2); before, the letter took the place of st_info. */
	MEMBER_OPTIONAL(struct table_fields, typetab, "mod_kallsyms.typetab"),
};
LAYOUT(table_layout, struct table_fields, table_members);

struct module_symbols {
	Elf64_Sym *symbols;	/* named and defined ones only */
	char *letters;
	uint32_t *by_address;
	size_t n;
	char *names;		/* of names_bytes, the last of them 0 */
	size_t names_bytes;
};

/* What the guest says of its table. */
struct table {
	gva symtab, strtab, typetab;
	uint64_t n;
};

static int read_table(const struct kernel *kernel, struct view *view,
		      const struct module_info *module, struct table *ret, struct err *err)
{
	const struct table_fields *f;
	gva at;
	int r;

	r = types_layout(kernel->types, &table_layout, (const void **)&f, err);
	if (r >= 0)
		r = field_ptr(view, module->at, &f->kallsyms, &at, err);
	if (r < 0)
		return r;
	if (!at.v)
		return fail(err, -ENOENT, module->at, "module without a symbol table");
	r = field_ptr(view, at, &f->symtab, &ret->symtab, err);
	if (r >= 0)
		r = field_read(view, at, &f->count, &ret->n, err);
	if (r >= 0)
		r = field_ptr(view, at, &f->strtab, &ret->strtab, err);
	ret->typetab.v = 0;
	if (r >= 0 && f->typetab.there)
		r = field_ptr(view, at, &f->typetab, &ret->typetab, err);
	if (r < 0)
		return r;
	if (!ret->n)
		return fail(err, -ENOENT, at, "module without symbols");
	if (ret->n > MODULE_SYMBOLS_MAX)
		return fail(err, -ELOOP, at, "module with over %u symbols", MODULE_SYMBOLS_MAX);
	return 0;
}

/*
 * The names have no length of their own: they end with the terminator of the one that
 * begins last. Every offset is thus inside, and every name is terminated.
 */
static int read_names(struct view *view, gva strtab, const Elf64_Sym *symbols, size_t n,
		      struct module_symbols *table, struct err *err)
{
	size_t last = 0, have = 0, size;
	int r;

	for (size_t i = 0; i < n; i++)
		if (symbols[i].st_name > last)
			last = symbols[i].st_name;
	for (;;) {
		size_t more = STRINGS_CHUNK - ((strtab.v + have) & (STRINGS_CHUNK - 1));
		char *bigger;

		if (have < last && more < last - have)
			more = last - have;
		if (more > MODULE_STRINGS_MAX - have)
			return fail(err, -ELOOP, strtab, "over %u bytes of symbol names",
				    MODULE_STRINGS_MAX);
		size = have + more;
		bigger = realloc(table->names, size);
		if (!bigger)
			return -ENOMEM;
		table->names = bigger;
		r = view_read(view, gva_add(strtab, have), bigger + have, more, err);
		if (r < 0)
			return r;
		have = size;
		if (have > last && memchr(bigger + last, '\0', have - last))
			break;
	}
	table->names_bytes = have;
	return 0;
}

static int address_order(const void *a, const void *b, void *ctx)
{
	const struct module_symbols *table = ctx;
	const uint32_t *i = a, *j = b;
	const Elf64_Sym *x = &table->symbols[*i], *y = &table->symbols[*j];

	if (x->st_value != y->st_value)
		return x->st_value < y->st_value ? -1 : 1;
	/* Of several at one address the one to show comes last: the one with a size. */
	if (x->st_size != y->st_size)
		return x->st_size < y->st_size ? -1 : 1;
	return (*i > *j) - (*i < *j);
}

/* kernel/module/kallsyms.c, elf_type(): the letters of code. */
static bool is_code(char letter)
{
	return letter == 't' || letter == 'T' || letter == 'w' || letter == 'W';
}

static int keep_named(struct module_symbols *table, size_t n, struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		size_t len = strnlen(table->names + table->symbols[i].st_name, NAME_MAX_BYTES);

		/* All of them may share one name of 16 MB. */
		if (len == NAME_MAX_BYTES)
			return err_set(err, -EBADMSG, "symbol %zu has a name without end", i);
		if (!len || table->symbols[i].st_shndx == SHN_UNDEF)
			continue;
		table->symbols[table->n] = table->symbols[i];
		table->letters[table->n] = table->letters[i];
		table->by_address[table->n] = (uint32_t)table->n;
		table->n++;
	}
	qsort_r(table->by_address, table->n, sizeof(*table->by_address), address_order, table);
	return 0;
}

int module_symbols_read(const struct kernel *kernel, struct view *view,
			const struct module_info *module, struct module_symbols **ret,
			struct err *err)
{
	cleanup(module_symbols_free) struct module_symbols *table = calloc(1, sizeof(*table));
	struct table where;
	int r;

	if (!table)
		return -ENOMEM;
	r = read_table(kernel, view, module, &where, err);
	if (r < 0)
		return r;
	table->symbols = calloc(where.n, sizeof(*table->symbols));
	table->letters = calloc(where.n, sizeof(*table->letters));
	table->by_address = calloc(where.n, sizeof(*table->by_address));
	if (!table->symbols || !table->letters || !table->by_address)
		return -ENOMEM;
	r = view_read(view, where.symtab, table->symbols, where.n * sizeof(*table->symbols), err);
	if (r >= 0 && where.typetab.v)
		r = view_read(view, where.typetab, table->letters, where.n, err);
	if (r >= 0)
		r = read_names(view, where.strtab, table->symbols, where.n, table, err);
	if (r < 0)
		return wrap(err, r, "symbols of the module at %#llx",
			    (unsigned long long)module->at.v);
	if (!where.typetab.v)
		for (size_t i = 0; i < where.n; i++)
			table->letters[i] = (char)table->symbols[i].st_info;
	r = keep_named(table, where.n, err);
	if (r < 0)
		return wrap(err, r, "symbols of the module at %#llx",
			    (unsigned long long)module->at.v);
	*ret = take_ptr(&table);
	return 0;
}

void module_symbols_free(struct module_symbols **symbols)
{
	if (!*symbols)
		return;
	free((*symbols)->symbols);
	free((*symbols)->letters);
	free((*symbols)->by_address);
	free((*symbols)->names);
	free(*symbols);
	*symbols = NULL;
}

size_t module_symbols_count(const struct module_symbols *symbols)
{
	return symbols->n;
}

struct module_symbol module_symbols_get(const struct module_symbols *symbols, size_t i)
{
	const Elf64_Sym *symbol = &symbols->symbols[i];

	return (struct module_symbol){
		.at = gva_of(symbol->st_value),
		.size_bytes = symbol->st_size,
		.type = symbols->letters[i],
		.is_code = is_code(symbols->letters[i]),
		.name = symbols->names + symbol->st_name,
	};
}

int module_symbols_at(const struct module_symbols *symbols, gva at, struct module_symbol *ret)
{
	size_t low = 0, high = symbols->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (symbols->symbols[symbols->by_address[mid]].st_value <= at.v)
			low = mid + 1;
		else
			high = mid;
	}
	if (!low)
		return -ENOENT;
	*ret = module_symbols_get(symbols, symbols->by_address[low - 1]);
	return 0;
}
