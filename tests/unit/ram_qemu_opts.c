/* SPDX-License-Identifier: Apache-2.0 */
#include "ram/qemu_opts.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/limits.h"

static void sizes_are_read_as_qemu_reads_them(void **state)
{
	static const struct { const char *text; uint64_t unit, bytes; } sizes[] = {
		{ "512", 1 << 20, 512ull << 20 }, { "512", 1, 512 },
		{ "1G", 1 << 20, 1ull << 30 }, { "1g", 1, 1ull << 30 },
		{ "4096k", 1 << 20, 4ull << 20 }, { "2T", 1 << 20, 2ull << 40 },
		{ "1.5G", 1 << 20, 3ull << 29 }, { "0.5", 1 << 20, 1 << 19 },
		{ "100b", 1 << 20, 100 }, { "0x100000", 1, 1 << 20 }, { "0x10M", 1, 16 << 20 },
		{ "0", 1, 0 }, { "1.M", 1, 1 << 20 }, { "7P", 1, 7ull << 50 },
		{ "0.99999999999999999999G", 1, (1ull << 30) - 2 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		uint64_t bytes = 0;

		assert_int_equal(qemu_size(sizes[i].text, sizes[i].unit, &bytes), 0);
		assert_int_equal(bytes, sizes[i].bytes);
	}
}

static void what_is_no_size_is_refused(void **state)
{
	static const char *const texts[] = {
		"", " 1", "-1", "+1", "G", "1GG", "1 G", "1Z", "1.5.5", "0x", "0xg", "1e3",
		"99999999999999999999", "16E", "18446744073709551615K", "9223372036854775808",
		"7.99999999999E9",
	};
	uint64_t bytes = 42;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		assert_int_equal(qemu_size(texts[i], 1, &bytes), -EBADMSG);
	assert_int_equal(bytes, 42);
}

static void expect(const char *text, const char *implied, const char *key, const char *value)
{
	struct qemu_opts opts;
	const char *got;

	assert_int_equal(qemu_opts_parse(text, implied, &opts, NULL), 0);
	got = qemu_opts_get(&opts, key);
	if (value) {
		assert_non_null(got);
		assert_string_equal(got, value);
	} else {
		assert_null(got);
	}
	qemu_opts_free(&opts);
}

static void keys_and_values(void **state)
{
	(void)state;
	expect("q35,accel=kvm", "type", "type", "q35");
	expect("q35,accel=kvm", "type", "accel", "kvm");
	expect("accel=kvm,type=q35", "type", "type", "q35");
	expect("q35", NULL, "type", NULL);
	expect("q35", NULL, "q35", "on");
	expect("a=1,a=2", NULL, "a", "2");
	expect("guest=a,,b,debug-threads=on", "guest", "guest", "a,b");
	expect("guest=a,,b,debug-threads=on", "guest", "debug-threads", "on");
	expect("a,,b", "guest", "guest", "a,b");
	expect(",,,a=1", "guest", "a", "1");
	expect("path=/x=y", NULL, "path", "/x=y");
	expect("x,server,nowait", "path", "server", "on");
	expect("x,server,nowait", "path", "wait", "off");
	expect("path=", NULL, "path", "");
	expect("", "type", "type", NULL);
	expect("a=1,", NULL, "a", "1");
}

static void json_is_the_same(void **state)
{
	static const char text[] =
		"{\"qom-type\": \"memory-backend-memfd\", \"id\": \"r\\u00e4m\", \"share\": true,"
		" \"prealloc\": false, \"size\": 1073741824, \"host-nodes\": [0, 1],"
		" \"addr\": {\"type\": \"unix\", \"more\": {\"path\": \"/x\"}}, \"none\": null}";

	(void)state;
	expect(text, "qom-type", "qom-type", "memory-backend-memfd");
	expect(text, NULL, "id", "r\xc3\xa4m");
	expect(text, NULL, "share", "on");
	expect(text, NULL, "prealloc", "off");
	expect(text, NULL, "size", "1073741824");
	expect(text, NULL, "addr.type", "unix");
	expect(text, NULL, "addr.more.path", "/x");
	expect(text, NULL, "host-nodes", NULL);
	expect(text, NULL, "none", NULL);
}

static void broken_json_is_refused(void **state)
{
	static const char *const texts[] = { "{", "{}{}", "{\"a\": }", "{\"a\": \"\\ud800\"}" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct qemu_opts opts;
		struct err err = { 0 };

		assert_int_equal(qemu_opts_parse(texts[i], NULL, &opts, &err), -EBADMSG);
		assert_int_equal(err.code, -EBADMSG);
		qemu_opts_free(&opts);
	}
}

static void keys_without_end_are_bounded(void **state)
{
	cleanup(freep) char *text = calloc(QEMU_OPTS_MAX + 2, 4);
	struct qemu_opts opts;

	(void)state;
	for (unsigned i = 0; i <= QEMU_OPTS_MAX; i++)
		memcpy(text + (size_t)i * 4, "a=1,", 4);
	assert_int_equal(qemu_opts_parse(text, NULL, &opts, NULL), -ELOOP);
	qemu_opts_free(&opts);
	text[(size_t)QEMU_OPTS_MAX * 4] = '\0';
	assert_int_equal(qemu_opts_parse(text, NULL, &opts, NULL), 0);
	qemu_opts_free(&opts);
}

static void nesting_without_end_is_not_followed(void **state)
{
	char text[20000] = "";
	struct qemu_opts opts;

	(void)state;
	for (size_t i = 0; i < 1500; i++)
		memcpy(text + i * 5, "{\"a\":", 5);
	memcpy(text + 7500, "{}", 2);
	memset(text + 7502, '}', 1500);
	assert_int_equal(qemu_opts_parse(text, NULL, &opts, NULL), 0);
	assert_int_equal(opts.pairs.n, 0);
	qemu_opts_free(&opts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_are_read_as_qemu_reads_them),
		cmocka_unit_test(what_is_no_size_is_refused),
		cmocka_unit_test(keys_and_values),
		cmocka_unit_test(json_is_the_same),
		cmocka_unit_test(broken_json_is_refused),
		cmocka_unit_test(keys_without_end_are_bounded),
		cmocka_unit_test(nesting_without_end_is_not_followed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
