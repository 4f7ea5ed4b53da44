/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/pages.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "monitor/need.h"
#include "monitor/protocol.h"
#include "monitor/session.h"
#include "ram/handover.h"

/* A starter in a thread, whose guest is served, and a scanner that asks for its memory. */

#define PAGE   GUEST_PAGE_SIZE
#define FRAMES 1000u

static struct {
	struct ram ram;
	unsigned fetches;
	bool gone;
} guest;

static int guest_fetch(struct ram *ram, uint64_t first, uint32_t n, uint8_t *to, uint64_t *there,
		       struct err *err)
{
	(void)ram;
	if (guest.gone)
		return err_set(err, -ESRCH, "the domain has ended");
	guest.fetches++;
	*there = 0;
	for (uint32_t i = 0; i < n; i++) {
		memset(to + i * PAGE, (int)(first + i) % 251, PAGE);
		*there |= 1ull << i;
	}
	return 0;
}

static void guest_close(struct ram *ram)
{
	(void)ram;
}

static const struct ram_ops guest_ops = {
	.name = "test", .fetch = guest_fetch, .close = guest_close,
};

struct both {
	struct session session;
	struct channel scanner;
	struct handover handover;
	struct ram *reader;
	pthread_t thread;
	struct err why;
	int end;		/* of the starter */
};

static void *serve(void *ctx)
{
	struct both *both = ctx;

	do
		both->end = session_next(&both->session, -1, &both->why);
	while (both->end >= 0);
	/* As its process would. */
	channel_close(&both->session.channel);
	return NULL;
}

static int set_up(void **state)
{
	const struct ram_range range = { gpa_of(0), FRAMES * PAGE };
	struct both *both = calloc(1, sizeof(*both));
	struct memory_elsewhere starter;
	int fds[2], fd;

	assert_non_null(both);
	memset(&guest, 0, sizeof(guest));
	guest.ram.ops = &guest_ops;
	assert_int_equal(ram_set_ranges(&guest.ram, &range, 1, NULL), 0);
	assert_int_equal(channel_pair(fds, NULL), 0);
	both->session = SESSION_NONE;
	channel_init(&both->session.channel, fds[0], ROLE_STARTER, ROLE_SCANNER, protocol_rules,
		     protocol_rules_n);
	channel_init(&both->scanner, fds[1], ROLE_SCANNER, ROLE_STARTER, protocol_rules,
		     protocol_rules_n);
	assert_int_equal(handover_of(&guest.ram, &both->handover, NULL), 0);
	fd = fcntl(both->handover.fds[0], F_DUPFD_CLOEXEC, 0);
	starter = need_memory(&both->scanner);
	assert_int_equal(handover_take(both->handover.text.data, both->handover.text.n, &fd, 1,
				       &starter, &both->reader, NULL), 0);
	pages_lend(&both->session.pages, &guest.ram);
	both->session.state = SESSION_OPENING;
	*state = both;
	return 0;
}

static void begin(struct both *both)
{
	assert_int_equal(pthread_create(&both->thread, NULL, serve, both), 0);
}

/* How the starter ended. */
static int finish(struct both *both)
{
	channel_close(&both->scanner);
	assert_int_equal(pthread_join(both->thread, NULL), 0);
	return both->end;
}

static int tear_down(void **state)
{
	struct both *both = *state;
	struct ram *ram = &guest.ram;

	session_end(&both->session);
	handover_free(&both->handover);
	ram_close(&both->reader);
	ram_close(&ram);
	free(both);
	return 0;
}

/* The scanner did what it may not: @why is in the starter's words. */
static void is_ended(struct both *both, const char *why)
{
	assert_int_equal(finish(both), -EPROTO);
	if (!strstr(both->why.text, why))
		fail_msg("'%s' does not say '%s'", both->why.text, why);
}

static int read_frame(struct both *both, uint64_t frame)
{
	uint8_t page[PAGE];
	int r = ram_read(both->reader, gpa_of(frame * PAGE), page, PAGE, NULL);

	if (r >= 0)
		assert_int_equal(page[PAGE - 1], frame % 251);
	return r;
}

static void what_is_asked_for_comes(void **state)
{
	struct both *both = *state;

	begin(both);
	for (uint64_t i = 0; i < FRAMES; i++)
		assert_int_equal(read_frame(both, i), 0);
	for (uint64_t i = 0; i < FRAMES; i += 97)
		assert_int_equal(read_frame(both, FRAMES - 1 - i), 0);
	assert_int_equal(ram_alive(both->reader, NULL), 0);
	assert_int_equal(finish(both), -EPIPE);
	assert_true(both->session.pages.cpu_ns > 0);
}

