/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_LINUX_MODULE_SCAN_H
#define HVSM_LINUX_MODULE_SCAN_H

#include "linux/module.h"

/* Modules that no list leads to any more. */

/**
 * module_scan - find the struct module that describes some code, by what memory holds
 * A struct module lies within its own module's data and says where its text is. Reads all
 * data in the module space: not for every sweep, but for naming what was found otherwise.
 *
 * @code:  executable memory without an owner
 * @ret:   on the caller's stack, zeroed; give it to module_free() whatever came back
 *
 * Return: 0, -ENOENT (none: the struct was wiped, or the code is no module's), or an error
 *         as view_read().
 */
nodiscard int module_scan(const struct kernel *kernel, struct view *view, gva code,
			  uint64_t code_bytes, struct module_info *ret, struct err *err);

/**
 * module_in_flux - is the kernel just loading or unloading a module?
 * Then there may be code without an owner: that of a module that was taken off the lists,
 * which goes after a grace period under module_mutex (kernel/module/main.c, free_module()),
 * init code that waits for do_free_init(), and code that is not listed yet (load_module()).
 *
 * Return: 1 (yes), 0 (no), or an error as view_read().
 */
nodiscard int module_in_flux(const struct kernel *kernel, struct view *view, struct err *err);

/*
 * Where modules are: between the kernel's image and the fixed mappings
 * (Documentation/arch/x86/x86_64/mm.rst).
 */
bool module_space_has(const struct kernel *kernel, gva at);

#endif
