/* SPDX-License-Identifier: Apache-2.0 */
#include "ram/image_map.h"

#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "ram/machine.h"

#define PAGE GUEST_PAGE_SIZE

/* A file in memory, written from front to back. */
struct file {
	uint8_t *bytes;
	size_t n, room;
};

static void put(struct file *file, const void *data, size_t n)
{
	while (file->n + n > file->room) {
		file->room = file->room ? file->room * 2 : 65536;
		file->bytes = realloc(file->bytes, file->room);
		assert_non_null(file->bytes);
	}
	memcpy(file->bytes + file->n, data, n);
	file->n += n;
}

static void put_pages(struct file *file, unsigned n, uint8_t fill)
{
	uint8_t page[PAGE];

	memset(page, fill, sizeof(page));
	while (n--)
		put(file, page, sizeof(page));
}

static void file_free(struct file *file)
{
	free(file->bytes);
}

static int parse(const struct file *file, struct image_map *map, struct err *err)
{
	const struct image_source source = { .fd = -1, .bytes = file->bytes,
					     .size_bytes = file->n };

	*map = (struct image_map){ 0 };
	return image_parse(&source, map, err);
}

static void must_parse(const struct file *file, struct image_map *map, size_t parts)
{
	struct err err = { 0 };

	if (parse(file, map, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(map->parts.n, parts);
}

static void must_fail(const struct file *file, int code)
{
	cleanup(image_map_free) struct image_map map;
	struct err err = { 0 };

	assert_int_equal(parse(file, &map, &err), code);
	assert_int_equal(err.code, code);
	assert_string_not_equal(err.text, "");
}

static void assert_part(const struct image_map *map, size_t i, uint64_t start, uint64_t size,
			uint64_t offset)
{
	assert_int_equal(map->parts.v[i].start, start);
	assert_int_equal(map->parts.v[i].size_bytes, size);
	assert_int_equal(map->parts.v[i].offset, offset);
}

#define XEN_PAGES_AT (2 * PAGE)

/*
 * As xl dump-core lays it out: headers, names, pages, and what says where these lie. @entry_bytes
 * 16: of PV, pairs of frames; 8: of others.
 */
static void put_xen(struct file *file, const uint64_t *entries, unsigned entries_n,
		    unsigned entry_bytes, unsigned pages)
{
	static const char names[] = "\0.shstrtab\0.xen_p2m\0.xen_pfn\0.xen_pages";
	uint8_t zero[XEN_PAGES_AT] = { 0 };
	Elf64_Ehdr header = {
		.e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
		.e_type = ET_CORE, .e_machine = EM_X86_64, .e_version = EV_CURRENT,
		.e_ehsize = sizeof(Elf64_Ehdr), .e_shoff = sizeof(Elf64_Ehdr),
		.e_shentsize = sizeof(Elf64_Shdr), .e_shnum = 4, .e_shstrndx = 1,
	};
	const uint64_t behind = XEN_PAGES_AT + pages * PAGE;
	Elf64_Shdr sections[4] = {
		[1] = { .sh_name = 1, .sh_type = SHT_STRTAB, .sh_offset = PAGE,
			.sh_size = sizeof(names) },
		[2] = { .sh_name = entry_bytes == 16 ? 11 : 20, .sh_type = SHT_PROGBITS,
			.sh_offset = behind, .sh_size = (uint64_t)entries_n * entry_bytes },
		[3] = { .sh_name = 29, .sh_type = SHT_PROGBITS, .sh_offset = XEN_PAGES_AT,
			.sh_size = pages * PAGE },
	};

	put(file, &header, sizeof(header));
	put(file, sections, sizeof(sections));
	put(file, zero, PAGE - file->n);
	put(file, names, sizeof(names));
	put(file, zero, XEN_PAGES_AT - file->n);
	for (unsigned i = 0; i < pages; i++)
		put_pages(file, 1, (uint8_t)(i + 1));
	put(file, entries, (size_t)entries_n * entry_bytes);
}

static Elf64_Shdr *xen_section(struct file *file, size_t i)
{
	return (Elf64_Shdr *)(void *)(file->bytes + sizeof(Elf64_Ehdr)) + i;
}

static void a_core_of_a_pv_domain_says_its_machine_frames(void **state)
{
	static const uint64_t entries[] = { 0, 900, 1, 77, UINT64_MAX, UINT64_MAX, 5, 12,
					    6, 0x123456789ab };
	cleanup(image_map_free) struct image_map map;
	cleanup(file_free) struct file file = { 0 };

	(void)state;
	put_xen(&file, entries, 5, 16, 5);
	must_parse(&file, &map, 2);
	assert_string_equal(map.format, "Xen core");
	assert_part(&map, 0, 0, 2 * PAGE, XEN_PAGES_AT);
	assert_part(&map, 1, 5 * PAGE, 2 * PAGE, XEN_PAGES_AT + 3 * PAGE);
	assert_int_equal(map.frames_n, 7);
	assert_int_equal(map.frames[0], 900);
	assert_int_equal(map.frames[1], 77);
	assert_int_equal(map.frames[2], MACHINE_NONE);
	assert_int_equal(map.frames[5], 12);
	assert_int_equal(map.frames[6], MACHINE_NONE);	/* no machine has that */
	assert_int_equal(map.cpus.n, 0);
}

static void one_of_another_domain_says_its_frames(void **state)
{
	static const uint64_t entries[] = { 0, 1, 0x100000, UINT64_MAX };
	cleanup(image_map_free) struct image_map map;
	cleanup(file_free) struct file file = { 0 };

	(void)state;
	put_xen(&file, entries, 4, 8, 4);
	must_parse(&file, &map, 2);
	assert_part(&map, 1, 0x100000000, PAGE, XEN_PAGES_AT + 2 * PAGE);
	assert_null(map.frames);
}

static void a_core_of_xen_may_lie(void **state)
{
	static const uint64_t entries[] = { 0, 900, 1, 77 }, twice[] = { 3, 900, 3, 901 };
	static const uint64_t far[] = { 0, 900, MACHINE_FRAMES_MAX, 1 };
	static const struct { size_t section; uint64_t offset, size; } wrong[] = {
		{ 2, 0x7fffffffffffffff, 32 }, { 2, UINT64_MAX - 8, 32 }, { 2, 1 << 20, 32 },
		{ 3, 0x7fffffffffffffff, 2 * PAGE }, { 3, UINT64_MAX, 2 * PAGE },
		{ 3, XEN_PAGES_AT, PAGE }, { 2, PAGE, UINT64_MAX }, { 3, XEN_PAGES_AT, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		cleanup(file_free) struct file file = { 0 };

		put_xen(&file, entries, 2, 16, 2);
		xen_section(&file, wrong[i].section)->sh_offset = wrong[i].offset;
		xen_section(&file, wrong[i].section)->sh_size = wrong[i].size;
		must_fail(&file, -EBADMSG);
	}
	for (size_t i = 2; i < 4; i++) {	/* one that is not there */
		cleanup(file_free) struct file file = { 0 };

		put_xen(&file, entries, 2, 16, 2);
		xen_section(&file, i)->sh_name = UINT32_MAX;
		must_fail(&file, -EBADMSG);
	}
	for (size_t i = 0; i < 2; i++) {
		cleanup(file_free) struct file file = { 0 };

		put_xen(&file, i ? twice : far, 2, 16, 2);
		must_fail(&file, -EBADMSG);
	}
}

/* The pages that are there are worth reading; without the list of frames nothing is. */
static void a_truncated_core_of_xen(void **state)
{
	static const uint64_t entries[] = { 0, 900, 1, 77 };
	cleanup(image_map_free) struct image_map map;
	cleanup(file_free) struct file file = { 0 }, cut = { 0 };

	(void)state;
	put_xen(&file, entries, 2, 16, 2);
	put_xen(&cut, entries, 2, 16, 2);
	cut.n -= 8;
	must_fail(&cut, -EBADMSG);
	/* Behind the list, where the file ends. */
	xen_section(&file, 3)->sh_offset = file.n - file.n % PAGE - PAGE;
	must_parse(&file, &map, 1);
	assert_int_equal(map.missing_bytes, PAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_core_of_a_pv_domain_says_its_machine_frames),
		cmocka_unit_test(one_of_another_domain_says_its_frames),
		cmocka_unit_test(a_core_of_xen_may_lie),
		cmocka_unit_test(a_truncated_core_of_xen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
