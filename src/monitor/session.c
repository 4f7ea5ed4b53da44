/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/session.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/escape.h"
#include "base/limits.h"
#include "monitor/heard.h"
#include "monitor/protocol.h"
#include "monitor/sentinel.h"
#include "monitor/sandbox.h"
#include "monitor/scanner.h"
#include "ram/handover.h"

/*
 * Remarks between two things that it is told: it has some for a guest and some for a sweep, and
 * each is a line of the log.
 */
#define REMARKS_MAX 16u

/* It has ended, or is just about to. */
#define END_MS 1000

/* --- the process --- */

int session_start(struct session *session, struct err *err)
{
	int fds[2], r = channel_pair(fds, err);

	if (r < 0)
		return r;
	*session = SESSION_NONE;
	channel_init(&session->channel, fds[0], ROLE_STARTER, ROLE_SCANNER, protocol_rules,
		     protocol_rules_n);
	r = spawn_role(SCANNER_ROLE, NULL, fds[1], &session->process, err);
	close(fds[1]);
	if (r < 0)
		session_end(session);
	return r;
}

/* Why it is gone, in words. */
static int ended(struct session *session, struct err *err)
{
	struct pollfd end = { .fd = session->process.pidfd, .events = POLLIN };
	char name[48], how[64];

	channel_close(&session->channel);
	if (session->process.pid < 0)
		return err_set(err, -EPIPE, "its scanner is gone");
	/* It closed its channel: if that was not its end, it is now. */
	if (poll(&end, 1, END_MS) <= 0) {
		spawn_kill(&session->process);
		return err_set(err, -EPIPE, "its scanner closed its channel");
	}
	spawn_wait(&session->process, true, how, sizeof(how));
	if (session->forbidden >= 0) {
		sandbox_call_name((uint32_t)session->forbidden, name, sizeof(name));
		return err_set(err, -EPIPE, "its scanner made system call %lld (%s), which its "
			       "sandbox forbids: %s", (long long)session->forbidden, name, how);
	}
	return err_set(err, -EPIPE, "its scanner has ended: %s", how);
}

static void report_free(struct session_report *report)
{
	json_decref(report->json);
	sealed_unmap(&report->text);
	fd_close(&report->fd);
	*report = (struct session_report){ .fd = -1 };
}

void session_end(struct session *session)
{
	channel_close(&session->channel);
	/* It may be in the middle of a sweep: nobody waits for what it would say. */
	spawn_kill(&session->process);
	report_free(&session->report);
	fd_close(&session->events);
	fd_close(&session->profile);
	free(session->kernel_json);
	*session = SESSION_NONE;
}

/* --- what it is told --- */

/*
 * It has read all that it was told before, or else it has not done that: there is room. Nobody
 * waits, for other guests do.
 */
static int tell(struct session *session, uint32_t type, const struct writer *body, const int *fds,
		size_t fds_n, struct err *err)
{
	int r = channel_send_written(&session->channel, type, body, fds, fds_n, 0, err);

	session->remarks = 0;
	return r == -ETIMEDOUT ? channel_violated(&session->channel, err, "it does not read what "
						  "it is told") : r;
}

int session_open(struct session *session, struct ram *ram, const struct identity *identity,
		 struct err *err)
{
	cleanup(handover_free) struct handover handover = {0};
	cleanup(fd_close) int text = -1;
	int fds[CHANNEL_FDS_MAX], r = handover_of(ram, &handover, err);
	uint8_t room[CHANNEL_BODY_MAX];
	struct writer w = writer_of(room, sizeof(room));

	if (r < 0)
		return r;
	text = sealed_make("hvsm-guest", handover.text.data, handover.text.n, err);
	if (text < 0)
		return text;
	fds[0] = text;
	memcpy(fds + 1, handover.fds, handover.fds_n * sizeof(fds[0]));
	pages_lend(&session->pages, ram);
	session->identity = *identity;
	write_text(&w, identity->name);
	write_text(&w, identity->uuid);
	write_text(&w, identity->target);
	write_text(&w, identity->hypervisor);
	session->state = SESSION_OPENING;
	return tell(session, MSG_OPEN, &w, fds, handover.fds_n + 1, err);
}

