/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/follow.h"

#include <capstone/capstone.h>

/* Steps for one value: a tree of 500 choices is some 30 deep, or a chain of 500. */
#define STEPS_MAX 4096u
#define REGISTERS 16u

/* The sixteen registers under the names of their 64- and 32-bit halves. */
static const unsigned wide[REGISTERS] = {
	X86_REG_RAX, X86_REG_RCX, X86_REG_RDX, X86_REG_RBX, X86_REG_RSP, X86_REG_RBP,
	X86_REG_RSI, X86_REG_RDI, X86_REG_R8,  X86_REG_R9,  X86_REG_R10, X86_REG_R11,
	X86_REG_R12, X86_REG_R13, X86_REG_R14, X86_REG_R15,
};

static const unsigned narrow[REGISTERS] = {
	X86_REG_EAX,  X86_REG_ECX,  X86_REG_EDX,  X86_REG_EBX,	X86_REG_ESP,  X86_REG_EBP,
	X86_REG_ESI,  X86_REG_EDI,  X86_REG_R8D,  X86_REG_R9D,	X86_REG_R10D, X86_REG_R11D,
	X86_REG_R12D, X86_REG_R13D, X86_REG_R14D, X86_REG_R15D,
};

struct machine {
	uint64_t value[REGISTERS];
	bool known[REGISTERS];
	uint64_t left, right;	/* of the last comparison */
	unsigned bits;		/* of it; 0: the flags are not known */
	bool was_test;		/* left & right against 0, instead of left against right */
	const struct follow_ops *ops;
};

/* 0..15, or REGISTERS where it is none of them; @bits receives its width. */
static unsigned index_of(unsigned reg, unsigned *bits)
{
	for (unsigned i = 0; i < REGISTERS; i++) {
		if (reg == wide[i]) {
			*bits = 64;
			return i;
		}
		if (reg == narrow[i]) {
			*bits = 32;
			return i;
		}
	}
	*bits = 0;
	return REGISTERS;
}

static bool get_register(const struct machine *m, unsigned reg, uint64_t *ret)
{
	unsigned bits, i = index_of(reg, &bits);

	if (i == REGISTERS || !m->known[i])
		return false;
	*ret = bits == 32 ? (uint32_t)m->value[i] : m->value[i];
	return true;
}

static bool get_address(const struct machine *m, const struct insn *insn,
			const struct insn_operand *operand, uint64_t *ret)
{
	uint64_t sum = (uint64_t)operand->value, part;

	if (operand->segment != X86_REG_INVALID)
		return false;
	if (operand->reg == X86_REG_RIP) {
		sum += insn->at.v + insn->size_bytes;
	} else if (operand->reg != X86_REG_INVALID) {
		if (!get_register(m, operand->reg, &part))
			return false;
		sum += part;
	}
	if (operand->index != X86_REG_INVALID) {
		if (!get_register(m, operand->index, &part))
			return false;
		sum += part * (uint64_t)operand->scale;
	}
	*ret = sum;
	return true;
}

static bool get_operand(const struct machine *m, const struct insn *insn,
			const struct insn_operand *operand, uint64_t *ret)
{
	uint64_t at;

	switch (operand->type) {
	case INSN_REGISTER:
		return get_register(m, operand->reg, ret);
	case INSN_IMMEDIATE:
		*ret = (uint64_t)operand->value;
		return true;
	case INSN_MEMORY:
		return (operand->size_bytes == 4 || operand->size_bytes == 8) &&
		       get_address(m, insn, operand, &at) &&
		       m->ops->read(m->ops->ctx, gva_of(at), operand->size_bytes, ret);
	default:
		return false;
	}
}

static void forget(struct machine *m)
{
	for (unsigned i = 0; i < REGISTERS; i++)
		m->known[i] = false;
	m->bits = 0;
}

static void set_register(struct machine *m, unsigned reg, bool known, uint64_t value)
{
	unsigned bits, i = index_of(reg, &bits);

	/* Parts of registers (al, ax, …): what the whole then holds is not followed. */
	if (i == REGISTERS) {
		forget(m);
		return;
	}
	m->known[i] = known;
	m->value[i] = bits == 32 ? (uint32_t)value : value;
}

static void compare(struct machine *m, const struct insn *insn, bool is_test)
{
	const struct insn_operand *a = &insn->operand[0], *b = &insn->operand[1];

	m->bits = 0;
	if (a->type != INSN_REGISTER || (a->size_bytes != 4 && a->size_bytes != 8))
		return;
	if (!get_operand(m, insn, a, &m->left) || !get_operand(m, insn, b, &m->right))
		return;
	m->bits = a->size_bytes * 8u;
	m->was_test = is_test;
	if (m->bits == 32)
		m->right = (uint32_t)m->right;
}

