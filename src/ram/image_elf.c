/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ELF core files of physical memory: elf(5), and dump/dump.c of QEMU. Each PT_LOAD is a run of
 * guest-physical addresses from p_paddr on. With paging=true, QEMU writes one for every virtual
 * mapping: many say the same of the same page. Without any PT_LOAD it may be Xen's: image_xen.c.
 */
#include <elf.h>
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "base/limits.h"
#include "ram/image_map.h"

#define HEADERS_BATCH 64u

struct elf {
	uint64_t headers_at;
	uint32_t headers_n;
	bool notes;		/* were seen */
	Elf64_Ehdr header;
};

/* Where e_phnum does not suffice, the count is in sh_info of the first section header. */
static int many_headers(const struct image_source *source, uint64_t sections_at,
			uint32_t *count, struct err *err)
{
	Elf64_Shdr section;
	int r;

	if (!sections_at)
		return err_set(err, -EBADMSG, "an ELF core without a number of headers");
	r = image_source_read(source, sections_at, &section, sizeof(section), err);
	if (r < 0)
		return wrap(err, -EBADMSG, "number of headers");
	*count = section.sh_info;
	return 0;
}

static int read_header(const struct image_source *source, struct elf *elf, struct err *err)
{
	Elf64_Ehdr header;
	int r = image_source_read(source, 0, &header, sizeof(header), err);

	if (r < 0)
		return wrap(err, -EBADMSG, "ELF header");
	if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB ||
	    header.e_machine != EM_X86_64)
		return err_set(err, -ENOTSUP, "an ELF file, but not of an x86-64 guest");
	if (header.e_type != ET_CORE)
		return err_set(err, -ENOTSUP, "an ELF file, but not a core of a guest's memory");
	elf->header = header;
	if (!header.e_phnum && header.e_shnum)
		return 0;
	if (header.e_phentsize != sizeof(Elf64_Phdr))
		return err_set(err, -EBADMSG, "an ELF core with headers of %u bytes",
			       header.e_phentsize);
	elf->headers_at = header.e_phoff;
	elf->headers_n = header.e_phnum;
	if (header.e_phnum == PN_XNUM)
		r = many_headers(source, header.e_shoff, &elf->headers_n, err);
	if (r == 0 && elf->headers_n > IMAGE_HEADERS_MAX)
		r = err_set(err, -ELOOP, "an ELF core of over %u headers", IMAGE_HEADERS_MAX);
	return r;
}

static int add_load(const struct image_source *source, struct image_map *map,
		    const Elf64_Phdr *header, struct err *err)
{
	uint64_t end;

	/* Memory that is not in the file (p_memsz) was not dumped: it cannot be read. */
	if (header->p_type != PT_LOAD || !header->p_filesz)
		return 0;
	if (header->p_filesz > header->p_memsz ||
	    __builtin_add_overflow(header->p_paddr, header->p_filesz, &end))
		return err_set(err, -EBADMSG, "an ELF core with a bad header for %#" PRIx64,
			       header->p_paddr);
	/* Unmapped: kdump's header of the kernel image has no physical address of its own. */
	if (header->p_paddr == UINT64_MAX)
		return 0;
	return image_map_add(map, source, header->p_paddr, end, header->p_offset, err);
}

static int add_header(struct elf *elf, const struct image_source *source, struct image_map *map,
		      const Elf64_Phdr *header, struct err *err)
{
	if (header->p_type != PT_NOTE || elf->notes)
		return add_load(source, map, header, err);
	/* QEMU writes one; to read a million of them would take for ever. */
	elf->notes = true;
	return image_notes(source, header->p_offset, header->p_filesz, map, err);
}

int image_elf(const struct image_source *source, struct image_map *map, struct err *err)
{
	Elf64_Phdr headers[HEADERS_BATCH];
	struct elf elf = { 0 };
	int r;

	map->format = "ELF core";
	r = read_header(source, &elf, err);
	if (r == 0 && !elf.header.e_phnum && elf.header.e_shnum)
		return image_xen(source, &elf.header, map, err);
	for (uint32_t i = 0, n; r == 0 && i < elf.headers_n; i += n) {
		uint64_t at;

		n = elf.headers_n - i < HEADERS_BATCH ? elf.headers_n - i : HEADERS_BATCH;
		if (__builtin_add_overflow(elf.headers_at, (uint64_t)i * sizeof(*headers), &at))
			return err_set(err, -EBADMSG, "ELF headers at %#" PRIx64, elf.headers_at);
		r = image_source_read(source, at, headers, n * sizeof(*headers), err);
		if (r < 0)
			return wrap(err, -EBADMSG, "ELF headers");
		for (uint32_t j = 0; j < n && r == 0; j++)
			r = add_header(&elf, source, map, &headers[j], err);
	}
	return r;
}
