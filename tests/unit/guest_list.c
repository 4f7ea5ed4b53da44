/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "guest/paging.h"
#include "make/memory.h"

#define BASE	0xffff888000000000ull	/* two pages, then nothing */
#define HEAD	BASE
#define NODE(i)	(BASE + 0x100 + 0x20ull * (i))
#define POISON	0xdead000000000100ull	/* include/linux/poison.h: LIST_POISON1 */

struct guest {
	struct memory m;
	struct ram *ram;
	struct view *view;
	unsigned visited;
	uint64_t last;
};

static int start(void **state)
{
	struct guest *g = calloc(1, sizeof(*g));
	struct space space = { gpa_of(0x1000), 4 };

	g->m.next_table = 0x2000;
	memory_map(&g->m, space, BASE, 0x8000, 1, PTE_PRESENT);
	memory_map(&g->m, space, BASE + 0x1000, 0x9000, 1, PTE_PRESENT);
	memory_page(&g->m, 0x8000);
	memory_page(&g->m, 0x9000);
	g->view = memory_view(&g->m, 10000, &g->ram);
	view_set_kernel(g->view, space);
	*state = g;
	return 0;
}

static int end(void **state)
{
	struct guest *g = *state;

	view_close(&g->view);
	ram_close(&g->ram);
	memory_free(&g->m);
	free(g);
	return 0;
}

static void set(struct guest *g, uint64_t at, uint64_t value)
{
	memory_u64(&g->m, 0x8000 + at - BASE, value);
}

/* @n nodes behind the head, all links right. */
static void make_list(struct guest *g, unsigned n)
{
	for (unsigned i = 0; i <= n; i++) {
		uint64_t at = i ? NODE(i - 1) : HEAD, next = i < n ? NODE(i) : HEAD;

		set(g, at, next);
		set(g, next + 8, at);
	}
}

static void make_hlist(struct guest *g, unsigned n, uint64_t last)
{
	for (unsigned i = 0; i <= n; i++) {
		uint64_t at = i ? NODE(i - 1) : HEAD;

		set(g, at, i < n ? NODE(i) : last);
		if (i < n)
			set(g, NODE(i) + 8, at);
	}
}

static int visit(gva link, void *ctx, struct err *err)
{
	struct guest *g = ctx;

	(void)err;
	g->visited++;
	g->last = link.v;
	return 0;
}

static int walk(struct guest *g, uint32_t max)
{
	g->visited = 0;
	view_refresh(g->view);
	view_refuel(g->view, 10000);
	return list_walk(g->view, gva_of(HEAD), max, visit, g, NULL);
}

static int hwalk(struct guest *g, uint32_t max)
{
	g->visited = 0;
	view_refresh(g->view);
	view_refuel(g->view, 10000);
	return hlist_walk(g->view, gva_of(HEAD), max, visit, g, NULL);
}

static void each_link_once_in_order(void **state)
{
	struct guest *g = *state;

	make_list(g, 5);
	assert_int_equal(walk(g, 5), 0);
	assert_int_equal(g->visited, 5);
	assert_true(g->last == NODE(4));
}

static void empty_list(void **state)
{
	struct guest *g = *state;

	make_list(g, 0);
	assert_int_equal(walk(g, 0), 0);
	assert_int_equal(g->visited, 0);
}

static void empty_list_with_a_last_element(void **state)
{
	struct guest *g = *state;

	make_list(g, 0);
	set(g, HEAD + 8, NODE(1));
	assert_int_equal(walk(g, 5), -EBADMSG);
}

static void longer_than_the_limit(void **state)
{
	struct guest *g = *state;

	make_list(g, 6);
	assert_int_equal(walk(g, 5), -ELOOP);
	assert_int_equal(g->visited, 5);
	assert_int_equal(walk(g, 6), 0);
}

static void cycle_that_misses_the_head(void **state)
{
	struct guest *g = *state;

	make_list(g, 5);
	set(g, NODE(3), NODE(1));
	assert_int_equal(walk(g, 1000), -EBADMSG);
	assert_int_equal(g->visited, 4);
}

/* The one cycle whose back links are right as well: a node that is its own neighbour. */
static void node_that_leads_to_itself(void **state)
{
	struct guest *g = *state;

	make_list(g, 2);
	set(g, NODE(1), NODE(1));
	assert_int_equal(walk(g, 1000), -EBADMSG);
	set(g, NODE(1) + 8, NODE(1));
	assert_int_equal(walk(g, 1000), -EBADMSG);
}

