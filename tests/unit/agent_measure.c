/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/measure.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>
#include <sodium.h>

#include "agent/log.h"

#define USER	  1000
#define LOG_BYTES (64u << 10)
#define FILES	  128		/* of them half of the log is filled */
#define NAME	  "a name that takes room, as the path of the file stands in its record: " \
		  "that of a file without a name is what memfd_create(2) was given, and it is long"
#define SPARSE	  ((off_t)300 << 20)

/* Files without a name; of a user's, whoever runs this. */
static struct agent agent;

static int file_of(const char *data, size_t n)
{
	int fd = memfd_create(NAME, MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, n), n);
	if (!geteuid())
		assert_int_equal(fchown(fd, USER, USER), 0);
	return fd;
}

/* Give a copy to its worker, and wait until it is done with all. */
static void take(int fd, enum agent_reason reason, enum cache_cover cover)
{
	struct measure_mark mark;
	struct stat stat;

	assert_int_equal(fstat(fd, &stat), 0);
	assert_int_equal(measure_fd(measure_worker_of(&stat), dup(fd), reason, cover), 0);
	mark = measure_mark();
	while (!measure_reached(&mark))
		usleep(500);
}

static const struct agent_record *last_record(void)
{
	const uint8_t *at = agent.log.memory.at, *end = at + our_anchor->log_bytes;
	const struct agent_record *record = NULL;

	while (at < end) {
		record = (const void *)at;
		at += record->size_bytes;
	}
	return record;
}

static void assert_refused(int error)
{
	const struct agent_unreadable *record = (const void *)last_record();

	assert_int_equal(record->record.type, AGENT_RECORD_UNREADABLE);
	assert_int_equal(record->error, error);
}

static void a_file_is_measured_once(void **state)
{
	int fd = file_of("one", 3);
	const struct agent_file *record;
	uint8_t digest[AGENT_DIGEST_BYTES];
	uint64_t records;

	(void)state;
	take(fd, AGENT_SCRIPT, COVER_NONE);
	record = (const void *)last_record();
	crypto_hash_sha256(digest, (const void *)"one", 3);
	assert_int_equal(record->record.type, AGENT_RECORD_FILE);
	assert_int_equal(record->reason, AGENT_SCRIPT);
	assert_memory_equal(record->sha256, digest, sizeof(digest));
	assert_int_equal(record->pages, 0);
	records = our_anchor->log_records;
	take(fd, AGENT_SCRIPT, COVER_NONE);
	assert_int_equal(our_anchor->log_records, records);
	/* With its pages it is another record. */
	take(fd, AGENT_MAPPED, COVER_ALL);
	assert_int_equal(our_anchor->log_records, records + 1);
	close(fd);
}

static void a_user_s_large_file_is_noted_and_not_read(void **state)
{
	int fd = file_of("x", 1);

	(void)state;
	assert_int_equal(ftruncate(fd, SPARSE), 0);
	take(fd, AGENT_EXEC, COVER_NONE);
	assert_refused(EFBIG);
	close(fd);
}

static void a_user_s_file_with_much_code_is_noted(void **state)
{
	int fd = file_of("x", 1);

	(void)state;
	assert_int_equal(ftruncate(fd, SPARSE / 2), 0);
	take(fd, AGENT_MAPPED, COVER_ALL);
	assert_refused(EFBIG);
	close(fd);
}

/* Somebody has it mapped executable, and it changes all the time. */
static void not_each_version_of_a_file_that_is_no_program(void **state)
{
	const struct agent_unreadable *refused;
	const unsigned versions = 16;	/* each as old as a tick of the kernel's, 20 ms */
	uint64_t records;
	int fd = file_of("0", 1);

	(void)state;
	records = our_anchor->log_records;
	for (unsigned i = 0; i < versions; i++) {
		take(fd, AGENT_MAPPED, COVER_ALL);
		assert_int_equal(last_record()->type, AGENT_RECORD_FILE);
		assert_int_equal(write(fd, "more", 4), 4);
	}
	assert_int_equal(our_anchor->log_records, records + versions);
	take(fd, AGENT_MAPPED, COVER_ALL);
	assert_refused(EDQUOT);
	/* Once for all others; and as a script it has no pages, and is measured. */
	refused = (const void *)last_record();
	assert_int_equal(refused->reason, AGENT_MAPPED);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(write(fd, "more", 4), 4);
		take(fd, AGENT_MAPPED, COVER_ALL);
	}
	assert_int_equal(our_anchor->log_records, records + versions + 1);
	take(fd, AGENT_SCRIPT, COVER_NONE);
	assert_int_equal(last_record()->type, AGENT_RECORD_FILE);
	close(fd);
}

