/* SPDX-License-Identifier: Apache-2.0 */
#include "make/patching.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"

#define LACKS 18u	/* a CPU feature that is not there */

#define NOP5 "\x0f\x1f\x44\x00\x00"

#define CODE(m, offset, bytes) \
	assert_memory_equal(patching_at(m, gva_add((m)->code, offset)), bytes, sizeof(bytes) - 1)

static int start(void **state)
{
	struct patching *m = malloc(sizeof(*m));

	patching_open(m);
	*state = m;
	return 0;
}

static int end(void **state)
{
	patching_close(*state);
	free(*state);
	return 0;
}

static gva target_of(struct patching *m, gva at)
{
	return branch_target(at, patching_at(m, at));
}

static void branches(struct patching *m, gva at, uint8_t op, gva target)
{
	assert_int_equal(*patching_at(m, at), op);
	assert_int_equal(target_of(m, at).v, target.v);
}

static void patched(int r)
{
	assert_int_equal(r, 0);
}

/* --- jump labels --- */

static void jumps(struct patching *m, uint32_t enabled)
{
	patching_put(m, m->static_key, enabled);
	patched(patch_jump_labels(&m->patcher, world_view(m->world), &m->shipped, &m->sites, NULL));
}

static void a_jump_label_is_its_key_or_the_contrary(void **state)
{
	struct patching *m = *state;
	gva near = patching_code(m, 0, "\x66\x90", 2), far = patching_code(m, 16, NOP5, 5);
	gva turned = patching_branch(m, 32, OP_JMP, gva_add(m->code, 512));

	patching_jump(m, near, gva_add(m->code, 100), false);
	patching_jump(m, far, gva_add(m->code, 1000), false);
	patching_jump(m, turned, gva_add(m->code, 512), true);
	jumps(m, 0);
	CODE(m, 0, "\x66\x90");
	CODE(m, 16, NOP5);
	branches(m, turned, OP_JMP, gva_add(m->code, 512));
	jumps(m, 2);
	CODE(m, 0, "\xeb\x62");
	branches(m, far, OP_JMP, gva_add(m->code, 1000));
	CODE(m, 32, NOP5);
	jumps(m, (uint32_t)-1);		/* on its way to being enabled */
	CODE(m, 0, "\xeb\x62");
}

static void a_jump_label_outside_of_the_text_is_none(void **state)
{
	struct patching *m = *state;

	memcpy(patching_at(m, m->module), NOP5, 5);
	patching_jump(m, m->module, m->code, false);
	jumps(m, 1);
	assert_memory_equal(patching_at(m, m->module), NOP5, 5);
	assert_int_equal(m->sites.list.n, 0);
}

/* --- static calls --- */

static void calls(struct patching *m, gva func)
{
	patching_put(m, m->static_call, func.v);
	patched(patch_static_calls(&m->patcher, world_view(m->world), &m->shipped, &m->sites,
				   NULL));
}

static void a_static_call_calls_its_keys_function(void **state)
{
	struct patching *m = *state;
	gva call = patching_branch(m, 0, OP_CALL, m->trampoline);
	gva tail = patching_branch(m, 16, OP_JMP, m->trampoline);

	patching_static_call(m, call, false);
	patching_static_call(m, tail, true);
	calls(m, m->target[0]);
	branches(m, call, OP_CALL, m->target[0]);
	branches(m, tail, OP_JMP, m->target[0]);
	m->patcher.returns = RETURN_RET;
	calls(m, gva_of(0));
	CODE(m, 0, NOP5);
	CODE(m, 16, "\xc3\xcc\xcc\xcc\xcc");
	m->patcher.returns = RETURN_THUNK;
	calls(m, gva_of(0));
	branches(m, tail, OP_JMP, m->patcher.return_thunk);
	calls(m, m->return0);
	CODE(m, 0, "\x66\x66\x48\x31\xc0");
	branches(m, tail, OP_JMP, m->return0);
	m->patcher.nop_max = 11;
	calls(m, m->return0);
	CODE(m, 0, "\x2e\x2e\x2e\x31\xc0");
	m->patcher.warn_trap = m->target[1];
	calls(m, m->target[1]);
	CODE(m, 0, "\x67\x48\x0f\xb9\x3a");
}

