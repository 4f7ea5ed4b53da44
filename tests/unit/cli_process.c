/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/process.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "make/tasks.h"

#define FUEL 4096u

static size_t partial_n(const struct processes *processes)
{
	size_t n = 0;

	for (size_t i = 0; i < processes->tasks.n; i++)
		n += processes->v[i].partial;
	return n;
}

/* However far the fuel goes: what it did not suffice for never looks like all of it. */
static void a_list_that_fuel_did_not_suffice_for_says_so(void **state)
{
	size_t partial = 0, tasks_n = 0, short_n = 0;
	struct made_tasks t;
	struct attached guest;

	(void)state;
	made_tasks_open(&t);
	for (int pid = 2; pid < 6; pid++)
		made_task(&t, pid, "sleep", t.init_task);
	guest = (struct attached){ .kernel = &t.kernel, .view = world_view(t.world) };
	for (uint64_t fuel = FUEL; fuel; fuel = fuel == FUEL ? 300 : fuel - 1) {
		struct processes processes = { 0 };
		struct err err = { 0 };
		int r;

		view_refresh(guest.view);
		view_refuel(guest.view, fuel);
		r = processes_read(&guest, &processes, &err);
		if (fuel == FUEL) {
			assert_int_equal(r, 0);
			partial = partial_n(&processes);
			tasks_n = processes.tasks.n;
		} else if (r >= 0) {
			assert_int_equal(processes.tasks.n, tasks_n);
			assert_int_equal(partial_n(&processes), partial);
		} else {
			assert_int_equal(r, -ELOOP);
			assert_true(*err.text);
			short_n += processes.tasks.n == tasks_n;
		}
		processes_free(&processes);
	}
	/* It also ran out after the list was there, and before all of it was read. */
	assert_true(tasks_n == 4 && short_n > 0);
	made_tasks_close(&t);
}

static void assert_note(struct process process, const char *note)
{
	char text[PROCESS_NOTE_MAX];

	assert_string_equal(process_note(&process, text, sizeof(text)), note);
}

static void what_is_missing_is_named(void **state)
{
	(void)state;
	assert_note((struct process){ 0 }, "");
	assert_note((struct process){ .args_cut = true }, "[cut]");
	assert_note((struct process){ .args_cut = true, .args_absent_bytes = 1 },
		    "[1 byte not in memory]");
	assert_note((struct process){ .args_absent_bytes = 4096, .partial = true },
		    "[4096 bytes not in memory] [partly unreadable]");
	assert_note((struct process){ .partial = true }, "[partly unreadable]");
}

static void json_counts_what_is_not_in_memory(void **state)
{
	const struct task task = { .tgid = 7, .state = 'S' };
	const struct process process = {
		.task = &task, .args_cut = true, .args_absent_bytes = 4096,
	};
	json_t *json = process_json(&process);

	(void)state;
	assert_non_null(json);
	assert_int_equal(json_integer_value(json_object_get(json, "args_absent_bytes")), 4096);
	assert_true(json_is_true(json_object_get(json, "args_cut")));
	assert_true(json_is_null(json_object_get(json, "args")));
	json_decref(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_list_that_fuel_did_not_suffice_for_says_so),
		cmocka_unit_test(what_is_missing_is_named),
		cmocka_unit_test(json_counts_what_is_not_in_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
