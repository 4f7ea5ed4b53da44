/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/inside.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* A view of a process, a module and a mount. */
static struct {
	struct agent_inside head;
	struct agent_item task;
	struct agent_item module;
	char name[8];
	struct agent_item mount;
} made;

static struct inside inside;

static int setup(void **state)
{
	(void)state;
	made.head = (struct agent_inside){
		.sequence = 7, .begun_ns = 100, .ended_ns = 200, .size_bytes = sizeof(made),
		.items = 3, .missing = 1u << AGENT_ITEM_USER,
	};
	made.task = (struct agent_item){ sizeof(made.task), AGENT_ITEM_TASK, 0, 42, 0 };
	made.module = (struct agent_item){ sizeof(made.module) + 8, AGENT_ITEM_MODULE, 4, 4096, 0 };
	memcpy(made.name, "ext4\0\0\0", 8);
	made.mount = (struct agent_item){ sizeof(made.mount), AGENT_ITEM_MOUNT, 0, 21, 3 };
	return 0;
}

static int parse(size_t size)
{
	struct blob data = { malloc(size ? size : 1), size };
	int r;

	assert_non_null(data.data);
	memcpy(data.data, &made, size);
	inside_free(&inside);
	r = inside_parse(&data, 7, &inside, NULL);
	assert_null(data.data);
	return r;
}

static void a_view_is_taken_apart(void **state)
{
	(void)state;
	assert_int_equal(parse(sizeof(made)), 0);
	assert_int_equal(inside.items.n, 3);
	assert_true(inside_has_task(&inside, 42));
	assert_false(inside_has_task(&inside, 21));
	assert_false(inside_has_task(&inside, -1));
	assert_true(map_get(&inside.mounts, 21, NULL));
	assert_int_equal(inside.items.v[1].text_bytes, 4);
	assert_memory_equal(inside.items.v[1].text, "ext4", 4);
	assert_true(inside_has_all(&inside, AGENT_ITEM_TASK));
	assert_false(inside_has_all(&inside, AGENT_ITEM_USER));
	inside_free(&inside);
}

static void every_length_that_cannot_be_is_refused(void **state)
{
	(void)state;
	for (size_t n = 0; n < sizeof(made); n++)
		assert_int_equal(parse(n), -EBADMSG);
	made.task.size_bytes = 0;
	assert_int_equal(parse(sizeof(made)), -EBADMSG);
	made.task.size_bytes = 20;
	assert_int_equal(parse(sizeof(made)), -EBADMSG);
	made.task.size_bytes = UINT16_MAX - 7;
	assert_int_equal(parse(sizeof(made)), -EBADMSG);
	setup(NULL);
	made.module.text_bytes = 9;
	assert_int_equal(parse(sizeof(made)), -EBADMSG);
	made.module.text_bytes = UINT32_MAX;
	assert_int_equal(parse(sizeof(made)), -EBADMSG);
	setup(NULL);
	made.mount.kind = 0;
	assert_int_equal(parse(sizeof(made)), -EBADMSG);
	setup(NULL);
	made.head.size_bytes = UINT32_MAX;
	assert_int_equal(parse(sizeof(made)), -EBADMSG);
	made.head.size_bytes = 8;
	assert_int_equal(parse(sizeof(made)), -EBADMSG);
	setup(NULL);
	made.head.items = 4;
	assert_int_equal(parse(sizeof(made)), -EBADMSG);
}

static void one_that_is_being_written_is_told_apart(void **state)
{
	(void)state;
	made.head.sequence = 0;
	assert_int_equal(parse(sizeof(made)), -ESTALE);
	made.head.sequence = 9;
	assert_int_equal(parse(sizeof(made)), -ESTALE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_view_is_taken_apart, setup),
		cmocka_unit_test_setup(every_length_that_cannot_be_is_refused, setup),
		cmocka_unit_test_setup(one_that_is_being_written_is_told_apart, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
