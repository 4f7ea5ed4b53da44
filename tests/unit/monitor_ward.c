/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/ward.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "monitor/parent.h"

/* A guest whose process is a child of the test, which ends with it however that ends. */
struct setting {
	struct parent parent;
	struct fleet_guest guest;
};

static int set_up(void **state)
{
	struct setting *s = calloc(1, sizeof(*s));
	const pid_t test = getpid();
	struct err err = { 0 };

	assert_non_null(s);
	s->guest = (struct fleet_guest){
		.number = 7, .key = (char *)(uintptr_t)"k", .name = (char *)(uintptr_t)"web1",
	};
	s->guest.pid = fork();
	if (!s->guest.pid) {
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == test)
			pause();
		_exit(0);
	}
	*state = s;
	return s->guest.pid > 0 && fleet_started(s->guest.pid, &s->guest.started) == 0 &&
	       loop_init(&s->parent.loop, 1000, &err) == 0 ? 0 : -1;
}

static void end_guest(struct setting *s)
{
	if (s->guest.pid <= 0)
		return;
	assert_int_equal(kill(s->guest.pid, SIGKILL), 0);
	assert_int_equal(waitpid(s->guest.pid, NULL, 0), s->guest.pid);
	s->guest.pid = 0;
}

/* Also of a test that failed. */
static int tear_down(void **state)
{
	struct setting *s = *state;

	end_guest(s);
	loop_deinit(&s->parent.loop);
	free(s);
	return 0;
}

/* Its memory would be opened by that PID: what is another's must not be taken for the guest's. */
static void a_pid_that_is_anothers_by_now_is_not_watched(void **state)
{
	struct setting *s = *state;
	struct ward *ward = NULL;

	s->guest.started--;
	assert_int_equal(ward_create(&s->parent, &s->guest, &ward, NULL), -ESRCH);
	assert_null(ward);
	s->guest.started++;
	assert_int_equal(ward_create(&s->parent, &s->guest, &ward, NULL), 0);
	ward_free(&ward);
}

static void an_end_is_known_before_the_loop_tells_of_it(void **state)
{
	struct setting *s = *state;
	struct ward *ward = NULL;

	assert_int_equal(ward_create(&s->parent, &s->guest, &ward, NULL), 0);
	assert_false(ward_has_ended(ward));
	end_guest(s);
	assert_true(ward_has_ended(ward));
	ward_free(&ward);
}

static void a_control_that_does_not_read_has_ended_for_its_parent(void **state)
{
	const struct err err = { .code = -ETIMEDOUT, .text = "no answer" };
	struct message message;
	struct setting *s = *state;
	int fds[2];

	assert_int_equal(channel_pair(fds, NULL), 0);
	channel_init(&s->parent.link, fds[0], ROLE_STARTER, ROLE_CONTROL, s->parent.rules, 0);
	s->parent.control_ready = true;
	/* What one message did not have is no reason … */
	parent_control_told(&s->parent, 0, "a guest", &err);
	parent_control_told(&s->parent, -EINVAL, "a guest", &err);
	assert_true(s->parent.control_ready);
	assert_int_equal(channel_receive(&s->parent.link, &message, 0, NULL), -ETIMEDOUT);
	/* … but nobody waits twice. */
	parent_control_told(&s->parent, -ETIMEDOUT, "a guest", &err);
	assert_false(s->parent.control_ready);
	assert_int_equal(channel_receive(&s->parent.link, &message, 0, NULL), -EPIPE);
	channel_close(&s->parent.link);
	close(fds[1]);
}

static void one_boot_is_told_from_the_next(void **state)
{
	const struct ward_boot none = { 0 }, is = { 0xffffffff81000000, 7, 0xffff888001234000, 90 };
	const struct ward_boot early = { is.text, is.canary, 0, 0 };
	struct ward_boot other = is;

	(void)state;
	assert_true(ward_boot_is_same(&is, &is));
	/* Found before it had made a process; a boot cannot go back to that. */
	assert_true(ward_boot_is_same(&early, &is));
	assert_true(ward_boot_is_same(&early, &early));
	assert_false(ward_boot_is_same(&is, &early));
	assert_false(ward_boot_is_same(&none, &is));
	other.canary++;
	assert_false(ward_boot_is_same(&is, &other));
	assert_false(ward_boot_is_same(&early, &other));
	other = is;
	other.text += 2 << 20;
	assert_false(ward_boot_is_same(&early, &other));
	other = is;
	other.first_task_ns++;
	assert_false(ward_boot_is_same(&is, &other));
	/* A kernel without a canary: nothing is left to know it by. */
	other = is;
	other.canary = 0;
	assert_false(ward_boot_is_same(&(struct ward_boot){ is.text, 0, 0, 0 }, &other));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_pid_that_is_anothers_by_now_is_not_watched),
		TEST(an_end_is_known_before_the_loop_tells_of_it),
		TEST(one_boot_is_told_from_the_next),
		TEST(a_control_that_does_not_read_has_ended_for_its_parent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
