/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/self_image.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "linux/kprobe.h"
#include "reference/patch_inside.h"

/* Where the table of ftrace's places is said to lie: nothing of a kernel is there. */
#define MCOUNT_AT 0x1000u

struct ftrace_fields {
	struct field next, records, index, record, ip;
};

static const struct member ftrace_members[] = {
	MEMBER(struct ftrace_fields, next, "ftrace_page.next"),
	MEMBER(struct ftrace_fields, records, "ftrace_page.records"),
	MEMBER(struct ftrace_fields, index, "ftrace_page.index"),
	MEMBER(struct ftrace_fields, record, "dyn_ftrace"),
	MEMBER(struct ftrace_fields, ip, "dyn_ftrace.ip"),
};
LAYOUT(ftrace_layout, struct ftrace_fields, ftrace_members);

static int find(const struct kernel *kernel, const char *name, gva *ret, struct err *err)
{
	int r = kernel_symbol(kernel, name, ret, err);

	if (r >= 0 && (ret->v < kernel->text.v || ret->v > kernel->end.v))
		r = err_set(err, -EBADMSG, "%s is outside of the kernel's image", name);
	return r;
}

static int find_runs(struct self_image *image, const struct kernel *kernel, struct err *err)
{
	const struct { const char *name; gva *at; } runs[] = {
		{ "_text", &image->text }, { "_etext", &image->etext },
		{ "__start_rodata", &image->rodata }, { "__end_rodata", &image->erodata },
		{ "__start_ro_after_init", &image->ro_init },
		{ "__end_ro_after_init", &image->ero_init },
	};
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(runs) && r >= 0; i++)
		r = find(kernel, runs[i].name, runs[i].at, err);
	if (r < 0)
		return r;
	image->etext.v = (image->etext.v + GUEST_PAGE_MASK) & ~(uint64_t)GUEST_PAGE_MASK;
	if (image->text.v != kernel->text.v || image->etext.v <= image->text.v ||
	    image->rodata.v < image->etext.v || image->ro_init.v < image->rodata.v ||
	    image->ero_init.v < image->ro_init.v || image->erodata.v < image->ero_init.v)
		return err_set(err, -EBADMSG, "the parts of the kernel's image are in disorder");
	return 0;
}

/* The image up to the end of its constants; tables and keys that are behind it stay there. */
static int read_image(struct self_image *image, const struct kernel *kernel, struct view *view,
		      struct err *err)
{
	uint64_t size = image->erodata.v - image->text.v;
	struct shipped_part *part = shipped_add(&image->shipped, "image", image->text, size,
						PART_EXEC);

	if (!part)
		return err_set(err, -ENOMEM, "no memory for the kernel's image");
	return view_read_phys(view, kernel->image, part->bytes, size, err);
}

/* One block of ftrace's records into the table. */
static int add_records(struct view *view, const struct ftrace_fields *f, gva records, uint64_t n,
		       struct shipped_part *table, uint64_t *used, struct err *err)
{
	size_t each = f->record.size_bytes;
	cleanup(freep) uint8_t *copy = NULL;
	int r;

	if (n > (table->size_bytes - *used) / 8 || each < 8 || each > 64)
		return err_set(err, -ELOOP, "over %u places of ftrace", FTRACE_SITES_MAX);
	if (!n)
		return 0;
	copy = malloc(n * each);
	if (!copy)
		return err_set(err, -ENOMEM, "no memory for places of ftrace");
	r = view_read(view, records, copy, n * each, err);
	for (uint64_t i = 0; i < n && r >= 0; i++, *used += 8)
		memcpy(table->bytes + *used, copy + i * each + f->ip.at, 8);
	return r;
}

/*
 * Where the kernel calls ftrace: what it was linked with is gone after boot, but ftrace keeps a
 * record of each place (struct ftrace_page).
 */
static int add_mcount(struct self_image *image, const struct kernel *kernel, struct view *view,
		      struct err *err)
{
	gva at = symbols_lookup(kernel->symbols, "ftrace_pages_start"), records;
	const struct ftrace_fields *f;
	struct shipped_part *table;
	uint64_t used = 0, n;
	int r;

