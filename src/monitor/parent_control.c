/* SPDX-License-Identifier: Apache-2.0 */

/* Control, seen from the parent. */

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/now.h"
#include "monitor/journal.h"
#include "monitor/parent.h"

#define NS_PER_MS 1000000ull

/*
 * Where it ends again, it is started after 100 ms, and then twice as long each time (backoff.h).
 * Nobody is swept meanwhile.
 */
#define RESTART_MS	 100u
#define RESTART_MAX_MS	 2000u
#define STOP_MS		 20000	/* reports that are on their way are stored before */

/*
 * What is on its way at a time: control is told of each guest twice a second, and may be at the
 * disk for as long as that takes. Who has 1000 guests fills 1.5 MB a second.
 */
#define ON_ITS_WAY_BYTES (8 << 20)

void parent_control_told(struct parent *parent, int r, const char *what, const struct err *err)
{
	if (r >= 0)
		return;
	journal(LOG_WARNING, "control is not told of %s: %s", what, err->text);
	if (r != -ETIMEDOUT && r != -EPIPE)
		return;
	/* To wait for it again would keep us from all guests. For the loop it has ended now. */
	parent->control_ready = false;
	shutdown(parent->link.fd, SHUT_RDWR);
}

void parent_control_went(struct parent *parent, const char *why)
{
	uint64_t now = now_ns(CLOCK_MONOTONIC);
	uint64_t ready_at = parent->control_ready_at, wait;
	char how[64] = "";

	loop_remove(&parent->loop, parent->link.fd);
	channel_close(&parent->link);
	if (parent->control.pid > 0) {
		struct pollfd ended = { .fd = parent->control.pidfd, .events = POLLIN };

		/* Who has closed its channel is about to end, and says how. */
		if (poll(&ended, 1, 1000) == 1)
			spawn_wait(&parent->control, 1, how, sizeof(how));
		spawn_kill(&parent->control);
	}
	wait = backoff_next(&parent->control_ends, ready_at ? now - ready_at : 0, RESTART_MS,
			    RESTART_MAX_MS);
	parent->control_ready = false;
	parent->control_ready_at = 0;
	parent->control_next = now + wait;
	if (parent->stopping)
		return;
	parent_reload_lost(parent);
	journal(LOG_ERR, "control has ended (%s%s%s); started again in %llu ms", why,
		*how ? ", " : "", how, (unsigned long long)(wait / NS_PER_MS));
	for (size_t i = 0; i < parent->wards.n; i++)
		ward_lost(parent->wards.v[i], now);
	parent_work(parent);
}

static int on_ready(struct channel *channel, struct message *message, void *ctx, struct err *err)
{
	struct parent *parent = ctx;

	(void)channel;
	(void)message;
	(void)err;
	parent->control_ready = true;
	parent->control_ready_at = now_ns(CLOCK_MONOTONIC);
	for (size_t i = 0; i < parent->wards.n; i++)
		parent_control_guest(parent, parent->wards.v[i]);
	parent_work(parent);
	return 0;
}

static struct ward *find(const struct parent *parent, uint64_t number)
{
	for (size_t i = 0; i < parent->wards.n; i++)
		if (parent->wards.v[i]->number == number)
			return parent->wards.v[i];
	return NULL;
}

static int on_taken(struct channel *channel, struct message *message, void *ctx, struct err *err)
{
	struct parent *parent = ctx;
	struct bytes *b = &message->body;
	struct ward *ward = find(parent, bytes_u64(b));
	cleanup(freep) struct schedule_cost *costs = NULL;
	uint8_t taken;
	uint32_t n;

	(void)channel;
	taken = bytes_u8(b);
	n = bytes_u32(b);
	if (n > parent->checks_n)
		return err_set(err, -EPROTO, "costs of %u checks", n);
	costs = calloc(n + 1, sizeof(*costs));
	if (!costs)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++) {
		costs[i].check = bytes_u32(b);
		costs[i].duration_ns = bytes_u64(b);
	}
	if (!bytes_at_end(b))
		return err_set(err, -EPROTO, "costs that cannot be read");
	if (ward && taken == LINK_REFUSED)
		ward_refused(ward);
	else if (ward)
		ward_taken(ward, costs, n, now_ns(CLOCK_MONOTONIC));
	parent_work(parent);
	return 0;
}

static int on_paused(struct channel *channel, struct message *message, void *ctx,
		     struct err *err)
{
	struct parent *parent = ctx;
	struct ward *ward = find(parent, bytes_u64(&message->body));

	(void)channel;
	(void)err;
	if (ward)
		ward_pause(ward, bytes_u8(&message->body), now_ns(CLOCK_MONOTONIC));
	parent_work(parent);
	return 0;
}

static int on_alarm(struct channel *channel, struct message *message, void *ctx, struct err *err)
{
	struct parent *parent = ctx;

	(void)channel;
	(void)err;
	schedule_alarm(parent->schedule, bytes_u64(&message->body), now_ns(CLOCK_MONOTONIC));
	parent_work(parent);
	return 0;
}

