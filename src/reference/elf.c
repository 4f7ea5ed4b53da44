/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/elf.h"

#include <gelf.h>
#include <libelf.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/notes.h"

/* Does [@from, @from + @n) lie inside of the file? */
static bool inside(const struct elf_file *elf, uint64_t from, uint64_t n)
{
	return from <= elf->size && n <= elf->size - from;
}

static void elf_close(Elf **elf)
{
	if (*elf)
		elf_end(*elf);
}

/* A string of a table, if it is one and ends inside. */
static const char *name_at(const struct elf_section *table, uint64_t at)
{
	if (table->type != SHT_STRTAB || !table->bytes || at >= table->size_bytes ||
	    !memchr(table->bytes + at, '\0', table->size_bytes - at))
		return NULL;
	return (const char *)table->bytes + at;
}

static int read_section(const struct elf_file *elf, const GElf_Shdr *header,
			struct elf_section *section, struct err *err)
{
	*section = (struct elf_section){
		.name = "", .type = header->sh_type, .flags = header->sh_flags,
		.at = header->sh_addr, .size_bytes = header->sh_size,
		.align = header->sh_addralign ? header->sh_addralign : 1,
		.link = header->sh_link, .info = header->sh_info,
	};
	if (section->align & (section->align - 1))
		return err_set(err, -EBADMSG, "a section is aligned to %llu bytes",
			       (unsigned long long)section->align);
	if (section->type == SHT_NOBITS || section->type == SHT_NULL)
		return 0;
	if (!inside(elf, header->sh_offset, header->sh_size))
		return err_set(err, -EBADMSG, "a section lies outside of the file");
	section->bytes = elf->data + header->sh_offset;
	return 0;
}

/* The names, now that the section they are in is known. */
static int read_names(Elf *from, const struct elf_section *strings, struct elf_file *elf,
		      struct err *err)
{
	for (size_t i = 0; i < elf->sections.n; i++) {
		GElf_Shdr shdr;

		if (!gelf_getshdr(elf_getscn(from, i), &shdr))
			return err_set(err, -EBADMSG, "a section header: %s", elf_errmsg(-1));
		elf->sections.v[i].name = name_at(strings, shdr.sh_name);
		if (!elf->sections.v[i].name)
			return err_set(err, -EBADMSG, "a section's name is outside of the names");
	}
	return 0;
}

static int read_sections(Elf *from, struct elf_file *elf, struct err *err)
{
	GElf_Ehdr header;
	size_t n, strings;
	int r = 0;

	if (!gelf_getehdr(from, &header) || elf_getshdrnum(from, &n) ||
	    elf_getshdrstrndx(from, &strings))
		return err_set(err, -EBADMSG, "ELF headers: %s", elf_errmsg(-1));
	elf->type = header.e_type;
	if (n && (header.e_shentsize != sizeof(Elf64_Shdr) || strings >= n ||
		  !inside(elf, header.e_shoff, n * sizeof(Elf64_Shdr))))
		return err_set(err, -EBADMSG, "the section headers lie outside of the file");
	elf->headers_end = header.e_shoff + n * sizeof(Elf64_Shdr);

	for (size_t i = 0; i < n && r >= 0; i++) {
		struct elf_section *section = vec_add(&elf->sections);
		GElf_Shdr shdr;

		if (!section)
			return err_set(err, -ENOMEM, "no memory for sections");
		if (!gelf_getshdr(elf_getscn(from, i), &shdr))
			return err_set(err, -EBADMSG, "a section header: %s", elf_errmsg(-1));
		r = read_section(elf, &shdr, section, err);
	}
	return r < 0 || !n ? r : read_names(from, &elf->sections.v[strings], elf, err);
}

