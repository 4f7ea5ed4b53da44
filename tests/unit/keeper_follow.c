/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/follow.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/limits.h"
#include "guest/paging.h"
#include "make/agent_log.h"
#include "make/memory.h"

#define ROOT	   0x1000u
#define PHYS	   0x100000u	/* of the first page that is mapped; the next ones follow */
#define ANCHOR	   0x403000u
#define LOG	   0x10000000u
#define LOG_PAGES  8u
#define INSIDE	   0x20000000u
#define USER_PAGE  (PTE_PRESENT | PTE_WRITE | PTE_USER)

static struct {
	struct memory memory;
	struct ram *ram;
	struct view *view;
	struct build build;
	struct claim claim;
	struct agent_anchor anchor;	/* as it stands in memory, once put() was called */
	struct made_log log;
	struct keeper_agent agent;
	struct look look;
	struct follow follow;
	struct measured measured;
	struct inside inside;
	struct err err;
} g;

static uint64_t phys_of(uint64_t at)
{
	return PHYS + (at < LOG ? 0 : at < INSIDE ? 0x1000 + (at - LOG) : 0x100000 + (at - INSIDE));
}

/* What stands there from now on; the view has seen nothing of it. */
static void write_at(uint64_t at, const void *data, size_t size)
{
	memory_write(&g.memory, phys_of(at), data, size);
	view_refresh(g.view);
}

/* The log as it is, and an anchor that says so. */
static void put(void)
{
	g.anchor.log_bytes = g.log.size_bytes;
	g.anchor.log_records = g.log.records;
	memcpy(g.anchor.log_head, g.log.head, sizeof(g.log.head));
	write_at(LOG, g.log.data, g.log.size_bytes);
	write_at(ANCHOR, &g.anchor, sizeof(g.anchor));
}

static void map_all(struct space space)
{
	memory_map(&g.memory, space, ANCHOR, phys_of(ANCHOR), 1, USER_PAGE);
	memory_page(&g.memory, phys_of(ANCHOR));
	for (uint64_t i = 0; i < LOG_PAGES; i++) {
		memory_map(&g.memory, space, LOG + 4096 * i, phys_of(LOG + 4096 * i), 1, USER_PAGE);
		memory_map(&g.memory, space, INSIDE + 4096 * i, phys_of(INSIDE + 4096 * i), 1,
			   USER_PAGE);
		memory_page(&g.memory, phys_of(LOG + 4096 * i));
		memory_page(&g.memory, phys_of(INSIDE + 4096 * i));
	}
}

/* Process 42, whose log has a start, a file and one that could not be read. */
static int setup(void **state)
{
	static const uint8_t code[AGENT_PAGE_BYTES] = { 0x90 };
	struct space space = { gpa_of(ROOT), 4 };

	(void)state;
	memset(&g, 0, sizeof(g));
	g.memory.next_table = 0x10000;
	memory_page(&g.memory, ROOT);
	map_all(space);
	g.view = memory_view(&g.memory, VIEW_FUEL_SWEEP, &g.ram);
	g.build = (struct build){ .anchor = ANCHOR - 0x400000, .id_size = 20 };
	memset(g.build.id_bytes, 0xb1, sizeof(g.build.id_bytes));
	g.claim = (struct claim){
		.task = { .pid = 42, .tgid = 42, .space = space }, .build = &g.build,
		.bias = 0x400000, .runs = true,
	};
	g.anchor = (struct agent_anchor){
		.magic = AGENT_MAGIC, .format = AGENT_FORMAT, .size_bytes = sizeof(g.anchor),
		.state = AGENT_RUNNING, .pid = 42, .heartbeat_ns = 5, .period_ms = 1000,
		.log = { LOG, LOG_PAGES * 4096 }, .events = { 0x30000000, 4096 },
		.inside = { INSIDE, LOG_PAGES * 4096 }, .log_sequence = 6,
	};
	memset(g.anchor.boot_id, 0xb0, sizeof(g.anchor.boot_id));
	g.look = (struct look){ .view = g.view, .agent = &g.agent };
	made_log_start(&g.log);
	made_log_file(&g.log, &(struct agent_file){ .inode = 7, .reason = AGENT_EXEC }, "/bin/true",
		      code, sizeof(code), (struct agent_segment[]){ { 0, 1 } }, 1);
	made_log_unreadable(&g.log, 9, "/x", 13);
	put();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	made_log_free(&g.log);
	measured_free(&g.measured);
	inside_free(&g.inside);
	vec_free(&g.agent.problems);
	view_close(&g.view);
	ram_close(&g.ram);
	memory_free(&g.memory);
	return 0;
}

