/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/sentinel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "check/check.h"
#include "make/modules.h"
#include "ram/fake.h"

#define PIECE	   (16u << 10)
#define CODE_PIECE (64u << 10)

/* So much code that no look of the shortest time reads all of it. */
#define CODE_BYTES (40 * CODE_PIECE)

static const struct made_struct types[] = {
	{ "list_head", 16, { { "next", 0, "ptr", 0, 0, 0 }, { "prev", 8, "ptr", 0, 0, 0 } } },
};

struct guest {
	struct world *world;
	gva code, tables, strings, once, calls, gates, entry;
	struct sentinel *sentinel;
};

static int start(void **state)
{
	struct guest *g = calloc(1, sizeof(*g));

	g->world = world_new();
	g->code = world_function(g->world, "some_function", CODE_BYTES);
	world_symbol(g->world, "_etext", 64);
	world_symbol(g->world, "__start_rodata", 64);
	g->tables = world_symbol(g->world, "some_ops", 2 * PIECE);
	g->strings = world_symbol(g->world, "some_strings", 3 * PIECE);
	world_symbol(g->world, "__start_ro_after_init", 64);
	g->once = world_symbol(g->world, "some_hooks", 256);
	world_symbol(g->world, "__end_ro_after_init", 64);
	world_symbol(g->world, "__end_rodata", 64);
	g->calls = world_symbol(g->world, "sys_call_table", 548 * 8);
	g->gates = world_symbol(g->world, "idt_table", 4096);
	world_symbol(g->world, "__entry_text_start", 64);
	g->entry = world_symbol(g->world, "entry_SYSCALL_64", 512);
	world_symbol(g->world, "__entry_text_end", 64);
	world_start(g->world, types, 1);
	world_put(g->world, gva_add(g->tables, 8), g->code.v);
	world_put(g->world, gva_add(g->tables, PIECE), gva_add(g->code, 64).v);
	world_put(g->world, gva_add(g->once, 8), gva_add(g->code, 128).v);
	assert_int_equal(sentinel_open(&g->sentinel), 0);
	*state = g;
	return 0;
}

static int end(void **state)
{
	struct guest *g = *state;

	sentinel_close(&g->sentinel);
	world_end(&g->world);
	free(g);
	return 0;
}

static uint32_t look(struct guest *g, uint64_t time_ns)
{
	return sentinel_look(g->sentinel, world_kernel(g->world), world_view(g->world), time_ns);
}

static void change(struct guest *g, gva at)
{
	uint8_t *byte = world_at(g->world, at, 1);

	*byte ^= 1;
}

static void a_calm_guest_raises_no_alarm(void **state)
{
	struct guest *g = *state;

	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(look(g, UINT64_MAX), 0);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(look(g, 1), 0);
	assert_in_range(sentinel_stats(g->sentinel).rounds, 5, 105);
}

static void one_bit_names_its_region(void **state)
{
	struct guest *g = *state;
	const struct { gva at; enum sentinel_region region; } all[] = {
		{ gva_of(world_kernel(g->world)->text.v), SENTINEL_CODE },
		{ gva_add(g->code, CODE_BYTES - 1), SENTINEL_CODE },
		{ gva_add(g->tables, 8), SENTINEL_CONSTANTS },
		{ gva_add(g->strings, 3 * PIECE - 1), SENTINEL_CONSTANTS },
		{ gva_add(g->once, 8), SENTINEL_ONCE },
		{ gva_add(g->calls, 39 * 8), SENTINEL_CALLS },
		{ gva_add(g->gates, 14 * 16), SENTINEL_GATES },
		{ g->entry, SENTINEL_ENTRY },
	};

	assert_int_equal(look(g, UINT64_MAX), 0);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		/* And that it is as it was is news, too: a finding is to close. */
		for (unsigned n = 0; n < 2; n++) {
			change(g, all[i].at);
			assert_int_equal(look(g, UINT64_MAX), SENTINEL_BIT(all[i].region));
			assert_int_equal(look(g, UINT64_MAX), 0);
		}
}

