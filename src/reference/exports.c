/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/exports.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "reference/elf.h"

#define ENTRY_BYTES 12u

struct export {
	const char *name;
	gva at;
};

struct exports {
	VEC(struct export) list;	/* ascending by name */
	const struct elf_section *strings;
	gva linked, text;		/* _text: in the file, and in the guest */
};

static const char *name_at(const struct exports *exports, uint64_t at)
{
	const struct elf_section *strings = exports->strings;
	uint64_t offset = at - strings->at;

	if (offset >= strings->size_bytes ||
	    !memchr(strings->bytes + offset, '\0', strings->size_bytes - offset))
		return NULL;
	return (const char *)strings->bytes + offset;
}

static int read_table(struct exports *exports, const struct elf_section *table, struct err *err)
{
	struct bytes in = bytes_of(table->bytes, table->size_bytes);

	if (table->size_bytes % ENTRY_BYTES)
		return err_set(err, -EBADMSG, "%s of %llu bytes", table->name,
			       (unsigned long long)table->size_bytes);
	while (in.left) {
		uint64_t at = table->at + (table->size_bytes - in.left);
		uint64_t value = at + (uint64_t)(int64_t)(int32_t)bytes_u32(&in);
		uint64_t name = at + 4 + (uint64_t)(int64_t)(int32_t)bytes_u32(&in);
		struct export *export = vec_add(&exports->list);

		if (!export)
			return -ENOMEM;
		(void)bytes_u32(&in);
		export->name = name_at(exports, name);
		if (!export->name)
			return err_set(err, -EBADMSG, "%s has a name outside of the strings",
				       table->name);
		export->at = gva_of(gva_is_kernel(gva_of(value)) ?
					value - exports->linked.v + exports->text.v : value);
	}
	return 0;
}

static int by_name(const void *a, const void *b)
{
	const struct export *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static int read_tables(struct exports *exports, const struct elf_file *elf, struct err *err)
{
	static const char *const names[] = { "__ksymtab", "__ksymtab_gpl" };
	const struct elf_section *text = elf_find(elf, ".text");
	int r = 0;

	exports->strings = elf_find(elf, "__ksymtab_strings");
	if (!text || !exports->strings || !exports->strings->bytes)
		return err_set(err, -ENOENT, "a kernel without exported symbols");
	exports->linked = gva_of(text->at);
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(names); i++) {
		const struct elf_section *table = elf_find(elf, names[i]);

		if (table && table->bytes)
			r = read_table(exports, table, err);
	}
	if (r >= 0 && !exports->list.n)
		r = err_set(err, -ENOENT, "a kernel without exported symbols");
	return r;
}

int exports_read(const struct blob *vmlinux, gva text, struct exports **ret, struct err *err)
{
	cleanup(exports_free) struct exports *exports = calloc(1, sizeof(*exports));
	struct elf_file elf = { 0 };
	int r;

	if (!exports)
		return -ENOMEM;
	exports->text = text;
	r = elf_read(vmlinux->data, vmlinux->size, &elf, err);
	if (r >= 0)
		r = read_tables(exports, &elf, err);
	elf_free(&elf);
	exports->strings = NULL;
	if (r < 0)
		return wrap(err, r, "exports of the kernel");
	qsort(exports->list.v, exports->list.n, sizeof(*exports->list.v), by_name);
	*ret = take_ptr(&exports);
	return 0;
}

void exports_free(struct exports **exports)
{
	if (!*exports)
		return;
	vec_free(&(*exports)->list);
	free(*exports);
	*exports = NULL;
}

int exports_find(const struct exports *exports, const char *name, gva *ret)
{
	struct export key = { .name = name };
	const struct export *found = bsearch(&key, exports->list.v, exports->list.n, sizeof(key),
					     by_name);

	if (!found)
		return -ENOENT;
	*ret = found->at;
	return 0;
}
