/* SPDX-License-Identifier: Apache-2.0 */
#include "check/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "check/run.h"
#include "guest/paging.h"
#include "make/modules.h"

#define HUGE (2u << 20)

struct guest {
	struct made_modules made;
	gva module;
	struct check_result result;
};

/* The entry of the map of all memory that has the frame of @at. */
static uint64_t *direct(struct guest *g, gva at)
{
	struct mapping to;

	assert_int_equal(view_translate(world_view(g->made.world),
					world_kernel(g->made.world)->space, at, &to, NULL), 0);
	return made_entry(&g->made, gva_add(world_kernel(g->made.world)->page_offset, to.at.v), 2);
}

static int start(void **state)
{
	struct guest *g = calloc(1, sizeof(*g));

	made_modules_open(&g->made, false, NULL, 0);
	g->module = made_module(&g->made, "good");
	/* Neither the text nor the module's is writable, at any address, as it is in a kernel. */
	*made_entry(&g->made, world_kernel(g->made.world)->text, 2) &= ~PTE_WRITE;
	*direct(g, world_kernel(g->made.world)->text) &= ~PTE_WRITE;
	*direct(g, g->made.space) &= ~PTE_WRITE;
	*state = g;
	return 0;
}

static int end(void **state)
{
	struct guest *g = *state;

	check_result_clear(&g->result);
	made_modules_close(&g->made);
	free(g);
	return 0;
}

static enum check_state run(struct guest *g)
{
	check_result_clear(&g->result);
	memset(&g->result, 0, sizeof(g->result));
	check_execute(check_by_id("executable-memory"), world_kernel(g->made.world),
		      world_view(g->made.world), &g->result);
	return g->result.state;
}

static void expect(struct guest *g, const char *title, gva at)
{
	assert_int_equal(run(g), CHECK_FINDING);
	assert_int_equal(g->result.findings.n, 1);
	assert_non_null(strstr(g->result.findings.v[0]->title, title));
	assert_int_equal(g->result.findings.v[0]->object_at.v, at.v);
}

static void memory_of_a_kernel_is_clean(void **state)
{
	assert_int_equal(run(*state), CHECK_CLEAN);
}

static void writable_text(void **state)
{
	struct guest *g = *state;
	gva text = world_kernel(g->made.world)->text;

	*made_entry(&g->made, text, 2) |= PTE_WRITE;
	expect(g, "writable", text);
}

static void writable_code_of_a_module(void **state)
{
	struct guest *g = *state;
	gva text = made_text(&g->made, g->module);

	made_protect(&g->made, text, true, true);
	expect(g, "writable", text);
	assert_string_equal(g->result.findings.v[0]->owner, "module good");
}

static void data_of_the_kernel_that_is_executable(void **state)
{
	struct guest *g = *state;
	gva data = gva_add(world_kernel(g->made.world)->text, HUGE);

	*made_entry(&g->made, data, 2) &= ~PTE_NX;
	assert_int_equal(run(g), CHECK_FINDING);
	assert_non_null(strstr(g->result.findings.v[0]->title, "no one owns"));
}

static void text_that_is_writable_elsewhere(void **state)
{
	struct guest *g = *state;
	gva text = world_kernel(g->made.world)->text;

	*direct(g, text) |= PTE_WRITE;
	expect(g, "writable elsewhere", text);
}

static void module_that_is_writable_elsewhere(void **state)
{
	struct guest *g = *state;

	*direct(g, g->made.space) |= PTE_WRITE;
	expect(g, "writable elsewhere", made_text(&g->made, g->module));
	assert_string_equal(g->result.findings.v[0]->owner, "module good");
}

static void text_that_is_open_to_programs(void **state)
{
	struct guest *g = *state;
	gva text = world_kernel(g->made.world)->text;

	for (unsigned level = 2; level <= 4; level++)
		*made_entry(&g->made, text, level) |= PTE_USER;
	expect(g, "programs may execute", text);
}

static void code_in_the_module_space_is_left_to_another_check(void **state)
{
	struct guest *g = *state;

	made_pages(&g->made, 1, true);
	assert_int_equal(run(g), CHECK_CLEAN);
}

static void tables_that_cannot_be_read_are_not_clean(void **state)
{
	struct guest *g = *state;

	*made_entry(&g->made, g->made.space, 2) = (1ull << 40) | PTE_PRESENT;
	assert_int_equal(run(g), CHECK_INCONCLUSIVE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)
		TEST(memory_of_a_kernel_is_clean),
		TEST(writable_text),
		TEST(writable_code_of_a_module),
		TEST(data_of_the_kernel_that_is_executable),
		TEST(text_that_is_writable_elsewhere),
		TEST(module_that_is_writable_elsewhere),
		TEST(text_that_is_open_to_programs),
		TEST(code_in_the_module_space_is_left_to_another_check),
		TEST(tables_that_cannot_be_read_are_not_clean),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
