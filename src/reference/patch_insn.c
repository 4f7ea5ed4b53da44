/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/patch_insn.h"

#include <capstone/capstone.h>
#include <string.h>

/*
 * What capstone 4 does not know yet, and alternatives hold: erets, eretu (FRED), wrmsrns,
 * serialize, clui, stui, senduipi have no operand that a move would change.
 */
static unsigned unknown_bytes(const uint8_t *code, size_t n)
{
	static const struct { uint8_t bytes, code[4]; } known[] = {
		{ 4, { 0xf2, 0x0f, 0x01, 0xca } }, { 4, { 0xf3, 0x0f, 0x01, 0xca } },
		{ 3, { 0x0f, 0x01, 0xc6 } }, { 3, { 0x0f, 0x01, 0xe8 } },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (n >= known[i].bytes && !memcmp(code, known[i].code, known[i].bytes))
			return known[i].bytes;
	return 0;
}

static bool is_prefix(uint8_t byte)
{
	return byte == 0x66 || byte == 0x67 || byte == 0xf0 || byte == 0xf2 || byte == 0xf3 ||
	       byte == 0x2e || byte == 0x36 || byte == 0x3e || byte == 0x26 || byte == 0x64 ||
	       byte == 0x65;
}

static void describe(const cs_insn *insn, const uint8_t *code, struct patch_insn *ret)
{
	const cs_x86 *x86 = &insn->detail->x86;
	unsigned at = 0;
	bool rep = false;

	while (at + 1u < insn->size && (is_prefix(code[at]) || (code[at] & 0xf0) == 0x40)) {
		rep |= code[at] == 0xf3;
		at++;
	}
	ret->bytes = (uint8_t)insn->size;
	ret->opcode[0] = code[at];
	if (code[at] == 0x0f && at + 1u < insn->size)
		ret->opcode[1] = code[at + 1];
	ret->is_nop = (code[at] == 0x90 && !rep) || (code[at] == 0x0f && ret->opcode[1] == 0x1f);
	ret->is_branch = code[at] == 0xe8 || code[at] == 0xe9 || code[at] == 0xeb ||
			 (code[at] & 0xf0) == 0x70 ||
			 (code[at] == 0x0f && (ret->opcode[1] & 0xf0) == 0x80);
	if (ret->is_branch) {
		ret->imm_bytes = code[at] == 0xeb || (code[at] & 0xf0) == 0x70 ? 1 : 4;
		ret->imm_at = (uint8_t)(insn->size - ret->imm_bytes);
	}
	if (x86->encoding.disp_offset)
		for (unsigned i = 0; i < x86->op_count; i++)
			if (x86->operands[i].type == X86_OP_MEM &&
			    x86->operands[i].mem.base == X86_REG_RIP)
				ret->disp_at = x86->encoding.disp_offset;
}

bool patch_insn(const uint8_t *code, size_t n, struct patch_insn *ret)
{
	static _Thread_local csh handle;
	static _Thread_local cs_insn *insn;
	const uint8_t *at = code;
	uint64_t address = 0;
	size_t left = n;

	*ret = (struct patch_insn){0};
	if (!handle) {
		if (cs_open(CS_ARCH_X86, CS_MODE_64, &handle) != CS_ERR_OK)
			return false;
		cs_option(handle, CS_OPT_DETAIL, CS_OPT_ON);
		insn = cs_malloc(handle);
	}
	if (insn && cs_disasm_iter(handle, &at, &left, &address, insn)) {
		describe(insn, code, ret);
		return true;
	}
	ret->bytes = (uint8_t)unknown_bytes(code, n);
	return ret->bytes;
}
