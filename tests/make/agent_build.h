/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_MAKE_AGENT_BUILD_H
#define HVSM_MAKE_AGENT_BUILD_H

#include <elf.h>

#include "base/blob.h"

/*
 * A little ELF file that is an agent to keeper/build.h: a page of constants with the build ID, one
 * of code, one of relocated constants, one of data with the anchor.
 */
enum {
	MADE_CONST  = 0x0000,
	MADE_CODE   = 0x1000,
	MADE_RELRO  = 0x2000,
	MADE_ANCHOR = 0x3000,
	MADE_END    = 0x4000,

	MADE_POINTER = MADE_RELRO + 0x10,	/* R_X86_64_RELATIVE, to MADE_CONST + 0x800 */
	MADE_CHOSEN  = MADE_RELRO + 0x18,	/* R_X86_64_IRELATIVE */
};

enum { MADE_NOTE_SECTION = 1, MADE_RELA_SECTION, MADE_ANCHOR_SECTION, MADE_NAMES_SECTION,
       MADE_SECTIONS };

struct made_build {
	Elf64_Ehdr header;
	Elf64_Phdr program[4];		/* constants, code, data, PT_GNU_RELRO */
	Elf64_Shdr section[MADE_SECTIONS];
	Elf64_Rela relocation[2];
	struct {
		Elf64_Nhdr header;
		char name[4];
		uint8_t id[20];
	} note;
	char names[64];
};

/* Its headers; what follows them in the file's pages is a pattern. */
struct made_build made_build(void);

/* The file; for blob_free(). */
struct blob made_build_file(const struct made_build *build);

#endif
