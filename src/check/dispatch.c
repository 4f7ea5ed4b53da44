/* SPDX-License-Identifier: Apache-2.0 */
#include "check/dispatch.h"

#include <capstone/capstone.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "check/code.h"
#include "linux/exec.h"

/* An ENDBR64, or the NOP that took its place, may stand before the tracer's call. */
#define COUNT_BYTES 9u	/* of the instruction that counts a call */

#define TRACE_SITE_MAX 4u

#define REPORTS_MAX 16u	/* of one piece of code: where there are more, it is all foreign */

#define BREAKPOINT 0xcc	/* int3 */
#define JUMP	   0xe9	/* jmp rel32 */

#define IMAGE_LOW  0xffffffff80000000ull	/* where code can lie that imm32 reaches */
#define IMAGE_HIGH 0xffffffffff000000ull

int dispatch_owners(struct dispatch *dispatch, struct err *err)
{
	return dispatch->owners ? 0 : check_owners(dispatch->run, &dispatch->owners, err);
}

void dispatch_close(struct dispatch *dispatch)
{
	owners_close(&dispatch->owners);
	kprobes_free(&dispatch->kprobes);
}

/* A jump of an optimised kprobe leads into the slots that the kernel has for them. */
static bool leads_to_slot(struct dispatch *dispatch, gva at, const uint8_t *bytes)
{
	struct owner owner;
	int32_t rel;

	memcpy(&rel, bytes + 1, sizeof(rel));
	return dispatch_owners(dispatch, NULL) >= 0 &&
	       owner_of(dispatch->owners,
			gva_of(at.v + KPROBE_JUMP_BYTES + (uint64_t)(int64_t)rel), &owner,
			NULL) >= 0 &&
	       owner.kind == OWNER_KPROBE;
}

void dispatch_restore(struct dispatch *dispatch, gva at, uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < dispatch->kprobes.list.n; i++) {
		const struct kprobe *kprobe = &dispatch->kprobes.list.v[i];
		uint64_t offset = kprobe->address.v - at.v;

		if (offset >= size)
			continue;
		if (bytes[offset] == BREAKPOINT)
			bytes[offset] = kprobe->original[0];
		else if (kprobe->optimized && size - offset >= KPROBE_JUMP_BYTES &&
			 bytes[offset] == JUMP &&
			 leads_to_slot(dispatch, kprobe->address, bytes + offset))
			memcpy(bytes + offset, kprobe->original, KPROBE_JUMP_BYTES);
	}
}

static bool is_kernel_text(const struct dispatch *dispatch, gva at)
{
	gva end = symbols_lookup(dispatch->kernel->symbols, "_etext");

	return at.v >= dispatch->kernel->text.v && at.v < end.v && at.v < dispatch->kernel->end.v;
}

static bool is_function(const struct dispatch *dispatch, gva at)
{
	struct symbol symbol;

	return is_kernel_text(dispatch, at) &&
	       symbols_at(dispatch->kernel->symbols, at, &symbol, NULL) >= 0 &&
	       symbol.at.v == at.v && strchr("tTwW", symbol.type);
}

bool dispatch_is_traced(struct dispatch *dispatch, gva function, const struct insn *insn,
			gva target)
{
	struct owner owner;

	if (insn->flow != INSN_CALL || insn->at.v - function.v > TRACE_SITE_MAX)
		return false;
	if (is_kernel_text(dispatch, target))
		return symbols_is_start(dispatch->kernel->symbols, target, "ftrace_") ||
		       symbols_is_start(dispatch->kernel->symbols, target, "__fentry__");
	dispatch->fixed = false;
	return dispatch_owners(dispatch, NULL) >= 0 &&
	       owner_of(dispatch->owners, target, &owner, NULL) >= 0 &&
	       (owner.kind == OWNER_FTRACE || owner.kind == OWNER_BPF);
}

