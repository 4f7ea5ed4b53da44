/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/log_ring.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "make/log_ring.h"

/* A ring of 8 records and 256 bytes, as a kernel that was just started has it. */
#define COUNT_BITS 3u
#define SIZE_BITS  8u

static struct made_ring *ring;
static struct log got;
static struct err err;

static int setup(void **state)
{
	(void)state;
	ring = made_ring_new(COUNT_BITS, SIZE_BITS);
	err = (struct err){ 0 };
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	log_free(&got);
	made_ring_free(&ring);
	return 0;
}

static int parse(void)
{
	int r;

	log_free(&got);
	r = log_ring_check(&ring->ring, &err);
	return r < 0 ? r : log_ring_parse(&ring->ring, &got, &err);
}

static void a_new_ring_is_empty(void **state)
{
	(void)state;
	assert_int_equal(parse(), 0);
	assert_int_equal(got.all.n, 0);
	assert_int_equal(got.unfinished, 0);
	assert_int_equal(got.descriptors, 8);
	assert_int_equal(got.text_ring_bytes, 256);
}

static void records_come_in_sequence_with_all_they_have(void **state)
{
	(void)state;
	made_ring_add(ring, "first");
	made_ring_add(ring, "second\nline");
	assert_int_equal(parse(), 0);
	assert_int_equal(got.all.n, 2);
	assert_int_equal(got.all.v[0].seq, 0);
	assert_string_equal(got.all.v[0].text, "first");
	assert_int_equal(got.all.v[0].text_bytes, 5);
	assert_int_equal(got.all.v[0].level, 6);
	assert_int_equal(got.all.v[0].facility, 3);
	assert_true(got.all.v[0].newline);
	assert_true(got.all.v[0].by_cpu);
	assert_int_equal(got.all.v[0].caller, 7);
	assert_string_equal(got.all.v[0].subsystem, "pci");
	assert_string_equal(got.all.v[0].device, "+pci:0000:00:01.0");
	assert_int_equal(got.all.v[1].seq, 1);
	assert_string_equal(got.all.v[1].text, "second\nline");
}

static void old_records_make_room_when_it_wraps(void **state)
{
	char text[32];

	(void)state;
	for (int i = 0; i < 100; i++) {
		snprintf(text, sizeof(text), "number %d", i);
		made_ring_add(ring, text);
	}
	assert_int_equal(parse(), 0);
	assert_int_equal(got.all.n, 8);
	for (size_t i = 0; i < 8; i++) {
		snprintf(text, sizeof(text), "number %zu", 92 + i);
		assert_int_equal(got.all.v[i].seq, 92 + i);
		assert_string_equal(got.all.v[i].text, text);
	}
}

/* Blocks do not span the end: one that does not fit is put at the start as a whole. */
static void a_block_that_does_not_fit_is_at_the_start(void **state)
{
	(void)state;
	made_ring_add(ring, "................................................"
			    "................................................"
			    "................................................");
	made_ring_add(ring, "++++++++++++++++++++++++++++++++++++++++++++++++"
			    "++++++++++++++++++++++++++++++++++++++++++++++++"
			    "++++++++++++++++++++++++++++++++");
	assert_int_equal(parse(), 0);
	assert_int_equal(got.all.n, 1);
	assert_int_equal(got.all.v[0].seq, 1);
	assert_int_equal(got.all.v[0].text_bytes, 128);
	assert_int_equal(strspn(got.all.v[0].text, "+"), 128);
}

/* Newer kernels say "start of the next round" where older ones moved it there. */
static void a_block_may_end_exactly_at_the_end(void **state)
{
	uint8_t *desc;

	(void)state;
	made_ring_add(ring, "to be moved");
	desc = made_ring_desc(ring, 0);
	made_put(desc, MADE_DESC_BEGIN, 256 - 24);
	made_put(desc, MADE_DESC_NEXT, 256);
	memmove(ring->text + 256 - 24, ring->text, 24);
	assert_int_equal(parse(), 0);
	assert_string_equal(got.all.v[0].text, "to be moved");
}

