/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_MONITOR_SCHEDULE_H
#define HVSM_MONITOR_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/*
 * Which guest is looked at next, and for what. Pure: time and chance are given from outside,
 * so that a test can run an hour of a hundred guests in a moment.
 *
 * A guest has *items*: the look (views compared, for events), the batch of all cheap checks, the
 * batch of the middling ones, and each dear check by itself, so that no single job keeps its
 * scanner away from the looks for long. What a check costs is learned from the sweeps, and set
 * against what it is worth: what is attacked most may cost more and run as often. Each item
 * has a period; the pause until it is due again is that period, give or take the jitter, by
 * chance: what comes and goes in a guest cannot time itself.
 *
 * What looks watch besides (sentinel.h) takes what the rest leaves of the guest's share, within
 * limits, and is no item: it has no period, and each look is told how long it may take. Where
 * looking for events is so dear that it comes seldom, looks that only watch come in between.
 *
 * The budget is kept in two ways. What a guest's items would cost per second is known, and where
 * that is over its share, its periods are stretched: those of checks by one factor, those of looks,
 * which bring checks forward, only where they take a good part of it all. And what its jobs
 * did cost is counted: a guest that is in debt waits. The host's budget is shared so that who
 * needs little gets it all, and the others the same: a dear guest slows nobody but itself.
 */
enum schedule_class {
	SCHEDULE_CHEAP,
	SCHEDULE_MIDDLE,
	SCHEDULE_DEAR,
	SCHEDULE_CLASSES,
};

struct schedule_options {
	uint32_t jitter_percent;	/* of a period, to both sides: 0..90 */
	uint32_t host_us_per_s;		/* CPU time for all guests: 2,000,000 are two CPUs; > 0 */
	uint32_t cpus;			/* first sweeps at the same time: > 0 */
};

/* What holds for one guest. */
struct schedule_plan {
	uint32_t look_ms;			/* 0: no looks */
	uint32_t period_ms[SCHEDULE_CLASSES];	/* > 0 */
	uint32_t us_per_s;			/* CPU time: > 0 */
	const bool *wanted;	/* of each check, whether it is to be run; NULL: all */
	bool watch;		/* looks watch, too (sentinel.h) */
};

/* 64 bits of chance, which a guest cannot know. */
typedef uint64_t schedule_random_fn(void *ctx);

struct schedule_job {
	uint64_t guest;
	bool look;
	bool events;		/* of a look: it looks for events, and does not only watch */
	uint64_t watch_ns;	/* of a look: CPU time for what it watches */
	bool first;		/* everything at once */
	uint32_t *checks;	/* numbers of the checks to run; free(); NULL: a look */
	size_t checks_n;
};

/* What one check took in the sweep that a job was. */
struct schedule_cost {
	uint32_t check;
	uint64_t duration_ns;	/* of the CPU */
};

struct schedule_stats {
	double stretch;		/* periods of checks are so many times as long as configured */
	double share;		/* of one CPU, over the last ten seconds or so */
	double allowed;		/* of one CPU */
	uint64_t jobs, cpu_ns;	/* since it was added */
	uint64_t late_ns;	/* how long the item that waits longest is due */
};

struct schedule;

/**
 * schedule_create - nothing to do yet
 * @checks_n: how many checks there are; they go by their number, 0..@checks_n - 1
 * @worth:    of each check, how many times as dear as others it may be and be as cheap as they
 *            are: copied; NULL or 0: once
 *
 * Return: 0, -EINVAL (@options), -ENOMEM.
 */
nodiscard int schedule_create(const struct schedule_options *options, size_t checks_n,
			      const uint8_t *worth, schedule_random_fn *random, void *ctx,
			      struct schedule **ret);
void schedule_free(struct schedule **schedule);

/* Other options, from the next jobs on. 0, -EINVAL. */
nodiscard int schedule_configure(struct schedule *schedule,
				 const struct schedule_options *options);

