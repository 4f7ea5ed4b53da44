/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/schedule.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "monitor/schedule_inside.h"

#define NS_PER_S  1000000000ull
#define NS_PER_MS 1000000ull

/* What a job costs before one was measured. */
#define LOOK_GUESS_NS (300 * 1000ull)

/*
 * Credit that is saved up, and debt that is held against a guest, in time of its own share: who
 * idled may not run for long at once, and who is very dear is still looked at now and then.
 */
#define CREDIT_MAX_S 1.0
#define DEBT_MAX_S   30.0

/*
 * Attaching to a guest, and the whole sweep after, cannot be put off: they are paid for later, with
 * SCHEDULE_OWED_PART of what the guest is allowed. What may be owed before another attach has to
 * wait is SCHEDULE_OWED_NS. And so long it waits at most, for an honest guest may have to be reset
 * again and again; but where many do so, until the host can bear it.
 */
#define OWED_MAX_S 30.0

/*
 * What was done to a guest with such news in it is mostly hooks, which are looked for at once. Who
 * owes as much as many of these sweeps take, and attaching, makes news all the time, and waits his
 * turn. In a minute or two that is paid.
 */
#define ALARM_OWED_NS (400.0 * (double)NS_PER_MS)

/* The first sweep makes what later ones use: what a check costs is known after another run. */
#define WARM_MS 2000.0

/* A first sweep that takes longer keeps no other from starting. */
#define START_SLOT_NS (2 * NS_PER_S)

/* The host's budget is shared anew that often, besides when a guest comes or goes. */
#define BALANCE_NS (100 * NS_PER_MS)

/* The share that is shown is of about as long. */
#define SHARE_NS (10.0 * (double)NS_PER_S)

/* See looks_in_debt(). */
#define LOOK_DEBT_S   3.0
#define LOOK_FIRST_NS (2 * NS_PER_S)

/* A look that comes late watches more, but no single one keeps its scanner for long. */
#define WATCH_PERIODS_MAX 3.0

/*
 * Looks that only watch, between others that are dear: their period is no more times as long as
 * configured. What these take, that of the sentinel apart, is of its time.
 */
#define GLANCE_STRETCH	2.0
#define GLANCE_GUESS_NS (80 * 1000ull)

static int sound(const struct schedule_options *options)
{
	return options->jitter_percent <= 90 && options->host_us_per_s && options->cpus ? 0 :
											  -EINVAL;
}

static int plan_sound(const struct schedule_plan *plan)
{
	for (size_t i = 0; i < SCHEDULE_CLASSES; i++)
		if (!plan->period_ms[i])
			return -EINVAL;
	return plan->us_per_s ? 0 : -EINVAL;
}

int schedule_create(const struct schedule_options *options, size_t checks_n,
		    const uint8_t *worth, schedule_random_fn *random, void *ctx,
		    struct schedule **ret)
{
	cleanup(schedule_free) struct schedule *schedule = NULL;

	if (sound(options) < 0)
		return -EINVAL;
	schedule = calloc(1, sizeof(*schedule));
	if (!schedule)
		return -ENOMEM;
	schedule->worth = calloc(checks_n + 1, sizeof(*schedule->worth));
	schedule->watched = calloc(checks_n + 1, sizeof(*schedule->watched));
	if (!schedule->worth || !schedule->watched)
		return -ENOMEM;
	for (size_t i = 0; i < checks_n; i++)
		schedule->worth[i] = worth && worth[i] ? worth[i] : 1;
	schedule->options = *options;
	schedule->checks_n = checks_n;
	schedule->random = random;
	schedule->ctx = ctx;
	*ret = take_ptr(&schedule);
	return 0;
}

static void scheduled_free(struct scheduled *guest)
{
	if (guest) {
		free(guest->checks);
		free(guest->items);
		free(guest);
	}
}

static void scheduled_freep(struct scheduled **guest)
{
	scheduled_free(*guest);
}

void schedule_free(struct schedule **schedule)
{
	if (!*schedule)
		return;
	for (size_t i = 0; i < (*schedule)->guests.n; i++)
		scheduled_free((*schedule)->guests.v[i]);
	vec_free(&(*schedule)->guests);
	free((*schedule)->demands);
	free((*schedule)->worth);
	free((*schedule)->watched);
	free(*schedule);
	*schedule = NULL;
}