	if (!at.v)
		return 0;	/* without CONFIG_DYNAMIC_FTRACE */
	r = types_layout(kernel->types, &ftrace_layout, (const void **)&f, err);
	if (r < 0)
		return r;
	table = shipped_add(&image->shipped, "places of ftrace", gva_of(MCOUNT_AT),
			    FTRACE_SITES_MAX * 8ull, 0);
	if (!table)
		return err_set(err, -ENOMEM, "no memory for places of ftrace");
	r = view_ptr(view, at, &at, err);
	for (unsigned pages = 0; r >= 0 && at.v; pages++) {
		if (pages == FTRACE_SITES_MAX)
			return fail(err, -ELOOP, at, "over %u blocks of ftrace", pages);
		r = field_read(view, at, &f->index, &n, err);
		if (r >= 0)
			r = field_ptr(view, at, &f->records, &records, err);
		if (r >= 0)
			r = add_records(view, f, records, n, table, &used, err);
		if (r >= 0)
			r = field_ptr(view, at, &f->next, &at, err);
	}
	image->shipped.table[TABLE_MCOUNT] = (struct shipped_range){ gva_of(MCOUNT_AT), used };
	return r;
}

/* What probes took the place of is what the code is. */
static int undo_kprobes(struct self_image *image, const struct kernel *kernel, struct view *view,
			struct err *err)
{
	struct kprobes kprobes = {0};
	int r = kprobes_read(kernel, view, &kprobes, err);

	for (size_t i = 0; r >= 0 && i < kprobes.list.n; i++) {
		const struct kprobe *kprobe = &kprobes.list.v[i];
		size_t n = kprobe->optimized ? KPROBE_JUMP_BYTES : 1;
		uint8_t *code = shipped_at(&image->shipped, kprobe->address, n);

		if (code && (*code == OP_INT3 || (kprobe->optimized && *code == OP_JMP)))
			memcpy(code, kprobe->original, n);
	}
	kprobes_free(&kprobes);
	return r;
}

static int add_tables(struct self_image *image, const struct kernel *kernel, struct view *view,
		      struct err *err)
{
	int r = add_mcount(image, kernel, view, err);
	struct shipped_range mcount = image->shipped.table[TABLE_MCOUNT];

	if (r < 0)
		return r;
	r = shipped_sort(&image->shipped, err);
	if (r < 0)
		return r;
	patch_find_tables(image->patcher, &image->shipped);
	/* Its symbols surround memory that was freed. */
	image->shipped.table[TABLE_MCOUNT] = mcount;
	return 0;
}

int self_image_make(const struct kernel *kernel, struct view *view, struct self_image *ret,
		    struct err *err)
{
	struct patcher like = {
		.symbols = kernel->symbols, .types = kernel->types, .vmlinux = &ret->shipped,
	};
	int r;

	r = find_runs(ret, kernel, err);
	if (r >= 0)
		r = read_image(ret, kernel, view, err);
	if (r >= 0)
		r = patcher_open(kernel, view, &ret->shipped, &like, &ret->patcher, err);
	if (r >= 0)
		r = add_tables(ret, kernel, view, err);
	if (r >= 0)
		r = undo_kprobes(ret, kernel, view, err);
	if (r >= 0)
		r = patch_all(ret->patcher, view, &ret->shipped, &ret->sites, err);
	return r;
}

void self_image_free(struct self_image *image)
{
	patcher_close(&image->patcher);
	sites_free(&image->sites);
	shipped_free(&image->shipped);
}

void self_image_blank(struct self_image *image)
{
	for (size_t i = 0; i < image->sites.list.n; i++) {
		const struct site *site = &image->sites.list.v[i];
		uint8_t *code = shipped_at(&image->shipped, site->at, site->size_bytes);

		/* Without a tracer a place of ftrace is a NOP in every sweep. */
		if (code && site->kind != TABLE_MCOUNT)
			memset(code, 0, site->size_bytes);
	}
}
