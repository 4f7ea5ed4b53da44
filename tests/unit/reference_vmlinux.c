/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/vmlinux.h"

#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/limits.h"
#include "base/writer.h"

#define TEXT	 0xffffffff81000000ull
#define PHYS	 0x1000000ull
#define SECTIONS 5u

/* An image of three segments: text, data behind a gap, per-CPU variables linked to 0. */
struct made {
	Elf64_Ehdr head;
	Elf64_Phdr segments[3];
	uint8_t text[64], data[32], percpu[16];
	char names[64];
	Elf64_Shdr sections[SECTIONS];
	int32_t words[64];
	size_t words_n;
};

struct loaded {
	struct made made;
	struct shipped shipped;
	struct relocations relocations;
	struct err err;
};

static void segment(struct made *m, unsigned i, uint64_t at, uint64_t phys, const void *bytes,
		    size_t n, uint64_t memory)
{
	m->segments[i] = (Elf64_Phdr){
		.p_type = PT_LOAD, .p_vaddr = at, .p_paddr = phys, .p_filesz = n,
		.p_memsz = memory, .p_offset = (uint64_t)((const char *)bytes - (char *)m),
	};
}

static void section(struct made *m, unsigned i, const char *name, uint64_t at, uint64_t size)
{
	char *to = m->names + 1;

	while (*to)
		to += strlen(to) + 1;
	strcpy(to, name);
	m->sections[i] = (Elf64_Shdr){
		.sh_name = (uint32_t)(to - m->names), .sh_type = SHT_NOBITS, .sh_flags = SHF_ALLOC,
		.sh_addr = at, .sh_size = size, .sh_addralign = 1,
	};
}

static int start(void **state)
{
	struct loaded *l = calloc(1, sizeof(*l));
	struct made *m = &l->made;

	memcpy(m->head.e_ident, ELFMAG, SELFMAG);
	m->head.e_ident[EI_CLASS] = ELFCLASS64;
	m->head.e_ident[EI_DATA] = ELFDATA2LSB;
	m->head.e_ident[EI_VERSION] = EV_CURRENT;
	m->head.e_type = ET_EXEC;
	m->head.e_machine = EM_X86_64;
	m->head.e_version = EV_CURRENT;
	m->head.e_ehsize = sizeof(m->head);
	m->head.e_phoff = offsetof(struct made, segments);
	m->head.e_phentsize = sizeof(Elf64_Phdr);
	m->head.e_phnum = 3;
	m->head.e_shoff = offsetof(struct made, sections);
	m->head.e_shentsize = sizeof(Elf64_Shdr);
	m->head.e_shnum = SECTIONS;
	m->head.e_shstrndx = 1;
	memset(m->text, 0x11, sizeof(m->text));
	memset(m->data, 0x22, sizeof(m->data));
	memset(m->percpu, 0x33, sizeof(m->percpu));
	segment(m, 0, TEXT, PHYS, m->text, sizeof(m->text), 0x100);
	segment(m, 1, TEXT + 0x200, PHYS + 0x200, m->data, sizeof(m->data), 0x40);
	segment(m, 2, 0, PHYS + 0x240, m->percpu, sizeof(m->percpu), 0x10);
	section(m, 1, ".shstrtab", 0, 0);
	m->sections[1].sh_type = SHT_STRTAB;
	m->sections[1].sh_flags = 0;
	m->sections[1].sh_offset = offsetof(struct made, names);
	m->sections[1].sh_size = sizeof(m->names);
	section(m, 2, ".altinstructions", TEXT + 0x200, 28);
	section(m, 3, "runtime_ptr_x", TEXT + 0x210, 8);
	section(m, 4, ".text", TEXT, 0x40);
	*state = l;
	return 0;
}

static void unload(struct loaded *l)
{
	shipped_free(&l->shipped);
	relocations_free(&l->relocations);
}

static int end(void **state)
{
	unload(*state);
	free(*state);
	return 0;
}

