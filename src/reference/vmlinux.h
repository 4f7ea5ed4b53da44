/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_REFERENCE_VMLINUX_H
#define HVSM_REFERENCE_VMLINUX_H

#include "base/blob.h"
#include "linux/kernel.h"
#include "reference/relocations.h"
#include "reference/shipped.h"

/*
 * The kernel's image out of vmlinux: what a bzImage unpacks to, with its relocations behind
 * the section headers (arch/x86/boot/compressed/misc.c, handle_relocations()).
 */

/**
 * vmlinux_load - the image as the boot loader's decompressor leaves it in memory
 * @vmlinux: stays the caller's
 * @text:    where the guest has _text
 * @ret:     zeroed; for shipped_free() whatever came back. One part, from _text on, and the
 *           tables.
 * @relocations: receives what depends on where it lies, for relocations_free(); NULL: not wanted
 *
 * Return: 0, -EBADMSG (damaged, hostile), -ENOTSUP (no relocations, and the guest's kernel
 *         does not lie where it was linked to), -ELOOP, -ENOMEM.
 */
nodiscard int vmlinux_load(const struct blob *vmlinux, gva text, struct shipped *ret,
			   struct relocations *relocations, struct err *err);

/* The image as it was linked, neither moved nor patched: read-only, from mmap(). */
struct pristine {
	gva text;		/* where _text was linked to */
	uint8_t *bytes;
	size_t size_bytes;
};

/**
 * vmlinux_pristine - the image as it lies in the file
 * @map: puts @n bytes of the file from @from on, both whole pages, in place of those at @at, so
 *       that whoever has the file shares them; 0, -ENOTSUP (they are copied then), or an errno
 * @ret: for pristine_free()
 *
 * Return: 0, -EBADMSG, -ELOOP, -ENOMEM, or as @map.
 */
typedef int map_fn(void *ctx, uint64_t from, size_t n, void *at);
nodiscard int vmlinux_pristine(const struct blob *vmlinux, map_fn *map, void *ctx,
			       struct pristine *ret, struct err *err);
void pristine_free(struct pristine *pristine);

#endif