/* Begin anew, within a test. */
static void begin_again(void **state)
{
	teardown(state);
	setup(state);
}

static void forget(void)
{
	vec_free(&g.agent.problems);
	memset(g.agent.unseen, 0, sizeof(g.agent.unseen));
}

/* Look at the log. The title of what is wrong; "": nothing. */
static const char *look(void)
{
	struct agent_anchor anchor;
	int r;

	forget();
	r = follow_anchor(&g.look, &g.claim, &anchor, &g.err);
	if (!r)
		r = follow_log(&g.look, &g.claim, &anchor, &g.follow, &g.measured, &g.err);
	assert_true(r >= 0);
	assert_true(g.agent.problems.n <= 1);
	return g.agent.problems.n ? g.agent.problems.v[0].title : "";
}

static const char *unseen(void)
{
	return g.agent.unseen[KEEPER_LOG];
}

/* --- the anchor --- */

static void an_anchor_that_cannot_be_is_told(void **state)
{
	const struct agent_anchor good = g.anchor;
	struct agent_anchor all[] = {
		good, good, good, good, good, good, good, good, good, good, good, good, good, good,
	};

	(void)state;
	all[0].magic++;
	all[1].format = AGENT_FORMAT + 1;
	all[2].format = 0;
	all[3].size_bytes--;
	all[4].pid = 43;
	all[5].state = 0;
	all[6].state = AGENT_STOPPING + 1;
	all[7].period_ms = 0;
	all[8].period_ms = 60001;
	all[9].log.at++;
	all[10].log.size_bytes = AGENT_LOG_MAX + 1;
	all[11].inside.at = (1ull << 56) - 4096;
	all[12].log_bytes = good.log.size_bytes + 1;
	all[13].log_records = good.log_bytes + 1;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		write_at(ANCHOR, &all[i], sizeof(all[i]));
		assert_string_equal(look(), "Agent's anchor was written over");
	}
	write_at(ANCHOR, &good, sizeof(good));
	assert_string_equal(look(), "");
}

/* Of an agent that does not say how long its rounds take: what stands there is something else. */
static void an_older_anchor_ends_earlier(void **state)
{
	struct agent_anchor anchor;

	(void)state;
	g.anchor.round_ns = g.anchor.complete_ns = 7;
	g.anchor.format = 1;
	g.anchor.size_bytes = AGENT_ANCHOR_BYTES_1;
	put();
	assert_string_equal(look(), "");
	assert_int_equal(follow_anchor(&g.look, &g.claim, &anchor, &g.err), 0);
	assert_int_equal(anchor.round_ns, 0);
	assert_int_equal(anchor.complete_ns, 0);
	g.anchor.format = AGENT_FORMAT;
	put();
	assert_string_equal(look(), "Agent's anchor was written over");
	g.anchor.size_bytes = sizeof(g.anchor);
	put();
	assert_int_equal(follow_anchor(&g.look, &g.claim, &anchor, &g.err), 0);
	assert_int_equal(anchor.round_ns, 7);
}

static void an_anchor_that_is_not_there_is_an_error(void **state)
{
	struct agent_anchor anchor;

	(void)state;
	g.claim.bias += 0x1000;
	assert_int_equal(follow_anchor(&g.look, &g.claim, &anchor, &g.err), -EFAULT);
}

/* --- the log --- */

