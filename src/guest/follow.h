/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_GUEST_FOLLOW_H
#define HVSM_GUEST_FOLLOW_H

#include "guest/insn.h"

/*
 * Where does a piece of code lead for one value of a register? For functions that do nothing
 * but choose: compare, branch, jump through a table. What such code computes is followed as
 * far as it is known; where a branch depends on something unknown, the answer is unknown.
 */
enum follow_end {
	FOLLOW_LEAVES,		/* jumps to, or calls, what is outside */
	FOLLOW_RETURNS,
	FOLLOW_UNKNOWN,		/* depends on what is not known, or is no such code */
};

struct follow_result {
	enum follow_end end;
	gva at;			/* the instruction that ended it */
	gva target;		/* where it leaves to */
};

/* What code asks of the world outside of it. */
struct follow_ops {
	/* @size_bytes (4 or 8) of read-only data at @at. False: not known. */
	bool (*read)(void *ctx, gva at, unsigned size_bytes, uint64_t *ret);

	/*
	 * @target is outside: a call of nothing (ftrace)? Then *@through is 0 and the call is
	 * passed over. Or a thunk that jumps to a register? Then *@through is that register.
	 */
	bool (*is_detour)(void *ctx, const struct insn *from, gva target, unsigned *through);

	/* Each instruction on the way; may be NULL. */
	void (*met)(void *ctx, const struct insn *insn);
	void *ctx;
};

/**
 * follow_code - follow code from its first instruction on
 * @insns: the whole of it
 * @reg:   64-bit register (X86_REG_RSI …) that has a known value at the start
 */
struct follow_result follow_code(const struct insns *insns, unsigned reg, uint64_t value,
				 const struct follow_ops *ops);

#endif
