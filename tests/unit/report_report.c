/* SPDX-License-Identifier: Apache-2.0 */
#include "report/report.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/columns.h"
#include "report/encode.h"
#include "report/text.h"
#include "report/verdict.h"

/* Stands in for the symbol table, which a report needs only the description of. */
const char *symbols_layout(const struct symbols *symbols)
{
	(void)symbols;
	return "relative offsets, 3 symbols";
}

static const char *const techniques[] = { "T1014", "T1556", NULL };

static const struct check syscall_table = {
	.id = "syscall-table",
	.group = GROUP_POINTERS,
	.title = "System call entry replaced",
	.proves = "Every entry leads to the kernel's own handler.",
	.techniques = techniques,
};

static const struct check hidden_task = {
	.id = "hidden-task",
	.group = GROUP_HIDDEN,
	.title = "Task hidden",
	.proves = "The task list has every task.",
	.techniques = techniques,
};

static const struct identity guest = {
	.name = "web\0331", .uuid = "", .target = "qemu:4711", .hypervisor = "QEMU 7.2 (kvm)",
};

static const struct kernel kernel = {
	.text = { 0xffffffff81000000 },
	.space = { .levels = 4 },
	.banner = "Linux version 6.1.0-32-amd64 (\xff)",
	.release = "6.1.0-32-amd64",
};

struct fixture {
	struct check_result results[2];
	struct sweep sweep;
	struct report report;
};

static void fixture_init(struct fixture *f)
{
	*f = (struct fixture){
		.results = {
			{ .check = &hidden_task },
			{ .check = &syscall_table, .duration_ns = 1500000, .repeats = 5 },
		},
		.sweep = {
			.results = f->results, .results_n = 2,
			.started_ns = 1700000000123456789, .duration_ns = 3456789,
			.pages_read = 300, .bytes_read = 1228800, .repeats = 5,
		},
		.report = { &guest, &kernel, &f->sweep },
	};
	*vec_add(&f->results[0].covered) = (struct covered){ "tasks", 54 };
}

static void fixture_deinit(struct fixture *f)
{
	for (size_t i = 0; i < ARRAY_SIZE(f->results); i++) {
		for (size_t j = 0; j < f->results[i].findings.n; j++)
			finding_free(f->results[i].findings.v[j]);
		vec_free(&f->results[i].findings);
		vec_free(&f->results[i].covered);
	}
}

static struct finding *add_finding(struct check_result *result, enum severity severity)
{
	struct finding *finding = calloc(1, sizeof(*finding)), **slot;

	assert_non_null(finding);
	*finding = (struct finding){
		.id = "0123456789abcdef", .check = result->check->id, .severity = severity,
		.techniques = result->check->techniques, .title = strdup(result->check->title),
		.object_kind = strdup("syscall"), .object_name = strdup("sys_call_table[62]"),
		.object_at = { 0xffffffff82000350 }, .first_seen_ns = 1700000000000000000,
	};
	finding_owner(finding, "module %s", "evil\n");
	finding_evidence(finding, "entry", gva_of(0xffffffff82000350), "sys_call_table+0x1f0",
			 "__x64_sys_kill", "0xffffffffc0401000");
	finding_evidence(finding, "in no symbol table", gva_of(0), NULL, NULL, NULL);
	slot = vec_add(&result->findings);
	assert_non_null(slot);
	*slot = finding;
	result->state = CHECK_FINDING;
	return finding;
}

static void verdict_is_that_of_the_worst_finding(void **state)
{
	cleanup(fixture_deinit) struct fixture f;

	(void)state;
	fixture_init(&f);
	assert_int_equal(verdict_of(&f.sweep), VERDICT_CLEAN);
	f.results[0].state = CHECK_INCONCLUSIVE;
	assert_int_equal(verdict_of(&f.sweep), VERDICT_INCONCLUSIVE);
	add_finding(&f.results[1], SEVERITY_LOW);
	assert_int_equal(verdict_of(&f.sweep), VERDICT_SUSPICIOUS);
	add_finding(&f.results[1], SEVERITY_MEDIUM);
	assert_int_equal(verdict_of(&f.sweep), VERDICT_SUSPICIOUS);
	add_finding(&f.results[1], SEVERITY_HIGH);
	assert_int_equal(verdict_of(&f.sweep), VERDICT_COMPROMISED);
}