static void what_is_new_is_read(void **state)
{
	uint64_t offset;

	(void)state;
	assert_string_equal(look(), "");
	assert_string_equal(unseen(), "");
	assert_int_equal(g.follow.mark.sequence, 3);
	assert_true(g.follow.joined);
	assert_int_equal(g.measured.files.n, 1);
	assert_int_equal(g.measured.failures.n, 1);
	offset = g.follow.mark.offset;

	made_log_add(&g.log, AGENT_RECORD_LOST);
	put();
	/* What was read is not asked for again. */
	write_at(LOG, "nothing", 7);
	assert_string_equal(look(), "");
	assert_int_equal(g.follow.mark.sequence, 4);
	assert_true(g.follow.mark.offset > offset);
	assert_int_equal(g.measured.files.n, 1);
	assert_true(g.measured.lost > 0);
	made_log_add(&g.log, AGENT_RECORD_STOP);
	put();
	assert_string_equal(look(), "");
	assert_true(g.follow.mark.ended);
}

static void whom_it_follows_is_kept(void **state)
{
	(void)state;
	made_log_free(&g.log);
	g.log = (struct made_log){ 0 };
	made_log_start(&g.log);
	for (unsigned i = 0; i < 3; i++)
		made_log_add(&g.log, AGENT_RECORD_FOLLOWS);
	put();
	assert_string_equal(look(), "");
	assert_int_equal(g.follow.ancestors_n, 3);
	assert_false(g.follow.measures);
	made_log_add(&g.log, AGENT_RECORD_LOST);
	put();
	assert_string_equal(look(), "");
	assert_true(g.follow.measures);
}

static void a_log_that_is_shorter_was_truncated(void **state)
{
	(void)state;
	assert_string_equal(look(), "");
	g.anchor.log_bytes -= 8;
	write_at(ANCHOR, &g.anchor, sizeof(g.anchor));
	assert_string_equal(look(), "Agent's log was truncated");
	g.anchor.log_bytes += 8;
	g.anchor.log_records--;
	write_at(ANCHOR, &g.anchor, sizeof(g.anchor));
	assert_string_equal(look(), "Agent's log was truncated");
}

/* Another run of hvsm left off at a point that this log does not reach, or does not go through. */
static void a_log_goes_through_where_another_look_left_off(void **state)
{
	struct log_mark half;

	(void)state;
	assert_string_equal(look(), "");
	half = g.follow.mark;
	made_log_add(&g.log, AGENT_RECORD_LOST);
	put();
	g.follow = (struct follow){ .before = half };
	assert_string_equal(look(), "");
	assert_true(g.follow.joined);

	half.chain[0] ^= 1;
	g.follow = (struct follow){ .before = half };
	assert_string_equal(look(), "Agent's log was rewritten");
	half.chain[0] ^= 1;
	half.offset += 1 << 20;
	half.sequence += 100;
	g.follow = (struct follow){ .before = half };
	assert_string_equal(look(), "Agent's log was truncated");
	assert_false(g.follow.joined);
}

static void what_is_not_chained_is_told(void **state)
{
	uint8_t byte = g.log.data[sizeof(struct agent_start) + 60] ^ 1;

	(void)state;
	write_at(LOG + sizeof(struct agent_start) + 60, &byte, 1);
	assert_string_equal(look(), "Agent's log is broken");
	assert_int_equal(g.follow.mark.sequence, 1);	/* what came before is right */

	begin_again(state);
	g.anchor.log_bytes -= 8;			/* within the last record */
	write_at(ANCHOR, &g.anchor, sizeof(g.anchor));
	assert_string_equal(look(), "Agent's log is broken");

	begin_again(state);
	g.anchor.log_head[5] ^= 1;
	write_at(ANCHOR, &g.anchor, sizeof(g.anchor));
	assert_string_equal(look(), "Agent's log is broken");
}

static void a_log_of_another_process_is_not_its_own(void **state)
{
	(void)state;
	g.build.id_bytes[3] ^= 1;
	assert_string_equal(look(), "Agent's log is not its own");
	begin_again(state);
	g.anchor.boot_id[3] ^= 1;
	put();
	assert_string_equal(look(), "Agent's log is not its own");
	begin_again(state);
	g.anchor.started_ns = 99;
	put();
	assert_string_equal(look(), "Agent's log is not its own");
}

