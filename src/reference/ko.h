/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_REFERENCE_KO_H
#define HVSM_REFERENCE_KO_H

#include "base/blob.h"
#include "linux/module.h"
#include "reference/shipped.h"

/*
 * A module out of its object file, laid out and relocated as the guest's kernel did
 * (kernel/module/main.c, arch/x86/kernel/module.c).
 */

/* Where a name leads that the module takes from the kernel or from other modules. */
typedef int ko_resolve_fn(const char *name, gva *ret, void *ctx, struct err *err);

/**
 * ko_load - the module as it should lie in the guest
 * @module: as the guest describes it
 * @resolve: addresses of what the module imports; -ENOENT makes ko_load() fail with it
 * @ret:    zeroed; for shipped_free() whatever came back. One part per section; those that
 *          were freed after init are PART_GONE and lie at addresses that the guest does not
 *          use.
 *
 * Return: 0, -EBADMSG (a damaged object, or one that does not fit what the guest has),
 *         -ENOENT (an import that no one has), -ELOOP, -ENOMEM, or as view_read().
 */
nodiscard int ko_load(const struct kernel *kernel, struct view *view, const struct blob *ko,
		      const struct module_info *module, ko_resolve_fn *resolve, void *ctx,
		      struct shipped *ret, struct err *err);

#endif