static void finding_of_an_inconclusive_check_counts(void **state)
{
	cleanup(fixture_deinit) struct fixture f;

	(void)state;
	fixture_init(&f);
	add_finding(&f.results[1], SEVERITY_CRITICAL);
	f.results[1].state = CHECK_INCONCLUSIVE;
	assert_int_equal(verdict_of(&f.sweep), VERDICT_COMPROMISED);
}

static void sweep_that_covered_nothing_is_not_clean(void **state)
{
	cleanup(fixture_deinit) struct fixture f;

	(void)state;
	fixture_init(&f);
	f.results[0].state = CHECK_NOT_COVERED;
	assert_int_equal(verdict_of(&f.sweep), VERDICT_CLEAN);
	for (size_t i = 0; i < f.sweep.results_n; i++)
		f.results[i].state = CHECK_NOT_COVERED;
	assert_int_equal(verdict_of(&f.sweep), VERDICT_INCONCLUSIVE);
}

static void sweep_without_checks_is_not_clean(void **state)
{
	const struct sweep nothing = {0};

	(void)state;
	assert_int_equal(verdict_of(&nothing), VERDICT_INCONCLUSIVE);
}

static void exit_statuses(void **state)
{
	(void)state;
	assert_int_equal(verdict_exit_status(VERDICT_CLEAN), 0);
	assert_int_equal(verdict_exit_status(VERDICT_SUSPICIOUS), 1);
	assert_int_equal(verdict_exit_status(VERDICT_COMPROMISED), 1);
	assert_int_equal(verdict_exit_status(VERDICT_INCONCLUSIVE), 3);
}

static void findings_outweigh_every_other_exit_status(void **state)
{
	const enum exit_status best_first[] = {
		EXIT_CLEAN, EXIT_INCONCLUSIVE, EXIT_UNSCANNED, EXIT_FINDINGS,
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(best_first); i++)
		for (size_t j = 0; j < ARRAY_SIZE(best_first); j++)
			assert_int_equal(exit_status_worse(best_first[i], best_first[j]),
					 best_first[i > j ? i : j]);
}

