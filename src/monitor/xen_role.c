/* SPDX-License-Identifier: Apache-2.0 */

/* The role: monitor rings of domains, and a channel to the parent. What for: xen_events.h. */

#include <grp.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/loop.h"
#include "base/now.h"
#include "monitor/fleet.h"
#include "monitor/journal.h"
#include "monitor/link.h"
#include "monitor/xen_events.h"

#define NS_PER_MS 1000000ull
#define PERIOD_NS (XEN_EVENTS_PERIOD_MS * NS_PER_MS)

/* A domain whose ring is ours, and what is not told of it yet. */
struct watch {
	uint16_t id;
	struct xen_monitor *monitor;
	struct xen_events_write untold;		/* n 0: nothing */
	uint64_t told;				/* when something was; CLOCK_MONOTONIC */
	uint64_t since;				/* XEN_EVENTS_MANY_MS began … */
	uint32_t n;				/* … and so many writes came in it */
};

struct xen_role {
	struct channel channel;
	struct loop loop;
	struct xen_host host;
	xenevtchn_handle *events;
	VEC(struct watch) watches;
};

static const char *mark_of(uint16_t id, char path[64])
{
	snprintf(path, 64, XEN_EVENTS_MARK, id);
	return path;
}

/* Has a process of ours that is gone left this mark? It had the ring of the domain @uuid. */
static bool is_left(const struct xen_role *role, uint16_t id, char uuid[64])
{
	char path[64];
	uint64_t started, is;
	unsigned len;
	int pid;
	cleanup(freep) char *mark = role->host.libs->store_read(role->host.store, XBT_NULL,
								mark_of(id, path), &len);

	return mark && sscanf(mark, "%d %" SCNu64 " %63s", &pid, &started, uuid) == 3 &&
	       (fleet_started(pid, &is) < 0 || is != started);
}

/* Is it still that domain? */
static bool is_domain(const struct xen_role *role, uint16_t id, const char *uuid)
{
	struct xen_domain domain;
	bool is;

	if (xen_domain_describe(&role->host, id, &domain, NULL) < 0)
		return false;
	is = domain.uuid && !strcmp(domain.uuid, uuid);
	xen_domain_free(&domain);
	return is;
}

/* Before the ring is asked for: who is killed in between has left a mark. */
static int mark(const struct xen_role *role, uint16_t id, const char *uuid, struct err *err)
{
	char path[64], text[128];
	uint64_t started;
	int r = fleet_started(getpid(), &started);
	int n = snprintf(text, sizeof(text), "%d %" PRIu64 " %s", (int)getpid(), started, uuid);

	if (r < 0)
		return err_set(err, r, "when this process began: %s", strerror(-r));
	errno = 0;
	if (!role->host.libs->store_write(role->host.store, XBT_NULL, mark_of(id, path), text,
					  (unsigned)n))
		return err_set(err, errno ? -errno : -EIO, "'%s' in xenstore cannot be written",
			       path);
	return 0;
}

static void unmark(const struct xen_role *role, uint16_t id)
{
	char path[64];

	(void)!role->host.libs->store_remove(role->host.store, XBT_NULL, mark_of(id, path));
}

/* A vCPU may stand since it filled a ring that nobody reads. */
static void give_back(const struct xen_role *role, uint16_t id)
{
	char uuid[64] = "";
	struct err err = { 0 };

	if (!is_left(role, id, uuid))
		return;
	if (is_domain(role, id, uuid) && xen_monitor_is_taken(&role->host, id)) {
		if (xen_monitor_release(&role->host, id, &err) < 0)
			journal(LOG_ERR, "xen:%u has lost who read its monitor ring: %s", id,
				err.text);
		else
			journal(LOG_WARNING, "xen:%u had lost who read its monitor ring", id);
	}
	unmark(role, id);
}

/* What an earlier process left behind, as it was killed with its parent. */
static void give_all_back(const struct xen_role *role)
{
	unsigned n = 0;
	cleanup(freep) char **ids = role->host.libs->store_directory(
		role->host.store, XBT_NULL, XEN_EVENTS_MARKS, &n);

	for (unsigned i = 0; ids && i < n; i++) {
		unsigned long id = strtoul(ids[i], NULL, 10);

		if (id < XEN_DOMAINS_MAX)
			give_back(role, (uint16_t)id);
	}
}

