/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/task_exec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "guest/paging.h"
#include "make/world.h"

#define USER	0x7ffd00000000ull	/* four pages of user memory; the third is not there */
#define PAGE	4096u
#define DIRECT	0xffff888000000000ull

static const struct made_struct types[] = {
	{ "mm_struct", 64, {
		{ "exe_file", 0, "ptr", 0, 0, 0 },
		{ "arg_start", 8, "u64", 0, 0, 0 }, { "arg_end", 16, "u64", 0, 0, 0 },
		{ "env_start", 24, "u64", 0, 0, 0 }, { "env_end", 32, "u64", 0, 0, 0 } } },
};

struct process {
	struct world *world;
	struct task task;
	gva pages;		/* of its memory, as the kernel has them mapped */
	struct task_args args;
	struct err err;
};

static int start(void **state)
{
	struct process *p = calloc(1, sizeof(*p));
	gva tables;

	p->world = world_new();
	world_start(p->world, types, ARRAY_SIZE(types));
	tables = world_alloc(p->world, 9 * PAGE);
	tables.v = (tables.v + PAGE - 1) & ~(uint64_t)(PAGE - 1);
	p->pages = gva_add(tables, 4 * PAGE);
	for (unsigned level = 4; level > 1; level--)
		world_put(p->world, gva_add(tables, (4 - level) * PAGE +
					    8 * paging_index(gva_of(USER), level)),
			  (tables.v - DIRECT + (5 - level) * PAGE) | PTE_PRESENT | PTE_USER);
	for (unsigned i = 0; i < 4; i++)
		if (i != 2)
			world_put(p->world, gva_add(tables, 3 * PAGE + 8 * i),
				  (p->pages.v - DIRECT + i * PAGE) | PTE_PRESENT | PTE_USER);
	p->task.pid = 7;
	p->task.mm = world_alloc(p->world, 64);
	p->task.space = (struct space){ gpa_of(tables.v - DIRECT), 4 };
	*state = p;
	return 0;
}

static int end(void **state)
{
	struct process *p = *state;

	world_end(&p->world);
	free(p);
	return 0;
}

static int args(struct process *p, uint64_t from, uint64_t to, uint64_t env_to)
{
	world_set(p->world, p->task.mm, "mm_struct.arg_start", from);
	world_set(p->world, p->task.mm, "mm_struct.arg_end", to);
	world_set(p->world, p->task.mm, "mm_struct.env_start", to);
	world_set(p->world, p->task.mm, "mm_struct.env_end", env_to);
	memset(&p->args, 'x', sizeof(p->args));
	return task_args(world_kernel(p->world), world_view(p->world), &p->task, &p->args,
			 &p->err);
}

static void arguments_come_with_their_terminators(void **state)
{
	static const char text[] = "sleep\0001000";
	struct process *p = *state;

	world_copy(p->world, p->pages, text, sizeof(text));
	assert_int_equal(args(p, USER, USER + sizeof(text), USER + 100), 0);
	assert_int_equal(p->args.bytes, sizeof(text));
	assert_memory_equal(p->args.text, text, sizeof(text));
	assert_int_equal(p->args.absent_bytes, 0);
	assert_false(p->args.cut);
}

static void a_title_runs_on_into_the_environment(void **state)
{
	struct process *p = *state;

	world_copy(p->world, p->pages, "a title\0rest", 13);
	assert_int_equal(args(p, USER, USER + 4, USER + 100), 0);
	assert_int_equal(p->args.bytes, 8);
	assert_string_equal(p->args.text, "a title");
	assert_false(p->args.cut);

	/* Only where the environment lies right behind. */
	world_set(p->world, p->task.mm, "mm_struct.env_start", USER + 50);
	assert_int_equal(task_args(world_kernel(p->world), world_view(p->world), &p->task,
				   &p->args, NULL), 0);
	assert_int_equal(p->args.bytes, 4);
	assert_memory_equal(p->args.text, "a ti", 4);
}

static void a_title_without_an_end_is_cut(void **state)
{
	struct process *p = *state;

	memset(world_at(p->world, p->pages, 2 * PAGE), 't', 2 * PAGE);
	assert_int_equal(args(p, USER, USER + 4, USER + 2 * PAGE), 0);
	assert_int_equal(p->args.bytes, TASK_ARGS_MAX);
	assert_true(p->args.cut);
}

