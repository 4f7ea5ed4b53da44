/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_REFERENCE_KERNEL_IMAGE_H
#define HVSM_REFERENCE_KERNEL_IMAGE_H

#include "linux/kernel.h"
#include "reference/patch.h"
#include "reference/reference.h"
#include "reference/shipped.h"

/*
 * The kernel's image as the guest should have it: what was shipped, relocated and patched.
 * Worked out when it is first asked for, and kept with the reference.
 */
struct kernel_image {
	struct shipped shipped;		/* one part: the image */
	struct sites sites;
	struct patcher *patcher;

	gva text, etext;		/* code: [_text, _etext) */
	gva rodata, erodata;		/* constants: from __start_rodata to where they end */
	gva ro_init, ero_init;		/* … of these, what init may still write */
};

/**
 * kernel_image_of - the image of the guest's kernel
 * @ret: belongs to @reference, and lives as long
 *
 * Return: 0, or as vmlinux_load(), patcher_open() and patch_all().
 */
nodiscard int kernel_image_of(struct reference *reference, const struct kernel *kernel,
			      struct view *view, const struct kernel_image **ret,
			      struct err *err);

/* The kernel's symbols as they were shipped, at the guest's addresses. */
const struct symbols *kernel_image_symbols(const struct kernel_image *image);
const struct types *kernel_image_types(const struct kernel_image *image);

#endif
