/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/kernel_image.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "reference/patch_inside.h"
#include "reference/profile.h"
#include "reference/vmlinux.h"

#define CHUNK_BYTES (64u << 10)
/* A guest that differs by more has another CPU: it gets an image that others like it share. */
#define OWN_BYTES_MAX (256u << 10)

/* What guests with the same build share: the image of the first one, as that one has it. */
struct kernel_base {
	struct kernel_base *next;
	unsigned users;
	char build_id[41];
	struct shipped shipped;		/* its bytes are those of pristine, once it is folded */
	struct pristine pristine;
	struct overlay patched;		/* … which patching made others, before they are moved */
	struct sites sites;
	struct relocations relocations;
	struct patcher *patcher;	/* owns symbols and types */
	VEC(uint32_t) pointers;		/* see kernel_image_pointers() */
	uint8_t room[KERNEL_CHUNK_BYTES + KERNEL_PART_BYTES(KERNEL_CHUNK_BYTES)];
};

/* Of this process: a guest's scanner has one, a program that sweeps many guests shares it. */
static struct kernel_base *bases;

static void base_free(struct kernel_base *base)
{
	if (!base)
		return;
	patcher_close(&base->patcher);
	sites_free(&base->sites);
	relocations_free(&base->relocations);
	vec_free(&base->pointers);
	shipped_free(&base->shipped);
	overlay_free(&base->patched);
	pristine_free(&base->pristine);
	free(base);
}

static void base_freep(struct kernel_base **base)
{
	base_free(*base);
}

static void base_put(struct kernel_base *base)
{
	struct kernel_base **link = &bases;

	if (!base || --base->users)
		return;
	while (*link != base)
		link = &(*link)->next;
	*link = base->next;
	base_free(base);
}

static struct kernel_base *base_find(const char *build_id, struct kernel_base *after)
{
	struct kernel_base *base = after ? after->next : bases;

	while (base && strcmp(base->build_id, build_id) != 0)
		base = base->next;
	return *build_id ? base : NULL;
}

static void image_free(void *state)
{
	struct kernel_image *image = state;

	if (!image)
		return;
	patcher_close(&image->patcher);
	overlay_free(&image->own);
	vec_free(&image->shipped.parts);
	base_put(image->base);
	free(image);
}

static void image_freep(struct kernel_image **image)
{
	image_free(*image);
}

/* --- making one --- */

/* A pointer in the data that leads to a function moves with the image. */
static int find_pointers(struct kernel_base *base, struct err *err)
{
	const struct shipped_part *part = &base->shipped.parts.v[0];
	uint64_t data = patcher_symbol(base->patcher, "_sdata").v - part->at.v;
	uint64_t edata = patcher_symbol(base->patcher, "_edata").v - part->at.v;
	uint64_t init = patcher_symbol(base->patcher, "__start_ro_after_init").v - part->at.v;
	uint64_t einit = patcher_symbol(base->patcher, "__end_ro_after_init").v - part->at.v;
	struct relocations_at walk = {0};
	struct relocation relocation;

	while (relocations_next(&base->relocations, &walk, &relocation)) {
		uint32_t at = relocation.at, *slot;
		gva target;

		if (relocation.size_bytes != 8 || at > part->size_bytes - 8 ||
		    !((at >= data && at < edata) || (at >= init && at < einit)))
			continue;
		memcpy(&target.v, part->bytes + at, 8);
		if (!patcher_is_function(base->patcher, target))
			continue;
		slot = vec_add(&base->pointers);
		if (!slot)
			return err_set(err, -ENOMEM, "no memory for the kernel's pointers");
		*slot = at;
	}
	return 0;
}

/* The image of a guest by itself: all that base_free() frees is its own. */
static int make_base(const struct reference *reference, const struct kernel *kernel,
		     struct view *view, const struct patcher *like, struct kernel_base **ret,
		     struct err *err)
{
	cleanup(base_freep) struct kernel_base *base = calloc(1, sizeof(*base));
	const struct profile *profile;
	int r;

