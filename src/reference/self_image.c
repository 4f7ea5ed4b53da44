/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/self_image.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "linux/ftrace.h"
#include "reference/patch_inside.h"

/* Where the table of ftrace's places is said to lie: nothing of a kernel is there. */
#define MCOUNT_AT 0x1000u

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

	int r;

	if (!part)
		return err_set(err, -ENOMEM, "no memory for the kernel's image");
	r = kernel_read_image(kernel, view, kernel->text, part->bytes,
			      image->etext.v - image->text.v, err);
	if (r < 0)
		return r;
	/* What lies between was freed, and may not even be there any more. */
	size = image->rodata.v - image->text.v;
	return kernel_read_image(kernel, view, image->rodata, part->bytes + size,
				 image->erodata.v - image->rodata.v, err);
}

/* Where the kernel calls ftrace: as a table that patch_mcount() reads. */
static int add_mcount(struct self_image *image, const struct kernel *kernel, struct view *view,
		      struct err *err)
{
	struct ftrace_sites sites = {0};
	struct shipped_part *table;
	int r = ftrace_sites_read(kernel, view, &sites, err);

	if (r >= 0 && sites.list.n) {
		table = shipped_add(&image->shipped, "places of ftrace", gva_of(MCOUNT_AT),
				    sites.list.n * 8, 0);
		for (size_t i = 0; i < sites.list.n && table; i++)
			memcpy(table->bytes + i * 8, &sites.list.v[i].at.v, 8);
		image->shipped.table[TABLE_MCOUNT] =
			(struct shipped_range){ gva_of(MCOUNT_AT), sites.list.n * 8 };
		if (!table)
			r = err_set(err, -ENOMEM, "no memory for places of ftrace");
	}
	ftrace_sites_free(&sites);
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
		r = patch_without_kprobes(kernel, view, &ret->shipped, err);
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
	struct sites_at walk = {0};
	struct site site;

	while (sites_next(&image->sites, &walk, &site)) {
		uint8_t *code = shipped_at(&image->shipped, site.at, site.size_bytes);

		/* Without a tracer a place of ftrace is a NOP in every sweep. */
		if (code && site.kind != TABLE_MCOUNT)
			memset(code, 0, site.size_bytes);
	}
}
