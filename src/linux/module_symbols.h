/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_LINUX_MODULE_SYMBOLS_H
#define HVSM_LINUX_MODULE_SYMBOLS_H

#include "linux/module.h"

/*
 * A module's own symbol table, as the kernel keeps it for /proc/kallsyms (struct
 * mod_kallsyms: ELF symbols, one type letter each, names). Source: kernel/module/kallsyms.c.
 */
struct module_symbols;

struct module_symbol {
	gva at;
	uint64_t size_bytes;	/* as the ELF symbol says; 0 is usual for assembler code */
	char type;		/* as in /proc/kallsyms, but small for exported ones as well */
	bool is_code;
	const char *name;	/* guest text; lives as long as the table */
};

/**
 * module_symbols_read - the symbols of one module
 * Return: 0, -ENOENT (it keeps none), -EBADMSG (sizes or names that cannot be), -ELOOP,
 *         -EFAULT, -ESRCH, -ENOMEM.
 */
nodiscard int module_symbols_read(const struct kernel *kernel, struct view *view,
				  const struct module_info *module,
				  struct module_symbols **ret, struct err *err);

/* *@symbols becomes NULL. NULL is fine. */
void module_symbols_free(struct module_symbols **symbols);

/* All symbols in the table's order, undefined ones left out: what /proc/kallsyms shows. */
size_t module_symbols_count(const struct module_symbols *symbols);
struct module_symbol module_symbols_get(const struct module_symbols *symbols, size_t i);

/**
 * module_symbols_at - the last code or data symbol at or below @at
 * Return: 0, -ENOENT.
 */
nodiscard int module_symbols_at(const struct module_symbols *symbols, gva at,
				struct module_symbol *ret);

#endif
