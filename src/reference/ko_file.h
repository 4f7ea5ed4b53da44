/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_REFERENCE_KO_FILE_H
#define HVSM_REFERENCE_KO_FILE_H

#include "reference/elf.h"
#include "reference/ko.h"

/* The inside of a module's object: for ko*.c. */

/* Where a section went; by its index in the file. */
struct ko_section {
	gva at;
	bool placed;
	bool listed;		/* by the guest; otherwise by the kernel's own rules */
	unsigned flags;		/* PART_* */
};

struct ko_symbol {
	const char *name;
	gva at;
};

struct ko {
	struct blob file;
	struct elf_file elf;
	struct ko_section *sections;	/* elf.sections.n */
	gva percpu;
	uint16_t percpu_section;	/* 0: it has none */
	VEC(struct ko_symbol) exports;	/* ascending by name, once it is placed */
	char *names;			/* of the exports, once the file is gone */
};

/*
 * Does the kernel keep this section in memory, and not only while it loads the module? Those
 * without bytes are given a place as well, to which symbols may lead.
 */
bool ko_is_loaded(const struct elf_section *section);

/* Is it freed once the module's init function ended? */
bool ko_is_init(const struct elf_section *section);

/**
 * ko_layout - where the kernel puts the sections of the core part, by its own rules
 * kernel/module/main.c, layout_sections(): for guests that do not say it, and for sections
 * without bytes, of which none does.
 */
nodiscard int ko_layout(struct ko *ko, const struct ko_place *place, struct err *err);

/* What the symbol's section adds to its value. 0, -EBADMSG (it has no place). */
nodiscard int ko_symbol_at(const struct ko *ko, const struct elf_symbol *symbol, gva *ret,
			   struct err *err);

#endif