void schedule_set_watched(struct schedule *schedule, uint32_t check)
{
	if (check < schedule->checks_n)
		schedule->watched[check] = true;
}

static struct scheduled *find(const struct schedule *schedule, uint64_t number)
{
	for (size_t i = 0; i < schedule->guests.n; i++)
		if (schedule->guests.v[i]->number == number)
			return schedule->guests.v[i];
	return NULL;
}

static double period_ns(const struct scheduled *guest, int item)
{
	const struct schedule_plan *plan = &guest->plan;
	uint32_t ms = item == ITEM_LOOK ? plan->look_ms :
		      item == ITEM_CHEAP ? plan->period_ms[SCHEDULE_CHEAP] :
		      item == ITEM_MIDDLE ? plan->period_ms[SCHEDULE_MIDDLE] :
					    plan->period_ms[SCHEDULE_DEAR];

	return (double)ms * (double)NS_PER_MS;
}

/* One period, give or take. */
static uint64_t pause_of(const struct schedule *schedule, double period_ns)
{
	double chance = (double)(schedule->random(schedule->ctx) >> 11) / (double)(1ull << 53);
	double jitter = schedule->options.jitter_percent / 100.0 * (2 * chance - 1);

	return (uint64_t)(period_ns * (1 + jitter));
}

static bool glances(const struct scheduled *guest)
{
	return guest->watch > 0 && !guest->paused && guest->look_stretch > GLANCE_STRETCH;
}

/* @events: this one looks for them. */
static void postpone_look(const struct schedule *schedule, struct scheduled *guest, bool events,
			  uint64_t now)
{
	double period = period_ns(guest, ITEM_LOOK), least;
	uint64_t *due = &guest->items[ITEM_LOOK].due, glance;

	/* One that was brought forward is the one after it, too. */
	if (events)
		guest->events_due = pause_of(schedule, period * guest->look_stretch) +
				    (glances(guest) && guest->hurried_until > now ?
					     guest->hurried_until : now);
	*due = guest->events_due;
	if (!glances(guest))
		return;
	/* What it takes besides is half of the sentinel's time at most. */
	period *= GLANCE_STRETCH;
	least = 2 * guest->glance_ns / guest->watch;
	glance = now + pause_of(schedule, period > least ? period : least);
	*due = glance < *due ? glance : *due;
}

static void postpone(const struct schedule *schedule, struct scheduled *guest, int item,
		     uint64_t now)
{
	double period = period_ns(guest, item), warm = WARM_MS * (double)NS_PER_MS;

	if (item == ITEM_LOOK) {
		postpone_look(schedule, guest, true, now);
		return;
	}
	if (guest->free && period > warm)
		period = warm;
	guest->items[item].due = now + pause_of(schedule, period * guest->stretch);
}

/* What is to do at all, when is the first of it due, and what would it take? */
static void arrange(const struct schedule *schedule, struct scheduled *guest)
{
	bool batch[SCHEDULE_CLASSES] = { false };

	for (size_t i = 0; i < schedule->checks_n; i++) {
		const struct known *known = &guest->checks[i];

		batch[known->class] |= known->wanted;
		guest->items[ITEM_FIXED + i].on = known->wanted && !guest->paused &&
						  known->class == SCHEDULE_DEAR;
	}
	guest->items[ITEM_LOOK].on = guest->plan.look_ms > 0;
	guest->items[ITEM_CHEAP].on = batch[SCHEDULE_CHEAP] && !guest->paused;
	guest->items[ITEM_MIDDLE].on = batch[SCHEDULE_MIDDLE] && !guest->paused;
	guest->soonest_check = guest->called && !guest->paused ? guest->called_at : UINT64_MAX;
	guest->demand = guest->looks = 0;
	for (size_t i = 0; i < ITEM_FIXED + schedule->checks_n; i++) {
		const struct item *item = &guest->items[i];

		if (!item->on)
			continue;
		guest->demand += item->cost_ns / period_ns(guest, (int)i);
		if (i == ITEM_LOOK)
			guest->looks = guest->demand;
		else if (item->due < guest->soonest_check)
			guest->soonest_check = item->due;
	}
	guest->soonest = guest->items[ITEM_LOOK].on &&
			 guest->items[ITEM_LOOK].due < guest->soonest_check ?
				 guest->items[ITEM_LOOK].due : guest->soonest_check;
}

