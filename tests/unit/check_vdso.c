/* SPDX-License-Identifier: Apache-2.0 */
#include "check/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "check/run.h"
#include "guest/paging.h"
#include "make/tasks.h"

#define VDSO  0x00007fff12340000ull	/* where processes have it */
#define PAGE  GUEST_PAGE_SIZE
#define RIGHTS (PTE_PRESENT | PTE_USER)

struct guest {
	struct made_tasks made;
	gva mm[2];
	uint64_t *entry[2];	/* of the first page of each process's vDSO */
	struct check_result result;
};

static gva pages(struct guest *g, unsigned n)
{
	gva at = world_alloc(g->made.world, (n + 1) * PAGE);

	return gva_of((at.v + GUEST_PAGE_MASK) & ~GUEST_PAGE_MASK);
}

/* Page tables of its own for one process, with the vDSO and nothing else. */
static void make_process(struct guest *g, unsigned i)
{
	const struct kernel *kernel = &g->made.kernel;
	gva tables = pages(g, 4);

	world_set(g->made.world, g->mm[i], "mm_struct.pgd", tables.v);
	for (unsigned level = 4; level > 1; level--) {
		gva table = gva_add(tables, (4 - level) * (uint64_t)PAGE);

		world_put(g->made.world, gva_add(table, 8 * paging_index(gva_of(VDSO), level)),
			  (table.v + PAGE - kernel->page_offset.v) | RIGHTS | PTE_WRITE);
	}
	g->entry[i] = world_at(g->made.world,
			       gva_add(tables, 3 * PAGE + 8 * paging_index(gva_of(VDSO), 1)), 16);
	for (unsigned n = 0; n < 2; n++)
		g->entry[i][n] = (g->made.vdso_data.v - kernel->text.v + n * PAGE) | RIGHTS;
	world_set(g->made.world, g->mm[i], "mm_struct.context.vdso", VDSO);
	world_set(g->made.world, g->mm[i], "mm_struct.context.vdso_image", g->made.vdso.v);
}

static int start(void **state)
{
	static const uint8_t calls[][10] = {
		{ 0x48, 0xc7, 0xc0, 0x60, 0, 0, 0, 0x0f, 0x05, 0xc3 },
		{ 0x48, 0xc7, 0xc0, 0xc9, 0, 0, 0, 0x0f, 0x05, 0xc3 },
		{ 0x48, 0xc7, 0xc0, 0x35, 1, 0, 0, 0x0f, 0x05, 0xc3 },
	};
	struct guest *g = calloc(1, sizeof(*g));
	uint8_t *page;

	made_tasks_open(&g->made);
	world_set(g->made.world, g->made.vdso, "vdso_image.data", g->made.vdso_data.v);
	world_set(g->made.world, g->made.vdso, "vdso_image.size", 2 * PAGE);
	page = world_at(g->made.world, g->made.vsyscall, PAGE);
	memset(page, 0xcc, PAGE);
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		memcpy(page + 1024 * i, calls[i], sizeof(calls[i]));
	for (unsigned i = 0; i < 2; i++) {
		gva task = made_task(&g->made, 10 + (int)i, i ? "second" : "first",
				     g->made.init_task);

		g->mm[i] = gva_of(world_get(g->made.world, task, "task_struct.mm"));
		make_process(g, i);
	}
	*state = g;
	return 0;
}

static int end(void **state)
{
	struct guest *g = *state;

	check_result_clear(&g->result);
	made_tasks_close(&g->made);
	free(g);
	return 0;
}

static enum check_state run(struct guest *g)
{
	check_result_clear(&g->result);
	memset(&g->result, 0, sizeof(g->result));
	check_execute(check_by_id("vdso"), &g->made.kernel, world_view(g->made.world), &g->result);
	return g->result.state;
}

static void expect(struct guest *g, const char *name, enum severity severity)
{
	assert_int_equal(run(g), CHECK_FINDING);
	assert_int_equal(g->result.findings.n, 1);
	assert_string_equal(g->result.findings.v[0]->object_name, name);
	assert_int_equal(g->result.findings.v[0]->severity, severity);
}

static void pages_that_all_processes_share_are_clean(void **state)
{
	struct guest *g = *state;

	assert_int_equal(run(g), CHECK_CLEAN);
	g->entry[0][1] = 0;		/* not used yet */
	assert_int_equal(run(g), CHECK_CLEAN);
	world_set(g->made.world, g->mm[0], "mm_struct.context.vdso", 0);
	assert_int_equal(run(g), CHECK_CLEAN);
}

static void a_page_of_its_own(void **state)
{
	struct guest *g = *state;

	g->entry[1][1] += 16 * PAGE;
	expect(g, "vDSO of 11 second", SEVERITY_MEDIUM);
}

static void a_page_that_is_writable(void **state)
{
	struct guest *g = *state;

	g->entry[0][0] |= PTE_WRITE;
	expect(g, "vDSO of 10 first", SEVERITY_MEDIUM);
}

static void another_vdso(void **state)
{
	struct guest *g = *state;

	world_set(g->made.world, g->mm[0], "mm_struct.context.vdso_image", pages(g, 1).v);
	expect(g, "vDSO of 10 first", SEVERITY_HIGH);
}

static void other_code_at_the_fixed_address(void **state)
{
	struct guest *g = *state;

	((uint8_t *)world_at(g->made.world, g->made.vsyscall, PAGE))[4000] ^= 1;
	expect(g, "content", SEVERITY_CRITICAL);
}

static void an_image_that_cannot_be_is_not_clean(void **state)
{
	struct guest *g = *state;

	world_set(g->made.world, g->made.vdso, "vdso_image.size", 1ull << 40);
	assert_int_equal(run(g), CHECK_INCONCLUSIVE);
	world_set(g->made.world, g->made.vdso, "vdso_image.size", 2 * PAGE);
	world_set(g->made.world, g->made.vdso, "vdso_image.alt_len", UINT64_MAX);
	assert_int_equal(run(g), CHECK_INCONCLUSIVE);
	world_set(g->made.world, g->made.vdso, "vdso_image.alt_len", 0);
	world_set(g->made.world, g->made.vdso, "vdso_image.data", pages(g, 2).v);
	assert_int_equal(run(g), CHECK_INCONCLUSIVE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)
		TEST(pages_that_all_processes_share_are_clean),
		TEST(a_page_of_its_own),
		TEST(a_page_that_is_writable),
		TEST(another_vdso),
		TEST(other_code_at_the_fixed_address),
		TEST(an_image_that_cannot_be_is_not_clean),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
