/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/records.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "make/agent_log.h"

static struct made_log made;
static struct records records;
static struct record record;
static struct err err;

static uint8_t code[3 * AGENT_PAGE_BYTES + 100];

static const struct agent_file a_file = {
	.device = 8 << 20 | 1, .inode = 77, .mtime_ns = 1000, .ctime_ns = 2000,
	.reason = AGENT_MAPPED,
};

static int setup(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(code); i++)
		code[i] = (uint8_t)(i * 7 + i / 4096);
	made = (struct made_log){ 0 };
	made_log_start(&made);
	made_log_file(&made, &a_file, "/usr/lib/libx.so", code, sizeof(code),
		      (struct agent_segment[]){ { 1, 2 } }, 1);
	err = (struct err){ 0 };
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	made_log_free(&made);
	return 0;
}

/* Read all from the start; how it ended. @record: the last that was good. */
static int read_all(void)
{
	int r;

	records = records_of(made.data, made.size_bytes, &(struct log_mark){ 0 });
	do
		r = records_next(&records, &record, &err);
	while (r > 0);
	return r;
}

/* The file's record, to be changed, and chained again by refused(). */
static struct agent_file *file(void)
{
	struct agent_record head;

	memcpy(&head, made.data, sizeof(head));
	return (struct agent_file *)(made.data + head.size_bytes);
}

static void refused(const char *why)
{
	made_log_chain(&made);
	err = (struct err){ 0 };
	assert_int_equal(read_all(), -EBADMSG);
	assert_non_null(strstr(err.text, why));
	assert_int_equal(records.mark.sequence, 1);	/* all before it was read */
	assert_int_equal(records_next(&records, &record, &err), -EBADMSG);
}

static void records_come_with_what_they_hold(void **state)
{
	struct agent_segment segment;

	(void)state;
	made_log_unreadable(&made, 5, "/x", 13);
	made_log_add(&made, AGENT_RECORD_LOST);
	records = records_of(made.data, made.size_bytes, &(struct log_mark){ 0 });
	assert_int_equal(records_next(&records, &record, &err), 1);
	assert_int_equal(record.head.type, AGENT_RECORD_START);
	assert_int_equal(record.start.pid, 42);
	assert_int_equal(records_next(&records, &record, &err), 1);
	assert_int_equal(record.head.type, AGENT_RECORD_FILE);
	assert_int_equal(record.file.inode, 77);
	assert_int_equal(record.file.pages, 2);
	assert_int_equal(record.path_bytes, 16);
	assert_memory_equal(record.path, "/usr/lib/libx.so", 16);
	segment = record_segment(&record, 0);
	assert_int_equal(segment.first_page, 1);
	assert_int_equal(segment.pages, 2);
	assert_int_equal(records_next(&records, &record, &err), 1);
	assert_int_equal(record.unreadable.error, 13);
	assert_memory_equal(record.path, "/x", 2);
	assert_int_equal(records_next(&records, &record, &err), 1);
	assert_int_equal(record.lost.lost, 7);
	assert_int_equal(records_next(&records, &record, &err), 0);
	assert_int_equal(records.mark.offset, made.size_bytes);
	assert_memory_equal(records.mark.chain, made.head, sizeof(made.head));
}

/* A sweep reads on where the last one ended, with nothing but the new bytes at hand. */
static void reading_goes_on_where_it_ended(void **state)
{
	struct log_mark mark;

	(void)state;
	assert_int_equal(read_all(), 0);
	mark = records.mark;
	records = records_of(made.data + mark.offset, 0, &mark);
	assert_int_equal(records_next(&records, &record, &err), 0);
	made_log_unreadable(&made, 5, "/new", 13);
	records = records_of(made.data + mark.offset, made.size_bytes - mark.offset, &mark);
	assert_int_equal(records_next(&records, &record, &err), 1);
	assert_int_equal(record.head.sequence, 2);
	assert_int_equal(record.offset, mark.offset);
	assert_int_equal(records_next(&records, &record, &err), 0);
	assert_memory_equal(records.mark.chain, made.head, sizeof(made.head));
}

static void another_log_is_no_extension_of_what_was_read(void **state)
{
	struct log_mark mark;

	(void)state;
	assert_int_equal(read_all(), 0);
	mark = records.mark;
	file()->mtime_ns++;
	made_log_chain(&made);
	made_log_unreadable(&made, 5, "/new", 13);
	records = records_of(made.data + mark.offset, made.size_bytes - mark.offset, &mark);
	assert_int_equal(records_next(&records, &record, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "breaks the chain"));
}

/* Every byte counts, whichever it is: none of the log can be changed without the chain. */
static void any_changed_byte_is_seen(void **state)
{
	(void)state;
	for (size_t i = 0; i < made.size_bytes; i++) {
		made.data[i] ^= 0x40;
		assert_int_equal(read_all(), -EBADMSG);
		made.data[i] ^= 0x40;
	}
	assert_int_equal(read_all(), 0);
}

