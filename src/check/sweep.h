/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_CHECK_SWEEP_H
#define HVSM_CHECK_SWEEP_H

#include "check/check.h"

/*
 * One pass over a guest: every chosen check, each on memory of its own instant, repeated
 * where something other than clean came out, so that an update in flight is not reported.
 */
struct sweep {
	struct check_result *results;	/* in the order of checks_all() */
	size_t results_n;
	uint64_t started_ns;		/* CLOCK_REALTIME */
	uint64_t duration_ns;
	uint64_t pages_read;
	uint64_t bytes_read;
	uint32_t repeats;		/* sum over the checks */
	bool joined;			/* @processes is known: there is an agent to ask */
	struct process_table processes;	/* what outside and inside together say of them */
	bool steady;			/* the guest was up, and the same, from start to end */
};

struct sweep_options {
	/* Chooses the checks; NULL: all. */
	bool (*wanted)(const struct check *check, void *ctx);
	void *ctx;

	/* What there is to compare the guest with. */
	struct check_sources sources;

	/*
	 * Runs of a check before what it says is believed, and the pause between them.
	 * 0: the defaults (6 runs; 2 ms, doubling; and one more of what found something in a
	 * running guest, 250 ms of its time later).
	 */
	uint32_t runs_max;
	uint32_t pause_us;
};

/**
 * sweep_run - run the checks
 * @view: set to the kernel's address space; refuelled for every check
 *
 * A guest that ends or reboots on the way makes the checks that it disturbed inconclusive;
 * the sweep is given back all the same.
 *
 * Return: 0, -ENOMEM.
 */
nodiscard int sweep_run(const struct kernel *kernel, struct view *view,
			const struct sweep_options *options, struct sweep **ret,
			struct err *err);

/* *@sweep becomes NULL. NULL is fine. */
void sweep_free(struct sweep **sweep);

#endif