/* Does a conditional branch branch? False in @ret where the flags are not known. */
static bool decide(const struct machine *m, unsigned id, bool *ret)
{
	uint64_t a = m->was_test ? m->left & m->right : m->left, b = m->was_test ? 0 : m->right;
	int64_t x = (int64_t)a, y = (int64_t)b;

	if (!m->bits)
		return false;
	if (m->bits == 32) {
		x = (int32_t)a;
		y = (int32_t)b;
	}
	switch (id) {
	case X86_INS_JE:  *ret = a == b; return true;
	case X86_INS_JNE: *ret = a != b; return true;
	case X86_INS_JA:  *ret = a > b; return true;
	case X86_INS_JAE: *ret = a >= b; return true;
	case X86_INS_JB:  *ret = a < b; return true;
	case X86_INS_JBE: *ret = a <= b; return true;
	case X86_INS_JG:  *ret = x > y; return true;
	case X86_INS_JGE: *ret = x >= y; return true;
	case X86_INS_JL:  *ret = x < y; return true;
	case X86_INS_JLE: *ret = x <= y; return true;
	default:
		/* The sign of a difference that overflowed is not worth its code. */
		if (!m->was_test || (id != X86_INS_JS && id != X86_INS_JNS))
			return false;
		*ret = (x < 0) == (id == X86_INS_JS);
		return true;
	}
}

static void compute(struct machine *m, const struct insn *insn)
{
	const struct insn_operand *to = &insn->operand[0], *from = &insn->operand[1];
	uint64_t a = 0, b = 0;
	bool known = false;

	switch (insn->id) {
	case X86_INS_CMP:
	case X86_INS_TEST:
		compare(m, insn, insn->id == X86_INS_TEST);
		return;
	case X86_INS_NOP:
	case X86_INS_ENDBR64:
	case X86_INS_PUSH:
		return;
	case X86_INS_MOV:
	case X86_INS_MOVABS:
		known = get_operand(m, insn, from, &b);
		break;
	case X86_INS_MOVSXD:
		known = get_operand(m, insn, from, &b);
		b = (uint64_t)(int32_t)b;
		break;
	case X86_INS_LEA:
		known = from->type == INSN_MEMORY && get_address(m, insn, from, &b);
		break;
	case X86_INS_ADD:
	case X86_INS_SUB:
		m->bits = 0;
		known = get_operand(m, insn, to, &a) && get_operand(m, insn, from, &b);
		b = insn->id == X86_INS_ADD ? a + b : a - b;
		break;
	case X86_INS_POP:
	case X86_INS_MOVZX:
	case X86_INS_XOR:
	case X86_INS_AND:
	case X86_INS_OR:
	case X86_INS_SBB:
	case X86_INS_SHL:
	case X86_INS_SHR:
		m->bits = 0;
		break;
	default:
		/* It may write to registers that it does not name. */
		forget(m);
		return;
	}
	if (to->type == INSN_REGISTER)
		set_register(m, to->reg, known, b);
}

/* Code goes to @target: on inside, or out. True: it is the end, as in @ret. */
static bool go(const struct machine *m, const struct insns *insns, const struct insn *insn,
	       gva target, const struct insn **next, struct follow_result *ret)
{
	unsigned through = X86_REG_INVALID;
	uint64_t value;

	for (unsigned i = 0; i < 2; i++) {
		*next = insns_find(insns, target);
		if (*next)
			return false;
		if (!m->ops->is_detour(m->ops->ctx, insn, target, &through))
			break;
		if (through == X86_REG_INVALID) {
			*next = insns_find(insns, gva_add(insn->at, insn->size_bytes));
			if (*next && insn->flow == INSN_CALL)
				return false;
			break;
		}
		if (!get_register(m, through, &value)) {
			*ret = (struct follow_result){ FOLLOW_UNKNOWN, insn->at, target };
			return true;
		}
		target = gva_of(value);
	}
	*ret = (struct follow_result){ FOLLOW_LEAVES, insn->at, target };
	return true;
}

struct follow_result follow_code(const struct insns *insns, unsigned reg, uint64_t value,
				 const struct follow_ops *ops)
{
	struct follow_result result = { FOLLOW_UNKNOWN, gva_of(0), gva_of(0) };
	const struct insn *insn = insns->list.n ? &insns->list.v[0] : NULL;
	struct machine m = { .ops = ops };

	set_register(&m, reg, true, value);
	for (unsigned step = 0; insn && step < STEPS_MAX; step++) {
		gva after = gva_add(insn->at, insn->size_bytes);
		const struct insn *next = NULL;
		uint64_t to;
		bool taken;

		result.at = insn->at;
		if (ops->met)
			ops->met(ops->ctx, insn);
		switch (insn->flow) {
		case INSN_NEXT:
			compute(&m, insn);
			next = insns_find(insns, after);
			break;
		case INSN_BRANCH:
			if (!decide(&m, insn->id, &taken))
				return result;
			if (go(&m, insns, insn, taken ? insn->target : after, &next, &result))
				return result;
			break;
		case INSN_JUMP:
		case INSN_CALL:
			if (go(&m, insns, insn, insn->target, &next, &result))
				return result;
			break;
		case INSN_JUMP_INDIRECT:
		case INSN_CALL_INDIRECT:
			if (!get_operand(&m, insn, &insn->operand[0], &to))
				return result;
			if (go(&m, insns, insn, gva_of(to), &next, &result))
				return result;
			break;
		case INSN_RETURN:
			result.end = FOLLOW_RETURNS;
			return result;
		default:
			return result;
		}
		insn = next;
	}
	return result;
}