static void leave(struct xen_role *role, size_t i)
{
	struct watch *watch = &role->watches.v[i];

	xen_monitor_close(&watch->monitor);
	unmark(role, watch->id);
	*watch = role->watches.v[--role->watches.n];
}

static int watch_domain(struct xen_role *role, uint16_t id, const char *uuid, struct err *err)
{
	struct watch *add;
	int r;

	for (size_t i = 0; i < role->watches.n; i++)
		if (role->watches.v[i].id == id)
			return 0;
	/* Who marks it, and does not get it, would take another's mark away. */
	if (xen_monitor_is_taken(&role->host, id))
		return err_set(err, -EBUSY, "another program has the domain's monitor ring");
	if (!is_domain(role, id, uuid))
		return err_set(err, -ESRCH, "the domain has ended");
	add = vec_add(&role->watches);
	if (!add)
		return err_set(err, -ENOMEM, "no memory for events");
	*add = (struct watch){ .id = id };
	r = mark(role, id, uuid, err);
	if (r >= 0)
		r = xen_monitor_open(&role->host, role->events, id, &add->monitor, err);
	if (r < 0)
		leave(role, role->watches.n - 1);
	return r;
}

/* One that does not read now is told the next time; one that is gone ends this process. */
static int tell(struct xen_role *role, struct watch *watch, uint64_t now, struct err *err)
{
	int r;

	if (!watch->untold.n || now - watch->told < PERIOD_NS)
		return 0;
	r = xen_events_send_write(&role->channel, &watch->untold, err);
	if (r == -ETIMEDOUT)
		return 0;
	watch->untold.n = 0;
	watch->told = now;
	return r;
}

/* Does it write so often that it is too much? Then its ring is given back. */
static int bound(struct xen_role *role, size_t i, uint32_t n, uint64_t now, struct err *err)
{
	struct watch *watch = &role->watches.v[i];
	uint16_t id = watch->id;

	if (now - watch->since > XEN_EVENTS_MANY_MS * NS_PER_MS) {
		watch->since = now;
		watch->n = 0;
	}
	watch->n += n;
	if (watch->n <= XEN_EVENTS_MANY)
		return tell(role, watch, now, err);
	leave(role, i);
	return xen_events_send_answer(&role->channel, id, "it changes them too often", err);
}

/* A ring has something: it is read to its end before anything else is done. */
static int on_event(int fd, uint32_t events, void *ctx, struct err *err)
{
	struct xen_role *role = ctx;
	const struct xen_libs *libs = role->host.libs;
	xenevtchn_port_or_error_t port = libs->events_pending(role->events);
	struct xen_write write;
	struct watch *watch;
	uint32_t n = 0;
	size_t i = 0;

	(void)fd;
	(void)events;
	if (port < 0)
		return 0;
	(void)!libs->events_unmask(role->events, (evtchn_port_t)port);
	while (i < role->watches.n &&
	       xen_monitor_port(role->watches.v[i].monitor) != (evtchn_port_t)port)
		i++;
	if (i == role->watches.n)
		return 0;
	watch = &role->watches.v[i];
	/* What comes while it is read is bounded, too. */
	while (n <= XEN_EVENTS_MANY && xen_monitor_next(watch->monitor, &write) > 0) {
		watch->untold.domain = watch->id;
		watch->untold.last = write;
		watch->untold.n++;
		n++;
	}
	return bound(role, i, n, now_ns(CLOCK_MONOTONIC), err);
}

static int on_tick(void *ctx, struct err *err)
{
	struct xen_role *role = ctx;
	int r = 0;

	for (size_t i = 0; i < role->watches.n && r >= 0; i++)
		r = tell(role, &role->watches.v[i], now_ns(CLOCK_MONOTONIC), err);
	return r;
}

static int on_channel(int fd, uint32_t events, void *ctx, struct err *err)
{
	struct xen_role *role = ctx;
	int r = channel_dispatch(&role->channel, role, 0, err);

	(void)fd;
	(void)events;
	return r == -ETIMEDOUT ? 0 : r;
}

/* Nobody, for good; what is open stays open. */
static int become(uint32_t uid, uint32_t gid, struct err *err)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_set(err, -errno, "no new privileges: %s", strerror(errno));
	if (uid == LINK_SELF)
		return 0;
	if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 ||
	    setresuid(uid, uid, uid) < 0)
		return err_set(err, -errno, "user %u: %s", uid, strerror(errno));
	return 0;
}

