/* SPDX-License-Identifier: Apache-2.0 */

/* The scanner of a guest: the process, and what is said to it. What it is for: ward.c. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/now.h"
#include "check/check.h"
#include "monitor/journal.h"
#include "monitor/material.h"
#include "monitor/parent.h"
#include "monitor/protocol.h"
#include "monitor/session.h"
#include "ram/guests.h"
#include "ram/qemu.h"
#include "ram/served.h"

/* A process grows by some MiB for a thread, by more for memory that is plugged in. */
#define PLUGGED_MIN  (16ull << 20)
#define PLUGGING_NS  (30 * 1000000000ull)
#define ASK_AGAIN_NS (60 * 1000000000ull)
#define DENIED_NS    (5 * 1000000000ull)

struct ward_scanner {
	struct session session;
	struct material material;
	struct ram *ram;		/* of a guest that is served (ram/served.h); else NULL */
	struct ram_range *ranges;	/* that were handed over */
	size_t ranges_n;
	uint64_t size_bytes;		/* of the guest's process then, or when it was asked */
	uint64_t asked;			/* when that was, CLOCK_MONOTONIC; 0: never */
	uint64_t places, areas;		/* of the memory then: qemu_areas() */
	bool room;			/* more may be plugged in … */
	bool unsure;			/* … and what was could not be told */
	uint64_t denied;		/* when it was found that nothing more is there; 0: never */
	uint64_t cpu_ns;		/* what it took to find that out */
	int fd;				/* of its channel, as long as the loop waits for it; -1 */
	clockid_t clock;		/* its CPU time */
	bool waiting;			/* for what there is to compare it with */
	bool compromised;		/* so said a report: nothing more of it is recorded */
	bool unrecorded;		/* the store took nothing: that was told */
};

static void said(const char *text, void *ctx)
{
	const struct ward *ward = ctx;

	journal(LOG_NOTICE, "%s: %s", ward->guest->name, text);
}

/* It is told what there is to compare its guest with. */
static int grant(struct ward *ward, struct err *err)
{
	struct ward_scanner *scanner = ward->scanner;
	struct session *session = &scanner->session;
	const struct kernel_boot *kernel = &session->kernel.boot;
	const struct ward_boot boot = {
		.text = session->kernel.text.v, .canary = kernel->canary,
		.first_task = kernel->first_task.v, .first_task_ns = kernel->first_task_ns,
	};
	int r;

	scanner->waiting = false;
	material_lend(&scanner->material, &session->broker, said, ward);
	r = session_grant(session, err);
	if (r >= 0)
		ward_on_ready(ward, &boot, session->kernel.release);
	return r;
}

/* Its kernel is known. */
static int on_ready(struct ward *ward, struct err *err)
{
	struct ward_scanner *scanner = ward->scanner;
	int r = material_open(&ward->parent->materials, ward->parent->config, ward->guest,
			      &scanner->session.kernel, said, ward, &scanner->material, err);

	if (r < 0)
		return r;
	scanner->waiting = !material_is_ready(&scanner->material);
	return scanner->waiting ? 0 : grant(ward, err);
}

void ward_scanner_resume(struct ward *ward)
{
	struct ward_scanner *scanner = ward->scanner;
	struct err err = { 0 };
	int r;

	if (!scanner || !scanner->waiting || !material_is_ready(&scanner->material))
		return;
	r = grant(ward, &err);
	if (r < 0)
		ward_on_failure(ward, r, err.code ? err.text : strerror(-r), true);
}

