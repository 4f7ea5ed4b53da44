/* SPDX-License-Identifier: Apache-2.0 */

/* What each guest may have of the host's CPU time, and its looks, checks and sentinel of that. */

#include <math.h>
#include <stdlib.h>

#include "monitor/schedule_inside.h"

/*
 * Looks may watch with what the rest leaves of the guest's share: at least so much of it, for less
 * would see too late what the checks of it now look for seldom, and SCHEDULE_WATCH_MAX at most.
 */
#define WATCH_MIN 0.55

/* What nobody has planned for has room, too: else there is never any credit. */
#define WATCH_SPARE 0.1

/*
 * Looks bring checks forward, so that where there is not enough for all they are the last to come
 * seldom: so much of what the sentinel leaves is theirs.
 */
#define LOOK_PART 0.4

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* What each may have at most, so that the host's budget goes to the least first (max-min). */
static double fair_level(const struct schedule *schedule)
{
	double left = schedule->options.host_us_per_s / 1e6;
	size_t n = schedule->guests.n;

	/* Without a guest there is no array, either. */
	if (n)
		qsort(schedule->demands, n, sizeof(*schedule->demands), by_value);
	for (size_t i = 0; i < n; i++) {
		double level = left / (double)(n - i);

		if (schedule->demands[i] > level)
			return level;
		left -= schedule->demands[i];
	}
	return HUGE_VAL;
}

static double watch_of(const struct scheduled *guest, double allowed)
{
	double left = (1 - WATCH_SPARE) * allowed - guest->demand;

	if (!guest->plan.look_ms || !guest->plan.watch)
		return 0;
	return left < WATCH_MIN * allowed ? WATCH_MIN * allowed :
	       left > SCHEDULE_WATCH_MAX * allowed ? SCHEDULE_WATCH_MAX * allowed : left;
}

/* Longer periods, where they cost more than there is: it would be in debt, and blind at times. */
static void stretch(struct scheduled *guest)
{
	double paid = guest->owed_ns > 0 ? SCHEDULE_OWED_PART * guest->allowed : 0;
	double left = guest->allowed - guest->watch - paid, looks = guest->looks;

	guest->stretch = guest->look_stretch = 1;
	if (guest->demand <= left)
		return;
	if (looks > LOOK_PART * left) {
		double alike = looks * left / guest->demand;

		looks = LOOK_PART * left > alike ? LOOK_PART * left : alike;
		guest->look_stretch = guest->looks / looks;
	}
	guest->stretch = guest->demand > guest->looks ?
			 (guest->demand - guest->looks) / (left - looks) : guest->look_stretch;
}

void schedule_share(struct schedule *schedule, uint64_t now)
{
	double level;

	for (size_t i = 0; i < schedule->guests.n; i++) {
		const struct scheduled *guest = schedule->guests.v[i];
		double most = guest->plan.us_per_s / 1e6;
		double demand = guest->demand + watch_of(guest, most);

		schedule->demands[i] = demand < most && !schedule_is_overdrawn(guest) ? demand :
											most;
	}
	level = fair_level(schedule);
	for (size_t i = 0; i < schedule->guests.n; i++) {
		struct scheduled *guest = schedule->guests.v[i];
		double most = guest->plan.us_per_s / 1e6;

		guest->allowed = level < most ? level : most;
		guest->watch = watch_of(guest, guest->allowed);
		stretch(guest);
	}
	schedule->balanced_at = now;
}
