/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_REFERENCE_EXPLAIN_INSIDE_H
#define HVSM_REFERENCE_EXPLAIN_INSIDE_H

#include "linux/ftrace.h"
#include "linux/kprobe.h"
#include "reference/patch_inside.h"

/* For explain.c and compare.c only. */

enum verdict { NO, YES, PASSING };

/* The last target of a call of ftrace, of which thousands lead to one place. */
struct known_target {
	gva target;
	bool good;
	bool is_ftrace;		/* a trampoline of ftrace: else it is BPF's */
};

struct explainer {
	struct patcher *p;
	struct view *view;
	struct owners *owners;
	struct kprobes kprobes;
	struct ftrace_sites ftrace;	/* read when they are needed */
	bool has_ftrace;
	bool gave_up;		/* ftrace did: its records say nothing any more */
	struct known_target target;
	bool busy;		/* the kernel patches just now */
	bool traces;		/* ftrace has someone to call */
	bool has_locks, unlocked;	/* looked at; lock prefixes are taken out now */
	bool has_keys, changed;	/* keys were looked at; one is not what it was */
	gva ftrace_caller, ftrace_regs_caller, ftrace_stub, trace_function, list_func,
		graph_caller;
};

/* One place, and what is there. */
struct looked {
	struct explainer *e;
	const struct shipped *shipped;
	const struct site *site;
	const uint8_t *found;
	struct difference *d;	/* receives why not */
};

/* What is there, held against what the guest's own structures say. 0, or as compare_part(). */
nodiscard int explain_site(const struct looked *l, enum verdict *ret, struct err *err);

/* "ftrace site" */
const char *explain_kind(unsigned kind);

/* Have the places of ftrace been read: e->ftrace, e->gave_up. */
nodiscard int explain_ftrace_sites(struct explainer *e, struct err *err);

#endif
