/* SPDX-License-Identifier: Apache-2.0 */

/* hvsm-agent run: the agent itself. */

#include <malloc.h>
#include <signal.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>

#include "agent/agent.h"
#include "agent/confine.h"
#include "agent/control.h"
#include "agent/events.h"
#include "agent/inside.h"
#include "agent/measure.h"
#include "agent/notify.h"
#include "agent/process.h"
#include "agent/watch.h"
#include "agent/will.h"
#include "base/cleanup.h"

#define PERIOD_MIN_MS 100
#define PERIOD_MAX_MS 60000
#define FILES_MAX     8192	/* the workers' queues, the events of a batch, and the rest */

void agent_say(const char *fmt, ...)
{
	va_list ap;

	fputs("hvsm-agent: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

/* What the agent consists of, started in this order, each with the loop at hand. */
static int (*const parts[])(struct agent *agent, struct err *err) = {
	notify_start,
	control_start,
	will_start,
	events_start,
	confine_privileges,
	inside_start,
	measure_start,
	watch_start,
	process_start,
	confine_calls,
	notify_ready,
};

static int beat(void *ctx, struct err *err)
{
	(void)ctx;
	(void)err;
	anchor_beat();
	return 0;
}

static int on_signal(int fd, uint32_t events, void *ctx, struct err *err)
{
	struct agent *agent = ctx;
	struct signalfd_siginfo info;

	(void)events;
	(void)err;
	if (read(fd, &info, sizeof(info)) == sizeof(info))
		loop_stop(&agent->loop);
	return 0;
}

/* SIGTERM and SIGINT end the agent in its own time; no signal else has a meaning. */
static int watch_signals(struct agent *agent, struct err *err)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return err_set(err, -errno, "signalfd");
	return loop_add(&agent->loop, fd, EPOLLIN, on_signal, agent, err);
}

/* Everything that we have, and will have, stays in memory: the outside cannot read swap. */
static int lock_memory(struct err *err)
{
	const struct rlimit any = { RLIM_INFINITY, RLIM_INFINITY };
	const struct rlimit files = { FILES_MAX, FILES_MAX };
	FILE *adjust;

	/* One heap, however many threads; each more would take its own locked pages. */
	mallopt(M_ARENA_MAX, 1);
	mallopt(M_TRIM_THRESHOLD, 128 << 10);
	setrlimit(RLIMIT_MEMLOCK, &any);
	setrlimit(RLIMIT_NOFILE, &files);
	/* If memory runs out, it is not the agent that has to go. */
	adjust = fopen("/proc/self/oom_score_adj", "we");
	if (adjust) {
		fputs("-1000", adjust);
		fclose(adjust);
	}
	if (mlockall(MCL_CURRENT | MCL_FUTURE) < 0)
		return err_set(err, -errno, "locking memory (is this root?)");
	return 0;
}

static int start(struct agent *agent, uint32_t period_ms, struct err *err)
{
	int r;

	r = lock_memory(err);
	if (r >= 0)
		r = anchor_start(period_ms, err);
	if (r >= 0)
		r = log_start(&agent->log, our_anchor, AGENT_LOG_MAX, err);
	if (r >= 0)
		r = memory_reserve(&agent->events, AGENT_EVENTS * sizeof(struct agent_event), err);
	if (r >= 0)
		r = memory_reserve(&agent->inside, 2 * AGENT_INSIDE_MAX, err);
	if (r < 0)
		return r;
	our_anchor->events = memory_region(&agent->events);
	our_anchor->inside = memory_region(&agent->inside);
	anchor_publish();

	r = loop_init(&agent->loop, period_ms, err);
	if (r >= 0)
		r = watch_signals(agent, err);
	if (r >= 0)
		r = loop_every(&agent->loop, beat, NULL, err);
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(parts); i++)
		r = parts[i](agent, err);
	return r;
}

static int parse_arguments(int argc, char **argv, uint32_t *period_ms)
{
	for (int i = 0; i < argc; i++) {
		char *end = NULL;
		long n = 0;

		if (strcmp(argv[i], "--period") != 0) {
			agent_say("run: unknown option '%s'", argv[i]);
			return -EINVAL;
		}
		if (++i < argc)
			n = strtol(argv[i], &end, 10);
		if (!end || *end || n < PERIOD_MIN_MS || n > PERIOD_MAX_MS) {
			agent_say("run: --period takes %d to %d milliseconds", PERIOD_MIN_MS,
				  PERIOD_MAX_MS);
			return -EINVAL;
		}
		*period_ms = (uint32_t)n;
	}
	return 0;
}

int run_command(int argc, char **argv)
{
	static struct agent agent;
	uint32_t period_ms = AGENT_PERIOD_MS;
	struct err err = {0};
	int r;

	if (parse_arguments(argc, argv, &period_ms) < 0)
		return 2;
	if (sodium_init() < 0) {
		agent_say("libsodium cannot be used");
		return 2;
	}
	r = start(&agent, period_ms, &err);
	if (r >= 0)
		r = loop_run(&agent.loop, &err);
	if (r < 0) {
		agent_say("%s", err.text);
		return 2;
	}
	anchor_set_state(AGENT_STOPPING);
	notify_stopping();
	r = log_append_type(&agent.log, AGENT_RECORD_STOP);
	pthread_mutex_lock(&agent.log.lock);
	will_leave(our_anchor);
	pthread_mutex_unlock(&agent.log.lock);
	control_stop();
	return r < 0 && r != -ENOSPC ? 2 : 0;
}
