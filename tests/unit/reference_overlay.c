/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/overlay.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define PAGES 9u
#define BYTES (PAGES * OVERLAY_PAGE_BYTES - 100)	/* the last page is not a whole one */

struct two {
	uint8_t was[BYTES], now[BYTES], copy[BYTES];
	struct overlay overlay;
	uint32_t random;
};

static uint32_t draw(struct two *two, uint32_t below)
{
	two->random = two->random * 1664525u + 1013904223u;
	return (two->random >> 8) % below;
}

static int start(void **state)
{
	struct two *two = calloc(1, sizeof(*two));

	two->random = 1;
	for (size_t i = 0; i < BYTES; i++)
		two->was[i] = two->now[i] = (uint8_t)draw(two, 256);
	*state = two;
	return 0;
}

static int end(void **state)
{
	struct two *two = *state;

	overlay_free(&two->overlay);
	free(two);
	return 0;
}

static void make(struct two *two)
{
	overlay_free(&two->overlay);
	for (size_t from = 0; from < BYTES; from += OVERLAY_PAGE_BYTES)
		assert_int_equal(overlay_add(&two->overlay, two->was + from, two->now + from,
					     BYTES - from < OVERLAY_PAGE_BYTES ?
					     BYTES - from : OVERLAY_PAGE_BYTES), 0);
	overlay_settle(&two->overlay);
}

/* In a buffer of its own of exactly @n bytes, so that AddressSanitizer sees its ends. */
static void assert_part(const struct two *two, size_t from, size_t n)
{
	uint8_t *copy = malloc(n);

	memcpy(copy, two->was + from, n);
	overlay_apply(&two->overlay, from, copy, n);
	assert_memory_equal(copy, two->now + from, n);
	free(copy);
}

static void assert_parts(struct two *two)
{
	assert_part(two, 0, BYTES);
	for (unsigned i = 0; i < 300; i++) {
		size_t from = draw(two, BYTES - 1), most = BYTES - from;

		assert_part(two, from, 1 + draw(two, (uint32_t)(i % 2 && most > 20 ? 20 : most)));
	}
}

static void equal_images_take_nothing(void **state)
{
	struct two *two = *state;

	make(two);
	assert_parts(two);
	assert_true(overlay_is_clear(&two->overlay, 0, BYTES));
	assert_int_equal(two->overlay.packed_bytes, 0);
}

static void patched_places_come_back(void **state)
{
	struct two *two = *state;

	for (unsigned round = 0; round < 40; round++) {
		for (unsigned i = 0; i < 50; i++) {
			size_t n = 1 + draw(two, i % 10 ? 12 : 700);
			size_t at = draw(two, (uint32_t)(BYTES - n));

			for (size_t j = 0; j < n; j++)
				two->now[at + j] = (uint8_t)draw(two, 256);
		}
		make(two);
		assert_parts(two);
	}
}

/* As many runs as fit into a page; and all of it, more than one run can say. */
static void pages_that_have_nothing_in_common(void **state)
{
	struct two *two = *state;

	for (size_t step = 1; step < 12; step++) {
		memcpy(two->now, two->was, BYTES);
		for (size_t i = 0; i < BYTES; i += step)
			two->now[i] ^= 0xff;
		make(two);
		assert_parts(two);
		assert_true(two->overlay.packed_bytes <= 2 * BYTES);
	}
}

/* Far between, so that the way to the next one is more than a run can say. */
static void first_and_last_byte(void **state)
{
	struct two *two = *state;

	for (size_t page = 0; page < PAGES; page++)
		two->now[page * OVERLAY_PAGE_BYTES] ^= 1;
	for (size_t page = 1; page < PAGES; page++)
		two->now[page * OVERLAY_PAGE_BYTES - 1] ^= 1;
	two->now[BYTES - 1] ^= 1;
	make(two);
	assert_parts(two);
}

static void clear_are_pages_without_a_difference(void **state)
{
	struct two *two = *state;

	two->now[2 * OVERLAY_PAGE_BYTES + 17] ^= 1;
	two->now[BYTES - 1] ^= 1;
	make(two);
	assert_true(overlay_is_clear(&two->overlay, 0, 2 * OVERLAY_PAGE_BYTES));
	assert_false(overlay_is_clear(&two->overlay, 0, 2 * OVERLAY_PAGE_BYTES + 1));
	assert_false(overlay_is_clear(&two->overlay, 2 * OVERLAY_PAGE_BYTES, 8));
	assert_true(overlay_is_clear(&two->overlay, 3 * OVERLAY_PAGE_BYTES, 8));
	assert_false(overlay_is_clear(&two->overlay, 3 * OVERLAY_PAGE_BYTES - 4, 8));
	assert_false(overlay_is_clear(&two->overlay, BYTES - 8, 8));
	assert_int_equal(overlay_bytes(&two->overlay) < 200, 1);
}

/* Two bytes each, once it has come some times; more kinds than there are words for, too. */
static void what_comes_often_takes_two_bytes(void **state)
{
	static const uint8_t nop[] = { 0x0f, 0x1f, 0x44, 0x00, 0x00 };
	struct two *two = *state;
	size_t n = 0;

	for (size_t at = 1; at + 16 < BYTES; at += 24, n++) {
		memset(two->was + at, 0xe8, sizeof(nop));
		memcpy(two->now + at, nop, sizeof(nop));
	}
	make(two);
	assert_parts(two);
	assert_true(two->overlay.packed_bytes < n * 2 + 400);
	for (size_t at = 1, i = 0; at + 16 < BYTES; at += 24, i++)
		two->now[at] = (uint8_t)(i * 7 % 90);	/* none is 0xe8 */
	make(two);
	assert_parts(two);
	assert_true(two->overlay.packed_bytes < n * 7);
	assert_null(two->overlay.seen);
}

/* Long ones, which are no words, and such as a word is as long at most. */
static void runs_of_all_lengths(void **state)
{
	struct two *two = *state;
	size_t n = 1;

	for (unsigned times = 0; times < 2; times++) {
		for (size_t at = times; at + n < BYTES; at += n + 7, n = n % 300 + 1)
			for (size_t i = 0; i < n; i++)
				two->now[at + i] = (uint8_t)(two->was[at + i] ^ 0x80);
		make(two);
		assert_parts(two);
	}
	for (size_t at = 0; at + 40 < BYTES; at += 40) {	/* the same of each length */
		memset(two->was + at, 0x11, 40);
		memset(two->now + at, 0x11, 40);
		memset(two->now + at, 0x22, 1 + at / 40 % 20);
	}
	make(two);
	assert_parts(two);
}

#define T(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(equal_images_take_nothing),
		T(patched_places_come_back),
		T(pages_that_have_nothing_in_common),
		T(first_and_last_byte),
		T(clear_are_pages_without_a_difference),
		T(what_comes_often_takes_two_bytes),
		T(runs_of_all_lengths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