static const char *string_at(json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static void json_has_what_was_found(void **state)
{
	cleanup(fixture_deinit) struct fixture f;
	json_t *report, *finding, *evidence;

	(void)state;
	fixture_init(&f);
	add_finding(&f.results[1], SEVERITY_CRITICAL);
	report = report_json(&f.report);
	assert_non_null(report);
	assert_string_equal(string_at(report, "schema"), "hvsm.report/1");
	assert_string_equal(string_at(report, "verdict"), "compromised");
	assert_string_equal(string_at(report, "assurance"), "none");
	assert_true(json_is_null(json_object_get(report, "reference")));
	assert_true(json_is_null(json_object_get(report, "agent")));
	assert_true(json_is_null(json_object_get(report, "processes")));
	assert_string_equal(string_at(json_object_get(report, "sweep"), "started"),
			    "2023-11-14T22:13:20.123456Z");
	assert_string_equal(string_at(json_object_get(report, "kernel"), "text_base"),
			    "0xffffffff81000000");

	assert_int_equal(json_integer_value(json_object_get(json_object_get(report, "sweep"),
							    "repeats")), 5);
	assert_int_equal(json_integer_value(json_object_get(
		json_array_get(json_object_get(report, "checks"), 1), "repeats")), 5);

	finding = json_array_get(json_object_get(report, "findings"), 0);
	assert_string_equal(string_at(finding, "id"), "0123456789abcdef");
	assert_string_equal(string_at(finding, "severity"), "critical");
	assert_int_equal(json_array_size(json_object_get(finding, "techniques")), 2);
	evidence = json_object_get(finding, "evidence");
	assert_string_equal(string_at(json_array_get(evidence, 0), "found"),
			    "0xffffffffc0401000");
	assert_true(json_is_null(json_object_get(json_array_get(evidence, 1), "address")));
	json_decref(report);
}

static void guest_text_is_escaped(void **state)
{
	cleanup(fixture_deinit) struct fixture f;
	json_t *report, *finding;

	(void)state;
	fixture_init(&f);
	add_finding(&f.results[1], SEVERITY_LOW);
	report = report_json(&f.report);
	finding = json_array_get(json_object_get(report, "findings"), 0);
	assert_string_equal(string_at(json_object_get(report, "guest"), "name"), "web\\x1b1");
	assert_string_equal(string_at(json_object_get(report, "kernel"), "banner"),
			    "Linux version 6.1.0-32-amd64 (\\xff)");
	assert_string_equal(string_at(finding, "owner"), "module evil\\x0a");
	json_decref(report);
}

/* The report as text; to be freed. */
static char *text_of(const struct report *report, bool colour)
{
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	assert_non_null(to);
	text_report(report, colour, to);
	fclose(to);
	return text;
}

static void text_fits_80_columns(void **state)
{
	cleanup(fixture_deinit) struct fixture f;
	cleanup(freep) char *text = NULL;
	char long_word[400];
	struct finding *finding;

	(void)state;
	fixture_init(&f);
	memset(long_word, 'x', sizeof(long_word) - 1);
	long_word[sizeof(long_word) - 1] = '\0';
	finding = add_finding(&f.results[1], SEVERITY_LOW);
	finding_title(finding, "many short words and then %s %s", long_word, long_word);
	finding_evidence(finding, long_word, gva_of(1), long_word, long_word, long_word);
	snprintf(f.results[0].reason, sizeof(f.results[0].reason), "%s", long_word);

	text = text_of(&f.report, false);
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		assert_in_range(columns_of(line), 0, TEXT_COLUMNS);
}

static void text_has_no_escape_sequence_without_colour(void **state)
{
	cleanup(fixture_deinit) struct fixture f;
	cleanup(freep) char *plain = NULL, *coloured = NULL;

	(void)state;
	fixture_init(&f);
	add_finding(&f.results[1], SEVERITY_HIGH);
	plain = text_of(&f.report, false);
	coloured = text_of(&f.report, true);
	assert_null(strchr(plain, '\033'));
	assert_non_null(strchr(coloured, '\033'));
	assert_non_null(strstr(plain, "compromised  web\\x1b1\n"));
	assert_non_null(strstr(plain, "expected  __x64_sys_kill"));
}

static unsigned allocations_left;

static void *failing_malloc(size_t size)
{
	return allocations_left-- ? malloc(size) : NULL;
}

/* Whichever allocation of the JSON library fails: no report, and nothing is lost (ASan). */
static void report_survives_lack_of_memory(void **state)
{
	cleanup(fixture_deinit) struct fixture f;
	json_t *report = NULL;
	unsigned n;

	(void)state;
	fixture_init(&f);
	add_finding(&f.results[1], SEVERITY_HIGH);
	json_set_alloc_funcs(failing_malloc, free);
	for (n = 0; !report; n++) {
		allocations_left = n;
		report = report_json(&f.report);
	}
	json_decref(report);
	json_set_alloc_funcs(malloc, free);
	assert_true(n > 100);
}

/* The checks that together see all code and constants, and one more. */
struct whole {
	struct check checks[4];
	struct check_result results[4];
	struct sweep sweep;
	struct report report;
};

static void whole_init(struct whole *w)
{
	static const char *const ids[] = {
		"kernel-code", "kernel-rodata", "module-code", "kernel-pointers",
	};

	*w = (struct whole){
		.sweep = { .results = w->results, .results_n = 4 },
		.report = { .guest = &guest, .kernel = &kernel, .sweep = &w->sweep },
	};
	for (size_t i = 0; i < 4; i++) {
		w->checks[i] = (struct check){ .id = ids[i] };
		w->results[i] = (struct check_result){
			.check = &w->checks[i], .assurance = ASSURANCE_REFERENCE,
			.has_assurance = true,
		};
	}
}

static void assurance_is_that_of_the_least(void **state)
{
	struct whole w;

	(void)state;
	whole_init(&w);
	assert_int_equal(report_assurance(&w.report), ASSURANCE_REFERENCE);
	w.results[2].state = CHECK_FINDING;
	assert_int_equal(report_assurance(&w.report), ASSURANCE_REFERENCE);
	for (size_t i = 0; i < 4; i++) {
		whole_init(&w);
		w.results[i].assurance = ASSURANCE_BASELINE;
		assert_int_equal(report_assurance(&w.report), ASSURANCE_BASELINE);
		w.results[(i + 1) % 4].assurance = ASSURANCE_NONE;
		assert_int_equal(report_assurance(&w.report), ASSURANCE_NONE);
	}
}

/* What did not run, or did not see all, stands on nothing. */
static void assurance_needs_all_of_the_kernel(void **state)
{
	static const enum check_state states[] = { CHECK_INCONCLUSIVE, CHECK_NOT_COVERED };
	struct whole w;

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		for (size_t j = 0; j < ARRAY_SIZE(states); j++) {
			whole_init(&w);
			w.results[i].state = states[j];
			assert_int_equal(report_assurance(&w.report), ASSURANCE_NONE);
		}
		whole_init(&w);
		w.checks[i].id = "another";
		assert_int_equal(report_assurance(&w.report),
				 i == 3 ? ASSURANCE_REFERENCE : ASSURANCE_NONE);
	}
	whole_init(&w);
	w.results[0].has_assurance = false;
	assert_int_equal(report_assurance(&w.report), ASSURANCE_NONE);
	/* A guest without modules; a check that compares with nothing. */
	whole_init(&w);
	w.results[2].has_assurance = w.results[3].has_assurance = false;
	assert_int_equal(report_assurance(&w.report), ASSURANCE_REFERENCE);
}