static void a_conditional_static_call_keeps_its_condition(void **state)
{
	struct patching *m = *state;

	patching_code(m, 0, "\x0f", 1);
	patching_branch(m, 1, 0x85, m->trampoline);
	patching_static_call(m, m->code, true);
	m->patcher.returns = RETURN_THUNK;
	calls(m, m->target[1]);
	CODE(m, 0, "\x0f\x85");
	assert_int_equal(target_of(m, gva_add(m->code, 1)).v, m->target[1].v);
	calls(m, gva_of(0));
	assert_int_equal(target_of(m, gva_add(m->code, 1)).v, m->patcher.return_thunk.v);
}

static void a_key_that_leads_to_a_stranger_is_not_predicted(void **state)
{
	struct patching *m = *state;
	gva call = patching_branch(m, 0, OP_CALL, m->trampoline);

	patching_branch(m, 16, OP_JMP, m->target[0]);
	memcpy(patching_at(m, m->trampoline), patching_at(m, gva_add(m->code, 16)), 5);
	patching_static_call(m, call, false);
	calls(m, m->module);
	branches(m, call, OP_CALL, m->trampoline);
	assert_int_not_equal(target_of(m, m->trampoline).v, m->module.v);
	calls(m, gva_add(m->target[0], 4));
	branches(m, call, OP_CALL, m->trampoline);
}

static void a_trampoline_is_as_shipped_until_its_key_is_changed(void **state)
{
	struct patching *m = *state;
	uint8_t jump[JUMP_BYTES];

	branch_encode(jump, OP_JMP, m->trampoline, m->target[0]);
	memcpy(patching_at(m, m->trampoline), jump, 5);
	memcpy(patching_at(m, m->static_call), &m->target[0].v, 8);
	calls(m, m->target[0]);
	branches(m, m->trampoline, OP_JMP, m->target[0]);
	calls(m, m->target[1]);
	branches(m, m->trampoline, OP_JMP, m->target[1]);
	calls(m, m->target[0]);		/* and changed back */
	branches(m, m->trampoline, OP_JMP, m->target[0]);
}

/* --- ftrace --- */

static void without_ftrace_its_calls_are_nops(void **state)
{
	struct patching *m = *state;
	gva at = patching_branch(m, 0, OP_CALL, m->ftrace_caller);

	patching_entry(m, TABLE_MCOUNT, &at.v, 8);
	patching_entry(m, TABLE_MCOUNT, &m->module.v, 8);
	patched(patch_mcount(&m->patcher, &m->shipped, &m->sites, NULL));
	CODE(m, 0, NOP5);
	assert_int_equal(m->sites.list.n, 2);	/* and ftrace_call */
}

/* --- all of it --- */

static void all_places_are_listed_by_address(void **state)
{
	struct patching *m = *state;
	struct sites_at walk = {0};
	struct site site;

	for (unsigned i = 8; i-- > 0;)
		patching_place(m, TABLE_LOCKS, patching_code(m, i * 16, "\xf0", 1));
	patching_alternative(m, gva_add(m->code, 16), 3, LACKS, 0, "", 0);
	patched(patch_all(&m->patcher, world_view(m->world), &m->shipped, &m->sites, NULL));
	assert_true(m->sites.n >= 9);
	for (gva last = {0}; sites_next(&m->sites, &walk, &site); last = site.at)
		assert_true(last.v <= site.at.v);
	assert_int_equal(walk.i, m->sites.n);
}

static void state_that_cannot_be_read_is_an_error(void **state)
{
	struct patching *m = *state;
	const uint8_t nop[16] = { 0x66, 0x90 };
	int32_t *entry;

	patching_jump(m, patching_code(m, 0, nop, 2), m->code, false);
	entry = (int32_t *)patching_at(m, gva_add(m->shipped.table[TABLE_JUMPS].at, 8));
	entry[1] = INT32_MIN;	/* a key that is nowhere */
	assert_int_equal(patch_jump_labels(&m->patcher, world_view(m->world), &m->shipped,
					   &m->sites, NULL), -EFAULT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_jump_label_is_its_key_or_the_contrary),
		TEST(a_jump_label_outside_of_the_text_is_none),
		TEST(a_static_call_calls_its_keys_function),
		TEST(a_conditional_static_call_keeps_its_condition),
		TEST(a_key_that_leads_to_a_stranger_is_not_predicted),
		TEST(a_trampoline_is_as_shipped_until_its_key_is_changed),
		TEST(without_ftrace_its_calls_are_nops),
		TEST(all_places_are_listed_by_address),
		TEST(state_that_cannot_be_read_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