int session_grant(struct session *session, struct err *err)
{
	return broker_grant(&session->broker, &session->channel, err);
}

/* Those of the vectors that have one. */
static void write_traps(struct writer *w, const struct trap *traps)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < TRAPS; i++)
		n += traps[i].at != 0;
	write_u32(w, n);
	for (uint32_t i = 0; i < TRAPS; i++) {
		if (!traps[i].at)
			continue;
		write_u8(w, (uint8_t)i);
		write_u8(w, traps[i].flags);
		write_bytes(w, &traps[i].cs, sizeof(traps[i].cs));
		write_u64(w, traps[i].at);
	}
}

static int registers_file(const struct registers *cpus, size_t n, struct err *err)
{
	size_t size = 4 + n * REGISTERS_BYTES_MAX;
	cleanup(freep) uint8_t *room = malloc(size);
	struct writer w = writer_of(room, size);

	if (!room || n > CPUS_MAX)
		return err_set(err, -ENOMEM, "no memory for registers");
	write_u32(&w, (uint32_t)n);
	for (size_t i = 0; i < n; i++) {
		const struct registers *cpu = &cpus[i];

		write_u32(&w, cpu->have);
		write_u64(&w, cpu->cr0);
		write_u64(&w, cpu->cr3);
		write_u64(&w, cpu->cr4);
		write_u64(&w, cpu->idt);
		write_u64(&w, cpu->gdt);
		write_u64(&w, cpu->tr);
		write_u32(&w, cpu->idt_limit);
		write_u32(&w, cpu->gdt_limit);
		write_u64(&w, cpu->rip);
		write_bytes(&w, &cpu->cs, sizeof(cpu->cs));
		write_u64(&w, cpu->efer);
		write_u64(&w, cpu->lstar);
		write_u64(&w, cpu->sysenter);
		write_u64(&w, cpu->event);
		write_u64(&w, cpu->failsafe);
		write_u64(&w, cpu->syscall);
		write_traps(&w, cpu->traps);
	}
	return sealed_make("hvsm-registers", room, w.n, err);
}

int session_sweep(struct session *session, uint32_t flags, const char *const *ids, size_t n,
		  const struct registers *cpus, size_t cpus_n, struct err *err)
{
	cleanup(fd_close) int fd = -1;
	uint8_t room[CHANNEL_BODY_MAX];
	struct writer w = writer_of(room, sizeof(room));

	if (cpus_n) {
		fd = registers_file(cpus, cpus_n, err);
		if (fd < 0)
			return fd;
	}
	write_u32(&w, flags);
	write_u32(&w, (uint32_t)n);
	for (size_t i = 0; i < n; i++)
		write_text(&w, ids[i]);
	session->state = SESSION_SWEEPING;
	session->flags = flags;
	broker_renew(&session->broker);
	pages_renew(&session->pages);
	return tell(session, MSG_SWEEP, &w, &fd, fd >= 0, err);
}

int session_look(struct session *session, bool events, uint32_t watch_us, struct err *err)
{
	uint8_t room[5];
	struct writer w = writer_of(room, sizeof(room));

	write_u8(&w, events);
	write_u32(&w, watch_us);
	session->state = SESSION_LOOKING;
	pages_renew(&session->pages);
	return tell(session, MSG_LOOK, &w, NULL, 0, err);
}

int session_prepare(struct session *session, int vmlinux, struct err *err)
{
	const struct writer none = writer_of(NULL, 0);

	session->state = SESSION_PREPARING;
	return tell(session, MSG_PREPARE, &none, &vmlinux, 1, err);
}

/* --- what it says --- */

/* Something that it may say at this point only. */
static int expect(struct session *session, enum session_state state, const char *what,
		  struct err *err)
{
	if (session->state != state)
		return channel_violated(&session->channel, err, "%s, which nobody asked for",
					what);
	session->state = SESSION_IDLE;
	return 0;
}

