/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_TESTS_MAKE_MODULES_H
#define HVSM_TESTS_MAKE_MODULES_H

#include <stdbool.h>

#include "make/world.h"

/*
 * A guest with modules, each in the list, the address tree and the kset, its code in pages
 * that are executable and all else in pages that are not. What a test takes away or forges
 * there is what it is about.
 */
struct made_modules {
	struct world *world;
	bool blocks;		/* memory as it was up to 6.3: module_layout */
	gva list, tree, kset;	/* heads */
	gva mutex, init_list;	/* module_mutex, init_free_list */
	gva space;		/* the module space: 512 pages */
	uint32_t pages;		/* of it that are taken */
	gva last_node[2];	/* of each copy of the tree */
};

/* A symbol of the test's own, within the kernel's text. */
struct made_symbol {
	const char *name;
	uint32_t bytes;
	gva *at;
	bool function;
};

void made_modules_open(struct made_modules *m, bool blocks, const struct made_symbol *more,
		       size_t n);
void made_modules_close(struct made_modules *m);

/* A module that is alive: one page of text and one of data, in which its struct lies. */
gva made_module(struct made_modules *m, const char *name);

/* @n pages of the module space, executable or not, zeroed. */
gva made_pages(struct made_modules *m, uint32_t n, bool executable);

/* Change the rights of a page of the module space. */
void made_protect(struct made_modules *m, gva page, bool executable, bool writable);

/* The entry of the page tables that maps @at, at @level (1: of a page of 4 KiB). */
uint64_t *made_entry(struct made_modules *m, gva at, unsigned level);

/* Where a module's text lies; a member of the part that holds its text. */
gva made_text(struct made_modules *m, gva module);

/* Take it out of one of the three. */
void made_off_list(struct made_modules *m, gva module);
void made_off_sysfs(struct made_modules *m, gva module);
void made_off_tree(struct made_modules *m, gva module);

#endif
