/* SPDX-License-Identifier: Apache-2.0 */
#include "check/program.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void places_of_paths(void **state)
{
	(void)state;
	assert_int_equal(place_of("/usr/lib/x86_64-linux-gnu/libc.so.6"), PLACE_SYSTEM);
	assert_int_equal(place_of("/lib64/ld-linux-x86-64.so.2"), PLACE_SYSTEM);
	assert_int_equal(place_of("/usr"), PLACE_OTHER);
	assert_int_equal(place_of("/usrlocal/x"), PLACE_OTHER);
	assert_int_equal(place_of("/srv/usr/bin/node"), PLACE_OTHER);
	assert_int_equal(place_of("/tmp/usr/bin/node"), PLACE_TEMP);
	assert_int_equal(place_of("/dev/shm/x (deleted)"), PLACE_TEMP);
	assert_int_equal(place_of("/var/tmp/x"), PLACE_TEMP);
	assert_int_equal(place_of("/tmpfs/x"), PLACE_OTHER);
	assert_int_equal(place_of("/home/a/.nvm/node"), PLACE_HOME);
	assert_int_equal(place_of("?/x"), PLACE_OTHER);
	assert_int_equal(place_of(""), PLACE_OTHER);
}

static void hidden_paths(void **state)
{
	(void)state;
	assert_true(path_is_hidden("/usr/lib/.x/libx.so"));
	assert_true(path_is_hidden("/tmp/.x"));
	assert_true(path_is_hidden("/tmp/...")); /* a name like any other */
	assert_false(path_is_hidden("/usr/lib/./libx.so"));
	assert_false(path_is_hidden("/usr/lib/../libx.so"));
	assert_false(path_is_hidden("/usr/lib/.."));
	assert_false(path_is_hidden("/usr/lib/."));
	assert_false(path_is_hidden("/usr/lib/lib.x.so"));
	assert_false(path_is_hidden(""));
}

static void names_and_their_beginnings(void **state)
{
	static const char *const patterns[] = { "node", "libv8*", NULL };

	(void)state;
	assert_true(name_matches("node", patterns));
	assert_false(name_matches("nodes", patterns));
	assert_false(name_matches("nod", patterns));
	assert_true(name_matches("libv8", patterns));
	assert_true(name_matches("libv8.so.7", patterns));
	assert_false(name_matches("libv", patterns));
	assert_false(name_matches("", patterns));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(places_of_paths),
		cmocka_unit_test(hidden_paths),
		cmocka_unit_test(names_and_their_beginnings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
