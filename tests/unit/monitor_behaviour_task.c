/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/behaviour_task.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/limits.h"
#include "base/now.h"
#include "make/tasks.h"
#include "monitor/behaviour_part.h"

#define PF_FORKNOEXEC 0x40u

/* A guest, and processes as they are seen in it: what differs between two looks. */
struct guest {
	struct made_tasks made;
	gva init, shell;
	void *part;
	struct waiting waiting;
	bool known;
	uint64_t last_ns;
};

static void set(struct guest *g, gva task, const char *path, uint64_t value)
{
	world_set(g->made.world, task, path, value);
}

/* So many bytes of arguments, in memory that is not there. */
static void arguments(struct guest *g, gva task, uint64_t bytes)
{
	gva mm = gva_of(world_get(g->made.world, task, "task_struct.mm"));

	set(g, mm, "mm_struct.pgd", 0xffff888000007000);
	set(g, mm, "mm_struct.arg_start", 0x10000);
	set(g, mm, "mm_struct.arg_end", 0x10000 + bytes);
}

/* With namespaces, started at @start seconds, and no other program than its parent's. */
static gva process(struct guest *g, int pid, const char *comm, gva parent, uint64_t start)
{
	gva task = made_task(&g->made, pid, comm, parent);
	gva proxy = world_alloc(g->made.world, 64);

	set(g, task, "task_struct.nsproxy", proxy.v);
	set(g, task, "task_struct.start_boottime", start * 1000000000);
	set(g, task, "task_struct.flags", PF_FORKNOEXEC);
	arguments(g, task, 16);
	return task;
}

static void forked(struct guest *g, uint64_t n)
{
	uint64_t *forks = world_at(g->made.world, g->made.forks, 8);

	*forks += n;
}

static void forget(struct guest *g)
{
	for (size_t i = 0; i < g->waiting.v.n; i++)
		event_free(&g->waiting.v.v[i]);
	g->waiting.v.n = 0;
}

/* Look at all processes; what differs is in g->waiting. Return: what the read came to. */
static int look(struct guest *g)
{
	struct glance glance = {
		.kernel = &g->made.kernel, .view = world_view(g->made.world),
		.waiting = &g->waiting, .first = !g->known, .after_ns = g->last_ns,
		.began_ns = g->last_ns + 1000,
	};
	struct err err = {0};
	int r;

	forget(g);
	r = behaviour_tasks.read(g->part, &glance, &err);
	if (r >= 0 || g->known)
		assert_int_equal(behaviour_tasks.compare(g->part, &glance, r >= 0, &err), 0);
	g->known |= r >= 0;
	if (r >= 0)
		g->last_ns = glance.began_ns;
	return r;
}

static const struct event *told(struct guest *g, enum event_kind kind, int pid)
{
	for (size_t i = 0; i < g->waiting.v.n; i++) {
		const struct event *event = &g->waiting.v.v[i];

		if (event->kind == kind &&
		    json_integer_value(json_object_get(event->object, "pid")) == pid)
			return event;
	}
	return NULL;
}

static json_int_t number(const struct event *event, const char *which, const char *key)
{
	const json_t *object = which ? json_object_get(event->object, which) : event->object;

	return json_integer_value(json_object_get(object, key));
}

static int start(void **state)
{
	struct guest *g = calloc(1, sizeof(*g));

	made_tasks_open(&g->made);
	g->init = process(g, 1, "init", g->made.init_task, 1);
	g->shell = process(g, 10, "sh", g->init, 10);
	g->part = behaviour_tasks.open();
	g->waiting.kinds = EVENTS_ALL;
	forked(g, 2);
	assert_int_equal(look(g), 0);
	assert_int_equal(g->waiting.v.n, 0);
	*state = g;
	return 0;
}

static int end(void **state)
{
	struct guest *g = *state;

	forget(g);
	free(g->waiting.v.v);
	behaviour_tasks.close(g->part);
	made_tasks_close(&g->made);
	free(g);
	return 0;
}

static void nothing_changed(void **state)
{
	struct guest *g = *state;

	assert_int_equal(look(g), 0);
	assert_int_equal(g->waiting.v.n, 0);
}

static void a_process_starts_and_ends(void **state)
{
	struct guest *g = *state;
	gva task = process(g, 11, "ls", g->shell, 20);
	const struct event *event;
	uint64_t boot = now_ns(CLOCK_BOOTTIME), real = now_ns(CLOCK_REALTIME);

	forked(g, 1);
	assert_int_equal(look(g), 0);
	assert_int_equal(g->waiting.v.n, 1);
	event = told(g, EVENT_PROCESS_START, 11);
	assert_non_null(event);
	assert_int_equal(number(event, NULL, "ppid"), 10);
	/* 1000 ns after boot. */
	assert_in_range(event->after_ns, real - now_ns(CLOCK_BOOTTIME) + 1000,
			now_ns(CLOCK_REALTIME) - boot + 1000);
	assert_true(event->before_ns > event->after_ns);

	made_hide(&g->made, task);
	assert_int_equal(look(g), 0);
	assert_int_equal(g->waiting.v.n, 1);
	assert_non_null(told(g, EVENT_PROCESS_EXIT, 11));
}

