/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/task.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "linux/task_each.h"
#include "make/tasks.h"

struct guest {
	struct made_tasks made;
	gva init, shell, thread;
	struct tasks tasks;
	struct err err;
};

static int start(void **state)
{
	struct guest *g = calloc(1, sizeof(*g));

	made_tasks_open(&g->made);
	g->init = made_task(&g->made, 1, "init", g->made.init_task);
	g->shell = made_task(&g->made, 10, "sh", g->init);
	g->thread = made_thread(&g->made, 11, g->shell);
	*state = g;
	return 0;
}

static int end(void **state)
{
	struct guest *g = *state;

	tasks_free(&g->tasks);
	made_tasks_close(&g->made);
	free(g);
	return 0;
}

static int list(struct guest *g)
{
	tasks_free(&g->tasks);
	return task_list(&g->made.kernel, world_view(g->made.world), &g->tasks, &g->err);
}

static void set(struct guest *g, gva task, const char *path, uint64_t value)
{
	world_set(g->made.world, task, path, value);
}

static gva links(struct guest *g, gva task)
{
	return world_member(g->made.world, task, "task_struct.tasks");
}

static void processes_are_listed_with_their_fields(void **state)
{
	struct guest *g = *state;
	gva cred = gva_of(world_get(g->made.world, g->shell, "task_struct.real_cred"));
	gva mm = gva_of(world_get(g->made.world, g->shell, "task_struct.mm"));
	const struct task *task;

	set(g, cred, "cred.uid", 1000);
	set(g, cred, "cred.euid", 0);
	set(g, cred, "cred.fsgid", 4000000000);
	set(g, cred, "cred.cap_effective", 0x1ffffffffff);
	set(g, mm, "mm_struct.pgd", 0xffff888000007000);
	set(g, g->shell, "task_struct.start_boottime", 123456789);
	assert_int_equal(list(g), 0);
	assert_int_equal(g->tasks.n, 2);
	task = &g->tasks.v[1];
	assert_int_equal(task->at.v, g->shell.v);
	assert_int_equal(task->pid, 10);
	assert_int_equal(task->tgid, 10);
	assert_int_equal(task->ppid, 1);
	assert_int_equal(task->threads, 2);
	assert_string_equal(task->comm, "sh");
	assert_int_equal(task->state, 'S');
	assert_int_equal(task->uid, 1000);
	assert_int_equal(task->euid, 0);
	assert_int_equal(task->fsgid, 4000000000);
	assert_int_equal(task->caps.effective, 0x1ffffffffff);
	assert_int_equal(task->space.root.v, 0x7000);
	assert_int_equal(task->space.levels, 4);
	assert_int_equal(task->start_ns, 123456789);
	assert_int_equal(task->started_ns, 0);	/* no clock here */
	assert_false(task->kernel_thread);
	assert_false(task->partial);
}

static void threads_are_listed(void **state)
{
	struct guest *g = *state;
	struct tasks threads = {0};

	assert_int_equal(list(g), 0);
	assert_int_equal(task_threads(&g->made.kernel, world_view(g->made.world),
				      &g->tasks.v[1], &threads, &g->err), 0);
	assert_int_equal(threads.n, 2);
	assert_int_equal(threads.v[0].pid, 10);
	assert_int_equal(threads.v[1].pid, 11);
	assert_int_equal(threads.v[1].tgid, 10);
	assert_int_equal(threads.v[1].leader.v, g->shell.v);
	tasks_free(&threads);
}

static int adopt(struct guest *g, struct task *task)
{
	return task_adopt_memory(&g->made.kernel, world_view(g->made.world), task, &g->err);
}

static void a_leader_that_ended_has_its_threads_memory(void **state)
{
	struct guest *g = *state;
	uint64_t mm = world_alloc(g->made.world, 1024).v;
	struct task *task;

	set(g, g->shell, "task_struct.mm", 0);
	set(g, g->thread, "task_struct.mm", 0);
	assert_int_equal(list(g), 0);
	task = &g->tasks.v[1];
	assert_int_equal(adopt(g, task), 0);
	assert_int_equal(task->mm.v, 0);
	set(g, g->thread, "task_struct.mm", mm);
	assert_int_equal(adopt(g, task), 0);
	assert_int_equal(task->mm.v, mm);
	assert_int_equal(task->at.v, g->shell.v);
	assert_int_equal(task->live.v, g->thread.v);
}

