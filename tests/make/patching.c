/* SPDX-License-Identifier: Apache-2.0 */
#include "make/patching.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define IMAGE_BYTES  (4u << 20)
#define TABLE_BYTES  2048u	/* of one table */
#define REPL_AT	     (SHIPPED_TABLES * TABLE_BYTES)
#define TABLES_BYTES (REPL_AT + 8192u)
#define ENTRY_BYTES  14u	/* alt_instr since 6.3 */

static const struct made_struct types[] = {
	{ "alt_instr", ENTRY_BYTES, { { "instr_offset", 0, "u32" }, { "repl_offset", 4, "u32" },
		{ "cpuid", 8, "u16" }, { "flags", 10, "u16" }, { "instrlen", 12, "u8" },
		{ "replacementlen", 13, "u8" } } },
	{ "static_key", 16, { { "enabled", 0, "u32" } } },
	{ "static_call_key", 16, { { "func", 0, "ptr" } } },
	{ "mutex", 32, { { "owner", 0, "u64" } } },
	{ "kmem_cache", 16, { { "name", 8, "ptr" } } },
	{ "hlist_node", 16, { { "next", 0, "ptr" }, { "pprev", 8, "ptr" } } },
	{ "arch_optimized_insn", 8, { { "copied_insn", 0, "u8", 4 } } },
	{ "kprobe", 48, { { "hlist", 0, "hlist_node" }, { "addr", 16, "ptr" },
		{ "opcode", 24, "u8" }, { "flags", 28, "u32" } } },
	{ "optimized_kprobe", 64, { { "kp", 0, "kprobe" },
		{ "optinsn", 48, "arch_optimized_insn" } } },
	{ "list_head", 16, { { "next", 0, "ptr" }, { "prev", 8, "ptr" } } },
	{ "kprobe_insn_cache", 16, { { "pages", 0, "list_head" } } },
	{ "kprobe_insn_page", 24, { { "list", 0, "list_head" }, { "insns", 16, "ptr" } } },
	{ "ftrace_ops", 32, { { "next", 0, "ptr" }, { "trampoline", 8, "u64" },
		{ "trampoline_size", 16, "u64" } } },
	{ "dyn_ftrace", 16, { { "ip", 0, "u64" }, { "flags", 8, "u64" } } },
	{ "ftrace_page", 24, { { "next", 0, "ptr" }, { "records", 8, "ptr" },
		{ "index", 16, "u32" } } },
	{ "bpf_ksym", 32, { { "start", 0, "u64" }, { "end", 8, "u64" },
		{ "lnode", 16, "list_head" } } },
};

/* x86_nops (arch/x86/kernel/alternative.c) */
static const char *const nops[] = {
	"", "\x90", "\x66\x90", "\x0f\x1f\x00", "\x0f\x1f\x40\x00", "\x0f\x1f\x44\x00\x00",
	"\x66\x0f\x1f\x44\x00\x00", "\x0f\x1f\x80\x00\x00\x00\x00",
	"\x0f\x1f\x84\x00\x00\x00\x00\x00",
};

static void make_functions(struct patching *m)
{
	static const char *const registers[] = {
		"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
		"r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
	};
	static const char *const functions[] = {
		"__x86_return_thunk", "its_return_thunk", "BUG_func", "nop_func",
		"_paravirt_nop", "_paravirt_ident_64", "native_irq_disable", "nothing",
	};
	char name[64];

	m->code = world_function(m->world, "code", PATCHING_CODE);
	for (size_t i = 0; i < ARRAY_SIZE(registers); i++) {
		snprintf(name, sizeof(name), "__x86_indirect_thunk_%s", registers[i]);
		m->thunk[i] = world_function(m->world, name, 64);
	}
	for (size_t i = 0; i < ARRAY_SIZE(functions); i++)
		world_function(m->world, functions[i], 64);
	m->target[0] = world_function(m->world, "target_a", 64);
	m->target[1] = world_function(m->world, "target_b", 64);
	m->return0 = world_function(m->world, "__static_call_return0", 64);
	m->trampoline = world_function(m->world, "__SCT__shown", 64);
	m->ftrace_caller = world_function(m->world, "ftrace_caller", 64);
	m->ftrace_call = world_function(m->world, "ftrace_call", 64);
	m->ftrace_stub = world_function(m->world, "ftrace_stub", 64);
	world_symbol(m->world, "_etext", 64);
}