/* "sarq $5, %gs:__x86_call_depth(%rip)" in front of a function. */
static bool counts_calls(struct dispatch *dispatch, gva at)
{
	static const uint8_t op[] = { 0x65, 0x48, 0xc1, 0x3d };
	uint8_t code[COUNT_BYTES];

	if (!is_kernel_text(dispatch, at) || is_function(dispatch, at) ||
	    !is_function(dispatch, gva_add(at, COUNT_BYTES)))
		return false;
	dispatch->fixed = false;
	return view_read(dispatch->view, at, code, sizeof(code), NULL) >= 0 &&
	       !memcmp(code, op, sizeof(op)) && code[COUNT_BYTES - 1] == 5;
}

int dispatch_decode(struct dispatch *dispatch, const uint8_t *code, size_t n, gva at,
		    struct insns *ret)
{
	int r = insns_decode(code, n, at, ret);

	for (size_t i = 0; r >= 0 && i < ret->list.n; i++) {
		struct insn *insn = &ret->list.v[i];

		if ((insn->flow == INSN_CALL || insn->flow == INSN_JUMP) &&
		    insn->target.v - at.v >= n && counts_calls(dispatch, insn->target))
			insn->target = gva_add(insn->target, COUNT_BYTES);
	}
	return r;
}

static int report(struct dispatch *dispatch, const struct dispatch_code *code,
		  const struct insn *insn, const char *what, const char *expected, gva target,
		  struct err *err)
{
	struct finding *finding;
	char symbol[160];
	int r = dispatch_owners(dispatch, err);

	if (r < 0)
		return r;
	dispatch->sound = false;
	dispatch->reports++;
	finding = check_finding(dispatch->run, SEVERITY_CRITICAL, "code", insn->at, "%s",
				symbols_print(dispatch->kernel->symbols, insn->at, symbol,
					      sizeof(symbol)));
	finding_title(finding, "Patched code on the way to system calls: %s", code->name);
	code_evidence_bytes(dispatch->run, dispatch->owners, finding, "instruction", insn->at);
	if (target.v)
		code_evidence(dispatch->run, dispatch->owners, finding, what, insn->at, expected,
			      target);
	else
		finding_evidence(finding, what, insn->at, symbol, expected, NULL);
	return 0;
}

/* A branch out of the code. */
static int check_target(struct dispatch *dispatch, const struct dispatch_code *code,
			const struct insn *insn, gva target, struct err *err)
{
	gva function = code->at;
	struct symbol symbol;

	if (code->may_lead_to ? code->may_lead_to(code->ctx, target) :
				is_function(dispatch, target))
		return 0;
	/* Entry code holds many functions: the tracer's place is at the start of each. */
	if (symbols_at(dispatch->kernel->symbols, insn->at, &symbol, NULL) >= 0)
		function = symbol.at;
	if (dispatch_is_traced(dispatch, function, insn, target))
		return 0;
	if (!is_kernel_text(dispatch, target)) {
		dispatch->fixed = false;
		if (exec_is_thunk(dispatch->view, target))
			return 0;
	}
	return report(dispatch, code, insn, "branch",
		      code->may_lead_to ? "a system call's function" :
					  "the start of a function of the kernel",
		      target, err);
}

static int check_direct(struct dispatch *dispatch, const struct dispatch_code *code,
			const struct insn *insn, struct err *err)
{
	if (insn->target.v - code->at.v >= code->size)
		return check_target(dispatch, code, insn, insn->target, err);
	if (insns_find(&code->insns, insn->target))
		return 0;
	return report(dispatch, code, insn, "branch", "the start of an instruction", insn->target,
		      err);
}