/* All that the guest's process has mapped; 0: it is gone, or none. */
static uint64_t size_of(const struct fleet_guest *guest)
{
	cleanup(file_close) FILE *file = NULL;
	unsigned long long pages;
	char path[64];

	if (!guest->pid)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/statm", (int)guest->pid);
	file = fopen(path, "re");
	if (!file || fscanf(file, "%llu", &pages) != 1)
		return 0;
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/*
 * May its layout be another now? Where all was clean it does not matter. No guest can make us ask
 * all the time.
 */
static bool may_have_changed(struct ward *ward, uint64_t now, bool *by_read)
{
	struct ward_scanner *scanner = ward->scanner;
	const struct session_report *report = &scanner->session.report;
	uint64_t size, areas = scanner->areas;

	if (scanner->room && report->verdict != VERDICT_CLEAN) {
		/* Memory is there before the guest is told: who was asked then knew it. */
		if (report->in_room && !scanner->unsure &&
		    (!scanner->denied || now - scanner->denied > DENIED_NS)) {
			*by_read = true;
			return true;
		}
		if (qemu_areas(ward->guest->pid, &areas, NULL) == 0 && areas != scanner->areas) {
			scanner->areas = areas;
			return true;
		}
	}
	size = report->outside ? size_of(ward->guest) : 0;
	if (!size)
		return false;
	return size > scanner->size_bytes + PLUGGED_MIN ||
	       (scanner->asked && (now - scanner->asked < PLUGGING_NS ||
				   now - scanner->asked > ASK_AGAIN_NS));
}

/* Is there RAM where it had none, or is some of it another piece of the process's memory? */
static bool is_another(const struct ward_scanner *scanner, const struct ram *ram)
{
	const struct ram old = { .ranges = scanner->ranges, .ranges_n = scanner->ranges_n };

	if (scanner->room && ram->places != scanner->places)
		return true;
	for (size_t i = 0; i < ram->ranges_n; i++)
		if (!ram_has(&old, ram->ranges[i].start, ram->ranges[i].size_bytes))
			return true;
	return false;
}

/*
 * The scanner read where there was no RAM when the guest was opened, or found something. If there
 * is by now, or other memory than then, what it says is about half a guest, and it could not know.
 */
static bool was_plugged(struct ward *ward)
{
	struct ward_scanner *scanner = ward->scanner;
	uint64_t now = now_ns(CLOCK_MONOTONIC), cpu = now_ns(CLOCK_THREAD_CPUTIME_ID);
	cleanup(ram_close) struct ram *ram = NULL;
	bool by_read = false;
	struct guest found;
	int r;

	if (!may_have_changed(ward, now, &by_read))
		return false;
	r = guests_resolve_unread(ward->guest->target, &found, &ram, NULL);
	/* The work of finding out is the guest's. */
	scanner->cpu_ns += now_ns(CLOCK_THREAD_CPUTIME_ID) - cpu;
	if (r < 0)
		return false;
	guest_free(&found);
	if (is_another(scanner, ram))
		return true;
	if (by_read)
		scanner->denied = now_ns(CLOCK_MONOTONIC);
	/* A device comes a moment after its memory. */
	if (size_of(ward->guest) > scanner->size_bytes + PLUGGED_MIN ||
	    now - scanner->asked > ASK_AGAIN_NS)
		scanner->asked = now;
	scanner->size_bytes = size_of(ward->guest);
	return false;
}

/* A store that cannot be written to is told of once, until it can. */
static void record(struct ward *ward)
{
	struct ward_scanner *scanner = ward->scanner;
	struct err err = { 0 };
	bool failed = baseline_commit(scanner->material.baseline, &err) < 0;

	if (failed && !scanner->unrecorded)
		said(err.text, ward);
	scanner->unrecorded = failed;
}

static void on_report(struct ward *ward)
{
	struct ward_scanner *scanner = ward->scanner;
	struct session_report *report = &scanner->session.report;
	cleanup(fd_close) int fd = take_fd(&report->fd);

	if (was_plugged(ward)) {
		ward_on_plugged(ward);
		return;
	}
	scanner->compromised |= report->verdict == VERDICT_COMPROMISED;
	if (scanner->material.baseline && report->steady && !scanner->compromised)
		record(ward);
	ward_on_report(ward, fd, (uint8_t)report->verdict, report->steady);
}

static void on_events(struct ward *ward)
{
	cleanup(fd_close) int fd = take_fd(&ward->scanner->session.events);

	ward_on_events(ward, fd, ward->scanner->session.changed);
}

static int on_news(int fd, uint32_t events, void *ctx, struct err *err)
{
	struct ward *ward = ctx;
	struct session *session = &ward->scanner->session;
	struct err why = { 0 };
	int r = session_next(session, 0, &why);
	enum session_news news = session->news;

	(void)fd;
	(void)events;
	(void)err;
	if (r == -ETIMEDOUT)
		return 0;
	if (r >= 0 && news == NEWS_READY)
		r = on_ready(ward, &why);
	if (r < 0) {
		ward_on_failure(ward, r, why.code ? why.text : strerror(-r), true);
		return 0;
	}
	/* The scanner may be another one by now, but for these. */
	switch (news) {
	case NEWS_SAID:
		said(session->said, ward);
		break;
	case NEWS_REPORT:
		on_report(ward);
		break;
	case NEWS_EVENTS:
		on_events(ward);
		break;
	case NEWS_FAILED:
		why = session->failed;
		ward_on_failure(ward, why.code, why.text, false);
		break;
	default:
		break;
	}
	return 0;
}

/* What the guest had when it was opened. */
static int note_ranges(struct ward *ward, const struct ram *ram)
{
	struct ward_scanner *scanner = ward->scanner;

	scanner->ranges = calloc(ram->ranges_n + 1, sizeof(*scanner->ranges));
	if (!scanner->ranges)
		return -ENOMEM;
	if (ram->ranges_n)
		memcpy(scanner->ranges, ram->ranges, ram->ranges_n * sizeof(*ram->ranges));
	scanner->ranges_n = ram->ranges_n;
	scanner->places = ram->places;
	scanner->room = ram->room.size_bytes;
	scanner->unsure = ram->unsure;
	return 0;
}

/* The memory is only needed until it is handed over, where it is. */
static int open_guest(struct ward *ward, struct err *err)
{
	const struct fleet_guest *guest = ward->guest;
	const struct identity identity = {
		.name = guest->name, .uuid = guest->uuid, .target = guest->target,
		.hypervisor = guest->hypervisor,
	};
	cleanup(ram_close) struct ram *ram = NULL;
	struct guest found;
	int r;

	/* Before: what is plugged in meanwhile counts as new. */
	ward->scanner->size_bytes = size_of(guest);
	if (guest->pid && qemu_areas(guest->pid, &ward->scanner->areas, NULL) < 0)
		ward->scanner->areas = 0;
	r = guests_resolve_unread(guest->target, &found, &ram, err);
	if (r < 0)
		return r;
	guest_free(&found);
	/* It still runs, so what was opened by its PID is no other's. */
	if (ward_has_ended(ward))
		return err_set(err, -ESRCH, "its process has ended");
	r = note_ranges(ward, ram);
	if (r >= 0)
		r = session_open(&ward->scanner->session, ram, &identity, err);
	if (r >= 0 && ram_is_served(ram))
		ward->scanner->ram = take_ptr(&ram);
	return r;
}

int ward_scanner_start(struct ward *ward, struct err *err)
{
	struct ward_scanner *scanner = calloc(1, sizeof(*scanner));
	int r;

	if (!scanner)
		return -ENOMEM;
	scanner->session = SESSION_NONE;
	scanner->fd = -1;
	ward->scanner = scanner;
	r = session_start(&scanner->session, err);
	scanner->session.unread = true;
	if (r >= 0)
		r = -clock_getcpuclockid(scanner->session.process.pid, &scanner->clock);
	if (r >= 0)
		r = open_guest(ward, err);
	if (r >= 0)
		r = loop_add(&ward->parent->loop, scanner->session.channel.fd, EPOLLIN, on_news,
			     ward, err);
	if (r >= 0)
		scanner->fd = scanner->session.channel.fd;
	return r;
}

void ward_scanner_end(struct ward *ward)
{
	if (!ward->scanner)
		return;
	/* The session may have closed it already. */
	if (ward->scanner->fd >= 0)
		loop_remove(&ward->parent->loop, ward->scanner->fd);
	session_end(&ward->scanner->session);
	ram_close(&ward->scanner->ram);
	free(ward->scanner->ranges);
	material_close(&ward->scanner->material);
	free(ward->scanner);
	ward->scanner = NULL;
}

int ward_scanner_sweep(struct ward *ward, const uint32_t *checks, size_t n, struct err *err)
{
	size_t all_n;
	const struct check *const *all = checks_all(&all_n);
	cleanup(freep) const char **ids = calloc(n + 1, sizeof(*ids));
	struct ram *ram = ward->scanner->ram;

	if (!ids)
		return -ENOMEM;
	/* Where they cannot be read none are known, and their check says so. */
	if (ram && ram_read_registers(ram, NULL) == -ENOMEM)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		ids[i] = all[checks[i]]->id;
	return session_sweep(&ward->scanner->session, SWEEP_JSON, ids, n,
			     ram ? ram->cpus : NULL, ram ? ram->cpus_n : 0, err);
}

int ward_scanner_look(struct ward *ward, const struct schedule_job *job, struct err *err)
{
	uint64_t us = job->watch_ns / 1000;

	return session_look(&ward->scanner->session, job->events,
			    us < UINT32_MAX ? (uint32_t)us : UINT32_MAX, err);
}

uint64_t ward_scanner_cpu_ns(const struct ward *ward)
{
	const struct session *session = ward->scanner ? &ward->scanner->session : NULL;

	/* What is copied and looked up for it is its work, too. */
	return session && session->process.pid > 0 ?
		       now_ns(ward->scanner->clock) + session->pages.cpu_ns +
			       session->broker.cpu_ns + ward->scanner->cpu_ns : 0;
}

/* What is resident and no file's: /proc/PID/statm, in pages. */
uint64_t ward_scanner_memory_bytes(const struct ward *ward)
{
	cleanup(file_close) FILE *file = NULL;
	unsigned long long resident, shared;
	char path[64];

	if (!ward->scanner || ward->scanner->session.process.pid <= 0)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/statm", (int)ward->scanner->session.process.pid);
	file = fopen(path, "re");
	if (!file || fscanf(file, "%*u %llu %llu", &resident, &shared) != 2 || shared > resident)
		return 0;
	return (resident - shared) * (uint64_t)sysconf(_SC_PAGESIZE);
}
