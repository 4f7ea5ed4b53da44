/* SPDX-License-Identifier: Apache-2.0 */

/*
 * sweeps TARGET COUNT PAUSE_MS STORE REFERENCE... - what many sweeps of a guest come to
 *
 * All checks, or those that $SWEEPS_ONLY names (split by commas), with the reference if there
 * is one, and with what the first sweep recorded in the directory STORE; PAUSE_MS between two
 * sweeps: COUNT sweeps, and on until its input ends. A line for each finding and each check
 * that is inconclusive; in the end a line of JSON with the sums.
 */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "check/sweep.h"
#include "linux/kernel.h"
#include "ram/guests.h"
#include "reference/baseline.h"
#include "reference/reference.h"

static struct {
	uint64_t sweeps, findings, inconclusive;
	uint64_t duration_ns, repeats;
} sums;

static void die(const char *what, const struct err *err)
{
	fprintf(stderr, "sweeps: %s: %s\n", what, err->text);
	exit(2);
}

/* Is the check among those of $SWEEPS_ONLY? */
static bool wanted(const struct check *check, void *ctx)
{
	size_t len = strlen(check->id);

	for (const char *at = ctx; (at = strstr(at, check->id)); at += len)
		if ((at == ctx || at[-1] == ',') && (at[len] == ',' || !at[len]))
			return true;
	return false;
}

static void tell_finding(const struct finding *finding)
{
	printf("finding: %s: %s: %s (%s)\n", finding->check, finding->object_name, finding->title,
	       finding->owner ? finding->owner : "");
	for (size_t i = 0; i < finding->evidence.n; i++) {
		const struct evidence *e = &finding->evidence.v[i];

		printf("  %s at %#" PRIx64 " %s: expected %s, found %s\n", e->what, e->at.v,
		       e->symbol ? e->symbol : "", e->expected ? e->expected : "-",
		       e->found ? e->found : "-");
	}
}

static void count(const struct sweep *sweep)
{
	uint64_t unsure = 0;

	for (size_t i = 0; i < sweep->results_n; i++) {
		const struct check_result *result = &sweep->results[i];

		for (size_t j = 0; j < result->findings.n; j++)
			tell_finding(result->findings.v[j]);
		sums.findings += result->findings.n;
		if (result->state != CHECK_INCONCLUSIVE)
			continue;
		unsure++;
		printf("inconclusive: %s: %s\n", result->check->id, result->reason);
	}
	sums.sweeps++;
	sums.inconclusive += unsure > 0;
	sums.duration_ns += sweep->duration_ns;
	sums.repeats += sweep->repeats;
	fflush(stdout);
}

/* Wait; true: somebody who holds our input wants no more than there has to be. */
static bool is_over(unsigned pause_ms)
{
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };

	usleep(pause_ms * 1000);
	return poll(&input, 1, 0) > 0;
}

int main(int argc, char **argv)
{
	cleanup(ram_close) struct ram *ram = NULL;
	cleanup(view_close) struct view *view = NULL;
	cleanup(kernel_close) struct kernel *kernel = NULL;
	struct reference_options references = {0};
	struct sweep_options options = {0};
	struct err err = {0};
	struct guest guest;
	int r;

	if (argc < 5)
		return 2;
	options.ctx = getenv("SWEEPS_ONLY");
	options.wanted = options.ctx ? wanted : NULL;
	references.paths = (const char *const *)argv + 5;
	references.paths_n = (size_t)argc - 5;
	r = guests_resolve(argv[1], &guest, &ram, &err);
	if (r >= 0)
		r = view_open(ram, VIEW_FUEL_ATTACH, &view);
	if (r >= 0)
		r = kernel_open(view, &kernel, &err);
	if (r >= 0 && references.paths_n)
		r = reference_open(&references, kernel, &options.sources.reference, &err);
	if (r >= 0)
		r = baseline_open(argv[4], "guest", kernel, &options.sources.baseline, &err);
	if (r < 0)
		die(argv[1], &err);
	for (bool over = false; !over || sums.sweeps < strtoull(argv[2], NULL, 10);) {
		struct sweep *sweep = NULL;

		if (sweep_run(kernel, view, &options, &sweep, &err) < 0)
			die("sweep", &err);
		count(sweep);
		if (sweep->steady && baseline_commit(options.sources.baseline, &err) < 0)
			die("record", &err);
		sweep_free(&sweep);
		over = is_over((unsigned)strtoul(argv[3], NULL, 10));
	}
	printf("{\"sweeps\": %" PRIu64 ", \"findings\": %" PRIu64 ", \"inconclusive\": %" PRIu64
	       ", \"repeats\": %" PRIu64 ", \"ms\": %" PRIu64 "}\n", sums.sweeps, sums.findings,
	       sums.inconclusive, sums.repeats, sums.duration_ns / 1000000);
	baseline_close(&options.sources.baseline);
	reference_close(&options.sources.reference);
	return 0;
}
