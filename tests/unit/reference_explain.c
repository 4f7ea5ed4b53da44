/* SPDX-License-Identifier: Apache-2.0 */
#include "make/patching.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "linux/owner.h"

#define NOP5 "\x0f\x1f\x44\x00\x00"
#define LOOKED_BYTES 1024u	/* of m->code are compared */
#define NEAR_BYTES   3u		/* of a branch to what is near differ from a NOP: it ends with 0, too */

enum { MCOUNT = 0, LABEL = 16, CALL = 32, PROBED = 64, LOCKS = 128, PLAIN = 512 };

struct told {
	gva at, target;
	size_t size_bytes;
	bool passing;
	char kind[32], why[160];
};

/* A guest that runs, and what was told of it. */
struct guest {
	struct patching made;
	uint8_t found[LOOKED_BYTES];
	struct told told[16];
	size_t told_n;
	uint64_t explained;
	int answer;		/* of the visitor */
};

static gva symbol(struct guest *g, const char *name)
{
	gva at = symbols_lookup(g->made.patcher.symbols, name);

	assert_int_not_equal(at.v, 0);
	return at;
}

static void boot(struct guest *g)
{
	struct patching *m = &g->made;

	assert_int_equal(patch_all(&m->patcher, world_view(m->world), &m->shipped, &m->sites,
				   NULL), 0);
	patching_boot(m);
	memcpy(g->found, patching_at(m, m->code), LOOKED_BYTES);
}

static int start(void **state)
{
	struct guest *g = calloc(1, sizeof(*g));
	struct patching *m = &g->made;
	uint8_t call[JUMP_BYTES];
	gva at;

	patching_open(m);
	at = patching_branch(m, MCOUNT, OP_CALL, m->ftrace_caller);
	patching_entry(m, TABLE_MCOUNT, &at.v, 8);
	patching_jump(m, patching_code(m, LABEL, NOP5, 5), gva_add(m->code, 600), false);
	patching_static_call(m, patching_branch(m, CALL, OP_CALL, m->trampoline), false);
	branch_encode(call, OP_CALL, m->ftrace_call, m->ftrace_stub);
	memcpy(patching_at(m, m->ftrace_call), call, 5);
	for (unsigned i = 0; i < 8; i++)
		patching_place(m, TABLE_LOCKS, patching_code(m, LOCKS + 16 * i, "\xf0", 1));
	patching_put(m, m->static_call, m->target[0].v);
	patching_put(m, symbol(g, "ftrace_trace_function"), m->ftrace_stub.v);
	*state = g;
	return 0;
}

static int start_booted(void **state)
{
	start(state);
	boot(*state);
	return 0;
}

static int end(void **state)
{
	struct guest *g = *state;

	patching_close(&g->made);
	free(g);
	return 0;
}

static int visit(const struct difference *d, bool passing, void *ctx, struct err *err)
{
	struct guest *g = ctx;
	struct told *told = &g->told[g->told_n++];

	(void)err;
	assert_true(g->told_n < ARRAY_SIZE(g->told));
	*told = (struct told){ d->at, d->target, d->size_bytes, passing, "", "" };
	snprintf(told->kind, sizeof(told->kind), "%s", d->kind);
	snprintf(told->why, sizeof(told->why), "%s", d->why);
	/* What should be there is another than what was predicted. */
	if (!strstr(d->why, "its key was changed") && !strstr(d->why, "made it a call"))
		assert_memory_equal(d->expected, patching_at(&g->made, d->at), d->size_bytes);
	return g->answer;
}

static int compare_bytes(struct guest *g, gva at, const uint8_t *found, size_t n)
{
	struct patching *m = &g->made;
	struct view *view = world_view(m->world);
	struct explainer *explainer = NULL;
	struct owners *owners = NULL;
	int r;

	g->told_n = 0;
	g->explained = 0;
	assert_int_equal(owners_open(world_kernel(m->world), view, &owners, NULL), 0);
	assert_int_equal(explainer_open(&m->patcher, view, owners, &explainer, NULL), 0);
	r = compare_part(explainer, &m->shipped, &m->sites, at, found, n, &g->explained, visit, g,
			 NULL);
	explainer_close(&explainer);
	owners_close(&owners);
	return r;
}

static void look(struct guest *g)
{
	assert_int_equal(compare_bytes(g, g->made.code, g->found, LOOKED_BYTES), 0);
}