static void an_empty_line_is_no_lost_one(void **state)
{
	(void)state;
	made_ring_add(ring, "x");
	made_ring_add(ring, "y");
	made_put(made_ring_desc(ring, 0), MADE_DESC_BEGIN, 3);
	made_put(made_ring_desc(ring, 0), MADE_DESC_NEXT, 3);
	made_put16(made_ring_info(ring, 0), MADE_INFO_TEXT_LEN, 0);
	made_put(made_ring_desc(ring, 1), MADE_DESC_BEGIN, 1);
	made_put(made_ring_desc(ring, 1), MADE_DESC_NEXT, 1);
	assert_int_equal(parse(), 0);
	assert_int_equal(got.all.n, 2);
	assert_false(got.all.v[0].lost);
	assert_string_equal(got.all.v[0].text, "");
	assert_true(got.all.v[1].lost);
	assert_string_equal(got.all.v[1].text, "");
}

static void records_in_the_making_are_counted(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++)
		made_ring_add(ring, "text");
	made_ring_state(ring, 1, 0);	/* reserved */
	made_ring_state(ring, 2, 1);	/* committed */
	made_ring_state(ring, 3, 3);	/* reusable */
	assert_int_equal(parse(), 0);
	assert_int_equal(got.all.n, 1);
	assert_int_equal(got.unfinished, 2);
}

/* The newest id is given out before its place is taken over from the one of a round ago. */
static void a_place_not_yet_taken_is_in_the_making(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++)
		made_ring_add(ring, "text");
	ring->ring.head_id++;
	ring->ring.tail_id++;
	assert_int_equal(parse(), 0);
	assert_int_equal(got.all.n, 7);
	assert_int_equal(got.unfinished, 1);
}

static void a_place_of_another_one_is_a_lie(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++)
		made_ring_add(ring, "text");
	made_put(made_ring_desc(ring, 2), MADE_DESC_STATE, 2ull << 62 | 4711);
	assert_int_equal(parse(), -EBADMSG);
	assert_int_equal(got.all.n, 3);
}

static void numbers_must_fit_their_place(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++)
		made_ring_add(ring, "text");
	made_put(made_ring_info(ring, 1), MADE_INFO_SEQ, 2);
	made_put(made_ring_info(ring, 3), MADE_INFO_SEQ, 3 + (1ull << 62));
	assert_int_equal(parse(), -EBADMSG);
	assert_int_equal(got.all.n, 3);
	assert_int_equal(got.all.v[1].seq, 2);
}

static void numbers_must_go_up(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++)
		made_ring_add(ring, "text");
	made_put(made_ring_info(ring, 0), MADE_INFO_SEQ, 8000);
	assert_int_equal(parse(), -EBADMSG);
	assert_int_equal(got.all.n, 1);
}

static void text_of_another_record_is_not_taken(void **state)
{
	(void)state;
	made_ring_add(ring, "mine");
	made_ring_add(ring, "yours");
	made_put(made_ring_desc(ring, 1), MADE_DESC_BEGIN, 0);
	made_put(made_ring_desc(ring, 1), MADE_DESC_NEXT, 16);
	assert_int_equal(parse(), -EBADMSG);
	assert_int_equal(got.all.n, 2);
	assert_true(got.all.v[1].lost);
	assert_string_equal(got.all.v[1].text, "");
}

static void a_length_beyond_the_block_is_cut(void **state)
{
	(void)state;
	made_ring_add(ring, "abc");
	made_put16(made_ring_info(ring, 0), MADE_INFO_TEXT_LEN, 0xffff);
	assert_int_equal(parse(), -EBADMSG);
	assert_int_equal(got.all.n, 1);
	assert_int_equal(got.all.v[0].text_bytes, 8);	/* padding included */
}

