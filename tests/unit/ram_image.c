/* SPDX-License-Identifier: Apache-2.0 */
#include "ram/image.h"

#include <elf.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "ram/image_map.h"

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

static void put_lime(struct file *file, uint64_t first, uint64_t last)
{
	const uint32_t head[] = { 0x4c694d45, 1 };
	const uint64_t range[] = { first, last, 0 };

	put(file, head, sizeof(head));
	put(file, range, sizeof(range));
}

struct load {
	uint64_t at, size, offset;	/* offset: behind the headers */
};

#define DATA_AT (PAGE * 2)

static void put_elf(struct file *file, const struct load *loads, uint16_t n)
{
	Elf64_Ehdr header = {
		.e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
		.e_type = ET_CORE, .e_machine = EM_X86_64, .e_version = EV_CURRENT,
		.e_phoff = sizeof(Elf64_Ehdr), .e_phentsize = sizeof(Elf64_Phdr), .e_phnum = n,
		.e_ehsize = sizeof(Elf64_Ehdr),
	};
	uint8_t zero[DATA_AT] = { 0 };

	put(file, &header, sizeof(header));
	for (uint16_t i = 0; i < n; i++) {
		Elf64_Phdr load = {
			.p_type = PT_LOAD, .p_paddr = loads[i].at, .p_filesz = loads[i].size,
			.p_memsz = loads[i].size, .p_offset = DATA_AT + loads[i].offset,
		};

		put(file, &load, sizeof(load));
	}
	put(file, zero, DATA_AT - file->n);
}