static void is_explained(struct guest *g, uint64_t bytes)
{
	look(g);
	assert_int_equal(g->told_n, 0);
	assert_int_equal(g->explained, bytes);
}

static void is_told(struct guest *g, unsigned offset, size_t n, bool passing)
{
	look(g);
	assert_int_equal(g->told_n, 1);
	assert_int_equal(g->told[0].at.v, g->made.code.v + offset);
	assert_int_equal(g->told[0].size_bytes, n);
	assert_int_equal(g->told[0].passing, passing);
}

static void branch(struct guest *g, unsigned offset, uint8_t op, gva target)
{
	branch_encode(g->found + offset, op, gva_add(g->made.code, offset), target);
}

static void hold(struct guest *g, bool held)
{
	patching_put(&g->made, symbol(g, "text_mutex"), held ? 0xffff888000001000 | 1 : 1);
}

/* --- ftrace --- */

#define FTRACE_CALLED (1u << 31)	/* FTRACE_FL_ENABLED, include/linux/ftrace.h */

/* Someone traces, and wants to be called at MCOUNT. */
static gva trace(struct guest *g)
{
	struct world *world = g->made.world;
	gva ops = world_alloc(world, 64), page = world_alloc(world, 64);
	gva record = world_alloc(world, 64);

	world_set(world, record, "dyn_ftrace.ip", g->made.code.v + MCOUNT);
	world_set(world, record, "dyn_ftrace.flags", 1);
	world_set(world, page, "ftrace_page.records", record.v);
	world_set(world, page, "ftrace_page.index", 1);
	patching_put(&g->made, symbol(g, "ftrace_pages_start"), page.v);

	patching_put(&g->made, ops, symbol(g, "ftrace_list_end").v);
	patching_put(&g->made, symbol(g, "ftrace_ops_list"), ops.v);
	return ops;
}

static void an_untouched_guest_has_no_difference(void **state)
{
	is_explained(*state, 0);
}

static void a_call_of_ftrace_needs_someone_who_traces(void **state)
{
	struct guest *g = *state;

	branch(g, MCOUNT, OP_CALL, g->made.ftrace_caller);
	is_told(g, MCOUNT, NEAR_BYTES, false);
	assert_string_equal(g->told[0].kind, "ftrace site");
	hold(g, true);
	is_told(g, MCOUNT, 5, true);
	hold(g, false);
	trace(g);
	is_explained(g, NEAR_BYTES);
	g->found[MCOUNT] = OP_JMP;
	is_told(g, MCOUNT, NEAR_BYTES, false);
}

static void a_call_of_ftrace_that_ftrace_does_not_know_of_is_told(void **state)
{
	struct guest *g = *state;
	gva page;

	trace(g);
	branch(g, MCOUNT, OP_CALL, g->made.ftrace_caller);
	page.v = world_get(g->made.world, symbol(g, "ftrace_pages_start"), "ftrace_page.next");
	world_set(g->made.world, page, "ftrace_page.index", 0);
	view_refresh(world_view(g->made.world));
	is_told(g, MCOUNT, NEAR_BYTES, false);
}

/* As flags of ftrace's one place say. */
static void flag(struct guest *g, uint32_t flags)
{
	struct world *world = g->made.world;
	gva page = { world_get(world, symbol(g, "ftrace_pages_start"), "ftrace_page.next") };
	gva record = { world_get(world, page, "ftrace_page.records") };

	world_set(world, record, "dyn_ftrace.flags", flags);
	view_refresh(world_view(world));
}

/* Who traces there hears nothing of it. */
static void a_call_of_ftrace_that_was_taken_out_is_told(void **state)
{
	struct guest *g = *state;

	trace(g);
	flag(g, 1);
	is_explained(g, 0);		/* wanted, and not yet made */
	flag(g, FTRACE_CALLED | 1);
	is_told(g, MCOUNT, 5, false);
	assert_string_equal(g->told[0].kind, "ftrace site");
	hold(g, true);
	is_told(g, MCOUNT, 5, true);
	hold(g, false);
	branch(g, MCOUNT, OP_CALL, g->made.ftrace_caller);
	is_explained(g, NEAR_BYTES);
}