static void a_log_that_ends_within_a_record_is_refused(void **state)
{
	size_t all = made.size_bytes, n = 0;

	(void)state;
	for (made.size_bytes = 1; made.size_bytes < all; made.size_bytes++)
		n += read_all() == 0;
	assert_int_equal(n, 1);		/* between the two records */
}

static void forged_sizes_are_refused(void **state)
{
	static const uint32_t sizes[] = { 0, 7, 8, 48, 64, 0x7ffffff8, 0xfffffff8, 0xffffffff,
					  AGENT_RECORD_MAX, AGENT_RECORD_MAX + 8 };
	uint32_t was = file()->record.size_bytes;

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		file()->record.size_bytes = sizes[i];
		refused("");
	}
	file()->record.size_bytes = was - 8;
	refused("does not hold what it says");
}

static void forged_counts_are_refused(void **state)
{
	const struct agent_file was = *file();

	(void)state;
	file()->pages = 3;
	refused("does not hold");
	file()->pages = 0xffffffff;
	refused("does not hold");
	file()->pages = was.pages;
	file()->segments = 2;
	refused("does not hold");
	file()->segments = 0xffffffff;
	refused("does not hold");
	file()->segments = was.segments;
	file()->path_bytes += 8;
	refused("does not hold");
	file()->path_bytes = 1u << 30;
	refused("does not hold");
	file()->path_bytes = was.path_bytes - 8;
	refused("does not hold");
	file()->path_bytes = was.path_bytes;
	file()->reason = 9;
	refused("does not hold");
}

static void forged_segments_are_refused(void **state)
{
	struct agent_segment *segment = (struct agent_segment *)(file() + 1);

	(void)state;
	segment->pages = UINT64_MAX;
	refused("does not hold");
	segment->pages = 3;
	refused("does not hold");
	segment->pages = 2;
	segment->first_page = UINT64_MAX - 1;
	refused("does not hold");
	segment->first_page = 1;
	made_log_chain(&made);
	assert_int_equal(read_all(), 0);
	made_log_free(&made);
	made_log_start(&made);
	made_log_file(&made, &a_file, "/x", code, sizeof(code),
		      (struct agent_segment[]){ { 2, 1 }, { 1, 1 } }, 2);
	refused("does not hold");
}

static void a_path_has_no_end_within(void **state)
{
	(void)state;
	((uint8_t *)(file() + 1))[sizeof(struct agent_segment) + 2 * AGENT_DIGEST_BYTES + 3] = 0;
	refused("does not hold");
}

static void numbers_types_and_places_must_be_right(void **state)
{
	(void)state;
	file()->record.sequence = 2;
	refused("has another number");
	file()->record.sequence = 0;
	refused("has another number");
	file()->record.sequence = 1;
	file()->record.type = AGENT_RECORD_START;
	refused("is not where it belongs");
	file()->record.type = 99;
	refused("does not hold");
}

static void a_log_begins_with_its_start(void **state)
{
	(void)state;
	made_log_free(&made);
	made_log_add(&made, AGENT_RECORD_LOST);
	assert_int_equal(read_all(), -EBADMSG);
	assert_non_null(strstr(err.text, "is not where it belongs"));
}

static void nothing_follows_the_end(void **state)
{
	static const uint32_t ends[] = { AGENT_RECORD_FULL, AGENT_RECORD_STOP };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		made_log_free(&made);
		made_log_start(&made);
		made_log_add(&made, ends[i]);
		assert_int_equal(read_all(), 0);
		assert_int_equal(records.mark.full, ends[i] == AGENT_RECORD_FULL);
		assert_int_equal(records.mark.ended, ends[i] == AGENT_RECORD_STOP);
		made_log_add(&made, AGENT_RECORD_LOST);
		assert_int_equal(read_all(), -EBADMSG);
		assert_non_null(strstr(err.text, "after the last"));
	}
}

/* Whom it follows is said at the beginning: there are that many of them. */
static void only_so_many_went_before(void **state)
{
	(void)state;
	made_log_free(&made);
	made_log_start(&made);
	for (uint32_t i = 0; i < AGENT_ANCESTORS_MAX; i++)
		made_log_add(&made, AGENT_RECORD_FOLLOWS);
	assert_int_equal(read_all(), 0);
	assert_int_equal(record.head.type, AGENT_RECORD_FOLLOWS);
	assert_string_equal(record_type_name(record.head.type), "follows");
	made_log_add(&made, AGENT_RECORD_FOLLOWS);
	assert_int_equal(read_all(), -EBADMSG);
	assert_non_null(strstr(err.text, "is not where it belongs"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(records_come_with_what_they_hold),
		TEST(reading_goes_on_where_it_ended),
		TEST(another_log_is_no_extension_of_what_was_read),
		TEST(any_changed_byte_is_seen),
		TEST(a_log_that_ends_within_a_record_is_refused),
		TEST(forged_sizes_are_refused),
		TEST(forged_counts_are_refused),
		TEST(forged_segments_are_refused),
		TEST(a_path_has_no_end_within),
		TEST(numbers_types_and_places_must_be_right),
		TEST(a_log_begins_with_its_start),
		TEST(nothing_follows_the_end),
		TEST(only_so_many_went_before),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
