/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/sites.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define TEXT 0xffffffff81000f80ull	/* the first page is not whole */
#define PLACES 3000u

struct two {
	struct sites sites;
	struct site sorted[PLACES];	/* what they should be */
	uint32_t random;
};

static uint32_t draw(struct two *two, uint32_t below)
{
	two->random = two->random * 1664525u + 1013904223u;
	return (two->random >> 8) % below;
}

static int start(void **state)
{
	struct two *two = calloc(1, sizeof(*two));

	two->random = 1;
	*state = two;
	return 0;
}

static int end(void **state)
{
	struct two *two = *state;

	sites_free(&two->sites);
	free(two);
	return 0;
}

static int in_order(const void *a, const void *b)
{
	const struct site *x = a, *y = b;

	return x->at.v != y->at.v ? (x->at.v > y->at.v) - (x->at.v < y->at.v) :
				    x->kind - y->kind;
}

static void add(struct sites *sites, const struct site *site)
{
	assert_int_equal(sites_add(sites, site->at, site->size_bytes, site->kind, site->entry), 0);
}

/* Close ones, pages without any, and runs that are larger than some pages are apart. */
static void make(struct two *two)
{
	uint64_t at = TEXT;

	for (uint32_t i = 0; i < PLACES; i++) {
		struct site *site = &two->sorted[i];

		*site = (struct site){ gva_of(at), (uint8_t)draw(two, 256),
				       (uint8_t)(i % SITE_KINDS), i };
		at += 1 + draw(two, 40) + (draw(two, 50) ? 0 : draw(two, 5 * 4096));
	}
	two->sorted[1].at = two->sorted[0].at;
	for (uint32_t i = 0; i < PLACES; i++)	/* in no order; 7 and PLACES share no divisor */
		add(&two->sites, &two->sorted[(i * 7 + 5) % PLACES]);
	qsort(two->sorted, PLACES, sizeof(two->sorted[0]), in_order);
	assert_int_equal(sites_pack(&two->sites, NULL), 0);
}

static void assert_site(const struct site *is, const struct site *should, uint64_t moved)
{
	assert_int_equal(is->at.v, should->at.v + moved);
	assert_int_equal(is->size_bytes, should->size_bytes);
	assert_int_equal(is->kind, should->kind);
	assert_int_equal(is->entry, site_has_entry(should->kind) ? should->entry : 0);
}

static void assert_all(const struct two *two, const struct sites *sites, uint64_t moved)
{
	struct sites_at walk = {0};
	struct site site;

	for (size_t i = 0; i < PLACES; i++) {
		assert_true(sites_next(sites, &walk, &site));
		assert_site(&site, &two->sorted[i], moved);
	}
	assert_false(sites_next(sites, &walk, &site));
}

static void all_come_in_order_as_they_were_added(void **state)
{
	struct two *two = *state;

	make(two);
	assert_int_equal(two->sites.n, PLACES);
	assert_null(two->sites.list.v);
	assert_all(two, &two->sites, 0);
	assert_true(sites_bytes(&two->sites) < PLACES * 6);
}

/* From anywhere, the first is the first one that a look at each finds. */
static void a_walk_begins_where_the_first_may_reach_to(void **state)
{
	struct two *two = *state;
	uint64_t last;

	make(two);
	last = two->sorted[PLACES - 1].at.v;
	for (uint64_t at = TEXT - 300; at < last + 600; at += 1 + draw(two, 90)) {
		struct sites_at walk = sites_from(&two->sites, gva_of(at));
		struct site site;
		size_t i = 0;

		while (i < PLACES && two->sorted[i].at.v + SITE_BYTES_MAX < at)
			i++;
		assert_int_equal(walk.i, i);
		assert_int_equal(sites_next(&two->sites, &walk, &site), i < PLACES);
		if (i < PLACES)
			assert_site(&site, &two->sorted[i], 0);
	}
}

static void another_one_has_them_higher_up(void **state)
{
	struct two *two = *state;
	struct sites moved, other = {0};
	struct sites_at walk;

	make(two);
	moved = two->sites;
	moved.moved = 0x600000;
	moved.borrowed = true;
	assert_all(two, &moved, 0x600000);
	walk = sites_from(&moved, gva_of(two->sorted[700].at.v + 0x600000 + SITE_BYTES_MAX));
	assert_int_equal(walk.i, 700);
	assert_true(sites_same(&two->sites, &moved, 0x600000));
	assert_false(sites_same(&two->sites, &moved, 0x600001));
	sites_free(&moved);	/* and the first one still has them */
	for (size_t i = 0; i < PLACES; i++) {
		struct site site = two->sorted[i];

		site.size_bytes ^= i == 2999;
		add(&other, &site);
	}
	assert_int_equal(sites_pack(&other, NULL), 0);
	assert_false(sites_same(&two->sites, &other, 0));
	sites_free(&other);
}

static void none_at_all(void **state)
{
	struct two *two = *state;
	struct sites_at walk = {0};
	struct site site;

	assert_int_equal(sites_pack(&two->sites, NULL), 0);
	assert_false(sites_next(&two->sites, &walk, &site));
	walk = sites_from(&two->sites, gva_of(TEXT));
	assert_false(sites_next(&two->sites, &walk, &site));
}

/* A guest says where its modules lie. */
static void places_that_are_too_far_apart(void **state)
{
	struct two *two = *state;
	const struct site low = { gva_of(0x1000), 1, 0, 0 }, high = { gva_of(TEXT), 1, 0, 0 };

	add(&two->sites, &low);
	add(&two->sites, &high);
	assert_int_equal(sites_pack(&two->sites, NULL), -EBADMSG);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(all_come_in_order_as_they_were_added),
		TEST(a_walk_begins_where_the_first_may_reach_to),
		TEST(another_one_has_them_higher_up),
		TEST(none_at_all),
		TEST(places_that_are_too_far_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