static void make_variables(struct patching *m)
{
	static const struct { const char *name; uint32_t bytes; } variables[] = {
		{ "text_mutex", 32 }, { "ftrace_ops_list", 8 }, { "ftrace_list_end", 32 },
		{ "ftrace_trace_function", 8 }, { "kprobe_table", 64 * 8 },
		{ "kprobe_optinsn_slots", 16 }, { "bpf_kallsyms", 16 }, { "counted", 8 },
		{ "USER_PTR_MAX", 8 }, { "ftrace_pages_start", 8 }, { "ftrace_disabled", 8 },
	};

	m->static_call = world_symbol(m->world, "__SCK__shown", 64);
	m->static_key = world_symbol(m->world, "shown_key", 64);
	m->pv_ops = world_symbol(m->world, "pv_ops", 512);
	m->tables = world_symbol(m->world, "tables", TABLES_BYTES);
	m->module = world_symbol(m->world, "no_function", 64);
	for (size_t i = 0; i < ARRAY_SIZE(variables); i++)
		world_symbol(m->world, variables[i].name, variables[i].bytes);
}

static void make_patcher(struct patching *m)
{
	const struct kernel *kernel = world_kernel(m->world);
	struct patcher *p = &m->patcher;
	struct err err = {0};

	vec_free(&p->keys);
	*p = (struct patcher){
		.kernel = kernel, .vmlinux = &m->shipped, .symbols = kernel->symbols,
		.types = kernel->types, .borrows_types = true, .text = kernel->text,
		.etext = symbols_lookup(kernel->symbols, "_etext"), .caps_n = 24,
		.nop_max = 8, .return_thunk = symbols_lookup(kernel->symbols, "__x86_return_thunk"),
		.pv_ops = m->pv_ops, .pv_iret = UINT32_MAX, .pv_sysret = UINT32_MAX, .return0 = m->return0,
	};
	for (unsigned i = 1; i < ARRAY_SIZE(nops); i++)
		memcpy(p->nop[i], nops[i], i);
	memcpy(p->nop5, nops[5], 5);
	if (types_field(p->types, "alt_instr", &p->alt.size, &err) < 0 ||
	    types_field(p->types, "alt_instr.instr_offset", &p->alt.instr, &err) < 0 ||
	    types_field(p->types, "alt_instr.repl_offset", &p->alt.repl, &err) < 0 ||
	    types_field(p->types, "alt_instr.cpuid", &p->alt.cpuid, &err) < 0 ||
	    types_field(p->types, "alt_instr.flags", &p->alt.flags, &err) < 0 ||
	    types_field(p->types, "alt_instr.instrlen", &p->alt.instr_bytes, &err) < 0 ||
	    types_field(p->types, "alt_instr.replacementlen", &p->alt.repl_bytes, &err) < 0)
		abort();
}

void patching_open(struct patching *m)
{
	struct shipped_part *part;
	gva head, list;

	*m = (struct patching){ .world = world_new() };
	make_functions(m);
	make_variables(m);
	world_start(m->world, types, ARRAY_SIZE(types));
	part = shipped_add(&m->shipped, "image", world_kernel(m->world)->text, IMAGE_BYTES,
			   PART_EXEC);
	if (!part)
		abort();
	memset(patching_at(m, m->code), OP_INT3, PATCHING_CODE);
	for (unsigned i = 0; i < SHIPPED_TABLES; i++)
		m->shipped.table[i].at = gva_add(m->tables, i * TABLE_BYTES);
	make_patcher(m);
	head = symbols_lookup(m->patcher.symbols, "ftrace_ops_list");
	patching_put(m, head, symbols_lookup(m->patcher.symbols, "ftrace_list_end").v);
	for (unsigned i = 0; i < 2; i++) {
		list = symbols_lookup(m->patcher.symbols, i ? "bpf_kallsyms" :
							      "kprobe_optinsn_slots");
		patching_put(m, list, list.v);
		patching_put(m, gva_add(list, 8), list.v);
	}
	patching_boot(m);
	m->pristine = malloc(IMAGE_BYTES);
	if (!m->pristine)
		abort();
	memcpy(m->pristine, part->bytes, IMAGE_BYTES);
}

