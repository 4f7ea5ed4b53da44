/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/link.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/writer.h"
#include "monitor/sealed.h"

#define U64 8u
#define REACT_MAX 1024u
#define TEXT_MAX 4096u	/* names of guests, paths, reasons: cut where they are made */

void link_rules(const struct link_handlers *handlers, struct channel_rule rules[LINK_RULES])
{
	const struct link_handlers *h = handlers;
	const struct channel_rule all[LINK_RULES] = {
		{ LINK_SETUP, "setup", ROLE_STARTER, 1, CHANNEL_BODY_MAX, 1, 1, h->setup },
		{ LINK_CONFIG, "config", ROLE_STARTER, 5, CHANNEL_BODY_MAX, 1, 1, h->config },
		{ LINK_GUEST, "guest", ROLE_STARTER, U64, CHANNEL_BODY_MAX, 0, 0, h->guest },
		{ LINK_GONE, "gone", ROLE_STARTER, U64, U64, 0, 0, h->gone },
		{ LINK_REPORT, "report", ROLE_STARTER, U64 + 1, U64 + 1, 1, 1, h->report },
		{ LINK_EVENTS, "events", ROLE_STARTER, U64, U64, 1, 1, h->events },
		{ LINK_INCIDENT, "incident", ROLE_STARTER, U64, CHANNEL_BODY_MAX, 0, 0,
		  h->incident },
		{ LINK_AUDIT, "audit", ROLE_STARTER, 2 * U64 + 2, CHANNEL_BODY_MAX, 0, 0,
		  h->audit },
		{ LINK_HTTP, "http", ROLE_STARTER, 6 + LINK_TOKEN_BYTES,
		  6 + LINK_TOKEN_BYTES, 0, 2, h->http },
		{ LINK_QUIT, "quit", ROLE_STARTER, 0, 0, 0, 0, h->quit },
		{ LINK_READY, "ready", ROLE_CONTROL, 0, 0, 0, 0, h->ready },
		{ LINK_TAKEN, "taken", ROLE_CONTROL, U64 + 5, CHANNEL_BODY_MAX, 0, 0, h->taken },
		{ LINK_PAUSED, "paused", ROLE_CONTROL, U64 + 1, U64 + 1, 0, 0, h->paused },
		{ LINK_ALARM, "alarm", ROLE_CONTROL, U64, U64, 0, 0, h->alarm },
		{ LINK_SCAN, "scan", ROLE_CONTROL, U64, U64, 0, 0, h->scan },
		{ LINK_REACT, "react", ROLE_CONTROL, U64, REACT_MAX, 1, 1, h->react },
		{ LINK_SERVING, "serving", ROLE_CONTROL, 8, REACT_MAX, 0, 0, h->serving },
	};

	memcpy(rules, all, sizeof(all));
}

const char *guest_state_name(enum guest_state state)
{
	static const char *const names[GUEST_STATES] = {
		[GUEST_STARTING] = "starting",
		[GUEST_WATCHED] = "watched",
		[GUEST_PAUSED] = "paused",
		[GUEST_UNWATCHED] = "unwatched",
	};

	return names[state];
}

enum {
	CLOCK_BEGUN = 1,
	CLOCK_KNOWN = 2,
	CLOCK_STANDS = 4,
};

static void write_clock(struct writer *w, const struct steady *clock)
{
	write_u8(w, (clock->begun ? CLOCK_BEGUN : 0) | (clock->known ? CLOCK_KNOWN : 0) |
		    (clock->stands ? CLOCK_STANDS : 0));
	write_u64(w, (uint64_t)clock->base_ns);
	write_u64(w, (uint64_t)clock->seen_ns);
	write_u64(w, clock->since_ns);
}

static struct steady read_clock(struct bytes *b)
{
	uint8_t flags = bytes_u8(b);
	struct steady clock = {
		.begun = flags & CLOCK_BEGUN, .known = flags & CLOCK_KNOWN,
		.stands = flags & CLOCK_STANDS,
	};

	clock.base_ns = (int64_t)bytes_u64(b);
	clock.seen_ns = (int64_t)bytes_u64(b);
	clock.since_ns = bytes_u64(b);
	return clock;
}

int link_send_setup(struct channel *channel, const struct link_setup *setup, int socket,
		    struct err *err)
{
	uint8_t body[CHANNEL_BODY_MAX];
	struct writer w = writer_of(body, sizeof(body));

	write_u32(&w, setup->uid);
	write_u32(&w, setup->gid);
	write_text(&w, setup->ledger);
	write_u64(&w, setup->started_ns);
	write_u32(&w, setup->host_us_per_s);
	write_clock(&w, &setup->clock);
	return channel_send_written(channel, LINK_SETUP, &w, &socket, 1, LINK_WAIT_MS, err);
}

int link_read_setup(struct message *message, struct link_setup *ret, struct err *err)
{
	struct bytes *b = &message->body;
	struct link_setup setup = { .uid = bytes_u32(b) };

	setup.gid = bytes_u32(b);
	setup.ledger = bytes_text(b);
	setup.started_ns = bytes_u64(b);
	setup.host_us_per_s = bytes_u32(b);
	setup.clock = read_clock(b);
	if (!bytes_at_end(b) || !setup.ledger)
		return err_set(err, -EPROTO, "setup that cannot be read");
	*ret = setup;
	return 0;
}

