/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_CHECK_FINDING_H
#define HVSM_CHECK_FINDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/vec.h"

/* How bad it is that a finding is true. */
enum severity {
	SEVERITY_LOW,		/* worth knowing */
	SEVERITY_MEDIUM,	/* suspicious: has legitimate causes, none was found */
	SEVERITY_HIGH,		/* no legitimate software does this */
	SEVERITY_CRITICAL,	/* … and it gives control of the kernel */
};

/* "low", "medium", "high", "critical". */
const char *severity_name(enum severity severity);

/*
 * One fact behind a finding. Strings are the finding's own; NULL where there is nothing to
 * say. Guest text in them is as the guest wrote it: escaped at output, once.
 */
struct evidence {
	char *what;		/* "system call table entry" */
	gva at;			/* where it was seen; 0: no address */
	char *symbol;		/* of @at: "sys_call_table+0x1f0" */
	char *expected;		/* what should be there */
	char *found;		/* what is there */
};

struct finding {
	char id[17];		/* hex; the same over sweeps: hash of check, kind and name */
	const char *check;	/* id of the check */
	enum severity severity;
	char *title;		/* one line for a person */
	const char *const *techniques;	/* MITRE ATT&CK, NULL at the end; the check's own */
	char *object_kind;	/* "syscall", "idt-gate", "task", "module" */
	char *object_name;	/* "sys_call_table[62]": never holds what changes over sweeps */
	gva object_at;		/* 0: no address */
	char *owner;		/* who owns the code that was led to: "module evil", "no one" */
	VEC(struct evidence) evidence;
	uint64_t first_seen_ns;	/* CLOCK_REALTIME */
	uint32_t runs;		/* of the check, in a row, that saw it: see sweep.c */
	bool incomplete;	/* memory ran out: parts are missing */
};

/* Free what a finding holds and zero it. */
void finding_clear(struct finding *finding);

/* … and the finding itself; NULL is fine. */
void finding_free(struct finding *finding);

/* Replaces the title. */
void finding_title(struct finding *finding, const char *fmt, ...) printf_like(2, 3);

/**
 * finding_owner - who owns what the finding leads to
 * Where memory runs out the finding is marked incomplete, and its check ends inconclusive if
 * it was not to be a finding anyway; so for all functions here.
 */
void finding_owner(struct finding *finding, const char *fmt, ...) printf_like(2, 3);

/**
 * finding_evidence - add a fact
 * @what:     copied
 * @at:       0 where there is no address
 * @symbol:   copied; may be NULL
 * @expected: copied; may be NULL
 * @found:    copied; may be NULL
 */
void finding_evidence(struct finding *finding, const char *what, gva at, const char *symbol,
		      const char *expected, const char *found);

#endif
