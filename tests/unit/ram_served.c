/* SPDX-License-Identifier: Apache-2.0 */
#include "ram/served.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "ram/handover.h"

#define PAGE	GUEST_PAGE_SIZE
#define FRAMES	200u		/* from 0 on, and as many from 4 GiB on */
#define HIGH	0x100000ull
#define HOLE	70u

/* A guest that cannot be handed over: each frame starts with its number, and what time it is. */
static struct {
	struct ram ram;
	uint64_t now;
	bool gone;
	unsigned fetches, frames;	/* since the test last looked */
} guest;

static int guest_fetch(struct ram *ram, uint64_t first, uint32_t n, uint8_t *to, uint64_t *there,
		       struct err *err)
{
	assert_ptr_equal(ram, &guest.ram);
	assert_in_range(n, 1, FETCH_FRAMES_MAX);
	if (guest.gone)
		return err_set(err, -ESRCH, "it has ended");
	guest.fetches++;
	guest.frames += n;
	*there = 0;
	for (uint32_t i = 0; i < n; i++) {
		const uint64_t page[2] = { first + i, guest.now };

		assert_true(first + i < FRAMES || first + i - HIGH < FRAMES);
		if (first + i == HOLE)
			continue;
		memcpy(to + i * PAGE, page, sizeof(page));
		*there |= 1ull << i;
	}
	return 0;
}

static int guest_alive(struct ram *ram, struct err *err)
{
	(void)ram;
	return guest.gone ? err_set(err, -ESRCH, "it has ended") : 0;
}

static void guest_close(struct ram *ram)
{
	(void)ram;
}

static const struct ram_ops guest_ops = {
	.name = "test", .fetch = guest_fetch, .alive = guest_alive, .close = guest_close,
};

/* In place of two processes and a channel. */
static int ask(void *ctx, uint64_t first, uint32_t n, uint64_t *there, struct err *err)
{
	return ram_fetch(ctx, first, n, there, err);
}

static int open_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

struct two {
	struct handover handover;
	struct ram *reader;
	int fds_before;
};

static int set_up(void **state)
{
	const struct ram_range ranges[] = {
		{ gpa_of(0), FRAMES * PAGE }, { gpa_of(HIGH * PAGE), FRAMES * PAGE },
	};
	const struct memory_elsewhere starter = { ask, &guest.ram };
	struct two *two = calloc(1, sizeof(*two));
	int fd;

	memset(&guest, 0, sizeof(guest));
	guest.ram.ops = &guest_ops;
	assert_non_null(two);
	two->fds_before = open_fds();
	assert_int_equal(ram_set_ranges(&guest.ram, ranges, 2, NULL), 0);
	assert_true(ram_is_served(&guest.ram));
	assert_int_equal(handover_of(&guest.ram, &two->handover, NULL), 0);
	assert_int_equal(two->handover.fds_n, 1);
	fd = fcntl(two->handover.fds[0], F_DUPFD_CLOEXEC, 0);
	assert_int_equal(handover_take(two->handover.text.data, two->handover.text.n, &fd, 1,
				       &starter, &two->reader, NULL), 0);
	*state = two;
	return 0;
}

static int tear_down(void **state)
{
	struct two *two = *state;
	struct ram *ram = &guest.ram;
	int before = two->fds_before;

	handover_free(&two->handover);
	ram_close(&two->reader);
	ram_close(&ram);
	free(two);
	assert_int_equal(open_fds(), before);
	return 0;
}

/* Number of the frame that stands in frame @frame; its time in @time, if that is not NULL. */
static uint64_t frame_at(struct two *two, uint64_t frame, uint64_t *time)
{
	uint8_t page[PAGE];

	assert_int_equal(ram_read(two->reader, gpa_of(frame * PAGE), page, PAGE, NULL), 0);
	if (time)
		memcpy(time, page + 8, sizeof(*time));
	memcpy(&frame, page, sizeof(frame));
	return frame;
}

