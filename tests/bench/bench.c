/* SPDX-License-Identifier: Apache-2.0 */

/*
 * bench TARGET - what attaching to a guest and looking at it costs
 *
 * Every figure is a median over many rounds, each on fresh memory, and stands beside what one
 * memcpy() of the same number of bytes costs in the same run: the limit that the memory sets.
 * The output is one JSON document; tests/bench/run.py makes the table.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/now.h"
#include "check/run.h"
#include "check/sweep.h"
#include "linux/log.h"
#include "linux/module.h"
#include "linux/mount.h"
#include "linux/socket.h"
#include "linux/task.h"
#include "ram/guests.h"
#include "median.h"

#define ATTACH_ROUNDS 15u
#define ROUNDS	      101u
#define ROUNDS_MAX    ROUNDS

struct bench {
	struct ram *ram;
	struct view *view;
	struct kernel *kernel;
	json_t *rows;
};

/* One piece of work; receives how many objects it saw. */
typedef int work_fn(struct bench *bench, size_t *objects, struct err *err);

static int work_attach(struct bench *bench, size_t *objects, struct err *err)
{
	cleanup(kernel_close) struct kernel *kernel = NULL;
	int r;

	view_refuel(bench->view, VIEW_FUEL_ATTACH);
	r = kernel_open(bench->view, &kernel, err);
	if (r >= 0)
		*objects = symbols_count(kernel->symbols);
	return r;
}

static int work_tasks(struct bench *bench, size_t *objects, struct err *err)
{
	struct tasks tasks = {0};
	int r = task_list(bench->kernel, bench->view, &tasks, err);

	*objects = tasks.n;
	tasks_free(&tasks);
	return r;
}

static int work_modules(struct bench *bench, size_t *objects, struct err *err)
{
	struct modules modules = {0};
	int r = modules_read(bench->kernel, bench->view, MODULE_BY_ALL, &modules, err);

	*objects = modules.list.n;
	modules_free(&modules);
	return r;
}

static int work_sockets(struct bench *bench, size_t *objects, struct err *err)
{
	struct sockets sockets = {0};
	struct tasks tasks = {0};
	int r = task_list(bench->kernel, bench->view, &tasks, err);

	if (r >= 0)
		r = socket_list(bench->kernel, bench->view, &tasks, &sockets, err);
	*objects = sockets.all.n;
	sockets_free(&sockets);
	tasks_free(&tasks);
	return r;
}

static int work_log(struct bench *bench, size_t *objects, struct err *err)
{
	struct log log = {0};
	int r = log_read(bench->kernel, bench->view, &log, err);

	*objects = log.all.n;
	log_free(&log);
	return r;
}

/* One check on fresh memory; what it covered first is what it saw. */
static int work_check(struct bench *bench, const char *id, size_t *objects, struct err *err)
{
	struct check_result result = {0};
	int r = 0;

	check_execute(check_by_id(id), bench->kernel, bench->view, &result);
	if (result.state != CHECK_CLEAN)
		r = err_set(err, -ESTALE, "%s: %s", id, result.reason);
	else if (result.covered.n)
		*objects = result.covered.v[0].count;
	check_result_clear(&result);
	return r;
}

static int work_roots(struct bench *bench, size_t *objects, struct err *err)
{
	return work_check(bench, "page-tables", objects, err);
}

static int work_executable(struct bench *bench, size_t *objects, struct err *err)
{
	return work_check(bench, "executable-memory", objects, err);
}

/* What copying as many bytes costs on this machine, now. */
static uint64_t memcpy_ns(size_t bytes)
{
	uint64_t took[ROUNDS_MAX];
	char *from = malloc(bytes + 1), *to = malloc(bytes + 1);

	if (!from || !to)
		exit(2);
	memset(from, 1, bytes + 1);
	memset(to, 2, bytes + 1);
	for (unsigned i = 0; i < ATTACH_ROUNDS; i++) {
		uint64_t start = now_ns(CLOCK_MONOTONIC);

		memcpy(to, from, bytes);
		/* What nobody reads the compiler would leave out. */
		__asm__ volatile("" : : "r"(to) : "memory");
		took[i] = now_ns(CLOCK_MONOTONIC) - start;
	}
	free(from);
	free(to);
	return median(took, ATTACH_ROUNDS);
}

static void add_row(struct bench *bench, const char *name, uint64_t ns, size_t objects,
		    uint64_t pages, uint64_t bytes)
{
	json_array_append_new(bench->rows, json_pack("{s:s, s:I, s:I, s:I, s:I, s:I}",
		"name", name, "median_ns", (json_int_t)ns, "objects", (json_int_t)objects,
		"pages", (json_int_t)pages, "bytes", (json_int_t)bytes,
		"memcpy_ns", (json_int_t)memcpy_ns(bytes)));
}