static Elf64_Phdr *elf_load(struct file *file, size_t i)
{
	return (Elf64_Phdr *)(void *)(file->bytes + sizeof(Elf64_Ehdr)) + i;
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

static void a_raw_file_is_memory_from_zero_on(void **state)
{
	cleanup(image_map_free) struct image_map map;
	cleanup(file_free) struct file file = { 0 };

	(void)state;
	put_pages(&file, 3, 0xaa);
	must_parse(&file, &map, 1);
	assert_part(&map, 0, 0, 3 * PAGE, 0);
	assert_int_equal(map.missing_bytes, 0);
}

static void a_cut_page_of_a_raw_file_is_missing(void **state)
{
	cleanup(image_map_free) struct image_map map;
	cleanup(file_free) struct file file = { 0 };

	(void)state;
	put_pages(&file, 2, 0xaa);
	file.n -= 100;
	must_parse(&file, &map, 1);
	assert_part(&map, 0, 0, PAGE, 0);
	assert_int_equal(map.missing_bytes, 100);
	file.n = 100;
	must_fail(&file, -EBADMSG);
	file.n = 0;
	must_fail(&file, -EBADMSG);
}

static void an_elf_core(void **state)
{
	static const struct load loads[] = {
		{ 0x100000000, 2 * PAGE, 3 * PAGE }, { 0, 3 * PAGE, 0 },
	};
	cleanup(image_map_free) struct image_map map;
	cleanup(file_free) struct file file = { 0 };

	(void)state;
	put_elf(&file, loads, ARRAY_SIZE(loads));
	put_pages(&file, 5, 0x11);
	must_parse(&file, &map, 2);
	assert_part(&map, 0, 0, 3 * PAGE, DATA_AT);
	assert_part(&map, 1, 0x100000000, 2 * PAGE, DATA_AT + 3 * PAGE);
	assert_int_equal(map.missing_bytes, 0);
}

static void a_truncated_elf_core_keeps_what_is_there(void **state)
{
	static const struct load loads[] = {
		{ 0, 3 * PAGE, 0 }, { 0x100000000, 2 * PAGE, 3 * PAGE },
	};
	cleanup(image_map_free) struct image_map map;
	cleanup(file_free) struct file file = { 0 };

	(void)state;
	put_elf(&file, loads, ARRAY_SIZE(loads));
	put_pages(&file, 1, 0x11);
	put(&file, "cut here", 8);
	must_parse(&file, &map, 1);
	assert_part(&map, 0, 0, PAGE, DATA_AT);
	assert_int_equal(map.missing_bytes, 4 * PAGE);
	file.n = DATA_AT;
	must_fail(&file, -EBADMSG);
}

/* With paging=true QEMU writes a header for every virtual mapping. */
static void headers_that_say_the_same_are_joined(void **state)
{
	static const struct load loads[] = {
		{ PAGE, PAGE, PAGE }, { 0, 2 * PAGE, 0 }, { 0, PAGE, 0 }, { 2 * PAGE, PAGE, 2 * PAGE },
	};
	cleanup(image_map_free) struct image_map map;
	cleanup(file_free) struct file file = { 0 };

	(void)state;
	put_elf(&file, loads, ARRAY_SIZE(loads));
	put_pages(&file, 3, 0x11);
	must_parse(&file, &map, 1);
	assert_part(&map, 0, 0, 3 * PAGE, DATA_AT);
}

static void headers_that_contradict_are_refused(void **state)
{
	static const struct load loads[] = { { 0, 2 * PAGE, 0 }, { PAGE, PAGE, 0 } };
	static const struct load partly[] = { { 0, 2 * PAGE, 0 }, { PAGE, 2 * PAGE, 0 } };
	cleanup(file_free) struct file file = { 0 }, other = { 0 };

	(void)state;
	put_elf(&file, loads, ARRAY_SIZE(loads));
	put_pages(&file, 1, 0x11);
	put_pages(&file, 1, 0x12);
	must_fail(&file, -EBADMSG);
	put_elf(&other, partly, ARRAY_SIZE(partly));
	put_pages(&other, 2, 0x11);
	must_fail(&other, -EBADMSG);
}

/* kdump writes the kernel's text once more, at its virtual address. */
static void what_is_there_twice_must_be_the_same(void **state)
{
	static const struct load loads[] = {
		{ PAGE, PAGE, 4 * PAGE }, { 0, 4 * PAGE, 0 }, { 0, PAGE, 5 * PAGE },
	};
	cleanup(image_map_free) struct image_map map;
	cleanup(file_free) struct file file = { 0 };

	(void)state;
	put_elf(&file, loads, ARRAY_SIZE(loads));
	put_pages(&file, 1, 0x11);
	put_pages(&file, 1, 0x22);
	put_pages(&file, 2, 0x33);
	put_pages(&file, 1, 0x22);
	put_pages(&file, 1, 0x11);
	must_parse(&file, &map, 1);
	assert_part(&map, 0, 0, 4 * PAGE, DATA_AT);
	file.bytes[file.n - PAGE - 1] ^= 1;
	must_fail(&file, -EBADMSG);
}

static void forged_program_headers_are_refused(void **state)
{
	static const struct load loads[] = { { 0, PAGE, 0 } };
	static const struct { uint64_t paddr, filesz, memsz, offset; } forged[] = {
		{ UINT64_MAX - PAGE + 1, 2 * PAGE, 2 * PAGE, DATA_AT },	/* wraps */
		{ 1ull << 52, PAGE, PAGE, DATA_AT },			/* no such address */
		{ 0, UINT64_MAX, UINT64_MAX, DATA_AT },
		{ 0, PAGE, PAGE, UINT64_MAX - 100 },			/* offset wraps */
		{ 0, PAGE, PAGE, INT64_MAX },
		{ 0, 2 * PAGE, PAGE, DATA_AT },				/* more than there is */
	};
	cleanup(file_free) struct file file = { 0 };

	(void)state;
	put_elf(&file, loads, 1);
	put_pages(&file, 1, 0x11);
	for (size_t i = 0; i < ARRAY_SIZE(forged); i++) {
		elf_load(&file, 0)->p_paddr = forged[i].paddr;
		elf_load(&file, 0)->p_filesz = forged[i].filesz;
		elf_load(&file, 0)->p_memsz = forged[i].memsz;
		elf_load(&file, 0)->p_offset = forged[i].offset;
		must_fail(&file, -EBADMSG);
	}
}

static void what_was_not_dumped_is_no_memory(void **state)
{
	static const struct load loads[] = { { 0, PAGE, 0 }, { 4 * PAGE, 0, 0 } };
	cleanup(image_map_free) struct image_map map;
	cleanup(file_free) struct file file = { 0 };

	(void)state;
	put_elf(&file, loads, ARRAY_SIZE(loads));
	put_pages(&file, 1, 0x11);
	elf_load(&file, 0)->p_memsz = 3 * PAGE;
	elf_load(&file, 1)->p_memsz = PAGE;
	must_parse(&file, &map, 1);
	assert_part(&map, 0, 0, PAGE, DATA_AT);
}

static void parts_of_pages_are_left_out(void **state)
{
	static const struct load loads[] = { { 0x1800, 2 * PAGE, 0 }, { 0x8010, 0x20, 0 } };
	cleanup(image_map_free) struct image_map map;
	cleanup(file_free) struct file file = { 0 };

	(void)state;
	put_elf(&file, loads, ARRAY_SIZE(loads));
	put_pages(&file, 3, 0x11);
	must_parse(&file, &map, 1);
	assert_part(&map, 0, 0x2000, PAGE, DATA_AT + 0x800);
}

static void more_headers_than_a_header_can_count(void **state)
{
	Elf64_Shdr section = { .sh_info = 70000 };
	cleanup(image_map_free) struct image_map map;
	cleanup(file_free) struct file file = { 0 };
	Elf64_Ehdr *header;
	Elf64_Phdr load = { .p_type = PT_LOAD, .p_filesz = PAGE, .p_memsz = PAGE };

	(void)state;
	put_elf(&file, NULL, 0);
	file.n = sizeof(Elf64_Ehdr);
	for (uint32_t i = 0; i < section.sh_info; i++) {
		load.p_paddr = (uint64_t)i * PAGE;
		/* All of them lie behind the headers, and only two pages are there. */
		load.p_offset = 4 << 20;
		load.p_offset += load.p_paddr;
		put(&file, &load, sizeof(load));
	}
	header = (Elf64_Ehdr *)(void *)file.bytes;
	header->e_phnum = PN_XNUM;
	header->e_shoff = file.n;
	header->e_shentsize = sizeof(section);
	put(&file, &section, sizeof(section));
	while (file.n < (4u << 20) + 2 * PAGE)
		put_pages(&file, 1, 0x22);
	file.n = (4u << 20) + 2 * PAGE;
	must_parse(&file, &map, 1);
	assert_part(&map, 0, 0, 2 * PAGE, 4 << 20);
	assert_int_equal(map.missing_bytes, 69998ull * PAGE);
}

static void counts_of_headers_that_cannot_be(void **state)
{
	static const struct load loads[] = { { 0, PAGE, 0 } };
	cleanup(file_free) struct file file = { 0 };
	Elf64_Shdr section = { .sh_info = UINT32_MAX };
	Elf64_Ehdr *header;

	(void)state;
	put_elf(&file, loads, 1);
	put_pages(&file, 1, 0x11);
	put(&file, &section, sizeof(section));
	header = (Elf64_Ehdr *)(void *)file.bytes;
	header->e_phnum = PN_XNUM;
	must_fail(&file, -EBADMSG);		/* no sections */
	header->e_shoff = UINT64_MAX - 8;
	must_fail(&file, -EBADMSG);
	header->e_shoff = file.n - sizeof(section);
	must_fail(&file, -ELOOP);
	header->e_phnum = PN_XNUM - 1;
	must_fail(&file, -EBADMSG);		/* the file is not that long */
	header->e_phnum = 1;
	header->e_phoff = UINT64_MAX - 16;
	must_fail(&file, -EBADMSG);
	header->e_phoff = sizeof(*header);
	header->e_phentsize = 32;
	must_fail(&file, -EBADMSG);
	header->e_phentsize = sizeof(Elf64_Phdr);
	header->e_phnum = 0;
	must_fail(&file, -EBADMSG);
}

static void other_elf_files_are_refused(void **state)
{
	static const struct load loads[] = { { 0, PAGE, 0 } };
	cleanup(file_free) struct file file = { 0 };
	Elf64_Ehdr *header;

	(void)state;
	put_elf(&file, loads, 1);
	put_pages(&file, 1, 0x11);
	header = (Elf64_Ehdr *)(void *)file.bytes;
	header->e_type = ET_DYN;
	must_fail(&file, -ENOTSUP);
	header->e_type = ET_CORE;
	header->e_machine = EM_AARCH64;
	must_fail(&file, -ENOTSUP);
	header->e_machine = EM_X86_64;
	header->e_ident[EI_CLASS] = ELFCLASS32;
	must_fail(&file, -ENOTSUP);
	file.n = 20;
	must_fail(&file, -EBADMSG);
}

static void ranges_without_end_are_bounded(void **state)
{
	static struct load loads[RAM_RANGES_MAX + 1];
	cleanup(file_free) struct file file = { 0 };
	Elf64_Phdr load = { .p_type = PT_LOAD, .p_filesz = PAGE, .p_memsz = PAGE };

	(void)state;
	put_elf(&file, NULL, 0);
	file.n = sizeof(Elf64_Ehdr);
	((Elf64_Ehdr *)(void *)file.bytes)->e_phnum = ARRAY_SIZE(loads);
	for (size_t i = 0; i < ARRAY_SIZE(loads); i++) {
		load.p_paddr = i * 2 * PAGE;
		put(&file, &load, sizeof(load));
	}
	must_fail(&file, -ELOOP);
}

static void a_lime_image(void **state)
{
	cleanup(image_map_free) struct image_map map;
	cleanup(file_free) struct file file = { 0 };

	(void)state;
	put_lime(&file, 0x1000, 0x2bff);	/* as on a PC: the last page is a part */
	put_pages(&file, 1, 0x11);
	put(&file, file.bytes, 0xc00);
	put_lime(&file, 0x100000, 0x101fff);
	put_pages(&file, 2, 0x22);
	must_parse(&file, &map, 2);
	assert_part(&map, 0, 0x1000, PAGE, 32);
	assert_part(&map, 1, 0x100000, 2 * PAGE, 32 + 0x1c00 + 32);
	assert_int_equal(map.missing_bytes, 0);
}

static void a_truncated_lime_image_keeps_what_is_there(void **state)
{
	cleanup(file_free) struct file file = { 0 };

	(void)state;
	put_lime(&file, 0, 0x1fff);
	put_pages(&file, 2, 0x11);
	put_lime(&file, 0x100000, 0x101fff);
	put_pages(&file, 2, 0x22);
	for (size_t end = file.n; end > 32 + PAGE; end--) {
		cleanup(image_map_free) struct image_map map;
		size_t parts = end >= 64 + 3 * PAGE ? 2 : 1;

		file.n = end;
		must_parse(&file, &map, parts);
		/* Cut exactly between two ranges, nothing tells that there was another. */
		if (end < 64 + 4 * PAGE && end != 32 + 2 * PAGE)
			assert_int_not_equal(map.missing_bytes, 0);
		for (size_t i = 0; i < parts; i++)
			assert_true(map.parts.v[i].offset + map.parts.v[i].size_bytes <= end);
	}
	file.n = 32 + PAGE - 1;
	must_fail(&file, -EBADMSG);
	file.n = 31;
	must_fail(&file, -EBADMSG);
}

static void forged_lime_headers_are_refused(void **state)
{
	static const struct { uint64_t first, last; } forged[] = {
		{ 0x2000, 0x1000 }, { 0, UINT64_MAX }, { 1ull << 52, (1ull << 52) + 0xfff },
		{ UINT64_MAX - 0xfff, UINT64_MAX }, { 1, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(forged); i++) {
		cleanup(file_free) struct file file = { 0 };

		put_lime(&file, forged[i].first, forged[i].last);
		put_pages(&file, 2, 0x11);
		must_fail(&file, -EBADMSG);
	}
}

static void lime_ranges_that_overlap_are_refused(void **state)
{
	cleanup(file_free) struct file file = { 0 };

	(void)state;
	put_lime(&file, 0, 0x1fff);
	put_pages(&file, 2, 0x11);
	put_lime(&file, 0x1000, 0x1fff);
	put_pages(&file, 1, 0x22);
	must_fail(&file, -EBADMSG);
}

static void lime_with_rubbish_behind_is_refused(void **state)
{
	cleanup(file_free) struct file file = { 0 };

	(void)state;
	put_lime(&file, 0, 0xfff);
	put_pages(&file, 2, 0x11);
	must_fail(&file, -EBADMSG);
}

static void other_versions_of_lime_are_refused(void **state)
{
	cleanup(file_free) struct file file = { 0 };

	(void)state;
	put_lime(&file, 0, 0xfff);
	put_pages(&file, 1, 0x11);
	file.bytes[4] = 2;
	must_fail(&file, -ENOTSUP);
}

static void lime_without_end_is_bounded(void **state)
{
	cleanup(file_free) struct file file = { 0 };

	(void)state;
	for (uint64_t i = 0; i <= RAM_RANGES_MAX; i++) {
		put_lime(&file, i * 0x2000, i * 0x2000 + 0xfff);
		put_pages(&file, 1, 0x11);
	}
	must_fail(&file, -ELOOP);
}

static void foreign_formats_are_refused_by_name(void **state)
{
	static const struct { const char *head; size_t n; const char *name; } formats[] = {
		{ "KDUMP   ", 8, "kdump" }, { "makedumpfile\0\0", 14, "makedumpfile" },
		{ "QEVM", 4, "saved state of QEMU" }, { "LibvirtQemudSave", 16, "libvirt" },
		{ "PAGEDU64", 8, "Windows" }, { "\xd2\xbe\xd2\xbe", 4, "VMware" },
		{ "\x1f\x8b\x08", 3, "gzip" }, { "\x28\xb5\x2f\xfd", 4, "zstd" },
		{ "\xfd" "7zXZ\0", 6, "xz" }, { "QFI\xfb", 4, "disk image" },
		{ "AVML\x02", 5, "AVML" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		cleanup(image_map_free) struct image_map map;
		cleanup(file_free) struct file file = { 0 };
		struct err err = { 0 };

		put(&file, formats[i].head, formats[i].n);
		put_pages(&file, 2, 0);
		assert_int_equal(parse(&file, &map, &err), -ENOTSUP);
		assert_non_null(strstr(err.text, formats[i].name));
	}
}

/* The same through a file. */
static int open_file(const struct file *file, struct ram **ram, char *path, struct err *err)
{
	int fd;

	strcpy(path, "/tmp/hvsm-image-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, file->bytes, file->n), file->n);
	close(fd);
	return image_open(path, ram, err);
}

static void a_file_is_read(void **state)
{
	static const struct load loads[] = {
		{ 0, PAGE, 0 }, { PAGE, PAGE, 2 * PAGE }, { 0x100000000, PAGE, PAGE },
	};
	cleanup(file_free) struct file file = { 0 };
	cleanup(ram_close) struct ram *ram = NULL;
	uint8_t buf[PAGE];
	char path[64];

	(void)state;
	put_elf(&file, loads, ARRAY_SIZE(loads));
	put_pages(&file, 1, 0x11);
	put_pages(&file, 1, 0x33);
	put_pages(&file, 1, 0x22);
	assert_int_equal(open_file(&file, &ram, path, NULL), 0);
	unlink(path);
	assert_int_equal(ram_read(ram, gpa_of(PAGE - 16), buf, 32, NULL), 0);
	assert_int_equal(buf[15], 0x11);
	assert_int_equal(buf[16], 0x22);
	assert_int_equal(ram_read(ram, gpa_of(0x100000000), buf, PAGE, NULL), 0);
	assert_int_equal(buf[PAGE - 1], 0x33);
	assert_int_equal(ram_read(ram, gpa_of(2 * PAGE), buf, 1, NULL), -EFAULT);
	assert_int_equal(ram_bytes(ram), 3 * PAGE);
	assert_false(ram_is_live(ram));
	assert_non_null(strstr(ram->layout, "ELF core"));
	assert_null(strstr(ram->layout, "truncated"));
}

static void a_truncated_file_says_so_and_faults(void **state)
{
	static const struct load loads[] = { { 0, 4 * PAGE, 0 } };
	cleanup(file_free) struct file file = { 0 };
	cleanup(ram_close) struct ram *ram = NULL;
	uint8_t buf[PAGE];
	char path[64];

	(void)state;
	put_elf(&file, loads, ARRAY_SIZE(loads));
	put_pages(&file, 2, 0x11);
	assert_int_equal(open_file(&file, &ram, path, NULL), 0);
	unlink(path);
	assert_non_null(strstr(ram->layout, "truncated"));
	assert_int_equal(ram_read(ram, gpa_of(PAGE), buf, PAGE, NULL), 0);
	assert_int_equal(ram_read(ram, gpa_of(2 * PAGE), buf, PAGE, NULL), -EFAULT);
}

static void a_file_that_shrinks_faults(void **state)
{
	cleanup(file_free) struct file file = { 0 };
	cleanup(ram_close) struct ram *ram = NULL;
	struct err err = { 0 };
	uint8_t buf[PAGE];
	uint64_t len;
	char path[64];
	gpa at;

	(void)state;
	put_pages(&file, 4, 0x11);
	assert_int_equal(open_file(&file, &ram, path, NULL), 0);
	assert_int_equal(truncate(path, PAGE), 0);
	unlink(path);
	assert_int_equal(ram_read(ram, gpa_of(0), buf, PAGE, &err), 0);
	assert_int_equal(ram_read(ram, gpa_of(PAGE), buf, PAGE, &err), -EFAULT);
	/* And a search does not take it for the end. */
	assert_int_equal(ram_populated(ram, gpa_of(2 * PAGE), &at, &len, &err), -EFAULT);
}

static void holes_need_not_be_searched(void **state)
{
	cleanup(ram_close) struct ram *ram = NULL;
	cleanup(file_free) struct file file = { 0 };
	uint64_t len, sum = 0;
	char path[64];
	gpa at = { 0 };

	(void)state;
	put_pages(&file, 1, 0x11);
	assert_int_equal(open_file(&file, &ram, path, NULL), 0);
	ram_close(&ram);
	assert_int_equal(truncate(path, 64 << 20), 0);
	assert_int_equal(image_open(path, &ram, NULL), 0);
	unlink(path);
	while (ram_populated(ram, at, &at, &len, NULL) == 0) {
		sum += len;
		at.v += len;
	}
	assert_in_range(sum, PAGE, 64 << 20);
	assert_int_equal(ram_populated(ram, gpa_of(ram_bytes(ram)), &at, &len, NULL), -ENOENT);
}

static void what_is_no_file_is_refused(void **state)
{
	struct ram *ram = NULL;
	char path[] = "/tmp/hvsm-image-XXXXXX";
	struct err err = { 0 };

	(void)state;
	assert_int_equal(image_open("/nonexistent/image", &ram, &err), -ENOENT);
	assert_int_equal(image_open("/dev/zero", &ram, &err), -ENOTSUP);
	assert_int_equal(image_open("/tmp", &ram, &err), -ENOTSUP);
	assert_non_null(mkdtemp(path));
	assert_int_equal(rmdir(path), 0);
	/* A pipe without a writer must not make us wait. */
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(image_open(path, &ram, &err), -ENOTSUP);
	unlink(path);
	assert_null(ram);
}

/* A note of one CPU, as QEMU writes it; and what is said of its length. */
static void put_note(struct file *file, const char *name, uint32_t version, uint32_t bytes)
{
	const uint32_t head[] = { 5, bytes, 0 }, start[] = { version, bytes };
	char padded_name[8] = { 0 };
	uint64_t words[54] = { 0 };

	words[17] = 0x1111;			/* behind the version: RIP is the 17th */
	words[19] = 0x10;			/* CS */
	memcpy(padded_name, name, strlen(name));
	memcpy(words, start, sizeof(start));
	((uint32_t *)(void *)&words[19 + 3 * 8])[1] = 0x7f;	/* GDT: its limit, its base */
	words[19 + 3 * 8 + 2] = 0x2222;
	words[19 + 3 * 10] = 0x80050033;	/* CR0 */
	words[19 + 3 * 10 + 3] = 0x3333;
	words[19 + 3 * 10 + 4] = 0x4444;
	put(file, head, sizeof(head));
	put(file, padded_name, sizeof(padded_name));
	put(file, words, bytes < sizeof(words) ? bytes : sizeof(words));
}

/* An image of one page, with the notes of @file behind it. */
static void put_noted(struct file *file, const struct file *notes)
{
	const struct load loads[] = { { 0, PAGE, 0 }, { 0, notes->n, PAGE } };

	put_elf(file, loads, 2);
	elf_load(file, 1)->p_type = PT_NOTE;
	put_pages(file, 1, 7);
	put(file, notes->bytes, notes->n);
}

static void elf_notes_have_the_registers_of_each_cpu(void **state)
{
	cleanup(file_free) struct file notes = { 0 }, file = { 0 };
	struct image_map map;

	(void)state;
	put_note(&notes, "CORE", 1, 432);
	put_note(&notes, "QEMU", 1, 432);
	put_note(&notes, "QEMU", 2, 432);
	put_note(&notes, "QEMU", 1, 432);
	put_noted(&file, &notes);
	must_parse(&file, &map, 1);
	assert_int_equal(map.cpus.n, 2);
	assert_int_equal(map.cpus.v[1].rip, 0x1111);
	assert_int_equal(map.cpus.v[1].cs, 0x10);
	assert_int_equal(map.cpus.v[1].gdt, 0x2222);
	assert_int_equal(map.cpus.v[1].gdt_limit, 0x7f);
	assert_int_equal(map.cpus.v[1].cr0, 0x80050033);
	assert_int_equal(map.cpus.v[1].cr3, 0x3333);
	assert_int_equal(map.cpus.v[1].cr4, 0x4444);
	image_map_free(&map);
}

/* Memory is worth reading without them. */
static void elf_notes_that_are_damaged_are_passed_over(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		cleanup(file_free) struct file notes = { 0 }, file = { 0 };
		struct image_map map;

		put_note(&notes, "QEMU", 1, i ? 432 : 100);
		if (i == 1)
			memset(notes.bytes, 0xff, 12);
		put_noted(&file, &notes);
		if (i == 2)
			elf_load(&file, 1)->p_filesz = 1ull << 40;
		must_parse(&file, &map, 1);
		assert_int_equal(map.cpus.n, 0);
		image_map_free(&map);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(elf_notes_have_the_registers_of_each_cpu),
		cmocka_unit_test(elf_notes_that_are_damaged_are_passed_over),
		cmocka_unit_test(a_raw_file_is_memory_from_zero_on),
		cmocka_unit_test(a_cut_page_of_a_raw_file_is_missing),
		cmocka_unit_test(an_elf_core),
		cmocka_unit_test(a_truncated_elf_core_keeps_what_is_there),
		cmocka_unit_test(headers_that_say_the_same_are_joined),
		cmocka_unit_test(headers_that_contradict_are_refused),
		cmocka_unit_test(what_is_there_twice_must_be_the_same),
		cmocka_unit_test(forged_program_headers_are_refused),
		cmocka_unit_test(what_was_not_dumped_is_no_memory),
		cmocka_unit_test(parts_of_pages_are_left_out),
		cmocka_unit_test(more_headers_than_a_header_can_count),
		cmocka_unit_test(counts_of_headers_that_cannot_be),
		cmocka_unit_test(other_elf_files_are_refused),
		cmocka_unit_test(ranges_without_end_are_bounded),
		cmocka_unit_test(a_lime_image),
		cmocka_unit_test(a_truncated_lime_image_keeps_what_is_there),
		cmocka_unit_test(forged_lime_headers_are_refused),
		cmocka_unit_test(lime_ranges_that_overlap_are_refused),
		cmocka_unit_test(lime_with_rubbish_behind_is_refused),
		cmocka_unit_test(other_versions_of_lime_are_refused),
		cmocka_unit_test(lime_without_end_is_bounded),
		cmocka_unit_test(foreign_formats_are_refused_by_name),
		cmocka_unit_test(a_file_is_read),
		cmocka_unit_test(a_truncated_file_says_so_and_faults),
		cmocka_unit_test(a_file_that_shrinks_faults),
		cmocka_unit_test(holes_need_not_be_searched),
		cmocka_unit_test(what_is_no_file_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
