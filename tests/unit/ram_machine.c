/* SPDX-License-Identifier: Apache-2.0 */
#include "ram/machine.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/limits.h"

#define FRAMES 1000u

static uint32_t frames[FRAMES];

/* Frame i of the guest is machine frame 50000 - i: no two of them neighbours the same way round. */
static struct machine *start(void)
{
	struct machine *machine = NULL;

	for (uint32_t i = 0; i < FRAMES; i++)
		frames[i] = 50000 - i;
	assert_int_equal(machine_new(FRAMES, &machine, NULL), 0);
	assert_int_equal(machine_of(machine, 3), MACHINE_NONE);
	assert_true(machine_set(machine, frames));
	return machine;
}

static uint64_t guest_of(struct machine *machine, uint64_t address)
{
	return machine_to_guest(machine, address).v;
}

static void every_frame_is_found_both_ways(void **state)
{
	struct machine *machine = start();

	(void)state;
	assert_int_equal(machine_frames_n(machine), FRAMES);
	for (uint32_t i = 0; i < FRAMES; i++) {
		assert_int_equal(machine_of(machine, i), 50000 - i);
		assert_int_equal(guest_of(machine, (50000ull - i) << GUEST_PAGE_SHIFT | 0x123),
				 (uint64_t)i << GUEST_PAGE_SHIFT | 0x123);
	}
	machine_free(machine);
}

static void what_is_not_the_guests_is_no_ram(void **state)
{
	static const uint64_t foreign[] = {
		0, 50001, 50000 - FRAMES, MACHINE_NONE, (uint64_t)MACHINE_NONE + 1, 1ull << 39,
		/* Its low 32 bits are those of a frame that there is. */
		(1ull << 32) + 50000,
	};
	struct machine *machine = start();

	(void)state;
	assert_int_equal(machine_of(machine, FRAMES), MACHINE_NONE);
	assert_int_equal(machine_of(machine, UINT64_MAX), MACHINE_NONE);
	for (size_t i = 0; i < ARRAY_SIZE(foreign); i++)
		assert_int_equal(guest_of(machine, foreign[i] << GUEST_PAGE_SHIFT),
				 MACHINE_FOREIGN | foreign[i] << GUEST_PAGE_SHIFT);
	machine_free(machine);
}

static void frames_that_are_one_are_the_first(void **state)
{
	struct machine *machine = start();

	(void)state;
	frames[7] = frames[400];
	frames[9] = frames[400];
	frames[10] = MACHINE_NONE;
	assert_true(machine_set(machine, frames));
	assert_int_equal(guest_of(machine, 49600ull << GUEST_PAGE_SHIFT), 7 << GUEST_PAGE_SHIFT);
	/* Each of them is still read from that very frame. */
	assert_int_equal(machine_of(machine, 9), 49600);
	assert_int_equal(machine_of(machine, 400), 49600);
	assert_int_equal(machine_of(machine, 10), MACHINE_NONE);
	assert_int_equal(guest_of(machine, 49990ull << GUEST_PAGE_SHIFT),
			 MACHINE_FOREIGN | 49990ull << GUEST_PAGE_SHIFT);

	for (uint32_t i = 0; i < FRAMES; i++)
		frames[i] = 5;
	assert_true(machine_set(machine, frames));
	assert_int_equal(guest_of(machine, 5ull << GUEST_PAGE_SHIFT), 0);
	machine_free(machine);
}

static void a_change_is_seen_and_only_a_change_is_one(void **state)
{
	struct machine *machine = start();

	(void)state;
	assert_false(machine_set(machine, frames));
	assert_int_equal(guest_of(machine, 49900ull << GUEST_PAGE_SHIFT), 100 << GUEST_PAGE_SHIFT);
	frames[100] = 77;
	assert_true(machine_set(machine, frames));
	assert_int_equal(guest_of(machine, 49900ull << GUEST_PAGE_SHIFT),
			 MACHINE_FOREIGN | 49900ull << GUEST_PAGE_SHIFT);
	assert_int_equal(guest_of(machine, 77ull << GUEST_PAGE_SHIFT), 100 << GUEST_PAGE_SHIFT);
	machine_free(machine);
}

static void another_process_has_it_and_sees_changes_but_makes_none(void **state)
{
	struct machine *machine = start(), *taken = NULL;
	int fd = machine_fd(machine);

	(void)state;
	assert_int_equal(machine_take(fd, &taken, NULL), 0);
	assert_int_equal(guest_of(taken, 49900ull << GUEST_PAGE_SHIFT), 100 << GUEST_PAGE_SHIFT);
	frames[100] = 77;
	assert_true(machine_set(machine, frames));
	assert_int_equal(machine_of(taken, 100), 77);
	assert_int_equal(guest_of(taken, 77ull << GUEST_PAGE_SHIFT), 100 << GUEST_PAGE_SHIFT);

	assert_ptr_equal(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
	assert_int_equal(write(fd, "x", 1), -1);
	assert_int_equal(ftruncate(fd, 0), -1);
	machine_free(taken);
	machine_free(machine);
}

static void what_is_no_table_is_refused(void **state)
{
	struct machine *machine = NULL;
	uint32_t text[64] = { 0 };
	int fd;

	(void)state;
	assert_int_equal(machine_new(0, &machine, NULL), -EINVAL);
	assert_int_equal(machine_new(MACHINE_FRAMES_MAX + 1, &machine, NULL), -EINVAL);
	fd = memfd_create("no table", MFD_ALLOW_SEALING | MFD_CLOEXEC);
	assert_int_equal(write(fd, text, sizeof(text)), sizeof(text));
	assert_int_equal(machine_take(fd, &machine, NULL), -EBADMSG);	/* it can shrink */
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	assert_int_equal(machine_take(fd, &machine, NULL), -EBADMSG);
	text[0] = 0x6d666e32;
	text[1] = 1000;			/* more than there are */
	assert_int_equal(pwrite(fd, text, sizeof(text), 0), sizeof(text));
	assert_int_equal(machine_take(fd, &machine, NULL), -EBADMSG);
	assert_null(machine);
	close(fd);
	machine_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_frame_is_found_both_ways),
		cmocka_unit_test(what_is_not_the_guests_is_no_ram),
		cmocka_unit_test(frames_that_are_one_are_the_first),
		cmocka_unit_test(a_change_is_seen_and_only_a_change_is_one),
		cmocka_unit_test(another_process_has_it_and_sees_changes_but_makes_none),
		cmocka_unit_test(what_is_no_table_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