/* A guest that names one place a thousand times is not told a thousand times. */
static void a_place_that_is_named_twice_is_told_once(void **state)
{
	struct guest *g = *state;
	struct world *world = g->made.world;
	gva page, record = world_alloc(world, 64);

	trace(g);
	page.v = world_get(world, symbol(g, "ftrace_pages_start"), "ftrace_page.next");
	for (unsigned i = 0; i < 2; i++) {
		world_set(world, gva_add(record, i * 16), "dyn_ftrace.ip", g->made.code.v + MCOUNT);
		world_set(world, gva_add(record, i * 16), "dyn_ftrace.flags", FTRACE_CALLED | 1);
	}
	world_set(world, page, "ftrace_page.records", record.v);
	world_set(world, page, "ftrace_page.index", 2);
	view_refresh(world_view(world));
	is_told(g, MCOUNT, 5, false);
}

/* After an error of its own ftrace touches no place any more, and its flags stay. */
static void where_ftrace_gave_up_its_places_are_not_judged(void **state)
{
	struct guest *g = *state;

	trace(g);
	flag(g, FTRACE_CALLED | 1);
	patching_put(&g->made, symbol(g, "ftrace_disabled"), 1);
	view_refresh(world_view(g->made.world));
	is_explained(g, 0);
}

static void a_call_of_a_stranger_is_told_with_its_target(void **state)
{
	struct guest *g = *state;

	trace(g);
	hold(g, true);
	branch(g, MCOUNT, OP_CALL, g->made.module);
	is_told(g, MCOUNT, NEAR_BYTES, false);
	assert_int_equal(g->told[0].target.v, g->made.module.v);
	branch(g, MCOUNT, OP_CALL, g->made.target[0]);
	is_told(g, MCOUNT, NEAR_BYTES, false);
}

static void what_a_kernel_does_not_have_is_not_at_address_0(void **state)
{
	struct guest *g = *state;

	trace(g);
	branch(g, MCOUNT, OP_CALL, gva_of(0));
	is_told(g, MCOUNT, 5, false);
}

static void a_trampoline_is_called_at_its_start_only(void **state)
{
	struct guest *g = *state;
	gva ops = trace(g);

	patching_put(&g->made, gva_add(ops, 8), g->made.tables.v);
	patching_put(&g->made, gva_add(ops, 16), 4096);
	branch(g, MCOUNT, OP_CALL, g->made.tables);
	is_explained(g, NEAR_BYTES);
	branch(g, MCOUNT, OP_CALL, gva_add(g->made.tables, 16));
	is_told(g, MCOUNT, NEAR_BYTES, false);
	branch(g, MCOUNT, OP_CALL, gva_add(g->made.tables, 2048));
	is_told(g, MCOUNT, NEAR_BYTES, false);
}

static void bpf_alternates_between_the_halves_of_a_page(void **state)
{
	struct guest *g = *state;
	gva ksym = world_alloc(g->made.world, 64);

	world_set(g->made.world, ksym, "bpf_ksym.start", g->made.tables.v);
	world_set(g->made.world, ksym, "bpf_ksym.end", g->made.tables.v + 4096);
	world_list_add(g->made.world, symbol(g, "bpf_kallsyms"),
		       world_member(g->made.world, ksym, "bpf_ksym.lnode"));
	view_refresh(world_view(g->made.world));
	for (unsigned offset = 0; offset < 4096; offset += 1024) {
		branch(g, MCOUNT, OP_CALL, gva_add(g->made.tables, offset));
		look(g);
		assert_int_equal(g->told_n, offset % 2048 != 0);
	}
}

static void a_breakpoint_is_the_kernels_only_while_it_patches(void **state)
{
	struct guest *g = *state;

	g->found[MCOUNT] = OP_INT3;
	is_told(g, MCOUNT, 1, false);
	assert_string_equal(g->told[0].why, "a breakpoint that the kernel did not set");
	hold(g, true);
	is_told(g, MCOUNT, 5, true);
	g->found[PLAIN + 1] = 0x90;	/* no place that is patched */
	look(g);
	assert_int_equal(g->told_n, 2);
	assert_false(g->told[1].passing);
}

static void inside_of_ftrace(struct guest *g, const void *code, bool explained)
{
	struct patching *m = &g->made;
	uint8_t found[8];

	memcpy(found, patching_at(m, m->ftrace_call), sizeof(found));
	memcpy(found, code, 5);
	assert_int_equal(compare_bytes(g, m->ftrace_call, found, sizeof(found)), 0);
	assert_int_equal(g->told_n, !explained);
}

