/* SPDX-License-Identifier: Apache-2.0 */
#include "ram/maps.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/limits.h"

static const char sample[] =
	"55d0c0000000-55d0c0100000 r--p 00000000 fe:01 1234567                    /usr/bin/qemu x\n"
	"55d0c2000000-55d0c2800000 rw-p 00000000 00:00 0                          [heap]\n"
	"7f0000000000-7f0010000000 rw-s 00000000 00:01 2049                       /memfd:m (deleted)\n"
	"7f0010000000-7f0020000000 rw-s 10000000 00:01 2049                       /memfd:m (deleted)\n"
	"7f0020000000-7f0030000000 rw-p 00000000 00:00 0 \n"
	"7f0030000000-7f0030001000 ---p 00000000 00:00 0\n"
	"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]\n";

static int parse(const char *text, struct maps *maps)
{
	char *copy = strdup(text);
	struct err err = { 0 };
	int r = maps_parse(copy, strlen(text), maps, &err);

	if (r < 0) {
		assert_int_equal(err.code, r);
		free(copy);
	}
	return r;
}

static void areas_of_a_process(void **state)
{
	cleanup(maps_free) struct maps maps = { 0 };
	const struct area *area;

	(void)state;
	assert_int_equal(parse(sample, &maps), 0);
	assert_int_equal(maps.areas.n, 7);
	area = &maps.areas.v[0];
	assert_true(area->read && !area->write && !area->shared);
	assert_int_equal(area->major, 0xfe);
	assert_int_equal(area->minor, 1);
	assert_int_equal(area->inode, 1234567);
	assert_string_equal(area->path, "/usr/bin/qemu x");
	area = &maps.areas.v[3];
	assert_true(area->read && area->write && area->shared);
	assert_true(area->start == 0x7f0010000000 && area->end == 0x7f0020000000);
	assert_int_equal(area->offset, 0x10000000);
	assert_string_equal(area->path, "/memfd:m (deleted)");
	assert_string_equal(maps.areas.v[4].path, "");
	assert_string_equal(maps.areas.v[5].path, "");
	assert_false(maps.areas.v[5].read);
	assert_true(maps.areas.v[6].end == 0xffffffffff601000);
}

static void runs_join_what_continues(void **state)
{
	cleanup(maps_free) struct maps maps = { 0 };

	(void)state;
	assert_int_equal(parse(sample, &maps), 0);
	assert_int_equal(maps_run(&maps, 2), 4);	/* one file, consecutive offsets */
	assert_int_equal(maps_run(&maps, 4), 5);	/* other rights behind it */
	assert_int_equal(maps_run(&maps, 6), 7);
}

static void runs_end_where_the_file_does_not_go_on(void **state)
{
	cleanup(maps_free) struct maps maps = { 0 };

	(void)state;
	assert_int_equal(parse("1000-2000 rw-s 00000000 00:01 7 /f\n"
			       "2000-3000 rw-s 00005000 00:01 7 /f\n"
			       "3000-4000 rw-s 00006000 00:02 7 /f\n"
			       "4000-5000 rw-s 00007000 00:02 8 /f\n", &maps), 0);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(maps_run(&maps, i), i + 1);
}

static void an_address_is_found(void **state)
{
	cleanup(maps_free) struct maps maps = { 0 };

	(void)state;
	assert_int_equal(parse(sample, &maps), 0);
	assert_ptr_equal(maps_find(&maps, 0x7f0010000000), &maps.areas.v[3]);
	assert_ptr_equal(maps_find(&maps, 0x7f001fffffff), &maps.areas.v[3]);
	assert_null(maps_find(&maps, 0x7f0030001000));
	assert_null(maps_find(&maps, 0));
	assert_null(maps_find(&maps, UINT64_MAX));
}

static void an_empty_file_has_no_areas(void **state)
{
	cleanup(maps_free) struct maps maps = { 0 };

	(void)state;
	assert_int_equal(parse("", &maps), 0);
	assert_int_equal(maps.areas.n, 0);
}

static void what_is_no_maps_file_is_refused(void **state)
{
	static const char *const texts[] = {
		"\n", "hello\n", "1000-2000\n", "1000-2000 rw-p\n", "1000-2000 rw-p 0 0:0\n",
		"2000-1000 rw-p 00000000 00:00 0\n", "1000-1000 rw-p 00000000 00:00 0\n",
		"1001-2000 rw-p 00000000 00:00 0\n", "1000-2000 rw-p 00000000 00:00 x\n",
		"11112222333344445-20000 rw-p 00000000 00:00 0\n",
		"1000-2000 rw-p 00000000 00:00 0\n1800-3000 rw-p 00000000 00:00 0\n",
		"3000-4000 rw-p 00000000 00:00 0\n1000-2000 rw-p 00000000 00:00 0\n",
		"1000-2000 rw-p 00000000 00:00 0\n\n", "-2000 rw-p 00000000 00:00 0\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct maps maps;

		assert_int_equal(parse(texts[i], &maps), -EBADMSG);
	}
}

static void areas_without_end_are_bounded(void **state)
{
	size_t room = (size_t)(MAPS_AREAS_MAX + 1) * 64;
	cleanup(freep) char *text = malloc(room);
	struct maps maps;
	size_t n = 0;

	(void)state;
	for (unsigned i = 1; i <= MAPS_AREAS_MAX + 1; i++)
		n += (size_t)snprintf(text + n, room - n, "%x000-%x000 rw-p 0 0:0 0\n", i, i + 1);
	assert_int_equal(maps_parse(text, n, &maps, NULL), -ELOOP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(areas_of_a_process),
		cmocka_unit_test(runs_join_what_continues),
		cmocka_unit_test(runs_end_where_the_file_does_not_go_on),
		cmocka_unit_test(an_address_is_found),
		cmocka_unit_test(an_empty_file_has_no_areas),
		cmocka_unit_test(what_is_no_maps_file_is_refused),
		cmocka_unit_test(areas_without_end_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
