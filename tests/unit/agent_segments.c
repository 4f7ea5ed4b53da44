/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/segments.h"

#include <elf.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#define PAGE AGENT_PAGE_BYTES
#define SIZE (64u * PAGE)

struct image {
	Elf64_Ehdr header;
	Elf64_Phdr phdr[200];
};

static struct image image_of(uint16_t phnum)
{
	struct image image = { .header = {
		.e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
		.e_phoff = sizeof(Elf64_Ehdr), .e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = phnum,
	} };

	return image;
}

static Elf64_Phdr code(uint64_t offset, uint64_t size)
{
	return (Elf64_Phdr){ .p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_offset = offset,
			     .p_filesz = size, .p_memsz = size };
}

/* What is found in a file of @size bytes that begins with @n bytes of @data. */
static struct segments found(const void *data, size_t n, uint64_t size)
{
	int fd = memfd_create("file", MFD_CLOEXEC);
	struct segments segments;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, n), n);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	assert_int_equal(segments_read(fd, size, &segments), 0);
	close(fd);
	return segments;
}

static void assert_all(const struct segments *segments, uint64_t pages)
{
	assert_false(segments->elf);
	assert_int_equal(segments->n, pages > 0);
	assert_int_equal(segments->pages, pages);
	assert_int_equal(segments->v[0].first_page, 0);
	assert_int_equal(segments->v[0].pages, pages);
}

static void code_is_what_is_loaded_executable(void **state)
{
	struct image image = image_of(3);
	struct segments segments;

	(void)state;
	image.phdr[0] = code(0, 100);
	image.phdr[0].p_flags = PF_R;
	image.phdr[1] = code(0x1010, 0x2000);
	image.phdr[2] = (Elf64_Phdr){ .p_type = PT_GNU_STACK, .p_flags = PF_X, .p_filesz = 9 };
	segments = found(&image, sizeof(image), SIZE);
	assert_true(segments.elf);
	assert_int_equal(segments.n, 1);
	assert_int_equal(segments.pages, 3);
	assert_int_equal(segments.v[0].first_page, 1);
}

static void overlapping_and_unordered_ones_are_joined(void **state)
{
	struct image image = image_of(4);
	struct segments segments;

	(void)state;
	image.phdr[0] = code(20 * PAGE, PAGE);
	image.phdr[1] = code(2 * PAGE, 2 * PAGE);
	image.phdr[2] = code(3 * PAGE, 4 * PAGE);
	image.phdr[3] = code(7 * PAGE, 1);
	segments = found(&image, sizeof(image), SIZE);
	assert_int_equal(segments.n, 2);
	assert_int_equal(segments.v[0].first_page, 2);
	assert_int_equal(segments.v[0].pages, 6);
	assert_int_equal(segments.v[1].first_page, 20);
	assert_int_equal(segments.v[1].pages, 1);
	assert_int_equal(segments.pages, 7);
}

static void none_passes_the_end_of_the_file(void **state)
{
	struct image image = image_of(3);
	struct segments segments;

	(void)state;
	image.phdr[0] = code(60 * PAGE, UINT64_MAX);
	image.phdr[1] = code(UINT64_MAX - 1, 100);
	image.phdr[2] = code(SIZE + 7, 1);
	segments = found(&image, sizeof(image), SIZE + 7);
	assert_true(segments.elf);
	assert_int_equal(segments.n, 1);
	assert_int_equal(segments.v[0].first_page, 60);
	assert_int_equal(segments.v[0].pages, 5);
}

static void more_than_a_program_has_is_all_of_the_file(void **state)
{
	struct image image = image_of(2 * SEGMENTS_MAX + 2);
	struct segments segments;

	(void)state;
	for (unsigned i = 0; i <= 2 * SEGMENTS_MAX; i += 2)
		image.phdr[i] = code((uint64_t)i * PAGE, 1);
	segments = found(&image, sizeof(image), 2 * SIZE);
	assert_all(&segments, 128);
}

