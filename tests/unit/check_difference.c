/* SPDX-License-Identifier: Apache-2.0 */
#include "check/difference.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "check/run.h"
#include "make/modules.h"

/* push rbp; mov rbp, rsp; call +0x10; mov eax, 1; pop rbp; ret; nop … */
static const uint8_t code[32] = {
	0x55, 0x48, 0x89, 0xe5, 0xe8, 0x10, 0, 0, 0, 0xb8, 1, 0, 0, 0, 0x5d, 0xc3,
	0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90,
	0x90,
};

struct guest {
	struct made_modules made;
	gva function, table, evil;
	struct shipped shipped;
	struct check_result result;
};

static struct guest *guest;
static struct difference differences[16];
static unsigned differences_n;

static int tell(struct check_run *run, struct err *err)
{
	cleanup(owners_close) struct owners *owners = NULL;
	struct difference_place place = {
		SEVERITY_CRITICAL, "module code", "made", &guest->shipped,
	};
	int r;

	r = owners_open(check_kernel(run), check_view(run), &owners, err);
	for (unsigned i = 0; r >= 0 && i < differences_n; i++)
		difference_finding(run, owners, &place, &differences[i]);
	return r;
}

CHECK(made_difference, .id = "made-difference", .group = GROUP_CODE, .title = "Made up",
      .proves = "that differences are told", .techniques = TECHNIQUES("T1014"), .fuel_max = 1000,
      .run = tell);

static void add_part(struct guest *g, const char *name, gva at, unsigned flags)
{
	struct shipped_part *part = shipped_add(&g->shipped, name, at, sizeof(code), flags);

	assert_non_null(part);
	memcpy(part->bytes, code, sizeof(code));
}

static int start(void **state)
{
	struct guest *g = calloc(1, sizeof(*g));
	const struct made_symbol symbols[] = {
		{ "victim", 64, &g->function, true }, { "table_of_victims", 64, &g->table, false },
		{ "evil", 64, &g->evil, true },
	};

	guest = g;
	differences_n = 0;
	made_modules_open(&g->made, false, symbols, ARRAY_SIZE(symbols));
	add_part(g, ".text", g->function, PART_EXEC);
	add_part(g, ".rodata", g->table, 0);
	/* A place that no symbol is at. */
	add_part(g, ".rodata.str1.1", made_pages(&g->made, 1, false), 0);
	assert_int_equal(shipped_sort(&g->shipped, NULL), 0);
	*state = g;
	return 0;
}

static int end(void **state)
{
	struct guest *g = *state;

	check_result_clear(&g->result);
	shipped_free(&g->shipped);
	made_modules_close(&g->made);
	free(g);
	return 0;
}

static void add(gva at, const void *found, size_t n, const char *why)
{
	struct difference *difference = &differences[differences_n++];

	*difference = (struct difference){
		.at = at, .size_bytes = n, .found = found, .kind = "code",
		.expected = shipped_at(&guest->shipped, at, n),
	};
	strcpy(difference->why, why);
}

static const struct finding *run(struct guest *g, size_t n)
{
	check_result_clear(&g->result);
	memset(&g->result, 0, sizeof(g->result));
	check_execute(check_by_id("made-difference"), world_kernel(g->made.world),
		      world_view(g->made.world), &g->result);
	assert_int_equal(g->result.state, CHECK_FINDING);
	assert_int_equal(g->result.findings.n, n);
	return g->result.findings.v[0];
}

static void a_changed_byte_is_shown_with_its_instruction(void **state)
{
	const uint8_t found[] = { 2 };
	struct guest *g = *state;
	const struct finding *finding;

	add(gva_add(g->function, 10), found, 1, "nothing explains it");
	finding = run(g, 1);
	assert_string_equal(finding->object_name, "victim");
	assert_int_equal(finding->object_at.v, g->function.v);
	assert_string_equal(finding->evidence.v[0].symbol, "victim+0xa");
	assert_string_equal(finding->evidence.v[0].expected,
			    "b801000000: mov eax, 1; pop rbp; ret");
	assert_string_equal(finding->evidence.v[0].found, "b802000000: mov eax, 2; pop rbp; ret");
	assert_string_equal(finding->evidence.v[1].found, "nothing explains it");
}

static void a_changed_branch_has_the_owner_of_its_target(void **state)
{
	struct guest *g = *state;
	uint32_t to = (uint32_t)(g->evil.v - (g->function.v + 9));
	const struct finding *finding;

	add(gva_add(g->function, 5), &to, 4, "");
	finding = run(g, 1);
	assert_string_equal(finding->owner, "kernel");
	assert_non_null(strstr(finding->evidence.v[1].found, "evil"));
	assert_string_equal(finding->evidence.v[1].what, "branch");
}

static void a_changed_pointer_has_the_owner_of_its_target(void **state)
{
	struct guest *g = *state;
	gva module = made_module(&g->made, "bad"), to = made_text(&g->made, module);
	const struct finding *finding;
	uint8_t expected[8];

	/* Only its lower half differs: the word is shown as a whole. */
	memcpy(shipped_at(&g->shipped, gva_add(g->table, 8), 8), &to, 8);
	memset(shipped_at(&g->shipped, gva_add(g->table, 8), 4), 0x11, 4);
	memcpy(expected, &to, 8);
	add(gva_add(g->table, 8), &to, 4, "");
	finding = run(g, 1);
	assert_string_equal(finding->object_name, "table_of_victims");
	assert_string_equal(finding->owner, "module bad");
	assert_string_equal(finding->evidence.v[0].symbol, "table_of_victims+0x8");
	assert_int_equal(strlen(finding->evidence.v[0].found), 16);
}

static void one_function_is_one_finding(void **state)
{
	static const uint8_t found[] = { 0xcc };
	struct guest *g = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(differences) - 1; i++)
		add(gva_add(g->function, i), found, 1, "");
	assert_in_range(run(g, 1)->evidence.n, 8, 10);
	add(gva_add(g->table, 8), found, 1, "");
	run(g, 2);
}

static void what_has_no_symbol_is_named_by_its_place(void **state)
{
	static const uint8_t found[] = { 0xcc };
	struct guest *g = *state;
	const struct finding *finding;
	gva at = g->shipped.parts.v[2].at;

	add(gva_add(at, 4), found, 1, "");
	/* Between the parts there is nothing to show around it. */
	add(gva_add(at, 0x100), found, 1, "");
	differences[1].expected = code;
	finding = run(g, 2);
	assert_string_equal(finding->object_name, "made .rodata.str1.1+0x4");
	assert_non_null(strstr(g->result.findings.v[1]->object_name, "made at 0x"));
	assert_string_equal(g->result.findings.v[1]->evidence.v[0].found, "cc");
}

static void differences_at_the_edges_of_a_part(void **state)
{
	static const uint8_t found[sizeof(code)] = { 0xe9 };
	struct guest *g = *state;

	add(g->function, found, sizeof(found), "");
	add(gva_add(g->table, sizeof(code) - 1), found, 1, "");
	add(gva_add(g->function, sizeof(code) - 1), found, 1, "");
	run(g, 2);
	assert_non_null(strstr(g->result.findings.v[0]->evidence.v[0].found, "(32 bytes)"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)
		TEST(a_changed_byte_is_shown_with_its_instruction),
		TEST(a_changed_branch_has_the_owner_of_its_target),
		TEST(a_changed_pointer_has_the_owner_of_its_target),
		TEST(one_function_is_one_finding),
		TEST(what_has_no_symbol_is_named_by_its_place),
		TEST(differences_at_the_edges_of_a_part),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
