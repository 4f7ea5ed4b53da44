/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/link.h"

#include "base/writer.h"

#define U64 8u
#define TEXT_MAX 4096u	/* names of guests, paths, reasons: cut where they are made */

void link_rules(const struct link_handlers *handlers, struct channel_rule rules[LINK_RULES])
{
	const struct link_handlers *h = handlers;
	const struct channel_rule all[LINK_RULES] = {
		{ LINK_SETUP, "setup", ROLE_STARTER, 1, CHANNEL_BODY_MAX, 1, 1, h->setup },
		{ LINK_GUEST, "guest", ROLE_STARTER, U64, CHANNEL_BODY_MAX, 0, 0, h->guest },
		{ LINK_GONE, "gone", ROLE_STARTER, U64, U64, 0, 0, h->gone },
		{ LINK_REPORT, "report", ROLE_STARTER, U64 + 1, U64 + 1, 1, 1, h->report },
		{ LINK_EVENTS, "events", ROLE_STARTER, U64, U64, 1, 1, h->events },
		{ LINK_INCIDENT, "incident", ROLE_STARTER, U64, CHANNEL_BODY_MAX, 0, 0,
		  h->incident },
		{ LINK_QUIT, "quit", ROLE_STARTER, 0, 0, 0, 0, h->quit },
		{ LINK_READY, "ready", ROLE_CONTROL, 0, 0, 0, 0, h->ready },
		{ LINK_TAKEN, "taken", ROLE_CONTROL, U64 + 5, CHANNEL_BODY_MAX, 0, 0, h->taken },
		{ LINK_PAUSED, "paused", ROLE_CONTROL, U64 + 1, U64 + 1, 0, 0, h->paused },
		{ LINK_SCAN, "scan", ROLE_CONTROL, U64, U64, 0, 0, h->scan },
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
	write_u32(&w, setup->retention_days);
	write_u32(&w, setup->retention_mib);
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
	setup.retention_days = bytes_u32(b);
	setup.retention_mib = bytes_u32(b);
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
