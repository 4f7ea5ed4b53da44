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
#include "ram/served.h"
#include "ram/xen_host.h"

static void a_hole_is_a_fault_of_its_page_alone(void **state)
{
	struct ram *ram = made_xen_open();
	uint8_t buf[2 * GUEST_PAGE_SIZE];

	(void)state;
	assert_int_equal(ram->ranges_n, 1);
	assert_int_equal(ram->ranges[0].start.v, 0);
	assert_int_equal(ram->ranges[0].size_bytes, 64 << 20);
	assert_int_equal(made_xen_frame(ram, 0x9f), 0x9f);
	assert_int_equal(made_xen_frame(ram, 0x100), 0x100);
	assert_int_equal(ram_read(ram, gpa_of(0xa0 * GUEST_PAGE_SIZE), buf, 1, NULL), -EFAULT);
	assert_int_equal(ram_read(ram, gpa_of(0x9f * GUEST_PAGE_SIZE), buf, sizeof(buf), NULL), -EFAULT);
	assert_int_equal(ram_read(ram, gpa_of(0x80 * GUEST_PAGE_SIZE - 4), buf, GUEST_PAGE_SIZE + 8, NULL), 0);
	made_xen_close(ram);
}

static void memory_behind_the_hole_for_devices_is_found_to_the_frame(void **state)
{
	struct ram *ram;

	(void)state;
	made_xen.is_there = made_xen_large;
	made_xen.last_frame = MADE_XEN_FRAMES_4G + 0x12344;
	made_xen_set("/local/domain/7/memory/static-max", "4230420");
	ram = made_xen_open();
	assert_int_equal(ram->ranges_n, 2);
	assert_int_equal(ram->ranges[0].size_bytes, 0xf0000000);
	assert_int_equal(ram->ranges[1].start.v, 1ull << 32);
	assert_int_equal(ram->ranges[1].size_bytes, 0x12345ull * GUEST_PAGE_SIZE);
	assert_int_equal(made_xen_frame(ram, MADE_XEN_FRAMES_4G + 0x12344), MADE_XEN_FRAMES_4G + 0x12344);
	made_xen_close(ram);
}

static void what_the_balloon_has_belongs_to_ram(void **state)
{
	struct ram *ram;
	uint64_t len, sum = 0;
	gpa at = gpa_of(0);

	(void)state;
	made_xen.is_there = made_xen_ballooned;
	ram = made_xen_open();
	assert_int_equal(ram_bytes(ram), 64 << 20);
	assert_int_equal(ram_read(ram, gpa_of(0x3000 * GUEST_PAGE_SIZE), &len, sizeof(len), NULL), -EFAULT);
	while (ram_populated(ram, at, &at, &len, NULL) == 0) {
		assert_true(made_xen_ballooned(at.v / GUEST_PAGE_SIZE));
		sum += len;
		at.v += len;
	}
	assert_int_equal(sum, (0x2000 - 0x60 - 0x200) * GUEST_PAGE_SIZE);
	/* It comes back. */
	made_xen.is_there = made_xen_small;
	ram_rest(ram);
	assert_int_equal(made_xen_frame(ram, 0x3000), 0x3000);
	made_xen_close(ram);
}

static void a_frame_far_away_makes_no_long_search(void **state)
{
	struct ram *ram;

	(void)state;
	made_xen.last_frame = 0x7ffffffe;	/* a guest may put its shared page there */
	ram = made_xen_open();
	assert_true(made_xen.frames_seen < 1000);
	assert_int_equal(ram_bytes(ram), 64 << 20);
	made_xen_close(ram);
}

static void little_is_held_and_rest_lets_go_of_it(void **state)
{
	struct ram *ram = made_xen_open();

	(void)state;
	assert_int_equal(made_xen.mapped, 0);
	for (uint64_t frame = 0x100; frame < 0x4000; frame++)
		assert_int_equal(made_xen_frame(ram, frame), frame);
	assert_in_range(made_xen.mapped, 1, XEN_WINDOWS);
	ram_rest(ram);
	assert_int_equal(made_xen.mapped, 0);
	assert_int_equal(made_xen_frame(ram, 0x200), 0x200);
	made_xen_close(ram);
}