static void an_end_of_the_guest_is_an_answer(void **state)
{
	struct both *both = *state;
	struct err err = { 0 };
	uint64_t there;

	guest.gone = true;
	begin(both);
	assert_int_equal(read_frame(both, 3), -ESRCH);
	assert_int_equal(need_memory(&both->scanner).fetch(&both->scanner, 1, 1, &there, &err),
			 -ESRCH);
	assert_non_null(strstr(err.text, "the domain has ended"));
	assert_int_equal(finish(both), -EPIPE);
}

static void an_end_of_the_starter_is_an_error(void **state)
{
	struct both *both = *state;

	channel_close(&both->session.channel);
	assert_int_equal(read_frame(both, 3), -EPIPE);
}

static void frames_that_are_no_ram_end_it(void **state)
{
	struct both *both = *state;
	uint64_t there;

	begin(both);
	assert_true(need_memory(&both->scanner).fetch(&both->scanner, FRAMES - 1, 2, &there,
						      NULL) < 0);
	is_ended(both, "where there is none");
	assert_int_equal(guest.fetches, 0);
}

static void more_than_the_buffer_holds_ends_it(void **state)
{
	struct both *both = *state;
	uint64_t there;

	begin(both);
	assert_true(need_memory(&both->scanner).fetch(&both->scanner, 0, FETCH_FRAMES_MAX + 1,
						      &there, NULL) < 0);
	is_ended(both, "where there is none");
	assert_int_equal(guest.fetches, 0);
}

static void asking_with_nothing_to_do_ends_it(void **state)
{
	struct both *both = *state;

	both->session.state = SESSION_IDLE;
	begin(both);
	assert_true(read_frame(both, 3) < 0);
	is_ended(both, "with nothing to do");
	assert_int_equal(guest.fetches, 0);
}

static void asking_for_what_was_handed_over_ends_it(void **state)
{
	struct both *both = *state;

	both->session.pages.ram = NULL;
	begin(both);
	assert_true(read_frame(both, 3) < 0);
	is_ended(both, "of what it has");
}

static void asking_too_often_is_refused_and_then_ends_it(void **state)
{
	const uint64_t most = 2 * FRAMES + VIEW_FUEL_ATTACH + VIEW_FUEL_SWEEP;
	struct both *both = *state;

	both->session.pages.asked = most - 1;
	begin(both);
	assert_int_equal(read_frame(both, 3), 0);
	assert_int_equal(read_frame(both, 3), -ELOOP);
	assert_int_equal(guest.fetches, 1);
	finish(both);
	assert_int_equal(both->end, -EPIPE);
	assert_int_equal(both->session.pages.asked, most + 1);
	pages_renew(&both->session.pages);
	assert_int_equal(both->session.pages.asked, 0);
}

static void asking_on_after_it_was_refused_ends_it(void **state)
{
	struct both *both = *state;

	both->session.pages.asked = 2 * (2 * FRAMES + VIEW_FUEL_ATTACH + VIEW_FUEL_SWEEP);
	begin(both);
	assert_true(read_frame(both, 3) < 0);
	is_ended(both, "times");
	assert_int_equal(guest.fetches, 0);
}

/* What would keep a starter with other guests from them. */
static void asking_without_reading_ends_it(void **state)
{
	struct both *both = *state;
	uint8_t room[12];
	struct writer w = writer_of(room, sizeof(room));
	int r = 0;

	write_u64(&w, 0);
	write_u32(&w, 1);
	begin(both);
	for (unsigned i = 0; i < 100000 && r == 0; i++)
		r = channel_send_written(&both->scanner, MSG_NEED_MEMORY, &w, NULL, 0, -1, NULL);
	assert_int_equal(r, -EPIPE);
	is_ended(both, "without reading");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_asked_for_comes),
		TEST(an_end_of_the_guest_is_an_answer),
		TEST(an_end_of_the_starter_is_an_error),
		TEST(frames_that_are_no_ram_end_it),
		TEST(more_than_the_buffer_holds_ends_it),
		TEST(asking_with_nothing_to_do_ends_it),
		TEST(asking_for_what_was_handed_over_ends_it),
		TEST(asking_too_often_is_refused_and_then_ends_it),
		TEST(asking_without_reading_ends_it),
		TEST(asking_on_after_it_was_refused_ends_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