static void long_arguments_are_cut(void **state)
{
	struct process *p = *state;

	memset(world_at(p->world, p->pages, 2 * PAGE), 't', 2 * PAGE - 1);
	assert_int_equal(args(p, USER, USER + 2 * PAGE, USER + 2 * PAGE), 0);
	assert_int_equal(p->args.bytes, TASK_ARGS_MAX);
	assert_true(p->args.cut);
}

static void absent_pages_are_left_out_and_counted(void **state)
{
	struct process *p = *state;

	/* 100 bytes, a page that is not there, and the first three arguments behind it. */
	memset(world_at(p->world, gva_add(p->pages, 2 * PAGE - 100), 100), 'a', 100);
	world_copy(p->world, gva_add(p->pages, 3 * PAGE), "b\0c", 4);
	assert_int_equal(args(p, USER + 2 * PAGE - 10, USER + 3 * PAGE + 4, 0), 0);
	assert_true(p->args.cut);		/* the gap counts */
	assert_int_equal(p->args.bytes, 11);
	assert_memory_equal(p->args.text, "aaaaaaaaaa", 11);
	assert_int_equal(p->args.absent_bytes, PAGE - 10);

	assert_int_equal(args(p, USER + 3 * PAGE - 10, USER + 3 * PAGE + 4, 0), 0);
	assert_int_equal(p->args.bytes, 4);
	assert_int_equal(p->args.absent_bytes, 10);
	assert_memory_equal(p->args.text, "b\0c", 4);
	assert_false(p->args.cut);
}

static void no_page_need_be_there(void **state)
{
	struct process *p = *state;

	assert_int_equal(args(p, USER + 2 * PAGE, USER + 2 * PAGE + 10, 0), 0);
	assert_int_equal(p->args.bytes, 0);
	assert_int_equal(p->args.absent_bytes, 10);
	assert_int_equal(args(p, USER, USER, USER + 10), 0);
	assert_int_equal(p->args.bytes, 0);
}

static void impossible_bounds_are_refused(void **state)
{
	struct process *p = *state;

	assert_int_equal(args(p, USER + 1, USER, USER), -EBADMSG);
	assert_int_equal(args(p, USER, USER + (1ull << 40), USER), -EBADMSG);
	assert_int_equal(args(p, DIRECT, DIRECT + 100, DIRECT + 100), -EBADMSG);
	assert_int_equal(args(p, UINT64_MAX - 10, UINT64_MAX, UINT64_MAX), -EBADMSG);
	/* An environment in the kernel makes no title of it. */
	memset(world_at(p->world, p->pages, 8), 't', 8);
	assert_int_equal(args(p, USER, USER + 8, UINT64_MAX), 0);
	assert_int_equal(p->args.bytes, 8);
	p->task.mm = world_nowhere();
	assert_int_equal(task_args(world_kernel(p->world), world_view(p->world), &p->task,
				   &p->args, NULL), -EFAULT);
	p->task.mm = gva_of(0);
	assert_int_equal(task_args(world_kernel(p->world), world_view(p->world), &p->task,
				   &p->args, NULL), -ENOENT);
}

static void a_process_without_a_program_has_none(void **state)
{
	struct process *p = *state;
	char buf[64];

	assert_int_equal(task_exe(world_kernel(p->world), world_view(p->world), &p->task, buf,
				  sizeof(buf), NULL), -ENOENT);
	p->task.mm = gva_of(0);
	assert_int_equal(task_exe(world_kernel(p->world), world_view(p->world), &p->task, buf,
				  sizeof(buf), NULL), -ENOENT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(arguments_come_with_their_terminators),
		TEST(a_title_runs_on_into_the_environment),
		TEST(a_title_without_an_end_is_cut),
		TEST(long_arguments_are_cut),
		TEST(absent_pages_are_left_out_and_counted),
		TEST(no_page_need_be_there),
		TEST(impossible_bounds_are_refused),
		TEST(a_process_without_a_program_has_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
