/* SPDX-License-Identifier: Apache-2.0 */

/* hvsm watch - what a guest does, as it does it. */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/columns.h"
#include "base/limits.h"
#include "base/now.h"
#include "cli/attach.h"
#include "cli/command.h"
#include "cli/nearest.h"
#include "cli/output.h"
#include "cli/say.h"
#include "cli/watch_daemon.h"
#include "monitor/behaviour.h"
#include "report/encode.h"
#include "report/text.h"
#include "report/verdict.h"

#define NS_PER_MS 1000000ull
#define NS_PER_S  1000000000ull

#define PERIOD_MS     100u
#define PERIOD_MS_MAX 60000u
#define COUNT_MAX     1000000000u
#define SECONDS_MAX   100000000u

/* What a look has found waits for the guest's clock to move: a tick takes 1 to 10 ms. */
#define SETTLE_NS (12 * NS_PER_MS)

/*
 * Where the clock stands still, another kernel may run elsewhere. To search for it costs as much
 * as attaching: a reset is over within a minute, and a guest that is paused may stay so for days.
 */
#define STILL_NS      (2 * NS_PER_S)
#define STILL_LONG_NS (60 * NS_PER_S)
#define STILL_SLOW_NS (30 * NS_PER_S)

/* How often a guest without a kernel is looked at: it is booting. */
#define BOOTING_NS NS_PER_S

static volatile sig_atomic_t stop;

struct watch {
	const struct arguments *args;
	struct attached *guest;
	struct behaviour *behaviour;
	uint64_t period_ns;
	uint64_t end_ns;	/* CLOCK_MONOTONIC; 0: none */
	uint64_t left;		/* events that may still be printed */
	uint64_t still_ns;	/* of the clock, after which another kernel is searched */
	unsigned kinds;
	size_t columns;
	bool no_memory;
};

static void on_signal(int number)
{
	(void)number;
	stop = 1;
}

static bool ended(const struct watch *watch)
{
	return stop || !watch->left || watch->no_memory || ferror(stdout) ||
	       (watch->end_ns && now_ns(CLOCK_MONOTONIC) >= watch->end_ns);
}

/* Until then, a signal, or the end of what was asked for. */
static void wait_until(const struct watch *watch, uint64_t ns)
{
	struct timespec at;

	if (watch->end_ns && ns > watch->end_ns)
		ns = watch->end_ns;
	at = (struct timespec){ (time_t)(ns / NS_PER_S), (long)(ns % NS_PER_S) };
	/* A guest of Xen that ends meanwhile must not be kept by what is mapped of it. */
	ram_rest(watch->guest->ram);
	if (!ended(watch))
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
}

/* --- what is printed --- */

static void print_text(struct watch *watch, const struct event *event)
{
	cleanup(freep) char *text = event_text(event);
	time_t seconds = (time_t)(event->before_ns / NS_PER_S);
	const char *bold = output_colour() ? TEXT_BOLD : "", *plain = *bold ? TEXT_PLAIN : "";
	struct tm tm = {0};
	char head[64];
	size_t fit;

	watch->no_memory |= !text;
	if (!text)
		return;
	gmtime_r(&seconds, &tm);
	snprintf(head, sizeof(head), "%02d:%02d:%02d.%03u", tm.tm_hour, tm.tm_min, tm.tm_sec,
		 (unsigned)(event->before_ns % NS_PER_S / NS_PER_MS));
	printf("%s %s%-13s%s ", head, bold, event_name(event->kind), plain);
	fit = strlen(head) + strlen(event_name(event->kind)) + 2;
	fit = fit < 27 ? 27 : fit;
	fit = watch->columns > fit ? columns_fit(text, watch->columns - fit) : strlen(text);
	printf("%.*s\n", (int)fit, text);
}

static void print_event(const struct event *event, void *ctx)
{
	struct watch *watch = ctx;
	struct err err = {0};

	if (!watch->left || !(watch->kinds & EVENT_BIT(event->kind)))
		return;
	watch->left--;
	if (watch->args->json)
		watch->no_memory |= encode_print(event_json(event,
			identity_json(&watch->guest->identity)), stdout, &err) < 0;
	else
		print_text(watch, event);
	fflush(stdout);
}

/* --- which kernel --- */

static bool same_boot(const struct kernel *a, const struct kernel *b)
{
	bool known = a->boot.first_task.v && b->boot.first_task.v;

	return a->text.v == b->text.v && a->image.v == b->image.v &&
	       !strcmp(a->banner, b->banner) && a->boot.canary == b->boot.canary &&
	       (!known || (a->boot.first_task.v == b->boot.first_task.v &&
			   a->boot.first_task_ns == b->boot.first_task_ns));
}

