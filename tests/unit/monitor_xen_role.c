/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The role runs here, in the test: what is said to it lies in the socket before it begins, and
 * after each answer and each report the play goes on, until the parent's end is shut.
 */
#include "monitor/xen_events.h"

#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include <xen/vm_event.h>

#include "base/limits.h"
#include "make/xen_host.h"
#include "monitor/fleet.h"
#include "monitor/link.h"

#define UUID  "80594000-334a-47f6-9927-1e04f54aefea"	/* MADE_XEN_VM */
#define OTHER "80594000-334a-47f6-9927-000000000000"
#define MARK  XEN_EVENTS_MARKS "/7"

#define BATCHES_MAX 4

/* The macros of io/ring.h. */
#pragma GCC diagnostic ignored "-Wsign-conversion"

/* The linker leads the role's calls of these here; see meson.build. */
int __wrap_xen_libs_load(const struct xen_libs **ret, struct err *err);
int __wrap_xen_events_send_answer(struct channel *channel, uint32_t domain, const char *why,
				  struct err *err);
int __wrap_xen_events_send_write(struct channel *channel, const struct xen_events_write *write,
				 struct err *err);
int __real_xen_events_send_answer(struct channel *channel, uint32_t domain, const char *why,
				  struct err *err);
int __real_xen_events_send_write(struct channel *channel, const struct xen_events_write *write,
				 struct err *err);

static struct play {
	struct xen_libs libs;
	struct err libs_why;		/* code 0: they are there */
	struct channel parent;
	struct channel_rule rules[XEN_EVENTS_RULES];
	struct err failed;		/* XEN_EVENTS_FAILED */
	unsigned batches[BATCHES_MAX];	/* writes of registers at once; 0: no more */
	unsigned batch;
	unsigned storm;			/* as many come while these are read */
	unsigned deaf;			/* the parent does not read so many reports */
	vm_event_front_ring_t ring;	/* Xen's side of it */
	uint64_t value;
	bool marked;			/* while it had the ring */
	char heard[512];		/* what it said, in words */
} play;

int __wrap_xen_libs_load(const struct xen_libs **ret, struct err *err)
{
	if (play.libs_why.code) {
		*err = play.libs_why;
		return err->code;
	}
	*ret = &play.libs;
	return 0;
}

/* A vCPU writes CR0. */
static void put(void)
{
	vm_event_request_t *request;

	if (!play.ring.sring)
		FRONT_RING_INIT(&play.ring, (vm_event_sring_t *)made_xen.monitor.page, GUEST_PAGE_SIZE);
	play.ring.rsp_cons = play.ring.sring->rsp_prod;
	assert_true(RING_FREE_REQUESTS(&play.ring) > 0);
	request = RING_GET_REQUEST(&play.ring, play.ring.req_prod_pvt);
	*request = (vm_event_request_t){
		.version = VM_EVENT_INTERFACE_VERSION, .reason = VM_EVENT_REASON_WRITE_CTRLREG,
		.u.write_ctrlreg = { .index = VM_EVENT_X86_CR0, .new_value = ++play.value },
	};
	play.ring.req_prod_pvt++;
	RING_PUSH_REQUESTS(&play.ring);
}

static int notify(xenevtchn_handle *handle, evtchn_port_t port)
{
	assert_ptr_equal(handle, &made_xen);
	assert_int_equal(port, MADE_XEN_PORT);
	if (play.storm) {
		play.storm--;
		put();
	}
	return 0;
}

/* The next batch of writes; after the last one the parent ends. */
static void go_on(void)
{
	unsigned n = play.batch < BATCHES_MAX ? play.batches[play.batch++] : 0;

	if (!n || !made_xen.monitor.taken) {
		shutdown(play.parent.fd, SHUT_WR);
		return;
	}
	play.marked |= made_xen_get(MARK) != NULL;
	while (n--)
		put();
	assert_int_equal(eventfd_write(made_xen.monitor.fd, 1), 0);
}

int __wrap_xen_events_send_answer(struct channel *channel, uint32_t domain, const char *why,
				  struct err *err)
{
	int r = __real_xen_events_send_answer(channel, domain, why, err);

	go_on();
	return r;
}

int __wrap_xen_events_send_write(struct channel *channel, const struct xen_events_write *write,
				 struct err *err)
{
	int r;

	if (play.deaf) {
		play.deaf--;
		return -ETIMEDOUT;
	}
	r = __real_xen_events_send_write(channel, write, err);
	go_on();
	return r;
}

static printf_like(1, 2) void say(const char *fmt, ...)
{
	size_t n = strlen(play.heard);
	va_list args;

	va_start(args, fmt);
	vsnprintf(play.heard + n, sizeof(play.heard) - n, fmt, args);
	va_end(args);
}

static int on_answer(struct channel *channel, struct message *message, void *ctx, struct err *err)
{
	const char *why;
	uint32_t domain;
	int r = xen_events_read_domain(message, &domain, &why, err);

	(void)channel;
	(void)ctx;
	assert_int_equal(r, 0);
	say("%u: %s; ", domain, why ? why : "watched");
	return 0;
}

