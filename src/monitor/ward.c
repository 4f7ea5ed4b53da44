/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/ward.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/now.h"
#include "monitor/journal.h"
#include "monitor/parent.h"

#define NS_PER_MS 1000000ull

/* A scanner that died is started again after 200 ms, and twice as late each time; at most: */
#define RESTART_MS     200u
#define RESTART_MAX_MS 30000u

/* One that found no kernel yet: a guest boots within seconds. */
#define BOOT_MS	    500u
#define BOOT_MAX_MS 4000u

/* Who has run so long without an accident is not one that dies all the time. */
#define HEALTHY_MS 60000u

/* Between two looks at whether a guest that stands still goes on. */
#define PROBE_MS 1000u

/* A scanner that has not found the kernel, or not swept, by then is taken for stuck. */
#define JOB_MAX_MS 120000u

static int on_guest_end(int fd, uint32_t events, void *ctx, struct err *err)
{
	struct ward *ward = ctx;
	struct parent *parent = ward->parent;

	(void)fd;
	(void)events;
	(void)err;
	parent_guest_ended(parent, ward->number);
	return 0;
}

int ward_create(struct parent *parent, const struct fleet_guest *guest, struct ward **ret,
		struct err *err)
{
	cleanup(ward_free) struct ward *ward = calloc(1, sizeof(*ward));
	int r;

	if (!ward)
		return -ENOMEM;
	ward->parent = parent;
	ward->guest = guest;
	ward->number = guest->number;
	ward->pidfd = (int)syscall(SYS_pidfd_open, guest->pid, 0);
	if (ward->pidfd < 0)
		return err_set(err, -errno, "process %d: %s", (int)guest->pid, strerror(errno));
	r = loop_add(&parent->loop, ward->pidfd, EPOLLIN, on_guest_end, ward, err);
	if (r < 0)
		return r;
	*ret = take_ptr(&ward);
	return 0;
}

void ward_free(struct ward **ward)
{
	if (!*ward)
		return;
	ward_scanner_end(*ward);
	if ((*ward)->pidfd >= 0) {
		loop_remove(&(*ward)->parent->loop, (*ward)->pidfd);
		close((*ward)->pidfd);
	}
	free(*ward);
	*ward = NULL;
}

static void set_state(struct ward *ward, enum guest_state state, const char *reason)
{
	bool news = ward->state != state || strcmp(ward->reason, reason) != 0;

	ward->state = state;
	snprintf(ward->reason, sizeof(ward->reason), "%s", reason);
	if (news)
		parent_control_guest(ward->parent, ward);
}

/* No jobs from the schedule; what ran is forgotten. */
static void stop_scanner(struct ward *ward, uint64_t now)
{
	ward->cpu_ns += ward_scanner_cpu_ns(ward);
	ward_scanner_end(ward);
	ward->ready = ward->working = ward->probing = ward->handed = false;
	ward->probe = 0;
	schedule_hold(ward->parent->schedule, ward->number, true, now);
}

static uint64_t doubled(uint32_t ms, uint32_t times, uint32_t most_ms)
{
	while (times-- && ms < most_ms)
		ms *= 2;
	return (ms < most_ms ? ms : most_ms) * NS_PER_MS;
}

void ward_on_failure(struct ward *ward, int code, const char *why, bool died)
{
	uint64_t now = now_ns(CLOCK_MONOTONIC);

	if (ward->ready && now - ward->ready_at > HEALTHY_MS * NS_PER_MS)
		ward->failures = 0;
	stop_scanner(ward, now);
	if (died) {
		ward->restarts++;
		ward->next = now + doubled(RESTART_MS, ward->failures, RESTART_MAX_MS);
		parent_incident(ward->parent, ward->number,
				"the scanner of %s has ended: %s; started again in %llu ms",
				ward->guest->name, why,
				(unsigned long long)((ward->next - now) / NS_PER_MS));
	} else {
		ward->next = now + doubled(BOOT_MS, ward->failures, BOOT_MAX_MS);
	}
	ward->failures++;
	/* No kernel yet, or one that changes: it boots. */
	set_state(ward, died || code == -ENOENT || code == -ESTALE ? GUEST_STARTING :
								     GUEST_UNWATCHED, why);
}