/**
 * schedule_add - a guest comes
 * @guest: its number, never used before
 *
 * Its first job is all checks at once; what that costs is not held against it.
 *
 * Return: 0, -EEXIST, -EINVAL (@plan), -ENOMEM.
 */
nodiscard int schedule_add(struct schedule *schedule, uint64_t guest,
			   const struct schedule_plan *plan, uint64_t now);

/* Another plan, from the next jobs on. 0, -EINVAL, -ENOENT. */
nodiscard int schedule_replan(struct schedule *schedule, uint64_t guest,
			      const struct schedule_plan *plan, uint64_t now);

/* It is gone; a job of it that still runs is forgotten. */
void schedule_remove(struct schedule *schedule, uint64_t guest);

/*
 * Everything at once is its next job: it was rebooted, or a person asks. It is paid for as
 * attaching is.
 */
void schedule_all(struct schedule *schedule, uint64_t guest, uint64_t now);

/*
 * Something happened in it that may be an attack: what is cheap and middling is checked at once,
 * paid for as attaching is; where that happens all the time, as soon as there is credit.
 */
void schedule_alarm(struct schedule *schedule, uint64_t guest, uint64_t now);

/**
 * schedule_set_watched - looks tell when what a check looks at has changed
 * @check: its number; before guests come
 *
 * schedule_call() brings it forward then, so that by itself, whatever it costs, it is run as what
 * is dear is. Not so of a guest whose looks do not watch.
 */
void schedule_set_watched(struct schedule *schedule, uint32_t check);

/**
 * schedule_call - what some checks look at has changed: they are run at once
 * @checks: their numbers
 *
 * Paid for as schedule_alarm(): who has that happen all the time waits until there is credit, and
 * for what is due longer.
 */
void schedule_call(struct schedule *schedule, uint64_t guest, const uint32_t *checks, size_t n,
		   uint64_t now);

/*
 * A look that only watched saw that there are events: they are looked for at once, in place of the
 * next look that would. Who has that happen again before waits for it.
 */
void schedule_look(struct schedule *schedule, uint64_t guest, uint64_t now);

/* While it is paused only looks: nothing in it changes, and these see when it goes on. */
void schedule_pause(struct schedule *schedule, uint64_t guest, bool paused, uint64_t now);

/* No jobs while @hold: its scanner is not there. */
void schedule_hold(struct schedule *schedule, uint64_t guest, bool hold, uint64_t now);

/**
 * schedule_attached - the guest's kernel was looked for, found or not
 * @cpu_ns: CPU time that it took
 *
 * It is paid for out of the guest's share in the time to come.
 */
void schedule_attached(struct schedule *schedule, uint64_t guest, uint64_t now, uint64_t cpu_ns);

/*
 * When it may be looked for again: @now, but where the guest owes much. So one that resets itself
 * all the time cannot have more than its share for long.
 */
uint64_t schedule_attach_at(const struct schedule *schedule, uint64_t guest, uint64_t now);

/**
 * schedule_next - a job that may start now
 * @job: receives it; it runs until schedule_done()
 *
 * Return: 1, 0 (none: ask again at schedule_wake()), -ENOMEM.
 */
nodiscard int schedule_next(struct schedule *schedule, uint64_t now, struct schedule_job *job);

/* When the next job may start, if none ends before; UINT64_MAX: there is none. */
uint64_t schedule_wake(const struct schedule *schedule, uint64_t now);

/**
 * schedule_done - the guest's job has ended
 * @cpu_ns: CPU time that it took, as the host measured it
 * @costs:  of its checks, as the sweep says: only their proportions count
 */
void schedule_done(struct schedule *schedule, uint64_t guest, uint64_t now, uint64_t cpu_ns,
		   const struct schedule_cost *costs, size_t costs_n);

/* 0, -ENOENT (no such guest). */
nodiscard int schedule_stats(const struct schedule *schedule, uint64_t guest, uint64_t now,
			     struct schedule_stats *ret);

#endif
