/* SPDX-License-Identifier: Apache-2.0 */
#include <capstone/capstone.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "check/code.h"
#include "check/dispatch.h"
#include "check/syscall_entries.h"
#include "guest/follow.h"

#define CODE_MAX      (256u << 10)	/* of one part; the largest has 10 KiB */
#define NUMBERS_MORE  8u		/* numbers beyond the last that are tried as well */
#define SAME_MAX      4u		/* numbers with one wrong target that are told apart */

/* --- what was found sound before --- */

/*
 * The same bytes at the same place of the same kernel lead where they led: what was sound and
 * depends on nothing else needs no second look. A cache, and nothing else: of one thread, so of
 * one guest's scanner.
 */
#define SOUND_MAX 64u

struct sound {
	unsigned char digest[SOUND_MAX][crypto_generichash_BYTES_MIN];
	unsigned next;
};

static _Thread_local struct sound sound;

static void digest_code(const struct kernel *kernel, const struct dispatch_code *code,
			unsigned char digest[crypto_generichash_BYTES_MIN])
{
	uint64_t place[] = { code->at.v, code->size, kernel->text.v,
			     symbols_count(kernel->symbols) };
	crypto_generichash_state state;

	crypto_generichash_init(&state, NULL, 0, crypto_generichash_BYTES_MIN);
	crypto_generichash_update(&state, (const void *)place, sizeof(place));
	crypto_generichash_update(&state, (const void *)&kernel->boot, sizeof(kernel->boot));
	crypto_generichash_update(&state, code->bytes, code->size);
	crypto_generichash_final(&state, digest, crypto_generichash_BYTES_MIN);
}

static bool was_sound(const unsigned char digest[crypto_generichash_BYTES_MIN])
{
	for (unsigned i = 0; i < SOUND_MAX; i++)
		if (!memcmp(sound.digest[i], digest, crypto_generichash_BYTES_MIN))
			return true;
	return false;
}

static void remember_sound(const unsigned char digest[crypto_generichash_BYTES_MIN])
{
	memcpy(sound.digest[sound.next++ % SOUND_MAX], digest, crypto_generichash_BYTES_MIN);
}

/* --- functions that choose by the number of the system call --- */

struct choice {
	struct dispatch *dispatch;
	const struct dispatch_code *code;
	enum syscall_abi abi;
	struct follow_result *to;	/* by number */
	bool *met;			/* by instruction: on the way of any number */
	uint32_t n;
};

static bool read_code(void *ctx, gva at, unsigned size_bytes, uint64_t *ret)
{
	const struct choice *choice = ctx;

	choice->dispatch->fixed = false;
	return view_uint(choice->dispatch->view, at, size_bytes, ret, NULL) >= 0;
}

/* arch/x86/lib/retpoline.S: __x86_indirect_thunk_rax and its kin. */
static unsigned thunk_register(const struct kernel *kernel, gva target)
{
	static const struct {
		const char *name;
		unsigned reg;
	} registers[] = {
		{ "rax", X86_REG_RAX }, { "rcx", X86_REG_RCX }, { "rdx", X86_REG_RDX },
		{ "rbx", X86_REG_RBX }, { "rbp", X86_REG_RBP }, { "rsi", X86_REG_RSI },
		{ "rdi", X86_REG_RDI }, { "r8", X86_REG_R8 },	{ "r9", X86_REG_R9 },
		{ "r10", X86_REG_R10 }, { "r11", X86_REG_R11 }, { "r12", X86_REG_R12 },
		{ "r13", X86_REG_R13 }, { "r14", X86_REG_R14 }, { "r15", X86_REG_R15 },
	};
	char name[64];

	if (!symbols_is_start(kernel->symbols, target, "__x86_indirect_"))
		return X86_REG_INVALID;
	for (size_t i = 0; i < ARRAY_SIZE(registers); i++) {
		snprintf(name, sizeof(name), "__x86_indirect_thunk_%s", registers[i].name);
		if (symbols_lookup(kernel->symbols, name).v == target.v)
			return registers[i].reg;
	}
	return X86_REG_INVALID;
}

static void meet(void *ctx, const struct insn *insn)
{
	const struct choice *choice = ctx;

	choice->met[insn - choice->code->insns.list.v] = true;
}

static bool choice_was_followed(void *ctx, size_t i)
{
	return ((const struct choice *)ctx)->met[i];
}

static bool is_detour(void *ctx, const struct insn *from, gva target, unsigned *through)
{
	const struct choice *choice = ctx;

	*through = thunk_register(choice->dispatch->kernel, target);
	return *through != X86_REG_INVALID ||
	       dispatch_is_traced(choice->dispatch, choice->code->at, from, target);
}