static void a_domain_that_dies_in_mid_read_is_let_go(void **state)
{
	struct ram *ram = made_xen_open();
	uint8_t buf[GUEST_PAGE_SIZE];
	int r = 0;

	(void)state;
	assert_int_equal(ram_alive(ram, NULL), 0);
	made_xen.die_in = 5;
	for (uint64_t frame = 0x100; frame < 0x4000 && r == 0; frame++)
		r = ram_read(ram, gpa_of(frame * GUEST_PAGE_SIZE), buf, GUEST_PAGE_SIZE, NULL);
	assert_int_equal(r, -ESRCH);
	assert_int_equal(made_xen.mapped, 0);
	assert_int_equal(ram_alive(ram, NULL), -ESRCH);
	made_xen_close(ram);
}

static void a_later_domain_with_its_number_is_another(void **state)
{
	struct ram *ram = made_xen_open();
	struct err err = { 0 };

	(void)state;
	assert_int_equal(made_xen_frame(ram, 0x200), 0x200);
	made_xen_set("/local/domain/7/vm", "/vm/80594000-334a-47f6-9927-000000000000");
	assert_int_equal(ram_alive(ram, &err), -ESRCH);
	assert_non_null(strstr(err.text, "another"));
	assert_int_equal(made_xen.mapped, 0);
	made_xen_close(ram);
}

static void a_silent_xenstore_is_no_end_of_the_domain(void **state)
{
	struct ram *ram = made_xen_open();

	(void)state;
	made_xen.store_errno = EIO;
	assert_int_equal(ram_alive(ram, NULL), -EIO);
	made_xen.store_errno = 0;
	assert_int_equal(ram_alive(ram, NULL), 0);
	made_xen_close(ram);
}

static void a_served_domain_is_read_as_it_is_and_nothing_stays_mapped(void **state)
{
	struct ram *ram, *taken;
	uint64_t len, sum = 0;
	gpa at = gpa_of(0);

	(void)state;
	made_xen.is_there = made_xen_ballooned;
	ram = made_xen_open();
	taken = made_xen_serve(ram);
	assert_int_equal(ram_bytes(taken), ram_bytes(ram));
	for (uint64_t frame = 0x100; frame < 0x2100; frame += 0x33) {
		if (made_xen_ballooned(frame))
			assert_int_equal(made_xen_frame(taken, frame), frame);
		else
			assert_int_equal(ram_read(taken, gpa_of(frame * GUEST_PAGE_SIZE), &len, 8, NULL),
					 -EFAULT);
	}
	while (ram_populated(taken, at, &at, &len, NULL) == 0) {
		assert_true(made_xen_ballooned(at.v / GUEST_PAGE_SIZE));
		sum += len;
		at.v += len;
	}
	assert_int_equal(sum, (0x2000 - 0x60 - 0x200) * GUEST_PAGE_SIZE);
	ram_close(&taken);
	made_xen_close(ram);
}

static void a_served_domain_that_dies_is_told_to_be_gone(void **state)
{
	struct ram *ram = made_xen_open(), *taken = made_xen_serve(ram);
	uint64_t value;
	int r = 0;

	(void)state;
	assert_int_equal(ram_alive(taken, NULL), 0);
	made_xen.die_in = 5;
	for (uint64_t frame = 0x100; frame < 0x4000 && r == 0; frame++)
		r = ram_read(taken, gpa_of(frame * GUEST_PAGE_SIZE), &value, sizeof(value), NULL);
	assert_int_equal(r, -ESRCH);
	assert_int_equal(ram_alive(taken, NULL), -ESRCH);
	ram_close(&taken);
	made_xen_close(ram);
}

