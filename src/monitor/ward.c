/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/ward.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/now.h"
#include "monitor/event.h"
#include "monitor/journal.h"
#include "monitor/parent.h"
#include "monitor/sealed.h"
#include "monitor/sentinel.h"
#include "report/encode.h"
#include "report/identity.h"

#define NS_PER_MS 1000000ull

/* So many reports in a row that do not count, as memory came or went meanwhile, are told of. */
#define PLUGGED_TOLD 3u

/*
 * A scanner that died again is started after 200 ms, and twice as late each time (backoff.h). At
 * most, so that who can end his scanner at will is not alone for longer: attaching is within the
 * budget.
 */
#define RESTART_MS     200u
#define RESTART_MAX_MS 3200u

/* One that found no kernel yet: a guest boots within seconds. */
#define BOOT_MS	    500u
#define BOOT_MAX_MS 4000u

/* Between two looks at whether a guest that stands still goes on. */
#define PROBE_MS 1000u

/* A scanner that has not found the kernel, or not swept, by then is taken for stuck. */
#define JOB_MAX_MS 120000u

/*
 * Guests that are attached to at the same time: that takes a scanner some 100 ms of CPU time, and
 * the parent a talk with QEMU, in which it does nothing else. Who takes longer than the slot, as
 * its guest has no kernel yet, keeps no other waiting.
 */
#define ATTACH_MAX     2u
#define ATTACH_SLOT_MS 1000u

static uint32_t attaching(const struct parent *parent, uint64_t now)
{
	uint32_t n = 0;

	for (size_t i = 0; i < parent->wards.n; i++) {
		const struct ward *ward = parent->wards.v[i];

		n += ward->scanner && !ward->ready &&
		     now - ward->job_started < ATTACH_SLOT_MS * NS_PER_MS;
	}
	return n;
}

/* One has been attached to: who is next? */
static void attach_next(const struct parent *parent, uint64_t now)
{
	for (size_t i = 0; i < parent->wards.n && attaching(parent, now) < ATTACH_MAX; i++)
		if (!parent->wards.v[i]->scanner)
			ward_tend(parent->wards.v[i], now);
}

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

static int watch_end(struct ward *ward, struct err *err)
{
	pid_t pid = ward->guest->pid;
	cleanup(fd_close) int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	uint64_t started;
	int r;

	if (fd < 0)
		return err_set(err, -errno, "process %d: %s", (int)pid, strerror(errno));
	/* Its PID may be another's since it was looked for. */
	if (fleet_started(pid, &started) < 0 || started != ward->guest->started)
		return err_set(err, -ESRCH, "process %d has ended", (int)pid);
	r = loop_add(&ward->parent->loop, fd, EPOLLIN, on_guest_end, ward, err);
	if (r >= 0)
		ward->pidfd = take_fd(&fd);
	return r;
}

