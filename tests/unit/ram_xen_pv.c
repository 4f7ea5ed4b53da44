/* SPDX-License-Identifier: Apache-2.0 */
#include "ram/xen.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "make/xen_host.h"
#include "ram/machine.h"

static void a_pv_guests_memory_is_where_its_p2m_says(void **state)
{
	struct ram *ram = made_xen_open();
	uint64_t value;

	(void)state;
	assert_true(ram_is_pv(ram));
	assert_int_equal(ram_bytes(ram), (uint64_t)PV_FRAMES * GUEST_PAGE_SIZE);
	for (uint64_t frame = 0; frame < PV_FRAMES; frame += 0x11)
		if (frame != PV_HOLE)
			assert_int_equal(made_xen_frame(ram, frame), PV_FIRST - frame);
	assert_int_equal(ram_read(ram, gpa_of(PV_HOLE * GUEST_PAGE_SIZE), &value, 8, NULL), -EFAULT);
	assert_int_equal(ram_of_table(ram, (PV_FIRST - 5ull) * GUEST_PAGE_SIZE + 8).v, 5 * GUEST_PAGE_SIZE + 8);
	/* What is Xen's or another's is no RAM. */
	assert_int_equal(ram_read(ram, ram_of_table(ram, 0x1000 * GUEST_PAGE_SIZE), &value, 8, NULL),
			 -EFAULT);
	made_xen_close(ram);
}

static void a_pv_guest_is_served_with_what_its_tables_mean(void **state)
{
	struct ram *ram = made_xen_open(), *taken = made_xen_serve(ram);

	(void)state;
	assert_true(ram_is_pv(taken));
	for (uint64_t frame = 0; frame < PV_FRAMES; frame += 0x33)
		if (frame != PV_HOLE)
			assert_int_equal(made_xen_frame(taken, frame), PV_FIRST - frame);
	assert_int_equal(ram_of_table(taken, (PV_FIRST - 5ull) * GUEST_PAGE_SIZE).v, 5 * GUEST_PAGE_SIZE);

	/* Frames move; in one instant they are where they were. */
	made_xen.moved = 0x200;
	ram_rest(ram);
	assert_int_equal(made_xen_frame(taken, 5), PV_FIRST - 5);
	assert_int_equal(ram_of_table(taken, (PV_MOVED + 5ull) * GUEST_PAGE_SIZE).v,
			 MACHINE_FOREIGN | (PV_MOVED + 5ull) * GUEST_PAGE_SIZE);
	/* In the next they are looked for, if that was not done just now. */
	do
		ram_rest(taken);
	while (made_xen_frame(taken, 5) == PV_FIRST - 5);
	assert_int_equal(made_xen_frame(taken, 5), PV_MOVED + 5);
	assert_int_equal(made_xen_frame(taken, 0x200), PV_FIRST - 0x200);
	assert_int_equal(ram_of_table(taken, (PV_MOVED + 5ull) * GUEST_PAGE_SIZE).v, 5 * GUEST_PAGE_SIZE);
	ram_close(&taken);
	made_xen_close(ram);
}

/* To read its memory where it was is an error of its own, and not some other memory. */
static void a_p2m_that_is_gone_ends_reading(void **state)
{
	struct ram *ram = made_xen_open();
	uint64_t value;
	int r;

	(void)state;
	made_xen.pv = false;
	do {
		ram_rest(ram);
		r = ram_read(ram, gpa_of(5 * GUEST_PAGE_SIZE), &value, sizeof(value), NULL);
	} while (r == 0);
	assert_int_equal(r, -EAGAIN);
	assert_int_equal(ram_read_registers(ram, NULL), -EAGAIN);
	made_xen_close(ram);
}

static void callbacks_are_of_the_vcpus_that_are_up(void **state)
{
	struct ram *ram = made_xen_open();

	(void)state;
	assert_int_equal(ram_read_registers(ram, NULL), 0);
	assert_int_equal(ram->cpus_n, 1);
	assert_int_equal(ram->cpus[0].have, REGISTERS_CALLBACKS | REGISTERS_CODE);
	assert_int_equal(ram->cpus[0].event, 0xffffffff81001000);
	assert_int_equal(ram->cpus[0].failsafe, 0xffffffff81002000);
	assert_int_equal(ram->cpus[0].syscall, 0xffffffff81003000);
	assert_int_equal(ram->cpus[0].traps[14].at, 0xffffffff81004000);
	assert_int_equal(ram->cpus[0].traps[14].flags, 4);
	assert_int_equal(ram->cpus[0].traps[13].at, 0);
	made_xen.context_errno = EPERM;
	assert_int_equal(ram_read_registers(ram, NULL), -EACCES);
	assert_int_equal(ram->cpus_n, 0);
	made_xen_close(ram);
}

