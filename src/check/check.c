/* SPDX-License-Identifier: Apache-2.0 */
#include "check/check.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/now.h"
#include "check/run.h"

/* Set by the linker around the section that CHECK() fills. */
extern const struct check *const __start_hvsm_checks[] __attribute__((weak));
extern const struct check *const __stop_hvsm_checks[] __attribute__((weak));

const char *group_name(enum check_group group)
{
	static const char *const names[] = {
		"code", "pointers", "hidden", "privilege", "processes", "agent",
	};

	return names[group];
}

const char *check_state_name(enum check_state state)
{
	static const char *const names[] = {
		"clean", "finding", "inconclusive", "not-covered",
	};

	return names[state];
}

const char *assurance_name(enum assurance assurance)
{
	static const char *const names[] = { "none", "baseline", "reference" };

	return names[assurance];
}

static int by_group_and_id(const void *a, const void *b)
{
	const struct check *x = *(const struct check *const *)a;
	const struct check *y = *(const struct check *const *)b;

	return x->group != y->group ? (int)x->group - (int)y->group : strcmp(x->id, y->id);
}

const struct check *const *checks_all(size_t *n)
{
	static const struct check **sorted;
	size_t count = (size_t)(__stop_hvsm_checks - __start_hvsm_checks);

	if (!sorted) {
		sorted = calloc(count + 1, sizeof(const struct check *));
		if (!sorted)
			abort();	/* at start, before any guest: nothing to save */
		for (size_t i = 0; i < count; i++)
			sorted[i] = __start_hvsm_checks[i];
		qsort(sorted, count, sizeof(const struct check *), by_group_and_id);
	}
	*n = count;
	return sorted;
}

const struct check *check_by_id(const char *id)
{
	size_t n;
	const struct check *const *all = checks_all(&n);

	for (size_t i = 0; i < n; i++)
		if (!strcmp(all[i]->id, id))
			return all[i];
	return NULL;
}

struct view *check_view(struct check_run *run)
{
	return run->view;
}

const struct kernel *check_kernel(struct check_run *run)
{
	return run->kernel;
}

struct reference *check_reference(struct check_run *run)
{
	return run->result->sources ? run->result->sources->reference : NULL;
}

struct baseline *check_baseline(struct check_run *run)
{
	return run->result->sources ? run->result->sources->baseline : NULL;
}

struct keeper *check_keeper(struct check_run *run)
{
	return run->result->sources ? run->result->sources->keeper : NULL;
}

struct trust *check_trust(struct check_run *run)
{
	return run->result->sources ? run->result->sources->trust : NULL;
}

/* The identity of a finding over sweeps: what was checked, and on which object. */
static void set_id(struct finding *finding)
{
	const char *parts[] = { finding->check, finding->object_kind, finding->object_name };
	crypto_generichash_state state;
	unsigned char digest[crypto_generichash_BYTES_MIN];

	crypto_generichash_init(&state, NULL, 0, sizeof(digest));
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		crypto_generichash_update(&state, (const unsigned char *)parts[i],
					  strlen(parts[i]) + 1);
	crypto_generichash_final(&state, digest, sizeof(digest));
	sodium_bin2hex(finding->id, sizeof(finding->id), digest, sizeof(finding->id) / 2);
}

static struct finding *new_finding(const struct check *check, enum severity severity,
				   const char *kind, gva at, const char *name)
{
	struct finding *finding = calloc(1, sizeof(*finding));

	if (!finding)
		return NULL;
	finding->check = check->id;
	finding->severity = severity;
	finding->techniques = check->techniques;
	finding->object_at = at;
	finding->first_seen_ns = now_ns(CLOCK_REALTIME);
	finding->title = strdup(check->title);
	finding->object_kind = strdup(kind);
	finding->object_name = strdup(name);
	if (!finding->title || !finding->object_kind || !finding->object_name) {
		finding_free(finding);
		return NULL;
	}
	set_id(finding);
	return finding;
}

/* There is no room: what is said about this object goes nowhere, but that it did is told. */
static struct finding *spare_finding(struct check_run *run, const char *why)
{
	check_inconclusive(run, "%s", why);
	finding_clear(&run->spare);
	return &run->spare;
}