/* Each of them must end in an error, and nowhere else. */
static void forged_positions_lead_nowhere(void **state)
{
	static const struct { uint64_t begin, next; } forged[] = {
		{ 0, 0 }, { 16, 0 }, { 0, 4 }, { 4, 16 }, { 0, 1ull << 40 }, { 248, 520 },
		{ 0, ~7ull }, { ~7ull, 0x1000 }, { 248, 256 + 248 + 16 }, { 1, 16 }, { 0, 3 },
		{ 0, 512 }, { 8, 264 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(forged); i++) {
		teardown(NULL);
		setup(NULL);
		made_ring_add(ring, "text");
		made_put(made_ring_desc(ring, 0), MADE_DESC_BEGIN, forged[i].begin);
		made_put(made_ring_desc(ring, 0), MADE_DESC_NEXT, forged[i].next);
		assert_int_equal(parse(), -EBADMSG);
		assert_int_equal(got.all.n, 1);
		assert_string_equal(got.all.v[0].text, "");
	}
}

/* Blocks over blocks would make much memory out of little. */
static void blocks_do_not_overlap(void **state)
{
	uint64_t total = 0;

	(void)state;
	for (int i = 0; i < 8; i++)
		made_ring_add(ring, "");
	for (uint64_t i = 0; i < 8; i++) {
		made_put(made_ring_desc(ring, i), MADE_DESC_BEGIN, 0);
		made_put(made_ring_desc(ring, i), MADE_DESC_NEXT, 256);
		made_put16(made_ring_info(ring, i), MADE_INFO_TEXT_LEN, 248);
	}
	assert_int_equal(parse(), -EBADMSG);
	for (size_t i = 0; i < got.all.n; i++)
		total += got.all.v[i].text_bytes;
	assert_in_range(total, 0, 256);
}

static void absurd_sizes_are_refused(void **state)
{
	(void)state;
	ring->ring.count_bits = 0;
	assert_int_equal(parse(), -EBADMSG);
	ring->ring.count_bits = LOG_COUNT_BITS_MAX + 1;
	assert_int_equal(parse(), -ELOOP);
	ring->ring.count_bits = COUNT_BITS;
	ring->ring.size_bits = 64;
	assert_int_equal(parse(), -ELOOP);
	ring->ring.size_bits = 2;
	assert_int_equal(parse(), -EBADMSG);
}

static void more_records_than_places_are_refused(void **state)
{
	(void)state;
	made_ring_add(ring, "text");
	ring->ring.head_id += 8;
	assert_int_equal(parse(), -EBADMSG);
	ring->ring.head_id = ring->ring.tail_id - 1;
	assert_int_equal(parse(), -EBADMSG);
}

static void members_outside_of_their_struct_are_refused(void **state)
{
	(void)state;
	ring->fields.device.at = ring->fields.info.size_bytes - 8;
	assert_int_equal(parse(), -EBADMSG);
	ring->fields.device.at = UINT32_MAX;
	assert_int_equal(parse(), -EBADMSG);
	ring->fields.device.there = false;
	assert_int_equal(parse(), 0);
	ring->fields.info.size_bytes = 1u << 20;
	assert_int_equal(parse(), -EBADMSG);
	ring->fields.info.size_bytes = 0;
	assert_int_equal(parse(), -EBADMSG);
}

#define RING_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RING_TEST(a_new_ring_is_empty),
		RING_TEST(records_come_in_sequence_with_all_they_have),
		RING_TEST(old_records_make_room_when_it_wraps),
		RING_TEST(a_block_that_does_not_fit_is_at_the_start),
		RING_TEST(a_block_may_end_exactly_at_the_end),
		RING_TEST(an_empty_line_is_no_lost_one),
		RING_TEST(records_in_the_making_are_counted),
		RING_TEST(a_place_not_yet_taken_is_in_the_making),
		RING_TEST(a_place_of_another_one_is_a_lie),
		RING_TEST(numbers_must_fit_their_place),
		RING_TEST(numbers_must_go_up),
		RING_TEST(text_of_another_record_is_not_taken),
		RING_TEST(a_length_beyond_the_block_is_cut),
		RING_TEST(forged_positions_lead_nowhere),
		RING_TEST(blocks_do_not_overlap),
		RING_TEST(absurd_sizes_are_refused),
		RING_TEST(more_records_than_places_are_refused),
		RING_TEST(members_outside_of_their_struct_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
