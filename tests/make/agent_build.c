/* SPDX-License-Identifier: Apache-2.0 */
#include "make/agent_build.h"

#include <stddef.h>
#include <string.h>

#include "agent/format.h"

static Elf64_Phdr load(uint64_t at, uint64_t bytes, uint32_t flags)
{
	return (Elf64_Phdr){ .p_type = PT_LOAD, .p_flags = flags, .p_offset = at, .p_vaddr = at,
			     .p_paddr = at, .p_filesz = bytes, .p_memsz = bytes, .p_align = 4096 };
}

struct made_build made_build(void)
{
	static const char names[] = "\0.note.gnu.build-id\0.rela.dyn\0" AGENT_ANCHOR_SECTION
				    "\0.shstrtab";
	struct made_build build = {
		.header = {
			.e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
			.e_type = ET_DYN, .e_machine = EM_X86_64, .e_version = EV_CURRENT,
			.e_ehsize = sizeof(Elf64_Ehdr), .e_phentsize = sizeof(Elf64_Phdr),
			.e_phnum = 4, .e_phoff = offsetof(struct made_build, program),
			.e_shentsize = sizeof(Elf64_Shdr), .e_shnum = MADE_SECTIONS,
			.e_shoff = offsetof(struct made_build, section),
			.e_shstrndx = MADE_NAMES_SECTION,
		},
		.program = {
			load(MADE_CONST, 0x1000, PF_R), load(MADE_CODE, 0x1000, PF_R | PF_X),
			load(MADE_RELRO, MADE_END - MADE_RELRO, PF_R | PF_W),
			{ .p_type = PT_GNU_RELRO, .p_vaddr = MADE_RELRO, .p_memsz = 0x1000 },
		},
		.section = {
			[MADE_NOTE_SECTION] = {
				.sh_name = 1, .sh_type = SHT_NOTE, .sh_flags = SHF_ALLOC,
				.sh_addr = offsetof(struct made_build, note),
				.sh_offset = offsetof(struct made_build, note), .sh_size = 36,
			},
			[MADE_RELA_SECTION] = {
				.sh_name = 20, .sh_type = SHT_RELA, .sh_flags = SHF_ALLOC,
				.sh_offset = offsetof(struct made_build, relocation),
				.sh_size = 2 * sizeof(Elf64_Rela),
			},
			[MADE_ANCHOR_SECTION] = {
				.sh_name = 30, .sh_type = SHT_PROGBITS, .sh_addr = MADE_ANCHOR,
				.sh_flags = SHF_ALLOC | SHF_WRITE, .sh_offset = MADE_ANCHOR,
				.sh_size = 4096,
			},
			[MADE_NAMES_SECTION] = {
				.sh_name = 43, .sh_type = SHT_STRTAB, .sh_size = 64,
				.sh_offset = offsetof(struct made_build, names),
			},
		},
		.relocation = {
			{ MADE_POINTER, ELF64_R_INFO(0, R_X86_64_RELATIVE), MADE_CONST + 0x800 },
			{ MADE_CHOSEN, ELF64_R_INFO(0, R_X86_64_IRELATIVE), MADE_CODE + 0x40 },
		},
		.note = { { 4, 20, NT_GNU_BUILD_ID }, "GNU", { 1, 2, 3, 4, 5, 6, 7, 8 } },
	};

	memcpy(build.names, names, sizeof(names));
	return build;
}

struct blob made_build_file(const struct made_build *build)
{
	struct blob file = { malloc(MADE_END), MADE_END };

	for (size_t i = 0; file.data && i < file.size; i++)
		file.data[i] = (uint8_t)(i * 7 + i / 4096);
	if (file.data)
		memcpy(file.data, build, sizeof(*build));
	return file;
}
