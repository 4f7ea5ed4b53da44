/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_MAKE_JOBS_H
#define HVSM_MAKE_JOBS_H

#include <stdbool.h>

#include "monitor/schedule.h"

#define MS     1000000ull
#define S      (1000 * MS)
#define CHECKS 40u
#define GUESTS 100u
#define CPUS   2u

/* A host of guests whose checks cost what the test says, in a time of its own. */
struct jobs {
	struct schedule *schedule;
	struct schedule_plan plan;
	uint64_t now;
	uint64_t chance;
	uint64_t costs[GUESTS][CHECKS];
	uint64_t look_cost[GUESTS], glance_cost[GUESTS];
	uint64_t spent[GUESTS], first[GUESTS];
	uint64_t watched[GUESTS], glances[GUESTS];
	bool watches;	/* looks take all the time that they are given */
	bool flips;	/* each look says that there are events */
	uint64_t looks[GUESTS], last_look[GUESTS], look_gap_max[GUESTS], look_gap_min[GUESTS];
	uint32_t runs[GUESTS][CHECKS];
	uint64_t last[GUESTS][CHECKS], gap_max[GUESTS][CHECKS];
};

extern const struct schedule_options jobs_usual;

/* For schedule_create(): the same chance in each run of the test. @ctx: struct jobs */
uint64_t jobs_chance(void *ctx);

struct jobs *jobs_new(void);
void jobs_free(struct jobs *world);
void jobs_add_guests(struct jobs *world, size_t n);
/* Run one job to its end; it is freed. */
void jobs_work(struct jobs *world, struct schedule_job *job);
void jobs_run_until(struct jobs *world, uint64_t end);

/* CPUs used between two moments, first sweeps apart. */
double jobs_used(const struct jobs *world, uint64_t before, uint64_t ns);

#endif
