/* SPDX-License-Identifier: Apache-2.0 */
#include "ram/ram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "ram/fake.h"

#define PAGE 4096u

static uint8_t low[2 * PAGE], next[PAGE], high[PAGE];

/* [0, 8 KiB) and [8, 12 KiB) touch; 1 GiB stands alone. */
static const struct ram_range ranges[] = {
	{ { 0 }, sizeof(low) }, { { sizeof(low) }, sizeof(next) }, { { 1u << 30 }, sizeof(high) },
};

static int start(void **state)
{
	struct ram *ram;

	memset(low, 'l', sizeof(low));
	memset(next, 'n', sizeof(next));
	memset(high, 'h', sizeof(high));
	if (fake_open(ranges, (void *[]){ low, next, high }, 3, &ram, NULL) < 0)
		return -1;
	*state = ram;
	return 0;
}

static int end(void **state)
{
	struct ram *ram = *state;

	ram_close(&ram);
	assert_null(ram);
	ram_close(&ram);
	return 0;
}

static void reads_cross_into_a_range_that_touches(void **state)
{
	struct ram *ram = *state;
	char buf[4];

	assert_int_equal(ram_read(ram, gpa_of(sizeof(low) - 2), buf, 4, NULL), 0);
	assert_memory_equal(buf, "llnn", 4);
	assert_int_equal(ram->reads, 2);
	assert_int_equal(ram->read_bytes, 4);
}

static void reads_where_memory_may_be_plugged_in_are_counted(void **state)
{
	struct ram *ram = *state;
	char buf[4];

	assert_int_equal(ram_read(ram, gpa_of(2u << 30), buf, 4, NULL), -EFAULT);
	assert_int_equal(ram->in_room, 0);	/* there is no room */
	ram->room = (struct ram_range){ gpa_of(1u << 30), 1u << 30 };
	assert_int_equal(ram_read(ram, gpa_of(2u << 30), buf, 4, NULL), -EFAULT);
	assert_int_equal(ram_read(ram, gpa_of((1u << 30) - 4), buf, 4, NULL), -EFAULT);
	assert_int_equal(ram_read(ram, gpa_of(1u << 30), buf, 4, NULL), 0);
	assert_int_equal(ram->in_room, 0);
	assert_int_equal(ram_read(ram, gpa_of((2u << 30) - 4), buf, 4, NULL), -EFAULT);
	assert_int_equal(ram->in_room, 1);
	assert_int_equal(ram->outside, 4);
}

static void holes_are_faults(void **state)
{
	struct ram *ram = *state;
	char buf[4];

	assert_int_equal(ram_read(ram, gpa_of(3 * PAGE), buf, 1, NULL), -EFAULT);
	assert_int_equal(ram_read(ram, gpa_of(3 * PAGE - 1), buf, 2, NULL), -EFAULT);
	assert_int_equal(ram_read(ram, gpa_of((1u << 30) - 1), buf, 2, NULL), -EFAULT);
	assert_int_equal(ram_read(ram, gpa_of((1u << 30) + PAGE - 1), buf, 2, NULL), -EFAULT);
	assert_int_equal(ram_read(ram, gpa_of(UINT64_MAX), buf, 1, NULL), -EFAULT);
	assert_int_equal(ram_read(ram, gpa_of(UINT64_MAX - 1), buf, 4, NULL), -EFAULT);
}

static void nothing_is_no_read(void **state)
{
	struct ram *ram = *state;
	char buf[4];

	assert_int_equal(ram_read(ram, gpa_of(0), buf, 0, NULL), -EINVAL);
}

static void has_what_lies_wholly_inside(void **state)
{
	struct ram *ram = *state;

	assert_true(ram_has(ram, gpa_of(0), 3 * PAGE));
	assert_true(ram_has(ram, gpa_of(PAGE), PAGE));
	assert_true(ram_has(ram, gpa_of(1u << 30), PAGE));
	assert_false(ram_has(ram, gpa_of(0), 3 * PAGE + 1));
	assert_false(ram_has(ram, gpa_of(1u << 30), PAGE + 1));
	assert_false(ram_has(ram, gpa_of(UINT64_MAX), 2));
	assert_false(ram_has(ram, gpa_of(4 * PAGE), 1));
	assert_int_equal(ram_bytes(ram), 4 * PAGE);
}

static void populated_runs_follow_each_other(void **state)
{
	struct ram *ram = *state;
	uint64_t len;
	gpa at;

	assert_int_equal(ram_populated(ram, gpa_of(5), &at, &len, NULL), 0);
	assert_true(at.v == 5 && len == sizeof(low) - 5);
	assert_int_equal(ram_populated(ram, gpa_of(sizeof(low)), &at, &len, NULL), 0);
	assert_true(at.v == sizeof(low) && len == PAGE);
	assert_int_equal(ram_populated(ram, gpa_of(3 * PAGE), &at, &len, NULL), 0);
	assert_true(at.v == 1u << 30 && len == PAGE);
	assert_int_equal(ram_populated(ram, gpa_of((1u << 30) + PAGE), &at, &len, NULL), -ENOENT);
}

