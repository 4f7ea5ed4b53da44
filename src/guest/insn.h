/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_GUEST_INSN_H
#define HVSM_GUEST_INSN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/vec.h"

/*
 * x86-64 instructions, as far as it matters where they lead and what they compare. A thin
 * layer over capstone, whose ids of instructions and registers are used as they are
 * (X86_INS_*, X86_REG_*).
 */
enum insn_flow {
	INSN_NEXT,		/* goes on behind itself */
	INSN_JUMP,		/* direct, always */
	INSN_BRANCH,		/* direct, on a condition */
	INSN_CALL,		/* direct */
	INSN_JUMP_INDIRECT,	/* through a register or memory */
	INSN_CALL_INDIRECT,
	INSN_RETURN,		/* ret, iret, sysret, … */
	INSN_TRAP,		/* int3 */
	INSN_STOP,		/* ud2 and the like */
};

enum insn_operand_type {
	INSN_NONE,
	INSN_REGISTER,
	INSN_IMMEDIATE,
	INSN_MEMORY,
};

struct insn_operand {
	enum insn_operand_type type;
	uint8_t size_bytes;
	unsigned reg;			/* register; of memory: the base */
	unsigned index, segment;	/* of memory */
	int scale;
	int64_t value;			/* immediate; of memory: the displacement */
};

struct insn {
	gva at;
	uint8_t size_bytes;
	enum insn_flow flow;
	unsigned id;			/* X86_INS_* */
	gva target;			/* of a direct jump, branch or call */
	struct insn_operand operand[2];	/* the first two; destination first */
};

struct insns {
	VEC(struct insn) list;		/* ascending */
	size_t bytes;			/* decoded; what follows is no instruction */
};

/**
 * insns_decode - decode code from its start on, one instruction behind the other
 * @code: host copy of @n bytes
 * @at:   the guest address of its first byte
 * @ret:  zeroed; free it with insns_free()
 *
 * Return: 0 (see @ret->bytes for how far it went), -ENOMEM.
 */
nodiscard int insns_decode(const uint8_t *code, size_t n, gva at, struct insns *ret);

void insns_free(struct insns *insns);

/* The instruction that begins at @at, or NULL: not one of them. */
const struct insn *insns_find(const struct insns *insns, gva at);

/**
 * insn_print - the first few instructions of some code as text: "push rbp; mov rbp, rsp"
 * @max: instructions
 * @buf: receives the text, cut to @size; "(no instruction)" where nothing decodes
 * Return: @buf.
 */
const char *insn_print(const uint8_t *code, size_t n, gva at, unsigned max, char *buf,
		       size_t size);

#endif
