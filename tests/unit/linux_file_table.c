/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/file_table.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "make/holder.h"

static const struct made_struct types[] = { HOLDER_TYPES };

static struct world *world;
static struct tasks tasks;
static struct err err;

/* What the walk has seen. */
static struct seen {
	uint32_t tid, fd;
	gva file;
	bool cloexec;
} seen[64];
static uint32_t seen_n;

static int setup(void **state)
{
	(void)state;
	world = world_new();
	world_start(world, types, ARRAY_SIZE(types));
	seen_n = 0;
	err = (struct err){ 0 };
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	tasks_free(&tasks);
	world_end(&world);
	return 0;
}

static int see(const struct file_slot *slot, void *ctx, struct err *e)
{
	(void)ctx;
	(void)e;
	assert_true(seen_n < ARRAY_SIZE(seen));
	seen[seen_n++] = (struct seen){ (uint32_t)slot->task->pid, slot->fd, slot->file,
					slot->cloexec };
	return 0;
}

static int walk(void)
{
	seen_n = 0;
	return file_table_walk(world_kernel(world), world_view(world), &tasks, see, NULL, &err);
}

static void slots_in_use_are_given_in_order(void **state)
{
	gva files, file;

	(void)state;
	files = holder_files(world, holder_task(world, &tasks, 7), 1024);
	file = world_alloc(world, 64);
	holder_open(world, files, 0, file, false);
	holder_open(world, files, 63, file, true);
	holder_open(world, files, 1023, file, true);
	assert_int_equal(walk(), 0);
	assert_int_equal(seen_n, 3);
	assert_int_equal(seen[0].fd, 0);
	assert_false(seen[0].cloexec);
	assert_int_equal(seen[1].fd, 63);
	assert_true(seen[1].cloexec);
	assert_int_equal(seen[2].fd, 1023);
	assert_true(seen[2].cloexec);
	assert_int_equal(seen[2].tid, 7);
	assert_int_equal(seen[2].file.v, file.v);
}

static void a_task_without_a_table_has_no_files(void **state)
{
	(void)state;
	holder_task(world, &tasks, 7);
	assert_int_equal(walk(), 0);
	assert_int_equal(seen_n, 0);
}

static void threads_that_share_a_table_give_it_once(void **state)
{
	gva leader, files, own;

	(void)state;
	leader = holder_task(world, &tasks, 7);
	files = holder_files(world, leader, 64);
	holder_open(world, files, 3, world_alloc(world, 64), false);
	world_set(world, holder_thread(world, &tasks, 8), "task_struct.files", files.v);
	own = holder_files(world, holder_thread(world, &tasks, 9), 64);
	holder_open(world, own, 4, world_alloc(world, 64), false);
	assert_int_equal(walk(), 0);
	assert_int_equal(seen_n, 2);
	assert_int_equal(seen[0].tid, 7);
	assert_int_equal(seen[1].tid, 9);
	assert_int_equal(seen[1].fd, 4);
}

/* A count is easily forged, as nothing in the kernel depends on it. */
static void threads_are_told_by_their_list(void **state)
{
	gva files;

	(void)state;
	holder_task(world, &tasks, 7);
	files = holder_files(world, holder_thread(world, &tasks, 9), 64);
	holder_open(world, files, 4, world_alloc(world, 64), false);
	tasks.v[0].threads = 1;
	assert_int_equal(walk(), 0);
	assert_int_equal(seen_n, 1);
	assert_int_equal(seen[0].tid, 9);
}

/* The leader has ended, its threads go on. */
static void threads_of_an_ended_leader_are_seen(void **state)
{
	gva files;

	(void)state;
	holder_task(world, &tasks, 7);
	files = holder_files(world, holder_thread(world, &tasks, 8), 64);
	holder_open(world, files, 3, world_alloc(world, 64), false);
	assert_int_equal(walk(), 0);
	assert_int_equal(seen_n, 1);
	assert_int_equal(seen[0].tid, 8);
}

