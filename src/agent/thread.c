/* SPDX-License-Identifier: Apache-2.0 */

#include "agent/thread.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "base/now.h"

#define STACK_BYTES (64u << 10)

struct turn {
	struct post *post;
	uint32_t turn;
};

/* Held while a post is handed over: who takes it begins when it is his. */
static pthread_mutex_t handing = PTHREAD_MUTEX_INITIALIZER;

static void *take_turn(void *ctx)
{
	struct turn turn = *(struct turn *)ctx;

	free(ctx);
	pthread_mutex_lock(&handing);
	pthread_mutex_unlock(&handing);
	turn.post->fn(turn.post, turn.turn, turn.post->ctx);
	__atomic_fetch_sub(&turn.post->hanging, 1, __ATOMIC_RELEASE);
	return NULL;
}

static int start_thread(struct post *post, uint32_t its_turn)
{
	struct turn *turn = malloc(sizeof(*turn));
	pthread_attr_t attributes;
	sigset_t all, before;
	pthread_t thread;
	int r;

	if (!turn)
		return -ENOMEM;
	*turn = (struct turn){ post, its_turn };
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_BYTES);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	/* Signals are the main thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&thread, &attributes, take_turn, turn);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	if (r)
		free(turn);
	return -r;
}

int post_start(struct post *post, void (*fn)(struct post *, uint32_t, void *), void *ctx,
	       struct err *err)
{
	int r;

	*post = (struct post){ .fn = fn, .ctx = ctx };
	r = start_thread(post, 0);
	return r < 0 ? err_set(err, r, "thread") : 0;
}

static bool is_mine(struct post *post, uint32_t turn)
{
	return __atomic_load_n(&post->turn, __ATOMIC_ACQUIRE) == turn;
}

bool post_busy(struct post *post, uint32_t turn)
{
	if (!is_mine(post, turn))
		return false;
	__atomic_store_n(&post->busy_ns, now_ns(CLOCK_MONOTONIC), __ATOMIC_RELEASE);
	return true;
}

bool post_waits(struct post *post, uint32_t turn)
{
	if (!is_mine(post, turn))
		return false;
	__atomic_store_n(&post->busy_ns, 0, __ATOMIC_RELEASE);
	return true;
}

/* Nothing is changed where there is no thread for it: then who has the post keeps it. */
static int hand_over(struct post *post)
{
	int r = -EAGAIN;

	pthread_mutex_lock(&handing);
	if (__atomic_load_n(&post->hanging, __ATOMIC_ACQUIRE) < POST_HANGS_MAX)
		r = start_thread(post, post->turn + 1);
	if (r >= 0) {
		__atomic_fetch_add(&post->hanging, 1, __ATOMIC_RELEASE);
		__atomic_add_fetch(&post->turn, 1, __ATOMIC_RELEASE);
		__atomic_store_n(&post->busy_ns, 0, __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(&handing);
	return r;
}

bool post_watch(struct post *post)
{
	uint64_t since = __atomic_load_n(&post->busy_ns, __ATOMIC_ACQUIRE);
	bool told = post->stuck;

	if (!since || now_ns(CLOCK_MONOTONIC) - since < POST_HANGS_NS)
		return false;
	post->stuck = hand_over(post) < 0;
	return !post->stuck || !told;
}
