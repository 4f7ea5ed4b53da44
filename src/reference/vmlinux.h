/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_REFERENCE_VMLINUX_H
#define HVSM_REFERENCE_VMLINUX_H

#include "base/blob.h"
#include "base/vec.h"
#include "linux/kernel.h"
#include "reference/shipped.h"

/*
 * The kernel's image out of vmlinux: what a bzImage unpacks to, with its relocations behind
 * the section headers (arch/x86/boot/compressed/misc.c, handle_relocations()).
 */

/* A number in the image that moves with it. */
struct relocation {
	uint32_t at;		/* offset into the image */
	uint8_t size_bytes;	/* 4 or 8 */
	bool inverse;		/* it becomes less when the image moves up */
};

struct relocations {
	VEC(struct relocation) list;	/* ascending */
};

/**
 * relocations_apply - move a part of an image
 * @from, @n: which part, by offset; what straddles its ends must have been moved before
 * @bytes:    the caller's copy of it
 * @by:       how far the image is moved up
 */
void relocations_apply(const struct relocations *relocations, uint64_t from, uint8_t *bytes,
		       size_t n, uint64_t by);

/**
 * vmlinux_load - the image as the boot loader's decompressor leaves it in memory
 * @vmlinux: stays the caller's
 * @text:    where the guest has _text
 * @ret:     zeroed; for shipped_free() whatever came back. One part, from _text on, and the
 *           tables.
 * @relocations: receives what depends on where it lies, for vec_free(); NULL: not wanted
 *
 * Return: 0, -EBADMSG (damaged, hostile), -ENOTSUP (no relocations, and the guest's kernel
 *         does not lie where it was linked to), -ELOOP, -ENOMEM.
 */
nodiscard int vmlinux_load(const struct blob *vmlinux, gva text, struct shipped *ret,
			   struct relocations *relocations, struct err *err);

#endif
