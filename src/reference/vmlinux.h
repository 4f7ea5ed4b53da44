/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_REFERENCE_VMLINUX_H
#define HVSM_REFERENCE_VMLINUX_H

#include "base/blob.h"
#include "linux/kernel.h"
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
 *
 * Return: 0, -EBADMSG (damaged, hostile), -ENOTSUP (no relocations, and the guest's kernel
 *         does not lie where it was linked to), -ELOOP, -ENOMEM.
 */
nodiscard int vmlinux_load(const struct blob *vmlinux, gva text, struct shipped *ret,
			   struct err *err);

#endif