int session_on_ready(struct channel *channel, struct message *message, void *ctx,
		     struct err *err)
{
	struct session *session = ctx;
	struct kernel *kernel = &session->kernel;
	struct bytes *b = &message->body;
	const char *release = bytes_text(b), *build_id = bytes_text(b), *json;
	int r = expect(session, SESSION_OPENING, "READY", err);

	if (r < 0)
		return r;
	kernel->text.v = bytes_u64(b);
	kernel->boot.canary = bytes_u64(b);
	kernel->boot.first_task.v = bytes_u64(b);
	kernel->boot.first_task_ns = bytes_u64(b);
	session->confined = bytes_u32(b);
	json = bytes_text(b);
	if (!release || !build_id || !json || !bytes_at_end(b) ||
	    strlen(release) >= sizeof(kernel->release) || !heard_build_id(build_id) ||
	    !escape_needless(json, strlen(json)))
		return channel_violated(channel, err, "a kernel that is none");
	snprintf(kernel->release, sizeof(kernel->release), "%s", release);
	snprintf(kernel->build_id, sizeof(kernel->build_id), "%s", build_id);
	free(session->kernel_json);
	session->kernel_json = strdup(json);
	if (!session->kernel_json)
		return err_set(err, -ENOMEM, "no memory for a guest");
	session->news = NEWS_READY;
	return 0;
}

/* Within a sweep, as scanner.c has it: else it keeps its starter busy for nothing. */
int session_on_need(struct channel *channel, struct message *message, void *ctx, struct err *err)
{
	struct session *session = ctx;

	if (session->state != SESSION_SWEEPING)
		return channel_violated(channel, err, "%s outside of a sweep",
					message->rule->name);
	return broker_answer(&session->broker, channel, message, err);
}

/* Only while it has something to do: at rest it has no reason to look. */
int session_on_need_memory(struct channel *channel, struct message *message, void *ctx,
			   struct err *err)
{
	struct session *session = ctx;

	if (session->state == SESSION_NEW || session->state == SESSION_IDLE)
		return channel_violated(channel, err, "NEED_MEMORY, with nothing to do");
	return pages_answer(&session->pages, channel, message, err);
}

int session_on_report(struct channel *channel, struct message *message, void *ctx,
		      struct err *err)
{
	struct session *session = ctx;
	struct session_report *report = &session->report;
	uint32_t verdict = bytes_u32(&message->body), steady = bytes_u32(&message->body),
		 outside = bytes_u32(&message->body), flags = bytes_u32(&message->body);
	int r = expect(session, SESSION_SWEEPING, "REPORT", err);

	if (r < 0)
		return r;
	if (verdict > VERDICT_COMPROMISED || steady > 1 || outside > OUTSIDE_IN_ROOM ||
	    flags != session->flags)
		return channel_violated(channel, err, "a report that nobody asked for");
	report_free(report);
	report->verdict = (enum verdict)verdict;
	report->steady = steady;
	report->outside = outside;
	report->in_room = outside == OUTSIDE_IN_ROOM;
	if (session->unread) {
		/* But it is bytes, and not a way into the guest's memory. */
		if (sealed_check(message->fds[0], REPORT_BYTES_MAX, err) < 0)
			return -EPROTO;
		report->fd = take_fd(&message->fds[0]);
		session->news = NEWS_REPORT;
		return 0;
	}
	r = sealed_map(message->fds[0], REPORT_BYTES_MAX, &report->text, err);
	if (r >= 0 && flags & SWEEP_JSON) {
		r = heard_report(&report->text, &session->identity, report->verdict,
				 &report->json, err);
		sealed_unmap(&report->text);
	} else if (r >= 0 && !heard_text(&report->text, flags & SWEEP_COLOUR)) {
		r = err_set(err, -EPROTO, "a report that is not text");
	}
	if (r < 0) {
		report_free(report);
		return r;
	}
	session->news = NEWS_REPORT;
	return 0;
}