static void a_later_domain_with_its_number_is_not_served(void **state)
{
	struct ram *ram = made_xen_open(), *taken = made_xen_serve(ram);
	uint64_t value;

	(void)state;
	made_xen_set("/local/domain/7/vm", "/vm/80594000-334a-47f6-9927-000000000000");
	assert_int_equal(ram_read(taken, gpa_of(0x100 * GUEST_PAGE_SIZE), &value, sizeof(value), NULL),
			 -ESRCH);
	ram_close(&taken);
	made_xen_close(ram);
}

static void registers_are_of_the_vcpus_that_are_up(void **state)
{
	struct ram *ram = made_xen_open();

	(void)state;
	assert_int_equal(ram->cpus_n, 0);
	assert_int_equal(ram_read_registers(ram, NULL), 0);
	assert_int_equal(ram->cpus_n, 1);
	assert_int_equal(ram->cpus[0].have, REGISTERS_CONTROL | REGISTERS_TABLES |
			 REGISTERS_CODE | REGISTERS_EFER | REGISTERS_ENTRIES);
	assert_int_equal(ram->cpus[0].lstar, 0xffffffff81c00080);
	assert_int_equal(ram->cpus[0].idt_limit, 0xfff);
	made_xen_close(ram);
}

static void registers_that_cannot_be_read_again_are_forgotten(void **state)
{
	struct ram *ram = made_xen_open();
	struct err err = { 0 };

	(void)state;
	assert_int_equal(ram_read_registers(ram, NULL), 0);
	made_xen.context_errno = EPERM;
	assert_int_equal(ram_read_registers(ram, &err), -EACCES);
	assert_int_equal(ram->cpus_n, 0);
	assert_non_null(strstr(err.text, "run as root"));
	made_xen_close(ram);
}

static void without_libxenctrl_all_but_registers_works(void **state)
{
	struct xen_libs libs = made_xen_libs;
	struct ram *ram = NULL;
	struct err err = { 0 };

	(void)state;
	libs.ctrl_open = NULL;
	err_set(&libs.ctrl_why, -ENOTSUP, "libxenctrl.so.4.17 cannot be loaded");
	assert_int_equal(xen_open(&libs, MADE_XEN_ID, &ram, NULL), 0);
	assert_int_equal(made_xen_frame(ram, 0x200), 0x200);
	assert_int_equal(ram_read_registers(ram, &err), -ENOTSUP);
	assert_non_null(strstr(err.text, "libxenctrl.so.4.17"));
	made_xen_close(ram);
}

static void what_cannot_be_read_is_refused_with_the_reason(void **state)
{
	(void)state;
	made_xen.unpopulated = 3;
	made_xen_refused(-ENOTSUP, "3 pages on demand");
	made_xen.stock = 2;
	made_xen_refused(-ENOTSUP, "1 pages on demand");
	made_xen.unpopulated = made_xen.stock = 0;
	made_xen.is_there = made_xen_nothing;
	made_xen_refused(-ENOENT, "no memory");
	made_xen.is_there = made_xen_small;
	made_xen.map_errno = EPERM;
	made_xen_refused(-EACCES, "run as root");
	made_xen.map_errno = 0;
	made_xen_set("domid", "7");
	made_xen_refused(-ENOTSUP, "itself");
	made_xen_set("domid", "0");
	made_xen.introduced = false;
	made_xen_refused(-ESRCH, "no domain 7");
	made_xen.introduced = true;
	made_xen.store_errno = EACCES;
	made_xen_refused(-EACCES, "run as root");
}

static void memory_on_demand_that_is_at_hand_is_read(void **state)
{
	struct ram *ram;

	(void)state;
	made_xen.unpopulated = made_xen.stock = 0x1000;
	ram = made_xen_open();
	assert_int_equal(made_xen_frame(ram, 0x200), 0x200);
	made_xen_close(ram);
	made_xen.stock = 0x1001;
	made_xen_close(made_xen_open());
}