static void what_is_hooked_most_is_read_in_every_look(void **state)
{
	struct guest *g = *state;

	assert_int_equal(look(g, UINT64_MAX), 0);
	change(g, g->calls);
	change(g, g->gates);
	change(g, g->code);
	assert_int_equal(look(g, 0), SENTINEL_BIT(SENTINEL_CALLS) | SENTINEL_BIT(SENTINEL_GATES));
	assert_int_equal(look(g, 0), 0);
	assert_int_equal(look(g, UINT64_MAX), SENTINEL_BIT(SENTINEL_CODE));
}

/* Whenever it comes, and wherever: by the end of the round after that in which it came. */
static void no_piece_misses_its_turn(void **state)
{
	struct guest *g = *state;

	assert_int_equal(look(g, UINT64_MAX), 0);
	for (uint64_t piece = 0; piece < CODE_BYTES; piece += CODE_PIECE) {
		uint64_t rounds = sentinel_stats(g->sentinel).rounds;

		change(g, gva_add(g->code, piece));
		while (!look(g, 1))
			assert_true(sentinel_stats(g->sentinel).rounds <= rounds + 2);
		/* Some looks that see nothing: it begins elsewhere in the round. */
		for (uint64_t i = 0; i < piece / CODE_PIECE % 4; i++)
			assert_int_equal(look(g, 1), 0);
	}
}

/* Changed after each look that may have read it: how often in so many rounds was that seen? */
static unsigned seen_in(struct guest *g, gva at, uint64_t rounds)
{
	uint64_t until = sentinel_stats(g->sentinel).rounds + rounds;
	unsigned seen = 0;

	while (sentinel_stats(g->sentinel).rounds < until) {
		uint8_t *byte = world_at(g->world, at, 1);

		++*byte;
		seen += look(g, 1) != 0;
	}
	return seen;
}

static void constants_that_lead_to_code_come_more_often(void **state)
{
	struct guest *g = *state;

	assert_int_equal(look(g, UINT64_MAX), 0);
	assert_in_range(seen_in(g, gva_add(g->tables, 16), 80), 140, 170);
	assert_in_range(seen_in(g, gva_add(g->strings, PIECE), 80), 2, 14);
}

/* What is not there any more, or is not to be read, is another thing than before. */
static void what_cannot_be_read_any_more_is_a_change(void **state)
{
	struct guest *g = *state;
	uint32_t all = SENTINEL_BIT(SENTINEL_MODULES) - 1;

	assert_int_equal(look(g, UINT64_MAX), 0);
	fake_fail_after(view_ram(world_view(g->world)), 1);
	assert_int_equal(look(g, UINT64_MAX), all);
	assert_int_equal(look(g, UINT64_MAX), 0);
	fake_fail_after(view_ram(world_view(g->world)), 0);
	assert_int_equal(look(g, UINT64_MAX), all);
}

static uint32_t look_at_modules(struct sentinel *sentinel, struct made_modules *m)
{
	return sentinel_look(sentinel, world_kernel(m->world), world_view(m->world), UINT64_MAX);
}

static void modules_are_watched_as_they_come_and_go(void **state)
{
	struct sentinel *sentinel;
	struct made_modules m;
	gva one, two;
	uint8_t *byte;

	(void)state;
	made_modules_open(&m, false, NULL, 0);
	assert_int_equal(sentinel_open(&sentinel), 0);
	one = made_module(&m, "one");
	assert_int_equal(look_at_modules(sentinel, &m), 0);
	byte = world_at(m.world, made_text(&m, one), 1);
	*byte ^= 1;
	assert_int_equal(look_at_modules(sentinel, &m), SENTINEL_BIT(SENTINEL_MODULES));
	assert_int_equal(look_at_modules(sentinel, &m), 0);
	/* One that comes is no reason to forget what the others were. */
	two = made_module(&m, "two");
	*byte ^= 1;
	assert_int_equal(look_at_modules(sentinel, &m),
			 SENTINEL_BIT(SENTINEL_MODULES) | SENTINEL_BIT(SENTINEL_LIST));
	assert_int_equal(look_at_modules(sentinel, &m), 0);
	made_off_list(&m, two);
	assert_int_equal(look_at_modules(sentinel, &m), SENTINEL_BIT(SENTINEL_LIST));
	*(uint8_t *)world_at(m.world, made_text(&m, two), 1) ^= 1;
	assert_int_equal(look_at_modules(sentinel, &m), 0);
	sentinel_close(&sentinel);
	made_modules_close(&m);
}

