/* SPDX-License-Identifier: Apache-2.0 */
#include "check/module_compare.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "check/run.h"
#include "make/modules.h"

#define PART_AT	   0x100u
#define PART_BYTES 0x800u
#define LATE_AT	   0xa00u

/* A module of which there are constants, a table that is sorted, and data, in one page. */
struct guest {
	struct made_modules made;
	gva page;
	uint8_t *bytes;		/* of the page, in the guest */
	struct module_info module;
	struct module_reference reference;
	struct check_result result;
	int outcome;
};

static struct guest *guest;

static int compare(struct check_run *run, struct err *err)
{
	cleanup(owners_close) struct owners *owners = NULL;
	struct module_compare compared = { .run = run };
	int r;

	r = owners_open(check_kernel(run), check_view(run), &owners, err);
	compared.owners = owners;
	if (r >= 0)
		r = module_compare(&compared, &guest->module, &guest->reference, err);
	guest->outcome = r;
	check_covered(run, "bytes", compared.constant_bytes);
	return r < 0 ? r : 0;
}

CHECK(made_compare, .id = "made-compare", .group = GROUP_CODE, .title = "Made up",
      .proves = "that modules are compared", .techniques = TECHNIQUES("T1014"), .fuel_max = 1000,
      .run = compare);

static void add_part(struct guest *g, const char *name, uint64_t at, uint64_t n, unsigned flags)
{
	struct shipped_part *part = shipped_add(&g->reference.shipped, name, gva_add(g->page, at),
						n, flags);

	assert_non_null(part);
	for (size_t i = 0; i < n; i++)
		part->bytes[i] = (uint8_t)(i * 7 + at);
	memcpy(g->bytes + at, part->bytes, n);
}

static int start(void **state)
{
	struct guest *g = calloc(1, sizeof(*g));

	guest = g;
	made_modules_open(&g->made, false, NULL, 0);
	g->page = made_pages(&g->made, 1, false);
	g->bytes = world_at(g->made.world, g->page, GUEST_PAGE_SIZE);
	strcpy(g->module.name, "made");
	g->module.area[MODULE_RODATA] = (struct module_area){ g->page, GUEST_PAGE_SIZE };
	add_part(g, ".rodata", PART_AT, PART_BYTES, 0);
	add_part(g, "__jump_table", LATE_AT, 16, PART_WRITE);
	add_part(g, ".data", LATE_AT + 16, 16, PART_WRITE);
	assert_int_equal(shipped_sort(&g->reference.shipped, NULL), 0);
	*state = g;
	return 0;
}

static int end(void **state)
{
	struct guest *g = *state;

	check_result_clear(&g->result);
	shipped_free(&g->reference.shipped);
	made_modules_close(&g->made);
	free(g);
	return 0;
}

static void run(struct guest *g, int outcome, size_t findings)
{
	check_result_clear(&g->result);
	memset(&g->result, 0, sizeof(g->result));
	check_execute(check_by_id("made-compare"), world_kernel(g->made.world),
		      world_view(g->made.world), &g->result);
	assert_int_equal(g->outcome, outcome);
	assert_int_equal(g->result.findings.n, findings);
}

static void what_is_equal_is_clean(void **state)
{
	struct guest *g = *state;

	run(g, MODULE_SAME, 0);
	assert_int_equal(g->result.state, CHECK_CLEAN);
	/* All of it but what the module writes to. */
	assert_int_equal(g->result.covered.v[0].count, GUEST_PAGE_SIZE - 16);
}

static void one_byte_is_one_finding(void **state)
{
	struct guest *g = *state;

	g->bytes[PART_AT + 5] ^= 1;
	run(g, MODULE_DIFFERS, 1);
	assert_string_equal(g->result.findings.v[0]->object_kind, "module constant");
	assert_string_equal(g->result.findings.v[0]->object_name, "made .rodata+0x5");
}

static void the_last_byte_counts(void **state)
{
	struct guest *g = *state;

	g->bytes[PART_AT + PART_BYTES - 1] ^= 0x80;
	run(g, MODULE_DIFFERS, 1);
}

static void tables_that_are_constant_from_load_on(void **state)
{
	struct guest *g = *state;

	g->bytes[LATE_AT + 3] ^= 1;
	run(g, MODULE_DIFFERS, 1);
	assert_string_equal(g->result.findings.v[0]->object_name, "made __jump_table+0x3");
}

static void data_may_change(void **state)
{
	struct guest *g = *state;

	g->bytes[LATE_AT + 16] ^= 1;
	run(g, MODULE_SAME, 0);
}

static void between_and_behind_the_parts_is_nothing(void **state)
{
	static const size_t gaps[] = {
		0, PART_AT - 1, PART_AT + PART_BYTES, LATE_AT - 1, LATE_AT + 32,
		GUEST_PAGE_SIZE - 1,
	};
	struct guest *g = *state;

	for (size_t i = 0; i < ARRAY_SIZE(gaps); i++) {
		g->bytes[gaps[i]] = 0xcc;
		run(g, MODULE_DIFFERS, 1);
		assert_string_equal(g->result.findings.v[0]->evidence.v[0].what, "unused memory");
		g->bytes[gaps[i]] = 0;
	}
	run(g, MODULE_SAME, 0);
}

static void another_module_is_one_finding(void **state)
{
	struct guest *g = *state;

	for (size_t i = 0; i < PART_BYTES; i += 32)
		g->bytes[PART_AT + i] ^= 1;
	run(g, MODULE_DIFFERS, 1);
	assert_string_equal(g->result.findings.v[0]->object_name, "made");
	assert_non_null(strstr(g->result.findings.v[0]->title, "under its name"));
}

static void another_build_of_it_is_none(void **state)
{
	struct guest *g = *state;

	g->reference.doubtful = true;
	for (size_t i = 0; i < PART_BYTES; i += 32)
		g->bytes[PART_AT + i] ^= 1;
	run(g, MODULE_OTHER, 0);
}

static void a_forged_build_id_is_one(void **state)
{
	struct guest *g = *state;

	g->reference.doubtful = true;
	memset(g->bytes + PART_AT, 0xee, 20);
	run(g, MODULE_DIFFERS, 1);
}

static void memory_that_is_not_there(void **state)
{
	struct guest *g = *state;

	*made_entry(&g->made, g->page, 1) = 0;
	run(g, -EFAULT, 0);
	assert_int_equal(g->result.state, CHECK_INCONCLUSIVE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)
		TEST(what_is_equal_is_clean),
		TEST(one_byte_is_one_finding),
		TEST(the_last_byte_counts),
		TEST(tables_that_are_constant_from_load_on),
		TEST(data_may_change),
		TEST(between_and_behind_the_parts_is_nothing),
		TEST(another_module_is_one_finding),
		TEST(another_build_of_it_is_none),
		TEST(a_forged_build_id_is_one),
		TEST(memory_that_is_not_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