bool ward_has_ended(const struct ward *ward)
{
	struct pollfd ended = { .fd = ward->pidfd, .events = POLLIN };

	return ward->pidfd >= 0 && poll(&ended, 1, 0) != 0;
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
	ward->pidfd = -1;
	if (!guest->xen) {
		r = watch_end(ward, err);
		if (r < 0)
			return r;
	}
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

/* Its clock stands still; libvirt may know why. */
static void set_still(struct ward *ward)
{
	char reason[sizeof(ward->reason)];

	snprintf(reason, sizeof(reason), "its clock stands still%s%s",
		 ward->stands ? ": " : "", ward->stands ? ward->stands : "");
	set_state(ward, GUEST_PAUSED, reason);
}

/* What no job stands for, is charged as attaching. */
static void charge_rest(struct ward *ward, uint64_t now)
{
	uint64_t cpu_ns = ward_scanner_cpu_ns(ward);

	if (cpu_ns > ward->charged)
		schedule_attached(ward->parent->schedule, ward->number, now,
				  cpu_ns - ward->charged);
	ward->charged = cpu_ns;
}

/* No jobs from the schedule; what ran is forgotten. */
static void stop_scanner(struct ward *ward, uint64_t now)
{
	charge_rest(ward, now);
	ward->charged = 0;
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
	uint64_t served = ward->ready ? now - ward->ready_at : 0;

	stop_scanner(ward, now);
	ward->died = died;
	if (died) {
		ward->restarts++;
		ward->next = now + backoff_next(&ward->deaths, served, RESTART_MS, RESTART_MAX_MS);
		parent_incident(ward->parent, ward->number,
				"the scanner of %s has ended: %s; started again in %llu ms",
				ward->guest->name, why,
				(unsigned long long)((ward->next - now) / NS_PER_MS));
	} else {
		ward->next = now + doubled(BOOT_MS, ward->failures++, BOOT_MAX_MS);
	}
	/* No kernel yet, or one that changes: it boots. */
	set_state(ward, died || code == -ENOENT || code == -ESTALE ? GUEST_STARTING :
								     GUEST_UNWATCHED, why);
	if (ward->next == now)
		ward_tend(ward, now);
	else
		parent_wake(ward->parent);
}

/* One that was found so early that it had made no process yet has made its first one by now. */
bool ward_boot_is_same(const struct ward_boot *then, const struct ward_boot *now)
{
	if (!memcmp(then, now, sizeof(*then)))
		return true;
	return !then->first_task && then->canary && then->canary == now->canary &&
	       then->text == now->text;
}

void ward_on_ready(struct ward *ward, const struct ward_boot *boot, const char *release)
{
	uint64_t now = now_ns(CLOCK_MONOTONIC);
	bool same = ward_boot_is_same(&ward->boot, boot);

	if (!same && ward->seen_up)
		journal(LOG_INFO, "guest %s has booted anew", ward->guest->name);
	ward->boot = *boot;
	ward->ready = true;
	ward->working = false;
	ward->ready_at = now;
	ward->died = false;
	charge_rest(ward, now);
	if (!same) {
		/* Nobody knows yet that it runs; what was found meanwhile may never have. */
		if (ward->seen_up)
			memcpy(ward->before, ward->release, sizeof(ward->before));
		snprintf(ward->release, sizeof(ward->release), "%s", release);
		ward->found_ns = now_ns(CLOCK_BOOTTIME);
		ward->seen_up = false;
		ward->unsteady = 0;
	}
	schedule_all(ward->parent->schedule, ward->number, now);
	schedule_pause(ward->parent->schedule, ward->number, false, now);
	/* Did it stand still before? Then one check tells whether it does, not all of them. */
	ward->probe = ward->unsteady ? now : 0;
	schedule_hold(ward->parent->schedule, ward->number, ward->unsteady > 0, now);
	attach_next(ward->parent, now);
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
	/* Once may be the end of a boot, another of which is found at once. */
	if (ward->stands || (ward->seen_up && ward->unsteady > 1))
		set_still(ward);
	else if (!ward->seen_up)
		set_state(ward, GUEST_STARTING, "its kernel does not run, or boots");
	ward->probe = now + PROBE_MS * NS_PER_MS;
	if (!is_power(ward->unsteady))
		return;
	stop_scanner(ward, now);
	ward->next = now;
}

int ward_tell_event(struct ward *ward, const struct event *event)
{
	/* Control knows which guest it is. */
	const struct identity identity = { .target = "", .hypervisor = "" };
	json_t *json = event->object ? event_json(event, identity_json(&identity)) : NULL;
	cleanup(freep) char *text = json_dump_text(json, 0);
	cleanup(fd_close) int fd = text ? sealed_make("hvsm-events", text, strlen(text), NULL) :
					  -ENOMEM;

	json_decref(json);
	return fd < 0 ? fd : parent_control_events(ward->parent, ward->number, fd);
}

/*
 * Another boot runs than the one that was seen last. Between these: when the last sweep began
 * that saw that one run, and when this one was found.
 */
static void tell_reboot(struct ward *ward)
{
	const uint64_t real = now_ns(CLOCK_REALTIME);
	struct event event = {
		.kind = EVENT_REBOOT, .after_ns = now_since_ns(real, ward->alive_ns),
		.before_ns = now_since_ns(real, ward->found_ns),
		.object = json_pack("{s:o, s:o}", "release", encode_text(ward->release),
				    "before", encode_text(ward->before)),
	};

	if (ward_tell_event(ward, &event) < 0)
		journal(LOG_WARNING, "%s has rebooted, and nobody is told", ward->guest->name);
	event_free(&event);
	ward->reboots++;
	ward->before[0] = '\0';
}

static void on_steady(struct ward *ward, uint64_t now)
{
	if (*ward->before)
		tell_reboot(ward);
	ward->alive_ns = now_ns(CLOCK_BOOTTIME) - (now - ward->job_started);
	if (ward->unsteady)
		schedule_all(ward->parent->schedule, ward->number, now);
	ward->seen_up = true;
	ward->unsteady = 0;
	ward->failures = 0;
	ward->probe = 0;
	schedule_hold(ward->parent->schedule, ward->number, false, now);
	set_state(ward, GUEST_WATCHED, "");
}

static void job_done(struct ward *ward, const struct schedule_cost *costs, size_t n, uint64_t now)
{
	bool was_probing = ward->probing;

	if (!was_probing)
		ward->charged = ward->job_cpu + ward->job_spent;
	ward->working = ward->probing = ward->handed = false;
	if (was_probing)
		charge_rest(ward, now);
	else
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
		ward->plugged = 0;
		ward->handed = parent_control_report(ward->parent, ward->number, verdict,
						     fd) >= 0;
		if (!ward->handed)
			job_done(ward, NULL, 0, now);
	}
	parent_work(ward->parent);
}