/* A thread that is about to end as well leaves its memory to nobody. */
static void memory_is_not_that_of_a_thread_that_ends(void **state)
{
	struct guest *g = *state;
	struct task *task;

	set(g, g->shell, "task_struct.mm", 0);
	set(g, g->thread, "task_struct.mm", world_alloc(g->made.world, 1024).v);
	set(g, g->thread, "task_struct.flags", 4);	/* PF_EXITING */
	assert_int_equal(list(g), 0);
	task = &g->tasks.v[1];
	assert_int_equal(task->live.v, g->shell.v);
	assert_int_equal(adopt(g, task), 0);
	assert_int_equal(task->mm.v, 0);
	assert_int_equal(task->live.v, g->shell.v);
}

static int is_ending(struct guest *g)
{
	assert_int_equal(list(g), 0);
	return task_is_ending(&g->made.kernel, world_view(g->made.world), &g->tasks.v[1],
			      &g->err);
}

static void a_process_ends_with_all_of_its_threads_or_one_of_them_alone(void **state)
{
	struct guest *g = *state;
	gva signal = gva_of(world_get(g->made.world, g->shell, "task_struct.signal"));

	set(g, g->shell, "task_struct.flags", 4);	/* PF_EXITING */
	set(g, g->shell, "task_struct.exit_state", 32);	/* EXIT_ZOMBIE */
	assert_int_equal(is_ending(g), 0);
	set(g, signal, "signal_struct.flags", 4);	/* SIGNAL_GROUP_EXIT */
	assert_int_equal(is_ending(g), 1);
	set(g, g->shell, "task_struct.signal", 0);	/* its parent has waited for it */
	assert_int_equal(is_ending(g), 1);
	set(g, g->shell, "task_struct.signal", world_nowhere().v);
	assert_int_equal(is_ending(g), -EFAULT);
}

/* Of one that is alone nobody asks: its parent has just waited for it, maybe. */
static void threads_that_cannot_be_listed_are_told(void **state)
{
	struct guest *g = *state;
	struct task *task;

	set(g, g->shell, "task_struct.mm", 0);
	assert_int_equal(list(g), 0);
	task = &g->tasks.v[1];
	set(g, g->shell, "task_struct.signal", world_nowhere().v);
	assert_int_equal(adopt(g, task), -EFAULT);
	task->threads = 1;
	assert_int_equal(adopt(g, task), 0);
	assert_int_equal(task->mm.v, 0);
}

static void states_are_the_letters_of_ps(void **state)
{
	static const struct {
		uint32_t state, exit_state;
		char letter;
	} known[] = {
		{ 0, 0, 'R' }, { 1, 0, 'S' }, { 2, 0, 'D' }, { 0x102, 0, 'D' }, { 4, 0, 'T' },
		{ 8, 0, 't' }, { 0x402, 0, 'I' }, { 0x40, 0, 'P' }, { 0x80, 0x20, 'Z' },
		{ 0x80, 0x10, 'X' }, { 0x80, 0x30, 'Z' }, { 0x200, 0, 'R' }, { 0x800, 0, 'R' },
		{ 0x1000, 0, 'D' }, { 0x2001, 0, 'S' }, { 0x8000, 0, 'D' }, { 0xffffffff, 0, 'I' },
	};
	struct guest *g = *state;

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		set(g, g->shell, "task_struct.__state", known[i].state);
		set(g, g->shell, "task_struct.exit_state", known[i].exit_state);
		assert_int_equal(list(g), 0);
		assert_int_equal(g->tasks.v[1].state, known[i].letter);
	}
}

/* A process of which a part is not there stands in the list all the same, and says so. */
static void unreadable_parts_make_a_task_partial(void **state)
{
	static const char *const pointers[] = {
		"task_struct.real_cred", "task_struct.mm", "task_struct.signal",
		"task_struct.real_parent", "task_struct.group_leader",
	};
	struct guest *g = *state;

	for (size_t i = 0; i < ARRAY_SIZE(pointers); i++) {
		uint64_t before = world_get(g->made.world, g->shell, pointers[i]);
		bool is_read = strcmp(pointers[i], "task_struct.group_leader");

		set(g, g->shell, pointers[i], world_nowhere().v);
		assert_int_equal(list(g), 0);
		assert_int_equal(g->tasks.n, 2);
		assert_int_equal(g->tasks.v[1].partial, is_read);
		assert_string_equal(g->tasks.v[1].comm, "sh");
		set(g, g->shell, pointers[i], 0x400000);	/* no address of the kernel's */
		assert_int_equal(list(g), 0);
		assert_true(g->tasks.v[1].partial);
		set(g, g->shell, pointers[i], before);
	}
	assert_int_equal(list(g), 0);
	assert_false(g->tasks.v[1].partial);
}

