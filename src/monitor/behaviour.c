/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/behaviour.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/now.h"
#include "base/vec.h"
#include "linux/pulse.h"
#include "monitor/behaviour_part.h"
#include "report/encode.h"

/* A part is read so often in one look before its lists are taken for inconsistent. */
#define READS_MAX 3u

/* Looks in a row that one part could not complete before that is told; then every so many. */
#define INCOMPLETE_FIRST 5u
#define INCOMPLETE_AGAIN 100u

/*
 * An idle guest without a tick still wakes at least every four seconds (watchdog_thresh is 10
 * and the watchdog's timer runs every 2/5 of that).
 */
#define PAUSED_AFTER_NS 10000000000ull

/*
 * Within a tick, much can happen, and a busy host may stop a vCPU there for long. But who wakes up
 * after so much time brings the clock up to date first (tick_irq_enter()).
 */
#define QUIET_AFTER_NS 2000000000ull

/* Ticks that can have passed: 1000 a second, doubled, and some for a host that was busy. */
#define TICKS_PER_MS	2u
#define TICKS_TO_SPARE	(1u << 20)

static const struct part *const parts[] = {
	&behaviour_tasks,
	&behaviour_modules,
	&behaviour_sockets,
	&behaviour_mounts,
	&behaviour_bpf,
	&behaviour_log,
};

struct part_state {
	void *own;		/* NULL: not wanted */
	bool known;		/* it was seen to its end at least once */
	uint64_t after_ns;	/* when the last look began that did, CLOCK_BOOTTIME */
	uint32_t incomplete;	/* looks since then, in a row */
};

struct behaviour {
	struct part_state parts[ARRAY_SIZE(parts)];
	bool begun;		/* EVENT_WATCH is told, or waits to be */

	struct waiting waiting;

	/*
	 * Where the clock stood when the last look ended, and when it was last seen to move,
	 * CLOCK_BOOTTIME.
	 */
	bool has_pulse;
	struct pulse pulse;
	uint64_t moved_mono_ns, moved_ns;
	bool paused;
};

int behaviour_open(unsigned kinds, struct behaviour **ret)
{
	cleanup(behaviour_close) struct behaviour *b = calloc(1, sizeof(*b));

	if (!b)
		return -ENOMEM;
	b->waiting.kinds = kinds;
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		if (!(parts[i]->kinds & kinds))
			continue;
		b->parts[i].own = parts[i]->open();
		if (!b->parts[i].own)
			return -ENOMEM;
	}
	*ret = take_ptr(&b);
	return 0;
}

static void drop_waiting(struct behaviour *b)
{
	for (size_t i = 0; i < b->waiting.v.n; i++)
		event_free(&b->waiting.v.v[i]);
	b->waiting.v.n = 0;
	b->waiting.dropped = 0;
}

void behaviour_close(struct behaviour **behaviour)
{
	struct behaviour *b = *behaviour;

	if (!b)
		return;
	drop_waiting(b);
	vec_free(&b->waiting.v);
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		if (b->parts[i].own)
			parts[i]->close(b->parts[i].own);
	free(b);
	*behaviour = NULL;
}

/* An event of ours, which is told at once. @real: now; @after_ns: CLOCK_REALTIME, too */
static void tell_own(const struct behaviour *b, enum event_kind kind, uint64_t after_ns,
		     uint64_t real, json_t *object, event_fn *tell, void *ctx)
{
	struct event event = { kind, after_ns < real ? after_ns : real, real, object };

	if (b->waiting.kinds & EVENT_BIT(kind) && object)
		tell(&event, ctx);
	event_free(&event);
}

/* @after_ns: CLOCK_BOOTTIME */
static void tell_now(const struct behaviour *b, enum event_kind kind, uint64_t after_ns,
		     json_t *object, event_fn *tell, void *ctx)
{
	const uint64_t real = now_ns(CLOCK_REALTIME);

	tell_own(b, kind, now_since_ns(real, after_ns), real, object, tell, ctx);
}