static int read_segments(Elf *from, struct elf_file *elf, struct err *err)
{
	GElf_Phdr phdr;
	size_t n;

	if (elf_getphdrnum(from, &n))
		return err_set(err, -EBADMSG, "program headers: %s", elf_errmsg(-1));
	for (size_t i = 0; i < n; i++) {
		struct elf_segment *segment;

		if (!gelf_getphdr(from, (int)i, &phdr))
			return err_set(err, -EBADMSG, "a program header: %s", elf_errmsg(-1));
		if (phdr.p_type == PT_GNU_RELRO) {
			elf->relro_at = phdr.p_vaddr;
			elf->relro_bytes = phdr.p_memsz;
		}
		if (phdr.p_type != PT_LOAD)
			continue;
		if (!inside(elf, phdr.p_offset, phdr.p_filesz) || phdr.p_filesz > phdr.p_memsz)
			return err_set(err, -EBADMSG, "a segment lies outside of the file");
		segment = vec_add(&elf->segments);
		if (!segment)
			return err_set(err, -ENOMEM, "no memory for segments");
		*segment = (struct elf_segment){
			.at = phdr.p_vaddr, .phys = phdr.p_paddr, .flags = phdr.p_flags,
			.size_bytes = phdr.p_memsz, .file_bytes = phdr.p_filesz,
			.bytes = elf->data + phdr.p_offset,
		};
	}
	return 0;
}

static int read_symbols(struct elf_file *elf, struct err *err)
{
	const struct elf_section *table = NULL;

	for (size_t i = 0; i < elf->sections.n && !table; i++)
		if (elf->sections.v[i].type == SHT_SYMTAB)
			table = &elf->sections.v[i];
	if (!table)
		return 0;
	if (table->link >= elf->sections.n || table->size_bytes % sizeof(Elf64_Sym))
		return err_set(err, -EBADMSG, "the symbol table is damaged");
	for (size_t i = 0; i < table->size_bytes / sizeof(Elf64_Sym); i++) {
		struct elf_symbol *symbol = vec_add(&elf->symbols);
		Elf64_Sym raw;

		if (!symbol)
			return err_set(err, -ENOMEM, "no memory for symbols");
		memcpy(&raw, table->bytes + i * sizeof(raw), sizeof(raw));
		*symbol = (struct elf_symbol){
			.name = name_at(&elf->sections.v[table->link], raw.st_name),
			.value = raw.st_value, .size_bytes = raw.st_size,
			.section = raw.st_shndx, .type = ELF64_ST_TYPE(raw.st_info),
			.bind = ELF64_ST_BIND(raw.st_info),
		};
		if (!symbol->name || (raw.st_shndx < SHN_LORESERVE &&
				      raw.st_shndx >= elf->sections.n))
			return err_set(err, -EBADMSG, "a symbol leads outside of the file");
	}
	return 0;
}

int elf_read(const void *data, size_t size, struct elf_file *ret, struct err *err)
{
	cleanup(elf_close) Elf *elf = NULL;
	const unsigned char *ident = data;
	int r;

	ret->data = data;
	ret->size = size;
	if (size < sizeof(Elf64_Ehdr) || memcmp(ident, ELFMAG, SELFMAG) ||
	    ident[EI_CLASS] != ELFCLASS64 || ident[EI_DATA] != ELFDATA2LSB)
		return err_set(err, -EBADMSG, "not a 64-bit ELF file");
	if (elf_version(EV_CURRENT) == EV_NONE)
		return err_set(err, -ENOTSUP, "libelf: %s", elf_errmsg(-1));
	/* It only reads: the copy is ours, and is never given to elf_update(). */
	elf = elf_memory((char *)(uintptr_t)data, size);
	if (!elf || elf_kind(elf) != ELF_K_ELF)
		return err_set(err, -EBADMSG, "not an ELF file: %s", elf_errmsg(-1));
	r = read_sections(elf, ret, err);
	if (r >= 0)
		r = read_segments(elf, ret, err);
	return r < 0 ? r : read_symbols(ret, err);
}

void elf_free(struct elf_file *elf)
{
	vec_free(&elf->sections);
	vec_free(&elf->segments);
	vec_free(&elf->symbols);
	*elf = (struct elf_file){0};
}

const struct elf_section *elf_find(const struct elf_file *elf, const char *name)
{
	for (size_t i = 1; i < elf->sections.n; i++)
		if (!strcmp(elf->sections.v[i].name, name))
			return &elf->sections.v[i];
	return NULL;
}

int elf_build_id(const struct elf_file *elf, char ret[41])
{
	for (size_t i = 1; i < elf->sections.n; i++) {
		const struct elf_section *section = &elf->sections.v[i];

		if (section->type == SHT_NOTE && section->bytes &&
		    notes_build_id(bytes_of(section->bytes, section->size_bytes), ret))
			return 0;
	}
	return -ENOENT;
}