static int on_scan(struct channel *channel, struct message *message, void *ctx, struct err *err)
{
	struct parent *parent = ctx;
	uint64_t number = bytes_u64(&message->body);

	(void)channel;
	(void)err;
	for (size_t i = 0; i < parent->wards.n; i++)
		if (!number || parent->wards.v[i]->number == number)
			schedule_all(parent->schedule, parent->wards.v[i]->number,
				     now_ns(CLOCK_MONOTONIC));
	parent_work(parent);
	return 0;
}

static int on_message(int fd, uint32_t events, void *ctx, struct err *err)
{
	struct parent *parent = ctx;
	struct err why = { 0 };
	int r = channel_dispatch(&parent->link, parent, 0, &why);

	(void)fd;
	(void)events;
	(void)err;
	if (r < 0 && r != -ETIMEDOUT)
		parent_control_went(parent, why.code ? why.text : strerror(-r));
	return 0;
}

static int send_config(struct parent *parent, struct err *err)
{
	const struct config *config = parent->config;

	return link_send_config(&parent->link, config->path, config->text, config->text_n, err);
}

void parent_control_config(struct parent *parent)
{
	struct err err = { 0 };

	/* One that has only been started has an older one on its way, and gets this one, too. */
	if (parent->link.fd >= 0 && send_config(parent, &err) < 0)
		parent_control_went(parent, err.text);
}

/* Where that is not to be had there is less room, and we may have to wait. */
static void make_room(int fd)
{
	const int size = ON_ITS_WAY_BYTES;

	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

static int start(struct parent *parent, struct err *err)
{
	static const struct link_handlers handlers = {
		.ready = on_ready, .taken = on_taken, .paused = on_paused, .alarm = on_alarm,
		.scan = on_scan, .react = parent_on_react, .serving = parent_on_serving,
	};
	const struct link_setup setup = {
		.uid = parent->is_root ? parent->user.uid : LINK_SELF,
		.gid = parent->is_root ? parent->user.gid : LINK_SELF,
		.ledger = parent->ledger,
		.started_ns = parent->started_ns,
		.host_us_per_s = settings_host_us_per_s(parent->config),
		.clock = parent->clock,
	};
	cleanup(fd_close) int ours = -1;
	cleanup(fd_close) int theirs = -1;
	int fds[2], r = channel_pair(fds, err);

	if (r < 0)
		return r;
	ours = fds[0];
	theirs = fds[1];
	make_room(ours);
	r = spawn_role("control", NULL, theirs, &parent->control, err);
	if (r < 0)
		return r;
	link_rules(&handlers, parent->rules);
	channel_init(&parent->link, take_fd(&ours), ROLE_STARTER, ROLE_CONTROL, parent->rules,
		     LINK_RULES);
	r = link_send_setup(&parent->link, &setup, parent->listen, err);
	if (r >= 0)
		r = send_config(parent, err);
	if (r >= 0)
		r = parent_http_tell(parent, err);
	if (r >= 0)
		r = loop_add(&parent->loop, parent->link.fd, EPOLLIN, on_message, parent, err);
	return r;
}

void parent_control_clock(struct parent *parent, uint64_t real, uint64_t boot)
{
	int64_t by = steady_look(&parent->clock, real, boot);
	char text[80];

	/* Control tells what it sees; it does not see what was while it did not run. */
	if (by && !parent->control_ready)
		journal(LOG_WARNING, "%s", steady_jump_text(by, text, sizeof(text)));
}

void parent_control_tend(struct parent *parent)
{
	struct err err = { 0 };

	if (parent->control.pid > 0 || parent->stopping ||
	    now_ns(CLOCK_MONOTONIC) < parent->control_next)
		return;
	if (start(parent, &err) < 0)
		parent_control_went(parent, err.text);
}

void parent_control_stop(struct parent *parent)
{
	struct pollfd ended = { .fd = parent->control.pidfd, .events = POLLIN };
	struct err err = { 0 };
	char how[64];

	if (parent->control.pid <= 0)
		return;
	if (channel_send(&parent->link, LINK_QUIT, NULL, 0, NULL, 0, LINK_WAIT_MS, &err) >= 0 &&
	    poll(&ended, 1, STOP_MS) == 1)
		spawn_wait(&parent->control, 1, how, sizeof(how));
	else
		journal(LOG_WARNING, "control does not end by itself");
	spawn_kill(&parent->control);
	loop_remove(&parent->loop, parent->link.fd);
	channel_close(&parent->link);
}

void parent_control_guest(struct parent *parent, const struct ward *ward)
{
	struct link_guest guest;
	struct err err = { 0 };

	if (!parent->control_ready)
		return;
	ward_tell(ward, now_ns(CLOCK_MONOTONIC), &guest);
	parent_control_told(parent, link_send_guest(&parent->link, &guest, &err), "a guest", &err);
}

int parent_control_report(struct parent *parent, uint64_t guest, uint8_t verdict, int fd)
{
	struct err err = { 0 };
	int r;

	if (!parent->control_ready)
		return -ENOTCONN;
	r = link_send_report(&parent->link, guest, verdict, fd, &err);
	parent_control_told(parent, r, "a report", &err);
	return r;
}

int parent_control_events(struct parent *parent, uint64_t guest, int fd)
{
	struct err err = { 0 };
	int r;

	if (!parent->control_ready)
		return -ENOTCONN;
	r = link_send_number(&parent->link, LINK_EVENTS, guest, &fd, &err);
	parent_control_told(parent, r, "events", &err);
	return r;
}
