/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/log.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

#define PAGE 4096u

static struct agent_anchor anchor;
static struct log the_log;

static void start(uint64_t max_bytes)
{
	struct err err;

	anchor = (struct agent_anchor){ .pid = 7, .started_ns = 99 };
	assert_int_equal(log_start(&the_log, &anchor, max_bytes, &err), 0);
}

static void end(void)
{
	munmap(the_log.memory.at, the_log.memory.size_bytes);
}

static const struct agent_record *record_at(uint64_t at)
{
	return (const void *)(the_log.memory.at + at);
}

/* Every record is whole, in its order, and chained; returns how many of @type there are. */
static unsigned walk(uint32_t type)
{
	uint8_t chain[AGENT_DIGEST_BYTES] = {0};
	uint64_t at = 0, n = 0;
	unsigned found = 0;

	while (at < anchor.log_bytes) {
		const struct agent_record *record = record_at(at);

		assert_true(record->size_bytes >= sizeof(*record));
		assert_int_equal(record->size_bytes % 8, 0);
		assert_int_equal(record->sequence, n++);
		log_chain(chain, record, chain);
		assert_memory_equal(chain, record->chain, sizeof(chain));
		found += record->type == type;
		at += record->size_bytes;
	}
	assert_int_equal(at, anchor.log_bytes);
	assert_int_equal(n, anchor.log_records);
	assert_memory_equal(chain, anchor.log_head, sizeof(chain));
	assert_int_equal(anchor.log_sequence, 2 * n);
	return found;
}

static void begins_with_the_start(void **state)
{
	const struct agent_start *first;

	(void)state;
	start(16 * PAGE);
	first = (const void *)record_at(0);
	assert_int_equal(first->record.type, AGENT_RECORD_START);
	assert_int_equal(first->pid, 7);
	assert_int_equal(first->started_ns, 99);
	assert_string_equal(first->version, HVSM_VERSION);
	assert_int_equal(walk(AGENT_RECORD_START), 1);
	end();
}

static void parts_follow_without_gaps_and_zeros_at_the_end(void **state)
{
	struct agent_unreadable head = { .record.type = AGENT_RECORD_UNREADABLE, .path_bytes = 3 };
	char path[] = "a/b";
	struct iovec parts[] = { { path, 1 }, { NULL, 0 }, { path + 1, 2 } };
	uint64_t at, sequence = 0;
	const char *tail;

	(void)state;
	start(16 * PAGE);
	at = anchor.log_bytes;
	assert_int_equal(log_append(&the_log, &head.record, sizeof(head), parts, 3, &sequence), 0);
	assert_int_equal(sequence, 1);
	assert_int_equal(record_at(at)->size_bytes, sizeof(head) + 8);
	tail = (const char *)record_at(at) + sizeof(head);
	assert_memory_equal(tail, "a/b\0\0\0\0\0", 8);
	assert_int_equal(walk(AGENT_RECORD_UNREADABLE), 1);
	end();
}

static void the_end_is_a_record(void **state)
{
	struct agent_lost lost = { .record.type = AGENT_RECORD_LOST };
	uint64_t used;
	int r = 0;

	(void)state;
	start(PAGE);
	for (int i = 0; i < 1000 && r >= 0; i++)
		r = log_append(&the_log, &lost.record, sizeof(lost), NULL, 0, NULL);
	assert_int_equal(r, -ENOSPC);
	used = anchor.log_bytes;
	assert_true(used <= PAGE && used > PAGE - 2 * sizeof(lost));
	assert_int_equal(walk(AGENT_RECORD_FULL), 1);
	/* Nothing follows, however small it is. */
	assert_int_equal(log_append_type(&the_log, AGENT_RECORD_STOP), -ENOSPC);
	assert_int_equal(anchor.log_bytes, used);
	assert_int_equal(walk(AGENT_RECORD_STOP), 0);
	end();
}

static void a_record_that_is_too_long_changes_nothing(void **state)
{
	struct agent_file file = { .record.type = AGENT_RECORD_FILE };
	struct iovec part = { NULL, AGENT_RECORD_MAX };

	(void)state;
	start(16 * PAGE);
	assert_int_equal(log_append(&the_log, &file.record, sizeof(file), &part, 1, NULL), -E2BIG);
	assert_int_equal(anchor.log_records, 1);
	assert_int_equal(log_append_type(&the_log, AGENT_RECORD_STOP), 0);
	assert_int_equal(walk(AGENT_RECORD_STOP), 1);
	end();
}

static void grows_in_steps_and_keeps_what_it_has(void **state)
{
	struct agent_file file = { .record.type = AGENT_RECORD_FILE };
	static uint8_t bulk[100000];
	struct iovec part = { bulk, sizeof(bulk) };
	uint8_t *before;

	(void)state;
	memset(bulk, 0xa5, sizeof(bulk));
	start(64ull << 20);
	before = the_log.memory.at;
	for (int i = 0; i < 20; i++)
		assert_int_equal(log_append(&the_log, &file.record, sizeof(file), &part, 1, NULL), 0);
	assert_ptr_equal(the_log.memory.at, before);
	assert_true(the_log.memory.ready_bytes < 4u << 20);
	assert_int_equal(walk(AGENT_RECORD_FILE), 20);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(begins_with_the_start),
		cmocka_unit_test(parts_follow_without_gaps_and_zeros_at_the_end),
		cmocka_unit_test(the_end_is_a_record),
		cmocka_unit_test(a_record_that_is_too_long_changes_nothing),
		cmocka_unit_test(grows_in_steps_and_keeps_what_it_has),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