static void a_number_is_used_again(void **state)
{
	struct guest *g = *state;

	set(g, g->shell, "task_struct.start_boottime", 77000000000);
	forked(g, 1);
	assert_int_equal(look(g), 0);
	assert_int_equal(g->waiting.v.n, 2);
	assert_non_null(told(g, EVENT_PROCESS_EXIT, 10));
	assert_non_null(told(g, EVENT_PROCESS_START, 10));
}

static void a_zombie_has_ended_once(void **state)
{
	struct guest *g = *state;
	const struct event *event;

	set(g, g->shell, "task_struct.exit_state", 0x20);
	set(g, g->shell, "task_struct.exit_code", 7 << 8);
	assert_int_equal(look(g), 0);
	event = told(g, EVENT_PROCESS_EXIT, 10);
	assert_non_null(event);
	assert_int_equal(number(event, NULL, "status"), 7);
	assert_true(json_is_null(json_object_get(event->object, "signal")));
	made_hide(&g->made, g->shell);
	assert_int_equal(look(g), 0);
	assert_int_equal(g->waiting.v.n, 0);
}

static void a_leader_ends_before_its_threads(void **state)
{
	struct guest *g = *state;

	made_thread(&g->made, 12, g->shell);
	set(g, g->shell, "task_struct.exit_state", 0x20);
	assert_int_equal(look(g), 0);
	assert_null(told(g, EVENT_PROCESS_EXIT, 10));
}

static void a_list_cut_short_ends_nobody(void **state)
{
	struct guest *g = *state;
	gva last = process(g, 11, "ls", g->shell, 20);
	uint64_t next = world_get(g->made.world, g->init, "task_struct.tasks.next");

	forked(g, 1);
	assert_int_equal(look(g), 0);
	set(g, g->init, "task_struct.tasks.next", world_nowhere().v);
	process(g, 12, "late", g->shell, 21);
	forked(g, 1);
	assert_true(look(g) < 0);
	assert_int_equal(g->waiting.v.n, 0);

	/* Mended: who went in the meantime has ended, and who came has started. */
	set(g, g->init, "task_struct.tasks.next", next);
	made_hide(&g->made, last);
	assert_int_equal(look(g), 0);
	assert_int_equal(g->waiting.v.n, 2);
	assert_non_null(told(g, EVENT_PROCESS_EXIT, 11));
	assert_non_null(told(g, EVENT_PROCESS_START, 12));
}

static void a_program_is_executed(void **state)
{
	struct guest *g = *state;

	set(g, g->shell, "task_struct.self_exec_id", 5);
	assert_int_equal(look(g), 0);
	assert_int_equal(g->waiting.v.n, 1);
	assert_non_null(told(g, EVENT_EXEC, 10));
}

static void a_program_that_is_being_set_up_is_told_later(void **state)
{
	struct guest *g = *state;

	set(g, g->shell, "task_struct.self_exec_id", 5);
	arguments(g, g->shell, 0);
	assert_int_equal(look(g), 0);
	assert_null(told(g, EVENT_EXEC, 10));
	assert_int_equal(look(g), 0);
	assert_non_null(told(g, EVENT_EXEC, 10));
	assert_int_equal(look(g), 0);
	assert_int_equal(g->waiting.v.n, 0);
}

static void a_new_process_that_is_being_set_up(void **state)
{
	struct guest *g = *state;
	gva task = process(g, 11, "ls", g->shell, 20);

	set(g, task, "task_struct.flags", 0);
	arguments(g, task, 0);
	forked(g, 1);
	assert_int_equal(look(g), 0);
	assert_non_null(told(g, EVENT_PROCESS_START, 11));
	assert_null(told(g, EVENT_EXEC, 11));
	arguments(g, task, 16);
	assert_int_equal(look(g), 0);
	assert_int_equal(g->waiting.v.n, 1);
	assert_non_null(told(g, EVENT_EXEC, 11));
}

static void a_new_process_has_executed_already(void **state)
{
	struct guest *g = *state;

	set(g, process(g, 11, "ls", g->shell, 20), "task_struct.flags", 0);
	forked(g, 1);
	assert_int_equal(look(g), 0);
	assert_int_equal(g->waiting.v.n, 2);
	assert_non_null(told(g, EVENT_PROCESS_START, 11));
	assert_non_null(told(g, EVENT_EXEC, 11));
}