/* Who holds a module half loaded has the list read anew in each look, and all is read all the same. */
static void list_that_changes_hides_nothing(void **state)
{
	enum { MODULES = 12, LOOKS = 3000 };
	struct sentinel *sentinel;
	struct made_modules m;
	gva modules[MODULES], half;

	(void)state;
	made_modules_open(&m, false, NULL, 0);
	assert_int_equal(sentinel_open(&sentinel), 0);
	for (size_t i = 0; i < MODULES; i++)
		modules[i] = made_module(&m, (char[]){ 'm', (char)('a' + i), 0 });
	assert_int_equal(look_at_modules(sentinel, &m), 0);
	half = made_module(&m, "half");
	world_set(m.world, half, "module.state", 3);	/* MODULE_STATE_UNFORMED */
	assert_int_equal(look_at_modules(sentinel, &m), SENTINEL_BIT(SENTINEL_LIST));
	for (size_t i = 0; i < MODULES; i++) {
		uint32_t changed = 0;

		*(uint8_t *)world_at(m.world, made_text(&m, modules[i]), 1) ^= 1;
		for (size_t n = 0; n < LOOKS && !changed; n++)
			changed = sentinel_look(sentinel, world_kernel(m.world),
						world_view(m.world), 1);
		assert_int_equal(changed, SENTINEL_BIT(SENTINEL_MODULES));
	}
	/* That it is there now is news, though the list is the same. */
	world_set(m.world, half, "module.state", 0);
	assert_int_equal(look_at_modules(sentinel, &m), SENTINEL_BIT(SENTINEL_LIST));
	assert_int_equal(look_at_modules(sentinel, &m), 0);
	sentinel_close(&sentinel);
	made_modules_close(&m);
}

static void every_region_has_its_judges(void **state)
{
	uint32_t checks[SENTINEL_CHECKS_MAX];
	size_t n, own = 0;
	const struct check *const *all = checks_all(&n);

	(void)state;
	for (enum sentinel_region i = 0; i < SENTINEL_REGIONS; i++)
		assert_int_equal(!sentinel_checks(SENTINEL_BIT(i), checks), i == SENTINEL_LIST);
	assert_int_equal(sentinel_checks(0, checks), 0);
	/* None that there is not, and none twice. */
	assert_int_equal(sentinel_checks(SENTINEL_BIT(SENTINEL_REGIONS) - 1, checks), 14);
	assert_int_equal(sentinel_checks(SENTINEL_BIT(SENTINEL_GATES), checks), 2);
	assert_string_equal(all[checks[0]]->id, "idt");
	for (size_t i = 0; i < n; i++)
		own += sentinel_watches(all[i]->id);
	assert_int_equal(own, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_calm_guest_raises_no_alarm, start, end),
		cmocka_unit_test_setup_teardown(one_bit_names_its_region, start, end),
		cmocka_unit_test_setup_teardown(what_is_hooked_most_is_read_in_every_look, start,
						end),
		cmocka_unit_test_setup_teardown(no_piece_misses_its_turn, start, end),
		cmocka_unit_test_setup_teardown(constants_that_lead_to_code_come_more_often, start,
						end),
		cmocka_unit_test_setup_teardown(what_cannot_be_read_any_more_is_a_change, start, end),
		cmocka_unit_test(modules_are_watched_as_they_come_and_go),
		cmocka_unit_test(list_that_changes_hides_nothing),
		cmocka_unit_test(every_region_has_its_judges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
