/* SPDX-License-Identifier: Apache-2.0 */

#include "base/loop.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

static int on_timer(int fd, uint32_t events, void *ctx, struct err *err)
{
	struct loop *loop = ctx;
	uint64_t n;

	(void)events;
	if (read(fd, &n, sizeof(n)) != sizeof(n))
		return 0;
	for (unsigned i = 0; i < loop->n_ticks; i++) {
		int r = loop->ticks[i].fn(loop->ticks[i].ctx, err);

		if (r < 0)
			return r;
	}
	return 0;
}

int loop_init(struct loop *loop, uint32_t period_ms, struct err *err)
{
	struct timespec period = { period_ms / 1000, period_ms % 1000 * 1000000L };
	struct itimerspec spec = { .it_interval = period, .it_value = period };

	memset(loop, 0, sizeof(*loop));
	loop->timer = -1;
	loop->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll < 0)
		return err_set(err, -errno, "epoll");
	loop->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (loop->timer < 0 || timerfd_settime(loop->timer, 0, &spec, NULL) < 0)
		return err_set(err, -errno, "timer");
	return loop_add(loop, loop->timer, EPOLLIN, on_timer, loop, err);
}

void loop_deinit(struct loop *loop)
{
	if (loop->timer >= 0)
		close(loop->timer);
	if (loop->epoll >= 0)
		close(loop->epoll);
	loop->timer = loop->epoll = -1;
	vec_free(&loop->sources);
}

int loop_add(struct loop *loop, int fd, uint32_t events, loop_fd_fn *fn, void *ctx,
	     struct err *err)
{
	struct epoll_event event = { .events = events };
	uint32_t i = 0;

	while (i < loop->sources.n && loop->sources.v[i].fn)
		i++;
	if (i == LOOP_SOURCES_MAX)
		return err_set(err, -ENOSPC, "over %u descriptors to wait for", LOOP_SOURCES_MAX);
	if (i == loop->sources.n) {
		struct loop_source *added = vec_add(&loop->sources);

		if (!added)
			return err_set(err, -ENOMEM, "no memory for another descriptor");
	}
	event.data.u32 = i;
	if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		return err_set(err, -errno, "epoll");
	loop->sources.v[i] = (struct loop_source){ .fd = fd, .fn = fn, .ctx = ctx };
	return 0;
}

void loop_change(struct loop *loop, int fd, uint32_t events)
{
	for (size_t i = 0; i < loop->sources.n; i++) {
		struct epoll_event event = { .events = events, .data.u32 = (uint32_t)i };

		if (loop->sources.v[i].fn && loop->sources.v[i].fd == fd)
			epoll_ctl(loop->epoll, EPOLL_CTL_MOD, fd, &event);
	}
}

void loop_remove(struct loop *loop, int fd)
{
	for (size_t i = 0; i < loop->sources.n; i++) {
		if (!loop->sources.v[i].fn || loop->sources.v[i].fd != fd)
			continue;
		epoll_ctl(loop->epoll, EPOLL_CTL_DEL, fd, NULL);
		loop->sources.v[i].fn = NULL;
		return;
	}
}

int loop_every(struct loop *loop, loop_tick_fn *fn, void *ctx, struct err *err)
{
	if (loop->n_ticks == LOOP_TICKS_MAX)
		return err_set(err, -ENOSPC, "over %d periodic tasks", LOOP_TICKS_MAX);
	loop->ticks[loop->n_ticks].fn = fn;
	loop->ticks[loop->n_ticks++].ctx = ctx;
	return 0;
}

/* One event at a time: a function may remove the source that would have been next. */
int loop_run(struct loop *loop, struct err *err)
{
	while (!loop->stop) {
		struct epoll_event event;
		struct loop_source source;
		int r, n = epoll_wait(loop->epoll, &event, 1, -1);

		if (n < 0 && errno != EINTR)
			return err_set(err, -errno, "epoll");
		if (n <= 0)
			continue;
		/* A copy: a function may add a source, and the array move. */
		source = loop->sources.v[event.data.u32];
		r = source.fn ? source.fn(source.fd, event.events, source.ctx, err) : 0;
		if (r < 0)
			return r;
	}
	return 0;
}

void loop_stop(struct loop *loop)
{
	loop->stop = true;
}
