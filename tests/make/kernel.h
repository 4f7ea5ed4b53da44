/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_TESTS_MAKE_KERNEL_H
#define HVSM_TESTS_MAKE_KERNEL_H

#include "make/kallsyms.h"
#include "make/memory.h"

/*
 * A guest in whose memory kernel_open() finds all that it looks for, in 60 pages: trampoline,
 * page tables, symbols, types, and the variables that they lead to. Change what it is made of
 * before it is made, or its memory afterwards.
 */
struct kernel_in {
	uint64_t text;		/* _text */
	uint64_t image;		/* where it lies */
	uint64_t page_offset;
	uint8_t levels;
	enum kallsyms_layout layout;
	uint32_t cpus;
	uint64_t canary;
	const char *banner;
	const char *without;	/* a symbol that is left out; NULL: none */
	const char *moved;	/* one that lies elsewhere; NULL: none */
	uint64_t moved_to;
	bool no_trampoline;
};

/* What is made where nothing else is asked for. */
struct kernel_in kernel_in_default(void);

/* Where variables and tables lie, in bytes from _text. */
enum {
	KERNEL_ROOT = 0x1000,		/* init_top_pgt */
	KERNEL_BANNER = 0x2000,
	KERNEL_PHYS_BASE = 0x2200,
	KERNEL_PAGE_OFFSET = 0x2208,
	KERNEL_CPUS = 0x2210,
	KERNEL_STATE = 0x2218,
	KERNEL_JIFFIES = 0x2220,
	KERNEL_PER_CPU = 0x2300,
	KERNEL_UTS = 0x2400,
	KERNEL_NOTES = 0x2500,
	KERNEL_INIT_TASK = 0x2600,
	KERNEL_FIRST_TASK = 0x2800,
	KERNEL_BTF = 0x3000,
	KERNEL_KALLSYMS = 0x4000,
	KERNEL_END = 0x20000,
	KERNEL_TRAMPOLINE = 0x99000,	/* physical */
};

/* Put it into a guest's memory; several may be in one. */
void kernel_make(struct memory *m, const struct kernel_in *in);

#endif