static void wild_links(void **state)
{
	static const uint64_t wild[] = {
		0, 1, 0x1000, 0x7fffffffe000, POISON, NODE(0) + 1, NODE(0) + 4, UINT64_MAX,
		UINT64_MAX - 7, BASE + 0x2000, BASE + 0x1ff8,
	};
	struct guest *g = *state;
	int r;

	for (size_t i = 0; i < sizeof(wild) / sizeof(wild[0]); i++) {
		make_list(g, 3);
		set(g, NODE(2), wild[i]);
		r = walk(g, 1000);
		assert_true(r == -EBADMSG || r == -EFAULT);
		assert_int_equal(g->visited, 3);
		make_hlist(g, 3, 0);
		set(g, NODE(2), wild[i]);
		r = hwalk(g, 1000);
		assert_true(r == -EBADMSG || r == -EFAULT || (r == 0 && !wild[i]));
	}
}

static int refuse(gva link, void *ctx, struct err *err)
{
	(void)link;
	(void)ctx;
	return err_set(err, -ECANCELED, "enough");
}

static void visitor_ends_the_walk(void **state)
{
	struct guest *g = *state;

	make_list(g, 3);
	assert_int_equal(list_walk(g->view, gva_of(HEAD), 9, refuse, NULL, NULL), -ECANCELED);
	make_hlist(g, 3, 0);
	view_refresh(g->view);
	assert_int_equal(hlist_walk(g->view, gva_of(HEAD), 9, refuse, NULL, NULL), -ECANCELED);
}

static void head_that_is_not_mapped(void **state)
{
	struct guest *g = *state;

	assert_int_equal(list_walk(g->view, gva_of(BASE - 8), 9, visit, g, NULL), -EFAULT);
	assert_int_equal(hlist_walk(g->view, gva_of(BASE - 8), 9, visit, g, NULL), -EFAULT);
}

static void no_fuel_is_no_end_of_a_list(void **state)
{
	struct guest *g = *state;

	make_list(g, 100);
	view_refuel(g->view, 0);
	assert_int_equal(list_walk(g->view, gva_of(HEAD), 1000, visit, g, NULL), -ELOOP);
	make_hlist(g, 100, 0);
	view_refresh(g->view);
	view_refuel(g->view, 0);
	assert_int_equal(hlist_walk(g->view, gva_of(HEAD), 1000, visit, g, NULL), -ELOOP);
}

static void hlist_ends_with_null(void **state)
{
	struct guest *g = *state;

	make_hlist(g, 4, 0);
	assert_int_equal(hwalk(g, 4), 0);
	assert_int_equal(g->visited, 4);
	assert_int_equal(hwalk(g, 3), -ELOOP);
	make_hlist(g, 0, 0);
	assert_int_equal(hwalk(g, 0), 0);
}

/* The kernel follows such a pointer: what lies behind it would be hidden. */
static void odd_pointer_ends_no_plain_hlist(void **state)
{
	struct guest *g = *state;

	make_hlist(g, 4, NODE(7) + 1);
	assert_int_equal(hwalk(g, 10), -EBADMSG);
}

static void nulls_list_ends_with_an_odd_value_only(void **state)
{
	struct guest *g = *state;

	make_hlist(g, 4, 2 * 77 + 1);
	assert_int_equal(hlist_nulls_walk(g->view, gva_of(HEAD), 4, visit, g, NULL), 0);
	assert_int_equal(g->visited, 4);
	make_hlist(g, 4, 0);
	view_refresh(g->view);
	assert_int_equal(hlist_nulls_walk(g->view, gva_of(HEAD), 4, visit, g, NULL), -ELOOP);
	assert_int_equal(hlist_nulls_walk(g->view, gva_of(HEAD), 5, visit, g, NULL), -EBADMSG);
}

static void hlist_cycle(void **state)
{
	struct guest *g = *state;

	make_hlist(g, 4, NODE(1));
	assert_int_equal(hwalk(g, 1000), -EBADMSG);
	assert_int_equal(g->visited, 4);
	/* Through the head, all links of which are right. */
	make_hlist(g, 4, HEAD);
	set(g, HEAD + 8, NODE(3));
	assert_int_equal(hwalk(g, 1000), -EBADMSG);
	assert_int_equal(g->visited, 4);
}

#define T(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(each_link_once_in_order),
		T(empty_list),
		T(empty_list_with_a_last_element),
		T(longer_than_the_limit),
		T(cycle_that_misses_the_head),
		T(node_that_leads_to_itself),
		T(wild_links),
		T(visitor_ends_the_walk),
		T(head_that_is_not_mapped),
		T(no_fuel_is_no_end_of_a_list),
		T(hlist_ends_with_null),
		T(odd_pointer_ends_no_plain_hlist),
		T(nulls_list_ends_with_an_odd_value_only),
		T(hlist_cycle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