static void processes_that_share_a_table_give_it_each(void **state)
{
	gva files;

	(void)state;
	files = holder_files(world, holder_task(world, &tasks, 7), 64);
	holder_open(world, files, 3, world_alloc(world, 64), false);
	world_set(world, holder_task(world, &tasks, 8), "task_struct.files", files.v);
	assert_int_equal(walk(), 0);
	assert_int_equal(seen_n, 2);
}

static void an_absurd_table_is_an_error_with_what_it_has(void **state)
{
	gva files, fdt;

	(void)state;
	files = holder_files(world, holder_task(world, &tasks, 7), 64);
	fdt = gva_of(world_get(world, files, "files_struct.fdt"));
	holder_open(world, files, 3, world_alloc(world, 64), false);
	world_set(world, fdt, "fdtable.max_fds", UINT32_MAX);
	files = holder_files(world, holder_task(world, &tasks, 8), 64);
	holder_open(world, files, 5, world_alloc(world, 64), false);
	assert_true(walk() < 0);
	assert_true(seen_n >= 2);
	assert_int_equal(seen[0].fd, 3);
	assert_int_equal(seen[seen_n - 1].tid, 8);
}

static void what_cannot_be_read_is_left_out_and_told(void **state)
{
	gva files, fdt;

	(void)state;
	files = holder_files(world, holder_task(world, &tasks, 7), 64);
	world_set(world, files, "files_struct.fdt", world_nowhere().v);
	files = holder_files(world, holder_task(world, &tasks, 8), 64);
	fdt = gva_of(world_get(world, files, "files_struct.fdt"));
	world_set(world, fdt, "fdtable.fd", world_nowhere().v);
	files = holder_files(world, holder_task(world, &tasks, 9), 64);
	holder_open(world, files, 5, world_alloc(world, 64), false);
	assert_int_equal(walk(), -EFAULT);
	assert_int_equal(seen_n, 1);
	assert_int_equal(seen[0].tid, 9);
}

static void wild_pointers_are_told(void **state)
{
	gva files;

	(void)state;
	files = holder_files(world, holder_task(world, &tasks, 7), 64);
	holder_open(world, files, 3, gva_of(0x1000), false);
	holder_open(world, files, 4, world_alloc(world, 64), false);
	world_set(world, holder_task(world, &tasks, 8), "task_struct.files", 0x1234);
	assert_int_equal(walk(), -EBADMSG);
	assert_int_equal(seen_n, 1);
	assert_int_equal(seen[0].fd, 4);
}

/* Tables that are all the same pages cost no memory, but fuel. */
static void a_guest_cannot_keep_it_busy(void **state)
{
	gva files, fdt;

	(void)state;
	files = holder_files(world, holder_task(world, &tasks, 1), 64);
	fdt = gva_of(world_get(world, files, "files_struct.fdt"));
	world_set(world, fdt, "fdtable.max_fds", FDS_MAX);
	world_set(world, fdt, "fdtable.fd", world_alloc(world, 8 * FDS_MAX).v);
	for (uint32_t pid = 2; pid < 1000; pid++)
		world_set(world, holder_task(world, &tasks, pid), "task_struct.files", files.v);
	assert_int_equal(walk(), -ELOOP);
}

#define TABLE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TABLE_TEST(slots_in_use_are_given_in_order),
		TABLE_TEST(a_task_without_a_table_has_no_files),
		TABLE_TEST(threads_that_share_a_table_give_it_once),
		TABLE_TEST(threads_are_told_by_their_list),
		TABLE_TEST(threads_of_an_ended_leader_are_seen),
		TABLE_TEST(processes_that_share_a_table_give_it_each),
		TABLE_TEST(an_absurd_table_is_an_error_with_what_it_has),
		TABLE_TEST(what_cannot_be_read_is_left_out_and_told),
		TABLE_TEST(wild_pointers_are_told),
		TABLE_TEST(a_guest_cannot_keep_it_busy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