static void tell_waiting(struct behaviour *b, event_fn *tell, void *ctx)
{
	const uint64_t real = now_ns(CLOCK_REALTIME);
	uint64_t after_ns = b->waiting.v.n ? b->waiting.v.v[0].after_ns :
					     now_since_ns(real, b->moved_ns);

	for (size_t i = 0; i < b->waiting.v.n; i++)
		tell(&b->waiting.v.v[i], ctx);
	if (b->waiting.dropped)
		tell_own(b, EVENT_EVENTS_DROPPED, after_ns, real,
			 json_pack("{s:o}", "count", encode_count(b->waiting.dropped)), tell, ctx);
	drop_waiting(b);
}

/* The clock stands where it stood. */
static void stand_still(struct behaviour *b, event_fn *tell, void *ctx)
{
	uint64_t still = behaviour_still_ns(b);

	if (b->paused || still < PAUSED_AFTER_NS)
		return;
	b->paused = true;
	tell_now(b, EVENT_PAUSED, b->moved_ns,
		 json_pack("{s:o}", "seconds", encode_count(still / 1000000000)), tell, ctx);
}

static void move_on(struct behaviour *b, const struct pulse *pulse, event_fn *tell, void *ctx)
{
	if (b->paused)
		tell_now(b, EVENT_RESUMED, b->moved_ns, json_object(), tell, ctx);
	b->paused = false;
	b->pulse = *pulse;
	b->moved_mono_ns = now_ns(CLOCK_MONOTONIC);
	b->moved_ns = now_ns(CLOCK_BOOTTIME);
}

/*
 * Is it still that kernel, and has its clock moved on since the last look? The view is fresh.
 * Return: 1 (it has), 0, -ESTALE, -ESRCH, or an error of the read.
 */
static int feel_pulse(struct behaviour *b, const struct kernel *kernel, struct view *view,
		      event_fn *tell, void *ctx, struct err *err)
{
	bool first = !b->has_pulse;
	struct pulse pulse;
	int r;

	view_set_kernel(view, kernel->space);
	view_refuel(view, VIEW_FUEL_SWEEP);
	r = kernel_check(kernel, view, err);
	if (r >= 0)
		r = pulse_read(kernel, view, &pulse, err);
	if (r >= 0 && !first && pulse.ticks - b->pulse.ticks >
	    behaviour_still_ns(b) / 1000000 * TICKS_PER_MS + TICKS_TO_SPARE)
		r = err_set(err, -ESTALE, "the guest's clock jumped: it was reset");
	if (r == -ESRCH)
		tell_now(b, EVENT_GONE, b->moved_ns, json_object(), tell, ctx);
	if (r < 0)
		return r == -ESRCH ? r : -ESTALE;
	if (!first && pulse.ticks == b->pulse.ticks) {
		stand_still(b, tell, ctx);
		return 0;
	}
	b->has_pulse = true;
	move_on(b, &pulse, tell, ctx);
	return 1;
}

static void tell_incomplete(const struct part *part, struct part_state *state,
			    struct glance *glance, const struct err *err, int r)
{
	if (!glance->after_ns)
		glance->after_ns = glance->began_ns;
	state->incomplete++;
	if (state->incomplete != INCOMPLETE_FIRST && state->incomplete % INCOMPLETE_AGAIN)
		return;
	if (glance_wants(glance, EVENT_LOOK_INCOMPLETE))
		glance_tell(glance, EVENT_LOOK_INCOMPLETE,
			  json_pack("{s:s, s:o, s:o}",
				    "view", part->name,
				    "looks", encode_count(state->incomplete),
				    "reason", encode_text(err->code ? err->text :
							  strerror(-r))));
}

/* In a running guest these may be an update in flight. */
static bool may_pass(int r)
{
	return r == -EBADMSG || r == -EFAULT || r == -ESTALE;
}

/* What is read from now on is not older than this moment. */
static void glance_afresh(struct glance *glance)
{
	glance->began_ns = now_ns(CLOCK_BOOTTIME);
	glance->mono_ns = now_ns(CLOCK_MONOTONIC);
	view_refresh(glance->view);
}

static int look_at(const struct part *part, struct part_state *state, struct glance *glance,
		   struct err *err)
{
	bool complete;
	int r = -EBADMSG, bad;

