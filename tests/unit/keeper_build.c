/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/build.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/addr.h"
#include "make/agent_build.h"

#define BIAS 0x7f0000000000ull

static struct made_build made;
static struct build *build;
static uint8_t page[GUEST_PAGE_SIZE];
static uint32_t where;

static int setup(void **state)
{
	(void)state;
	made = made_build();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	build_free(&build);
	return 0;
}

static int read_made(void)
{
	struct blob file = made_build_file(&made);
	int r;

	build_free(&build);
	r = build_read(&file, "made", &build, NULL);
	assert_null(file.data);
	return r;
}

static void refused(void)
{
	assert_int_equal(read_made(), -EBADMSG);
	assert_null(build);
	made = made_build();
}

static void an_agent_is_taken_apart(void **state)
{
	static const enum build_kind kinds[] = { BUILD_CONST, BUILD_CODE, BUILD_RELRO,
						 BUILD_DATA };

	(void)state;
	assert_int_equal(read_made(), 0);
	assert_string_equal(build->id, "0102030405060708000000000000000000000000");
	assert_int_equal(build->anchor, MADE_ANCHOR);
	assert_int_equal(build->ranges.n, 4);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(build->ranges.v[i].kind, kinds[i]);
		assert_int_equal(build->ranges.v[i].start, i * 4096);
		assert_int_equal(build->ranges.v[i].end, i * 4096 + 4096);
	}
	assert_int_equal(build->relocations.n, 2);
}

static void what_cannot_be_proved_is_refused(void **state)
{
	(void)state;
	made.program[1].p_flags |= PF_W;		/* code that is written to */
	refused();
	made.relocation[0].r_offset = MADE_CODE;	/* code that is relocated */
	refused();
	made.relocation[0].r_info = ELF64_R_INFO(1, R_X86_64_GLOB_DAT);	/* not static */
	refused();
	made.section[MADE_RELA_SECTION].sh_type = SHT_REL;
	refused();
	made.section[MADE_NOTE_SECTION].sh_size = 16;	/* no build ID */
	refused();
	made.section[MADE_ANCHOR_SECTION].sh_size = 8;	/* of another version */
	refused();
	made.section[MADE_ANCHOR_SECTION].sh_addr = MADE_CODE;
	refused();
	made.program[1].p_vaddr = MADE_CONST;		/* overlaps */
	refused();
	made.program[1].p_vaddr = UINT64_MAX - 4095;
	refused();
	made.program[1].p_offset = MADE_END;		/* outside of the file */
	refused();
	made.header.e_type = ET_REL;
	refused();
}

static void a_program_without_an_anchor_is_none(void **state)
{
	(void)state;
	memcpy(made.names + 30, ".other", 7);
	assert_int_equal(read_made(), -ENOENT);
}

static bool compare(enum build_kind kind)
{
	const struct build_range *range = build_range(build, kind);

	return build_compare(build, range, range->start, BIAS, page, &where);
}

static void each_byte_of_code_counts(void **state)
{
	(void)state;
	assert_int_equal(read_made(), 0);
	memcpy(page, build->file.data + MADE_CODE, sizeof(page));
	assert_true(compare(BUILD_CODE));
	for (uint32_t i = 0; i < sizeof(page); i += 17) {
		page[i] ^= 1;
		assert_false(compare(BUILD_CODE));
		assert_int_equal(where, i);
		page[i] ^= 1;
	}
	memcpy(page, build->file.data, sizeof(page));
	assert_true(compare(BUILD_CONST));
	assert_false(compare(BUILD_CODE));
}

static void put(uint64_t at, uint64_t value)
{
	memcpy(page + (at - MADE_RELRO), &value, sizeof(value));
}

static void relocated_pointers_lead_where_they_must(void **state)
{
	(void)state;
	assert_int_equal(read_made(), 0);
	memset(page, 0x55, sizeof(page));
	put(MADE_POINTER, BIAS + MADE_CONST + 0x800);
	put(MADE_CHOSEN, BIAS + MADE_CODE + 0x80);
	assert_true(compare(BUILD_RELRO));
	put(MADE_POINTER, BIAS + MADE_CONST + 0x801);
	assert_false(compare(BUILD_RELRO));
	assert_int_equal(where, MADE_POINTER - MADE_RELRO);
	put(MADE_POINTER, BIAS + MADE_CONST + 0x800);
	put(MADE_CHOSEN, BIAS + MADE_CONST);	/* no code */
	assert_false(compare(BUILD_RELRO));
	assert_int_equal(where, MADE_CHOSEN - MADE_RELRO);
	put(MADE_CHOSEN, 0x1000);		/* code of somebody else */
	assert_false(compare(BUILD_RELRO));
}

static void what_is_not_there_is_said(void **state)
{
	struct builds builds = {0};

	(void)state;
	assert_int_equal(builds_add(&builds, "/nowhere/agent", NULL), -ENOENT);
	assert_int_equal(builds_add(&builds, "/proc/self/fd", NULL), -ENOENT);
	assert_int_equal(builds_add(&builds, "/dev/null", NULL), -EBADMSG);
	builds_free(&builds);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_agent_is_taken_apart, setup, teardown),
		cmocka_unit_test_setup_teardown(what_cannot_be_proved_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(a_program_without_an_anchor_is_none, setup,
						teardown),
		cmocka_unit_test_setup_teardown(each_byte_of_code_counts, setup, teardown),
		cmocka_unit_test_setup_teardown(relocated_pointers_lead_where_they_must, setup,
						teardown),
		cmocka_unit_test(what_is_not_there_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
