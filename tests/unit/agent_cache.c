/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/cache.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>
#include <sodium.h>

#include "agent/digest.h"

static struct cache cache = { .lock = PTHREAD_MUTEX_INITIALIZER };

static struct cache_entry entry_of(uint64_t inode)
{
	return (struct cache_entry){
		.key = { .device = 1, .inode = inode, .size_bytes = 2, .mtime_ns = 3, .ctime_ns = 4 },
		.sequence = inode * 2,
	};
}

static void another_version_is_another_file(void **state)
{
	struct cache_entry entry = entry_of(7), found;
	struct cache_key key = entry.key;

	(void)state;
	assert_int_equal(cache_put(&cache, &entry), 0);
	assert_true(cache_find(&cache, &key, &found));
	assert_int_equal(found.sequence, 14);
	for (unsigned i = 0; i < sizeof(key) / sizeof(uint64_t); i++) {
		struct cache_key other = key;
		uint64_t word;

		memcpy(&word, (uint8_t *)&other + i * sizeof(word), sizeof(word));
		word++;
		memcpy((uint8_t *)&other + i * sizeof(word), &word, sizeof(word));
		assert_false(cache_find(&cache, &other, &found));
	}
	entry.sequence = 99;
	assert_int_equal(cache_put(&cache, &entry), 0);
	assert_true(cache_find(&cache, &key, &found));
	assert_int_equal(found.sequence, 99);
}

static void a_full_one_starts_anew(void **state)
{
	struct cache_entry found;

	(void)state;
	for (uint64_t i = 1; i <= CACHE_MAX + 1000; i++) {
		struct cache_entry entry = entry_of(i);

		assert_int_equal(cache_put(&cache, &entry), 0);
		assert_true(cache_find(&cache, &entry.key, &found));
		assert_int_equal(found.sequence, i * 2);
	}
	assert_true(cache.entries.n <= CACHE_MAX);
}

static void a_device_that_is_gone_is_forgotten(void **state)
{
	struct cache_entry one = entry_of(7), other = entry_of(7), found;

	(void)state;
	other.key.device = 2;
	assert_int_equal(cache_put(&cache, &one), 0);
	assert_int_equal(cache_put(&cache, &other), 0);
	cache_drop(&cache, 1);
	assert_false(cache_find(&cache, &one.key, &found));
	assert_true(cache_find(&cache, &other.key, &found));
	one.sequence = 5;
	assert_int_equal(cache_put(&cache, &one), 0);
	assert_true(cache_find(&cache, &one.key, &found));
	assert_int_equal(found.sequence, 5);
}

static bool always(void *ctx)
{
	(void)ctx;
	return true;
}

static bool never(void *ctx)
{
	(void)ctx;
	return false;
}

/* Of a file with an odd end: the whole, and pages 1, 17 and the last one, with zeros behind it. */
static void digests_are_of_the_whole_and_of_pages(void **state)
{
	enum { PAGES = 40, SIZE = (PAGES - 1) * 4096 + 100 };
	static uint8_t data[PAGES * 4096], buffer[DIGEST_BUFFER_BYTES];
	struct segments segments = {
		.n = 3, .pages = 4, .v = { { 1, 1 }, { 15, 2 }, { PAGES - 1, 1 } },
	};
	uint8_t whole[32], pages[4][32], want[32];
	static const unsigned numbers[] = { 1, 15, 16, PAGES - 1 };
	int fd = memfd_create("file", MFD_CLOEXEC);

	(void)state;
	for (unsigned i = 0; i < SIZE; i++)
		data[i] = (uint8_t)(i * 2654435761u >> 24);
	assert_int_equal(write(fd, data, SIZE), SIZE);
	assert_int_equal(digest_file(fd, SIZE, &segments, buffer, whole, pages[0], always, NULL), 0);
	crypto_hash_sha256(want, data, SIZE);
	assert_memory_equal(whole, want, sizeof(want));
	for (unsigned i = 0; i < 4; i++) {
		crypto_hash_sha256(want, data + numbers[i] * 4096, 4096);
		assert_memory_equal(pages[i], want, sizeof(want));
	}
	assert_int_equal(digest_file(fd, SIZE + 1, &segments, buffer, whole, pages[0], always, NULL),
			 -ESTALE);
	assert_int_equal(digest_file(fd, SIZE, &segments, buffer, whole, pages[0], never, NULL),
			 -ECANCELED);
	close(fd);
	assert_int_equal(digest_file(fd, SIZE, &segments, buffer, whole, pages[0], always, NULL),
			 -EBADF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(another_version_is_another_file),
		cmocka_unit_test(a_full_one_starts_anew),
		cmocka_unit_test(a_device_that_is_gone_is_forgotten),
		cmocka_unit_test(digests_are_of_the_whole_and_of_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
