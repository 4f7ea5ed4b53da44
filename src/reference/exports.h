/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_REFERENCE_EXPORTS_H
#define HVSM_REFERENCE_EXPORTS_H

#include "base/err.h"
#include "reference/kernel_image.h"

/*
 * What the kernel's image exports to modules (EXPORT_SYMBOL): the tables __ksymtab and
 * __ksymtab_gpl of struct kernel_symbol { value, name, namespace }, each relative to its own
 * place (7290d5809571, 4.19). They come from the reference: what the guest's own tables say of
 * them may have been changed while a module was loaded.
 */
struct exports;

/**
 * exports_read - the exports of a kernel
 * @image: must outlive @ret
 *
 * Return: 0, -ENOENT (an image without such tables), -EBADMSG (damaged), -ENOMEM.
 */
nodiscard int exports_read(const struct kernel_image *image, struct exports **ret,
			   struct err *err);

/* *@exports becomes NULL. NULL is fine. */
void exports_free(struct exports **exports);

/**
 * exports_find - where an exported name leads
 * Per-CPU variables are given as the offset that they have in each CPU's copy, where the
 * kernel links them so.
 *
 * Return: 0, -ENOENT.
 */
int exports_find(const struct exports *exports, const char *name, gva *ret);

#endif
