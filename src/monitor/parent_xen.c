/* SPDX-License-Identifier: Apache-2.0 */

/* Events of Xen, seen from the parent: the process that holds the rings, and what they lead to. */

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/cleanup.h"
#include "base/now.h"
#include "monitor/event.h"
#include "monitor/journal.h"
#include "monitor/parent.h"
#include "report/encode.h"

#define NS_PER_MS 1000000ull

/* A process that ended is started again after 200 ms, and then twice as late each time. */
#define AGAIN_MS     200u
#define AGAIN_MAX_MS 60000u

/* A ring that was refused is asked for again: another program may have let it go. */
#define REFUSED_MS 60000u

/* What the process has to give back when it is to end: a call of Xen for each domain. */
#define STOP_MS 10000

static uint32_t number_of(const struct ward *ward)
{
	return (uint32_t)strtoul(ward->guest->target + strlen("xen:"), NULL, 10);
}

static struct ward *find(struct parent *parent, uint32_t domain)
{
	for (size_t i = 0; i < parent->wards.n; i++)
		if (parent->wards.v[i]->guest->xen && number_of(parent->wards.v[i]) == domain)
			return parent->wards.v[i];
	return NULL;
}

/* Does the configuration want events of this guest? */
static bool is_wanted(const struct parent *parent, const struct ward *ward)
{
	const struct fleet_guest *guest = ward->guest;
	struct guest_config config;
	bool wanted;

	if (!guest->xen || !guest->uuid ||
	    config_guest(parent->config, guest->name, guest->uuid, &config) < 0)
		return false;
	wanted = config.xen_events;
	guest_config_free(&config);
	return wanted;
}

static bool anyone_wants(const struct parent *parent)
{
	for (size_t i = 0; i < parent->wards.n; i++)
		if (parent->wards.v[i]->xen_events.asked || is_wanted(parent, parent->wards.v[i]))
			return true;
	return false;
}

static void went(struct parent *parent, const char *why)
{
	struct parent_xen *xen = &parent->xen;
	uint64_t wait_ms = AGAIN_MS;

	loop_remove(&parent->loop, xen->channel.fd);
	channel_close(&xen->channel);
	spawn_kill(&xen->process);
	for (uint32_t i = 0; i < xen->failures && wait_ms < AGAIN_MAX_MS; i++)
		wait_ms *= 2;
	xen->failures++;
	xen->next = now_ns(CLOCK_MONOTONIC) +
		    (wait_ms < AGAIN_MAX_MS ? wait_ms : AGAIN_MAX_MS) * NS_PER_MS;
	if (strcmp(why, xen->why) != 0 && anyone_wants(parent))
		parent_incident(parent, 0, "Xen's events are not told: %s", why);
	snprintf(xen->why, sizeof(xen->why), "%s", why);
	for (size_t i = 0; i < parent->wards.n; i++)
		parent->wards.v[i]->xen_events = (struct ward_xen_events){ 0 };
}

static int on_answer(struct channel *channel, struct message *message, void *ctx,
		     struct err *err)
{
	struct parent *parent = ctx;
	struct ward *ward;
	const char *why;
	uint32_t domain;
	int r = xen_events_read_domain(message, &domain, &why, err);

	(void)channel;
	if (r < 0)
		return r;
	parent->xen.failures = 0;
	parent->xen.why[0] = '\0';
	ward = find(parent, domain);
	if (!ward || !ward->xen_events.asked)
		return 0;
	if (!why)
		journal(LOG_INFO, "Xen tells what happens in %s", ward->guest->name);
	else if (!ward->xen_events.refused)
		parent_incident(parent, ward->number, "Xen tells no events of %s: %s",
				ward->guest->name, why);
	ward->xen_events.refused = why;
	if (why) {
		ward->xen_events.asked = false;
		ward->xen_events.next = now_ns(CLOCK_MONOTONIC) + REFUSED_MS * NS_PER_MS;
	}
	return 0;
}

/* Between these it happened: Xen says no time, and the process no later than this. */
static void tell(struct ward *ward, const struct xen_events_write *write)
{
	uint64_t now = now_ns(CLOCK_REALTIME);
	struct event event = {
		.kind = EVENT_REGISTER_WRITE,
		.after_ns = now - XEN_EVENTS_PERIOD_MS * NS_PER_MS, .before_ns = now,
		.object = json_pack("{s:o, s:s, s:o, s:o, s:o}",
				    "vcpu", encode_count(write->last.vcpu),
				    "register", write->last.reg ? "CR4" : "CR0",
				    "before", encode_hex(write->last.before),
				    "after", encode_hex(write->last.after),
				    "count", encode_count(write->n)),
	};

	if (ward_tell_event(ward, &event) < 0)
		journal(LOG_WARNING, "%s has changed a register, and nobody is told",
			ward->guest->name);
	event_free(&event);
}

static int on_write(struct channel *channel, struct message *message, void *ctx, struct err *err)
{
	struct parent *parent = ctx;
	struct xen_events_write write;
	struct ward *ward;
	int r = xen_events_read_write(message, &write, err);

	(void)channel;
	if (r < 0)
		return r;
	ward = find(parent, write.domain);
	if (!ward || !ward->xen_events.asked)
		return 0;
	schedule_alarm(parent->schedule, ward->number, now_ns(CLOCK_MONOTONIC));
	tell(ward, &write);
	parent_work(parent);
	return 0;
}