static int load_at(struct loaded *l, uint64_t text)
{
	size_t n = offsetof(struct made, words) + l->made.words_n * 4;
	struct blob file = { (uint8_t *)malloc(n), n };
	int r;

	memcpy(file.data, &l->made, n);
	unload(l);
	r = vmlinux_load(&file, gva_of(text), &l->shipped, &l->relocations, &l->err);
	free(file.data);
	return r;
}

/* Relocations as relocs.c writes them: a list, then those after it. */
static void words(struct loaded *l, const int32_t *list, size_t n)
{
	memcpy(l->made.words, list, n * 4);
	l->made.words_n = n;
}

#define WORDS(l, ...) \
	words(l, (const int32_t[]){ __VA_ARGS__ }, \
	      sizeof((const int32_t[]){ __VA_ARGS__ }) / sizeof(int32_t))

#define AT(offset) ((int32_t)(uint32_t)(TEXT + (offset)))

static uint64_t number(const struct loaded *l, uint64_t offset, size_t n)
{
	uint64_t value = 0;

	memcpy(&value, l->shipped.parts.v[0].bytes + offset, n);
	return value;
}

static void segments_lie_as_in_memory(void **state)
{
	struct loaded *l = *state;

	assert_int_equal(load_at(l, TEXT), 0);
	assert_int_equal(l->shipped.parts.n, 1);
	assert_int_equal(l->shipped.parts.v[0].at.v, TEXT);
	assert_int_equal(l->shipped.parts.v[0].size_bytes, 0x250);
	assert_int_equal(l->shipped.parts.v[0].loaded_bytes, 64);
	assert_int_equal(number(l, 63, 2), 0x11);	/* then zeros */
	assert_int_equal(number(l, 0x1ff, 2), 0x2200);
	assert_int_equal(number(l, 0x240, 1), 0x33);
}

static void tables_are_found_by_their_sections(void **state)
{
	struct loaded *l = *state;

	WORDS(l, 0, 0);
	assert_int_equal(load_at(l, TEXT + 0x200000), 0);
	assert_int_equal(l->shipped.table[TABLE_ALTERNATIVES].at.v, TEXT + 0x200200);
	assert_int_equal(l->shipped.table[TABLE_ALTERNATIVES].size_bytes, 28);
	assert_int_equal(l->shipped.table[TABLE_LOCKS].size_bytes, 0);
	assert_int_equal(l->shipped.runtime.n, 1);
	assert_string_equal(l->shipped.runtime.v[0].name, "runtime_ptr_x");
	assert_int_equal(l->shipped.runtime.v[0].range.at.v, TEXT + 0x200210);
}

static void three_lists_of_relocations(void **state)
{
	struct relocations_at walk = {0};
	struct relocation found[4];
	struct loaded *l = *state;

	WORDS(l, 0, AT(8), 0, AT(0x210), 0, AT(0), AT(4));
	assert_int_equal(load_at(l, TEXT + 0x200000), 0);
	assert_int_equal(number(l, 8, 8), 0x1111111111111111 + 0x200000);
	assert_int_equal(number(l, 0x210, 4), 0x22222222 - 0x200000);
	assert_int_equal(number(l, 0, 4), 0x11111111 + 0x200000);
	assert_int_equal(number(l, 4, 4), 0x11111111 + 0x200000);
	assert_int_equal(l->relocations.list.n, 4);
	for (unsigned i = 0; i < 4; i++)	/* ascending */
		assert_true(relocations_next(&l->relocations, &walk, &found[i]));
	assert_false(relocations_next(&l->relocations, &walk, &found[0]));
	assert_int_equal(found[2].at, 8);
	assert_int_equal(found[2].size_bytes, 8);
	assert_true(found[3].inverse);
}

static void two_lists_of_relocations(void **state)
{
	struct loaded *l = *state;

	WORDS(l, 0, AT(8), 0, AT(0));
	assert_int_equal(load_at(l, TEXT - 0x200000), 0);
	assert_int_equal(number(l, 8, 8), 0x1111111111111111 - 0x200000);
	assert_int_equal(number(l, 0, 4), 0x11111111 - 0x200000);
	assert_int_equal(l->relocations.list.n, 2);
}