static unsigned fetches(void)
{
	unsigned n = guest.fetches;

	guest.fetches = guest.frames = 0;
	return n;
}

static void every_frame_is_read_as_it_is(void **state)
{
	struct two *two = *state;

	assert_int_equal(ram_bytes(two->reader), 2ull * FRAMES * PAGE);
	assert_true(ram_is_live(two->reader));
	for (uint64_t i = 0; i < FRAMES; i++) {
		if (i != HOLE)
			assert_int_equal(frame_at(two, i, NULL), i);
		assert_int_equal(frame_at(two, HIGH + FRAMES - 1 - i, NULL), HIGH + FRAMES - 1 - i);
	}
}

static void a_hole_is_a_fault_of_its_page_alone(void **state)
{
	struct two *two = *state;
	uint8_t pages[3 * PAGE];

	assert_int_equal(ram_read(two->reader, gpa_of(HOLE * PAGE), pages, PAGE, NULL), -EFAULT);
	assert_int_equal(ram_read(two->reader, gpa_of((HOLE - 1) * PAGE), pages, sizeof(pages),
				  NULL), -EFAULT);
	assert_int_equal(frame_at(two, HOLE - 1, NULL), HOLE - 1);
	assert_int_equal(frame_at(two, HOLE + 1, NULL), HOLE + 1);
}

static void a_large_read_is_few_requests_and_bytes_need_not_be_aligned(void **state)
{
	struct two *two = *state;
	uint8_t *bytes = malloc(130 * PAGE);
	uint64_t number;

	assert_non_null(bytes);
	assert_int_equal(ram_read(two->reader, gpa_of((HIGH + 1) * PAGE - 4), bytes, 128 * PAGE,
				  NULL), 0);
	assert_int_equal(fetches(), 3);
	for (uint64_t i = 0; i < 127; i++) {
		memcpy(&number, bytes + 4 + i * PAGE, sizeof(number));
		assert_int_equal(number, HIGH + 1 + i);
	}
	free(bytes);
}

static void who_reads_on_is_given_more_at_a_time(void **state)
{
	struct two *two = *state;

	static const unsigned ahead[] = { 8, 16, 32, 64, 64, FRAMES - 184 };
	uint64_t frame = HIGH;

	for (size_t i = 0; i < ARRAY_SIZE(ahead); i++) {
		assert_int_equal(frame_at(two, frame, NULL), frame);
		assert_int_equal(guest.frames, ahead[i]);
		assert_int_equal(fetches(), 1);
		frame += ahead[i];
	}
	/* Who turns elsewhere begins anew. */
	assert_int_equal(frame_at(two, 3, NULL), 3);
	assert_int_equal(guest.frames, 8);
}

/* What is read again is what is there now, however soon: a link may be an update in flight. */
static void what_is_read_again_is_asked_for_again(void **state)
{
	struct two *two = *state;
	uint64_t time;

	assert_int_equal(frame_at(two, 5, &time), 5);
	assert_int_equal(time, 0);
	guest.now = 1;
	assert_int_equal(frame_at(two, 5, &time), 5);
	assert_int_equal(time, 1);
}

static void what_was_fetched_ahead_is_forgotten_at_rest(void **state)
{
	struct two *two = *state;
	uint64_t time;

	assert_int_equal(frame_at(two, 5, NULL), 5);
	guest.now = 1;
	ram_rest(two->reader);
	assert_int_equal(frame_at(two, 6, &time), 6);
	assert_int_equal(time, 1);
}

static void populated_runs_are_all_but_the_hole(void **state)
{
	struct two *two = *state;
	uint64_t len, sum = 0;
	gpa at = gpa_of(0);

	while (ram_populated(two->reader, at, &at, &len, NULL) == 0) {
		assert_true(len > 0 && len <= FETCH_FRAMES_MAX * PAGE);
		assert_false(at.v <= HOLE * PAGE && at.v + len > HOLE * PAGE);
		sum += len;
		at.v += len;
	}
	assert_int_equal(sum, (2 * FRAMES - 1) * PAGE);
}