static void a_pv_guest_that_cannot_be_read_is_refused_with_the_reason(void **state)
{
	struct xen_libs libs = made_xen_libs;
	struct ram *ram = NULL;
	struct err err = { 0 };

	(void)state;
	libs.ctrl_open = NULL;
	err_set(&libs.ctrl_why, -ENOTSUP, "libxenctrl.so.4.17 cannot be loaded");
	assert_int_equal(xen_open(&libs, MADE_XEN_ID, &ram, &err), -ENOTSUP);
	assert_non_null(strstr(err.text, "libxenctrl.so.4.17"));
	made_xen.pv = false;	/* its pages hold nothing of that */
	made_xen_refused(-ENOENT, "not started");
	made_xen.is_there = made_xen_nothing;
	made_xen_refused(-EFAULT, "not the guest's");
}

/* What the balloon gives it later it may have from the start. */
static void memory_that_comes_later_is_found(void **state)
{
	struct ram *ram, *taken;
	uint64_t value;
	gpa at = gpa_of((PV_FRAMES + 5ull) * GUEST_PAGE_SIZE);

	(void)state;
	made_xen_set("/local/domain/7/memory/static-max", "65536");
	ram = made_xen_open();
	taken = made_xen_serve(ram);
	assert_int_equal(ram_bytes(taken), 65536 * 1024);
	assert_int_equal(ram_read(taken, at, &value, sizeof(value), NULL), -EFAULT);
	made_xen.grown = 0x600;
	do
		ram_rest(taken);
	while (ram_read(taken, at, &value, sizeof(value), NULL) == -EFAULT);
	assert_int_equal(value, PV_FIRST - PV_FRAMES - 5);
	assert_int_equal(ram_of_table(taken, value * GUEST_PAGE_SIZE).v, at.v);
	ram_close(&taken);
	made_xen_close(ram);
}

/* It is read a tenth of the time at most, also where it cannot be; and nothing is read by it then. */
static void a_p2m_that_always_changes_costs_no_more_than_another(void **state)
{
	struct ram *ram = made_xen_open(), *taken = made_xen_serve(ram);
	uint64_t value, seen;
	unsigned n = 0;

	(void)state;
	made_xen.generation = 1;
	do
		ram_rest(taken);
	while (ram_read(taken, gpa_of(0), &value, sizeof(value), NULL) == 0);
	do {
		seen = made_xen.frames_seen;
		assert_int_equal(ram_read(taken, gpa_of(0), &value, sizeof(value), NULL), -ESTALE);
		n += seen == made_xen.frames_seen;
	} while (n < 3);
	made_xen.generation = 2;
	while (ram_read(taken, gpa_of(0), &value, sizeof(value), NULL) == -ESTALE)
		;
	assert_int_equal(made_xen_frame(taken, 5), PV_FIRST - 5);
	ram_close(&taken);
	made_xen_close(ram);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_pv_guests_memory_is_where_its_p2m_says, made_xen_start_pv),
		cmocka_unit_test_setup(a_pv_guest_is_served_with_what_its_tables_mean,
				       made_xen_start_pv),
		cmocka_unit_test_setup(a_p2m_that_is_gone_ends_reading, made_xen_start_pv),
		cmocka_unit_test_setup(memory_that_comes_later_is_found, made_xen_start_pv),
		cmocka_unit_test_setup(a_p2m_that_always_changes_costs_no_more_than_another,
				       made_xen_start_pv),
		cmocka_unit_test_setup(callbacks_are_of_the_vcpus_that_are_up, made_xen_start_pv),
		cmocka_unit_test_setup(a_pv_guest_that_cannot_be_read_is_refused_with_the_reason,
				       made_xen_start_pv),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