static void the_call_inside_of_ftrace_is_of_whom_it_calls(void **state)
{
	struct guest *g = *state;
	struct patching *m = &g->made;
	uint8_t code[5];

	patching_put(m, symbol(g, "ftrace_trace_function"), m->target[0].v);
	branch_encode(code, OP_CALL, m->ftrace_call, m->target[0]);
	inside_of_ftrace(g, code, true);
	branch_encode(code, OP_CALL, m->ftrace_call, m->target[1]);
	inside_of_ftrace(g, code, false);
	branch_encode(code, OP_CALL, m->ftrace_call, gva_of(0));
	inside_of_ftrace(g, code, false);
	branch_encode(code, OP_JMP, m->ftrace_call, m->target[0]);
	inside_of_ftrace(g, code, false);
	inside_of_ftrace(g, NOP5, false);
	patching_put(m, symbol(g, "ftrace_trace_function"), m->module.v);
	branch_encode(code, OP_CALL, m->ftrace_call, m->module);
	inside_of_ftrace(g, code, false);
}

/* --- kprobes --- */

static gva probe(struct guest *g, unsigned flags)
{
	struct world *world = g->made.world;
	gva kprobe = world_alloc(world, 64);

	world_set(world, kprobe, "kprobe.addr", g->made.code.v + PROBED);
	world_set(world, kprobe, "kprobe.flags", flags);
	world_hlist_add(world, symbol(g, "kprobe_table"),
			world_member(world, kprobe, "kprobe.hlist"));
	view_refresh(world_view(world));
	return kprobe;
}

static void a_kprobes_breakpoint_is_in_the_table(void **state)
{
	struct guest *g = *state;

	/* The code is int3 otherwise. */
	memcpy(patching_at(&g->made, gva_add(g->made.code, PROBED)), NOP5 NOP5, 10);
	memcpy(g->found + PROBED, NOP5 NOP5, 10);
	g->found[PROBED] = OP_INT3;
	is_told(g, PROBED, 1, false);
	probe(g, 0);
	is_explained(g, 1);
	g->found[PROBED + 1] = OP_INT3;
	is_told(g, PROBED + 1, 1, false);
	g->found[PROBED + 1] = 0x1f;
	g->found[PROBED] = OP_JMP;
	is_told(g, PROBED, 1, false);
}

static void optimise(struct guest *g, gva slots)
{
	struct world *world = g->made.world;
	gva page = world_alloc(world, 64);

	probe(g, 4);
	world_set(world, page, "kprobe_insn_page.insns", slots.v);
	world_list_add(world, symbol(g, "kprobe_optinsn_slots"),
		       world_member(world, page, "kprobe_insn_page.list"));
	branch(g, PROBED, OP_JMP, gva_add(slots, 64));
	world_copy(world, gva_add(g->made.code, PROBED), g->found + PROBED, 5);
	view_refresh(world_view(world));
}

static void an_optimised_kprobe_jumps_to_a_slot(void **state)
{
	struct guest *g = *state;

	optimise(g, g->made.tables);
	is_explained(g, 5);
	branch(g, PROBED, OP_JMP, g->made.target[0]);
	world_copy(g->made.world, gva_add(g->made.code, PROBED), g->found + PROBED, 5);
	view_refresh(world_view(g->made.world));
	is_told(g, PROBED, 5, false);
}

static void each_byte_of_a_kprobes_jump_counts(void **state)
{
	struct guest *g = *state;

	optimise(g, g->made.tables);
	g->found[PROBED + 3] ^= 0x40;	/* not what the kernel's own address shows */
	look(g);
	assert_int_equal(g->told_n, 1);
	assert_false(g->told[0].passing);
}

static void a_kprobe_that_is_being_optimised_is_in_passing(void **state)
{
	struct guest *g = *state;

	optimise(g, g->made.tables);
	g->found[PROBED] = OP_INT3;	/* as shipped, too */
	world_copy(g->made.world, gva_add(g->made.code, PROBED), "\xcc", 1);
	hold(g, true);
	is_told(g, PROBED + 1, 4, true);
	hold(g, false);
	is_told(g, PROBED + 1, 4, false);
}

/* --- keys --- */

static void a_jump_label_follows_its_key(void **state)
{
	struct guest *g = *state;

	branch(g, LABEL, OP_JMP, gva_add(g->made.code, 600));
	is_told(g, LABEL, NEAR_BYTES, false);
	assert_string_equal(g->told[0].kind, "jump label");
	hold(g, true);
	is_told(g, LABEL, 5, true);
	hold(g, false);
	patching_put(&g->made, g->made.static_key, 1);
	is_explained(g, NEAR_BYTES);
	branch(g, LABEL, OP_JMP, gva_add(g->made.code, 601));
	hold(g, true);
	is_told(g, LABEL, NEAR_BYTES, false);
}