int schedule_configure(struct schedule *schedule, const struct schedule_options *options)
{
	if (sound(options) < 0)
		return -EINVAL;
	schedule->options = *options;
	schedule_share(schedule, schedule->balanced_at);
	return 0;
}

static int make_room(struct schedule *schedule)
{
	size_t room = schedule->guests.n + 1;
	double *demands;

	if (room <= schedule->demands_room)
		return 0;
	demands = realloc(schedule->demands, 2 * room * sizeof(*demands));
	if (!demands)
		return -ENOMEM;
	schedule->demands = demands;
	schedule->demands_room = 2 * room;
	return 0;
}

static void follow_plan(const struct schedule *schedule, struct scheduled *guest,
			const struct schedule_plan *plan)
{
	guest->plan = *plan;
	for (size_t i = 0; i < schedule->checks_n; i++)
		guest->checks[i].wanted = !plan->wanted || plan->wanted[i];
	guest->plan.wanted = NULL;
}

int schedule_replan(struct schedule *schedule, uint64_t number, const struct schedule_plan *plan,
		    uint64_t now)
{
	struct scheduled *guest = find(schedule, number);

	if (!guest)
		return -ENOENT;
	if (plan_sound(plan) < 0)
		return -EINVAL;
	follow_plan(schedule, guest, plan);
	schedule_all(schedule, number, now);
	schedule_share(schedule, now);
	return 0;
}

int schedule_add(struct schedule *schedule, uint64_t number, const struct schedule_plan *plan,
		 uint64_t now)
{
	cleanup(scheduled_freep) struct scheduled *guest = calloc(1, sizeof(*guest));
	struct scheduled **add;

	if (find(schedule, number))
		return -EEXIST;
	if (plan_sound(plan) < 0)
		return -EINVAL;
	if (!guest)
		return -ENOMEM;
	guest->checks = calloc(schedule->checks_n + 1, sizeof(*guest->checks));
	guest->items = calloc(ITEM_FIXED + schedule->checks_n, sizeof(*guest->items));
	if (!guest->checks || !guest->items || make_room(schedule) < 0)
		return -ENOMEM;
	guest->number = number;
	guest->running = ITEM_NONE;
	guest->stretch = guest->look_stretch = 1;
	guest->first = guest->free = true;
	guest->refilled = guest->shared_at = now;
	guest->items[ITEM_LOOK].cost_ns = (double)LOOK_GUESS_NS;
	guest->glance_ns = (double)GLANCE_GUESS_NS;
	guest->events_due = now;
	follow_plan(schedule, guest, plan);
	for (size_t i = 0; i < ITEM_FIXED + schedule->checks_n; i++)
		guest->items[i].due = now;
	add = vec_add(&schedule->guests);
	if (!add)
		return -ENOMEM;
	arrange(schedule, guest);
	*add = take_ptr(&guest);
	schedule_share(schedule, now);
	return 0;
}

void schedule_remove(struct schedule *schedule, uint64_t number)
{
	for (size_t i = 0; i < schedule->guests.n; i++) {
		if (schedule->guests.v[i]->number != number)
			continue;
		scheduled_free(schedule->guests.v[i]);
		schedule->guests.v[i] = schedule->guests.v[--schedule->guests.n];
		schedule_share(schedule, schedule->balanced_at);
		return;
	}
}

static void all_due(const struct schedule *schedule, struct scheduled *guest, uint64_t now)
{
	for (size_t i = 0; i < ITEM_FIXED + schedule->checks_n; i++)
		guest->items[i].due = now;
	guest->events_due = now;
	guest->hurried_until = 0;
	arrange(schedule, guest);
}

void schedule_all(struct schedule *schedule, uint64_t number, uint64_t now)
{
	struct scheduled *guest = find(schedule, number);

	if (!guest)
		return;
	guest->first = true;
	all_due(schedule, guest, now);
}

