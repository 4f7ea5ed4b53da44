/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/ward.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "monitor/parent.h"

/* A guest whose process is a child of the test. */
struct setting {
	struct parent parent;
	struct fleet_guest guest;
};

static void set_up(struct setting *s)
{
	struct err err = { 0 };

	*s = (struct setting){ .guest = {
		.number = 7, .key = (char *)(uintptr_t)"k", .name = (char *)(uintptr_t)"web1",
	} };
	s->guest.pid = fork();
	if (!s->guest.pid) {
		pause();
		_exit(0);
	}
	assert_true(s->guest.pid > 0);
	assert_int_equal(fleet_started(s->guest.pid, &s->guest.started), 0);
	assert_int_equal(loop_init(&s->parent.loop, 1000, &err), 0);
}

static void end_guest(struct setting *s)
{
	if (s->guest.pid <= 0)
		return;
	assert_int_equal(kill(s->guest.pid, SIGKILL), 0);
	assert_int_equal(waitpid(s->guest.pid, NULL, 0), s->guest.pid);
	s->guest.pid = 0;
}

static void tear_down(struct setting *s)
{
	end_guest(s);
	loop_deinit(&s->parent.loop);
}

/* Its memory would be opened by that PID: what is another's must not be taken for the guest's. */
static void a_pid_that_is_anothers_by_now_is_not_watched(void **state)
{
	struct ward *ward = NULL;
	struct setting s;

	(void)state;
	set_up(&s);
	s.guest.started--;
	assert_int_equal(ward_create(&s.parent, &s.guest, &ward, NULL), -ESRCH);
	assert_null(ward);
	s.guest.started++;
	assert_int_equal(ward_create(&s.parent, &s.guest, &ward, NULL), 0);
	ward_free(&ward);
	tear_down(&s);
}

static void an_end_is_known_before_the_loop_tells_of_it(void **state)
{
	struct ward *ward = NULL;
	struct setting s;

	(void)state;
	set_up(&s);
	assert_int_equal(ward_create(&s.parent, &s.guest, &ward, NULL), 0);
	assert_false(ward_has_ended(ward));
	end_guest(&s);
	assert_true(ward_has_ended(ward));
	ward_free(&ward);
	tear_down(&s);
}

static void a_control_that_does_not_read_has_ended_for_its_parent(void **state)
{
	const struct err err = { .code = -ETIMEDOUT, .text = "no answer" };
	struct message message;
	struct setting s;
	int fds[2];

	(void)state;
	set_up(&s);
	assert_int_equal(channel_pair(fds, NULL), 0);
	channel_init(&s.parent.link, fds[0], ROLE_STARTER, ROLE_CONTROL, s.parent.rules, 0);
	s.parent.control_ready = true;
	/* What one message did not have is no reason … */
	parent_control_told(&s.parent, 0, "a guest", &err);
	parent_control_told(&s.parent, -EINVAL, "a guest", &err);
	assert_true(s.parent.control_ready);
	assert_int_equal(channel_receive(&s.parent.link, &message, 0, NULL), -ETIMEDOUT);
	/* … but nobody waits twice. */
	parent_control_told(&s.parent, -ETIMEDOUT, "a guest", &err);
	assert_false(s.parent.control_ready);
	assert_int_equal(channel_receive(&s.parent.link, &message, 0, NULL), -EPIPE);
	channel_close(&s.parent.link);
	close(fds[1]);
	tear_down(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pid_that_is_anothers_by_now_is_not_watched),
		cmocka_unit_test(an_end_is_known_before_the_loop_tells_of_it),
		cmocka_unit_test(a_control_that_does_not_read_has_ended_for_its_parent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