void patching_close(struct patching *m)
{
	vec_free(&m->patcher.keys);
	free(m->pristine);
	sites_free(&m->sites);
	shipped_free(&m->shipped);
	world_end(&m->world);
}

uint8_t *patching_at(struct patching *m, gva at)
{
	uint8_t *bytes = shipped_at(&m->shipped, at, 1);

	if (!bytes)
		abort();
	return bytes;
}

gva patching_code(struct patching *m, uint32_t offset, const void *code, size_t n)
{
	memcpy(patching_at(m, gva_add(m->code, offset)), code, n);
	return gva_add(m->code, offset);
}

gva patching_branch(struct patching *m, uint32_t offset, uint8_t op, gva target)
{
	uint8_t code[JUMP_BYTES];

	branch_encode(code, op, gva_add(m->code, offset), target);
	return patching_code(m, offset, code, sizeof(code));
}

gva patching_entry(struct patching *m, enum shipped_table table, const void *entry, size_t n)
{
	struct shipped_range *range = &m->shipped.table[table];
	gva at = gva_add(range->at, range->size_bytes);

	if (n > TABLE_BYTES - range->size_bytes)
		abort();
	memcpy(patching_at(m, at), entry, n);
	range->size_bytes += n;
	return at;
}

static int32_t from_to(gva from, gva to)
{
	return (int32_t)(to.v - from.v);
}

static gva next_entry(const struct patching *m, enum shipped_table table)
{
	return gva_add(m->shipped.table[table].at, m->shipped.table[table].size_bytes);
}

void patching_place(struct patching *m, enum shipped_table table, gva at)
{
	int32_t offset = from_to(next_entry(m, table), at);

	patching_entry(m, table, &offset, sizeof(offset));
}

gva patching_replacement(const struct patching *m)
{
	return gva_add(m->tables, REPL_AT + m->tables_n);
}

void patching_alternative(struct patching *m, gva at, unsigned bytes, unsigned cpuid,
			  unsigned flags, const void *repl, size_t repl_bytes)
{
	gva entry = next_entry(m, TABLE_ALTERNATIVES), to = patching_replacement(m);
	int32_t instr = from_to(entry, at), replacement = from_to(gva_add(entry, 4), to);
	uint8_t packed[ENTRY_BYTES] = {0};

	memcpy(patching_at(m, to), repl, repl_bytes);
	m->tables_n += (uint32_t)repl_bytes;
	memcpy(packed, &instr, 4);
	memcpy(packed + 4, &replacement, 4);
	packed[8] = (uint8_t)cpuid;
	packed[9] = (uint8_t)(cpuid >> 8);
	packed[10] = (uint8_t)flags;
	packed[12] = (uint8_t)bytes;
	packed[13] = (uint8_t)repl_bytes;
	patching_entry(m, TABLE_ALTERNATIVES, packed, sizeof(packed));
}

void patching_jump(struct patching *m, gva at, gva target, bool branch)
{
	gva entry = next_entry(m, TABLE_JUMPS);
	int32_t offsets[2] = { from_to(entry, at), from_to(gva_add(entry, 4), target) };
	uint64_t key = m->static_key.v - gva_add(entry, 8).v + branch;
	uint8_t packed[16];

	memcpy(packed, offsets, 8);
	memcpy(packed + 8, &key, 8);
	patching_entry(m, TABLE_JUMPS, packed, sizeof(packed));
}