static void a_static_call_follows_its_key(void **state)
{
	struct guest *g = *state;

	branch(g, CALL, OP_CALL, g->made.target[1]);
	look(g);
	assert_int_equal(g->told_n, 1);
	assert_string_equal(g->told[0].kind, "static call");
	assert_int_equal(g->told[0].target.v, g->made.target[1].v);
	patching_put(&g->made, g->made.static_call, g->made.target[1].v);
	look(g);
	assert_int_equal(g->told_n, 0);
	assert_true(g->explained > 0);
}

static void a_key_and_its_call_that_lead_to_a_stranger_are_told(void **state)
{
	struct guest *g = *state;
	struct patching *m = &g->made;

	/* Both were changed before anything was predicted. */
	patching_put(m, m->static_call, m->module.v);
	boot(g);
	branch(g, CALL, OP_CALL, m->module);
	look(g);
	assert_int_equal(g->told_n, 1);
	assert_false(g->told[0].passing);
	assert_int_equal(g->told[0].target.v, m->module.v);
}

static void a_trampoline_that_was_changed_back_is_explained(void **state)
{
	struct guest *g = *state;
	struct patching *m = &g->made;
	uint8_t found[JUMP_BYTES];

	branch_encode(found, OP_JMP, m->trampoline, m->target[0]);
	memcpy(patching_at(m, m->trampoline), found, 5);
	memcpy(patching_at(m, m->static_call), &m->target[0].v, 8);
	patching_put(m, m->static_call, m->target[1].v);
	boot(g);
	patching_put(m, m->static_call, m->target[0].v);
	assert_int_equal(compare_bytes(g, m->trampoline, found, 5), 0);
	assert_int_equal(g->told_n, 0);
	branch_encode(found, OP_JMP, m->trampoline, m->module);
	assert_int_equal(compare_bytes(g, m->trampoline, found, 5), 0);
	assert_int_equal(g->told_n, 1);
}

static void a_place_that_does_not_follow_its_key_is_told(void **state)
{
	struct guest *g = *state;
	struct patching *m = &g->made;

	/* Both changed, then both places were put back. */
	patching_put(m, m->static_key, 1);
	patching_put(m, m->static_call, m->target[1].v);
	look(g);
	assert_int_equal(g->told_n, 2);
	assert_int_equal(g->told[0].at.v, m->code.v + LABEL);
	assert_int_equal(g->told[1].at.v, m->code.v + CALL);
	assert_false(g->told[0].passing || g->told[1].passing);
	assert_string_equal(g->told[0].why, "its key was changed, and it was not");
	hold(g, true);
	look(g);
	assert_true(g->told[0].passing && g->told[1].passing);
	hold(g, false);
	branch(g, LABEL, OP_JMP, gva_add(m->code, 600));
	branch(g, CALL, OP_CALL, m->target[1]);
	look(g);
	assert_int_equal(g->told_n, 0);
}

/* --- lock prefixes --- */

static void locks_come_back_with_the_second_cpu_all_at_once(void **state)
{
	struct guest *g = *state;
	struct patching *m = &g->made;

	m->patcher.unlocked = true;
	boot(g);
	g->found[LOCKS] = PREFIX_LOCK;
	is_told(g, LOCKS, 1, false);
	for (unsigned i = 0; i < 8; i++)
		g->found[LOCKS + 16 * i] = PREFIX_LOCK;
	world_copy(m->world, m->code, g->found, LOOKED_BYTES);
	view_refresh(world_view(m->world));
	is_explained(g, 8);
	g->found[LOCKS] = 0x2e;
	is_told(g, LOCKS, 1, false);
}

/* --- which bytes are one difference --- */

static void differences_that_are_near_are_one(void **state)
{
	struct guest *g = *state;

	g->found[PLAIN] = g->found[PLAIN + 8] = 0x90;
	is_told(g, PLAIN, 9, false);
	g->found[PLAIN + 8] = OP_INT3;
	g->found[PLAIN + 9] = 0x90;
	look(g);
	assert_int_equal(g->told_n, 2);
	assert_int_equal(g->told[0].size_bytes, 1);
	assert_int_equal(g->told[1].at.v, g->made.code.v + PLAIN + 9);
}

