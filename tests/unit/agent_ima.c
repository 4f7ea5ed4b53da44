/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ima.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "agent/sha1.h"

static void assert_sha1(const char *text, size_t n, const char *want)
{
	uint8_t digest[SHA1_BYTES];
	char hex[2 * SHA1_BYTES + 1];

	sha1((const uint8_t *)text, n, digest);
	for (int i = 0; i < SHA1_BYTES; i++)
		sprintf(hex + 2 * i, "%02x", digest[i]);
	assert_string_equal(hex, want);
}

/* The examples of FIPS 180-4, and lengths around those where the padding takes a block more. */
static void sha1_is_as_published(void **state)
{
	char million[1000] = "", a64[64];

	(void)state;
	memset(million, 'a', sizeof(million));
	memset(a64, 'a', sizeof(a64));
	assert_sha1("", 0, "da39a3ee5e6b4b0d3255bfef95601890afd80709");
	assert_sha1("abc", 3, "a9993e364706816aba3e25717850c26c9cd0d89d");
	assert_sha1("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56,
		    "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
	assert_sha1(a64, 55, "c1c8bbdc22796e28c0e15163d20899b65621d65a");
	assert_sha1(a64, 64, "0098ba824b5c16427bd7a1122a5a442a25ec644d");
	assert_sha1(million, 1000, "291e9a6c66994949b57ba5e650361e98fc36b1ba");
}

/* The template hash was computed by other means: the fields behind their lengths, sha1sum(1). */
static void a_line_is_what_the_kernel_writes(void **state)
{
	uint8_t digest[AGENT_DIGEST_BYTES] = {0};
	char line[IMA_LINE_MAX];
	size_t n;

	(void)state;
	for (unsigned i = 0; i < sizeof(digest); i++)
		digest[i] = (uint8_t)i;
	n = ima_line(digest, "/usr/bin/true", 13, line);
	assert_int_equal(n, strlen(line));
	assert_string_equal(line, "10 fd40698858d9983431a4b261febc281d4e2fa076 ima-ng "
			    "sha256:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
			    " /usr/bin/true\n");
}

static void no_path_breaks_the_line(void **state)
{
	uint8_t digest[AGENT_DIGEST_BYTES] = {0};
	char line[IMA_LINE_MAX], path[AGENT_PATH_MAX + 100];
	size_t n;

	(void)state;
	ima_line(digest, "a b\nc\td\x7f", 8, line);
	assert_non_null(strstr(line, " a_b_c_d_\n"));
	memset(path, 'x', sizeof(path));
	n = ima_line(digest, path, sizeof(path), line);
	assert_int_equal(n, IMA_LINE_MAX - 1);
	assert_int_equal(line[n - 1], '\n');
}

static void what_could_not_be_measured_is_a_violation(void **state)
{
	char line[IMA_LINE_MAX];

	(void)state;
	ima_line(NULL, "/x", 2, line);
	assert_string_equal(line, "10 0000000000000000000000000000000000000000 ima-ng sha256:"
			    "0000000000000000000000000000000000000000000000000000000000000000 /x\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sha1_is_as_published),
		cmocka_unit_test(a_line_is_what_the_kernel_writes),
		cmocka_unit_test(no_path_breaks_the_line),
		cmocka_unit_test(what_could_not_be_measured_is_a_violation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