static void what_stands_before_the_lists_is_none_of_them(void **state)
{
	struct loaded *l = *state;

	WORDS(l, AT(0x10), 0, AT(8), 0, AT(0x20), 0, AT(0));
	assert_int_equal(load_at(l, TEXT + 0x200000), 0);
	assert_int_equal(number(l, 0x10, 4), 0x11111111);
}

static void without_relocations_it_lies_where_it_was_linked_to(void **state)
{
	struct loaded *l = *state;

	assert_int_equal(load_at(l, TEXT), 0);
	assert_int_equal(load_at(l, TEXT + 0x200000), -ENOTSUP);
}

static void relocations_that_cannot_be(void **state)
{
	struct loaded *l = *state;

	WORDS(l, AT(0), AT(4), AT(8));		/* no list begins */
	assert_int_equal(load_at(l, TEXT), -EBADMSG);
	WORDS(l, AT(0), 0, AT(4));
	assert_int_equal(load_at(l, TEXT), -EBADMSG);
	WORDS(l, 0, 0, AT(0x250));
	assert_int_equal(load_at(l, TEXT), -EBADMSG);
	WORDS(l, 0, 0, AT(0x24d));		/* ends one byte behind */
	assert_int_equal(load_at(l, TEXT), -EBADMSG);
	WORDS(l, 0, AT(0x249), 0);
	assert_int_equal(load_at(l, TEXT), -EBADMSG);
	WORDS(l, 0, 0, (int32_t)(uint32_t)(TEXT - 4));
	assert_int_equal(load_at(l, TEXT), -EBADMSG);
	WORDS(l, 0, 0, AT(0x24c));
	assert_int_equal(load_at(l, TEXT), 0);
}

static void what_is_no_kernel_is_refused(void **state)
{
	struct loaded *l = *state;

	l->made.head.e_type = ET_REL;
	assert_int_equal(load_at(l, TEXT), -EBADMSG);
	l->made.head.e_type = ET_EXEC;
	l->made.segments[0].p_vaddr = l->made.segments[1].p_vaddr = 0x400000;
	assert_int_equal(load_at(l, TEXT), -EBADMSG);
}

static void a_kernel_that_is_too_large_is_refused(void **state)
{
	struct loaded *l = *state;

	l->made.segments[1].p_memsz = KERNEL_IMAGE_MAX;
	assert_int_equal(load_at(l, TEXT), -ELOOP);
	l->made.segments[1].p_memsz = 0x40;
	l->made.segments[1].p_paddr = PHYS - 0x1000;	/* before _text */
	assert_int_equal(load_at(l, TEXT), -ELOOP);
}

/* --- moving a part of it --- */

static void a_part_is_moved_as_the_whole_is(void **state)
{
	struct loaded *l = *state;
	uint8_t whole[64], part[64];

	WORDS(l, 0, AT(8), AT(0x19), 0, AT(0x30), 0, AT(0), AT(0x22));
	assert_int_equal(load_at(l, TEXT + 0x400000), 0);
	memcpy(whole, l->shipped.parts.v[0].bytes, sizeof(whole));
	assert_int_equal(load_at(l, TEXT), 0);
	memcpy(part, l->shipped.parts.v[0].bytes, sizeof(part));
	relocations_apply(&l->relocations, 0, part, sizeof(part), 0x400000);
	assert_memory_equal(part, whole, sizeof(part));
	/* From the second number on, which begins there. */
	memcpy(part, l->shipped.parts.v[0].bytes, sizeof(part));
	relocations_apply(&l->relocations, 8, part + 8, sizeof(part) - 8, 0x400000);
	assert_memory_equal(part + 8, whole + 8, sizeof(part) - 8);
	assert_int_equal(part[2], 0x11);
}

static void what_straddles_the_ends_is_left_alone(void **state)
{
	struct loaded *l = *state;
	uint8_t part[16];

	WORDS(l, 0, AT(8), AT(0x14), 0);
	assert_int_equal(load_at(l, TEXT), 0);
	memset(part, 0x11, sizeof(part));
	relocations_apply(&l->relocations, 9, part, 0x1b - 9 - 5, 0x400000);	/* 9..0x16 */
	for (unsigned i = 0; i < sizeof(part); i++)
		assert_int_equal(part[i], 0x11);
	relocations_apply(&l->relocations, 0x30, part, sizeof(part), 0x400000);
	assert_int_equal(part[2], 0x11);
}

