/* SPDX-License-Identifier: Apache-2.0 */

/* What is said between the parent and the role; the role itself: xen_role.c. */

#include "monitor/xen_events.h"

#include <string.h>

#include "monitor/link.h"

#define TEXT_MAX 512u
#define U32	 4u
#define WRITE_BYTES (3u * U32 + 3u * 8u)

void xen_events_rules(const struct xen_events_handlers *handlers,
		      struct channel_rule rules[XEN_EVENTS_RULES])
{
	const struct xen_events_handlers *h = handlers;
	const struct channel_rule all[XEN_EVENTS_RULES] = {
		{ XEN_EVENTS_SETUP, "setup", ROLE_STARTER, 2 * U32, 2 * U32, 0, 0, h->setup },
		{ XEN_EVENTS_WATCH, "watch", ROLE_STARTER, 2 * U32, TEXT_MAX, 0, 0, h->watch },
		{ XEN_EVENTS_LEAVE, "leave", ROLE_STARTER, U32, U32, 0, 0, h->leave },
		{ XEN_EVENTS_ANSWER, "answer", ROLE_XEN, 2 * U32, TEXT_MAX, 0, 0, h->answer },
		{ XEN_EVENTS_WRITE, "write", ROLE_XEN, WRITE_BYTES, WRITE_BYTES, 0, 0, h->write },
		{ XEN_EVENTS_FAILED, "failed", ROLE_XEN, 1, TEXT_MAX, 0, 0, h->failed },
	};

	memcpy(rules, all, sizeof(all));
}

int xen_events_send_setup(struct channel *channel, uint32_t uid, uint32_t gid, struct err *err)
{
	uint8_t body[2 * U32];
	struct writer w = writer_of(body, sizeof(body));

	write_u32(&w, uid);
	write_u32(&w, gid);
	return channel_send_written(channel, XEN_EVENTS_SETUP, &w, NULL, 0, LINK_WAIT_MS, err);
}

static int send_domain(struct channel *channel, uint32_t type, uint32_t domain, const char *text,
		       struct err *err)
{
	uint8_t body[TEXT_MAX];
	struct writer w = writer_of(body, sizeof(body));

	write_u32(&w, domain);
	write_text(&w, text);
	return channel_send_written(channel, type, &w, NULL, 0, LINK_WAIT_MS, err);
}

int xen_events_send_watch(struct channel *channel, uint32_t domain, const char *uuid,
			  struct err *err)
{
	return send_domain(channel, XEN_EVENTS_WATCH, domain, uuid, err);
}

int xen_events_send_leave(struct channel *channel, uint32_t domain, struct err *err)
{
	uint8_t body[U32];
	struct writer w = writer_of(body, sizeof(body));

	write_u32(&w, domain);
	return channel_send_written(channel, XEN_EVENTS_LEAVE, &w, NULL, 0, LINK_WAIT_MS, err);
}

int xen_events_send_answer(struct channel *channel, uint32_t domain, const char *why,
			   struct err *err)
{
	return send_domain(channel, XEN_EVENTS_ANSWER, domain, why, err);
}

int xen_events_send_write(struct channel *channel, const struct xen_events_write *write,
			  struct err *err)
{
	uint8_t body[WRITE_BYTES];
	struct writer w = writer_of(body, sizeof(body));

	write_u32(&w, write->domain);
	write_u32(&w, write->last.vcpu);
	write_u32(&w, write->last.reg);
	write_u64(&w, write->last.before);
	write_u64(&w, write->last.after);
	write_u64(&w, write->n);
	return channel_send_written(channel, XEN_EVENTS_WRITE, &w, NULL, 0, 0, err);
}

int xen_events_read_write(struct message *message, struct xen_events_write *ret, struct err *err)
{
	struct bytes *b = &message->body;
	struct xen_events_write write = { .domain = bytes_u32(b) };

	write.last.vcpu = bytes_u32(b);
	write.last.reg = bytes_u32(b);
	write.last.before = bytes_u64(b);
	write.last.after = bytes_u64(b);
	write.n = bytes_u64(b);
	if (!bytes_at_end(b) || (write.last.reg != 0 && write.last.reg != 4) || !write.n)
		return err_set(err, -EPROTO, "a write of a register that cannot be read");
	*ret = write;
	return 0;
}

int xen_events_read_domain(struct message *message, uint32_t *domain, const char **text,
			   struct err *err)
{
	struct bytes *b = &message->body;
	uint32_t id = bytes_u32(b);
	const char *said = bytes_text(b);

	if (!bytes_at_end(b) || id >= XEN_DOMAINS_MAX)
		return err_set(err, -EPROTO, "a domain that cannot be read");
	*domain = id;
	*text = said;
	return 0;
}
