/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/thread.h"

#include <pthread.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#define NOBODY 65534

/* What each turn does: it says that it came, and hangs until it may go on; who has the post stays. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static uint32_t began, owned;
static bool go_on;

static void hang(struct post *post, uint32_t turn, void *ctx)
{
	(void)ctx;
	pthread_mutex_lock(&lock);
	began++;
	owned += post_busy(post, turn);
	pthread_cond_broadcast(&changed);
	while (!go_on || turn == __atomic_load_n(&post->turn, __ATOMIC_ACQUIRE))
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}

static void wait_for(uint32_t n)
{
	pthread_mutex_lock(&lock);
	while (began < n)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}

/* As if it had begun to work when the machine started. */
static bool watch_long_after(struct post *post)
{
	__atomic_store_n(&post->busy_ns, 1, __ATOMIC_RELEASE);
	return post_watch(post);
}

static void a_post_goes_to_one_after_another_until_too_many_hang(void **state)
{
	static struct post post;
	struct err err;

	(void)state;
	assert_int_equal(post_start(&post, hang, NULL, &err), 0);
	wait_for(1);
	assert_false(post_watch(&post));
	for (uint32_t i = 0; i < POST_HANGS_MAX; i++) {
		assert_true(watch_long_after(&post));
		wait_for(i + 2);
	}
	/* Each had the post when it began. */
	assert_int_equal(owned, POST_HANGS_MAX + 1);
	/* That is told once, and it stays to be seen that it hangs. */
	assert_true(watch_long_after(&post));
	assert_false(watch_long_after(&post));
	assert_int_equal(post.busy_ns, 1);
	assert_int_equal(post.turn, POST_HANGS_MAX);
	assert_int_equal(began, POST_HANGS_MAX + 1);

	/* When one that hung comes back, there is room for another one. */
	pthread_mutex_lock(&lock);
	go_on = true;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
	while (__atomic_load_n(&post.hanging, __ATOMIC_ACQUIRE) >= POST_HANGS_MAX)
		usleep(1000);
	assert_true(watch_long_after(&post));
	wait_for(POST_HANGS_MAX + 2);
	assert_int_equal(owned, POST_HANGS_MAX + 2);
}

/* --- a machine that has no thread to give --- */

static uint32_t turns;

static void count_turns(struct post *post, uint32_t turn, void *ctx)
{
	(void)ctx;
	__atomic_add_fetch(&turns, 1, __ATOMIC_RELEASE);
	(void)post_busy(post, turn);
}

/* In a process of its own: another user, who may have no more of them than those that are there. */
static int without_threads(void)
{
	static struct post post = { .fn = count_turns };
	struct rlimit limit;
	rlim_t before;

	if (getrlimit(RLIMIT_NPROC, &limit) < 0 || (!geteuid() && setuid(NOBODY) < 0))
		return 2;
	before = limit.rlim_cur;
	limit.rlim_cur = 0;
	if (setrlimit(RLIMIT_NPROC, &limit) < 0)
		return 3;
	/* That is told once; who has the post keeps it, and that it hangs stays to be seen. */
	if (!watch_long_after(&post) || watch_long_after(&post) || post.busy_ns != 1 || post.turn ||
	    post.hanging || turns)
		return 4;
	limit.rlim_cur = before;
	if (setrlimit(RLIMIT_NPROC, &limit) < 0)
		return 5;
	if (!watch_long_after(&post) || post.turn != 1 || post.hanging != 1)
		return 6;
	while (!__atomic_load_n(&turns, __ATOMIC_ACQUIRE))
		usleep(1000);
	return 0;
}

static void a_post_whose_thread_cannot_be_had_is_given_later(void **state)
{
	pid_t child = fork();
	int status;

	(void)state;
	assert_true(child >= 0);
	if (!child)
		_exit(without_threads());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

int main(void)
{
	/* The first has no threads yet that a child would lack. */
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_post_whose_thread_cannot_be_had_is_given_later),
		cmocka_unit_test(a_post_goes_to_one_after_another_until_too_many_hang),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
