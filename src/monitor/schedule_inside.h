/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_MONITOR_SCHEDULE_INSIDE_H
#define HVSM_MONITOR_SCHEDULE_INSIDE_H

#include "base/vec.h"
#include "monitor/schedule.h"

/* What the files of the schedule share: schedule.c, schedule_learn.c and schedule_share.c. */

/* Which item: the look, a batch, or FIXED + number of a dear check. */
enum {
	ITEM_LOOK,
	ITEM_CHEAP,
	ITEM_MIDDLE,
	ITEM_FIXED,
	ITEM_ALL = -1,	/* everything, for the first time */
	ITEM_NONE = -2,
	ITEM_ALARM = -3,	/* both batches, and what is watched, at once */
	ITEM_CALLED = -4,	/* what schedule_call() asked for, at once … */
	ITEM_TURN = -5,		/* … or in its turn */
};

struct item {
	uint64_t due;
	double cost_ns;		/* of one job */
	bool on;		/* there is something to do */
};

struct known {
	double cost_ns;
	bool wanted, measured, cold;	/* cold: only in the first sweep */
	bool called;		/* schedule_call() */
	enum schedule_class class;
};

struct scheduled {
	uint64_t number;
	struct schedule_plan plan;
	struct known *checks;
	struct item *items;	/* ITEM_FIXED, and one per check */
	int running;		/* item, or ITEM_NONE */
	uint64_t started;	/* of what runs */
	uint64_t soonest;	/* of all that is on … */
	uint64_t soonest_check;	/* … and of what is no look */
	uint64_t refilled;
	double credit_ns;
	double owed_ns;		/* of attaching and of whole sweeps */
	double attach_ns;	/* what the last one took */
	double demand;		/* of one CPU, if its periods were as configured, … */
	double looks;		/* … of that its looks, … */
	double watch;		/* … and this besides, for what looks watch */
	uint64_t looked_at;	/* when the last look began */
	uint64_t granted_ns;	/* that it might watch for */
	bool glancing;		/* it only watched; … */
	double glance_ns;	/* … what such a one takes besides */
	uint64_t events_due;	/* when the next look has to be another one */
	uint64_t hurried_until;	/* it would have been, but for schedule_look() */
	double allowed;		/* of one CPU */
	double stretch, look_stretch;
	double share;
	uint64_t shared_at;
	uint64_t jobs, cpu_ns;
	bool alarm, called;	/* called: a check is … */
	bool urgent;		/* … and credit is not waited for */
	uint64_t called_at;
	bool first, free, hold, paused;	/* free: what it costs is no debt */
};

struct schedule {
	struct schedule_options options;
	size_t checks_n;
	uint8_t *worth;
	bool *watched;
	schedule_random_fn *random;
	void *ctx;
	VEC(struct scheduled *) guests;
	double *demands;	/* scratch of balance() */
	size_t demands_room;
	uint64_t balanced_at;
};

/* What may be owed before another attach waits: a guest that boots is tried some ten times. */
#define SCHEDULE_OWED_NS (2.0 * 1e9)

/*
 * Of what a guest is allowed so much goes to what it owes, while it does; the rest is planned with
 * what is left. More would be paid sooner, and leave it with less to be looked at.
 */
#define SCHEDULE_OWED_PART 0.2

/* Of what a guest is allowed so much is for what looks watch, at most. */
#define SCHEDULE_WATCH_MAX 0.65

/* It would take all that it is allowed, and more. */
static inline bool schedule_is_overdrawn(const struct scheduled *guest)
{
	return guest->owed_ns > SCHEDULE_OWED_NS;
}

/* Do a guest's looks tell when what the check looks at has changed? */
static inline bool schedule_is_watched(const struct schedule *schedule,
				       const struct scheduled *guest, size_t check)
{
	return schedule->watched[check] && guest->plan.watch && guest->plan.look_ms;
}

/* Share the host's budget anew. */
void schedule_share(struct schedule *schedule, uint64_t now);

/* A measurement of what there is a mean of. */
void schedule_learn(double *known, double measured, bool first);

/* Of a look, or a glance: without what it was granted to watch, which is what the rest leaves. */
void schedule_learn_look(struct scheduled *guest, uint64_t cpu_ns);

/*
 * What its checks cost, by a sweep that took @cpu_ns in all. Has any come into another class?
 */
bool schedule_learn_checks(const struct schedule *schedule, struct scheduled *guest,
			   uint64_t cpu_ns, const struct schedule_cost *costs, size_t costs_n);

/* Costs of the batches and of the dear ones, where what they hold has changed. */
void schedule_estimate(const struct schedule *schedule, struct scheduled *guest);

#endif