static void reference_is_in_the_report(void **state)
{
	const struct reference_source source = {
		.source = "package", .path = "a\033.deb", .package = "linux-image-1",
		.version = "1-2", .sha256 = "abcd",
	};
	cleanup(fixture_deinit) struct fixture f;
	cleanup(freep) char *text = NULL, *none = NULL;
	json_t *report, *found;

	(void)state;
	fixture_init(&f);
	none = text_of(&f.report, false);
	assert_non_null(strstr(none, "reference: none"));
	f.report.reference = &source;
	report = report_json(&f.report);
	found = json_object_get(report, "reference");
	assert_string_equal(string_at(found, "source"), "package");
	assert_string_equal(string_at(found, "path"), "a\\x1b.deb");
	assert_string_equal(string_at(found, "version"), "1-2");
	assert_true(json_is_null(json_object_get(found, "signature")));
	json_decref(report);
	text = text_of(&f.report, false);
	assert_non_null(strstr(text, "reference: linux-image-1 1-2 (package)\n"));
}

static void what_is_not_covered_says_why(void **state)
{
	cleanup(fixture_deinit) struct fixture f;
	cleanup(freep) char *text = NULL;

	(void)state;
	fixture_init(&f);
	f.results[1].state = CHECK_NOT_COVERED;
	strcpy(f.results[1].reason, "there is no reference");
	text = text_of(&f.report, false);
	assert_non_null(strstr(text, "\nnot covered   syscall-table     there is no reference\n"));
	assert_int_equal(verdict_of(&f.sweep), VERDICT_CLEAN);
}