static void what_is_lost_is_told_once_a_period(void **state)
{
	uint64_t misses = measure_misses(), records = our_anchor->log_records;
	uint64_t lost = our_anchor->lost;
	const struct agent_lost *record;

	(void)state;
	for (unsigned i = 0; i < 5; i++)
		measure_lost(1);
	assert_int_equal(our_anchor->lost, lost + 5);
	assert_int_equal(measure_misses(), misses + 5);
	assert_int_equal(our_anchor->log_records, records + 1);
	record = (const void *)last_record();
	assert_int_equal(record->record.type, AGENT_RECORD_LOST);
	assert_int_equal(record->lost, lost + 1);
	/* The rest in the next one. */
	assert_int_equal(agent.loop.ticks[0].fn(agent.loop.ticks[0].ctx, NULL), 0);
	record = (const void *)last_record();
	assert_int_equal(record->lost, lost + 5);
	assert_int_equal(our_anchor->log_records, records + 2);
}

/* The last but one: nothing is complete from then on. */
static void users_fill_half_of_the_log(void **state)
{
	struct measure_mark mark;
	uint64_t lost = our_anchor->lost, half = LOG_BYTES / 2, bytes;
	char text[32];
	int fds[FILES];

	(void)state;
	/* All before any is measured, so that there is no wait for each to be old enough. */
	for (unsigned i = 0; i < FILES; i++)
		fds[i] = file_of(text, (size_t)snprintf(text, sizeof(text), "file %u", i));
	for (unsigned i = 0; i < FILES; i++)
		assert_int_equal(measure_fd(MEASURE_USER, fds[i], AGENT_EXEC, COVER_NONE), 0);
	/* As long as some wait there is no record for them: the last is surely one of those. */
	while (measure_room(MEASURE_USER) < MEASURE_QUEUE || our_anchor->lost == lost)
		usleep(500);
	bytes = our_anchor->log_bytes;
	assert_true(bytes > half);
	/* One file, and one record of what was lost. */
	assert_true(bytes < half + 1024);
	mark = measure_mark();
	assert_false(measure_reached(&mark));
}

static void root_s_are_measured_even_so(void **state)
{
	int fd;

	(void)state;
	if (geteuid())
		skip();
	fd = memfd_create("root's", MFD_CLOEXEC);
	assert_int_equal(write(fd, "root", 4), 4);
	assert_int_equal(measure_fd(MEASURE_LOCAL, fd, AGENT_EXEC, COVER_NONE), 0);
	while (last_record()->type != AGENT_RECORD_FILE ||
	       ((const struct agent_file *)last_record())->size_bytes != 4)
		usleep(500);
}

static int begin(void **state)
{
	struct err err;

	(void)state;
	if (sodium_init() < 0 || loop_init(&agent.loop, 1000, &err) < 0 ||
	    log_start(&agent.log, our_anchor, LOG_BYTES, &err) < 0)
		return -1;
	return measure_start(&agent, &err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_is_measured_once),
		cmocka_unit_test(a_user_s_large_file_is_noted_and_not_read),
		cmocka_unit_test(a_user_s_file_with_much_code_is_noted),
		cmocka_unit_test(not_each_version_of_a_file_that_is_no_program),
		cmocka_unit_test(what_is_lost_is_told_once_a_period),
		cmocka_unit_test(users_fill_half_of_the_log),
		cmocka_unit_test(root_s_are_measured_even_so),
	};

	return cmocka_run_group_tests(tests, begin, NULL);
}
