/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_BASE_LOOP_H
#define HVSM_BASE_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/vec.h"

/*
 * What the main thread of a program that serves does: wait for descriptors and for the next
 * period, and call who asked for it. A function that is called must not block. It returns a
 * negative errno to end the loop, else 0.
 */
#define LOOP_SOURCES_MAX 65536u	/* a host has fewer guests than that; four for each */
#define LOOP_TICKS_MAX	 8

/* @events: EPOLLIN …; see epoll_ctl(2). */
typedef int loop_fd_fn(int fd, uint32_t events, void *ctx, struct err *err);
typedef int loop_tick_fn(void *ctx, struct err *err);

struct loop_source {
	int fd;
	loop_fd_fn *fn;		/* NULL: free */
	void *ctx;
};

struct loop {
	int epoll, timer;
	bool stop;
	VEC(struct loop_source) sources;
	struct {
		loop_tick_fn *fn;
		void *ctx;
	} ticks[LOOP_TICKS_MAX];
	unsigned n_ticks;
};

nodiscard int loop_init(struct loop *loop, uint32_t period_ms, struct err *err);
void loop_deinit(struct loop *loop);

/* Call @fn when one of @events is there for @fd, which stays its owner's. -ENOSPC: too many. */
nodiscard int loop_add(struct loop *loop, int fd, uint32_t events, loop_fd_fn *fn, void *ctx,
		       struct err *err);

/* Wait for other @events of a descriptor that was added. */
void loop_change(struct loop *loop, int fd, uint32_t events);

/* Before @fd is closed. */
void loop_remove(struct loop *loop, int fd);

/* Call @fn once a period, after those that were added earlier. */
nodiscard int loop_every(struct loop *loop, loop_tick_fn *fn, void *ctx, struct err *err);

/* Until loop_stop(), or until a function fails: then what it returned. */
nodiscard int loop_run(struct loop *loop, struct err *err);

void loop_stop(struct loop *loop);

#endif
