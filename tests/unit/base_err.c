/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#undef fail	/* cmocka has one, too */

static void set_gives_the_code_back(void **state)
{
	struct err err = {0};

	(void)state;
	assert_int_equal(err_set(&err, -ENOENT, "no symbol '%s'", "x"), -ENOENT);
	assert_int_equal(err.code, -ENOENT);
	assert_string_equal(err.text, "no symbol 'x'");
}

static void address_stands_in_front(void **state)
{
	struct err err = {0};

	(void)state;
	assert_int_equal(fail(&err, -EBADMSG, gva_of(0xffffffff81000000), "bad next"), -EBADMSG);
	assert_string_equal(err.text, "0xffffffff81000000: bad next");
}

static void context_stands_in_front_of_the_cause(void **state)
{
	struct err err = {0};

	(void)state;
	err_set(&err, -EACCES, "no permission");
	assert_int_equal(wrap(&err, -EACCES, "RAM of '%s'", "vm"), -EACCES);
	assert_string_equal(err.text, "RAM of 'vm': no permission");
}

static void cause_without_words_is_named_by_its_number(void **state)
{
	struct err err = {0};

	(void)state;
	assert_int_equal(wrap(&err, -ENOMEM, "symbols"), -ENOMEM);
	assert_string_equal(err.text, "symbols: Cannot allocate memory");
	assert_int_equal(err.code, -ENOMEM);
}

static void nobody_need_listen(void **state)
{
	(void)state;
	assert_int_equal(err_set(NULL, -EFAULT, "x"), -EFAULT);
	assert_int_equal(fail(NULL, -ELOOP, gva_of(1), "x"), -ELOOP);
	assert_int_equal(wrap(NULL, -ESRCH, "x"), -ESRCH);
}

static void long_text_is_cut(void **state)
{
	char text[1024];
	struct err err = {0};

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	err_set(&err, -EBADMSG, "%s", text);
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
	fail(&err, -EBADMSG, gva_of(UINT64_MAX), "%s", text);
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
	wrap(&err, -EBADMSG, "%s", text);
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
	err_set(&err, -EBADMSG, "cause");
	wrap(&err, -EBADMSG, "%.*s", (int)sizeof(err.text) - 1, text);
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(set_gives_the_code_back),
		cmocka_unit_test(address_stands_in_front),
		cmocka_unit_test(context_stands_in_front_of_the_cause),
		cmocka_unit_test(cause_without_words_is_named_by_its_number),
		cmocka_unit_test(nobody_need_listen),
		cmocka_unit_test(long_text_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