/*
 * Look for the kernel that runs now; where it is another one, go on with it. Return: 0, 1 (it
 * is the one that it was), -ENOENT (none yet), -ESRCH, …
 */
static int find_kernel(struct watch *watch, struct err *err)
{
	struct attached *guest = watch->guest;
	struct kernel *kernel = NULL;
	int r;

	view_refresh(guest->view);
	view_refuel(guest->view, VIEW_FUEL_ATTACH);
	r = kernel_open(guest->view, &kernel, err);
	if (r < 0)
		return r;
	if (same_boot(kernel, guest->kernel)) {
		kernel_close(&kernel);
		return 1;
	}
	behaviour_reboot(watch->behaviour, guest->kernel->release, kernel->release, print_event,
			 watch);
	kernel_close(&guest->kernel);
	guest->kernel = kernel;
	return 0;
}

/*
 * The kernel is gone: wait for the next one, or until the search finds the old one again, as where
 * an update was in flight when it was looked at. Return: 0, -ESRCH, -ENOMEM.
 */
static int await_kernel(struct watch *watch, struct err *err)
{
	int r = find_kernel(watch, err);

	while (r && r != -ESRCH && r != -ENOMEM && !ended(watch)) {
		wait_until(watch, now_ns(CLOCK_MONOTONIC) + BOOTING_NS);
		if (r > 0)
			return 0;
		*err = (struct err){0};
		r = find_kernel(watch, err);
	}
	return r == -ESRCH || r == -ENOMEM ? r : 0;
}

/* After a reset the old kernel may lie there untouched for long, while another one runs. */
static int mind_the_clock(struct watch *watch, struct err *err)
{
	int r;

	if (behaviour_still_ns(watch->behaviour) < watch->still_ns) {
		if (behaviour_still_ns(watch->behaviour) < STILL_NS)
			watch->still_ns = STILL_NS;
		return 0;
	}
	watch->still_ns = behaviour_still_ns(watch->behaviour) +
			  (watch->still_ns < STILL_LONG_NS ? STILL_NS : STILL_SLOW_NS);
	r = find_kernel(watch, err);
	return r == -ESRCH || r == -ENOMEM ? r : 0;
}

/* --- the loop --- */

static int look_once(struct watch *watch, struct err *err)
{
	struct attached *guest = watch->guest;
	int r;

	*err = (struct err){0};
	r = behaviour_look(watch->behaviour, guest->kernel, guest->view, print_event, watch, err);
	if (r == 1 && watch->period_ns > SETTLE_NS) {
		wait_until(watch, now_ns(CLOCK_MONOTONIC) + SETTLE_NS);
		r = behaviour_settle(watch->behaviour, guest->kernel, guest->view, print_event,
				     watch, err);
	}
	if (r == -ESTALE)
		return await_kernel(watch, err);
	return r < 0 ? r : mind_the_clock(watch, err);
}

static int run(struct watch *watch, struct err *err)
{
	uint64_t next = now_ns(CLOCK_MONOTONIC);
	int r = 0;

	while (r >= 0 && !ended(watch)) {
		uint64_t now;

		r = look_once(watch, err);
		now = now_ns(CLOCK_MONOTONIC);
		next += watch->period_ns;
		if (next < now)		/* late: looks are left out, not made up for */
			next = now;
		if (r >= 0)
			wait_until(watch, next);
	}
	if (watch->no_memory)
		return err_set(err, -ENOMEM, "no memory for an event");
	return r == -ESRCH ? 0 : r;
}

/* --- arguments --- */

static const char *kind_name(size_t i, const void *ctx)
{
	(void)ctx;
	return event_name((enum event_kind)i);
}

static int parse_kinds(const words *only, unsigned *ret)
{
	unsigned kinds = only->n ? 0 : EVENTS_ALL;
	enum event_kind kind;
	char near[128];

	for (size_t i = 0; i < only->n; i++) {
		if (event_by_name(only->v[i], &kind) < 0) {
			nearest(only->v[i], kind_name, EVENT_KINDS, NULL, near, sizeof(near));
			say("watch: no kind of event '%s'%s%s%s; see `hvsm watch --help`",
			    only->v[i], *near ? " (did you mean " : "", near, *near ? "?)" : "");
			return -EINVAL;
		}
		kinds |= EVENT_BIT(kind);
	}
	*ret = kinds;
	return 0;
}

