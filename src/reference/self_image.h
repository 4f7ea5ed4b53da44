/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_REFERENCE_SELF_IMAGE_H
#define HVSM_REFERENCE_SELF_IMAGE_H

#include "linux/kernel.h"
#include "reference/patch.h"

/*
 * The kernel's code by its own account, where there is no reference: what the guest has, with
 * every place that its own tables say is patched at run time as the kernel's structures ask for,
 * and without kprobes. Held against the guest it tells places that are not as the structures
 * say; held against itself in an earlier sweep, whatever else was changed since.
 */
struct self_image {
	struct shipped shipped;		/* the image, and a table of ftrace's places */
	struct sites sites;
	struct patcher *patcher;
	gva text, etext;		/* code: from _text to the end of the page of _etext */
	gva rodata, ro_init;		/* constants up to ro_after_init */
	gva ero_init, erodata;		/* … and behind it */
};

/**
 * self_image_make - read the guest's kernel, and take out what changes
 * @ret: zeroed; for self_image_free() whatever came back
 *
 * Return: 0, -ENOENT (a symbol or type that is needed), -EBADMSG (tables that cannot be),
 *         -ELOOP, -ENOMEM, or as view_read().
 */
nodiscard int self_image_make(const struct kernel *kernel, struct view *view,
			      struct self_image *ret, struct err *err);

void self_image_free(struct self_image *image);

/* Zero every place that changes at run time: what is left is the same in each sweep. */
void self_image_blank(struct self_image *image);

#endif