void schedule_pause(struct schedule *schedule, uint64_t number, bool paused, uint64_t now)
{
	struct scheduled *guest = find(schedule, number);

	if (!guest || guest->paused == paused)
		return;
	guest->paused = paused;
	all_due(schedule, guest, now);
}

/* What has been paid of what is owed: with everything, while there is nothing else to do. */
static double paid_at(const struct scheduled *guest, uint64_t now)
{
	double earned = (double)(now - guest->refilled) * guest->allowed;
	double paid = guest->hold ? earned : earned * SCHEDULE_OWED_PART;

	return paid < guest->owed_ns ? paid : guest->owed_ns;
}

static double credit_most(const struct scheduled *guest)
{
	return CREDIT_MAX_S * (double)NS_PER_S * guest->allowed;
}

static double credit_at(const struct scheduled *guest, uint64_t now)
{
	double most = credit_most(guest);
	double earned = (double)(now - guest->refilled) * guest->allowed;
	double credit = guest->credit_ns + earned - paid_at(guest, now);

	/* Nothing is saved up while it is held. */
	return guest->hold ? guest->credit_ns : credit < most ? credit : most;
}

static void refill(struct scheduled *guest, uint64_t now)
{
	double credit = credit_at(guest, now);

	guest->owed_ns -= paid_at(guest, now);
	guest->credit_ns = credit;
	guest->refilled = now;
}

/* When a debt of credit is over: some of what is earned goes to what is owed, while that lasts. */
static uint64_t paid_until(const struct scheduled *guest, uint64_t now, double debt)
{
	double owed = guest->owed_ns - paid_at(guest, now);
	double other = debt * SCHEDULE_OWED_PART / (1 - SCHEDULE_OWED_PART);
	double slow = other < owed ? other : owed;

	return now + 1 + (uint64_t)((debt + slow) / guest->allowed);
}

void schedule_alarm(struct schedule *schedule, uint64_t number, uint64_t now)
{
	struct scheduled *guest = find(schedule, number);

	if (!guest || guest->first || guest->paused)
		return;
	guest->alarm = guest->owed_ns - paid_at(guest, now) < ALARM_OWED_NS;
	guest->items[ITEM_CHEAP].due = guest->items[ITEM_MIDDLE].due = now;
	arrange(schedule, guest);
}

void schedule_call(struct schedule *schedule, uint64_t number, const uint32_t *checks, size_t n,
		   uint64_t now)
{
	struct scheduled *guest = find(schedule, number);
	bool was;

	if (!guest || guest->first || guest->paused)
		return;
	was = guest->called;
	for (size_t i = 0; i < n; i++) {
		if (checks[i] >= schedule->checks_n || !guest->checks[checks[i]].wanted)
			continue;
		guest->called = guest->checks[checks[i]].called = true;
	}
	if (!guest->called)
		return;
	/* Who is called again while he waits does not lose his turn. */
	guest->called_at = was ? guest->called_at : now;
	guest->urgent = guest->owed_ns - paid_at(guest, now) < ALARM_OWED_NS;
	arrange(schedule, guest);
}

void schedule_look(struct schedule *schedule, uint64_t number, uint64_t now)
{
	struct scheduled *guest = find(schedule, number);

	/* A look for events has seen it; and who makes them all the time waits his turn. */
	if (!guest || !guest->glancing || guest->events_due <= now ||
	    now < guest->hurried_until)
		return;
	guest->hurried_until = guest->events_due;
	guest->items[ITEM_LOOK].due = guest->events_due = now;
	arrange(schedule, guest);
}

void schedule_hold(struct schedule *schedule, uint64_t number, bool hold, uint64_t now)
{
	struct scheduled *guest = find(schedule, number);

	if (!guest || guest->hold == hold)
		return;
	refill(guest, now);
	guest->hold = hold;
	/* What ran when its scanner went away will not be done. */
	guest->running = ITEM_NONE;
}

/* How many first sweeps run, and have not taken long yet? */
static uint32_t starting(const struct schedule *schedule, uint64_t now)
{
	uint32_t n = 0;

	for (size_t i = 0; i < schedule->guests.n; i++) {
		const struct scheduled *guest = schedule->guests.v[i];

		n += guest->running == ITEM_ALL && now - guest->started < START_SLOT_NS;
	}
	return n;
}

