/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_REFERENCE_ELF_H
#define HVSM_REFERENCE_ELF_H

#include "base/err.h"
#include "base/vec.h"

/*
 * 64-bit x86 ELF files in memory (libelf), checked once: every section, segment and name that
 * is given out lies inside of the file.
 */
struct elf_section {
	const char *name;
	uint32_t type;		/* SHT_* */
	uint64_t flags;		/* SHF_* */
	uint64_t at;		/* sh_addr */
	uint64_t size_bytes;
	uint64_t align;		/* ≥ 1 */
	uint32_t link, info;
	const uint8_t *bytes;	/* NULL: SHT_NOBITS */
};

struct elf_segment {		/* PT_LOAD only */
	uint64_t at;		/* p_vaddr */
	uint64_t phys;		/* p_paddr */
	uint32_t flags;		/* PF_R, PF_W, PF_X */
	uint64_t size_bytes;	/* in memory */
	uint64_t file_bytes;	/* ≤ size_bytes */
	const uint8_t *bytes;
};

struct elf_symbol {
	const char *name;	/* "" where it has none */
	uint64_t value;
	uint64_t size_bytes;
	uint16_t section;	/* index, or SHN_* */
	uint8_t type, bind;	/* STT_*, STB_* */
};

struct elf_file {
	uint16_t type;		/* ET_EXEC, ET_REL, ET_DYN */
	const uint8_t *data;
	size_t size;
	uint64_t headers_end;	/* offset behind the section headers: vmlinux has more there */
	VEC(struct elf_section) sections;	/* by index; [0] is the empty one */
	VEC(struct elf_segment) segments;
	VEC(struct elf_symbol) symbols;		/* of .symtab, by index */
	uint64_t relro_at;	/* PT_GNU_RELRO: read-only once it was relocated */
	uint64_t relro_bytes;	/* 0: there is none */
};

/**
 * elf_read - take a file apart
 * @data: stays the caller's and must outlive @ret
 * @ret:  zeroed; give it to elf_free() whatever came back
 *
 * Return: 0, -EBADMSG (not such a file, or one that contradicts itself), -ELOOP, -ENOMEM.
 */
nodiscard int elf_read(const void *data, size_t size, struct elf_file *ret, struct err *err);

void elf_free(struct elf_file *elf);

/* The first section of this name, or NULL. */
const struct elf_section *elf_find(const struct elf_file *elf, const char *name);

/**
 * elf_build_id - the GNU build ID in hex
 * @ret: of 41 bytes
 * Return: 0, -ENOENT.
 */
nodiscard int elf_build_id(const struct elf_file *elf, char ret[41]);

#endif