void ward_on_ready(struct ward *ward, const struct ward_boot *boot)
{
	uint64_t now = now_ns(CLOCK_MONOTONIC);
	bool same = !memcmp(&ward->boot, boot, sizeof(*boot));

	ward->boot = *boot;
	ward->ready = true;
	ward->working = false;
	ward->ready_at = now;
	if (!same) {
		ward->seen_up = false;
		ward->unsteady = 0;
	}
	schedule_all(ward->parent->schedule, ward->number, now);
	schedule_pause(ward->parent->schedule, ward->number, false, now);
	/* Did it stand still before? Then one check tells whether it does, not all of them. */
	ward->probe = ward->unsteady ? now : 0;
	schedule_hold(ward->parent->schedule, ward->number, ward->unsteady > 0, now);
	parent_work(ward->parent);
}

/* Is @n a power of two? */
static bool is_power(uint32_t n)
{
	return n && !(n & (n - 1));
}

/*
 * It did not run while it was looked at. A boot that was seen to run has been paused, or reset:
 * what is left of its kernel lies there for a while. Which it is, and what runs instead, tells
 * another look from the start, now and then.
 */
static void on_unsteady(struct ward *ward, uint64_t now)
{
	ward->unsteady++;
	schedule_hold(ward->parent->schedule, ward->number, true, now);
	if (ward->seen_up && ward->unsteady > 1)
		set_state(ward, GUEST_PAUSED, "its clock stands still");
	else
		set_state(ward, GUEST_STARTING, "its kernel does not run, or boots");
	ward->probe = now + PROBE_MS * NS_PER_MS;
	if (!is_power(ward->unsteady))
		return;
	stop_scanner(ward, now);
	ward->next = now;
}

static void on_steady(struct ward *ward, uint64_t now)
{
	if (ward->unsteady)
		schedule_all(ward->parent->schedule, ward->number, now);
	ward->seen_up = true;
	ward->unsteady = 0;
	ward->failures = ward->restarts ? ward->failures : 0;
	ward->probe = 0;
	schedule_hold(ward->parent->schedule, ward->number, false, now);
	set_state(ward, GUEST_WATCHED, "");
}

static void job_done(struct ward *ward, const struct schedule_cost *costs, size_t n, uint64_t now)
{
	bool was_probing = ward->probing;

	ward->working = ward->probing = ward->handed = false;
	if (!was_probing)
		schedule_done(ward->parent->schedule, ward->number, now, ward->job_spent, costs, n);
}

void ward_on_report(struct ward *ward, int fd, uint8_t verdict, bool steady)
{
	uint64_t now = now_ns(CLOCK_MONOTONIC);

	if (!ward->working || ward->handed) {
		ward_on_failure(ward, -EPROTO, "a report that nobody asked for", true);
		return;
	}
	ward->job_spent = ward_scanner_cpu_ns(ward) - ward->job_cpu;
	if (!steady) {
		/* Nothing was seen, and nothing is said of it. */
		job_done(ward, NULL, 0, now);
		on_unsteady(ward, now);
	} else if (ward->probing) {
		/* It runs: all of it is looked at next. */
		job_done(ward, NULL, 0, now);
		on_steady(ward, now);
	} else {
		on_steady(ward, now);
		ward->handed = parent_control_report(ward->parent, ward->number, verdict,
						     fd) >= 0;
		if (!ward->handed)
			job_done(ward, NULL, 0, now);
	}
	parent_work(ward->parent);
}

