/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/bzimage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "make/package.h"

#define RELEASE "6.1.0-99-amd64"

static struct blob kernel(enum packing packing)
{
	cleanup(blob_free) struct blob vmlinux = make_vmlinux(7, RELEASE, "Debian 6.1.9-1");

	return make_bzimage(&vmlinux, packing);
}

/* To the last byte: relocations lie behind the section headers. */
static void kernel_comes_back_with_its_relocations(void **state)
{
	cleanup(blob_free) struct blob vmlinux = make_vmlinux(7, RELEASE, "Debian 6.1.9-1");

	(void)state;
	for (int i = PACKED_NOT; i < PACKINGS; i++) {
		cleanup(blob_free) struct blob image = kernel((enum packing)i);
		cleanup(blob_free) struct blob back = {0};
		struct err err = {0};

		assert_true(bzimage_is(image.data, image.size));
		if (bzimage_vmlinux(image.data, image.size, &back, &err) < 0)
			fail_msg("packing %d: %s", i, err.text);
		assert_int_equal(back.size, vmlinux.size);
		assert_memory_equal(back.data, vmlinux.data, vmlinux.size);
	}
}

static void truncated_image(void **state)
{
	cleanup(blob_free) struct blob image = kernel(PACKED_XZ);

	(void)state;
	for (size_t size = 0; size < image.size - 12; size++) {
		cleanup(blob_free) struct blob cut = { malloc(size + 1), size };
		struct blob back = {0};

		memcpy(cut.data, image.data, size);
		assert_int_equal(bzimage_vmlinux(cut.data, size, &back, NULL), -EBADMSG);
	}
}

static void size_that_is_not_that_of_the_kernel(void **state)
{
	cleanup(blob_free) struct blob image = kernel(PACKED_ZSTD);
	uint8_t *size = image.data + image.size - 12 - 4;
	struct blob back = {0};

	(void)state;
	size[0] ^= 1;
	assert_int_equal(bzimage_vmlinux(image.data, image.size, &back, NULL), -EBADMSG);
	size[0] ^= 1;
	size[3] = 0xff;
	assert_int_equal(bzimage_vmlinux(image.data, image.size, &back, NULL), -ELOOP);
}

static void offsets_beyond_the_file(void **state)
{
	static const uint32_t wild[] = { 0xffffffff, 0x80000000, 0x7fffffff, 0x10000 };

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_SIZE(wild); i++) {
		cleanup(blob_free) struct blob image = kernel(PACKED_GZIP);
		struct blob back = {0};

		memcpy(image.data + 0x248 + i % 2 * 4, &wild[i / 2], 4);
		assert_int_equal(bzimage_vmlinux(image.data, image.size, &back, NULL), -EBADMSG);
	}
}

static void payload_of_no_bytes(void **state)
{
	cleanup(blob_free) struct blob image = kernel(PACKED_GZIP);
	struct blob back = {0};

	(void)state;
	for (uint32_t n = 0; n <= 8; n++) {
		memcpy(image.data + 0x24c, &n, 4);
		assert_int_equal(bzimage_vmlinux(image.data, image.size, &back, NULL), -EBADMSG);
	}
}

static void what_is_packed_is_no_elf_file(void **state)
{
	const struct blob text = { (uint8_t *)(uintptr_t)"something else", 14 };
	cleanup(blob_free) struct blob image = make_bzimage(&text, PACKED_XZ);
	struct blob back = {0};

	(void)state;
	assert_int_equal(bzimage_vmlinux(image.data, image.size, &back, NULL), -EBADMSG);
}

static void image_of_an_old_kernel(void **state)
{
	cleanup(blob_free) struct blob image = kernel(PACKED_GZIP);
	struct blob back = {0};

	(void)state;
	image.data[0x206] = 7;
	assert_int_equal(bzimage_vmlinux(image.data, image.size, &back, NULL), -ENOTSUP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kernel_comes_back_with_its_relocations),
		cmocka_unit_test(truncated_image),
		cmocka_unit_test(size_that_is_not_that_of_the_kernel),
		cmocka_unit_test(offsets_beyond_the_file),
		cmocka_unit_test(payload_of_no_bytes),
		cmocka_unit_test(what_is_packed_is_no_elf_file),
		cmocka_unit_test(image_of_an_old_kernel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
