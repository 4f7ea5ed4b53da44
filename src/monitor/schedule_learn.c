/* SPDX-License-Identifier: Apache-2.0 */

/* What a guest's checks cost, from its sweeps, and so how often each is due: schedule.c. */

#include "monitor/schedule_inside.h"

#define NS_PER_MS 1000000ull

/*
 * A check that takes as long, for what it is worth, belongs to the class, and to the one before it
 * at half of it. What is found soonest on the whole has periods as the roots of the costs: four
 * times as long for what costs sixteen times as much, and cheap ones cost some 10 to 100 us.
 */
#define MIDDLE_NS (150 * 1000ull)
#define DEAR_NS	  (5 * NS_PER_MS)

/* A measurement counts as much as the three before it. */
#define LEARN 0.25

/* What is not measured, for it comes no more, is forgotten by so much with each look for events. */
#define GLANCE_FORGET 0.99

void schedule_learn(double *known, double measured, bool first)
{
	*known = first ? measured : *known + LEARN * (measured - *known);
}

void schedule_learn_look(struct scheduled *guest, uint64_t cpu_ns)
{
	uint64_t own = cpu_ns > guest->granted_ns ? cpu_ns - guest->granted_ns : 0;

	/* One that was dear, so that none has come since, is tried again some time. */
	if (!guest->glancing)
		guest->glance_ns *= GLANCE_FORGET;
	schedule_learn(guest->glancing ? &guest->glance_ns : &guest->items[ITEM_LOOK].cost_ns,
		       (double)own, false);
}

/* A class is left upwards at its limit, downwards at half of it, so that none swings. */
static enum schedule_class class_of(double cost_ns, enum schedule_class now)
{
	double middle = now >= SCHEDULE_MIDDLE ? MIDDLE_NS / 2.0 : (double)MIDDLE_NS;
	double dear = now == SCHEDULE_DEAR ? DEAR_NS / 2.0 : (double)DEAR_NS;

	return cost_ns >= dear ? SCHEDULE_DEAR :
	       cost_ns >= middle ? SCHEDULE_MIDDLE : SCHEDULE_CHEAP;
}

/* The CPU time of a sweep by the proportions of its checks: a busy host stretches all alike. */
bool schedule_learn_checks(const struct schedule *schedule, struct scheduled *guest,
			   uint64_t cpu_ns, const struct schedule_cost *costs, size_t costs_n)
{
	bool moved = false;
	double sum = 0;

	for (size_t i = 0; i < costs_n; i++)
		sum += (double)costs[i].duration_ns;
	for (size_t i = 0; i < costs_n && sum > 0; i++) {
		struct known *known;
		double cost = (double)costs[i].duration_ns / sum * (double)cpu_ns;
		enum schedule_class was;

		if (costs[i].check >= schedule->checks_n)
			continue;
		known = &guest->checks[costs[i].check];
		schedule_learn(&known->cost_ns, cost,
			       !known->measured || (known->cold && !guest->free));
		known->cold = guest->free;
		known->measured = true;
		was = known->class;
		known->class = schedule_is_watched(schedule, guest, costs[i].check) ?
				       SCHEDULE_DEAR :
				       class_of(known->cost_ns / schedule->worth[costs[i].check],
						was);
		moved |= known->class != was;
	}
	return moved;
}

void schedule_estimate(const struct schedule *schedule, struct scheduled *guest)
{
	guest->items[ITEM_CHEAP].cost_ns = guest->items[ITEM_MIDDLE].cost_ns = 0;
	for (size_t i = 0; i < schedule->checks_n; i++) {
		const struct known *known = &guest->checks[i];

		if (!known->wanted)
			continue;
		if (known->class == SCHEDULE_DEAR)
			guest->items[ITEM_FIXED + i].cost_ns = known->cost_ns;
		else
			guest->items[known->class == SCHEDULE_CHEAP ? ITEM_CHEAP : ITEM_MIDDLE]
				.cost_ns += known->cost_ns;
	}
}