static void a_difference_ends_where_something_is_explained(void **state)
{
	struct guest *g = *state;

	g->found[LABEL - 1] = 0x90;
	g->found[LABEL + 5] = 0x90;
	patching_put(&g->made, g->made.static_key, 1);
	branch(g, LABEL, OP_JMP, gva_add(g->made.code, 600));
	look(g);
	assert_int_equal(g->explained, NEAR_BYTES);
	assert_int_equal(g->told_n, 2);
	assert_int_equal(g->told[0].at.v, g->made.code.v + LABEL - 1);
	assert_int_equal(g->told[0].size_bytes, 1);
	assert_int_equal(g->told[1].at.v, g->made.code.v + LABEL + 5);
	assert_int_equal(g->told[1].size_bytes, 1);
}

static void a_place_may_straddle_what_is_compared(void **state)
{
	struct guest *g = *state;
	struct patching *m = &g->made;
	gva at = gva_add(m->code, LABEL + 2);

	patching_put(m, m->static_key, 1);
	branch(g, LABEL, OP_JMP, gva_add(m->code, 600));
	world_copy(m->world, m->code, g->found, LOOKED_BYTES);
	view_refresh(world_view(m->world));
	assert_int_equal(compare_bytes(g, m->code, g->found, LABEL + 2), 0);
	assert_int_equal(g->told_n, 0);
	assert_int_equal(g->explained, 2);
	assert_int_equal(compare_bytes(g, at, g->found + LABEL + 2, 64), 0);
	assert_int_equal(g->told_n, 0);
	assert_int_equal(g->explained, NEAR_BYTES - 2);
	/* What was read counts, whatever the kernel's own address shows. */
	g->found[LABEL + 3] ^= 1;
	assert_int_equal(compare_bytes(g, at, g->found + LABEL + 2, 64), 0);
	assert_int_equal(g->told_n, 1);
}

static void who_is_told_may_end_it(void **state)
{
	struct guest *g = *state;

	g->found[PLAIN] = g->found[PLAIN + 100] = 0x90;
	g->answer = -ELOOP;
	assert_int_equal(compare_bytes(g, g->made.code, g->found, LOOKED_BYTES), -ELOOP);
	assert_int_equal(g->told_n, 1);
}

static void what_was_not_shipped_cannot_be_compared(void **state)
{
	struct guest *g = *state;

	assert_int_equal(compare_bytes(g, gva_of(0xffffffff80000000), g->found, 16), -EINVAL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start_booted, end)
#define TEST_BEFORE_BOOT(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_untouched_guest_has_no_difference),
		TEST(a_call_of_ftrace_needs_someone_who_traces),
		TEST(a_call_of_ftrace_that_ftrace_does_not_know_of_is_told),
		TEST(a_call_of_ftrace_that_was_taken_out_is_told),
		TEST(a_place_that_is_named_twice_is_told_once),
		TEST(where_ftrace_gave_up_its_places_are_not_judged),
		TEST(a_call_of_a_stranger_is_told_with_its_target),
		TEST(what_a_kernel_does_not_have_is_not_at_address_0),
		TEST(a_trampoline_is_called_at_its_start_only),
		TEST(bpf_alternates_between_the_halves_of_a_page),
		TEST(a_breakpoint_is_the_kernels_only_while_it_patches),
		TEST(the_call_inside_of_ftrace_is_of_whom_it_calls),
		TEST(a_kprobes_breakpoint_is_in_the_table),
		TEST(an_optimised_kprobe_jumps_to_a_slot),
		TEST(each_byte_of_a_kprobes_jump_counts),
		TEST(a_kprobe_that_is_being_optimised_is_in_passing),
		TEST(a_jump_label_follows_its_key),
		TEST(a_static_call_follows_its_key),
		TEST(a_place_that_does_not_follow_its_key_is_told),
		TEST_BEFORE_BOOT(a_key_and_its_call_that_lead_to_a_stranger_are_told),
		TEST_BEFORE_BOOT(a_trampoline_that_was_changed_back_is_explained),
		TEST_BEFORE_BOOT(locks_come_back_with_the_second_cpu_all_at_once),
		TEST(differences_that_are_near_are_one),
		TEST(a_difference_ends_where_something_is_explained),
		TEST(a_place_may_straddle_what_is_compared),
		TEST(who_is_told_may_end_it),
		TEST(what_was_not_shipped_cannot_be_compared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