	if (!base)
		return err_set(err, -ENOMEM, "no memory for the kernel's image");
	snprintf(base->build_id, sizeof(base->build_id), "%s", kernel->build_id);
	profile = base->shipped.profile = reference_profile(reference);
	if (profile && !like) {
		base->relocations = profile->relocations;
		base->relocations.borrowed = true;
	}
	r = vmlinux_load(reference_vmlinux(reference), kernel->text, &base->shipped,
			 like || profile ? NULL : &base->relocations, err);
	if (r >= 0)
		r = patcher_open(kernel, view, &base->shipped, like, &base->patcher, err);
	if (r < 0)
		return r;
	patch_find_tables(base->patcher, &base->shipped);
	r = patch_all(base->patcher, view, &base->shipped, &base->sites, err);
	if (r >= 0)
		r = find_pointers(base, err);
	if (r >= 0)
		*ret = take_ptr(&base);
	return r;
}

static int map_file(void *ctx, uint64_t from, size_t n, void *at)
{
	return reference_map_vmlinux(ctx, from, n, at);
}

/*
 * From now on only what was patched is kept, with the image as it was linked: so nothing of it
 * depends on where this guest has it, and what is not patched need not be our own.
 */
static int fold(struct kernel_base *base, struct reference *reference, struct err *err)
{
	struct shipped_part *part = &base->shipped.parts.v[0];
	struct pristine *pristine = &base->pristine;
	uint64_t moved;
	int r = vmlinux_pristine(reference_vmlinux(reference), map_file, reference, pristine, err);

	if (r < 0)
		return r;
	moved = part->at.v - pristine->text.v;
	relocations_apply(&base->relocations, 0, part->bytes, part->size_bytes, -moved);
	for (uint64_t from = 0; from < part->size_bytes && r >= 0; from += OVERLAY_PAGE_BYTES)
		r = overlay_add(&base->patched, pristine->bytes + from, part->bytes + from,
				part->size_bytes - from < OVERLAY_PAGE_BYTES ?
				part->size_bytes - from : OVERLAY_PAGE_BYTES);
	if (r < 0)
		return err_set(err, r, "no memory for the kernel's image");
	overlay_settle(&base->patched);
	free(part->bytes);
	part->bytes = pristine->bytes;
	base->shipped.borrowed = true;
	base->shipped.moved = moved;
	return 0;
}

/* A copy of the base's bytes becomes what this guest should have. */
static void finish(const struct shipped *shipped, uint64_t from, uint8_t *bytes, size_t n)
{
	const struct kernel_image *image = (const struct kernel_image *)
		((const char *)shipped - offsetof(struct kernel_image, shipped));

	overlay_apply(&image->base->patched, from, bytes, n);
	relocations_apply(&image->base->relocations, from, bytes, n, shipped->moved);
	overlay_apply(&image->own, from, bytes, n);
}

/* @image becomes a user of @base, whose image lies @moved bytes lower. */
static int use_base(struct kernel_image *image, struct kernel_base *base, uint64_t moved,
		    struct err *err)
{
	const struct shipped_part *part = &base->shipped.parts.v[0];
	struct shipped_part *own = vec_add(&image->shipped.parts);

	if (!own)
		return err_set(err, -ENOMEM, "no memory for the kernel's image");
	*own = *part;
	own->at = gva_add(part->at, moved);
	memcpy(image->shipped.table, base->shipped.table, sizeof(image->shipped.table));
	for (size_t i = 0; i < SHIPPED_TABLES; i++)
		image->shipped.table[i].at = gva_add(image->shipped.table[i].at, moved);
	image->base = base;
	image->shipped.moved = base->shipped.moved + moved;
	image->shipped.borrowed = true;
	image->shipped.finish = finish;
	image->sites = base->sites;
	image->sites.moved = moved;
	image->sites.borrowed = true;
	return 0;
}

/*
 * What @full has and the shared image, moved to its place, does not.
 * Return: 0, -ELOOP (so much that it is no use to share), -ENOMEM.
 */