/*
 * Looks are cheap, and tell what is to be checked at once: a guest in some debt is still looked at,
 * as long as that keeps no check waiting for long, and none that was called.
 */
static bool looks_in_debt(const struct scheduled *guest, uint64_t now, double credit)
{
	return guest->items[ITEM_LOOK].on && !guest->called &&
	       credit > -LOOK_DEBT_S * (double)NS_PER_S * guest->allowed &&
	       (guest->soonest_check > now || now - guest->soonest_check < LOOK_FIRST_NS);
}

/* When could its next job start? UINT64_MAX: not before something else happens. */
static uint64_t ready_at(const struct scheduled *guest, uint64_t now)
{
	double credit;

	if (guest->running != ITEM_NONE || guest->hold || guest->soonest == UINT64_MAX)
		return UINT64_MAX;
	if ((guest->first || guest->alarm || guest->urgent) && !guest->paused)
		return guest->soonest;
	credit = credit_at(guest, now);
	if (credit < 0) {
		uint64_t paid = paid_until(guest, now, -credit);

		if (looks_in_debt(guest, now, credit) && guest->items[ITEM_LOOK].due < paid)
			return guest->items[ITEM_LOOK].due;
		return paid > guest->soonest ? paid : guest->soonest;
	}
	return guest->soonest;
}

/* Of those that may start, the one that waits longest: nobody starves. */
static struct scheduled *choose(const struct schedule *schedule, uint64_t now)
{
	bool full = starting(schedule, now) >= schedule->options.cpus;
	struct scheduled *best = NULL;

	for (size_t i = 0; i < schedule->guests.n; i++) {
		struct scheduled *guest = schedule->guests.v[i];

		if (ready_at(guest, now) > now || (guest->first && full))
			continue;
		if (!best || guest->soonest < best->soonest)
			best = guest;
	}
	return best;
}

static int item_of(const struct schedule *schedule, const struct scheduled *guest, uint64_t now)
{
	if (guest->first && !guest->paused)
		return ITEM_ALL;
	if (guest->alarm && !guest->paused)
		return ITEM_ALARM;
	if (guest->urgent && !guest->paused)
		return ITEM_CALLED;
	if (looks_in_debt(guest, now, credit_at(guest, now)) && credit_at(guest, now) < 0)
		return ITEM_LOOK;
	if (guest->called && !guest->paused && guest->called_at == guest->soonest)
		return ITEM_TURN;
	for (size_t i = 0; i < ITEM_FIXED + schedule->checks_n; i++)
		if (guest->items[i].on && guest->items[i].due == guest->soonest)
			return (int)i;
	return ITEM_NONE;
}

static bool is_part(const struct schedule *schedule, const struct scheduled *guest, int item,
		    size_t check)
{
	const struct known *known = &guest->checks[check];

	if (!known->wanted)
		return false;
	switch (item) {
	case ITEM_ALL:
		return true;
	case ITEM_ALARM:
		return known->class != SCHEDULE_DEAR || known->called ||
		       schedule_is_watched(schedule, guest, check);
	case ITEM_CALLED:
	case ITEM_TURN:
		return known->called;
	case ITEM_LOOK:
		return false;
	case ITEM_CHEAP:
		return known->class == SCHEDULE_CHEAP;
	case ITEM_MIDDLE:
		return known->class == SCHEDULE_MIDDLE;
	default:
		return (size_t)(item - ITEM_FIXED) == check;
	}
}

/* What is looked at now. */
static void postpone_all(const struct schedule *schedule, struct scheduled *guest, int item,
			 uint64_t now)
{
	if (item == ITEM_CALLED || item == ITEM_TURN)
		return;	/* these are part of an item, or as note_called() says */
	if (item == ITEM_ALL)
		for (size_t i = 0; i < ITEM_FIXED + schedule->checks_n; i++)
			postpone(schedule, guest, (int)i, now);
	else if (item == ITEM_ALARM)
		for (int i = ITEM_CHEAP; i <= ITEM_MIDDLE; i++)
			postpone(schedule, guest, i, now);
	else if (item == ITEM_LOOK)
		postpone_look(schedule, guest, !guest->glancing, now);
	else
		postpone(schedule, guest, item, now);
}