struct finding *check_finding(struct check_run *run, enum severity severity, const char *kind,
			      gva at, const char *fmt, ...)
{
	struct check_result *result = run->result;
	struct finding *finding, **slot;
	char name[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(name, sizeof(name), fmt, args);
	va_end(args);

	for (size_t i = 0; i < result->findings.n; i++) {
		finding = result->findings.v[i];
		if (!strcmp(finding->object_kind, kind) && !strcmp(finding->object_name, name))
			return finding;
	}
	if (result->findings.n == FINDINGS_MAX)
		return spare_finding(run, "more findings than are kept");
	finding = new_finding(result->check, severity, kind, at, name);
	slot = finding ? vec_add(&result->findings) : NULL;
	if (!slot) {
		finding_free(finding);
		return spare_finding(run, "no memory for a finding");
	}
	*slot = finding;
	return finding;
}

struct process_seen *check_process(struct check_run *run, const struct task *task)
{
	struct process_seen *process;

	process = process_table_get(&run->result->processes, task->pid, task->start_ns,
				    task->comm);
	if (process)
		return process;
	check_inconclusive(run, "no memory for a process");
	process_seen_clear(&run->spare_process);
	return &run->spare_process;
}

void check_covered(struct check_run *run, const char *what, uint64_t count)
{
	struct check_result *result = run->result;
	struct covered *covered;

	for (size_t i = 0; i < result->covered.n; i++)
		if (!strcmp(result->covered.v[i].what, what)) {
			result->covered.v[i].count += count;
			return;
		}
	covered = vec_add(&result->covered);
	if (!covered) {
		check_inconclusive(run, "no memory");
		return;
	}
	covered->what = what;
	covered->count = count;
}

void check_inconclusive(struct check_run *run, const char *fmt, ...)
{
	va_list args;

	run->result->incomplete = true;
	if (run->result->reason[0])
		return;
	va_start(args, fmt);
	vsnprintf(run->result->reason, sizeof(run->result->reason), fmt, args);
	va_end(args);
	if (!run->result->reason[0])
		strcpy(run->result->reason, "no reason was given");
}

void check_note(struct check_run *run, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(run->result->note, sizeof(run->result->note), fmt, args);
	va_end(args);
}

void check_not_covered(struct check_run *run, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(run->result->note, sizeof(run->result->note), fmt, args);
	va_end(args);
	run->not_covered = true;
}

void check_quiet(struct check_run *run)
{
	run->result->quiet = true;
}

void check_stands_on(struct check_run *run, enum assurance assurance)
{
	struct check_result *result = run->result;

	if (!result->has_assurance || assurance < result->assurance)
		result->assurance = assurance;
	result->has_assurance = true;
}

/* What was found stays found, whatever else could not be seen. */
static void conclude(struct check_run *run)
{
	struct check_result *result = run->result;
	uint64_t covered = 0;

	for (size_t i = 0; i < result->covered.n; i++)
		covered += result->covered.v[i].count;
	if (!result->findings.n && !covered && !result->note[0])
		check_inconclusive(run, "there was nothing that it could look at");

	if (result->findings.n)
		result->state = CHECK_FINDING;
	else if (result->incomplete)
		result->state = CHECK_INCONCLUSIVE;
	else
		result->state = run->not_covered && !covered ? CHECK_NOT_COVERED : CHECK_CLEAN;
	if (!result->incomplete)
		memcpy(result->reason, result->note, sizeof(result->reason));
}

/*
 * The guest has memory, it may be, of which the host does not know where it is: what follows from
 * its absence says nothing.
 */
static void withdraw(struct check_run *run)
{
	struct check_result *result = run->result;

	for (size_t i = 0; i < result->findings.n; i++)
		finding_free(result->findings.v[i]);
	result->findings.n = 0;
	result->reason[0] = '\0';
	result->incomplete = false;
	check_inconclusive(run, "it leads to memory that was plugged in, and where that is cannot "
			   "be told: give QEMU a QMP socket (-qmp unix:…)");
}

void check_execute(const struct check *check, const struct kernel *kernel, struct view *view,
		   struct check_result *result)
{
	struct check_run run = { .kernel = kernel, .view = view, .result = result };
	uint64_t started = now_ns(CLOCK_MONOTONIC), cpu = now_ns(CLOCK_THREAD_CPUTIME_ID);
	const struct ram *ram = view_ram(view);
	uint64_t in_room = ram->in_room;
	struct err err = {0};
	int r;

	result->check = check;
	view_refuel(view, check->fuel_max);
	r = check->run(&run, &err);
	if (r < 0) {
		wrap(&err, r, "%s", check->id);
		check_inconclusive(&run, "%s", err.text);
	}
	result->final = (r == -ENOENT || r == -ENOTSUP || r == -ENOMEM || r == -ESRCH) &&
			!result->findings.n;
	if (ram->unsure && ram->in_room != in_room)
		withdraw(&run);
	finding_clear(&run.spare);
	process_seen_clear(&run.spare_process);
	/* Whatever the check made of the reads that failed: it has not seen all. */
	result->spent = !view_fuel(view);
	if (result->spent)
		check_inconclusive(&run, "%s: over the limit of pages for one run", check->id);

	conclude(&run);
	result->quiet_runs = result->quiet && !result->incomplete ? result->quiet_runs + 1 : 0;
	result->cpu_ns += now_ns(CLOCK_THREAD_CPUTIME_ID) - cpu;
	result->duration_ns += now_ns(CLOCK_MONOTONIC) - started;
}

void check_result_clear(struct check_result *result)
{
	for (size_t i = 0; i < result->findings.n; i++)
		finding_free(result->findings.v[i]);
	vec_free(&result->findings);
	vec_free(&result->covered);
	process_table_free(&result->processes);
	result->reason[0] = '\0';
	result->note[0] = '\0';
	result->has_assurance = false;
	result->incomplete = false;
	result->state = CHECK_CLEAN;
}