static uint32_t count_numbers(const struct kernel *kernel)
{
	gva table = symbols_lookup(kernel->symbols, "sys_call_table");
	struct symbol symbol;
	uint64_t bytes;

	if (!table.v || symbols_at(kernel->symbols, table, &symbol, &bytes) < 0 ||
	    bytes / 8 > SYSCALLS_MAX)
		return 512;
	return (uint32_t)(bytes / 8);
}

static bool leads_to(const struct choice *choice, uint32_t number, gva target)
{
	const struct follow_result *to = &choice->to[number];

	return to->end == FOLLOW_LEAVES && to->target.v == target.v;
}

/* Numbers that share @target; @first receives the least of them. */
static uint32_t count_same(const struct choice *choice, gva target, uint32_t *first)
{
	uint32_t n = 0;

	for (uint32_t i = choice->n; i-- > 0;) {
		if (!leads_to(choice, i, target))
			continue;
		*first = i;
		n++;
	}
	return n;
}

static void report_all(const struct choice *choice, gva target, uint32_t numbers)
{
	struct dispatch *dispatch = choice->dispatch;
	struct finding *finding;

	finding = check_finding(dispatch->run, SEVERITY_CRITICAL, "syscall", choice->code->at, "%s",
				choice->code->name);
	finding_title(finding, "%u system calls lead to code that is no system call", numbers);
	code_evidence(dispatch->run, dispatch->owners, finding, "system calls", choice->code->at,
		      "each its own function", target);
}

static int judge_number(const struct choice *choice, uint32_t number, struct err *err)
{
	struct dispatch *dispatch = choice->dispatch;
	gva target = choice->to[number].target, from = choice->to[number].at;
	struct finding *finding;
	enum syscall_fit fit;
	uint32_t same = 1, first = number;
	char expected[96];
	int r;

	fit = syscall_judge(dispatch->kernel, choice->abi, number, target, expected,
			    sizeof(expected));
	if (fit == SYSCALL_RIGHT)
		return 0;
	dispatch->sound = false;
	r = dispatch_owners(dispatch, err);
	if (r < 0)
		return r;
	if (fit == SYSCALL_FOREIGN)
		same = count_same(choice, target, &first);
	if (same > SAME_MAX) {
		if (first == number)
			report_all(choice, target, same);
		return 0;
	}
	finding = syscall_entry_finding(dispatch->run, dispatch->owners, choice->code->name,
					choice->abi, number, from, target, fit, expected);
	code_evidence_bytes(dispatch->run, dispatch->owners, finding, "branch", from);
	return 0;
}

/* The branches that lead to what was reported by number need no second finding. */
static bool choice_may_lead_to(void *ctx, gva target)
{
	const struct choice *choice = ctx;
	const struct kernel *kernel = choice->dispatch->kernel;
	char expected[96];

	for (uint32_t i = 0; i < choice->n; i++)
		if (leads_to(choice, i, target))
			return true;
	return syscall_judge(kernel, choice->abi, UINT32_MAX, target, expected,
			     sizeof(expected)) == SYSCALL_RIGHT ||
	       symbols_is_start(kernel->symbols, target, "__x86_");
}

static int follow_numbers(struct choice *choice, struct err *err)
{
	struct follow_ops ops = { read_code, is_detour, meet, choice };
	uint32_t unknown = 0;
	int r = 0;

	for (uint32_t i = 0; i < choice->n; i++) {
		choice->to[i] = follow_code(&choice->code->insns, X86_REG_RSI, i, &ops);
		unknown += choice->to[i].end != FOLLOW_LEAVES;
	}
	for (uint32_t i = 0; r >= 0 && i < choice->n; i++)
		if (choice->to[i].end == FOLLOW_LEAVES)
			r = judge_number(choice, i, err);
	if (unknown) {
		choice->dispatch->sound = false;
		check_inconclusive(choice->dispatch->run,
				   "%s: where %u of %u system calls lead cannot be followed",
				   choice->code->name, unknown, choice->n);
	}
	return r;
}

static int check_choice(struct dispatch *dispatch, struct dispatch_code *code,
			enum syscall_abi abi, struct err *err)
{
	uint32_t n = count_numbers(dispatch->kernel) + NUMBERS_MORE;
	cleanup(freep) struct follow_result *to = calloc(n, sizeof(*to));
	cleanup(freep) bool *met = calloc(code->insns.list.n + 1, sizeof(*met));
	struct choice choice = { dispatch, code, abi, to, met, n };
	int r;

	if (!to || !met)
		return -ENOMEM;
	r = follow_numbers(&choice, err);
	if (r < 0)
		return r;
	code->may_lead_to = choice_may_lead_to;
	code->was_followed = choice_was_followed;
	code->ctx = &choice;
	return dispatch_check(dispatch, code, err);
}

/* --- the parts of the way --- */

struct part {
	const char *from, *to;	/* symbols; @to NULL: up to the next symbol */
	bool chooses;
	enum syscall_abi abi;	/* where it chooses */
};