static int on_write(struct channel *channel, struct message *message, void *ctx, struct err *err)
{
	struct xen_events_write write;

	(void)channel;
	(void)ctx;
	assert_int_equal(xen_events_read_write(message, &write, err), 0);
	say("%u: %u writes, the last %u; ", write.domain, (unsigned)write.n, (unsigned)write.last.after);
	return 0;
}

static int on_failed(struct channel *channel, struct message *message, void *ctx, struct err *err)
{
	const char *why = bytes_text(&message->body);

	(void)channel;
	(void)ctx;
	(void)err;
	say("failed: %s; ", why);
	return 0;
}

static int start(void **state)
{
	static const struct xen_events_handlers handlers = {
		.answer = on_answer, .write = on_write, .failed = on_failed,
	};
	int fds[2];

	made_xen_start(state);
	play = (struct play){ .libs = made_xen_libs };
	play.libs.events_notify = notify;
	assert_int_equal(channel_pair(fds, NULL), 0);
	if (fds[0] == CHANNEL_FD)
		fds[0] = dup(fds[0]);
	assert_int_equal(dup2(fds[1], CHANNEL_FD), CHANNEL_FD);
	if (fds[1] != CHANNEL_FD)
		close(fds[1]);
	made_xen.monitor.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	assert_true(made_xen.monitor.fd >= 0);
	xen_events_rules(&handlers, play.rules);
	channel_init(&play.parent, fds[0], ROLE_STARTER, ROLE_XEN, play.rules, XEN_EVENTS_RULES);
	return 0;
}

static int end(void **state)
{
	(void)state;
	channel_close(&play.parent);
	close(made_xen.monitor.fd);
	return 0;
}

/* The parent's end; what is said there comes to the role once it runs. */
static struct channel *parent(void)
{
	return &play.parent;
}

/* Everything that was said to it, and what came of it. Return: its exit status. */
static int run(const char *heard)
{
	int status = xen_events_run();

	assert_int_equal(made_xen.opened, 0);
	while (channel_dispatch(parent(), NULL, 0, NULL) == 0)
		;
	assert_string_equal(play.heard, heard);
	return status;
}

/* No ring, no mark, no event channel. */
static void nothing_is_left(void)
{
	assert_false(made_xen.monitor.taken);
	assert_null(made_xen_get(MARK));
	assert_int_equal(made_xen.monitor.bound, 0);
	assert_int_equal(made_xen.monitor.told[VM_EVENT_X86_CR0], 0);
}

static void set_up(void)
{
	assert_int_equal(xen_events_send_setup(parent(), LINK_SELF, LINK_SELF, NULL), 0);
}

static void ask(uint32_t domain, const char *uuid)
{
	assert_int_equal(xen_events_send_watch(parent(), domain, uuid, NULL), 0);
}

static void writes_are_told_and_the_ring_is_given_back(void **state)
{
	(void)state;
	play.batches[0] = 1;
	set_up();
	ask(7, UUID);
	assert_int_equal(run("7: watched; 7: 1 writes, the last 1; "), EXIT_SUCCESS);
	assert_true(play.marked);
	assert_int_equal(made_xen.monitor.enabled, 1);
	nothing_is_left();
}

static void writes_of_one_period_are_told_as_one(void **state)
{
	(void)state;
	play.batches[0] = 1;
	play.batches[1] = 3;
	set_up();
	ask(7, UUID);
	assert_int_equal(run("7: watched; 7: 1 writes, the last 1; 7: 3 writes, the last 4; "),
			 EXIT_SUCCESS);
	nothing_is_left();
}

/* It has more to do than to wait, and forgets nothing. */
static void a_parent_that_does_not_read_is_told_later(void **state)
{
	(void)state;
	play.batches[0] = 2;
	play.deaf = 3;
	set_up();
	ask(7, UUID);
	assert_int_equal(run("7: watched; 7: 2 writes, the last 2; "), EXIT_SUCCESS);
	assert_int_equal(play.deaf, 0);
}

static void who_writes_all_the_time_is_not_listened_to(void **state)
{
	(void)state;
	play.batches[0] = 1;
	play.storm = 2 * XEN_EVENTS_MANY;
	set_up();
	ask(7, UUID);
	assert_int_equal(run("7: watched; 7: it changes them too often; "), EXIT_SUCCESS);
	/* Whoever waited for room in it has got it. */
	assert_int_equal(play.storm, 0);
	nothing_is_left();
}

static void what_the_parent_wants_no_more_is_given_back(void **state)
{
	(void)state;
	set_up();
	ask(7, UUID);
	ask(7, UUID);		/* it has that already */
	assert_int_equal(xen_events_send_leave(parent(), 7, NULL), 0);
	assert_int_equal(xen_events_send_leave(parent(), 7, NULL), 0);
	ask(7, UUID);
	assert_int_equal(run("7: watched; 7: watched; 7: watched; "), EXIT_SUCCESS);
	assert_int_equal(made_xen.monitor.enabled, 2);
	nothing_is_left();
}

