/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/parent.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/notify.h"
#include "base/now.h"
#include "check/check.h"
#include "monitor/journal.h"

/* How often processes are looked at, restarts are due, and control is told how guests are. */
#define TICK_MS 500

#define NS_PER_S 1000000000ull

void parent_incident(struct parent *parent, uint64_t guest, const char *fmt, ...)
{
	struct err err = { 0 };
	char text[400];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	journal(LOG_WARNING, "%s", text);
	if (parent->control_ready)
		parent_control_told(parent, link_send_incident(&parent->link, guest, text, &err),
				    "that", &err);
}

static uint64_t chance(void *ctx)
{
	uint64_t value = 0;

	(void)ctx;
	/* Without chance what comes and goes could time itself; but it is there since boot. */
	while (getrandom(&value, sizeof(value), 0) != sizeof(value))
		;
	return value;
}

static struct ward *ward_of(const struct parent *parent, uint64_t number)
{
	for (size_t i = 0; i < parent->wards.n; i++)
		if (parent->wards.v[i]->number == number)
			return parent->wards.v[i];
	return NULL;
}

/* The next time that something is due. */
static uint64_t wake_at(const struct parent *parent, uint64_t now)
{
	uint64_t wake = parent->control_ready ? schedule_wake(parent->schedule, now) : UINT64_MAX;

	if (parent->control.pid <= 0 && parent->control_next < wake)
		wake = parent->control_next;
	for (size_t i = 0; i < parent->wards.n; i++) {
		uint64_t at = ward_wake(parent->wards.v[i], now);

		if (at < wake)
			wake = at;
	}
	return wake;
}

void parent_wake(struct parent *parent)
{
	uint64_t wake = wake_at(parent, now_ns(CLOCK_MONOTONIC));
	struct itimerspec spec = { 0 };

	/* A timer of 0 would be off. */
	if (wake != UINT64_MAX) {
		spec.it_value.tv_sec = (time_t)(wake / NS_PER_S);
		spec.it_value.tv_nsec = (long)(wake % NS_PER_S) + !wake;
	}
	timerfd_settime(parent->timer, TFD_TIMER_ABSTIME, &spec, NULL);
}

void parent_work(struct parent *parent)
{
	uint64_t now = now_ns(CLOCK_MONOTONIC);
	struct schedule_job job;

	/* Nobody would take the reports. */
	while (parent->control_ready && !parent->stopping &&
	       schedule_next(parent->schedule, now, &job) > 0) {
		struct ward *ward = ward_of(parent, job.guest);

		if (ward)
			ward_start(ward, &job, now);
		free(job.checks);
	}
	parent_wake(parent);
}

/* Whoever is due now is not due at the next tick. */
static int on_timer(int fd, uint32_t events, void *ctx, struct err *err)
{
	struct parent *parent = ctx;
	uint64_t n;

	(void)events;
	(void)err;
	if (read(fd, &n, sizeof(n)) != sizeof(n) || parent->stopping)
		return 0;
	for (size_t i = 0; i < parent->wards.n; i++)
		ward_tend(parent->wards.v[i], now_ns(CLOCK_MONOTONIC));
	parent_control_tend(parent);
	parent_work(parent);
	return 0;
}

/* --- guests --- */

static void remove_ward(struct parent *parent, uint64_t number)
{
	struct err err = { 0 };

	for (size_t i = 0; i < parent->wards.n; i++) {
		if (parent->wards.v[i]->number != number)
			continue;
		parent_xen_leave(parent, parent->wards.v[i]);
		ward_free(&parent->wards.v[i]);
		memmove(&parent->wards.v[i], &parent->wards.v[i + 1],
			(parent->wards.n - i - 1) * sizeof(*parent->wards.v));
		parent->wards.n--;
		break;
	}
	schedule_remove(parent->schedule, number);
	if (parent->control_ready)
		parent_control_told(parent, link_send_number(&parent->link, LINK_GONE, number,
							     NULL, &err),
				    "a guest that went", &err);
}

