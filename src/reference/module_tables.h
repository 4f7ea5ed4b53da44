/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_REFERENCE_MODULE_TABLES_H
#define HVSM_REFERENCE_MODULE_TABLES_H

#include "linux/kernel.h"
#include "reference/shipped.h"

/*
 * Tables of a module that the kernel rewrites while it loads it: it sorts them in place, by
 * what their entries lead to, and entries that are relative to their own place move along.
 */

/**
 * module_tables_settle - make the tables of a module as the kernel left them
 * @vmlinux: the kernel's image as shipped, and
 * @symbols: … its symbols: static calls whose key the kernel does not export lead to their
 *           trampoline in the file (kernel/static_call_inline.c, tramp_key_lookup())
 * @shipped: relocated, not patched yet: patching goes by these tables
 *
 * The kernel's sort is not stable: entries that compare equal are put in the order that the
 * guest has them in, as far as they are the same entries. All else is as it must be, whatever
 * the guest has there.
 *
 * Return: 0, -EBADMSG (tables of the reference that cannot be), -ENOMEM, or as view_read().
 */
nodiscard int module_tables_settle(const struct kernel *kernel, struct view *view,
				   const struct shipped *vmlinux, const struct symbols *symbols,
				   struct shipped *shipped, struct err *err);

#endif
