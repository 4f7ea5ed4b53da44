/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_REFERENCE_BZIMAGE_H
#define HVSM_REFERENCE_BZIMAGE_H

#include <stdbool.h>

#include "base/blob.h"
#include "base/err.h"

/*
 * The kernel's boot image for x86 (Documentation/arch/x86/boot.rst): vmlinuz. What is packed in
 * it is vmlinux with its relocations behind the section headers.
 */

/* Does it look like one? */
bool bzimage_is(const void *data, size_t size);

/**
 * bzimage_vmlinux - unpack the kernel
 * @ret: an ELF file and what follows it; the caller's, for blob_free()
 *
 * Return: 0, -EBADMSG (no such image, or a damaged one), -ENOTSUP (boot protocol before 2.08),
 *         -ELOOP (a decompression bomb), -ENOMEM.
 */
nodiscard int bzimage_vmlinux(const void *data, size_t size, struct blob *ret, struct err *err);

#endif