void patching_static_call(struct patching *m, gva at, bool tail)
{
	gva entry = next_entry(m, TABLE_STATIC_CALLS);
	int32_t packed[2] = {
		from_to(entry, at), from_to(gva_add(entry, 4), gva_add(m->static_call, tail)),
	};

	patching_entry(m, TABLE_STATIC_CALLS, packed, sizeof(packed));
}

void patching_put(struct patching *m, gva at, uint64_t value)
{
	world_put(m->world, at, value);
	view_refresh(world_view(m->world));
}

void patching_boot(struct patching *m)
{
	struct shipped_part *part = &m->shipped.parts.v[0];
	uint64_t text = m->patcher.etext.v - part->at.v;

	world_copy(m->world, m->code, patching_at(m, m->code),
		   (uint32_t)(text - (m->code.v - part->at.v)));
	view_refresh(world_view(m->world));
}

void patching_feature(struct patching *m, unsigned cpuid)
{
	m->patcher.caps[cpuid / 32] |= 1u << cpuid % 32;
}

/* Modes, features, sizes of the tables; then the code, the tables, the replacements. */
struct saved {
	uint8_t style, retpoline, returns, flags;
	uint32_t caps;
	uint16_t size[SHIPPED_TABLES];
};

uint8_t *patching_save(const struct patching *m, size_t *size)
{
	const struct patcher *p = &m->patcher;
	struct saved head = {
		(uint8_t)p->style, (uint8_t)p->retpoline, (uint8_t)p->returns,
		(uint8_t)(p->unlocked | p->has_poison << 1), p->caps[0], {0},
	};
	uint8_t *data = malloc(sizeof(head) + PATCHING_CODE + TABLES_BYTES);
	size_t n = sizeof(head);

	if (!data)
		abort();
	memcpy(data + n, shipped_at(&m->shipped, m->code, PATCHING_CODE), PATCHING_CODE);
	n += PATCHING_CODE;
	for (unsigned i = 0; i < SHIPPED_TABLES; i++) {
		const struct shipped_range *range = &m->shipped.table[i];

		head.size[i] = (uint16_t)range->size_bytes;
		if (range->size_bytes)
			memcpy(data + n, shipped_at(&m->shipped, range->at, range->size_bytes),
			       range->size_bytes);
		n += range->size_bytes;
	}
	memcpy(data + n, shipped_at(&m->shipped, gva_add(m->tables, REPL_AT), m->tables_n),
	       m->tables_n);
	memcpy(data, &head, sizeof(head));
	*size = n + m->tables_n;
	return data;
}

/* The next @n bytes of the input, as far as there are so many. */
static void take(const uint8_t **data, size_t *size, void *to, size_t n)
{
	if (n > *size)
		n = *size;
	if (n)
		memcpy(to, *data, n);
	*data += n;
	*size -= n;
}

void patching_load(struct patching *m, const uint8_t *data, size_t size)
{
	struct patcher *p = &m->patcher;
	struct saved head = {0};

	memcpy(m->shipped.parts.v[0].bytes, m->pristine, IMAGE_BYTES);
	sites_free(&m->sites);
	take(&data, &size, &head, sizeof(head));
	p->style = head.style % ALTERNATIVE_STYLES;
	p->retpoline = head.retpoline % RETPOLINE_MODES;
	p->returns = head.returns % RETURN_MODES;
	p->unlocked = head.flags & 1;
	p->has_poison = head.flags >> 1 & 1;
	p->caps[0] = head.caps;
	take(&data, &size, patching_at(m, m->code), PATCHING_CODE);
	for (unsigned i = 0; i < SHIPPED_TABLES; i++) {
		struct shipped_range *range = &m->shipped.table[i];

		range->size_bytes = head.size[i] % (TABLE_BYTES + 1);
		take(&data, &size, patching_at(m, range->at), range->size_bytes);
	}
	take(&data, &size, patching_at(m, gva_add(m->tables, REPL_AT)), TABLES_BYTES - REPL_AT);
	patching_boot(m);
}