/* Tables that code here goes through, each by its own symbol. */
static bool is_known_table(const struct kernel *kernel, gva at)
{
	static const char *const names[] = {
		"sys_call_table", "ia32_sys_call_table", "x32_sys_call_table", "sysvec_table",
		"__per_cpu_offset",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (symbols_lookup(kernel->symbols, names[i]).v == at.v)
			return true;
	return false;
}

/* An operand that takes an element of a table of pointers, or a pointer. */
static int check_memory(struct dispatch *dispatch, const struct dispatch_code *code,
			const struct insn *insn, const struct insn_operand *operand,
			struct err *err)
{
	bool indirect = insn->flow == INSN_JUMP_INDIRECT || insn->flow == INSN_CALL_INDIRECT;
	gva at = gva_of((uint64_t)operand->value), target;
	int r;

	if (operand->type != INSN_MEMORY || operand->segment != X86_REG_INVALID)
		return 0;
	if (operand->reg == X86_REG_INVALID && operand->index != X86_REG_INVALID &&
	    operand->scale == 8)
		return is_known_table(dispatch->kernel, at) ?
			       0 :
			       report(dispatch, code, insn, "table", "sys_call_table", at, err);
	if (!indirect || operand->index != X86_REG_INVALID)
		return 0;
	if (operand->reg == X86_REG_RIP)
		at = gva_add(at, insn->at.v + insn->size_bytes);
	else if (operand->reg != X86_REG_INVALID)
		return 0;
	dispatch->fixed = false;
	r = view_ptr(dispatch->view, at, &target, err);
	return r < 0 ? r : check_target(dispatch, code, insn, target, err);
}

/* Constants that are code addresses: what a hook loads or pushes to go there. */
static int check_constant(struct dispatch *dispatch, const struct dispatch_code *code,
			  const struct insn *insn, struct err *err)
{
	const struct insn_operand *operand = &insn->operand[insn->id != X86_INS_PUSH];
	gva at = gva_of((uint64_t)operand->value);

	if (insn->id != X86_INS_PUSH && insn->id != X86_INS_MOV && insn->id != X86_INS_MOVABS)
		return 0;
	if (operand->type != INSN_IMMEDIATE || at.v < IMAGE_LOW || at.v >= IMAGE_HIGH)
		return 0;
	if (insn->id == X86_INS_PUSH && at.v - code->at.v < code->size)
		return 0;	/* asm_exc_nmi returns to itself through an iret frame */
	if (insn->id != X86_INS_PUSH && at.v >= dispatch->kernel->text.v &&
	    at.v < dispatch->kernel->end.v)
		return 0;	/* the text of a panic */
	return report(dispatch, code, insn, "address in the code", "none", at, err);
}

/* Those of kprobes were taken out; behind what never goes on there, it is padding. */
static int check_trap(struct dispatch *dispatch, const struct dispatch_code *code, size_t i,
		      struct err *err)
{
	const struct insn *insn = &code->insns.list.v[i];

	if (i && insn[-1].flow != INSN_NEXT && insn[-1].flow != INSN_BRANCH)
		return 0;
	return report(dispatch, code, insn, "breakpoint", "a kprobe that is registered", gva_of(0),
		      err);
}

static int check_insn(struct dispatch *dispatch, const struct dispatch_code *code, size_t i,
		      struct err *err)
{
	const struct insn *insn = &code->insns.list.v[i];
	int r = 0;

	switch (insn->flow) {
	case INSN_JUMP:
	case INSN_BRANCH:
	case INSN_CALL:
		return check_direct(dispatch, code, insn, err);
	case INSN_TRAP:
		return check_trap(dispatch, code, i, err);
	case INSN_JUMP_INDIRECT:
	case INSN_CALL_INDIRECT:
		/* Who only chooses has a table at most, and all numbers go through that. */
		if (code->was_followed && !code->was_followed(code->ctx, i))
			return report(dispatch, code, insn, "branch through a register or memory",
				      "none that no number leads to", gva_of(0), err);
		__attribute__((fallthrough));
	default:
		for (size_t k = 0; k < ARRAY_SIZE(insn->operand) && r >= 0; k++)
			r = check_memory(dispatch, code, insn, &insn->operand[k], err);
		return r < 0 ? r : check_constant(dispatch, code, insn, err);
	}
}

int dispatch_check(struct dispatch *dispatch, const struct dispatch_code *code, struct err *err)
{
	int r = 0;

	dispatch->reports = 0;
	for (size_t i = 0; i < code->insns.list.n && r >= 0; i++) {
		if (dispatch->reports == REPORTS_MAX) {
			check_inconclusive(dispatch->run, "%s: more is patched than is told",
					   code->name);
			return 0;
		}
		r = check_insn(dispatch, code, i, err);
	}
	if (r >= 0 && code->insns.bytes < code->size) {
		dispatch->sound = false;
		check_inconclusive(dispatch->run, "%s: no instruction at %#" PRIx64, code->name,
				   code->at.v + code->insns.bytes);
	}
	return r;
}