static void what_xenstore_says_is_not_believed(void **state)
{
	struct xen_domains domains = { 0 };
	struct xen_host asked;

	(void)state;
	made_xen_set("/local/domain/7/name", "\033[2J\nweb");
	made_xen_set("/local/domain/7/vm", "/vm/../../etc/passwd");
	made_xen_set("/local/domain/7/memory/static-max", "99999999999999999999999");
	made_xen_set("/libxl/7/type", "pvhx");
	assert_int_equal(xen_host_open(&made_xen_libs, &asked, NULL), 0);
	assert_int_equal(xen_domains_find(&asked, &domains, NULL), 0);
	assert_int_equal(domains.list.n, 2);
	assert_int_equal(domains.list.v[0].id, 0);
	assert_true(domains.list.v[0].self);
	assert_int_equal(domains.list.v[1].id, MADE_XEN_ID);
	assert_string_equal(domains.list.v[1].name, "\033[2J\nweb");	/* escaped at output */
	assert_null(domains.list.v[1].uuid);
	assert_int_equal(domains.list.v[1].memory_bytes, 0);
	assert_int_equal(domains.list.v[1].kind, XEN_HVM);	/* libxenctrl knows better */
	assert_true(domains.list.v[1].stopped);
	assert_int_equal(domains.list.v[1].vcpus, 2);
	xen_domains_free(&domains);
	xen_host_close(&asked);
	made_xen_refused(-ENOTSUP, "how much memory");
}

static void libraries_are_there_or_the_error_names_a_package(void **state)
{
	struct err err = { 0 };
	const struct xen_libs *libs = NULL;
	int r = xen_libs_load(&libs, &err);

	/* They are there, or the error says what to install. */
	(void)state;
	if (r == 0) {
		assert_non_null(libs->memory_map);
		assert_true(!libs->ctrl_open == !!libs->ctrl_why.code);
	} else {
		assert_int_equal(r, -ENOTSUP);
		assert_null(libs);
		assert_non_null(strstr(err.text, "install libxen"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_hole_is_a_fault_of_its_page_alone, made_xen_start),
		cmocka_unit_test_setup(memory_behind_the_hole_for_devices_is_found_to_the_frame,
				       made_xen_start),
		cmocka_unit_test_setup(what_the_balloon_has_belongs_to_ram, made_xen_start),
		cmocka_unit_test_setup(a_frame_far_away_makes_no_long_search, made_xen_start),
		cmocka_unit_test_setup(little_is_held_and_rest_lets_go_of_it, made_xen_start),
		cmocka_unit_test_setup(a_domain_that_dies_in_mid_read_is_let_go, made_xen_start),
		cmocka_unit_test_setup(a_later_domain_with_its_number_is_another, made_xen_start),
		cmocka_unit_test_setup(a_silent_xenstore_is_no_end_of_the_domain, made_xen_start),
		cmocka_unit_test_setup(
			a_served_domain_is_read_as_it_is_and_nothing_stays_mapped, made_xen_start),
		cmocka_unit_test_setup(a_served_domain_that_dies_is_told_to_be_gone, made_xen_start),
		cmocka_unit_test_setup(a_later_domain_with_its_number_is_not_served, made_xen_start),
		cmocka_unit_test_setup(registers_are_of_the_vcpus_that_are_up, made_xen_start),
		cmocka_unit_test_setup(registers_that_cannot_be_read_again_are_forgotten, made_xen_start),
		cmocka_unit_test_setup(without_libxenctrl_all_but_registers_works, made_xen_start),
		cmocka_unit_test_setup(what_cannot_be_read_is_refused_with_the_reason, made_xen_start),
		cmocka_unit_test_setup(memory_on_demand_that_is_at_hand_is_read, made_xen_start),
		cmocka_unit_test_setup(what_xenstore_says_is_not_believed, made_xen_start),
		cmocka_unit_test_setup(libraries_are_there_or_the_error_names_a_package, made_xen_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