/* What was called runs now; of the dear ones that is their turn, too. */
static void note_called(const struct schedule *schedule, struct scheduled *guest,
			const struct schedule_job *job, int item, uint64_t now)
{
	for (size_t i = 0; i < job->checks_n; i++) {
		struct known *known = &guest->checks[job->checks[i]];

		if (known->class == SCHEDULE_DEAR && item <= ITEM_ALARM)
			postpone(schedule, guest, (int)(ITEM_FIXED + job->checks[i]), now);
		known->called = false;
	}
	guest->called = false;
	for (size_t i = 0; i < schedule->checks_n; i++) {
		struct known *known = &guest->checks[i];

		known->called &= known->wanted;
		guest->called |= known->called;
	}
	guest->urgent &= guest->called;
}

/* How long may the look watch that begins now? With what nobody has used by then, too. */
static uint64_t grant(struct scheduled *guest, uint64_t now)
{
	double period = period_ns(guest, ITEM_LOOK) * guest->look_stretch;
	double passed = guest->looked_at ? (double)(now - guest->looked_at) : period;
	double unused = credit_at(guest, now) - credit_most(guest) / 2, more, all;

	if (passed > WATCH_PERIODS_MAX * period)
		passed = WATCH_PERIODS_MAX * period;
	more = passed * (SCHEDULE_WATCH_MAX * guest->allowed - guest->watch);
	more = unused < more ? unused : more;
	all = passed * guest->watch + (guest->watch > 0 && more > 0 ? more : 0);
	/* A glance pays for itself, and still gets on. */
	if (guest->glancing)
		all = all > 2 * guest->glance_ns ? all - guest->glance_ns : all / 2;
	guest->looked_at = now;
	guest->granted_ns = (uint64_t)all;
	return guest->granted_ns;
}

int schedule_next(struct schedule *schedule, uint64_t now, struct schedule_job *ret)
{
	struct scheduled *guest = choose(schedule, now);
	struct schedule_job job = { 0 };
	int item = guest ? item_of(schedule, guest, now) : ITEM_NONE;

	if (item == ITEM_NONE)
		return 0;
	job.guest = guest->number;
	job.look = item == ITEM_LOOK;
	job.first = item == ITEM_ALL;
	if (!job.look) {
		job.checks = calloc(schedule->checks_n + 1, sizeof(*job.checks));
		if (!job.checks)
			return -ENOMEM;
		for (size_t i = 0; i < schedule->checks_n; i++)
			if (is_part(schedule, guest, item, i))
				job.checks[job.checks_n++] = (uint32_t)i;
	} else {
		guest->glancing = glances(guest) && now < guest->events_due;
		job.events = !guest->glancing;
		job.watch_ns = grant(guest, now);
	}
	postpone_all(schedule, guest, item, now);
	note_called(schedule, guest, &job, item, now);
	if (item == ITEM_ALL)
		guest->first = false;
	if (item == ITEM_ALL || item == ITEM_ALARM)
		guest->alarm = false;
	guest->running = item;
	guest->started = now;
	guest->jobs++;
	arrange(schedule, guest);
	*ret = job;
	return 1;
}

uint64_t schedule_wake(const struct schedule *schedule, uint64_t now)
{
	uint64_t wake = UINT64_MAX;
	uint32_t taken = starting(schedule, now);

	for (size_t i = 0; i < schedule->guests.n; i++) {
		const struct scheduled *guest = schedule->guests.v[i];
		uint64_t at = ready_at(guest, now);

		/* No slot: one becomes free when a job ends, or has taken too long. */
		if (guest->first && taken >= schedule->options.cpus && at <= now)
			at = now + START_SLOT_NS;
		if (at < wake)
			wake = at;
	}
	return wake;
}

static void charge(struct scheduled *guest, uint64_t now, uint64_t cpu_ns)
{
	double debt = DEBT_MAX_S * (double)NS_PER_S * guest->allowed;

	refill(guest, now);
	guest->credit_ns -= (double)cpu_ns;
	if (guest->credit_ns < -debt)
		guest->credit_ns = -debt;
}