void ward_on_plugged(struct ward *ward)
{
	uint64_t now = now_ns(CLOCK_MONOTONIC);

	journal(LOG_INFO, "guest %s has other memory than before", ward->guest->name);
	/* A guest that can change it by itself must not keep what is found in it quiet. */
	if (++ward->plugged == PLUGGED_TOLD)
		parent_incident(ward->parent, ward->number, "%s has other memory each time that "
				"something is found in it: what it is does not count",
				ward->guest->name);
	ward->job_spent = ward_scanner_cpu_ns(ward) - ward->job_cpu;
	job_done(ward, NULL, 0, now);
	stop_scanner(ward, now);
	ward->next = now;
	ward_tend(ward, now);
	parent_work(ward->parent);
}

/* It is no news to anybody else: what is wrong, if anything is, these checks say. */
static void call_checks(struct ward *ward, uint32_t changed, uint64_t now)
{
	uint32_t checks[SENTINEL_CHECKS_MAX];
	size_t n = sentinel_checks(changed, checks);

	/* Modules that came or went are an event. */
	if (changed & SENTINEL_BIT(SENTINEL_LIST))
		schedule_look(ward->parent->schedule, ward->number, now);
	if (!n)
		return;
	ward->alarms++;
	schedule_call(ward->parent->schedule, ward->number, checks, n, now);
}

void ward_on_events(struct ward *ward, int fd, uint32_t changed)
{
	uint64_t now = now_ns(CLOCK_MONOTONIC);
	int r = fd < 0 ? 0 : parent_control_events(ward->parent, ward->number, fd);

	if (r < 0)
		journal(LOG_WARNING, "events of %s are lost: control is not there",
			ward->guest->name);
	ward->job_spent = ward_scanner_cpu_ns(ward) - ward->job_cpu;
	job_done(ward, NULL, 0, now);
	call_checks(ward, changed, now);
	parent_work(ward->parent);
}

void ward_taken(struct ward *ward, const struct schedule_cost *costs, size_t costs_n,
		uint64_t now)
{
	/* The scanner died meanwhile: its report was taken all the same. */
	if (ward->working && ward->handed)
		job_done(ward, costs, costs_n, now);
}

/* What it says next may be as false as this was; a new one has read nothing yet. */
void ward_refused(struct ward *ward)
{
	if (ward->working && ward->handed)
		ward_on_failure(ward, -EPROTO, "its report is not what a report is", true);
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
	if (ward->ready && ward->seen_up && paused)
		set_still(ward);
	else if (ward->ready && ward->seen_up)
		set_state(ward, GUEST_WATCHED, "");
}

void ward_renamed(struct ward *ward, uint64_t now)
{
	stop_scanner(ward, now);
	ward->next = now;
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
	r = job->look ? ward_scanner_look(ward, job, &err)
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

uint64_t ward_wake(const struct ward *ward, uint64_t now)
{
	uint64_t at = !ward->scanner ? ward->next :
		      ward->ready && !ward->working ? ward->probe : 0;

	/* What was due, and could not be done, waits for something else, or for the next tick. */
	return at > now ? at : UINT64_MAX;
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
	/* Where the last one died there was a pause; that need not be the guest's fault. */
	if (!ward->died &&
	    schedule_attach_at(ward->parent->schedule, ward->number, now) > now) {
		set_state(ward, GUEST_STARTING, "attached to more often than its CPU budget bears");
		return;
	}
	if (attaching(ward->parent, now) >= ATTACH_MAX)
		return;
	ward->job_started = now;
	r = ward_scanner_start(ward, &err);
	if (r < 0)
		ward_on_failure(ward, r, err.code ? err.text : strerror(-r), false);
}

void ward_hint(struct ward *ward, const struct libvirt_domain *domain, uint64_t now)
{
	enum libvirt_what what = domain ? domain->what : DOMAIN_RUNS;

	if (what != DOMAIN_CHANGED)
		ward->stands = what == DOMAIN_PAUSED ? libvirt_words(what, domain->why) : NULL;
	if (!domain || what == DOMAIN_CHANGED || what == DOMAIN_STOPPED ||
	    (what == DOMAIN_RUNS && ward->state == GUEST_WATCHED))
		return;
	/* A job that runs tells, too; where none does, one check does. */
	if (ward->ready && !ward->working) {
		schedule_hold(ward->parent->schedule, ward->number, true, now);
		ward->probe = now;
	} else if (!ward->scanner && !ward->died) {
		ward->next = now;
	}
	ward_tend(ward, now);
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
		.restarts = ward->restarts, .reboots = ward->reboots,
		.alarms = ward->alarms,
	};
}
