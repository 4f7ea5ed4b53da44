/* SPDX-License-Identifier: Apache-2.0 */
#include "make/patching.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"

#define HAS  17u	/* a CPU feature that is there */
#define LACKS 18u

#define NOP5 "\x0f\x1f\x44\x00\x00"
#define NOP3 "\x0f\x1f\x00"

#define CODE(m, offset, bytes) \
	assert_memory_equal(patching_at(m, gva_add((m)->code, offset)), bytes, sizeof(bytes) - 1)

static int start(void **state)
{
	struct patching *m = malloc(sizeof(*m));

	patching_open(m);
	patching_feature(m, HAS);
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

/* --- alternatives --- */

static void alternatives(struct patching *m, enum alternative_style style)
{
	m->patcher.style = style;
	patched(patch_alternatives(&m->patcher, world_view(m->world), &m->shipped, &m->sites,
				   NULL));
}

static void an_alternative_that_does_not_apply_joins_its_nops(void **state)
{
	struct patching *m = *state;
	gva at = patching_code(m, 0, "\xfb\x90\x90\x90\x90\x90", 6);

	patching_alternative(m, at, 6, LACKS, 0, "\x0f\x01\xca", 3);
	alternatives(m, STYLE_RANGES);
	CODE(m, 0, "\xfb" NOP5);
}

static void the_last_of_several_that_apply_stays(void **state)
{
	struct patching *m = *state;
	gva at = patching_code(m, 0, "\x90\x90\x90", 3);

	patching_alternative(m, at, 3, HAS, 0, "\xfa", 1);
	patching_alternative(m, at, 3, HAS, 0, "\x0f\x01\xca", 3);
	patching_alternative(m, at, 3, LACKS, 0, "\x0f\x01\xcb", 3);
	alternatives(m, STYLE_RELOCATES);
	CODE(m, 0, "\x0f\x01\xca");
	assert_int_equal(m->sites.list.n, 1);
	assert_int_equal(m->sites.list.v[0].size_bytes, 3);
}

static void nested_ones_are_padded_to_the_longest(void **state)
{
	struct patching *m = *state;
	gva at = patching_code(m, 0, "\x90\x90\x90\x90\x90", 5);

	patching_alternative(m, at, 2, HAS, 0, "\xfa", 1);
	patching_alternative(m, at, 5, LACKS, 0, "\xfb", 1);
	alternatives(m, STYLE_RELOCATES);
	CODE(m, 0, "\xfa\x0f\x1f\x40\x00");
	assert_int_equal(m->sites.list.v[0].size_bytes, 5);
}

static void what_a_cpu_lacks_is_a_flag(void **state)
{
	struct patching *m = *state;
	gva at = patching_code(m, 0, "\xfb\xfb", 2);

	patching_alternative(m, at, 1, LACKS, 1, "\xfa", 1);
	patching_alternative(m, gva_add(at, 1), 1, HAS, 1, "\xfa", 1);
	alternatives(m, STYLE_RELOCATES);
	CODE(m, 0, "\xfa\xfb");
}

static void what_a_cpu_lacks_was_a_bit_of_the_feature(void **state)
{
	struct patching *m = *state;
	gva at = patching_code(m, 0, "\xfb\xfb", 2);

	m->patcher.alt.flags.there = false;
	patching_alternative(m, at, 1, LACKS | 0x8000, 0, "\xfa", 1);
	patching_alternative(m, gva_add(at, 1), 1, HAS | 0x8000, 0, "\xfa", 1);
	alternatives(m, STYLE_RANGES);
	CODE(m, 0, "\xfa\xfb");
}

static void a_call_keeps_its_target_when_it_is_moved(void **state)
{
	static const enum alternative_style styles[] = { STYLE_RANGES, STYLE_FOLDS,
							 STYLE_RELOCATES };
	struct patching *m = *state;
	uint8_t call[JUMP_BYTES];

	for (unsigned i = 0; i < ARRAY_SIZE(styles); i++) {
		gva at = patching_code(m, i * 16, NOP5, 5);

		m->shipped.table[TABLE_ALTERNATIVES].size_bytes = 0;
		branch_encode(call, OP_CALL, patching_replacement(m), m->target[0]);
		patching_alternative(m, at, 5, HAS, 0, call, 5);
		alternatives(m, styles[i]);
		branches(m, at, OP_CALL, m->target[0]);
	}
}

static void only_what_leads_out_is_moved(void **state)
{
	struct patching *m = *state;
	/* jne over a nop; lea 0x10(%rip), %rax */
	uint8_t repl[] = "\x0f\x85\x01\x00\x00\x00\x90\x48\x8d\x05\x10\x00\x00\x00";
	gva at = patching_code(m, 0, "\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90", 14);
	gva from = patching_replacement(m);
	int32_t displacement;

	patching_alternative(m, at, 14, HAS, 0, repl, 14);
	alternatives(m, STYLE_RELOCATES);
	CODE(m, 0, "\x0f\x85\x01\x00\x00\x00\x90\x48\x8d\x05");
	memcpy(&displacement, patching_at(m, gva_add(at, 10)), 4);
	assert_int_equal(at.v + (uint64_t)(int64_t)displacement, from.v + 0x10);
}

/* A jump of the replacement to @distance bytes from the place it is moved to. */
static void jump_becomes(struct patching *m, enum alternative_style style, int64_t distance,
			 bool is_short)
{
	gva at = patching_code(m, 4096, "\x90\x90\x90\x90\x90", 5), target;
	uint8_t jump[JUMP_BYTES];

	m->shipped.table[TABLE_ALTERNATIVES].size_bytes = 0;
	target = gva_add(at, (uint64_t)distance);
	branch_encode(jump, OP_JMP, patching_replacement(m), target);
	patching_alternative(m, at, 5, HAS, 0, jump, 5);
	alternatives(m, style);
	if (is_short) {
		assert_int_equal(*patching_at(m, at), OP_JMP8);
		assert_int_equal((int8_t)*patching_at(m, gva_add(at, 1)), distance - 2);
	} else {
		branches(m, at, OP_JMP, target);
	}
}

static void a_jump_is_shortened_where_it_reaches(void **state)
{
	struct patching *m = *state;

	jump_becomes(m, STYLE_RANGES, 129, true);
	CODE(m, 4098, NOP3);
	jump_becomes(m, STYLE_RANGES, 130, false);
	jump_becomes(m, STYLE_RELOCATES, 129, true);
	CODE(m, 4098, "\xcc\xcc\xcc");
	jump_becomes(m, STYLE_RELOCATES, 130, false);
	jump_becomes(m, STYLE_RELOCATES, -126, true);
	jump_becomes(m, STYLE_RELOCATES, -127, false);
}

static void long_nops_jump_over_int3(void **state)
{
	struct patching *m = *state;
	uint8_t nops[200], expected[200];
	gva at;

	memset(nops, OP_NOP, sizeof(nops));
	memset(expected, OP_INT3, sizeof(expected));
	at = patching_code(m, 0, nops, 12);
	patching_alternative(m, at, 12, LACKS, 0, "", 0);
	at = patching_code(m, 64, nops, 200);
	patching_alternative(m, at, 200, LACKS, 0, "", 0);
	alternatives(m, STYLE_RELOCATES);
	memcpy(expected, "\xeb\x0a", 2);
	assert_memory_equal(patching_at(m, m->code), expected, 12);
	memcpy(expected, "\xe9\xc3\x00\x00\x00", 5);
	assert_memory_equal(patching_at(m, gva_add(m->code, 64)), expected, 200);
}

static void a_jump_over_nops_became_part_of_them(void **state)
{
	struct patching *m = *state;
	gva at = patching_code(m, 0, "\xeb\x03\x90\x90\x90\xfb", 6);

	patching_alternative(m, at, 6, LACKS, 0, "", 0);
	alternatives(m, STYLE_FOLDS);
	CODE(m, 0, NOP5 "\xfb");
	patching_code(m, 0, "\xeb\x03\x90\x90\x90\xfb", 6);
	alternatives(m, STYLE_RELOCATES);
	CODE(m, 0, "\xeb\x03" NOP3 "\xfb");
}

static gva direct(struct patching *m, gva target)
{
	uint8_t indirect[6] = { 0xff, 0x15 }, call[JUMP_BYTES];
	int32_t offset = (int32_t)(m->pv_ops.v - m->code.v - 6);
	gva at;

	memcpy(indirect + 2, &offset, 4);
	at = patching_code(m, 0, indirect, 6);
	m->shipped.table[TABLE_ALTERNATIVES].size_bytes = 0;
	branch_encode(call, OP_CALL, patching_replacement(m),
		      symbols_lookup(m->patcher.symbols, "BUG_func"));
	patching_alternative(m, at, 6, HAS, 2, call, 5);
	patching_put(m, m->pv_ops, target.v);
	alternatives(m, STYLE_RELOCATES);
	return at;
}

static void a_call_through_a_pointer_becomes_one_of_its_function(void **state)
{
	struct patching *m = *state;
	gva nothing = symbols_lookup(m->patcher.symbols, "nop_func");
	gva bug = symbols_lookup(m->patcher.symbols, "BUG_func");

	branches(m, direct(m, m->target[0]), OP_CALL, m->target[0]);
	CODE(m, 5, "\x90");
	branches(m, direct(m, gva_of(0)), OP_CALL, bug);
	direct(m, nothing);
	CODE(m, 0, "\x66\x0f\x1f\x44\x00\x00");
}

static void a_pointer_to_a_strangers_code_is_not_followed(void **state)
{
	struct patching *m = *state;

	/* It is held against the call of what was shipped there. */
	memcpy(patching_at(m, m->pv_ops), &m->target[1].v, 8);
	branches(m, direct(m, m->module), OP_CALL, m->target[1]);
	branches(m, direct(m, gva_add(m->target[0], 4)), OP_CALL, m->target[1]);
}

static void alternatives_that_lead_nowhere_are_refused(void **state)
{
	struct patching *m = *state;

	patching_alternative(m, gva_of(0xffff800000000000), 6, HAS, 0, "", 0);
	assert_int_equal(patch_alternatives(&m->patcher, world_view(m->world), &m->shipped,
					    &m->sites, NULL), -EBADMSG);
	m->shipped.table[TABLE_ALTERNATIVES].size_bytes = 0;
	patching_alternative(m, m->code, 1, HAS, 0, "\xfa\xfb", 2);
	assert_int_equal(patch_alternatives(&m->patcher, world_view(m->world), &m->shipped,
					    &m->sites, NULL), -EBADMSG);
}

static void a_layout_outside_of_its_entry_is_refused(void **state)
{
	struct patching *m = *state;

	patching_alternative(m, m->code, 1, HAS, 0, "\xfa", 1);
	m->patcher.alt.repl_bytes.at = 14;
	assert_int_equal(patch_alternatives(&m->patcher, world_view(m->world), &m->shipped,
					    &m->sites, NULL), -EBADMSG);
}

static void the_style_is_the_one_that_the_guest_has(void **state)
{
	struct patching *m = *state;
	gva at = patching_code(m, 0, "\xeb\x03\x90\x90\x90\xfb", 6);

	patching_alternative(m, at, 6, LACKS, 0, "", 0);
	for (unsigned style = STYLE_FOLDS; style < ALTERNATIVE_STYLES; style++) {
		patching_code(m, 0, "\xeb\x03\x90\x90\x90\xfb", 6);
		alternatives(m, style);
		patching_boot(m);
		patching_code(m, 0, "\xeb\x03\x90\x90\x90\xfb", 6);
		m->patcher.style = STYLE_RANGES;
		patched(choose_style(&m->patcher, world_view(m->world), &m->shipped, NULL));
		/* The first of the styles that make the same of it. */
		assert_int_equal(m->patcher.style, style == STYLE_FOLDS ? STYLE_FOLDS :
								      STYLE_RANGES);
	}
}

/* --- retpolines --- */

static void retpoline(struct patching *m, enum retpoline_mode mode)
{
	m->patcher.retpoline = mode;
	patched(patch_retpolines(&m->patcher, &m->shipped, &m->sites, NULL));
}

static void a_retpoline_becomes(void **state, enum retpoline_mode mode, unsigned reg, uint8_t op,
				const char *code, size_t n)
{
	struct patching *m = *state;
	gva at = patching_branch(m, 0, op, m->thunk[reg]);

	m->shipped.table[TABLE_RETPOLINES].size_bytes = 0;
	patching_place(m, TABLE_RETPOLINES, at);
	retpoline(m, mode);
	assert_memory_equal(patching_at(m, at), code, n);
}

static void calls_through_thunks_in_every_mode(void **state)
{
	struct patching *m = *state;

	a_retpoline_becomes(state, RETPOLINE_LFENCE, 0, OP_CALL, "\x0f\xae\xe8\xff\xd0", 5);
	a_retpoline_becomes(state, RETPOLINE_INDIRECT, 0, OP_CALL, "\xff\xd0" NOP3, 5);
	a_retpoline_becomes(state, RETPOLINE_INDIRECT, 11, OP_CALL, "\x41\xff\xd3\x66\x90", 5);
	a_retpoline_becomes(state, RETPOLINE_INT3, 15, OP_CALL, "\x41\xff\xd7\x66\x90", 5);
	a_retpoline_becomes(state, RETPOLINE_PADDED, 3, OP_CALL, "\x2e\x2e\x2e\xff\xd3", 5);
	a_retpoline_becomes(state, RETPOLINE_PADDED, 8, OP_CALL, "\x2e\x2e\x41\xff\xd0", 5);
	a_retpoline_becomes(state, RETPOLINE_KEPT, 5, OP_CALL, "\xe8", 1);
	branches(m, m->code, OP_CALL, m->thunk[5]);
}

static void jumps_through_thunks_in_every_mode(void **state)
{
	a_retpoline_becomes(state, RETPOLINE_LFENCE, 7, OP_JMP, "\x0f\xae\xe8\xff\xe7", 5);
	a_retpoline_becomes(state, RETPOLINE_INDIRECT, 7, OP_JMP, "\xff\xe7" NOP3, 5);
	a_retpoline_becomes(state, RETPOLINE_INT3, 7, OP_JMP, "\xff\xe7\xcc\x66\x90", 5);
	a_retpoline_becomes(state, RETPOLINE_INT3, 12, OP_JMP, "\x41\xff\xe4\xcc\x90", 5);
	a_retpoline_becomes(state, RETPOLINE_PADDED, 12, OP_JMP, "\x41\xff\xe4\xcc\xcc", 5);
}

static void a_register_without_room_for_lfence_keeps_its_thunk(void **state)
{
	struct patching *m = *state;

	a_retpoline_becomes(state, RETPOLINE_LFENCE, 9, OP_CALL, "\xe8", 1);
	branches(m, m->code, OP_CALL, m->thunk[9]);
}

static void a_prefix_makes_room(void **state)
{
	struct patching *m = *state;
	gva at = patching_code(m, 0, "\x2e", 1);

	patching_branch(m, 1, OP_CALL, m->thunk[9]);
	patching_place(m, TABLE_RETPOLINES, at);
	retpoline(m, RETPOLINE_LFENCE);
	CODE(m, 0, "\x0f\xae\xe8\x41\xff\xd1");
	assert_int_equal(m->sites.list.v[0].size_bytes, 6);
}

static void a_conditional_jump_is_turned_round(void **state)
{
	struct patching *m = *state;

	patching_code(m, 0, "\x0f", 1);
	patching_branch(m, 1, 0x84, m->thunk[2]);
	patching_place(m, TABLE_RETPOLINES, m->code);
	retpoline(m, RETPOLINE_INDIRECT);
	CODE(m, 0, "\x75\x04\xff\xe2\x66\x90");
}

static void a_branch_to_no_thunk_is_left_alone(void **state)
{
	struct patching *m = *state;
	gva at = patching_branch(m, 0, OP_CALL, m->target[0]);

	patching_place(m, TABLE_RETPOLINES, at);
	retpoline(m, RETPOLINE_INDIRECT);
	branches(m, at, OP_CALL, m->target[0]);
	assert_int_equal(m->sites.list.n, 0);
}

static void a_thunk_is_known_by_its_register(void **state)
{
	(void)state;
	assert_true(thunk_matches("__x86_indirect_thunk_rax", (const uint8_t *)"\xff\xe0\xcc", 3));
	assert_true(thunk_matches("__x86_indirect_thunk_r11",
				  (const uint8_t *)"\x41\xff\xe3\xcc", 4));
	assert_true(thunk_matches("__x86_indirect_thunk_rdx",
				  (const uint8_t *)"\x2e\x2e\xff\xe2\xcc", 5));
	assert_false(thunk_matches("__x86_indirect_thunk_rcx",
				   (const uint8_t *)"\xff\xe0\xcc\xcc", 4));
	assert_false(thunk_matches("__x86_indirect_thunk_rax",
				   (const uint8_t *)"\xff\xd0\xcc\xcc", 4));
	assert_false(thunk_matches("__x86_indirect_thunk_r8",
				   (const uint8_t *)"\xff\xe0\xcc\xcc", 4));
	assert_false(thunk_matches("thunk", (const uint8_t *)"\xff\xe0\xcc\xcc", 4));
}

/* --- returns --- */

static void returns(struct patching *m, enum return_mode mode)
{
	m->patcher.returns = mode;
	patched(patch_returns(&m->patcher, &m->shipped, &m->sites, NULL));
}

static void returns_in_every_mode(void **state)
{
	struct patching *m = *state;
	gva thunk = m->patcher.return_thunk;
	gva at = patching_branch(m, 0, OP_JMP, thunk);

	patching_place(m, TABLE_RETURNS, at);
	returns(m, RETURN_KEPT);
	branches(m, at, OP_JMP, thunk);
	m->patcher.return_thunk = m->target[0];
	returns(m, RETURN_THUNK);
	branches(m, at, OP_JMP, m->target[0]);
	patching_branch(m, 0, OP_JMP, thunk);
	returns(m, RETURN_RET);
	CODE(m, 0, "\xc3\xcc\xcc\xcc\xcc");
}

static void only_returns_in_the_lower_half_of_a_line_go_through_its(void **state)
{
	struct patching *m = *state;
	gva thunk = m->patcher.return_thunk;
	gva low = patching_branch(m, 0, OP_JMP, thunk), high = patching_branch(m, 32, OP_JMP, thunk);

	assert_int_equal(low.v & 0x3f, 0);
	patching_place(m, TABLE_RETURNS, low);
	patching_place(m, TABLE_RETURNS, high);
	m->patcher.return_thunk = symbols_lookup(m->patcher.symbols, "its_return_thunk");
	returns(m, RETURN_THUNK);
	branches(m, low, OP_JMP, m->patcher.return_thunk);
	CODE(m, 32, "\xc3\xcc\xcc\xcc\xcc");
}

static void a_jump_that_is_no_return_is_left_alone(void **state)
{
	struct patching *m = *state;
	gva at = patching_branch(m, 0, OP_JMP, m->target[1]);

	patching_place(m, TABLE_RETURNS, at);
	returns(m, RETURN_RET);
	branches(m, at, OP_JMP, m->target[1]);
}

/* --- ENDBR, lock prefixes, the modes of a whole image --- */

static void an_endbr_is_poisoned_where_others_are(void **state)
{
	struct patching *m = *state;

	patching_code(m, 0, "\xf3\x0f\x1e\xfa", 4);
	patching_place(m, TABLE_ENDBR, m->code);
	patching_place(m, TABLE_ENDBR, gva_add(m->code, 64));	/* there is none */
	patched(patch_endbr(&m->patcher, &m->shipped, &m->sites, NULL));
	CODE(m, 0, "\xf3\x0f\x1e\xfa");
	m->patcher.has_poison = true;
	memcpy(m->patcher.poison, "\x0f\x1f\x40\xd6", 4);
	patched(patch_endbr(&m->patcher, &m->shipped, &m->sites, NULL));
	CODE(m, 0, "\x0f\x1f\x40\xd6");
	CODE(m, 64, "\xcc\xcc\xcc\xcc");
}

static void one_cpu_needs_no_lock(void **state)
{
	struct patching *m = *state;

	patching_code(m, 0, "\xf0\x0f\xb1", 3);
	patching_place(m, TABLE_LOCKS, m->code);
	patching_place(m, TABLE_LOCKS, gva_add(m->code, 1));	/* no prefix */
	*patching_at(m, m->module) = PREFIX_LOCK;		/* not of the text */
	patching_place(m, TABLE_LOCKS, m->module);
	patched(patch_locks(&m->patcher, &m->shipped, &m->sites, NULL));
	CODE(m, 0, "\xf0\x0f\xb1");
	m->patcher.unlocked = true;
	patched(patch_locks(&m->patcher, &m->shipped, &m->sites, NULL));
	CODE(m, 0, "\x3e\x0f\xb1");
	assert_int_equal(*patching_at(m, m->module), PREFIX_LOCK);
}

static void the_modes_are_what_most_places_of_the_guest_show(void **state)
{
	struct patching *m = *state;
	gva thunk = m->patcher.return_thunk;

	for (unsigned i = 0; i < 5; i++) {
		patching_place(m, TABLE_RETURNS, patching_branch(m, i * 64, OP_JMP, thunk));
		patching_place(m, TABLE_RETPOLINES,
			       patching_branch(m, i * 64 + 8, OP_JMP, m->thunk[i]));
		patching_place(m, TABLE_LOCKS, patching_code(m, i * 64 + 16, "\xf0", 1));
		patching_place(m, TABLE_ENDBR,
			       patching_code(m, i * 64 + 24, "\xf3\x0f\x1e\xfa", 4));
		patching_place(m, TABLE_CALLS,
			       patching_branch(m, i * 64 + 32, OP_CALL, m->target[0]));
	}
	for (unsigned i = 0; i < 4; i++) {	/* of the fifth, all is as it was shipped */
		gva at = gva_add(m->code, i * 64);
		const uint8_t jump[] = { 0xff, (uint8_t)(0xe0 | i), 0xcc, 0x66, 0x90 };

		world_copy(m->world, at, "\xc3\xcc\xcc\xcc\xcc", 5);
		world_copy(m->world, gva_add(at, 8), jump, 5);
		world_copy(m->world, gva_add(at, 16), "\x3e", 1);
		world_copy(m->world, gva_add(at, 24), "\x0f\x1f\x40\xd6", 4);
		world_copy(m->world, gva_add(at, 32), patching_at(m, gva_add(at, 32)), 5);
	}
	view_refresh(world_view(m->world));
	patched(choose_modes(&m->patcher, world_view(m->world), NULL));
	assert_int_equal(m->patcher.returns, RETURN_RET);
	assert_int_equal(m->patcher.retpoline, RETPOLINE_INT3);
	assert_true(m->patcher.unlocked);
	assert_memory_equal(m->patcher.poison, "\x0f\x1f\x40\xd6", 4);

	world_copy(m->world, gva_add(m->code, 32), "\xe8\0\0\0\0", 5);
	world_copy(m->world, gva_add(m->code, 96), "\xe8\0\0\0\0", 5);
	view_refresh(world_view(m->world));
	assert_int_equal(choose_modes(&m->patcher, world_view(m->world), NULL), -ENOTSUP);
}

/* --- paravirt --- */

static void paravirt(struct patching *m, uint8_t type, uint8_t n, gva target)
{
	uint8_t entry[16] = {0};

	memcpy(entry, &m->code.v, 8);
	entry[8] = type;
	entry[9] = n;
	m->shipped.table[TABLE_PARAVIRT].size_bytes = 0;
	patching_code(m, 0, "\xff\x14\x25\x00\x00\x00\x00\x55", 8);
	patching_entry(m, TABLE_PARAVIRT, entry, sizeof(entry));
	patching_put(m, gva_add(m->pv_ops, type * 8ull), target.v);
	patched(patch_paravirt(&m->patcher, world_view(m->world), &m->shipped, &m->sites, NULL));
}

static gva named(struct patching *m, const char *name)
{
	return symbols_lookup(m->patcher.symbols, name);
}

static void a_paravirt_call_is_what_pv_ops_says(void **state)
{
	struct patching *m = *state;

	paravirt(m, 3, 7, m->target[0]);
	branches(m, m->code, OP_CALL, m->target[0]);
	CODE(m, 5, "\x66\x90\x55");
	paravirt(m, 3, 7, named(m, "_paravirt_nop"));
	CODE(m, 0, "\x0f\x1f\x80\x00\x00\x00\x00\x55");
}

static void up_to_5_11_an_operation_may_be_an_instruction(void **state)
{
	struct patching *m = *state;

	m->patcher.native[0] = (struct native_op){ 3, "\xfa", 1 };
	m->patcher.native_n = 1;
	m->patcher.pv_ident = true;
	m->patcher.pv_iret = 5;
	m->patcher.pv_sysret = 6;
	paravirt(m, 3, 7, named(m, "native_irq_disable"));
	CODE(m, 0, "\xfa\x66\x0f\x1f\x44\x00\x00\x55");
	paravirt(m, 4, 7, named(m, "_paravirt_ident_64"));
	CODE(m, 0, "\x48\x89\xf8\x0f\x1f\x40\x00\x55");
	paravirt(m, 5, 7, m->target[1]);
	branches(m, m->code, OP_JMP, m->target[1]);
	paravirt(m, 6, 7, m->target[0]);
	branches(m, m->code, OP_JMP, m->target[0]);
}

static void an_operation_that_is_no_function_of_the_kernel_is_not_called(void **state)
{
	struct patching *m = *state;

	/* It is held against the call of what was shipped there. */
	memcpy(patching_at(m, gva_add(m->pv_ops, 24)), &m->target[1].v, 8);
	paravirt(m, 3, 7, m->module);
	branches(m, m->code, OP_CALL, m->target[1]);
	paravirt(m, 3, 7, gva_add(m->target[0], 1));
	branches(m, m->code, OP_CALL, m->target[1]);
}

static void an_operation_that_nobody_has_is_a_trap(void **state)
{
	struct patching *m = *state;

	paravirt(m, 3, 7, gva_of(0));
	CODE(m, 0, "\x0f\x0b\x0f\x1f\x44\x00\x00\x55");
}

/* --- constants of the boot --- */

static void a_runtime_constant_is_the_kernels_variable(void **state)
{
	struct patching *m = *state;
	struct shipped_runtime *runtime = vec_add(&m->shipped.runtime);

	*runtime = (struct shipped_runtime){ .name = "runtime_ptr_counted" };
	patching_code(m, 2, "\x11\x22\x33\x44\x55\x66\x77\x88", 8);
	patching_place(m, TABLE_LOCKS, gva_add(m->code, 2));	/* any table of 32-bit offsets */
	runtime->range = m->shipped.table[TABLE_LOCKS];
	patching_put(m, named(m, "counted"), 0xffff888012345000);
	patched(patch_runtime(&m->patcher, world_view(m->world), &m->shipped, &m->sites, NULL));
	CODE(m, 2, "\x00\x50\x34\x12\x80\x88\xff\xff");
	strcpy(runtime->name, "runtime_shift_counted");
	patching_put(m, named(m, "counted"), 13);
	patched(patch_runtime(&m->patcher, world_view(m->world), &m->shipped, &m->sites, NULL));
	CODE(m, 2, "\x0d\x50");
}

static void the_end_of_the_users_half_is_in_it(void **state)
{
	struct patching *m = *state;
	struct shipped_runtime *runtime = vec_add(&m->shipped.runtime);

	*runtime = (struct shipped_runtime){ .name = "runtime_ptr_USER_PTR_MAX" };
	patching_code(m, 2, "\x11\x22\x33\x44\x55\x66\x77\x88", 8);
	patching_place(m, TABLE_LOCKS, gva_add(m->code, 2));
	runtime->range = m->shipped.table[TABLE_LOCKS];
	patching_put(m, named(m, "USER_PTR_MAX"), 0xfffffffffffff000);
	patched(patch_runtime(&m->patcher, world_view(m->world), &m->shipped, &m->sites, NULL));
	CODE(m, 2, "\x11\x22\x33\x44\x55\x66\x77\x88");
	patching_put(m, named(m, "USER_PTR_MAX"), 0x7ffffffff000);
	patched(patch_runtime(&m->patcher, world_view(m->world), &m->shipped, &m->sites, NULL));
	CODE(m, 2, "\x00\xf0\xff\xff\xff\x7f\x00\x00");
}

static void a_constant_without_a_variable_must_be_the_cache_of_its_name(void **state)
{
	struct patching *m = *state;
	struct shipped_runtime *runtime = vec_add(&m->shipped.runtime);
	gva cache = world_alloc(m->world, 64), at = gva_add(m->code, 2);

	*runtime = (struct shipped_runtime){ .name = "runtime_ptr___shown_cache" };
	patching_place(m, TABLE_LOCKS, at);
	runtime->range = m->shipped.table[TABLE_LOCKS];
	patching_put(m, gva_add(cache, 8), world_text(m->world, "shown").v);
	patching_put(m, at, cache.v);
	patched(patch_runtime(&m->patcher, world_view(m->world), &m->shipped, &m->sites, NULL));
	assert_memory_equal(patching_at(m, at), &cache.v, 8);
	patching_put(m, gva_add(cache, 8), world_text(m->world, "other").v);
	assert_int_equal(patch_runtime(&m->patcher, world_view(m->world), &m->shipped, &m->sites,
				       NULL), -EBADMSG);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_alternative_that_does_not_apply_joins_its_nops),
		TEST(the_last_of_several_that_apply_stays),
		TEST(nested_ones_are_padded_to_the_longest),
		TEST(what_a_cpu_lacks_is_a_flag),
		TEST(what_a_cpu_lacks_was_a_bit_of_the_feature),
		TEST(a_call_keeps_its_target_when_it_is_moved),
		TEST(only_what_leads_out_is_moved),
		TEST(a_jump_is_shortened_where_it_reaches),
		TEST(long_nops_jump_over_int3),
		TEST(a_jump_over_nops_became_part_of_them),
		TEST(a_call_through_a_pointer_becomes_one_of_its_function),
		TEST(a_pointer_to_a_strangers_code_is_not_followed),
		TEST(alternatives_that_lead_nowhere_are_refused),
		TEST(a_layout_outside_of_its_entry_is_refused),
		TEST(the_style_is_the_one_that_the_guest_has),
		TEST(calls_through_thunks_in_every_mode),
		TEST(jumps_through_thunks_in_every_mode),
		TEST(a_register_without_room_for_lfence_keeps_its_thunk),
		TEST(a_prefix_makes_room),
		TEST(a_conditional_jump_is_turned_round),
		TEST(a_branch_to_no_thunk_is_left_alone),
		TEST(a_thunk_is_known_by_its_register),
		TEST(returns_in_every_mode),
		TEST(only_returns_in_the_lower_half_of_a_line_go_through_its),
		TEST(a_jump_that_is_no_return_is_left_alone),
		TEST(an_endbr_is_poisoned_where_others_are),
		TEST(one_cpu_needs_no_lock),
		TEST(the_modes_are_what_most_places_of_the_guest_show),
		TEST(a_paravirt_call_is_what_pv_ops_says),
		TEST(an_operation_that_nobody_has_is_a_trap),
		TEST(up_to_5_11_an_operation_may_be_an_instruction),
		TEST(an_operation_that_is_no_function_of_the_kernel_is_not_called),
		TEST(a_runtime_constant_is_the_kernels_variable),
		TEST(the_end_of_the_users_half_is_in_it),
		TEST(a_constant_without_a_variable_must_be_the_cache_of_its_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
