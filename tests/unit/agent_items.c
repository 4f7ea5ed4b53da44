/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/items.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define HEAD sizeof(struct agent_inside)

static struct memory memory;
static struct items items;
static struct item_set set;

static int setup(void **state)
{
	struct err err;

	(void)state;
	assert_int_equal(memory_reserve(&memory, 1 << 20, &err), 0);
	assert_int_equal(items_begin(&items, &memory), 0);
	return 0;
}

static struct item task(uint64_t pid)
{
	return (struct item){ AGENT_ITEM_TASK, pid, 0, NULL, 0 };
}

static void items_stand_behind_one_another(void **state)
{
	const struct item module = { AGENT_ITEM_MODULE, 4096, 0, "nf_nat\0...", 6 };
	const struct item one = task(1);
	const struct agent_item *at;

	(void)state;
	memset(memory.at, 0xff, 4096);
	assert_true(items_add(&items, &one));
	assert_true(items_add(&items, &module));
	assert_int_equal(items.n, 2);
	assert_int_equal(items.used_bytes, HEAD + 24 + 32);

	at = items_at(&items, HEAD);
	assert_int_equal(at->kind, AGENT_ITEM_TASK);
	assert_int_equal(at->size_bytes, 24);
	assert_int_equal(at->number, 1);
	at = items_at(&items, HEAD + 24);
	assert_int_equal(at->size_bytes, 32);
	assert_int_equal(at->text_bytes, 6);
	assert_memory_equal(at + 1, "nf_nat\0", 8);	/* what was there before is gone */
	assert_null(items_at(&items, HEAD + 24 + 32));
}

static void a_long_text_is_cut(void **state)
{
	char *text = calloc(1, 1 << 20);
	const struct item mount = { AGENT_ITEM_MOUNT, 5, 0, text, 1 << 20 };

	(void)state;
	assert_true(items_add(&items, &mount));
	assert_int_equal(items_at(&items, HEAD)->text_bytes, AGENT_PATH_MAX);
	assert_int_equal(items_at(&items, HEAD)->size_bytes, AGENT_PATH_MAX + 24);
	free(text);
}

static void what_has_no_room_is_missing(void **state)
{
	const struct item mount = { AGENT_ITEM_MOUNT, 5, 0, "/", 1 };
	struct item one = task(1);
	uint32_t n = 0;

	(void)state;
	while (items_add(&items, &one))
		n++;
	assert_int_equal(n, ((1 << 20) - HEAD) / 24);
	assert_int_equal(items.n, n);
	assert_int_equal(items.missing, 1 << AGENT_ITEM_TASK);
	assert_false(items_add(&items, &mount));
	assert_int_equal(items.missing, 1 << AGENT_ITEM_TASK | 1 << AGENT_ITEM_MOUNT);
	assert_true(items.used_bytes <= 1 << 20);

	/* Anew, and all of it is forgotten. */
	assert_int_equal(items_begin(&items, &memory), 0);
	assert_int_equal(items.missing, 0);
	assert_null(items_at(&items, HEAD));
}

static void a_set_knows_an_item_by_all_that_it_says(void **state)
{
	const struct item mount = { AGENT_ITEM_MOUNT, 5, 7, "/mnt", 4 };
	struct item other = mount, one = task(5);

	(void)state;
	assert_true(items_add(&items, &one));
	assert_true(items_add(&items, &mount));
	assert_true(item_set_make(&set, &items, HEAD, items.used_bytes, AGENT_ITEM_MOUNT));
	assert_int_equal(set.n, 1);
	assert_true(item_set_has(&set, &mount));
	assert_false(item_set_has(&set, &one));
	other.number++;
	assert_false(item_set_has(&set, &other));
	other = mount;
	other.value++;
	assert_false(item_set_has(&set, &other));
	other = mount;
	other.text = "/mnx";
	assert_false(item_set_has(&set, &other));
	other.text_bytes = 3;
	assert_false(item_set_has(&set, &other));
}

static void a_set_that_is_too_small_says_so(void **state)
{
	struct item one = task(0);

	(void)state;
	for (uint32_t i = 0; i < ITEM_SET_PLACES / 4 * 3; i++) {
		one.number = i + 1;
		assert_true(items_add(&items, &one));
	}
	assert_true(item_set_make(&set, &items, HEAD, items.used_bytes, AGENT_ITEM_TASK));
	assert_int_equal(set.n, ITEM_SET_PLACES / 4 * 3);
	for (uint32_t i = 0; i < ITEM_SET_PLACES / 4 * 3; i++) {
		one.number = i + 1;
		assert_true(item_set_has(&set, &one));
	}
	one.number = 1 << 30;
	assert_false(item_set_has(&set, &one));
	assert_true(items_add(&items, &one));
	assert_false(item_set_make(&set, &items, HEAD, items.used_bytes, AGENT_ITEM_TASK));
	assert_true(item_set_make(&set, &items, HEAD, HEAD, AGENT_ITEM_TASK));
	assert_int_equal(set.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(items_stand_behind_one_another, setup),
		cmocka_unit_test_setup(a_long_text_is_cut, setup),
		cmocka_unit_test_setup(what_has_no_room_is_missing, setup),
		cmocka_unit_test_setup(a_set_knows_an_item_by_all_that_it_says, setup),
		cmocka_unit_test_setup(a_set_that_is_too_small_says_so, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
