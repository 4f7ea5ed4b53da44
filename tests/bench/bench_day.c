/* SPDX-License-Identifier: Apache-2.0 */

/*
 * bench-day TARGET [HOURS] - what a scanner does in so many hours (24), without the pauses
 *
 * As many looks, and whole sweeps, each with its report, as the defaults of hvsmd.conf(5) make it:
 * one every 100 ms, one every 15 s. Says after each tenth what memory and descriptors it has; ends
 * with status 1 where that is more at the end than after the first two tenths. Built with sanitizers
 * it ends with what they say of leaks, too.
 *
 * The heap is counted to the byte. What a thread keeps of freed blocks (glibc's tcache, up to 0.2 MiB
 * over the day) counts as used for mallinfo2(): so the program starts itself again without that.
 */
#include <dirent.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "check/sweep.h"
#include "monitor/behaviour.h"
#include "ram/guests.h"
#include "report/encode.h"
#include "report/report.h"

#define SWEEPS_PER_HOUR 240u	/* dear_period_ms */
#define LOOKS_PER_SWEEP 150u	/* look_period_ms */
#define TENTHS		10u
#define WARM_TENTHS	2u

#define NO_CACHE "glibc.malloc.tcache_count=0"

/* What lists of a guest that runs, and free memory between blocks, vary by. */
#define HEAP_SLACK (64u << 10)
#define RSS_SLACK  (1u << 20)

/* Of a program that was built with sanitizers, which have a heap of their own. */
__attribute__((weak)) extern size_t __sanitizer_get_current_allocated_bytes(void);

struct used {
	size_t heap_bytes, rss_bytes;
	unsigned fds;
};

struct day {
	struct guest guest;
	struct ram *ram;
	struct view *view;
	struct kernel *kernel;
	struct behaviour *behaviour;
};

static struct used used_now(void)
{
	const struct mallinfo2 info = mallinfo2();
	struct used used = { .heap_bytes = info.uordblks + info.hblkhd };
	cleanup(file_close) FILE *file = NULL;
	size_t resident = 0, shared = 0;
	DIR *fds;

	if (__sanitizer_get_current_allocated_bytes)
		used.heap_bytes = __sanitizer_get_current_allocated_bytes();
	file = fopen("/proc/self/statm", "re");
	fds = opendir("/proc/self/fd");
	if (file && fscanf(file, "%*u %zu %zu", &resident, &shared) == 2)
		used.rss_bytes = (resident - shared) * (size_t)sysconf(_SC_PAGESIZE);
	while (fds && readdir(fds))
		used.fds++;
	if (fds)
		closedir(fds);
	return used;
}

static void ignore(const struct event *event, void *ctx)
{
	(void)event;
	(void)ctx;
}

static int open_day(struct day *day, const char *target, struct err *err)
{
	int r = guests_resolve(target, &day->guest, &day->ram, err);

	if (r >= 0)
		r = view_open(day->ram, VIEW_FUEL_ATTACH, &day->view);
	if (r >= 0)
		r = kernel_open(day->view, &day->kernel, err);
	return r < 0 ? r : behaviour_open(EVENTS_ALL, &day->behaviour);
}

static void close_day(struct day *day)
{
	behaviour_close(&day->behaviour);
	kernel_close(&day->kernel);
	view_close(&day->view);
	ram_close(&day->ram);
	guest_free(&day->guest);
}

/* As the scanner does it, a report of it included. */
static int sweep(const struct day *day, struct err *err)
{
	cleanup(sweep_free) struct sweep *swept = NULL;
	cleanup(freep) char *text = NULL;
	const struct identity identity = { .target = "day", .hypervisor = "bench" };
	struct report what = { .guest = &identity, .kernel = day->kernel };
	size_t n = 0;
	FILE *to;
	int r;

	view_set_kernel(day->view, day->kernel->space);
	view_refresh(day->view);
	view_refuel(day->view, VIEW_FUEL_SWEEP);
	r = sweep_run(day->kernel, day->view, NULL, &swept, err);
	if (r < 0)
		return r;
	what.sweep = swept;
	to = open_memstream(&text, &n);
	r = to ? encode_print(report_json(&what), to, err) : -ENOMEM;
	if (to)
		fclose(to);
	return r;
}

static int pass(const struct day *day, unsigned sweeps, struct err *err)
{
	int r = 0;

	for (unsigned i = 0; i < sweeps && r >= 0; i++) {
		r = sweep(day, err);
		for (unsigned n = 0; n < LOOKS_PER_SWEEP && r >= 0; n++) {
			view_set_kernel(day->view, day->kernel->space);
			r = behaviour_look(day->behaviour, day->kernel, day->view, ignore, NULL,
					   err);
		}
	}
	return r;
}

/* 1: it is more at the end than it was. */
static int live(const struct day *day, double hours, struct err *err)
{
	const unsigned sweeps = (unsigned)(hours * SWEEPS_PER_HOUR / TENTHS) + 1;
	struct used first = { 0 }, now = { 0 };
	int r = 0;

	for (unsigned tenth = 0; tenth < TENTHS && r >= 0; tenth++) {
		r = pass(day, sweeps, err);
		malloc_trim(0);
		now = used_now();
		if (tenth < WARM_TENTHS)
			first = now;
		printf("%5.1f h: %zu bytes of heap, %zu KiB resident, %u descriptors\n",
		       (tenth + 1) * sweeps / (double)SWEEPS_PER_HOUR, now.heap_bytes,
		       now.rss_bytes >> 10, now.fds);
		fflush(stdout);
	}
	if (r < 0)
		return r;
	/* Sanitizers keep what was freed for a while. */
	if (!__sanitizer_get_current_allocated_bytes &&
	    now.rss_bytes > first.rss_bytes + RSS_SLACK)
		return 1;
	return now.heap_bytes > first.heap_bytes + HEAP_SLACK || now.fds > first.fds;
}

int main(int argc, char **argv)
{
	double hours = argc > 2 ? strtod(argv[2], NULL) : 24;
	const char *tunables = getenv("GLIBC_TUNABLES");
	struct day day = { 0 };
	struct err err = { 0 };
	int r;

	if (argc < 2 || hours <= 0 || hours > 1e6) {
		fputs("usage: bench-day TARGET [HOURS]\n", stderr);
		return 2;
	}
	if (!tunables || !strstr(tunables, NO_CACHE)) {
		if (setenv("GLIBC_TUNABLES", NO_CACHE, 1) == 0)
			execv("/proc/self/exe", argv);
		fprintf(stderr, "bench-day: %s\n", strerror(errno));
		return 2;
	}
	r = open_day(&day, argv[1], &err);
	if (r >= 0)
		r = live(&day, hours, &err);
	if (r < 0)
		fprintf(stderr, "bench-day: %s\n", err.code ? err.text : strerror(-r));
	else if (r > 0)
		fputs("bench-day: it grows\n", stderr);
	close_day(&day);
	return r < 0 ? 2 : r;
}