static void a_domain_that_has_ended_is_not_taken_for_a_later_one(void **state)
{
	(void)state;
	set_up();
	ask(7, OTHER);
	assert_int_equal(run("7: the domain has ended; "), EXIT_SUCCESS);
	end(state);
	start(state);
	made_xen.introduced = false;
	set_up();
	ask(7, UUID);
	assert_int_equal(run("7: the domain has ended; "), EXIT_SUCCESS);
	assert_int_equal(made_xen.monitor.enabled, 0);
	nothing_is_left();
}

static void a_pv_domain_leaves_no_mark(void **state)
{
	(void)state;
	made_xen_set("/libxl/7/type", "pv");
	set_up();
	ask(7, UUID);
	assert_int_equal(run("7: Xen tells no events of a PV domain; "), EXIT_SUCCESS);
	nothing_is_left();
}

/* Its holder's mark is not ours to take away. */
static void the_ring_of_another_program_stays_that_programs(void **state)
{
	char mark[96];
	uint64_t started;

	(void)state;
	assert_int_equal(fleet_started(getpid(), &started), 0);
	snprintf(mark, sizeof(mark), "%d %" PRIu64 " " UUID, (int)getpid(), started);
	made_xen_set(MARK, mark);
	made_xen.monitor.taken = true;
	set_up();
	ask(7, UUID);
	assert_int_equal(run("7: another program has the domain's monitor ring; "), EXIT_SUCCESS);
	assert_true(made_xen.monitor.taken);
	assert_string_equal(made_xen_get(MARK), mark);
}

/* Before it is asked for anything: the vCPU may stand since then. */
static void a_ring_that_was_left_is_given_back_first(void **state)
{
	char mark[96];

	(void)state;
	/* That process has this one's number, and began before it. */
	snprintf(mark, sizeof(mark), "%d 1 " UUID, (int)getpid());
	made_xen_set(MARK, mark);
	made_xen.monitor.taken = true;
	set_up();
	shutdown(parent()->fd, SHUT_WR);
	assert_int_equal(run(""), EXIT_SUCCESS);
	nothing_is_left();
}

static void a_ring_of_a_later_domain_is_not_given_back(void **state)
{
	char mark[96];

	(void)state;
	snprintf(mark, sizeof(mark), "%d 1 " OTHER, (int)getpid());
	made_xen_set(MARK, mark);
	made_xen.monitor.taken = true;
	set_up();
	shutdown(parent()->fd, SHUT_WR);
	assert_int_equal(run(""), EXIT_SUCCESS);
	assert_true(made_xen.monitor.taken);
	assert_null(made_xen_get(MARK));
}

static void a_mark_that_cannot_be_written_is_no_ring(void **state)
{
	(void)state;
	made_xen.store_readonly = true;
	set_up();
	ask(7, UUID);
	assert_int_equal(run("7: '" MARK "' in xenstore cannot be written; "), EXIT_SUCCESS);
	assert_int_equal(made_xen.monitor.enabled, 0);
	nothing_is_left();
}

static void without_a_library_it_says_which_and_fails(void **state)
{
	(void)state;
	err_set(&play.libs_why, -ENOTSUP, "libxencall.so.1 cannot be loaded");
	set_up();
	assert_int_equal(run("failed: libxencall.so.1 cannot be loaded; "), EXIT_FAILURE);
	end(state);
	start(state);
	err_set(&play.libs.events_why, -ENOTSUP, "libxenevtchn.so.1 cannot be loaded");
	set_up();
	assert_int_equal(run("failed: libxenevtchn.so.1 cannot be loaded; "), EXIT_FAILURE);
	end(state);
	start(state);
	play.libs.ctrl_open = NULL;
	err_set(&play.libs.ctrl_why, -ENOTSUP, "libxenctrl.so.4.17 cannot be loaded");
	set_up();
	assert_int_equal(run("failed: libxenctrl.so.4.17 cannot be loaded; "), EXIT_FAILURE);
}

static void to_ask_before_the_setup_is_against_the_rules(void **state)
{
	(void)state;
	ask(7, UUID);
	assert_int_equal(xen_events_run(), EXIT_FAILURE);
	assert_int_equal(made_xen.monitor.enabled, 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(writes_are_told_and_the_ring_is_given_back),
		T(writes_of_one_period_are_told_as_one),
		T(a_parent_that_does_not_read_is_told_later),
		T(who_writes_all_the_time_is_not_listened_to),
		T(what_the_parent_wants_no_more_is_given_back),
		T(a_domain_that_has_ended_is_not_taken_for_a_later_one),
		T(a_pv_domain_leaves_no_mark),
		T(the_ring_of_another_program_stays_that_programs),
		T(a_ring_that_was_left_is_given_back_first),
		T(a_ring_of_a_later_domain_is_not_given_back),
		T(a_mark_that_cannot_be_written_is_no_ring),
		T(without_a_library_it_says_which_and_fails),
		T(to_ask_before_the_setup_is_against_the_rules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
