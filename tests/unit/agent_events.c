/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/events.h"

#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/netlink.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "base/now.h"

static struct memory ring;
static struct agent_anchor anchor;
static struct events events;

static int setup(void **state)
{
	struct err err;

	(void)state;
	anchor = (struct agent_anchor){0};
	assert_int_equal(memory_reserve(&ring, AGENT_EVENTS * sizeof(struct agent_event), &err), 0);
	assert_int_equal(events_init(&events, &anchor, &ring, &err), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	munmap(ring.at, ring.size_bytes);
	return 0;
}

static const struct agent_event *slot(uint64_t sequence)
{
	return (const struct agent_event *)ring.at + sequence % AGENT_EVENTS;
}

static void an_empty_ring_has_no_event(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < AGENT_EVENTS; i++)
		assert_true(slot(i)->sequence == UINT64_MAX);
	assert_int_equal(anchor.events_next, 0);
	assert_false(events_has_kernel(&events));
}

static void a_text_is_full_or_ends(void **state)
{
	struct event event = { .type = AGENT_EVENT_MODULE_IN, .text = "0123456789abcdef0123456789abcdef"
							      "too much", .text_bytes = 40 };

	(void)state;
	events_put(&events, &event);
	assert_memory_equal(slot(0)->text, event.text, 32);
	event.text_bytes = 3;
	events_put(&events, &event);
	assert_memory_equal(slot(1)->text, "012\0\0", 5);
}

static void an_overrun_is_seen(void **state)
{
	struct event event = { .type = AGENT_EVENT_EXEC };

	(void)state;
	for (uint32_t i = 0; i < AGENT_EVENTS + 5; i++) {
		event.pid = i;
		events_put(&events, &event);
	}
	assert_int_equal(anchor.events_next, AGENT_EVENTS + 5);
	assert_int_equal(slot(4)->sequence, AGENT_EVENTS + 4);
	assert_int_equal(slot(4)->pid, AGENT_EVENTS + 4);
	assert_int_equal(slot(5)->sequence, 5);
}

/* A datagram as the kernel sends it. */
struct datagram {
	struct nlmsghdr header;
	struct cb_id id;
	uint32_t seq, ack;
	uint16_t len, flags;	/* struct cn_msg, but for its data */
	struct proc_event event;
} __attribute__((packed));

static struct datagram datagram(uint32_t what)
{
	struct datagram made = {
		.header.nlmsg_len = sizeof(made),
		.id = { CN_IDX_PROC, CN_VAL_PROC },
		.len = sizeof(made.event),
	};

	made.event.what = what;
	made.event.timestamp_ns = now_ns(CLOCK_MONOTONIC);
	return made;
}

static void message(const void *datagram, size_t len)
{
	const struct iovec one = { (void *)(uintptr_t)datagram, len };

	events_messages(&events, &one, 1);
}

static uint64_t record_of(uint32_t pid, void *ctx)
{
	assert_ptr_equal(ctx, &events);
	return pid * 2;
}

static void exec_and_exit_of_processes(void **state)
{
	uint64_t before = now_ns(CLOCK_BOOTTIME), took;
	struct datagram exec = datagram(PROC_EVENT_EXEC), ended = datagram(PROC_EVENT_EXIT);

	(void)state;
	exec.event.event_data.exec.process_pid = 12;	/* a thread that execs: the process does */
	exec.event.event_data.exec.process_tgid = 10;
	message(&exec, sizeof(exec));
	assert_int_equal(slot(0)->type, AGENT_EVENT_EXEC);
	assert_int_equal(slot(0)->pid, 10);
	assert_true(slot(0)->value == UINT64_MAX);
	/* Two clocks are read one after the other: they are apart by no more than all of it took. */
	took = now_ns(CLOCK_BOOTTIME) - before;
	assert_in_range(slot(0)->time_ns, before - took, before + 2 * took);

	events.record = record_of;
	events.record_ctx = &events;
	message(&exec, sizeof(exec));
	assert_int_equal(slot(1)->value, 20);

	ended.event.event_data.exit.process_pid = ended.event.event_data.exit.process_tgid = 10;
	ended.event.event_data.exit.exit_code = 9;
	message(&ended, sizeof(ended));
	assert_int_equal(slot(2)->type, AGENT_EVENT_EXIT);
	assert_int_equal(slot(2)->pid, 10);
	assert_int_equal(slot(2)->value, 9);
	assert_int_equal(anchor.events_next, 3);
}

/* In a storm most have ended when they are told of: then nothing is asked of them. */
static void who_has_ended_is_not_asked_for(void **state)
{
	struct datagram all[4];
	struct iovec parts[4];

	(void)state;
	for (uint32_t i = 0; i < 4; i++) {
		all[i] = datagram(i == 1 ? PROC_EVENT_EXIT : PROC_EVENT_EXEC);
		all[i].event.event_data.exec.process_tgid = i == 3 ? 11 : 10;
		parts[i] = (struct iovec){ &all[i], sizeof(all[i]) };
	}
	all[1].event.event_data.exit.process_pid = all[1].event.event_data.exit.process_tgid = 10;
	events.record = record_of;
	events.record_ctx = &events;
	events_messages(&events, parts, 4);
	assert_true(slot(0)->value == UINT64_MAX);
	/* Another one of its number, which began later, and one that lives. */
	assert_int_equal(slot(2)->value, 20);
	assert_int_equal(slot(3)->value, 22);
	assert_int_equal(anchor.events_next, 4);
}

static void what_is_none_of_ours_is_left(void **state)
{
	struct datagram thread = datagram(PROC_EVENT_EXIT), fork = datagram(PROC_EVENT_FORK);
	struct datagram other = datagram(PROC_EVENT_EXEC), lies = datagram(PROC_EVENT_EXEC);

	(void)state;
	thread.event.event_data.exit.process_pid = 11;
	thread.event.event_data.exit.process_tgid = 10;
	message(&thread, sizeof(thread));
	message(&fork, sizeof(fork));
	other.id.idx = CN_IDX_CIFS;
	message(&other, sizeof(other));

	/* Shorter than they say, shorter than an event, and of no length at all. */
	message(&lies, sizeof(lies) - 1);
	for (uint32_t len = 0; len < offsetof(struct datagram, event.event_data) + 8; len++) {
		lies.header.nlmsg_len = len;
		message(&lies, sizeof(lies));
		message(&lies, len);
	}
	assert_int_equal(anchor.events_next, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_empty_ring_has_no_event, setup, teardown),
		cmocka_unit_test_setup_teardown(a_text_is_full_or_ends, setup, teardown),
		cmocka_unit_test_setup_teardown(an_overrun_is_seen, setup, teardown),
		cmocka_unit_test_setup_teardown(exec_and_exit_of_processes, setup, teardown),
		cmocka_unit_test_setup_teardown(who_has_ended_is_not_asked_for, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_none_of_ours_is_left, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