static int add_ward(struct parent *parent, const struct fleet_guest *guest, struct err *err)
{
	cleanup(freep) bool *wanted = calloc(parent->checks_n + 1, sizeof(*wanted));
	uint64_t now = now_ns(CLOCK_MONOTONIC);
	struct schedule_plan plan;
	struct ward *ward = NULL, **add;
	int r;

	if (!wanted)
		return -ENOMEM;
	r = settings_plan(parent->config, guest->name, guest->uuid, wanted, &plan);
	if (r <= 0)
		return r;
	r = schedule_add(parent->schedule, guest->number, &plan, now);
	if (r < 0)
		return r;
	schedule_hold(parent->schedule, guest->number, true, now);
	r = ward_create(parent, guest, &ward, err);
	add = r < 0 ? NULL : vec_add(&parent->wards);
	if (!add) {
		ward_free(&ward);
		schedule_remove(parent->schedule, guest->number);
		return r < 0 ? r : -ENOMEM;
	}
	*add = ward;
	parent_control_guest(parent, ward);
	ward_tend(ward, now);
	return 0;
}

/* Which sections of the configuration hold for a guest may be others than before. */
static void replan_guest(struct parent *parent, struct fleet_guest *guest)
{
	cleanup(freep) bool *wanted = calloc(parent->checks_n + 1, sizeof(*wanted));
	struct schedule_plan plan;
	struct err err = { 0 };
	int watch = wanted ? settings_plan(parent->config, guest->name, guest->uuid, wanted, &plan)
			   : -ENOMEM;

	if (watch > 0 && !ward_of(parent, guest->number))
		watch = add_ward(parent, guest, &err);
	else if (watch > 0)
		watch = schedule_replan(parent->schedule, guest->number, &plan,
					now_ns(CLOCK_MONOTONIC));
	else if (watch == 0 && ward_of(parent, guest->number))
		remove_ward(parent, guest->number);
	guest->unwatched = watch < 0 && !ward_of(parent, guest->number);
	if (watch < 0)
		parent_incident(parent, guest->number, "its configuration is not used: %s",
				err.code ? err.text : strerror(-watch));
}

static void on_change(enum fleet_change change, struct fleet_guest *guest, void *ctx)
{
	struct parent *parent = ctx;
	struct ward *ward = ward_of(parent, guest->number);
	struct err err = { 0 };
	int r = 0;

	switch (change) {
	case FLEET_CAME:
		journal(LOG_INFO, "guest %s (%s) came", guest->name, guest->target);
		r = add_ward(parent, guest, &err);
		break;
	case FLEET_RENAMED:
		journal(LOG_INFO, "guest %s is called %s now", guest->target, guest->name);
		replan_guest(parent, guest);
		ward = ward_of(parent, guest->number);
		if (ward) {
			ward_renamed(ward, now_ns(CLOCK_MONOTONIC));
			parent_control_guest(parent, ward);
		}
		break;
	case FLEET_CHANGED:
		if (ward)
			ward->next = 0;
		break;
	case FLEET_WENT:
		journal(LOG_INFO, "guest %s (%s) went", guest->name, guest->target);
		remove_ward(parent, guest->number);
		break;
	}
	if (r < 0)
		parent_incident(parent, 0, "guest %s cannot be watched: %s", guest->name,
				err.code ? err.text : strerror(-r));
	guest->unwatched |= r < 0;
}

/* What was missing then, memory or descriptors, may be there now. Told once, not each time. */
static void try_again(struct parent *parent)
{
	for (size_t i = 0; i < parent->fleet.guests.n; i++) {
		struct fleet_guest *guest = parent->fleet.guests.v[i];

		if (!guest->unwatched || add_ward(parent, guest, NULL) < 0)
			continue;
		guest->unwatched = false;
		journal(LOG_NOTICE, "guest %s can be watched again", guest->name);
	}
}

void parent_guest_ended(struct parent *parent, uint64_t guest)
{
	fleet_ended(&parent->fleet, guest, on_change, parent);
}

/* --- the daemon --- */

static void tell_manager(const struct parent *parent)
{
	char text[128];

	snprintf(text, sizeof(text), "WATCHDOG=1\nSTATUS=%zu guests are watched%s",
		 parent->wards.n, parent->control_ready ? "" : "; control does not run");
	notify_tell(text);
}

