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

struct ward_scanner {
	struct session session;
	struct material material;
	int fd;				/* of its channel, as long as the loop waits for it; -1 */
	clockid_t clock;		/* its CPU time */
	bool compromised;		/* so said a report: nothing more of it is recorded */
};

static void said(const char *text, void *ctx)
{
	const struct ward *ward = ctx;

	journal(LOG_NOTICE, "%s: %s", ward->guest->name, text);
}

/* Its kernel is known: now it can be told what there is to compare it with. */
static int on_ready(struct ward *ward, struct err *err)
{
	struct ward_scanner *scanner = ward->scanner;
	struct session *session = &scanner->session;
	const struct kernel_boot *kernel = &session->kernel.boot;
	const struct ward_boot boot = {
		.text = session->kernel.text.v, .canary = kernel->canary,
		.first_task = kernel->first_task.v, .first_task_ns = kernel->first_task_ns,
	};
	int r = material_open(&ward->parent->materials, ward->parent->config, ward->guest,
			      &session->kernel, said, ward, &scanner->material, err);

	if (r < 0)
		return r;
	material_lend(&scanner->material, &session->broker);
	r = session_grant(session, err);
	if (r >= 0)
		ward_on_ready(ward, &boot);
	return r;
}

static void on_report(struct ward *ward)
{
	struct ward_scanner *scanner = ward->scanner;
	struct session_report *report = &scanner->session.report;
	cleanup(fd_close) int fd = take_fd(&report->fd);
	struct err err = { 0 };

	scanner->compromised |= report->verdict == VERDICT_COMPROMISED;
	if (scanner->material.baseline && report->steady && !scanner->compromised &&
	    baseline_commit(scanner->material.baseline, &err) < 0)
		said(err.text, ward);
	ward_on_report(ward, fd, (uint8_t)report->verdict, report->steady);
}

static void on_events(struct ward *ward)
{
	cleanup(fd_close) int fd = take_fd(&ward->scanner->session.events);

	ward_on_events(ward, fd);
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

/* The memory is only needed until it is handed over. */
static int open_guest(struct ward *ward, struct err *err)
{
	const struct fleet_guest *guest = ward->guest;
	const struct identity identity = {
		.name = guest->name, .uuid = guest->uuid, .target = guest->target,
		.hypervisor = guest->hypervisor,
	};
	cleanup(ram_close) struct ram *ram = NULL;
	struct guest found;
	int r = guests_resolve_unread(guest->target, &found, &ram, err);

	if (r < 0)
		return r;
	guest_free(&found);
	return session_open(&ward->scanner->session, ram, &identity, err);
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
	material_close(&ward->scanner->material);
	free(ward->scanner);
	ward->scanner = NULL;
}

int ward_scanner_sweep(struct ward *ward, const uint32_t *checks, size_t n, struct err *err)
{
	size_t all_n;
	const struct check *const *all = checks_all(&all_n);
	cleanup(freep) const char **ids = calloc(n + 1, sizeof(*ids));

	if (!ids)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		ids[i] = all[checks[i]]->id;
	return session_sweep(&ward->scanner->session, SWEEP_JSON, ids, n, NULL, 0, err);
}

int ward_scanner_look(struct ward *ward, struct err *err)
{
	return session_look(&ward->scanner->session, err);
}

uint64_t ward_scanner_cpu_ns(const struct ward *ward)
{
	return ward->scanner && ward->scanner->session.process.pid > 0 ?
		       now_ns(ward->scanner->clock) : 0;
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