/* A look that came too early to see all counts only where no check of the agent saw more. */
static void agent_is_what_its_checks_saw(void **state)
{
	static const struct check agent_log = {
		.id = "agent-log", .group = GROUP_AGENT, .title = "Log", .proves = "It.",
		.techniques = techniques,
	};
	const struct keeper_agent agent = {
		.state = KEEPER_STALLED, .apparent = KEEPER_TRUSTED, .pid = 7, .build_id = "aa",
	};
	cleanup(fixture_deinit) struct fixture f;
	json_t *json;

	(void)state;
	fixture_init(&f);
	f.results[1].check = &agent_log;
	f.report.agent = &agent;
	assert_int_equal(report_agent_state(&f.report), KEEPER_TRUSTED);
	f.results[1].state = CHECK_INCONCLUSIVE;
	assert_int_equal(report_agent_state(&f.report), KEEPER_STALLED);
	json = report_json(&f.report);
	assert_string_equal(json_string_value(json_object_get(json_object_get(json, "agent"),
							      "state")), "stalled");
	json_decref(json);
}

static void processes_are_counted_and_those_not_known_named(void **state)
{
	cleanup(fixture_deinit) struct fixture f;
	cleanup(freep) char *text = NULL, *none = NULL;
	json_t *report, *first;
	struct process_seen *process;

	(void)state;
	fixture_init(&f);
	none = text_of(&f.report, false);
	assert_null(strstr(none, "processes:"));
	f.sweep.joined = true;
	process = process_table_get(&f.sweep.processes, 7, 20, "ev\033il");
	process->path = strdup("/tmp/x");
	process->marks = PROCESS_UNKNOWN;
	process->has_digest = true;
	memset(process->digest, 0xab, sizeof(process->digest));
	process->executable = 3;
	for (int i = 0; i < 12; i++)
		process_table_get(&f.sweep.processes, 100 + i, 20, "sh");
	process_table_get(&f.sweep.processes, 1, 0, "init")->has_digest = true;

	report = report_json(&f.report);
	first = json_array_get(json_object_get(report, "processes"), 0);
	assert_int_equal(json_array_size(json_object_get(report, "processes")), 14);
	assert_string_equal(string_at(first, "comm"), "ev\\x1bil");
	assert_string_equal(string_at(first, "result"), "unknown");
	assert_int_equal(strlen(string_at(first, "digest")), 64);
	assert_true(json_is_null(json_object_get(first, "package")));
	assert_int_equal(json_integer_value(json_object_get(json_object_get(first, "pages"),
							    "executable")), 3);
	json_decref(report);
	text = text_of(&f.report, false);
	assert_non_null(strstr(text, "processes: 1 known, 1 unknown, 12 unmeasured\n"));
	assert_non_null(strstr(text, "  unknown: 7 ev\\x1bil, /tmp/x\n"));
	assert_non_null(strstr(text, "  unmeasured: 2 more\n"));
	process_table_free(&f.sweep.processes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(verdict_is_that_of_the_worst_finding),
		cmocka_unit_test(finding_of_an_inconclusive_check_counts),
		cmocka_unit_test(sweep_that_covered_nothing_is_not_clean),
		cmocka_unit_test(sweep_without_checks_is_not_clean),
		cmocka_unit_test(exit_statuses),
		cmocka_unit_test(findings_outweigh_every_other_exit_status),
		cmocka_unit_test(json_has_what_was_found),
		cmocka_unit_test(guest_text_is_escaped),
		cmocka_unit_test(text_fits_80_columns),
		cmocka_unit_test(text_has_no_escape_sequence_without_colour),
		cmocka_unit_test(report_survives_lack_of_memory),
		cmocka_unit_test(assurance_is_that_of_the_least),
		cmocka_unit_test(assurance_needs_all_of_the_kernel),
		cmocka_unit_test(reference_is_in_the_report),
		cmocka_unit_test(what_is_not_covered_says_why),
		cmocka_unit_test(agent_is_what_its_checks_saw),
		cmocka_unit_test(processes_are_counted_and_those_not_known_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