/* The last time that an option was given counts. */
static int parse_number(const words *given, const char *option, uint64_t max, uint64_t *ret)
{
	const char *text = given->n ? given->v[given->n - 1] : NULL;
	unsigned long long value;
	char *end;

	if (!text)
		return 0;
	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || *end || end == text || *text < '0' || *text > '9' || !value || value > max) {
		say("watch: --%s takes a number from 1 to %llu, not '%s'; see `hvsm watch --help`",
		    option, (unsigned long long)max, text);
		return -EINVAL;
	}
	*ret = value;
	return 0;
}

static int parse(struct watch *watch, const struct arguments *args)
{
	uint64_t period_ms = PERIOD_MS, seconds = 0;
	int r;

	watch->args = args;
	watch->left = UINT64_MAX;
	watch->still_ns = STILL_NS;
	r = parse_kinds(&args->only, &watch->kinds);
	if (r >= 0)
		r = parse_number(&args->period, "period", PERIOD_MS_MAX, &period_ms);
	if (r >= 0)
		r = parse_number(&args->count, "count", COUNT_MAX, &watch->left);
	if (r >= 0)
		r = parse_number(&args->seconds, "for", SECONDS_MAX, &seconds);
	watch->period_ns = period_ms * NS_PER_MS;
	if (seconds)
		watch->end_ns = now_ns(CLOCK_MONOTONIC) + seconds * NS_PER_S;
	return r;
}

static void catch_signals(void)
{
	struct sigaction action = { .sa_handler = on_signal };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

/* Without a target: of all guests, by who watches them. */
static int watch_all(const struct watch *watch)
{
	struct watch_daemon all = {
		.json = watch->args->json, .kinds = watch->kinds,
		.findings = !watch->args->only.n, .left = watch->left, .end_ns = watch->end_ns,
		.columns = output_columns(), .stop = &stop,
	};
	struct err err = {0};
	int r;

	if (watch->args->period.n) {
		say("watch: --period is for one guest; how often hvsmd(8) looks says its "
		    "configuration; see `hvsm watch --help`");
		return EXIT_UNSCANNED;
	}
	catch_signals();
	r = watch_daemon(&all, &err);
	if (r >= 0)
		return EXIT_CLEAN;
	say_failed(r, &err, "is hvsmd running, and may you ask it (root, group hvsm)? One guest: "
			    "`hvsm watch TARGET`", "cannot watch all guests");
	return EXIT_UNSCANNED;
}

static int watch_run(const struct arguments *args)
{
	cleanup(attached_free) struct attached *guest = NULL;
	cleanup(behaviour_close) struct behaviour *behaviour = NULL;
	const struct attach_options options = { .live = true, .stop = &stop };
	struct watch watch = {0};
	struct err err = {0};
	enum exit_status status;
	int r;

	if (parse(&watch, args) < 0)
		return EXIT_UNSCANNED;
	if (!args->operands_n)
		return watch_all(&watch);
	/* In the sandbox it is too late for that. */
	catch_signals();
	status = attach(args->operands[0], &options, &guest);
	if (!guest)
		return (int)status;
	watch.guest = guest;
	watch.columns = output_columns();
	r = behaviour_open(watch.kinds, &behaviour);
	watch.behaviour = behaviour;
	if (r >= 0)
		r = run(&watch, &err);
	if (r >= 0)
		return EXIT_CLEAN;
	say_failed(r, &err, NULL, "cannot watch '%s' any more", guest->identity.target);
	return EXIT_UNSCANNED;
}

const struct command watch_command = {
	.name = "watch",
	.operands = "[TARGET]",
	.operands_max = 1,
	.options = OPTION_JSON | OPTION_KINDS | OPTION_PERIOD | OPTION_COUNT | OPTION_FOR,
	.summary = "what a guest does, as it does it",
	.about =
		"Look at a guest again and again, and print what happened between two looks: one\n"
		"event per line, with the time (UTC) at which it had happened. What lives shorter\n"
		"than the time between two looks may be missed; the guest's own counts say how\n"
		"much was. Ends with the guest, by Ctrl-C, or as --count and --for say.\n"
		"\n"
		"Without TARGET: of all guests that hvsmd(8) watches, as it tells them; unless\n"
		"--only is given, with findings that open and close.\n"
		"\n"
		"KIND is one of:\n"
		"  watch process-start process-exit exec credentials namespaces processes-missed\n"
		"  module-load module-unload listen accept connect socket-close mount umount\n"
		"  bpf-load bpf-unload log log-missed register-write reboot paused resumed\n"
		"  look-incomplete events-dropped gone",
	.example = "  hvsm watch web1 --only exec,module-load,credentials\n  hvsm watch --json",
	.run = watch_run,
};