static void credentials_change_in_place(void **state)
{
	struct guest *g = *state;
	gva cred = gva_of(world_get(g->made.world, g->shell, "task_struct.real_cred"));
	const struct event *event;

	set(g, cred, "cred.euid", 1000);
	set(g, cred, "cred.cap_effective", 0xff);
	assert_int_equal(look(g), 0);
	assert_int_equal(g->waiting.v.n, 1);
	event = told(g, EVENT_CREDENTIALS, 10);
	assert_non_null(event);
	assert_int_equal(number(event, "before", "euid"), 0);
	assert_int_equal(number(event, "after", "euid"), 1000);
	assert_true(json_is_false(json_object_get(event->object, "exec")));
	assert_int_equal(look(g), 0);
	assert_int_equal(g->waiting.v.n, 0);
}

/* On its way out a process gives up what it has, piece by piece. */
static void who_is_ending_changes_nothing(void **state)
{
	struct guest *g = *state;

	set(g, g->shell, "task_struct.nsproxy", 0);
	assert_int_equal(look(g), 0);
	assert_int_equal(g->waiting.v.n, 0);
}

static void a_namespace_is_left(void **state)
{
	struct guest *g = *state;
	gva proxy = gva_of(world_get(g->made.world, g->shell, "task_struct.nsproxy"));
	gva ns = world_alloc(g->made.world, 64);
	const struct event *event;

	set(g, ns, "uts_namespace.ns.inum", 4026532000);
	set(g, proxy, "nsproxy.uts_ns", ns.v);
	assert_int_equal(look(g), 0);
	assert_int_equal(g->waiting.v.n, 1);
	event = told(g, EVENT_NAMESPACES, 10);
	assert_non_null(event);
	assert_int_equal(number(event, "before", "uts"), 0);
	assert_int_equal(number(event, "after", "uts"), 4026532000);
}

/* The kernel made five; two are there as processes, one as a thread. */
static void those_that_nobody_saw_are_counted(void **state)
{
	struct guest *g = *state;

	process(g, 11, "a", g->shell, 20);
	process(g, 12, "b", g->shell, 20);
	made_thread(&g->made, 13, g->shell);
	forked(g, 5);
	assert_int_equal(look(g), 0);
	assert_int_equal(g->waiting.v.n, 3);
	assert_int_equal(g->waiting.v.v[2].kind, EVENT_PROCESSES_MISSED);
	assert_int_equal(number(&g->waiting.v.v[2], NULL, "count"), 2);

	/* A thread that is known is not counted again. */
	forked(g, 1);
	assert_int_equal(look(g), 0);
	assert_int_equal(g->waiting.v.n, 1);
	assert_int_equal(number(&g->waiting.v.v[0], NULL, "count"), 1);
}

/* The list is read after the count: who came between them is counted by the next look. */
static void who_is_seen_early_is_not_missed_later(void **state)
{
	struct guest *g = *state;

	process(g, 11, "a", g->shell, 20);
	assert_int_equal(look(g), 0);
	forked(g, 1);
	assert_int_equal(look(g), 0);
	assert_int_equal(g->waiting.v.n, 0);
}

static void what_is_not_wanted_is_not_told(void **state)
{
	struct guest *g = *state;

	g->waiting.kinds = EVENT_BIT(EVENT_EXEC);
	process(g, 11, "a", g->shell, 20);
	assert_int_equal(look(g), 0);
	assert_int_equal(g->waiting.v.n, 0);
	assert_int_equal(g->waiting.dropped, 0);
}

static void too_many_are_counted(void **state)
{
	struct guest *g = *state;
	struct glance glance = { .waiting = &g->waiting };

	for (unsigned i = 0; i < EVENTS_WAITING_MAX + 3; i++)
		if (glance_wants(&glance, EVENT_GONE))
			glance_tell(&glance, EVENT_GONE, json_object());
	assert_int_equal(g->waiting.v.n, EVENTS_WAITING_MAX);
	assert_int_equal(g->waiting.dropped, 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_changed),
		TEST(a_process_starts_and_ends),
		TEST(a_number_is_used_again),
		TEST(a_zombie_has_ended_once),
		TEST(a_leader_ends_before_its_threads),
		TEST(a_list_cut_short_ends_nobody),
		TEST(a_program_is_executed),
		TEST(a_program_that_is_being_set_up_is_told_later),
		TEST(a_new_process_that_is_being_set_up),
		TEST(a_new_process_has_executed_already),
		TEST(credentials_change_in_place),
		TEST(who_is_ending_changes_nothing),
		TEST(a_namespace_is_left),
		TEST(those_that_nobody_saw_are_counted),
		TEST(who_is_seen_early_is_not_missed_later),
		TEST(what_is_not_wanted_is_not_told),
		TEST(too_many_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
