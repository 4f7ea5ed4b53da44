/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_REFERENCE_PATCH_INSN_H
#define HVSM_REFERENCE_PATCH_INSN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One x86-64 instruction, as far as moving it to another place needs (arch/x86/lib/insn.c). */
struct patch_insn {
	uint8_t bytes;
	uint8_t opcode[2];	/* behind prefixes; [1] only with 0x0f */
	bool is_nop;		/* insn_is_nop(): 0x90 and 0x0f 0x1f */
	bool is_branch;		/* call, jmp, jcc with a relative target */
	uint8_t imm_at, imm_bytes;	/* of a branch */
	uint8_t disp_at;	/* of an operand relative to rip; 0: there is none */
};

/* Decode; false: no instruction. */
bool patch_insn(const uint8_t *code, size_t n, struct patch_insn *ret);

#endif
