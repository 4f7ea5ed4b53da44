/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_REFERENCE_KO_H
#define HVSM_REFERENCE_KO_H

#include "base/blob.h"
#include "linux/module.h"
#include "linux/module_sections.h"
#include "reference/shipped.h"

/*
 * A module out of its object file, laid out and relocated as the guest's kernel did
 * (kernel/module/main.c, arch/x86/kernel/module.c).
 */
struct ko;

/**
 * ko_open - take a module's object file apart
 * @file: given over to @ret on success, and then empty
 *
 * Return: 0, -EBADMSG (not a module's object, or a damaged one), -ELOOP (over a limit),
 *         -ENOMEM.
 */
nodiscard int ko_open(struct blob *file, struct ko **ret, struct err *err);

/* *@ko becomes NULL. NULL is fine. */
void ko_close(struct ko **ko);

/* What of a guest's module decides where its sections lie. */
struct ko_place {
	const struct module_info *module;
	const struct module_sections *sections;	/* NULL: they are laid out as the kernel does it */
	gva percpu;		/* of its per-CPU variables, as struct module has it; 0: none */
	gva static_calls;	/* module.static_call_sites, where known: only for the layout */
};

/* What of it a guest's struct module says; the sections are the caller's. */
nodiscard int ko_place_read(const struct kernel *kernel, struct view *view,
			    const struct module_info *module, struct ko_place *ret,
			    struct err *err);

/**
 * ko_place - give the sections the addresses that they have in the guest
 *
 * What the guest says is held against the module's memory: code lies in its text, constants
 * in its read-only data, and nothing overlaps. Init sections are where they were before they
 * were freed; where the guest does not say so, where nothing else is.
 *
 * Return: 0, -EBADMSG (this module is not made of this object), -ELOOP, -ENOMEM.
 */
nodiscard int ko_place(struct ko *ko, const struct ko_place *place, struct err *err);

/* Where a symbol lies that a placed module exports (EXPORT_SYMBOL): 0, -ENOENT. */
int ko_export(const struct ko *ko, const char *name, gva *ret);

/**
 * ko_shrink - keep what it exports only, and give the rest of the file back
 * It cannot be placed or loaded any more. Return: 0, -ENOMEM (and it is as it was).
 */
nodiscard int ko_shrink(struct ko *ko);

/* Where a name leads that the module takes from the kernel or from other modules. */
typedef int ko_resolve_fn(const char *name, gva *ret, void *ctx, struct err *err);

/**
 * ko_load - a placed module as it should lie in the guest, relocated but not patched
 * @resolve: addresses of what the module imports; -ENOENT makes ko_load() fail with it,
 *           unless the import is a weak one
 * @ret:     zeroed; for shipped_free() whatever came back. One part per section that was
 *           loaded and has bytes; those that were freed after init are PART_GONE.
 *
 * Return: 0, -EBADMSG (a damaged object), -ENOENT (an import that no one has), -ELOOP,
 *         -ENOMEM.
 */
nodiscard int ko_load(const struct ko *ko, ko_resolve_fn *resolve, void *ctx,
		      struct shipped *ret, struct err *err);

#endif