static void an_end_is_told(void **state)
{
	struct two *two = *state;
	uint64_t number;

	assert_int_equal(ram_alive(two->reader, NULL), 0);
	guest.gone = true;
	assert_int_equal(ram_alive(two->reader, NULL), -ESRCH);
	assert_int_equal(ram_read(two->reader, gpa_of(0), &number, sizeof(number), NULL), -ESRCH);
	assert_int_equal(ram_populated(two->reader, gpa_of(0), &(gpa){ 0 }, &number, NULL), -ESRCH);
}

static void what_is_no_ram_cannot_be_fetched(void **state)
{
	static const struct { uint64_t first; uint32_t n; } bad[] = {
		{ FRAMES, 1 }, { FRAMES - 1, 2 }, { HIGH - 1, 1 }, { HIGH - 1, 2 },
		{ HIGH + FRAMES, 1 }, { 0, FETCH_FRAMES_MAX + 1 }, { 0, UINT32_MAX },
		{ UINT64_MAX, 1 }, { UINT64_MAX >> 12, 2 }, { 1ull << 52, 1 },
	};
	uint64_t there = 7;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(ram_fetch(&guest.ram, bad[i].first, bad[i].n, &there, NULL),
				 -EINVAL);
	assert_int_equal(there, 7);
	assert_int_equal(fetches(), 0);
}

/* Whoever has the descriptor can do nothing to who copies there, nor to others who read. */
static void the_buffer_can_only_be_read(void **state)
{
	struct two *two = *state;
	int fd = two->handover.fds[0];
	size_t size = FETCH_FRAMES_MAX * PAGE;

	assert_ptr_equal(mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(ftruncate(fd, (off_t)size * 2), -1);
	assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE), -1);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	/* And the one who may still writes. */
	assert_int_equal(frame_at(two, 9, NULL), 9);
}

static void what_was_not_handed_over_is_not_taken(void **state)
{
	struct two *two = *state;
	const struct memory_elsewhere starter = { ask, &guest.ram };
	const struct handover *handover = &two->handover;
	int fd = memfd_create("x", MFD_CLOEXEC);
	struct ram *ram = NULL;

	/* Cut short at each byte; no one to ask; a file that could shrink; none at all. */
	for (size_t n = 0; n < handover->text.n; n++)
		assert_int_equal(handover_take(handover->text.data, n, handover->fds, 1, &starter,
					       &ram, NULL), -EBADMSG);
	assert_int_equal(handover_take(handover->text.data, handover->text.n, handover->fds, 1,
				       NULL, &ram, NULL), -ENOTSUP);
	assert_int_equal(ftruncate(fd, FETCH_FRAMES_MAX * PAGE), 0);
	assert_int_equal(handover_take(handover->text.data, handover->text.n, &fd, 1, &starter,
				       &ram, NULL), -EBADMSG);
	assert_int_equal(handover_take(handover->text.data, handover->text.n, NULL, 0, &starter,
				       &ram, NULL), -EBADMSG);
	assert_null(ram);
	assert_int_equal(close(fd), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_frame_is_read_as_it_is),
		TEST(a_hole_is_a_fault_of_its_page_alone),
		TEST(a_large_read_is_few_requests_and_bytes_need_not_be_aligned),
		TEST(who_reads_on_is_given_more_at_a_time),
		TEST(what_is_read_again_is_asked_for_again),
		TEST(what_was_fetched_ahead_is_forgotten_at_rest),
		TEST(populated_runs_are_all_but_the_hole),
		TEST(an_end_is_told),
		TEST(what_is_no_ram_cannot_be_fetched),
		TEST(the_buffer_can_only_be_read),
		TEST(what_was_not_handed_over_is_not_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