/* What is too long is left out: names of guests are somebody's words. */
static void write_short(struct writer *w, const char *text)
{
	write_text(w, text && strlen(text) > TEXT_MAX ? NULL : text);
}

int link_send_guest(struct channel *channel, const struct link_guest *guest, struct err *err)
{
	uint8_t body[CHANNEL_BODY_MAX];
	struct writer w = writer_of(body, sizeof(body));

	write_u64(&w, guest->number);
	write_u8(&w, (uint8_t)guest->state);
	write_short(&w, guest->key);
	write_short(&w, guest->name);
	write_short(&w, guest->uuid);
	write_short(&w, guest->target);
	write_short(&w, guest->hypervisor);
	write_short(&w, guest->reason);
	write_u64(&w, guest->share_ppm);
	write_u64(&w, guest->stretch_ppm);
	write_u64(&w, guest->cpu_ns);
	write_u64(&w, guest->memory_bytes);
	write_u32(&w, guest->restarts);
	write_u32(&w, guest->reboots);
	write_u64(&w, guest->alarms);
	return channel_send_written(channel, LINK_GUEST, &w, NULL, 0, LINK_WAIT_MS, err);
}

int link_read_guest(struct message *message, struct link_guest *ret, struct err *err)
{
	struct bytes *b = &message->body;
	struct link_guest guest = { .number = bytes_u64(b), .state = bytes_u8(b) };

	guest.key = bytes_text(b);
	guest.name = bytes_text(b);
	guest.uuid = bytes_text(b);
	guest.target = bytes_text(b);
	guest.hypervisor = bytes_text(b);
	guest.reason = bytes_text(b);
	guest.share_ppm = bytes_u64(b);
	guest.stretch_ppm = bytes_u64(b);
	guest.cpu_ns = bytes_u64(b);
	guest.memory_bytes = bytes_u64(b);
	guest.restarts = bytes_u32(b);
	guest.reboots = bytes_u32(b);
	guest.alarms = bytes_u64(b);
	if (!bytes_at_end(b) || guest.state >= GUEST_STATES)
		return err_set(err, -EPROTO, "a guest that cannot be read");
	*ret = guest;
	return 0;
}

int link_send_number(struct channel *channel, enum link_type type, uint64_t number, const int *fd,
		     struct err *err)
{
	uint8_t body[U64];
	struct writer w = writer_of(body, sizeof(body));

	write_u64(&w, number);
	return channel_send_written(channel, type, &w, fd, fd ? 1 : 0, LINK_WAIT_MS, err);
}

int link_send_incident(struct channel *channel, uint64_t number, const char *text,
		       struct err *err)
{
	uint8_t body[CHANNEL_BODY_MAX];
	struct writer w = writer_of(body, sizeof(body));

	write_u64(&w, number);
	write_short(&w, text);
	return channel_send_written(channel, LINK_INCIDENT, &w, NULL, 0, LINK_WAIT_MS, err);
}

int link_send_report(struct channel *channel, uint64_t guest, uint8_t verdict, int fd,
		     struct err *err)
{
	uint8_t body[U64 + 1];
	struct writer w = writer_of(body, sizeof(body));

	write_u64(&w, guest);
	write_u8(&w, verdict);
	return channel_send_written(channel, LINK_REPORT, &w, &fd, 1, LINK_WAIT_MS, err);
}

int link_send_config(struct channel *channel, const char *path, const char *text, size_t n,
		     struct err *err)
{
	uint8_t body[CHANNEL_BODY_MAX];
	struct writer w = writer_of(body, sizeof(body));
	cleanup(fd_close) int fd = sealed_make("hvsm-config", text, n, err);

	if (fd < 0)
		return fd;
	write_text(&w, path);
	return channel_send_written(channel, LINK_CONFIG, &w, &fd, 1, LINK_WAIT_MS, err);
}

int link_send_react(struct channel *channel, const struct link_react *react, const char *message,
		    struct err *err)
{
	uint8_t body[REACT_MAX];
	struct writer w = writer_of(body, sizeof(body));
	cleanup(fd_close) int fd = -1;

	if (strlen(message) > REACTION_MESSAGE_MAX)
		return err_set(err, -ELOOP, "a message of over %u bytes", REACTION_MESSAGE_MAX);
	fd = sealed_make("hvsm-reaction", message, strlen(message), err);
	if (fd < 0)
		return fd;
	write_u64(&w, react->guest);
	write_text(&w, react->reaction);
	write_text(&w, react->finding);
	write_text(&w, react->about);
	return channel_send_written(channel, LINK_REACT, &w, &fd, 1, LINK_WAIT_MS, err);
}

/* The id of a finding, or none. */
static bool is_finding(const char *text)
{
	size_t n = text ? strlen(text) : 1;

	return text && (n == 0 || n == FINDING_ID_TEXT - 1) &&
	       strspn(text, "0123456789abcdef") == n;
}