/* A mean that forgets what is long ago. */
static double share_at(const struct scheduled *guest, uint64_t now)
{
	double passed = (double)(now - guest->shared_at);

	return guest->share * SHARE_NS / (SHARE_NS + passed);
}

/* How long may one wait to be attached to: so many come at a time, at half the host's budget. */
static double patience_s(const struct schedule *schedule)
{
	double sum_ns = 0, wait_s;

	for (size_t i = 0; i < schedule->guests.n; i++)
		if (schedule_is_overdrawn(schedule->guests.v[i]))
			sum_ns += schedule->guests.v[i]->attach_ns;
	wait_s = 2 * sum_ns / (double)NS_PER_S / (schedule->options.host_us_per_s / 1e6);
	return wait_s > OWED_MAX_S ? wait_s : OWED_MAX_S;
}

static void owe(const struct schedule *schedule, struct scheduled *guest, uint64_t now,
		uint64_t cpu_ns)
{
	double most;

	refill(guest, now);
	guest->owed_ns += (double)cpu_ns;
	most = SCHEDULE_OWED_NS + patience_s(schedule) * (double)NS_PER_S * guest->allowed;
	if (guest->owed_ns > most)
		guest->owed_ns = most;
}

static void spend(struct scheduled *guest, uint64_t now, uint64_t cpu_ns)
{
	guest->cpu_ns += cpu_ns;
	guest->share = share_at(guest, now) + (double)cpu_ns / SHARE_NS;
	guest->shared_at = now;
}

void schedule_attached(struct schedule *schedule, uint64_t number, uint64_t now, uint64_t cpu_ns)
{
	struct scheduled *guest = find(schedule, number);

	if (!guest)
		return;
	spend(guest, now, cpu_ns);
	guest->attach_ns = (double)cpu_ns;
	owe(schedule, guest, now, cpu_ns);
	if (now - schedule->balanced_at >= BALANCE_NS)
		schedule_share(schedule, now);
}

uint64_t schedule_attach_at(const struct schedule *schedule, uint64_t number, uint64_t now)
{
	const struct scheduled *guest = find(schedule, number);
	double over = guest ? guest->owed_ns - paid_at(guest, now) - SCHEDULE_OWED_NS : 0;

	return over <= 0 ? now : now + 1 + (uint64_t)(over / guest->allowed);
}

void schedule_done(struct schedule *schedule, uint64_t number, uint64_t now, uint64_t cpu_ns,
		   const struct schedule_cost *costs, size_t costs_n)
{
	struct scheduled *guest = find(schedule, number);
	int item;

	if (!guest || guest->running == ITEM_NONE)
		return;
	item = guest->running;
	guest->running = ITEM_NONE;
	spend(guest, now, cpu_ns);
	if (schedule_learn_checks(schedule, guest, cpu_ns, costs, costs_n) || item < 0)
		schedule_estimate(schedule, guest);
	else if (item == ITEM_LOOK)
		schedule_learn_look(guest, cpu_ns);
	else
		schedule_learn(&guest->items[item].cost_ns, (double)cpu_ns, false);
	arrange(schedule, guest);
	if (item == ITEM_ALL || now - schedule->balanced_at >= BALANCE_NS)
		schedule_share(schedule, now);
	if (guest->free && item == ITEM_ALL)
		refill(guest, now);	/* what every guest costs once */
	else if (item < 0 && item != ITEM_TURN)
		owe(schedule, guest, now, cpu_ns);
	else
		charge(guest, now, cpu_ns);
	guest->free &= item != ITEM_ALL;
}

int schedule_stats(const struct schedule *schedule, uint64_t number, uint64_t now,
		   struct schedule_stats *ret)
{
	const struct scheduled *guest = find(schedule, number);

	if (!guest)
		return -ENOENT;
	*ret = (struct schedule_stats){
		.stretch = guest->stretch,
		.share = share_at(guest, now),
		.allowed = guest->allowed,
		.jobs = guest->jobs,
		.cpu_ns = guest->cpu_ns,
		.late_ns = guest->soonest < now ? now - guest->soonest : 0,
	};
	return 0;
}