/* Once, when it stops and when it works again: not each time. */
static void tell_xen(struct parent *parent)
{
	const struct err *why = &parent->fleet.xen;

	if ((why->code != 0) == parent->xen_silent)
		return;
	parent->xen_silent = why->code != 0;
	if (why->code)
		parent_incident(parent, 0, "domains of Xen cannot be looked for: %s", why->text);
	else
		journal(LOG_NOTICE, "domains of Xen can be looked for again");
}

/* Likewise; @why is NULL when it works. */
static void tell_blind(struct parent *parent, const char *why)
{
	if (!why == !parent->blind)
		return;
	parent->blind = why;
	if (why)
		parent_incident(parent, 0, "guests cannot be looked for: %s", why);
	else
		journal(LOG_NOTICE, "guests can be looked for again");
}

void parent_look(struct parent *parent)
{
	struct err why = { 0 };

	tell_blind(parent, fleet_scan(&parent->fleet, on_change, parent, &why) < 0 ? why.text
										     : NULL);
	tell_xen(parent);
}

static int on_tick(void *ctx, struct err *err)
{
	struct parent *parent = ctx;
	uint64_t real, boot;

	(void)err;
	if (parent->stopping)
		return 0;
	if (steady_read(&real, &boot))
		parent_control_clock(parent, real, boot);
	parent_look(parent);
	try_again(parent);
	for (size_t i = 0; i < parent->wards.n; i++) {
		ward_tend(parent->wards.v[i], now_ns(CLOCK_MONOTONIC));
		parent_control_guest(parent, parent->wards.v[i]);
	}
	material_store_tend(&parent->materials, now_ns(CLOCK_MONOTONIC));
	parent_control_tend(parent);
	parent_libvirt_tend(parent);
	parent_xen_tend(parent);
	parent_work(parent);
	tell_manager(parent);
	return 0;
}

static void replan(struct parent *parent)
{
	struct schedule_options options = settings_options(parent->config);

	if (schedule_configure(parent->schedule, &options) < 0)
		return;
	for (size_t i = 0; i < parent->fleet.guests.n; i++)
		replan_guest(parent, parent->fleet.guests.v[i]);
}

/* What is open (user, directories, socket of the command line) stays until a restart. */
void parent_apply(struct parent *parent, struct config *config)
{
	config_free(&parent->config);
	parent->config = config;
	parent_reaction_apply(parent);
	parent_control_config(parent);
	replan(parent);
	journal(LOG_NOTICE, "the configuration was read again");
}

/* All of the file or nothing. */
static void reload(struct parent *parent)
{
	struct config *config = NULL;
	struct err err = { 0 };
	char text[128];

	snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
		 now_ns(CLOCK_MONOTONIC) / 1000);
	notify_tell(text);
	if (!parent->config_path) {
		journal(LOG_NOTICE, "there is no configuration file to read again");
	} else if (config_load(parent->config_path, &config, &err) < 0) {
		parent_incident(parent, 0, "the configuration stays as it was: %s", err.text);
	} else {
		parent_reload(parent, config);
		return;
	}
	notify_tell("READY=1");
}

static int on_signal(int fd, uint32_t events, void *ctx, struct err *err)
{
	struct parent *parent = ctx;
	struct signalfd_siginfo info;

	(void)events;
	(void)err;
	if (read(fd, &info, sizeof(info)) != sizeof(info))
		return 0;
	if (info.ssi_signo == SIGHUP) {
		reload(parent);
		return 0;
	}
	parent->stopping = true;
	loop_stop(&parent->loop);
	return 0;
}

static int watch_signals(struct parent *parent, struct err *err)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	parent->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (parent->signals < 0)
		return err_set(err, -errno, "signals: %s", strerror(errno));
	return loop_add(&parent->loop, parent->signals, EPOLLIN, on_signal, parent, err);
}

static int watch_timer(struct parent *parent, struct err *err)
{
	parent->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (parent->timer < 0)
		return err_set(err, -errno, "timer: %s", strerror(errno));
	return loop_add(&parent->loop, parent->timer, EPOLLIN, on_timer, parent, err);
}

