/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_LINUX_MODULE_SECTIONS_H
#define HVSM_LINUX_MODULE_SECTIONS_H

#include "linux/module.h"

/*
 * Where the sections of a module's file were put, as the kernel remembers it for
 * /sys/module/NAME/sections. Source: kernel/module/sysfs.c, add_sect_attrs(): one entry for
 * each section that was loaded and is not empty, in the order of the file; those of the init
 * part stay listed at where they were.
 */
struct module_section {
	char name[64];	/* guest text, cut to fit */
	gva at;
};

struct module_sections {
	VEC(struct module_section) list;
};

/**
 * module_sections_read - the sections of one module
 * @ret: zeroed; give it to module_sections_free() whatever came back
 *
 * Return: 0, -ENOENT (the kernel keeps none of it: built without sysfs, or taken away),
 *         -EBADMSG, -ELOOP (over MODULE_SECTIONS_MAX), -EFAULT, -ESRCH, -ENOMEM.
 */
nodiscard int module_sections_read(const struct kernel *kernel, struct view *view,
				   const struct module_info *module,
				   struct module_sections *ret, struct err *err);

void module_sections_free(struct module_sections *sections);

/**
 * module_build_id - the GNU build ID of a module, in hex, from its note in memory
 * @ret: of 41 bytes; "" on failure
 * Return: 0, -ENOENT (it has no such note, or it is no note), or as view_read().
 */
nodiscard int module_build_id(struct view *view, const struct module_info *module,
			      const struct module_sections *sections, char ret[41],
			      struct err *err);

#endif
