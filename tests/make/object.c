/* SPDX-License-Identifier: Apache-2.0 */
#include "make/object.h"

#include <assert.h>
#include <elf.h>
#include <string.h>

struct writer {
	struct blob out;
	Elf64_Shdr headers[3 * OBJECT_SECTIONS];
	unsigned n;
	char strings[8192];
	uint32_t strings_n;
};

unsigned object_section(struct object *object, const char *name, uint64_t flags, uint64_t align,
			const void *data, uint64_t size)
{
	unsigned i = object->sections_n++;

	assert(i < OBJECT_SECTIONS);
	object->sections[i].name = name;
	object->sections[i].type = SHT_PROGBITS;
	object->sections[i].flags = flags;
	object->sections[i].align = align;
	object->sections[i].data = data;
	object->sections[i].size = size;
	return i + 1;
}

unsigned object_symbol(struct object *object, const char *name, unsigned section, uint64_t value,
		       uint8_t bind)
{
	unsigned i = object->symbols_n++;

	assert(i < OBJECT_SYMBOLS);
	object->symbols[i].name = name;
	object->symbols[i].section = (uint16_t)section;
	object->symbols[i].value = value;
	object->symbols[i].bind = bind;
	return i + 1;
}

void object_rela(struct object *object, unsigned section, uint64_t offset, unsigned symbol,
		 uint32_t type, int64_t addend)
{
	unsigned i = object->relas_n++;

	assert(i < OBJECT_RELAS);
	object->relas[i].section = section;
	object->relas[i].offset = offset;
	object->relas[i].symbol = symbol;
	object->relas[i].type = type;
	object->relas[i].addend = addend;
}

static uint64_t append(struct writer *w, const void *data, size_t n)
{
	uint64_t at = (w->out.size + 15) & ~15ull;

	w->out.data = realloc(w->out.data, at + n + 1);
	assert(w->out.data);
	memset(w->out.data + w->out.size, 0, at + n - w->out.size);
	if (data && n)
		memcpy(w->out.data + at, data, n);
	w->out.size = at + n;
	return at;
}

static uint32_t name(struct writer *w, const char *text)
{
	uint32_t at = w->strings_n;

	assert(at + strlen(text) + 1 < sizeof(w->strings));
	strcpy(w->strings + at, text);
	w->strings_n += (uint32_t)strlen(text) + 1;
	return at;
}

static Elf64_Shdr *header(struct writer *w, const char *text, uint32_t type)
{
	Elf64_Shdr *header = &w->headers[w->n++];

	assert(w->n < 3 * OBJECT_SECTIONS);
	header->sh_name = name(w, text);
	header->sh_type = type;
	header->sh_addralign = 1;
	return header;
}

static void write_symbols(struct writer *w, const struct object *object, unsigned strings)
{
	Elf64_Sym symbols[OBJECT_SYMBOLS + 1] = { 0 };
	Elf64_Shdr *table = header(w, ".symtab", SHT_SYMTAB);

	for (unsigned i = 0; i < object->symbols_n; i++) {
		symbols[i + 1].st_name = name(w, object->symbols[i].name);
		symbols[i + 1].st_info =
			(unsigned char)ELF64_ST_INFO(object->symbols[i].bind, STT_NOTYPE);
		symbols[i + 1].st_shndx = object->symbols[i].section;
		symbols[i + 1].st_value = object->symbols[i].value;
	}
	table->sh_size = (object->symbols_n + 1) * sizeof(*symbols);
	table->sh_offset = append(w, symbols, table->sh_size);
	table->sh_entsize = sizeof(*symbols);
	table->sh_link = strings;
	table->sh_info = 1;
}

static void write_relas(struct writer *w, const struct object *object, unsigned section,
			unsigned symtab)
{
	Elf64_Rela relas[OBJECT_RELAS];
	unsigned n = 0;
	Elf64_Shdr *table;

	for (unsigned i = 0; i < object->relas_n; i++) {
		if (object->relas[i].section != section)
			continue;
		relas[n].r_offset = object->relas[i].offset;
		relas[n].r_info = ELF64_R_INFO((uint64_t)object->relas[i].symbol,
					       object->relas[i].type);
		relas[n++].r_addend = object->relas[i].addend;
	}
	if (!n)
		return;
	table = header(w, ".rela", SHT_RELA);
	table->sh_size = n * sizeof(*relas);
	table->sh_offset = append(w, relas, table->sh_size);
	table->sh_entsize = sizeof(*relas);
	table->sh_link = symtab;
	table->sh_info = section;
}

struct blob object_make(const struct object *object)
{
	struct writer w = { .n = 1, .strings_n = 1 };
	unsigned symtab = object->sections_n + 1, strings = symtab + 1;
	Elf64_Ehdr elf = {
		.e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
		.e_type = object->type ? object->type : ET_REL, .e_machine = EM_X86_64,
		.e_version = EV_CURRENT, .e_ehsize = sizeof(elf),
		.e_shentsize = sizeof(Elf64_Shdr), .e_shstrndx = (uint16_t)strings,
	};
	Elf64_Shdr *table;

	append(&w, &elf, sizeof(elf));
	for (unsigned i = 0; i < object->sections_n; i++) {
		Elf64_Shdr *section = header(&w, object->sections[i].name,
					     object->sections[i].type);

		section->sh_flags = object->sections[i].flags;
		section->sh_addralign = object->sections[i].align;
		section->sh_info = object->sections[i].info;
		section->sh_size = object->sections[i].size;
		if (section->sh_type != SHT_NOBITS)
			section->sh_offset = append(&w, object->sections[i].data,
						    object->sections[i].size);
	}
	write_symbols(&w, object, strings);
	table = header(&w, ".strtab", SHT_STRTAB);
	for (unsigned i = 1; i <= object->sections_n; i++)
		write_relas(&w, object, i, symtab);
	table->sh_size = w.strings_n;
	table->sh_offset = append(&w, w.strings, w.strings_n);
	elf.e_shoff = append(&w, w.headers, w.n * sizeof(*w.headers));
	elf.e_shnum = (uint16_t)w.n;
	memcpy(w.out.data, &elf, sizeof(elf));
	return w.out;
}