/*
 * Whatever of these a kernel has: arch/x86/entry/{entry_64.S,entry_64_compat.S,common.c,
 * syscall_64.c,syscall_32.c,entry_fred.c}. Choosing by code: 1e3ad78334a6 (6.9) and its
 * backports.
 */
static const struct part parts[] = {
	{ "entry_SYSCALL_64", "__entry_text_end", false, 0 },
	{ "do_syscall_64", NULL, false, 0 },
	{ "do_int80_syscall_32", NULL, false, 0 },
	{ "do_int80_emulation", NULL, false, 0 },
	{ "do_fast_syscall_32", NULL, false, 0 },
	{ "__do_fast_syscall_32", NULL, false, 0 },
	{ "do_SYSENTER_32", NULL, false, 0 },
	{ "fred_entry_from_user", NULL, false, 0 },
	{ "fred_other", NULL, false, 0 },
	{ "fred_intx", NULL, false, 0 },
	{ "x64_sys_call", NULL, true, SYSCALL_64 },
	{ "x32_sys_call", NULL, true, SYSCALL_X32 },
	{ "ia32_sys_call", NULL, true, SYSCALL_IA32 },
};

static int locate(const struct kernel *kernel, const struct part *part, gva *at, uint64_t *size)
{
	struct symbol symbol;
	gva end;

	*at = symbols_lookup(kernel->symbols, part->from);
	if (!at->v)
		return -ENOENT;
	if (!part->to)
		return symbols_at(kernel->symbols, *at, &symbol, size);
	end = symbols_lookup(kernel->symbols, part->to);
	*size = end.v > at->v ? end.v - at->v : 0;
	return end.v ? 0 : -ENOENT;
}

static int check_code(struct dispatch *dispatch, const struct part *part,
		      struct dispatch_code *code, struct err *err)
{
	unsigned char digest[crypto_generichash_BYTES_MIN];
	int r;

	digest_code(dispatch->kernel, code, digest);
	if (was_sound(digest))
		return 0;
	dispatch->sound = dispatch->fixed = true;
	r = dispatch_decode(dispatch, code->bytes, code->size, code->at, &code->insns);
	if (r >= 0)
		r = part->chooses ? check_choice(dispatch, code, part->abi, err) :
				    dispatch_check(dispatch, code, err);
	insns_free(&code->insns);
	if (r >= 0 && dispatch->sound && dispatch->fixed)
		remember_sound(digest);
	return r;
}

static int check_part(struct dispatch *dispatch, const struct part *part, struct err *err)
{
	cleanup(freep) uint8_t *bytes = NULL;
	struct dispatch_code code = { .name = part->from };
	uint64_t size;
	int r;

	if (locate(dispatch->kernel, part, &code.at, &size) < 0)
		return 0;
	if (!size || size > CODE_MAX)
		return err_set(err, -EBADMSG, "%s has a size that it cannot have", part->from);
	bytes = malloc(size);
	if (!bytes)
		return -ENOMEM;
	r = view_read(dispatch->view, code.at, bytes, size, err);
	if (r < 0)
		return wrap(err, r, "%s", part->from);
	dispatch_restore(dispatch, code.at, bytes, size);
	code.bytes = bytes;
	code.size = size;
	r = check_code(dispatch, part, &code, err);
	if (r >= 0) {
		check_covered(dispatch->run, "parts", 1);
		check_covered(dispatch->run, "bytes", size);
	}
	return r;
}

static int syscall_dispatch_run(struct check_run *run, struct err *err)
{
	struct dispatch dispatch = {
		.run = run, .kernel = check_kernel(run), .view = check_view(run),
	};
	struct err why = { 0 };
	gva at;
	int r;

	r = kernel_symbol(dispatch.kernel, "do_syscall_64", &at, err);
	/* Without them a probe looks like what it is: a breakpoint. */
	if (r >= 0 && kprobes_read(dispatch.kernel, dispatch.view, &dispatch.kprobes, &why) < 0)
		check_inconclusive(run, "kprobes: %s", why.text);
	for (size_t i = 0; i < ARRAY_SIZE(parts) && r >= 0; i++)
		r = check_part(&dispatch, &parts[i], err);
	dispatch_close(&dispatch);
	return r;
}

CHECK(syscall_dispatch,
	.id = "syscall-dispatch",
	.group = GROUP_CODE,
	.title = "Patched code on the way to system calls",
	.proves = "From the entry of system calls on, 64- and 32-bit, each branch leads to a "
		  "function of the kernel and each table is the kernel's own; and where code "
		  "chooses, each number leads to its own function.",
	.techniques = TECHNIQUES("T1014", "T1574"),
	.fuel_max = 20000,
	.worth = 8,
	.run = syscall_dispatch_run);
