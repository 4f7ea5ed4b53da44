/* SPDX-License-Identifier: Apache-2.0 */
#include "base/escape.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"

static void assert_escaped(const char *text, const char *expected)
{
	cleanup(freep) char *escaped = escape_dup(text);

	assert_non_null(escaped);
	assert_string_equal(escaped, expected);
}

static void plain_text_stays(void **state)
{
	(void)state;
	assert_escaped("", "");
	assert_escaped("systemd-journal [kworker/0:1]", "systemd-journal [kworker/0:1]");
	assert_escaped("~!@#$%^&*()", "~!@#$%^&*()");
	assert_escaped("grün 日本語 😀", "grün 日本語 😀");
}

static void terminal_controls_become_visible(void **state)
{
	(void)state;
	assert_escaped("\033[2J\033]0;evil\a", "\\x1b[2J\\x1b]0;evil\\x07");
	assert_escaped("a\nb\tc\rd\x7f", "a\\x0ab\\x09c\\x0dd\\x7f");
	/* CSI as one C1 character, U+009B, and as the bare byte of an 8-bit terminal */
	assert_escaped("\xc2\x9b" "2J", "\\xc2\\x9b2J");
	assert_escaped("\x9b" "2J", "\\x9b2J");
}

static void bidirectional_overrides_become_visible(void **state)
{
	(void)state;
	assert_escaped("a\xe2\x80\xae" "txt.exe", "a\\xe2\\x80\\xaetxt.exe");
	assert_escaped("\xe2\x81\xa6\xe2\x81\xa9\xd8\x9c",
		       "\\xe2\\x81\\xa6\\xe2\\x81\\xa9\\xd8\\x9c");
}

static void invisible_characters_become_visible(void **state)
{
	(void)state;
	assert_escaped("ss\xe2\x80\x8bhd", "ss\\xe2\\x80\\x8bhd");
	assert_escaped("\xef\xbb\xbf", "\\xef\\xbb\\xbf");
	assert_escaped("\xf3\xa0\x81\x81", "\\xf3\\xa0\\x81\\x81");
}

static void ill_formed_utf8_becomes_visible(void **state)
{
	(void)state;
	assert_escaped("\xff\xfe", "\\xff\\xfe");
	assert_escaped("\xc0\xaf", "\\xc0\\xaf");		/* overlong '/' */
	assert_escaped("\xe0\x80\xaf", "\\xe0\\x80\\xaf");
	assert_escaped("\xed\xa0\x80", "\\xed\\xa0\\x80");	/* surrogate */
	assert_escaped("\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80");	/* beyond U+10FFFF */
	assert_escaped("a\xe6\x97", "a\\xe6\\x97");		/* cut short */
	assert_escaped("\xe6\x97z", "\\xe6\\x97z");
}

static void backslash_is_escaped_where_it_would_lie(void **state)
{
	(void)state;
	assert_escaped("C:\\Windows\\x", "C:\\Windows\\x");
	assert_escaped("a\\x2dgetty", "a\\x5cx2dgetty");
	assert_escaped("\\\\x1b", "\\\\x5cx1b");
	assert_escaped("\\x1B", "\\x1B");
}

static void nul_bytes_are_escaped(void **state)
{
	char buf[32];

	(void)state;
	assert_int_equal(escape("a\0b", 3, buf, sizeof(buf)), 6);
	assert_string_equal(buf, "a\\x00b");
}

static void cut_between_characters(void **state)
{
	char buf[8];

	(void)state;
	assert_int_equal(escape("abc\033d", 5, buf, 7), 3);
	assert_string_equal(buf, "abc");
	assert_int_equal(escape("abc\033d", 5, buf, 8), 7);
	assert_string_equal(buf, "abc\\x1b");
	assert_int_equal(escape("ab\xe6\x97\xa5", 5, buf, 5), 2);
	assert_string_equal(buf, "ab");
	assert_int_equal(escape("abc", 3, buf, 1), 0);
	assert_string_equal(buf, "");
}

static int hex_digit(char c)
{
	return c <= '9' ? c - '0' : c - 'a' + 10;
}

static size_t unescape(const char *text, uint8_t *out)
{
	size_t n = 0;

	while (*text) {
		if (text[0] == '\\' && text[1] == 'x' &&
		    strspn(text + 2, "0123456789abcdef") >= 2) {
			out[n++] = (uint8_t)(hex_digit(text[2]) << 4 | hex_digit(text[3]));
			text += 4;
		} else {
			out[n++] = (uint8_t)*text++;
		}
	}
	return n;
}

/* Every two-byte text, and each of them behind a backslash and an x. */
static void unescaping_gives_the_original_back(void **state)
{
	uint8_t in[4] = { '\\', 'x' }, out[ESCAPED_MAX(4)];
	char buf[ESCAPED_MAX(4)];

	(void)state;
	for (unsigned v = 0; v < 0x10000; v++) {
		in[2] = (uint8_t)(v >> 8);
		in[3] = (uint8_t)v;
		for (size_t from = 0; from <= 2; from += 2) {
			escape((const char *)in + from, 4 - from, buf, sizeof(buf));
			assert_int_equal(unescape(buf, out), 4 - from);
			assert_memory_equal(out, in + from, 4 - from);
		}
	}
}

static void what_is_escaped_is_not_escaped_again(void **state)
{
	static const struct {
		const char *in, *out;
	} texts[] = {
		{ "web1", "web1" }, { "a\\x1b[2J", "a\\x1b[2J" }, { "a\x1b[2J", "a\\x1b[2J" },
		/* Half of it is not: then none of it counts as escaped. */
		{ "\\x1b \x1b", "\\x5cx1b \\x1b" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		char *text = escape_once(texts[i].in);

		assert_string_equal(text, texts[i].out);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_text_stays),
		cmocka_unit_test(terminal_controls_become_visible),
		cmocka_unit_test(bidirectional_overrides_become_visible),
		cmocka_unit_test(invisible_characters_become_visible),
		cmocka_unit_test(ill_formed_utf8_becomes_visible),
		cmocka_unit_test(backslash_is_escaped_where_it_would_lie),
		cmocka_unit_test(nul_bytes_are_escaped),
		cmocka_unit_test(cut_between_characters),
		cmocka_unit_test(unescaping_gives_the_original_back),
		cmocka_unit_test(what_is_escaped_is_not_escaped_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
