/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_REFERENCE_KERNEL_IMAGE_H
#define HVSM_REFERENCE_KERNEL_IMAGE_H

#include "linux/kernel.h"
#include "reference/overlay.h"
#include "reference/patch.h"
#include "reference/reference.h"
#include "reference/shipped.h"

/*
 * The kernel's image as the guest should have it: what was shipped, relocated and patched.
 * Worked out when it is first asked for, and kept with the reference.
 *
 * What is kept is what differs from the shipped file, whose pages all scanners of a host share
 * (reference_map_vmlinux()): the places that were patched. Numbers that move with the kernel are
 * moved in a copy of what is asked for. Guests that one process watches share that, too, with
 * symbols and types: of each further one only what it has otherwise is kept (other runtime
 * constants, another CPU).
 */
struct kernel_base;

struct kernel_image {
	struct kernel_base *base;
	struct shipped shipped;		/* one part, the image; see kernel_image_part() */
	struct sites sites;
	struct patcher *patcher;

	gva text, etext;		/* code: [_text, _etext) */
	gva rodata, erodata;		/* constants: from __start_rodata to where they end */
	gva ro_init, ero_init;		/* … of these, what init may still write */

	struct overlay own;		/* over the image of the base, moved to its place */
};

/**
 * kernel_image_of - the image of the guest's kernel
 * @ret: belongs to @reference, and lives as long
 *
 * For one thread at a time.
 *
 * Return: 0, or as vmlinux_load(), patcher_open() and patch_all().
 */
nodiscard int kernel_image_of(struct reference *reference, const struct kernel *kernel,
			      struct view *view, const struct kernel_image **ret,
			      struct err *err);

/* Room for a part of @n bytes: what comes before is there too, for whoever disassembles it. */
#define KERNEL_LEAD_BYTES     (16u << 10)
#define KERNEL_PART_BYTES(n)  ((n) + KERNEL_LEAD_BYTES + 16)

/**
 * kernel_image_part - what the guest should have in [@from, @from + @n)
 * @room: the caller's, KERNEL_PART_BYTES(@n)
 * @ret:  a part that holds the range, and more where there is more; its bytes lie in @room:
 *        not to be freed
 *
 * Return: 0, -EINVAL (outside of the image).
 */
nodiscard int kernel_image_part(const struct kernel_image *image, gva from, size_t n,
				uint8_t *room, struct shipped_part *ret);

/* One pointer in the image's data, at offset @at, as the guest should have it. */
gva kernel_image_pointer(const struct kernel_image *image, uint32_t at);

/*
 * Offsets into the image of the words in its data that were shipped as pointers to functions of
 * the kernel: ascending, of [_sdata, _edata) and of ro_after_init.
 */
const uint32_t *kernel_image_pointers(const struct kernel_image *image, size_t *n);

/*
 * Room for a chunk of the guest's and, behind it, KERNEL_PART_BYTES() of what it should be: kept,
 * because to fault in fresh memory takes as long as to compare. One user at a time.
 */
#define KERNEL_CHUNK_BYTES (128u << 10)
uint8_t *kernel_image_room(const struct kernel_image *image);

/* The kernel's symbols as they were shipped, at the guest's addresses. */
const struct symbols *kernel_image_symbols(const struct kernel_image *image);
const struct types *kernel_image_types(const struct kernel_image *image);

/*
 * Bytes that this guest's image takes beyond what it shares; and what guests that one process
 * watches share, but others do not. For `make bench`.
 */
size_t kernel_image_own_bytes(const struct kernel_image *image);
size_t kernel_image_base_bytes(const struct kernel_image *image);

#endif