	glance->first = !state->known;
	glance->after_ns = state->after_ns;
	for (unsigned n = 0; n < READS_MAX && may_pass(r); n++) {
		if (n)
			glance_afresh(glance);
		view_refuel(glance->view, VIEW_FUEL_SWEEP);
		*err = (struct err){0};
		r = part->read(state->own, glance, err);
	}
	if (r == -ESRCH || r == -ENOMEM)
		return r;
	complete = r >= 0;
	/* What was not seen to its end is no beginning either. */
	if (r <= 0 && (complete || state->known)) {
		bad = part->compare(state->own, glance, complete, complete ? err : NULL);
		if (bad == -ENOMEM || bad == -ESRCH)
			return bad;
		if (complete && bad < 0)
			r = bad;
	}
	if (r < 0) {
		glance->first = false;
		tell_incomplete(part, state, glance, err, r);
		return 0;
	}
	state->incomplete = 0;
	state->known = true;
	if (r != READ_NOTHING)
		state->after_ns = glance->began_ns;
	return 0;
}

static void tell_watch(struct behaviour *b, struct glance *glance)
{
	json_t *object = json_pack("{s:o}", "release", encode_text(glance->kernel->release));

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		if (parts[i]->count_name)
			encode_set(&object, parts[i]->count_name, b->parts[i].known ?
				   encode_count(parts[i]->count(b->parts[i].own)) : json_null());
	glance->first = false;
	glance->after_ns = glance->began_ns;
	if (glance_wants(glance, EVENT_WATCH))
		glance_tell(glance, EVENT_WATCH, object);
	else
		json_decref(object);
	b->begun = true;
}

int behaviour_look(struct behaviour *b, const struct kernel *kernel, struct view *view,
		   event_fn *tell, void *ctx, struct err *err)
{
	struct glance glance = { .kernel = kernel, .view = view, .waiting = &b->waiting };
	struct err own = {0};
	int r;

	glance_afresh(&glance);
	r = feel_pulse(b, kernel, view, tell, ctx, err);
	if (r < 0)
		return r;
	if (r > 0)
		tell_waiting(b, tell, ctx);
	else if (behaviour_still_ns(b) > QUIET_AFTER_NS)
		return b->waiting.v.n > 0;
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		if (!b->parts[i].own)
			continue;
		r = look_at(parts[i], &b->parts[i], &glance, &own);
		if (r == -ESRCH)
			tell_now(b, EVENT_GONE, b->moved_ns, json_object(), tell, ctx);
		if (r < 0)
			return wrap(err, r, "looking at the guest");
	}
	if (!b->begun)
		tell_watch(b, &glance);

	/* What comes to move after this confirms what was seen. */
	view_refresh(view);
	r = pulse_read(kernel, view, &b->pulse, &own);
	if (r == -ESRCH)
		tell_now(b, EVENT_GONE, b->moved_ns, json_object(), tell, ctx);
	if (r < 0)
		return err_set(err, r == -ESRCH ? r : -ESTALE, "%s", own.text);
	return b->waiting.v.n > 0;
}

int behaviour_settle(struct behaviour *b, const struct kernel *kernel, struct view *view,
		     event_fn *tell, void *ctx, struct err *err)
{
	struct pulse ended = b->pulse;
	int r;

	if (!b->waiting.v.n)
		return 0;
	view_refresh(view);
	r = feel_pulse(b, kernel, view, tell, ctx, err);
	if (r < 0)
		return r;
	if (r == 0)
		return 1;
	tell_waiting(b, tell, ctx);
	/* The next look is due whether or not the clock moves again until then. */
	b->pulse = ended;
	return 0;
}

uint64_t behaviour_still_ns(const struct behaviour *b)
{
	return b->has_pulse ? now_ns(CLOCK_MONOTONIC) - b->moved_mono_ns : 0;
}

static void forget(struct behaviour *b)
{
	drop_waiting(b);
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		if (b->parts[i].own)
			parts[i]->forget(b->parts[i].own);
}

void behaviour_reboot(struct behaviour *b, const char *was, const char *now, event_fn *tell,
		      void *ctx)
{
	forget(b);
	tell_now(b, EVENT_REBOOT, b->moved_ns,
		 json_pack("{s:o, s:o}", "release", encode_text(now), "before", encode_text(was)),
		 tell, ctx);
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		b->parts[i] = (struct part_state){ .own = b->parts[i].own };
	b->begun = b->has_pulse = b->paused = false;
}
