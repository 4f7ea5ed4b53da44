/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_TESTS_MAKE_KALLSYMS_H
#define HVSM_TESTS_MAKE_KALLSYMS_H

#include <stddef.h>
#include <stdint.h>

/* A packed symbol table as scripts/kallsyms.c of the kernel writes it, in each of its layouts. */
struct symbol_in {
	const char *name;
	char type;
	uint64_t at;
};

enum kallsyms_layout {
	OLD,		/* to 6.3: offsets, base, number, names, markers, tokens, index */
	OLD_SEQS,	/* … with the order of names by hash between markers and tokens */
	NEW,		/* from 6.4: number, names, markers, tokens, index, offsets, base, order */
	SELF,		/* 7.x: … offsets that count from their own place */
	LAYOUTS,
};

/* Where the parts went, in bytes from the start of the image. */
struct kallsyms_parts {
	size_t offsets, base, number, names, markers, tokens, index, end;
};

/**
 * kallsyms_make - write a table into an image
 * @image:    zeroed; its first byte is at guest address @text
 * @at:       where the table begins
 * @symbols:  ascending
 * @percpu:   addresses from 0 on are absolute (CONFIG_KALLSYMS_ABSOLUTE_PERCPU), not SELF
 *
 * The program ends where the image is too small.
 */
struct kallsyms_parts kallsyms_make(uint8_t *image, size_t size, size_t at, uint64_t text,
				    const struct symbol_in *symbols, uint32_t n,
				    enum kallsyms_layout layout, int percpu);

#endif