static int measure(struct bench *bench, const char *name, unsigned rounds, work_fn *work,
		   struct err *err)
{
	struct view_stats before, after = {0};
	uint64_t took[ROUNDS_MAX];
	size_t objects = 0;

	for (unsigned i = 0; i < rounds; i++) {
		uint64_t start;
		int r = -ESTALE;

		/* A live guest: what collides with an update is measured again. */
		for (unsigned tries = 0; r < 0 && tries < 20; tries++) {
			view_refresh(bench->view);
			view_refuel(bench->view, VIEW_FUEL_SWEEP);
			before = view_stats(bench->view);
			start = now_ns(CLOCK_MONOTONIC);
			r = work(bench, &objects, err);
			took[i] = now_ns(CLOCK_MONOTONIC) - start;
			after = view_stats(bench->view);
		}
		if (r < 0)
			return wrap(err, r, "%s", name);
	}
	add_row(bench, name, median(took, rounds), objects, after.pages - before.pages,
		after.bytes - before.bytes);
	return 0;
}

/* The whole sweep, and each check's share of it. */
static int measure_sweep(struct bench *bench, struct err *err)
{
	const struct check *const *checks;
	uint64_t *took, whole[ROUNDS_MAX], pages = 0, bytes = 0;
	json_t *shares = json_array();
	size_t n;

	checks = checks_all(&n);
	took = calloc(n * ROUNDS + 1, sizeof(*took));
	if (!took)
		return -ENOMEM;
	for (unsigned i = 0; i < ROUNDS; i++) {
		cleanup(sweep_free) struct sweep *sweep = NULL;
		int r = sweep_run(bench->kernel, bench->view, NULL, &sweep, err);

		if (r < 0) {
			free(took);
			return r;
		}
		whole[i] = sweep->duration_ns;
		pages = sweep->pages_read;
		bytes = sweep->bytes_read;
		for (size_t j = 0; j < n; j++)
			took[j * ROUNDS + i] = sweep->results[j].duration_ns;
	}
	add_row(bench, "sweep", median(whole, ROUNDS), n, pages, bytes);
	for (size_t j = 0; j < n; j++)
		json_array_append_new(shares, json_pack("{s:s, s:I}", "check", checks[j]->id,
			"median_ns", (json_int_t)median(took + j * ROUNDS, ROUNDS)));
	json_array_append_new(bench->rows, json_pack("{s:s, s:o}", "name", "checks",
						     "checks", shares));
	free(took);
	return 0;
}

static int run(struct bench *bench, const char *target, struct err *err)
{
	struct guest guest = {0};
	int r = guests_resolve(target, &guest, &bench->ram, err);

	if (r >= 0)
		r = view_open(bench->ram, VIEW_FUEL_ATTACH, &bench->view);
	if (r >= 0)
		r = kernel_open(bench->view, &bench->kernel, err);
	if (r >= 0)
		r = measure(bench, "attach", ATTACH_ROUNDS, work_attach, err);
	if (r >= 0)
		r = measure(bench, "ps", ROUNDS, work_tasks, err);
	if (r >= 0)
		r = measure(bench, "modules", ROUNDS, work_modules, err);
	if (r >= 0)
		r = measure(bench, "sockets", ROUNDS, work_sockets, err);
	if (r >= 0)
		r = measure(bench, "log", ROUNDS, work_log, err);
	if (r >= 0)
		r = measure(bench, "roots", ROUNDS, work_roots, err);
	if (r >= 0)
		r = measure(bench, "executable", ROUNDS, work_executable, err);
	if (r >= 0)
		r = measure_sweep(bench, err);
	guest_free(&guest);
	return r;
}

int main(int argc, char **argv)
{
	struct bench bench = { .rows = json_array() };
	struct err err = {0};
	int r;

	if (argc != 2) {
		fprintf(stderr, "usage: bench TARGET\n");
		return 2;
	}
	r = run(&bench, argv[1], &err);
	if (r < 0) {
		wrap(&err, r, "%s", argv[1]);
		fprintf(stderr, "bench: %s\n", err.text);
	} else {
		json_t *all = json_pack("{s:s, s:I, s:O}", "release", bench.kernel->release,
			"ram_bytes", (json_int_t)ram_bytes(bench.ram), "rows", bench.rows);

		json_dumpf(all, stdout, JSON_COMPACT);
		putchar('\n');
		json_decref(all);
	}
	kernel_close(&bench.kernel);
	view_close(&bench.view);
	ram_close(&bench.ram);
	json_decref(bench.rows);
	return r < 0 ? 2 : 0;
}