static void names_without_an_end_are_cut(void **state)
{
	struct guest *g = *state;

	world_copy(g->made.world, world_member(g->made.world, g->shell, "task_struct.comm"),
		   "sixteen letters!", 16);
	assert_int_equal(list(g), 0);
	assert_string_equal(g->tasks.v[1].comm, "sixteen letters");
}

static void a_list_cut_short_keeps_what_it_had(void **state)
{
	struct guest *g = *state;

	world_put(g->made.world, links(g, g->init), world_nowhere().v);
	assert_int_equal(list(g), -EFAULT);
	assert_int_equal(g->tasks.n, 1);
	world_put(g->made.world, links(g, g->init), 0x400000);
	assert_int_equal(list(g), -EBADMSG);
	assert_int_equal(g->tasks.n, 1);
}

static void a_cycle_is_no_list(void **state)
{
	struct guest *g = *state;

	world_put(g->made.world, links(g, g->shell), links(g, g->init).v);
	assert_int_equal(list(g), -EBADMSG);
	assert_int_equal(g->tasks.n, 2);
}

static void what_is_no_address_is_no_task(void **state)
{
	struct guest *g = *state;
	struct view *view = world_view(g->made.world);
	struct task task;

	assert_int_equal(task_read(&g->made.kernel, view, gva_of(0), &task, NULL), -EBADMSG);
	assert_int_equal(task_read(&g->made.kernel, view, gva_of(0x400000), &task, NULL), -EBADMSG);
	assert_int_equal(task_read(&g->made.kernel, view, world_nowhere(), &task, NULL), -EFAULT);
	assert_int_equal(task_read(&g->made.kernel, view, gva_of(UINT64_MAX), &task, NULL),
			 -EFAULT);
}

static void a_spent_tank_ends_the_list(void **state)
{
	struct guest *g = *state;

	for (uint64_t fuel = 0; fuel < 6; fuel++) {
		struct view *view = world_view(g->made.world);
		int r;

		view_refuel(view, fuel);
		tasks_free(&g->tasks);
		r = task_list(&g->made.kernel, view, &g->tasks, &g->err);
		assert_true(r == -ELOOP || (r == 0 && g->tasks.n == 2 && !g->tasks.v[0].partial &&
					    !g->tasks.v[1].partial));
	}
}

/* Whoever asks for it after the first pays for nothing, until it is another instant. */
static void one_instant_has_one_list(void **state)
{
	struct guest *g = *state;
	struct view *view = world_view(g->made.world);
	struct tasks again = {0};
	uint64_t pages;

	assert_int_equal(list(g), 0);
	pages = view_stats(view).pages;
	view_refuel(view, 0);
	assert_int_equal(task_list(&g->made.kernel, view, &again, &g->err), 0);
	assert_int_equal(task_list(&g->made.kernel, view, &again, &g->err), 0);
	assert_int_equal(view_stats(view).pages, pages);
	assert_int_equal(again.n, 4);
	assert_memory_equal(again.v, g->tasks.v, 2 * sizeof(*again.v));
	assert_memory_equal(again.v + 2, g->tasks.v, 2 * sizeof(*again.v));
	tasks_free(&again);

	made_task(&g->made, 20, "later", g->init);
	assert_int_equal(list(g), 0);
	assert_int_equal(g->tasks.n, 3);
	view_refresh(view);
	view_refuel(view, 0);
	assert_int_equal(task_list(&g->made.kernel, view, &again, &g->err), -ELOOP);
	tasks_free(&again);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(processes_are_listed_with_their_fields),
		TEST(threads_are_listed),
		TEST(a_leader_that_ended_has_its_threads_memory),
		TEST(memory_is_not_that_of_a_thread_that_ends),
		TEST(a_process_ends_with_all_of_its_threads_or_one_of_them_alone),
		TEST(threads_that_cannot_be_listed_are_told),
		TEST(states_are_the_letters_of_ps),
		TEST(unreadable_parts_make_a_task_partial),
		TEST(names_without_an_end_are_cut),
		TEST(a_list_cut_short_keeps_what_it_had),
		TEST(a_cycle_is_no_list),
		TEST(what_is_no_address_is_no_task),
		TEST(a_spent_tank_ends_the_list),
		TEST(one_instant_has_one_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
