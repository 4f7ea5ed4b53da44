/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/page_digests.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include <sodium.h>

#include "make/torture.h"
#include "make/world.h"

static struct world *world;
static gva page;
static struct page_digests digests;
static uint8_t digest[AGENT_DIGEST_BYTES];

static int start(void **state)
{
	(void)state;
	world = world_new();
	world_start(world, NULL, 0);
	page = world_alloc(world, 2 * GUEST_PAGE_SIZE);
	page = gva_of((page.v + GUEST_PAGE_MASK) & ~GUEST_PAGE_MASK);
	page_digests_begin(&digests);
	return 0;
}

static int end(void **state)
{
	(void)state;
	page_digests_free(&digests);
	world_end(&world);
	return 0;
}

static uint8_t *bytes(void)
{
	return world_at(world, page, GUEST_PAGE_SIZE);
}

static int get(void)
{
	return page_digests_get(&digests, world_view(world),
				gpa_of(page.v - world_kernel(world)->page_offset.v), digest, NULL);
}

static void assert_right(void)
{
	uint8_t expected[AGENT_DIGEST_BYTES];

	crypto_hash_sha256(expected, bytes(), GUEST_PAGE_SIZE);
	assert_memory_equal(digest, expected, sizeof(expected));
}

static void a_page_is_read_once_for_an_instant(void **state)
{
	(void)state;
	bytes()[7] = 1;
	assert_int_equal(get(), 0);
	assert_right();
	bytes()[7] = 2;
	assert_int_equal(get(), 0);	/* as it was */
	assert_int_equal(digests.read, 1);
	assert_int_equal(digests.hashed, 1);
}

static void a_page_that_did_not_change_is_not_hashed_again(void **state)
{
	(void)state;
	assert_int_equal(get(), 0);
	page_digests_begin(&digests);
	assert_int_equal(get(), 0);
	assert_right();
	assert_int_equal(digests.read, 1);
	assert_int_equal(digests.hashed, 0);
}

static void any_changed_byte_is_seen_at_the_next_instant(void **state)
{
	(void)state;
	assert_int_equal(get(), 0);
	for (unsigned i = 0; i < GUEST_PAGE_SIZE; i += 123) {
		bytes()[i] ^= 0x80;
		page_digests_begin(&digests);
		assert_int_equal(get(), 0);
		assert_int_equal(digests.hashed, 1);
		assert_right();
	}
}

static void what_cannot_be_read_has_no_digest(void **state)
{
	struct view *view;

	(void)state;
	view = world_view(world);
	assert_int_equal(page_digests_get(&digests, view, gpa_of(1ull << 51), digest, NULL),
			 -EFAULT);
	assert_int_equal(page_digests_get(&digests, view, gpa_of(1ull << 51), digest, NULL),
			 -EFAULT);
	view_refuel(view, 0);
	assert_int_equal(page_digests_get(&digests, view,
					  gpa_of(page.v - world_kernel(world)->page_offset.v),
					  digest, NULL), -ELOOP);
}

static void no_memory_is_an_error(void **state)
{
	(void)state;
	world_view(world);
	torture_allocation(1);
	assert_int_equal(get(), -ENOMEM);
	torture_allocation(0);
	assert_int_equal(get(), 0);
	assert_right();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)
		TEST(a_page_is_read_once_for_an_instant),
		TEST(a_page_that_did_not_change_is_not_hashed_again),
		TEST(any_changed_byte_is_seen_at_the_next_instant),
		TEST(what_cannot_be_read_has_no_digest),
		TEST(no_memory_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
