/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/vmlinux.h"

#include <elf.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "reference/elf.h"

#define PAGE_BYTES 4096u
#define KERNEL_MAP 0xffffffff80000000ull	/* __START_KERNEL_map */

struct loading {
	struct elf_file elf;
	const struct elf_segment *first;	/* the one that begins with _text */
	struct shipped_part *image;
	gva link;		/* where _text was linked to */
	uint64_t delta;		/* how far the guest's kernel was moved */
	struct shipped *ret;
	bool keep;		/* what is relocated, here: */
	VEC(struct relocation) kept;
};

static void loading_free(struct loading *loading)
{
	elf_free(&loading->elf);
	vec_free(&loading->kept);
}

static int find_first(struct loading *loading, struct err *err)
{
	const struct elf_file *elf = &loading->elf;

	for (size_t i = 0; i < elf->segments.n; i++) {
		const struct elf_segment *segment = &elf->segments.v[i];

		if (segment->at >= KERNEL_MAP &&
		    (!loading->first || segment->at < loading->first->at))
			loading->first = segment;
	}
	if (elf->type != ET_EXEC && elf->type != ET_DYN)
		return err_set(err, -EBADMSG, "an ELF file, but not of a kernel");
	if (!loading->first)
		return err_set(err, -EBADMSG, "no segment of it lies where kernels lie");
	loading->link = gva_of(loading->first->at);
	return 0;
}

/* Into memory of zeros; pages that have nothing else stay untouched, and cost none. */
static void copy_sparse(uint8_t *to, const uint8_t *from, uint64_t n)
{
	static const uint8_t zeros[4096];

	while (n) {
		size_t step = sizeof(zeros) - ((uintptr_t)to & (sizeof(zeros) - 1));

		if (step > n)
			step = n;
		if (memcmp(from, zeros, step) != 0)
			memcpy(to, from, step);
		to += step;
		from += step;
		n -= step;
	}
}

/*
 * All segments by their physical addresses, as they lie in memory: up to 6.14 that of the
 * per-CPU variables is linked to address 0.
 */
static int measure(const struct loading *loading, uint64_t *ret, struct err *err)
{
	const struct elf_file *elf = &loading->elf;
	uint64_t size = 0;

	for (size_t i = 0; i < elf->segments.n; i++) {
		const struct elf_segment *segment = &elf->segments.v[i];
		uint64_t from = segment->phys - loading->first->phys;

		if (from > KERNEL_IMAGE_MAX || segment->size_bytes > KERNEL_IMAGE_MAX - from)
			return err_set(err, -ELOOP, "a kernel of over %u MiB",
				       KERNEL_IMAGE_MAX >> 20);
		if (from + segment->size_bytes > size)
			size = from + segment->size_bytes;
	}
	*ret = size;
	return 0;
}

static int load_segments(struct loading *loading, gva text, struct err *err)
{
	const struct elf_file *elf = &loading->elf;
	uint64_t size;
	int r = measure(loading, &size, err);

	if (r < 0)
		return r;
	loading->image = shipped_add(loading->ret, "image", text, size, PART_EXEC);
	if (!loading->image)
		return err_set(err, -ENOMEM, "no memory for a kernel of %" PRIu64 " bytes", size);
	loading->image->loaded_bytes = loading->first->file_bytes;
	for (size_t i = 0; i < elf->segments.n; i++) {
		const struct elf_segment *segment = &elf->segments.v[i];

		if (segment->file_bytes)
			copy_sparse(loading->image->bytes + (segment->phys - loading->first->phys),
			       segment->bytes, segment->file_bytes);
	}
	return 0;
}

static void add_tables(struct loading *loading)
{
	for (size_t i = 1; i < loading->elf.sections.n; i++) {
		const struct elf_section *section = &loading->elf.sections.v[i];
		struct shipped_range range = {
			gva_of(section->at + loading->delta), section->size_bytes,
		};
		int table = shipped_table_of(section->name);

		if (table >= 0)
			loading->ret->table[table] = range;
	}
}

static int add_runtime(struct loading *loading, struct err *err)
{
	for (size_t i = 1; i < loading->elf.sections.n; i++) {
		const struct elf_section *section = &loading->elf.sections.v[i];
		struct shipped_runtime *runtime;

		if (strncmp(section->name, "runtime_", strlen("runtime_")))
			continue;
		runtime = vec_add(&loading->ret->runtime);
		if (!runtime)
			return err_set(err, -ENOMEM, "no memory for sections");
		snprintf(runtime->name, sizeof(runtime->name), "%s", section->name);
		runtime->range.at = gva_of(section->at + loading->delta);
		runtime->range.size_bytes = section->size_bytes;
	}
	return 0;
}

/* --- relocations: arch/x86/tools/relocs.c writes them behind the file --- */

/* Three lists, each preceded by a 0, the second of which is gone since 6.15. */
enum { LIST_64, LIST_INVERSE, LIST_32, LISTS };

static int relocate_at(struct loading *loading, int32_t where, unsigned kind, struct err *err)
{
	uint64_t offset = (uint64_t)(int64_t)where - loading->link.v;
	uint64_t size = kind == LIST_64 ? 8 : 4, value = 0;
	struct relocation *kept;

	if (offset > loading->image->size_bytes || size > loading->image->size_bytes - offset)
		return err_set(err, -EBADMSG, "a relocation lies outside of the kernel");
	memcpy(&value, loading->image->bytes + offset, size);
	value += kind == LIST_INVERSE ? -loading->delta : loading->delta;
	memcpy(loading->image->bytes + offset, &value, size);
	if (!loading->keep)
		return 0;
	kept = vec_add(&loading->kept);
	if (!kept)
		return err_set(err, -ENOMEM, "no memory for relocations");
	*kept = (struct relocation){ (uint32_t)offset, (uint8_t)size, kind == LIST_INVERSE };
	return 0;
}

