/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/insn.h"

#include <capstone/capstone.h>
#include <stdio.h>
#include <stdlib.h>

#define CODE_MAX (16u << 20)	/* of one decoding */

static enum insn_flow flow_of(const cs_insn *insn, bool direct)
{
	switch (insn->id) {
	case X86_INS_JMP:
		return direct ? INSN_JUMP : INSN_JUMP_INDIRECT;
	case X86_INS_LJMP:
		return INSN_JUMP_INDIRECT;
	case X86_INS_CALL:
		return direct ? INSN_CALL : INSN_CALL_INDIRECT;
	case X86_INS_LCALL:
		return INSN_CALL_INDIRECT;
	case X86_INS_RET:
	case X86_INS_RETF:
	case X86_INS_RETFQ:
	case X86_INS_IRET:
	case X86_INS_IRETD:
	case X86_INS_IRETQ:
	case X86_INS_SYSRET:
	case X86_INS_SYSEXIT:
		return INSN_RETURN;
	case X86_INS_INT3:
		return INSN_TRAP;
	case X86_INS_UD0:
	case X86_INS_UD2:
	case X86_INS_UD2B:
		return INSN_STOP;
	default:
		return direct ? INSN_BRANCH : INSN_NEXT;
	}
}

static void take_operand(const cs_x86_op *from, struct insn_operand *to)
{
	to->size_bytes = from->size;
	switch (from->type) {
	case X86_OP_REG:
		to->type = INSN_REGISTER;
		to->reg = from->reg;
		break;
	case X86_OP_IMM:
		to->type = INSN_IMMEDIATE;
		to->value = from->imm;
		break;
	case X86_OP_MEM:
		to->type = INSN_MEMORY;
		to->reg = from->mem.base;
		to->index = from->mem.index;
		to->segment = from->mem.segment;
		to->scale = from->mem.scale;
		to->value = from->mem.disp;
		break;
	default:
		to->type = INSN_NONE;
	}
}

static bool is_relative(const cs_insn *insn)
{
	const cs_detail *detail = insn->detail;

	for (uint8_t i = 0; i < detail->groups_count; i++)
		if (detail->groups[i] == CS_GRP_BRANCH_RELATIVE)
			return detail->x86.op_count &&
			       detail->x86.operands[0].type == X86_OP_IMM;
	return false;
}

static void take_insn(const cs_insn *from, struct insn *to)
{
	const cs_x86 *x86 = &from->detail->x86;
	bool direct = is_relative(from);

	to->at = gva_of(from->address);
	to->size_bytes = (uint8_t)from->size;
	to->id = from->id;
	to->flow = flow_of(from, direct);
	for (uint8_t i = 0; i < x86->op_count && i < 2; i++)
		take_operand(&x86->operands[i], &to->operand[i]);
	if (direct)
		to->target = gva_of((uint64_t)x86->operands[0].imm);
}

int insns_decode(const uint8_t *code, size_t n, gva at, struct insns *ret)
{
	uint64_t address = at.v;
	cs_insn *insn;
	int r = 0;
	csh handle;

	if (n > CODE_MAX)
		n = CODE_MAX;
	if (cs_open(CS_ARCH_X86, CS_MODE_64, &handle) != CS_ERR_OK)
		return -ENOMEM;
	cs_option(handle, CS_OPT_DETAIL, CS_OPT_ON);
	insn = cs_malloc(handle);
	if (!insn)
		r = -ENOMEM;
	while (!r && n && cs_disasm_iter(handle, &code, &n, &address, insn)) {
		struct insn *to = vec_add(&ret->list);

		if (!to) {
			r = -ENOMEM;
			break;
		}
		take_insn(insn, to);
		ret->bytes = address - at.v;
	}
	if (insn)
		cs_free(insn, 1);
	cs_close(&handle);
	return r;
}

void insns_free(struct insns *insns)
{
	vec_free(&insns->list);
	insns->bytes = 0;
}

const struct insn *insns_find(const struct insns *insns, gva at)
{
	size_t low = 0, high = insns->list.n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (insns->list.v[mid].at.v < at.v)
			low = mid + 1;
		else
			high = mid;
	}
	return low < insns->list.n && insns->list.v[low].at.v == at.v ? &insns->list.v[low] :
								       NULL;
}

const char *insn_print(const uint8_t *code, size_t n, gva at, unsigned max, char *buf,
		       size_t size)
{
	uint64_t address = at.v;
	cs_insn *insn = NULL;
	size_t have = 0;
	csh handle;

	snprintf(buf, size, "(no instruction)");
	if (cs_open(CS_ARCH_X86, CS_MODE_64, &handle) != CS_ERR_OK)
		return buf;
	insn = cs_malloc(handle);
	for (unsigned i = 0; insn && i < max && n && have < size; i++) {
		int len;

		if (!cs_disasm_iter(handle, &code, &n, &address, insn))
			break;
		len = snprintf(buf + have, size - have, "%s%s%s%s", i ? "; " : "", insn->mnemonic,
			       insn->op_str[0] ? " " : "", insn->op_str);
		have += len > 0 ? (size_t)len : 0;
	}
	if (insn)
		cs_free(insn, 1);
	cs_close(&handle);
	return buf;
}
