/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_CHECK_DISPATCH_H
#define HVSM_CHECK_DISPATCH_H

#include "check/check.h"
#include "guest/insn.h"
#include "linux/kprobe.h"
#include "linux/owner.h"

/*
 * The code between an instruction that enters the kernel and the system call's function, as
 * the check of it sees it: each branch must lead where the kernel's own code can lead.
 */
struct dispatch {
	struct check_run *run;
	const struct kernel *kernel;
	struct view *view;
	struct owners *owners;		/* opened when the first branch asks for them */
	struct kprobes kprobes;		/* all that are registered */

	/* Of the code looked at now: */
	unsigned reports;
	bool sound;			/* nothing to report so far */
	bool fixed;			/* the answer depends on the code and the symbols alone */
};

/* Some code, as it stands in the guest. */
struct dispatch_code {
	const char *name;
	gva at;
	const uint8_t *bytes;
	size_t size;
	struct insns insns;

	/* Where it may branch to besides functions: of a switch, only to system calls. */
	bool (*may_lead_to)(void *ctx, gva target);
	/* … and whether instruction @i was met on the way of any number. NULL: no such code. */
	bool (*was_followed)(void *ctx, size_t i);
	void *ctx;
};

/**
 * dispatch_restore - take out of a copy of code what kprobes put into it
 * A breakpoint, or a jump to a slot, where a registered kprobe has one becomes what the
 * kernel says that it replaced. Anything else is left.
 */
void dispatch_restore(struct dispatch *dispatch, gva at, uint8_t *bytes, size_t size);

/**
 * dispatch_decode - as insns_decode(), and calls lead where they lead in the end
 * With retbleed=stuff each call goes through nine bytes in front of its function, which count
 * it (arch/x86/kernel/callthunks.c).
 */
nodiscard int dispatch_decode(struct dispatch *dispatch, const uint8_t *code, size_t n, gva at,
			      struct insns *ret);

/* Every instruction of @code, one by one. Return: 0, or an error as view_read(). */
nodiscard int dispatch_check(struct dispatch *dispatch, const struct dispatch_code *code,
			     struct err *err);

/* The table of owners, opened now if it is not yet. */
nodiscard int dispatch_owners(struct dispatch *dispatch, struct err *err);

/*
 * A call at the very start of a function, which the tracer put there? @function: its start.
 */
bool dispatch_is_traced(struct dispatch *dispatch, gva function, const struct insn *insn,
			gva target);

void dispatch_close(struct dispatch *dispatch);

#endif