/* --- as bytes that many share --- */

/* In memory of its own of just its size, so that AddressSanitizer sees the ends. */
static int read_copy(const uint8_t *data, size_t n, uint8_t **copy, struct relocations *ret)
{
	struct bytes b;

	*copy = malloc(n ? n : 1);
	memcpy(*copy, data, n);
	b = bytes_of(*copy, n);
	return relocations_read(&b, ret, NULL);
}

static size_t write_all(struct loaded *l, uint8_t *room, size_t size)
{
	struct writer w = writer_of(room, size);

	WORDS(l, 0, AT(8), AT(0x19), 0, AT(0x30), 0, AT(0), AT(0x22), AT(0x210));
	assert_int_equal(load_at(l, TEXT), 0);
	assert_true(relocations_written_max(&l->relocations) <= size);
	relocations_write(&l->relocations, &w);
	assert_true(writer_ok(&w));
	return w.n;
}

static void relocations_are_read_as_they_were_written(void **state)
{
	cleanup(freep) uint8_t *copy = NULL;
	struct relocations_at here = {0}, there = {0};
	struct relocations shared = {0};
	struct relocation a, b;
	struct loaded *l = *state;
	uint8_t room[256];
	size_t n = write_all(l, room, sizeof(room));

	assert_int_equal(read_copy(room, n, &copy, &shared), 0);
	assert_true((uint8_t *)shared.list.v > copy);
	while (relocations_next(&l->relocations, &here, &a)) {
		assert_true(relocations_next(&shared, &there, &b));
		assert_int_equal(a.at, b.at);
		assert_int_equal(a.size_bytes, b.size_bytes);
		assert_int_equal(a.inverse, b.inverse);
	}
	assert_int_equal(here.i, 6);
	assert_false(relocations_next(&shared, &there, &b));
	relocations_free(&shared);
	assert_null(shared.list.v);
}

/* Whatever it is that was written: nothing leads out of it, and no two overlap. */
static void damaged_relocations_lead_nowhere(void **state)
{
	struct loaded *l = *state;
	uint8_t room[256], image[4096] = {0};
	size_t n = write_all(l, room, sizeof(room)), refused = 0;

	for (size_t i = 0; i < n * 9; i++) {
		cleanup(freep) uint8_t *copy = NULL;
		struct relocations_at walk = {0};
		struct relocations shared = {0};
		struct relocation next;
		size_t found = 0;
		int r;

		if (i < n * 8)
			room[i / 8] ^= (uint8_t)(1 << i % 8);
		r = read_copy(room, i < n * 8 ? n : i - n * 8, &copy, &shared);
		if (i < n * 8)
			room[i / 8] ^= (uint8_t)(1 << i % 8);
		refused += r < 0;
		assert_true(r == 0 || r == -EBADMSG);
		while (r == 0 && relocations_next(&shared, &walk, &next))
			found++;
		assert_int_equal(found, shared.list.n);
		relocations_apply(&shared, 0, image, sizeof(image), 0x1000);
		relocations_free(&shared);
	}
	assert_true(refused > n);	/* each that is too short, and more */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(segments_lie_as_in_memory),
		TEST(tables_are_found_by_their_sections),
		TEST(three_lists_of_relocations),
		TEST(two_lists_of_relocations),
		TEST(what_stands_before_the_lists_is_none_of_them),
		TEST(without_relocations_it_lies_where_it_was_linked_to),
		TEST(relocations_that_cannot_be),
		TEST(what_is_no_kernel_is_refused),
		TEST(a_kernel_that_is_too_large_is_refused),
		TEST(a_part_is_moved_as_the_whole_is),
		TEST(what_straddles_the_ends_is_left_alone),
		TEST(relocations_are_read_as_they_were_written),
		TEST(damaged_relocations_lead_nowhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
