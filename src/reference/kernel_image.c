/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/kernel_image.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "reference/patch_inside.h"
#include "reference/vmlinux.h"

static void image_free(void *state)
{
	struct kernel_image *image = state;

	if (!image)
		return;
	patcher_close(&image->patcher);
	sites_free(&image->sites);
	shipped_free(&image->shipped);
	free(image);
}

static void image_freep(struct kernel_image **image)
{
	image_free(*image);
}

/* A run of the image by two symbols: -EBADMSG where it is not inside. */
static int find_run(const struct kernel_image *image, const char *from, const char *to,
		    gva *start, gva *end, struct err *err)
{
	*start = patcher_symbol(image->patcher, from);
	*end = patcher_symbol(image->patcher, to);
	if (!start->v || end->v < start->v ||
	    !shipped_at(&image->shipped, *start, end->v - start->v))
		return err_set(err, -EBADMSG, "the reference has no run from %s to %s", from, to);
	return 0;
}

/*
 * __end_rodata is where the last page ends: behind the last constant lies what was there before
 * the kernel.
 */
static void cut_rodata(struct kernel_image *image)
{
	const struct shipped_part *part = &image->shipped.parts.v[0];
	gva end = gva_add(part->at, part->loaded_bytes);

	if (end.v >= image->ero_init.v && end.v < image->erodata.v)
		image->erodata = end;
}

static int image_make(struct kernel_image *image, const struct blob *vmlinux,
		      const struct kernel *kernel, struct view *view, struct err *err)
{
	int r;

	r = vmlinux_load(vmlinux, kernel->text, &image->shipped, err);
	if (r >= 0)
		r = patcher_open(kernel, view, &image->shipped, &image->patcher, err);
	if (r >= 0)
		r = find_run(image, "_text", "_etext", &image->text, &image->etext, err);
	if (r >= 0)
		r = find_run(image, "__start_rodata", "__end_rodata", &image->rodata,
			     &image->erodata, err);
	if (r >= 0)
		r = find_run(image, "__start_ro_after_init", "__end_ro_after_init",
			     &image->ro_init, &image->ero_init, err);
	if (r >= 0)
		cut_rodata(image);
	if (r >= 0)
		r = patch_all(image->patcher, view, &image->shipped, &image->sites, err);
	return r;
}

int kernel_image_of(struct reference *reference, const struct kernel *kernel, struct view *view,
		    const struct kernel_image **ret, struct err *err)
{
	struct reference_kept *kept = reference_kept(reference, KEEP_KERNEL);
	cleanup(image_freep) struct kernel_image *image = NULL;
	int r;

	if (kept->state) {
		*ret = kept->state;
		return 0;
	}
	image = calloc(1, sizeof(*image));
	if (!image)
		return err_set(err, -ENOMEM, "no memory for the kernel's image");
	r = image_make(image, reference_vmlinux(reference), kernel, view, err);
	if (r < 0)
		return wrap(err, r, "reference");
	kept->state = take_ptr(&image);
	kept->free = image_free;
	*ret = kept->state;
	return 0;
}

const struct symbols *kernel_image_symbols(const struct kernel_image *image)
{
	return image->patcher->symbols;
}

const struct types *kernel_image_types(const struct kernel_image *image)
{
	return image->patcher->types;
}
