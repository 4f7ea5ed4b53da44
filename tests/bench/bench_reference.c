/* SPDX-License-Identifier: Apache-2.0 */

/*
 * bench-reference REFERENCE TARGET... - what comparing kernels with what was shipped costs
 *
 * Opens the reference for each target, as a program does that watches them all, and prints one
 * JSON document: the time to open and prepare, what each further guest adds to this process, and
 * the medians of the checks beside one memcmp() of the same bytes in the same run. A row's
 * "clean" says that the check found the guest as it should be: else the time means nothing.
 */
#include <jansson.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/now.h"
#include "check/run.h"
#include "ram/guests.h"
#include "reference/kernel_image.h"
#include "median.h"

#define ROUNDS	    31u
#define TARGETS_MAX 16u
#define EVICT_BYTES (512u << 20)	/* larger than the caches of most hosts */

struct target {
	struct guest guest;
	struct ram *ram;
	struct view *view;
	struct kernel *kernel;
	struct reference *reference;
};

/* What this process has allocated: the heap, and what is too large for it. */
static size_t allocated(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

/* Between two sweeps the caches hold other things: so they do between two rounds. */
static void evict(void)
{
	/* Written and never read: to clang that is unused. */
	static volatile uint64_t sum __attribute__((unused));
	static uint64_t *other;

	if (!other) {
		other = malloc(EVICT_BYTES);
		if (!other)
			exit(2);
		for (size_t i = 0; i < EVICT_BYTES / sizeof(*other); i++)
			other[i] = i;
	}
	for (size_t i = 0; i < EVICT_BYTES / sizeof(*other); i += 8)
		sum += other[i];
}

/* What comparing as many bytes costs on this machine, now: both copies out of memory. */
static uint64_t memcmp_ns(size_t bytes)
{
	uint64_t took[ROUNDS];
	char *a = malloc(bytes + 1), *b = malloc(bytes + 1);
	int differ = 0;

	if (!a || !b)
		exit(2);
	memset(a, 1, bytes + 1);
	memset(b, 1, bytes + 1);
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t start;

		evict();
		start = now_ns(CLOCK_MONOTONIC);
		differ |= memcmp(a, b, bytes);
		__asm__ volatile("" : : "r"(a), "r"(b) : "memory");
		took[i] = now_ns(CLOCK_MONOTONIC) - start;
	}
	free(a);
	free(b);
	return differ ? 0 : median(took, ROUNDS);
}

static json_t *measure_check(struct target *t, const char *id)
{
	const struct check_sources sources = { .reference = t->reference };
	const struct check *check = check_by_id(id);
	uint64_t took[ROUNDS], bytes = 0;
	bool clean = true;

	if (!check)
		exit(2);
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct check_result result = { .sources = &sources };
		struct view_stats before = view_stats(t->view);
		uint64_t start;

		view_refresh(t->view);
		evict();
		start = now_ns(CLOCK_MONOTONIC);
		check_execute(check, t->kernel, t->view, &result);
		took[i] = now_ns(CLOCK_MONOTONIC) - start;
		bytes = view_stats(t->view).bytes - before.bytes;
		clean &= result.state == CHECK_CLEAN;
		check_result_clear(&result);
	}
	return json_pack("{s:s, s:b, s:I, s:I, s:I}", "name", id, "clean", clean,
			 "median_ns", (json_int_t)median(took, ROUNDS), "bytes", (json_int_t)bytes,
			 "memcmp_ns", (json_int_t)memcmp_ns(bytes));
}

static int open_target(struct target *t, const char *name, struct err *err)
{
	int r = guests_resolve(name, &t->guest, &t->ram, err);

	if (r >= 0)
		r = view_open(t->ram, VIEW_FUEL_ATTACH, &t->view);
	return r < 0 ? r : kernel_open(t->view, &t->kernel, err);
}

/* {open_ns, prepare_ns, bytes, own_bytes}: what this guest added. */
static int prepare(struct target *t, const char *path, json_t *guests, struct err *err)
{
	const struct reference_options options = { .paths = &path, .paths_n = 1 };
	const struct kernel_image *image;
	size_t before = allocated();
	uint64_t start = now_ns(CLOCK_MONOTONIC), opened;
	int r;

	view_refuel(t->view, VIEW_FUEL_SWEEP);
	r = reference_open(&options, t->kernel, &t->reference, err);
	opened = now_ns(CLOCK_MONOTONIC);
	if (r >= 0)
		r = kernel_image_of(t->reference, t->kernel, t->view, &image, err);
	if (r < 0)
		return r;
	json_array_append_new(guests, json_pack("{s:I, s:I, s:I, s:I}",
		"open_ns", (json_int_t)(opened - start),
		"prepare_ns", (json_int_t)(now_ns(CLOCK_MONOTONIC) - opened),
		"bytes", (json_int_t)(allocated() - before),
		"own_bytes", (json_int_t)kernel_image_own_bytes(image)));
	return 0;
}

static void close_target(struct target *t)
{
	reference_close(&t->reference);
	kernel_close(&t->kernel);
	view_close(&t->view);
	ram_close(&t->ram);
	guest_free(&t->guest);
}

int main(int argc, char **argv)
{
	static const char *const checks[] = { "kernel-code", "kernel-rodata", "kernel-pointers" };
	struct target targets[TARGETS_MAX] = {0};
	json_t *guests = json_array(), *rows = json_array(), *all;
	size_t n = argc > 2 ? (size_t)argc - 2 : 0;
	struct err err = {0};
	int r = 0;

	if (!n || n > TARGETS_MAX) {
		fprintf(stderr, "usage: bench-reference REFERENCE TARGET...\n");
		return 2;
	}
	for (size_t i = 0; i < n && r >= 0; i++)
		r = open_target(&targets[i], argv[i + 2], &err);
	for (size_t i = 0; i < n && r >= 0; i++)
		r = prepare(&targets[i], argv[1], guests, &err);
	for (size_t i = 0; i < ARRAY_SIZE(checks) && r >= 0; i++)
		for (size_t j = 0; j < n; j++)
			json_array_append_new(rows, measure_check(&targets[j], checks[i]));
	if (r < 0)
		fprintf(stderr, "bench-reference: %s\n", err.text);
	all = json_pack("{s:o, s:o}", "guests", guests, "rows", rows);
	if (r >= 0)
		json_dumpf(all, stdout, JSON_COMPACT);
	json_decref(all);
	for (size_t i = 0; i < n; i++)
		close_target(&targets[i]);
	return r < 0 ? 2 : 0;
}