static int find_own(struct kernel_image *image, const struct shipped_part *full, struct err *err)
{
	cleanup(freep) uint8_t *room = malloc(KERNEL_PART_BYTES(CHUNK_BYTES));
	struct overlay own = {0};
	int r = room ? 0 : -ENOMEM;

	for (uint64_t from = 0; from < full->size_bytes && r >= 0; from += CHUNK_BYTES) {
		size_t n = full->size_bytes - from < CHUNK_BYTES ? full->size_bytes - from
								 : CHUNK_BYTES;
		struct shipped_part part;
		const uint8_t *moved;

		r = kernel_image_part(image, gva_add(full->at, from), n, room, &part);
		if (r < 0)
			break;
		moved = part.bytes + (full->at.v + from - part.at.v);
		for (size_t i = 0; i < n && r >= 0; i += OVERLAY_PAGE_BYTES)
			r = overlay_add(&own, moved + i, full->bytes + from + i,
					n - i < OVERLAY_PAGE_BYTES ? n - i : OVERLAY_PAGE_BYTES);
		if (r >= 0 && overlay_bytes(&own) > OWN_BYTES_MAX)
			r = -ELOOP;
	}
	if (r == -ENOMEM)
		err_set(err, r, "no memory for the kernel's image");
	if (r < 0) {
		overlay_free(&own);
		return r;
	}
	overlay_settle(&own);
	image->own = own;
	return 0;
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

static int find_runs(struct kernel_image *image, struct err *err)
{
	int r;

	r = find_run(image, "_text", "_etext", &image->text, &image->etext, err);
	if (r >= 0)
		r = find_run(image, "__start_rodata", "__end_rodata", &image->rodata,
			     &image->erodata, err);
	if (r >= 0)
		r = find_run(image, "__start_ro_after_init", "__end_ro_after_init",
			     &image->ro_init, &image->ero_init, err);
	if (r >= 0)
		cut_rodata(image);
	return r;
}

/* A guest that has the image of @base, and little else. As find_own(). */
static int share(struct kernel_base *base, const struct reference *reference,
		 const struct kernel *kernel, struct view *view, struct kernel_image **ret,
		 struct err *err)
{
	cleanup(image_freep) struct kernel_image *image = calloc(1, sizeof(*image));
	uint64_t moved = kernel->text.v - base->shipped.parts.v[0].at.v;
	cleanup(base_freep) struct kernel_base *full = NULL;
	int r;

	if (!image)
		return err_set(err, -ENOMEM, "no memory for the kernel's image");
	r = make_base(reference, kernel, view, base->patcher, &full, err);
	if (r >= 0 && !sites_same(&base->sites, &full->sites, moved))
		r = -ELOOP;
	if (r >= 0)
		r = use_base(image, base, moved, err);
	if (r < 0)
		return r;
	base->users++;
	r = find_own(image, &full->shipped.parts.v[0], err);
	if (r < 0)
		return r;
	image->patcher = take_ptr(&full->patcher);
	patcher_move(image->patcher, &image->shipped);
	r = find_runs(image, err);
	if (r >= 0)
		*ret = take_ptr(&image);
	return r;
}

/* The first guest of its kind. */
static int found(struct reference *reference, const struct kernel *kernel, struct view *view,
		 struct kernel_image **ret, struct err *err)
{
	cleanup(image_freep) struct kernel_image *image = calloc(1, sizeof(*image));
	struct kernel_base *base;
	int r;

	if (!image)
		return err_set(err, -ENOMEM, "no memory for the kernel's image");
	r = make_base(reference, kernel, view, NULL, &base, err);
	if (r < 0)
		return r;
	base->next = bases;
	bases = base;
	base->users = 1;
	image->base = base;
	r = fold(base, reference, err);
	if (r >= 0)
		r = use_base(image, base, 0, err);
	if (r >= 0)
		r = patcher_copy(base->patcher, &image->shipped, &image->patcher);
	/* Each guest has its own; these were to be copied. */
	vec_free(&base->patcher->keys);
	vec_settle(&base->pointers);
	if (r >= 0)
		r = find_runs(image, err);
	if (r >= 0)
		*ret = take_ptr(&image);
	return r;
}

int kernel_image_of(struct reference *reference, const struct kernel *kernel, struct view *view,
		    const struct kernel_image **ret, struct err *err)
{
	struct reference_kept *kept = reference_kept(reference, KEEP_KERNEL);
	struct kernel_image *image = NULL;
	int r = -ELOOP;

	if (kept->state) {
		*ret = kept->state;
		return 0;
	}
	for (struct kernel_base *base = base_find(kernel->build_id, NULL); base && r == -ELOOP;
	     base = base_find(kernel->build_id, base))
		r = share(base, reference, kernel, view, &image, err);
	if (r == -ELOOP)
		r = found(reference, kernel, view, &image, err);
	if (r < 0)
		return wrap(err, r, "reference");
	reference_release_vmlinux(reference);
	kept->state = image;
	kept->free = image_free;
	*ret = image;
	return 0;
}

/* --- using one --- */

int kernel_image_part(const struct kernel_image *image, gva from, size_t n, uint8_t *room,
		      struct shipped_part *ret)
{
	const struct shipped_part *part = &image->shipped.parts.v[0];
	uint64_t at = from.v - part->at.v, lead, rest;
	size_t bytes;

	if (at > part->size_bytes || n > part->size_bytes - at)
		return -EINVAL;
	*ret = *part;
	/* Numbers that straddle the ends are moved as well, in a margin that is cut off. */
	lead = at < KERNEL_LEAD_BYTES + 8 ? at : KERNEL_LEAD_BYTES + 8;
	rest = part->size_bytes - at - n < 8 ? part->size_bytes - at - n : 8;
	bytes = lead + n + rest;
	memcpy(room, part->bytes + (at - lead), bytes);
	finish(&image->shipped, at - lead, room, bytes);
	ret->at = gva_sub(from, lead);
	ret->bytes = room;
	ret->size_bytes = lead + n;
	if (lead > 8) {		/* the number at the very start was not moved */
		ret->at = gva_add(ret->at, 8);
		ret->bytes += 8;
		ret->size_bytes -= 8;
	}
	return 0;
}

gva kernel_image_pointer(const struct kernel_image *image, uint32_t at)
{
	const struct shipped_part *part = &image->shipped.parts.v[0];
	gva value = {0};

	if (at > part->size_bytes || part->size_bytes - at < 8)
		return value;
	memcpy(&value.v, part->bytes + at, 8);
	/* Patches of data are rare, and pointers to look at are some ten thousand. */
	if (overlay_is_clear(&image->base->patched, at, 8) && overlay_is_clear(&image->own, at, 8))
		return gva_add(value, image->shipped.moved);
	shipped_copy(&image->shipped, gva_add(part->at, at), (uint8_t *)&value.v, 8);
	return value;
}

uint8_t *kernel_image_room(const struct kernel_image *image)
{
	return image->base->room;
}

const uint32_t *kernel_image_pointers(const struct kernel_image *image, size_t *n)
{
	*n = image->base->pointers.n;
	return image->base->pointers.v;
}

const struct symbols *kernel_image_symbols(const struct kernel_image *image)
{
	return image->patcher->symbols;
}

const struct types *kernel_image_types(const struct kernel_image *image)
{
	return image->patcher->types;
}

size_t kernel_image_own_bytes(const struct kernel_image *image)
{
	return sizeof(*image) + sizeof(*image->patcher) + overlay_bytes(&image->own) +
	       image->shipped.parts.room * sizeof(*image->shipped.parts.v);
}

size_t kernel_image_base_bytes(const struct kernel_image *image)
{
	const struct kernel_base *base = image->base;

	return sizeof(*base) + overlay_bytes(&base->patched) +
	       base->relocations.list.room * sizeof(*base->relocations.list.v) +
	       base->relocations.pages.room * sizeof(*base->relocations.pages.v) +
	       sites_bytes(&base->sites) +
	       base->pointers.room * sizeof(*base->pointers.v);
}