static int on_setup(struct channel *channel, struct message *message, void *ctx, struct err *err)
{
	struct xen_role *role = ctx;
	uint32_t uid = bytes_u32(&message->body), gid = bytes_u32(&message->body);
	const struct xen_libs *libs;
	int r = xen_libs_load(&libs, err);

	(void)channel;
	if (r >= 0 && libs->events_why.code) {
		*err = libs->events_why;
		r = err->code;
	}
	if (r >= 0)
		r = xen_host_open(libs, &role->host, err);
	if (r >= 0 && !role->host.ctrl) {
		*err = role->host.ctrl_why;
		r = err->code;
	}
	if (r < 0)
		return r;
	errno = 0;
	role->events = libs->events_open(xen_quiet(), 0);
	if (!role->events)
		return err_set(err, errno ? -errno : -EIO, "event channels: %s", strerror(errno));
	r = become(uid, gid, err);
	if (r >= 0)
		give_all_back(role);
	if (r >= 0)
		r = loop_add(&role->loop, libs->events_fd(role->events), EPOLLIN, on_event, role,
			     err);
	return r;
}

static int on_watch(struct channel *channel, struct message *message, void *ctx, struct err *err)
{
	struct xen_role *role = ctx;
	const char *uuid;
	struct err why = { 0 };
	uint32_t id;
	int r = xen_events_read_domain(message, &id, &uuid, err);

	if (r >= 0 && (!uuid || !role->events))
		r = err_set(err, -EPROTO, "a domain without a UUID, or before the setup");
	if (r < 0)
		return r;
	r = watch_domain(role, (uint16_t)id, uuid, &why);
	return xen_events_send_answer(channel, id, r < 0 ? why.text : NULL, err);
}

static int on_leave(struct channel *channel, struct message *message, void *ctx, struct err *err)
{
	struct xen_role *role = ctx;
	uint32_t id = bytes_u32(&message->body);

	(void)channel;
	(void)err;
	for (size_t i = 0; i < role->watches.n; i++)
		if (role->watches.v[i].id == id) {
			leave(role, i);
			break;
		}
	return 0;
}

static void say_failure(struct xen_role *role, const struct err *why)
{
	uint8_t body[512];
	struct writer w = writer_of(body, sizeof(body));

	write_text(&w, why->text);
	/* A parent that is gone need not be told. */
	(void)!channel_send_written(&role->channel, XEN_EVENTS_FAILED, &w, NULL, 0, LINK_WAIT_MS,
				    NULL);
}

/*
 * The end of the channel ends it, and not the signals that end the parent: there are rings to give
 * back first.
 */
static int outlive_the_parent(struct err *err)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE };

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		signal(signals[i], SIG_IGN);
	if (prctl(PR_SET_PDEATHSIG, 0) < 0)
		return err_set(err, -errno, "outlive the starter: %s", strerror(errno));
	return 0;
}

int xen_events_run(void)
{
	static const struct xen_events_handlers handlers = {
		.setup = on_setup, .watch = on_watch, .leave = on_leave,
	};
	struct xen_role role = {
		.channel = CHANNEL_NONE, .loop = { .epoll = -1, .timer = -1 },
	};
	struct channel_rule rules[XEN_EVENTS_RULES];
	struct err err = { 0 };
	int r;

	xen_events_rules(&handlers, rules);
	channel_init(&role.channel, CHANNEL_FD, ROLE_XEN, ROLE_STARTER, rules, XEN_EVENTS_RULES);
	r = outlive_the_parent(&err);
	if (r >= 0)
		r = loop_init(&role.loop, XEN_EVENTS_PERIOD_MS, &err);
	if (r >= 0)
		r = loop_add(&role.loop, CHANNEL_FD, EPOLLIN, on_channel, &role, &err);
	if (r >= 0)
		r = loop_every(&role.loop, on_tick, &role, &err);
	if (r >= 0)
		r = loop_run(&role.loop, &err);
	while (role.watches.n)
		leave(&role, role.watches.n - 1);
	if (r < 0 && r != -EPIPE)
		say_failure(&role, &err);
	loop_deinit(&role.loop);
	if (role.events)
		role.host.libs->events_close(role.events);
	xen_host_close(&role.host);
	vec_free(&role.watches);
	return r < 0 && r != -EPIPE ? EXIT_FAILURE : EXIT_SUCCESS;
}