/* Some descriptors for each guest: as many as the host lets us have. */
static void raise_limits(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/* One kernel more can be compared with: its guests have waited for that. */
static void on_prepared(void *ctx)
{
	struct parent *parent = ctx;

	for (size_t i = 0; i < parent->wards.n; i++)
		ward_scanner_resume(parent->wards.v[i]);
}

static int schedule_start(struct parent *parent, const struct schedule_options *options)
{
	cleanup(freep) uint8_t *worth = calloc(parent->checks_n + 1, sizeof(*worth));

	int r;

	if (!worth)
		return -ENOMEM;
	settings_worth(worth);
	r = schedule_create(options, parent->checks_n, worth, chance, NULL, &parent->schedule);
	if (r >= 0)
		settings_watched(parent->schedule);
	return r;
}

static int init(struct parent *parent, struct err *err)
{
	struct schedule_options options = settings_options(parent->config);
	const struct settings_user *user = NULL;
	int r = 0;

	checks_all(&parent->checks_n);
	raise_limits();
	if (parent->is_root) {
		r = settings_user(parent->config, &parent->user, err);
		user = &parent->user;
	}
	if (r >= 0)
		r = settings_ledger(parent->config, user, &parent->ledger, err);
	if (r >= 0)
		r = parent->listen = settings_listen(parent->config, user, err);
	if (r >= 0)
		r = parent_http_start(parent, err);
	if (r >= 0)
		r = loop_init(&parent->loop, TICK_MS, err);
	parent->materials.loop = &parent->loop;
	parent->materials.prepared = on_prepared;
	parent->materials.ctx = parent;
	if (r >= 0)
		r = schedule_start(parent, &options);
	if (r >= 0)
		r = parent_reaction_start(parent, err);
	if (r >= 0)
		r = watch_signals(parent, err);
	if (r >= 0)
		r = watch_timer(parent, err);
	if (r >= 0)
		r = loop_every(&parent->loop, on_tick, parent, err);
	return r;
}

static void deinit(struct parent *parent)
{
	for (size_t i = 0; i < parent->wards.n; i++)
		ward_free(&parent->wards.v[i]);
	vec_free(&parent->wards);
	material_store_free(&parent->materials);
	/* Control records how they ended. */
	parent_libvirt_stop(parent);
	parent_xen_stop(parent);
	parent_reaction_stop(parent);
	parent_control_stop(parent);
	if (parent->listen >= 0)
		unlink(parent->config->socket);
	parent_http_stop(parent);
	fd_close(&parent->listen);
	fd_close(&parent->signals);
	fd_close(&parent->timer);
	fleet_free(&parent->fleet);
	schedule_free(&parent->schedule);
	loop_deinit(&parent->loop);
	free(parent->ledger);
	config_free(&parent->config);
}

int parent_run(struct config *config, const char *path)
{
	struct parent parent = {
		.config = config, .config_path = (char *)(uintptr_t)path,
		.is_root = geteuid() == 0, .control = SPAWNED_NONE, .link = CHANNEL_NONE,
		.libvirt = { .process = SPAWNED_NONE, .channel = CHANNEL_NONE },
		.xen = { .process = SPAWNED_NONE, .channel = CHANNEL_NONE },
		.listen = -1, .http = HTTP_SETUP_NONE, .next.http = HTTP_SETUP_NONE,
		.signals = -1, .timer = -1, .loop = { .epoll = -1, .timer = -1 },
		.started_ns = now_ns(CLOCK_REALTIME),
	};
	struct err err = { 0 };
	int r;

	if (notify_open(&err) < 0)
		journal(LOG_WARNING, "%s", err.text);
	r = init(&parent, &err);
	if (r >= 0) {
		parent_control_tend(&parent);
		r = on_tick(&parent, &err);
		journal(LOG_NOTICE, "hvsmd " HVSM_VERSION " watches this host");
		notify_tell("READY=1");
	}
	if (r >= 0)
		r = loop_run(&parent.loop, &err);
	parent.stopping = true;
	notify_tell("STOPPING=1");
	deinit(&parent);
	if (r < 0)
		journal(LOG_ERR, "%s", err.code ? err.text : strerror(-r));
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
