/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/will.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static const uint8_t boot[16] = { 1, 2, 3 }, other[16] = { 3, 2, 1 };

/* What is read of a file that holds this. */
static struct agent_will read_back(const void *data, size_t size)
{
	struct agent_will will;
	FILE *file = tmpfile();

	assert_non_null(file);
	assert_int_equal(fwrite(data, 1, size, file), size);
	assert_int_equal(fflush(file), 0);
	will_read(fileno(file), boot, &will);
	fclose(file);
	assert_int_equal(will.magic, AGENT_WILL_MAGIC);
	assert_memory_equal(will.boot_id, boot, sizeof(boot));
	return will;
}

static struct agent_will with(uint32_t ended)
{
	struct agent_will will = { .magic = AGENT_WILL_MAGIC, .ended = ended };

	memcpy(will.boot_id, boot, sizeof(boot));
	will.all[0] = (struct agent_ended){ .pid = 7, .log_records = 3 };
	return will;
}

static void what_was_left_is_read(void **state)
{
	struct agent_will will = with(1);

	(void)state;
	will = read_back(&will, sizeof(will));
	assert_int_equal(will.ended, 1);
	assert_int_equal(will.all[0].pid, 7);
}

static void what_is_none_says_nothing(void **state)
{
	struct agent_will will = with(1);

	(void)state;
	assert_int_equal(read_back("", 0).ended, 0);
	assert_int_equal(read_back(&will, sizeof(will) - 1).ended, 0);
	will.magic++;
	assert_int_equal(read_back(&will, sizeof(will)).ended, 0);
	will = with(AGENT_ANCESTORS_MAX + 1);
	assert_int_equal(read_back(&will, sizeof(will)).ended, 0);
	will = with(1);
	memcpy(will.boot_id, other, sizeof(other));
	assert_int_equal(read_back(&will, sizeof(will)).ended, 0);
}

static void the_newest_is_first_and_the_oldest_go(void **state)
{
	struct agent_anchor anchor = { .log_records = 5, .log_bytes = 500, .log_head = { 9 } };
	struct agent_will will = with(0);

	(void)state;
	for (uint32_t i = 0; i < AGENT_ANCESTORS_MAX + 3; i++) {
		anchor.pid = 100 + i;
		anchor.started_ns = 1000 + i;
		will_add(&will, &anchor, 2000 + i);
	}
	assert_int_equal(will.ended, AGENT_ANCESTORS_MAX);
	for (uint32_t i = 0; i < will.ended; i++) {
		uint32_t nth = AGENT_ANCESTORS_MAX + 2 - i;

		assert_int_equal(will.all[i].pid, 100 + nth);
		assert_int_equal(will.all[i].started_ns, 1000 + nth);
		assert_int_equal(will.all[i].ended_ns, 2000 + nth);
		assert_int_equal(will.all[i].log_records, 5);
		assert_int_equal(will.all[i].log_bytes, 500);
		assert_int_equal(will.all[i].log_head[0], 9);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_left_is_read),
		cmocka_unit_test(what_is_none_says_nothing),
		cmocka_unit_test(the_newest_is_first_and_the_oldest_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
