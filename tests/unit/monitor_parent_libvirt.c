/* SPDX-License-Identifier: Apache-2.0 */

/* The process that hears libvirt is the configuration's, also after that was read again. */
#include "monitor/parent.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/now.h"
#include "monitor/libvirt.h"

static int ignore(int fd, uint32_t events, void *ctx, struct err *err)
{
	(void)fd;
	(void)events;
	(void)ctx;
	(void)err;
	return 0;
}

/* A parent whose process for libvirt runs, and was told @uri. */
static void set_up(struct parent *parent, const char *uri, int *other)
{
	struct parent_libvirt *libvirt = &parent->libvirt;
	int fds[2];

	*parent = (struct parent){ .listen = -1 };
	assert_int_equal(loop_init(&parent->loop, 1000, NULL), 0);
	assert_int_equal(channel_pair(fds, NULL), 0);
	channel_init(&libvirt->channel, fds[0], ROLE_STARTER, ROLE_LIBVIRT, libvirt->rules, 0);
	assert_int_equal(loop_add(&parent->loop, fds[0], EPOLLIN, ignore, NULL, NULL), 0);
	*other = fds[1];
	libvirt->process.pid = fork();
	if (!libvirt->process.pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pause();
		_exit(0);
	}
	libvirt->process.pidfd = pidfd_open(libvirt->process.pid, 0);
	assert_true(libvirt->process.pidfd >= 0);
	libvirt->uri = strdup(uri);
	libvirt->connected = true;
	libvirt->heard = now_ns(CLOCK_MONOTONIC);
}

static void configure(struct parent *parent, const char *text)
{
	config_free(&parent->config);
	assert_int_equal(config_parse("f", text, strlen(text), &parent->config, NULL), 0);
}

static void tear_down(struct parent *parent, int other)
{
	parent_libvirt_stop(parent);
	loop_deinit(&parent->loop);
	config_free(&parent->config);
	close(other);
}

static void another_one_is_asked_at_once(void **state)
{
	struct parent parent;
	int other;

	(void)state;
	set_up(&parent, "qemu:///system", &other);
	configure(&parent, "libvirt = 'qemu:///system'");
	parent_libvirt_tend(&parent);
	assert_true(parent.libvirt.process.pid > 0 && parent.libvirt.connected);
	configure(&parent, "libvirt = 'test:///default'");
	parent_libvirt_tend(&parent);
	/* It has ended; the next look starts the other one, and does not wait as after a failure. */
	assert_true(parent.libvirt.process.pid <= 0 && !parent.libvirt.connected);
	assert_true(parent.libvirt.next == 0 && parent.libvirt.failures == 0);
	tear_down(&parent, other);
}

static void none_is_none(void **state)
{
	struct parent parent;
	int other;

	(void)state;
	set_up(&parent, "qemu:///system", &other);
	configure(&parent, "libvirt = none");
	parent_libvirt_tend(&parent);
	assert_true(parent.libvirt.process.pid <= 0 && !parent.libvirt.connected);
	parent_libvirt_tend(&parent);
	assert_true(parent.libvirt.process.pid <= 0);
	tear_down(&parent, other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(another_one_is_asked_at_once),
		cmocka_unit_test(none_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