static void what_the_kernel_would_not_load_is_all_of_the_file(void **state)
{
	struct image image = image_of(1), bad;
	struct segments segments;

	(void)state;
	image.phdr[0] = code(PAGE, PAGE);
	bad = image;
	bad.header.e_phentsize = 1;
	segments = found(&bad, sizeof(bad), SIZE);
	assert_all(&segments, 64);
	bad = image;
	bad.header.e_phoff = UINT64_MAX - 3;
	segments = found(&bad, sizeof(bad), SIZE);
	assert_all(&segments, 64);
	bad = image;
	bad.header.e_phoff = SIZE - sizeof(Elf64_Phdr) + 1;
	segments = found(&bad, sizeof(bad), SIZE);
	assert_all(&segments, 64);
	bad = image;
	bad.header.e_phnum = PN_XNUM;
	segments = found(&bad, sizeof(bad), SIZE);
	assert_all(&segments, 64);
	bad = image;
	bad.header.e_ident[EI_CLASS] = 9;
	segments = found(&bad, sizeof(bad), SIZE);
	assert_all(&segments, 64);
	/* Headers of one width, and a machine of the other. */
	bad = image;
	bad.header.e_machine = EM_386;
	segments = found(&bad, sizeof(bad), SIZE);
	assert_all(&segments, 64);
	bad = image;
	bad.header.e_machine = EM_X86_64;
	segments = found(&bad, sizeof(bad), SIZE);
	assert_true(segments.elf);
	segments = found("#!/bin/sh\n", 10, 10);
	assert_all(&segments, 1);
	segments = found("", 0, 0);
	assert_all(&segments, 0);
	/* Cut within its header. */
	segments = found(&image, sizeof(Elf32_Ehdr), sizeof(Elf32_Ehdr));
	assert_all(&segments, 1);
}

static void thirty_two_bit_files_have_code_too(void **state)
{
	struct {
		Elf32_Ehdr header;
		Elf32_Phdr phdr;
	} image = {
		.header = {
			.e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB, EV_CURRENT },
			.e_phoff = sizeof(Elf32_Ehdr), .e_phentsize = sizeof(Elf32_Phdr),
			.e_phnum = 1,
		},
		.phdr = { .p_type = PT_LOAD, .p_flags = PF_X, .p_offset = PAGE, .p_filesz = 1 },
	};
	struct segments segments = found(&image, sizeof(image), SIZE);

	(void)state;
	assert_true(segments.elf);
	assert_int_equal(segments.n, 1);
	assert_int_equal(segments.v[0].first_page, 1);
	assert_int_equal(segments.pages, 1);
	image.header.e_machine = EM_386;
	segments = found(&image, sizeof(image), SIZE);
	assert_true(segments.elf);
	image.header.e_machine = EM_X86_64;
	segments = found(&image, sizeof(image), SIZE);
	assert_all(&segments, 64);
}

static void a_file_of_too_many_pages_is_refused(void **state)
{
	struct segments segments;

	(void)state;
	assert_int_equal(segments_all((1ull << 32) * PAGE + 1, &segments), -EFBIG);
	assert_int_equal(segments_read(-1, (1ull << 32) * PAGE + 1, &segments), -EFBIG);
	assert_int_equal(segments_read(-1, SIZE, &segments), -EBADF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(code_is_what_is_loaded_executable),
		cmocka_unit_test(overlapping_and_unordered_ones_are_joined),
		cmocka_unit_test(none_passes_the_end_of_the_file),
		cmocka_unit_test(more_than_a_program_has_is_all_of_the_file),
		cmocka_unit_test(what_the_kernel_would_not_load_is_all_of_the_file),
		cmocka_unit_test(thirty_two_bit_files_have_code_too),
		cmocka_unit_test(a_file_of_too_many_pages_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