/* Where the lists begin, from the end of the file on: the number of them, or -EBADMSG. */
static int find_lists(const int32_t *words, size_t n, size_t start[LISTS], struct err *err)
{
	size_t zeros[LISTS];
	int found = 0;

	for (size_t i = n; i-- > 0 && found < LISTS;)
		if (!words[i])
			zeros[found++] = i;
	if (found < 2)
		return err_set(err, -EBADMSG, "the relocations behind the file are damaged");
	start[LIST_32] = zeros[0] + 1;
	start[LIST_INVERSE] = found == LISTS ? zeros[1] + 1 : zeros[0];
	start[LIST_64] = zeros[found - 1] + 1;
	return found;
}

static int relocate(struct loading *loading, struct err *err)
{
	const struct elf_file *elf = &loading->elf;
	size_t n = elf->headers_end < elf->size ? (elf->size - elf->headers_end) / 4 : 0;
	cleanup(freep) int32_t *words = malloc(n * 4 + 4);
	size_t start[LISTS] = {0}, end[LISTS];
	int r;

	if (!words)
		return err_set(err, -ENOMEM, "no memory for relocations");
	if (n < 2)
		return !loading->delta ? 0 :
			err_set(err, -ENOTSUP, "this vmlinux has no relocations behind it, and "
				"the guest's kernel is not where it was linked to: take the "
				"vmlinuz of the package");
	memcpy(words, elf->data + elf->size - n * 4, n * 4);
	r = find_lists(words, n, start, err);
	if (r < 0)
		return r;
	end[LIST_32] = n;
	end[LIST_INVERSE] = start[LIST_32] - 1;
	end[LIST_64] = (r == LISTS ? start[LIST_INVERSE] : start[LIST_32]) - 1;
	r = 0;
	for (unsigned kind = 0; kind < LISTS; kind++)
		for (size_t i = start[kind]; i < end[kind] && r >= 0; i++)
			r = relocate_at(loading, words[i], kind, err);
	return r;
}

int vmlinux_load(const struct blob *vmlinux, gva text, struct shipped *ret,
		 struct relocations *relocations, struct err *err)
{
	cleanup(loading_free) struct loading loading = {
		.ret = ret, .keep = relocations,
	};
	int r;

	r = elf_read(vmlinux->data, vmlinux->size, &loading.elf, err);
	if (r >= 0)
		r = find_first(&loading, err);
	if (r < 0)
		return r;
	loading.delta = text.v - loading.link.v;
	r = load_segments(&loading, text, err);
	if (r >= 0)
		r = relocate(&loading, err);
	if (r < 0)
		return r;
	if (relocations)
		r = relocations_pack(loading.kept.v, loading.kept.n, relocations, err);
	if (r < 0)
		return r;
	add_tables(&loading);
	return add_runtime(&loading, err);
}

/* --- as it lies in the file --- */

/* Of a segment what whole pages have is mapped, the rest copied. 0, or an errno of @map. */
static int put_segment(const struct elf_file *elf, const struct elf_segment *segment,
			map_fn *map, void *ctx, uint8_t *to)
{
	uint64_t lead = -(uintptr_t)to & (PAGE_BYTES - 1), offset, whole;
	int r;

	if (lead > segment->file_bytes)
		lead = segment->file_bytes;
	whole = (segment->file_bytes - lead) & ~(uint64_t)(PAGE_BYTES - 1);
	offset = (uint64_t)(segment->bytes - elf->data) + lead;
	r = !whole || offset % PAGE_BYTES ? -ENOTSUP : map(ctx, offset, whole, to + lead);
	if (r == -ENOTSUP)
		whole = 0;
	else if (r < 0)
		return r;
	copy_sparse(to, segment->bytes, lead);
	copy_sparse(to + lead + whole, segment->bytes + lead + whole,
		    segment->file_bytes - lead - whole);
	return 0;
}

static int put_segments(const struct loading *loading, map_fn *map, void *ctx, uint8_t *to,
			struct err *err)
{
	const struct elf_file *elf = &loading->elf;
	int r = 0;

	for (size_t i = 0; i < elf->segments.n && r >= 0; i++) {
		const struct elf_segment *segment = &elf->segments.v[i];

		if (segment->file_bytes)
			r = put_segment(elf, segment, map, ctx,
					to + (segment->phys - loading->first->phys));
	}
	return r < 0 ? err_set(err, r, "the kernel's image: %s", strerror(-r)) : 0;
}

int vmlinux_pristine(const struct blob *vmlinux, map_fn *map, void *ctx, struct pristine *ret,
		     struct err *err)
{
	cleanup(loading_free) struct loading loading = {0};
	uint64_t size;
	uint8_t *bytes;
	int r;

	r = elf_read(vmlinux->data, vmlinux->size, &loading.elf, err);
	if (r >= 0)
		r = find_first(&loading, err);
	if (r >= 0)
		r = measure(&loading, &size, err);
	if (r < 0)
		return r;
	bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (bytes == MAP_FAILED)
		return err_set(err, -ENOMEM, "no memory for a kernel of %" PRIu64 " bytes", size);
	r = put_segments(&loading, map, ctx, bytes, err);
	if (r >= 0 && mprotect(bytes, size, PROT_READ) < 0)
		r = err_set(err, -errno, "the kernel's image: %s", strerror(errno));
	if (r < 0) {
		munmap(bytes, size);
		return r;
	}
	*ret = (struct pristine){ loading.link, bytes, size };
	return 0;
}

void pristine_free(struct pristine *pristine)
{
	if (pristine->bytes)
		munmap(pristine->bytes, pristine->size_bytes);
	*pristine = (struct pristine){0};
}
