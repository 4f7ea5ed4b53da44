/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_TESTS_MAKE_OBJECT_H
#define HVSM_TESTS_MAKE_OBJECT_H

#include "base/blob.h"

/*
 * ELF object files out of nothing, as modules come: what is asked for is written, right or
 * wrong. It ends the program where there is no room.
 */
#define OBJECT_SECTIONS 32u
#define OBJECT_SYMBOLS	64u
#define OBJECT_RELAS	64u

struct object {
	struct {
		const char *name;
		uint32_t type, info;
		uint64_t flags, align, size;
		const void *data;	/* NULL: zeros */
	} sections[OBJECT_SECTIONS];
	unsigned sections_n;
	struct {
		const char *name;
		uint16_t section;
		uint8_t bind;
		uint64_t value;
	} symbols[OBJECT_SYMBOLS];
	unsigned symbols_n;
	struct {
		unsigned section;
		uint64_t offset;
		uint32_t symbol, type;
		int64_t addend;
	} relas[OBJECT_RELAS];
	unsigned relas_n;
	uint16_t type;		/* ET_*; 0: ET_REL */
};

/* One section more: its index, from 1 on. @data must last until object_make(). */
unsigned object_section(struct object *object, const char *name, uint64_t flags, uint64_t align,
			const void *data, uint64_t size);

/* One symbol more: its index, from 1 on. */
unsigned object_symbol(struct object *object, const char *name, unsigned section, uint64_t value,
		       uint8_t bind);

void object_rela(struct object *object, unsigned section, uint64_t offset, unsigned symbol,
		 uint32_t type, int64_t addend);

/* The file; for blob_free(). */
struct blob object_make(const struct object *object);

#endif