/* The last word: on_message() reads the end next. */
static int on_failed(struct channel *channel, struct message *message, void *ctx, struct err *err)
{
	const char *text = bytes_text(&message->body);

	(void)channel;
	(void)ctx;
	return err_set(err, -ENOTSUP, "%.200s", text ? text : "?");
}

static int on_message(int fd, uint32_t events, void *ctx, struct err *err)
{
	struct parent *parent = ctx;
	struct err why = { 0 };
	int r = channel_dispatch(&parent->xen.channel, parent, 0, &why);

	(void)fd;
	(void)events;
	(void)err;
	if (r < 0 && r != -ETIMEDOUT)
		went(parent, why.code ? why.text : strerror(-r));
	return 0;
}

static int start(struct parent *parent, struct err *err)
{
	static const struct xen_events_handlers handlers = {
		.answer = on_answer, .write = on_write, .failed = on_failed,
	};
	struct parent_xen *xen = &parent->xen;
	cleanup(fd_close) int ours = -1;
	cleanup(fd_close) int theirs = -1;
	int fds[2], r = channel_pair(fds, err);

	if (r < 0)
		return r;
	ours = fds[0];
	theirs = fds[1];
	r = spawn_role(XEN_EVENTS_ROLE, NULL, theirs, &xen->process, err);
	if (r < 0)
		return r;
	xen_events_rules(&handlers, xen->rules);
	channel_init(&xen->channel, take_fd(&ours), ROLE_STARTER, ROLE_XEN, xen->rules,
		     XEN_EVENTS_RULES);
	r = xen_events_send_setup(&xen->channel, parent->is_root ? parent->user.uid : LINK_SELF,
				  parent->is_root ? parent->user.gid : LINK_SELF, err);
	if (r >= 0)
		r = loop_add(&parent->loop, xen->channel.fd, EPOLLIN, on_message, parent, err);
	return r;
}

static int ask(struct parent *parent, struct ward *ward, uint64_t now, struct err *err)
{
	struct parent_xen *xen = &parent->xen;
	bool wanted = is_wanted(parent, ward);
	int r = 0;

	/* Once its kernel runs: what its boot writes tells nothing, and libxl has done its work. */
	if (wanted && ward->seen_up && !ward->xen_events.asked && now >= ward->xen_events.next) {
		ward->xen_events.asked = true;
		r = xen_events_send_watch(&xen->channel, number_of(ward), ward->guest->uuid, err);
	} else if (!wanted && ward->xen_events.asked) {
		ward->xen_events = (struct ward_xen_events){ 0 };
		r = xen_events_send_leave(&xen->channel, number_of(ward), err);
	}
	return r;
}

/* Is there something for it to do? In dom0 it has a look first: there may be rings to give back. */
static bool is_needed(const struct parent *parent)
{
	return parent->xen.looked ? anyone_wants(parent) : xen_is_control_domain();
}

/* It gives back what it has, and ends by itself. */
static void let_go(struct parent *parent)
{
	loop_remove(&parent->loop, parent->xen.channel.fd);
	channel_close(&parent->xen.channel);
}

void parent_xen_tend(struct parent *parent)
{
	struct parent_xen *xen = &parent->xen;
	uint64_t now = now_ns(CLOCK_MONOTONIC);
	bool needed = is_needed(parent);
	struct err err = { 0 };
	char text[64];
	int r = 0;

	xen->looked |= !needed;
	if (xen->process.pid > 0 && xen->channel.fd < 0 &&
	    !spawn_wait(&xen->process, 0, text, sizeof(text)))
		return;
	if (!needed && xen->process.pid > 0)
		let_go(parent);
	if (!needed || (xen->process.pid <= 0 && now < xen->next))
		return;
	if (xen->process.pid <= 0)
		r = start(parent, &err);
	xen->looked |= r >= 0;
	for (size_t i = 0; i < parent->wards.n && r >= 0; i++)
		r = ask(parent, parent->wards.v[i], now, &err);
	if (r < 0)
		went(parent, err.code ? err.text : strerror(-r));
}

void parent_xen_leave(struct parent *parent, const struct ward *ward)
{
	/* Who cannot be told ends, and its rings with it. */
	if (ward->xen_events.asked && parent->xen.channel.fd >= 0 &&
	    xen_events_send_leave(&parent->xen.channel, number_of(ward), NULL) < 0)
		went(parent, "it does not read");
}

/* Its end is waited for: systemd kills what is left when the parent has ended. */
void parent_xen_stop(struct parent *parent)
{
	struct parent_xen *xen = &parent->xen;
	struct pollfd end = { .fd = xen->process.pidfd, .events = POLLIN };

	if (xen->channel.fd >= 0)
		let_go(parent);
	if (xen->process.pid > 0 && poll(&end, 1, STOP_MS) <= 0)
		journal(LOG_ERR, "who holds the rings of Xen's domains does not give them back");
	spawn_kill(&xen->process);
}