void ward_on_events(struct ward *ward, int fd)
{
	uint64_t now = now_ns(CLOCK_MONOTONIC);
	int r = fd < 0 ? 0 : parent_control_events(ward->parent, ward->number, fd);

	if (r < 0)
		journal(LOG_WARNING, "events of %s are lost: control is not there",
			ward->guest->name);
	ward->job_spent = ward_scanner_cpu_ns(ward) - ward->job_cpu;
	job_done(ward, NULL, 0, now);
	parent_work(ward->parent);
}

void ward_taken(struct ward *ward, const struct schedule_cost *costs, size_t costs_n,
		uint64_t now)
{
	/* The scanner died meanwhile: its report was taken all the same. */
	if (ward->working && ward->handed)
		job_done(ward, costs, costs_n, now);
}

void ward_lost(struct ward *ward, uint64_t now)
{
	if (ward->handed)
		job_done(ward, NULL, 0, now);
	schedule_all(ward->parent->schedule, ward->number, now);
}

void ward_pause(struct ward *ward, bool paused, uint64_t now)
{
	schedule_pause(ward->parent->schedule, ward->number, paused, now);
	if (ward->ready && ward->seen_up)
		set_state(ward, paused ? GUEST_PAUSED : GUEST_WATCHED,
			  paused ? "its clock stands still" : "");
}

static void begin(struct ward *ward, uint64_t now)
{
	ward->working = true;
	ward->job_started = now;
	ward->job_cpu = ward_scanner_cpu_ns(ward);
}

void ward_start(struct ward *ward, const struct schedule_job *job, uint64_t now)
{
	struct err err = { 0 };
	int r;

	begin(ward, now);
	r = job->look ? ward_scanner_look(ward, &err)
		      : ward_scanner_sweep(ward, job->checks, job->checks_n, &err);
	if (r < 0)
		ward_on_failure(ward, r, err.code ? err.text : strerror(-r), true);
}

/* The first check that there is: whether the guest runs comes out of any. */
static void probe(struct ward *ward, uint64_t now)
{
	static const uint32_t one;
	struct err err = { 0 };
	int r;

	begin(ward, now);
	ward->probing = true;
	r = ward_scanner_sweep(ward, &one, 1, &err);
	if (r < 0)
		ward_on_failure(ward, r, err.code ? err.text : strerror(-r), true);
}

void ward_tend(struct ward *ward, uint64_t now)
{
	struct err err = { 0 };
	int r;

	if (ward->scanner) {
		bool busy = ward->working && !ward->handed;

		if ((busy || !ward->ready) && now - ward->job_started > JOB_MAX_MS * NS_PER_MS)
			ward_on_failure(ward, -ETIMEDOUT, "it did not answer", true);
		else if (ward->ready && !ward->working && ward->probe && ward->probe <= now)
			probe(ward, now);
		return;
	}
	if (now < ward->next)
		return;
	if (ward->guest->why_not.code) {
		set_state(ward, GUEST_UNWATCHED, ward->guest->why_not.text);
		return;
	}
	ward->job_started = now;
	r = ward_scanner_start(ward, &err);
	if (r < 0)
		ward_on_failure(ward, r, err.code ? err.text : strerror(-r), false);
}

void ward_tell(const struct ward *ward, uint64_t now, struct link_guest *ret)
{
	struct schedule_stats stats = { .stretch = 1 };
	const struct fleet_guest *guest = ward->guest;

	if (schedule_stats(ward->parent->schedule, ward->number, now, &stats) < 0)
		stats.stretch = 1;
	*ret = (struct link_guest){
		.number = ward->number, .state = ward->state,
		.key = guest->key, .name = guest->name, .uuid = guest->uuid,
		.target = guest->target, .hypervisor = guest->hypervisor,
		.reason = *ward->reason ? ward->reason : NULL,
		.share_ppm = (uint64_t)(stats.share * 1e6),
		.stretch_ppm = (uint64_t)(stats.stretch * 1e6),
		.cpu_ns = ward->cpu_ns + ward_scanner_cpu_ns(ward),
		.memory_bytes = ward_scanner_memory_bytes(ward),
		.restarts = ward->restarts,
	};
}