int session_on_events(struct channel *channel, struct message *message, void *ctx,
		      struct err *err)
{
	struct session *session = ctx;
	uint32_t n = bytes_u32(&message->body), changed = bytes_u32(&message->body);
	int r = expect(session, SESSION_LOOKING, "EVENTS", err);

	if (r < 0)
		return r;
	if (!n != !message->fds_n)
		return channel_violated(channel, err, "%u events in %zu files", n, message->fds_n);
	if (changed >= SENTINEL_BIT(SENTINEL_REGIONS))
		return channel_violated(channel, err, "regions %#x, which there are not", changed);
	if (n && sealed_check(message->fds[0], REPORT_BYTES_MAX, err) < 0)
		return -EPROTO;
	fd_close(&session->events);
	session->events = n ? take_fd(&message->fds[0]) : -1;
	session->changed = changed;
	session->news = NEWS_EVENTS;
	return 0;
}

int session_on_prepared(struct channel *channel, struct message *message, void *ctx,
			struct err *err)
{
	struct session *session = ctx;
	int r = expect(session, SESSION_PREPARING, "PREPARED", err);

	(void)channel;
	if (r < 0)
		return r;
	if (sealed_check(message->fds[0], PROFILE_MAX, err) < 0)
		return -EPROTO;
	fd_close(&session->profile);
	session->profile = take_fd(&message->fds[0]);
	session->news = NEWS_PREPARED;
	return 0;
}

int session_on_said(struct channel *channel, struct message *message, void *ctx, struct err *err)
{
	struct session *session = ctx;
	const char *text = bytes_text(&message->body);

	if (!text || !bytes_at_end(&message->body))
		return channel_violated(channel, err, "a remark without words");
	if (++session->remarks > REMARKS_MAX)
		return channel_violated(channel, err, "over %u remarks", REMARKS_MAX);
	snprintf(session->said, sizeof(session->said), "%s", text);
	session->news = NEWS_SAID;
	return 0;
}

int session_on_failed(struct channel *channel, struct message *message, void *ctx,
		      struct err *err)
{
	struct session *session = ctx;
	int code = (int)bytes_u32(&message->body);
	const char *text = bytes_text(&message->body);

	if (code >= 0 || code < -4095 || !bytes_at_end(&message->body))
		return channel_violated(channel, err, "a failure that is none");
	session->failed = (struct err){ .code = text ? code : 0 };
	snprintf(session->failed.text, sizeof(session->failed.text), "%s",
		 text ? text : strerror(-code));
	session->failed.code = code;
	session->state = SESSION_IDLE;
	session->news = NEWS_FAILED;
	return 0;
}

int session_on_forbidden(struct channel *channel, struct message *message, void *ctx,
			 struct err *err)
{
	struct session *session = ctx;

	if (session->forbidden >= 0)
		return channel_violated(channel, err, "words after its last");
	session->forbidden = bytes_u32(&message->body);
	return 0;
}

int session_next(struct session *session, int timeout_ms, struct err *err)
{
	int r;

	session->news = NEWS_NONE;
	r = channel_dispatch(&session->channel, session, timeout_ms, err);
	/* While it was told something: its last words may still be there. */
	if (r == -EPIPE && session->channel.fd >= 0 && session->forbidden < 0 &&
	    channel_dispatch(&session->channel, session, 0, NULL) >= 0)
		session->news = NEWS_NONE;
	return r == -EPIPE ? ended(session, err) : r;
}

int session_wait(struct session *session, enum session_news news, void (*said)(const char *text),
		 struct err *err)
{
	for (;;) {
		int r = session_next(session, -1, err);

		if (r < 0)
			return r;
		if (session->news == NEWS_SAID)
			said(session->said);
		if (session->news == NEWS_FAILED)
			return err_set(err, session->failed.code, "%s", session->failed.text);
		if (session->news == news)
			return 0;
	}
}