static void what_is_written_meanwhile_is_for_another_look(void **state)
{
	struct agent_anchor anchor;

	(void)state;
	g.anchor.log_sequence++;
	put();
	assert_string_equal(look(), "");
	assert_non_null(strstr(unseen(), "just now"));
	assert_int_equal(g.follow.mark.sequence, 0);

	/* The head is of one instant, the length of another: the guest has gone on since. */
	g.anchor.log_sequence++;
	g.anchor.log_head[0] ^= 1;
	write_at(ANCHOR, &g.anchor, sizeof(g.anchor));
	forget();
	assert_int_equal(follow_anchor(&g.look, &g.claim, &anchor, &g.err), 0);
	g.anchor.log_sequence += 2;
	memory_write(&g.memory, phys_of(ANCHOR), &g.anchor, sizeof(g.anchor));
	assert_int_equal(follow_log(&g.look, &g.claim, &anchor, &g.follow, &g.measured, &g.err), 0);
	assert_int_equal(g.agent.problems.n, 0);
	assert_non_null(strstr(unseen(), "while it was looked at"));
}

static void what_is_not_in_memory_was_not_seen(void **state)
{
	(void)state;
	g.anchor.log.at += 0x1000000;
	write_at(ANCHOR, &g.anchor, sizeof(g.anchor));
	assert_string_equal(look(), "");
	assert_string_not_equal(unseen(), "");
	assert_int_equal(g.follow.mark.sequence, 0);
}

/* --- the inside view --- */

static void a_view_is_copied_once_it_is_whole(void **state)
{
	const uint64_t half = LOG_PAGES * 4096 / 2;
	struct {
		struct agent_inside head;
		struct agent_item task;
	} made = {
		.head = { .sequence = 7, .size_bytes = sizeof(made), .items = 1 },
		.task = { sizeof(made.task), AGENT_ITEM_TASK, 0, 42, 0 },
	};

	(void)state;
	assert_int_equal(follow_inside(&g.look, &g.claim, &g.anchor, &g.inside, &g.err), 0);
	assert_int_equal(g.inside.head.sequence, 0);	/* there is none yet */
	g.anchor.inside_sequence = 7;
	write_at(INSIDE + half, &made, sizeof(made));
	assert_int_equal(follow_inside(&g.look, &g.claim, &g.anchor, &g.inside, &g.err), 0);
	assert_int_equal(g.inside.head.sequence, 7);
	assert_true(inside_has_task(&g.inside, 42));

	/* The next one is being written: the old one stays. */
	g.anchor.inside_sequence = 8;
	assert_int_equal(follow_inside(&g.look, &g.claim, &g.anchor, &g.inside, &g.err), 0);
	assert_string_not_equal(g.agent.unseen[KEEPER_VIEW], "");
	assert_int_equal(g.inside.head.sequence, 7);

	/* Longer than its half is, or with an item that has no length. */
	forget();
	made.head.sequence = 8;
	made.head.size_bytes = (uint32_t)half + 1;
	write_at(INSIDE, &made, sizeof(made));
	assert_int_equal(follow_inside(&g.look, &g.claim, &g.anchor, &g.inside, &g.err), 0);
	assert_int_equal(g.agent.problems.n, 1);
	assert_int_equal(g.agent.problems.v[0].topic, KEEPER_VIEW);
	forget();
	made.head.size_bytes = sizeof(made);
	made.task.size_bytes = 0;
	write_at(INSIDE, &made, sizeof(made));
	assert_int_equal(follow_inside(&g.look, &g.claim, &g.anchor, &g.inside, &g.err), 0);
	assert_int_equal(g.agent.problems.n, 1);
	assert_int_equal(g.inside.head.sequence, 7);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_anchor_that_cannot_be_is_told),
		TEST(an_older_anchor_ends_earlier),
		TEST(an_anchor_that_is_not_there_is_an_error),
		TEST(what_is_new_is_read),
		TEST(whom_it_follows_is_kept),
		TEST(a_log_that_is_shorter_was_truncated),
		TEST(a_log_goes_through_where_another_look_left_off),
		TEST(what_is_not_chained_is_told),
		TEST(a_log_of_another_process_is_not_its_own),
		TEST(what_is_written_meanwhile_is_for_another_look),
		TEST(what_is_not_in_memory_was_not_seen),
		TEST(a_view_is_copied_once_it_is_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