static int refused(const struct ram_range *r, size_t n)
{
	struct ram *ram = NULL;
	void *bytes[4] = { low, low, low, low };
	int code = fake_open(r, bytes, n, &ram, NULL);

	assert_null(ram);
	return code;
}

static void layouts_that_cannot_be_are_refused(void **state)
{
	(void)state;
	assert_int_equal(refused(NULL, 0), -EBADMSG);
	assert_int_equal(refused((struct ram_range[]){ { { 0 }, 0 } }, 1), -EBADMSG);
	assert_int_equal(refused((struct ram_range[]){ { { 1 }, PAGE } }, 1), -EBADMSG);
	assert_int_equal(refused((struct ram_range[]){ { { 0 }, PAGE + 1 } }, 1), -EBADMSG);
	assert_int_equal(refused((struct ram_range[]){ { { ~(PAGE - 1ull) }, PAGE } }, 1), -EBADMSG);
	assert_int_equal(refused((struct ram_range[]){ { { PAGE }, ~(PAGE - 1ull) } }, 1), -EBADMSG);
	assert_int_equal(refused((struct ram_range[]){ { { 0 }, 2 * PAGE }, { { PAGE }, PAGE } },
				 2), -EBADMSG);
	assert_int_equal(refused((struct ram_range[]){ { { PAGE }, PAGE }, { { 0 }, PAGE } }, 2),
			 -EBADMSG);
}

static void too_many_ranges_are_refused(void **state)
{
	static struct ram_range many[RAM_RANGES_MAX + 1];
	static void *bytes[RAM_RANGES_MAX + 1];
	cleanup(ram_close) struct ram *ram = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = (struct ram_range){ gpa_of(i * 2 * PAGE), PAGE };
	assert_int_equal(fake_open(many, bytes, RAM_RANGES_MAX + 1, &ram, NULL), -EBADMSG);
	assert_int_equal(fake_open(many, bytes, RAM_RANGES_MAX, &ram, NULL), 0);
}

static void faults_on_purpose(void **state)
{
	struct ram *ram = *state;
	char c;

	fake_fail_after(ram, 2);
	assert_int_equal(ram_read(ram, gpa_of(0), &c, 1, NULL), 0);
	assert_int_equal(ram_read(ram, gpa_of(0), &c, 1, NULL), -EFAULT);
	assert_int_equal(ram_read(ram, gpa_of(0), &c, 1, NULL), -EFAULT);
	fake_fail_after(ram, 0);
	assert_int_equal(ram_read(ram, gpa_of(0), &c, 1, NULL), 0);
}

/* What a backend like that of a live guest says reaches the caller. */
static struct { struct ram ram; int code; } dying;

static int die(struct ram *ram, size_t range, uint64_t offset, void *buf, size_t len,
	       struct err *err)
{
	(void)ram, (void)range, (void)offset, (void)buf, (void)len;
	return err_set(err, dying.code, "the guest is gone");
}

static int none(struct ram *ram, size_t range, uint64_t offset, uint64_t *at, uint64_t *len,
		struct err *err)
{
	(void)ram, (void)range, (void)offset, (void)at, (void)len, (void)err;
	return dying.code;
}

static int alive(struct ram *ram, struct err *err)
{
	(void)ram, (void)err;
	return dying.code;
}

static void ended_guest_is_told_from_a_fault(void **state)
{
	static const struct ram_ops ops = { .name = "dying", .read = die, .populated = none,
					    .alive = alive };
	struct ram *ram = &dying.ram;
	uint64_t len;
	char c;
	gpa at;

	(void)state;
	dying.ram.ops = &ops;
	assert_int_equal(ram_set_ranges(ram, ranges, 3, NULL), 0);
	dying.code = -ESRCH;
	assert_int_equal(ram_read(ram, gpa_of(0), &c, 1, NULL), -ESRCH);
	assert_int_equal(ram_populated(ram, gpa_of(0), &at, &len, NULL), -ESRCH);
	assert_int_equal(ram_alive(ram, NULL), -ESRCH);
	dying.code = -ENOENT;
	assert_int_equal(ram_populated(ram, gpa_of(0), &at, &len, NULL), -ENOENT);
	free(ram->ranges);
}

#define T(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(reads_cross_into_a_range_that_touches),
		T(holes_are_faults),
		T(reads_where_memory_may_be_plugged_in_are_counted),
		T(nothing_is_no_read),
		T(has_what_lies_wholly_inside),
		T(populated_runs_follow_each_other),
		T(layouts_that_cannot_be_are_refused),
		T(too_many_ranges_are_refused),
		T(faults_on_purpose),
		T(ended_guest_is_told_from_a_fault),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