int link_read_react(struct message *message, struct link_react *ret, struct err *err)
{
	struct bytes *b = &message->body;
	struct link_react react = { .guest = bytes_u64(b) };

	react.reaction = bytes_text(b);
	react.finding = bytes_text(b);
	react.about = bytes_text(b);
	if (!bytes_at_end(b) || !react.reaction || !is_finding(react.finding) || !react.about)
		return err_set(err, -EPROTO, "a reaction that cannot be read");
	*ret = react;
	return 0;
}

int link_send_audit(struct channel *channel, const struct link_audit *audit, struct err *err)
{
	uint8_t body[CHANNEL_BODY_MAX];
	struct writer w = writer_of(body, sizeof(body));

	write_u64(&w, audit->time_ns);
	write_u64(&w, audit->duration_ns);
	write_u8(&w, audit->told);
	write_u8(&w, (uint8_t)audit->outcome);
	write_short(&w, audit->guest);
	write_text(&w, audit->reaction);
	write_text(&w, audit->kind);
	write_text(&w, audit->finding);
	write_short(&w, audit->text);
	return channel_send_written(channel, LINK_AUDIT, &w, NULL, 0, LINK_WAIT_MS, err);
}

int link_read_audit(struct message *message, struct link_audit *ret, struct err *err)
{
	struct bytes *b = &message->body;
	struct link_audit audit = { .time_ns = bytes_u64(b) };

	audit.duration_ns = bytes_u64(b);
	audit.told = bytes_u8(b);
	audit.outcome = bytes_u8(b);
	audit.guest = bytes_text(b);
	audit.reaction = bytes_text(b);
	audit.kind = bytes_text(b);
	audit.finding = bytes_text(b);
	audit.text = bytes_text(b);
	if (!bytes_at_end(b) || audit.outcome > AUDIT_BUSY || !audit.reaction || !audit.kind ||
	    !is_finding(audit.finding))
		return err_set(err, -EPROTO, "an audit that cannot be read");
	/* What was too long was left out. */
	audit.guest = audit.guest ? audit.guest : "";
	audit.text = audit.text ? audit.text : "";
	*ret = audit;
	return 0;
}

/* Both, each with its NUL, so that they can be used where they lie. */
static int seal_tls(const struct link_http *http, struct err *err)
{
	size_t cert_n = strlen(http->cert) + 1, key_n = strlen(http->key) + 1;
	cleanup(freep) char *both = NULL;
	int fd;

	if (cert_n + key_n > LINK_TLS_MAX)
		return err_set(err, -ELOOP, "certificate and key of over %u bytes", LINK_TLS_MAX);
	both = malloc(cert_n + key_n);
	if (!both)
		return err_set(err, -ENOMEM, "no memory for certificate and key");
	memcpy(both, http->cert, cert_n);
	memcpy(both + cert_n, http->key, key_n);
	fd = sealed_make("hvsm-tls", both, cert_n + key_n, err);
	explicit_bzero(both, cert_n + key_n);
	return fd;
}

int link_send_http(struct channel *channel, const struct link_http *http, struct err *err)
{
	static const uint8_t none[LINK_TOKEN_BYTES];
	uint8_t body[6 + LINK_TOKEN_BYTES];
	struct writer w = writer_of(body, sizeof(body));
	cleanup(fd_close) int tls = -1;
	int fds[2] = { http->socket, -1 };

	if (http->socket >= 0 && http->cert) {
		fds[1] = tls = seal_tls(http, err);
		if (tls < 0)
			return tls;
	}
	write_u32(&w, http->serial);
	write_u8(&w, http->token != NULL);
	write_u8(&w, tls >= 0);
	write_bytes(&w, http->token ? http->token : none, LINK_TOKEN_BYTES);
	return channel_send_written(channel, LINK_HTTP, &w, fds,
				    http->socket < 0 ? 0 : tls < 0 ? 1 : 2, LINK_WAIT_MS, err);
}

int link_read_http(struct message *message, struct link_http *ret, struct err *err)
{
	struct bytes *b = &message->body;
	struct link_http http = { .serial = bytes_u32(b), .socket = -1, .tls = -1 };
	bool token = bytes_u8(b), tls = bytes_u8(b);

	http.token = bytes_take(b, LINK_TOKEN_BYTES);
	if (!bytes_at_end(b) || message->fds_n == (tls ? 1 : 2) || (tls && !message->fds_n))
		return err_set(err, -EPROTO, "a place for HTTP that cannot be read");
	if (!token)
		http.token = NULL;
	if (message->fds_n > 0)
		http.socket = message->fds[0];
	if (message->fds_n > 1)
		http.tls = message->fds[1];
	*ret = http;
	return 0;
}

int link_send_serving(struct channel *channel, uint32_t serial, const char *why, struct err *err)
{
	uint8_t body[REACT_MAX];
	struct writer w = writer_of(body, sizeof(body));

	write_u32(&w, serial);
	write_text(&w, why);
	return channel_send_written(channel, LINK_SERVING, &w, NULL, 0, LINK_WAIT_MS, err);
}
