/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/unpack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "make/package.h"

#define LIMIT (1u << 20)

static const char text[] = "what was packed, and packed, and packed, and packed again";

static int unpack_blob(const struct blob *packed, size_t limit, struct blob *ret)
{
	struct err err = {0};
	int r = unpack(packed->data, packed->size, limit, ret, &err);

	assert_int_equal(r, err.code);
	return r;
}

static void every_format_comes_back(void **state)
{
	(void)state;
	for (int i = PACKED_GZIP; i < PACKINGS; i++) {
		cleanup(blob_free) struct blob packed = make_packed((enum packing)i, text,
								    sizeof(text));
		cleanup(blob_free) struct blob plain = {0};

		assert_true(unpack_is_packed(packed.data, packed.size));
		assert_int_equal(unpack_blob(&packed, LIMIT, &plain), 0);
		assert_int_equal(plain.size, sizeof(text));
		assert_memory_equal(plain.data, text, sizeof(text));
	}
}

/* xz, zstd and others are made of frames, and tools append them to each other. */
static void frames_follow_each_other(void **state)
{
	static const enum packing formats[] = {
		PACKED_GZIP, PACKED_BZIP2, PACKED_XZ, PACKED_ZSTD, PACKED_LZ4_LEGACY,
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		cleanup(blob_free) struct blob one = make_packed(formats[i], text, sizeof(text));
		cleanup(blob_free) struct blob two = { malloc(2 * one.size), 2 * one.size };
		cleanup(blob_free) struct blob plain = {0};

		memcpy(two.data, one.data, one.size);
		memcpy(two.data + one.size, one.data, one.size);
		assert_int_equal(unpack_blob(&two, LIMIT, &plain), 0);
		assert_int_equal(plain.size, 2 * sizeof(text));
		assert_memory_equal(plain.data + sizeof(text), text, sizeof(text));
	}
}

/* Whatever is missing at the end: an error, or (lz4 has no end mark) whole blocks. */
static void truncated_data_is_damaged(void **state)
{
	(void)state;
	for (int i = PACKED_GZIP; i < PACKINGS; i++) {
		cleanup(blob_free) struct blob packed = make_packed((enum packing)i, text,
								    sizeof(text));
		struct blob half = { packed.data, packed.size / 2 }, plain = {0};

		assert_int_equal(unpack_blob(&half, LIMIT, &plain), -EBADMSG);
		assert_null(plain.data);
	}
}

static void changed_data_is_damaged(void **state)
{
	static const enum packing formats[] = { PACKED_GZIP, PACKED_BZIP2, PACKED_XZ };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		cleanup(blob_free) struct blob packed = make_packed(formats[i], text,
								    sizeof(text));
		struct blob plain = {0};

		packed.data[packed.size / 2] ^= 0x55;
		assert_int_equal(unpack_blob(&packed, LIMIT, &plain), -EBADMSG);
	}
}

static void what_is_not_packed(void **state)
{
	struct blob plain = {0};

	(void)state;
	assert_false(unpack_is_packed(text, sizeof(text)));
	assert_false(unpack_is_packed("", 0));
	assert_false(unpack_is_packed("\x1f", 1));
	assert_int_equal(unpack(text, sizeof(text), LIMIT, &plain, NULL), -EBADMSG);
}

static void bomb(void **state)
{
	cleanup(freep) uint8_t *zeros = calloc(1, 4 * LIMIT);

	(void)state;
	for (int i = PACKED_GZIP; i < PACKED_LZ4_LEGACY; i++) {
		cleanup(blob_free) struct blob packed = make_packed((enum packing)i, zeros,
								    4 * LIMIT);
		struct blob plain = {0};

		assert_int_equal(unpack_blob(&packed, LIMIT, &plain), -ELOOP);
		assert_null(plain.data);
		assert_int_equal(unpack_blob(&packed, 4 * LIMIT, &plain), 0);
		assert_int_equal(plain.size, 4 * LIMIT);
		blob_free(&plain);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_format_comes_back),
		cmocka_unit_test(frames_follow_each_other),
		cmocka_unit_test(truncated_data_is_damaged),
		cmocka_unit_test(changed_data_is_damaged),
		cmocka_unit_test(what_is_not_packed),
		cmocka_unit_test(bomb),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
