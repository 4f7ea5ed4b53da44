/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_LINUX_OWNER_TABLE_H
#define HVSM_LINUX_OWNER_TABLE_H

#include "base/map.h"
#include "linux/module_symbols.h"
#include "linux/owner.h"

/* The inside of the table of owners: for owner*.c and exec.c. */

/* A run of code with one owner. */
struct piece {
	gva start;
	uint64_t size_bytes;
	enum owner_kind kind;
	gva object;		/* struct module, bpf_ksym, … */
};

struct pieces {
	VEC(struct piece) list;	/* ascending and disjoint once they are sorted */
};

struct owners {
	const struct kernel *kernel;
	struct view *view;
	unsigned users;		/* beyond the first: owners_share() */
	gva etext;

	struct modules modules;
	int modules_error;
	struct module_symbols **symbols;	/* of each module, read when first asked for */
	bool *symbols_tried;

	struct map functions;	/* addresses that functions are known to begin at */
	struct pieces code;	/* all but packs */
	struct pieces packs;	/* what holds pieces of others */
	bool complete;		/* the collectors ran */
	int error;		/* the first that one of them, or the modules, met */
	struct err why;
};

/* One piece more; 0, -ENOMEM. Empty and impossible ones are left out. */
nodiscard int pieces_add(struct pieces *pieces, enum owner_kind kind, gva start,
			 uint64_t size_bytes, gva object);

/* Sort; where two overlap, the one that starts first (or is longer) keeps the place. */
void pieces_sort(struct pieces *pieces);

/* The piece that holds @at, or the first one above it, or NULL. */
const struct piece *pieces_from(const struct pieces *pieces, gva at);

/* Run the collectors, unless they did run. What fails is remembered in the table. */
void owners_complete(struct owners *owners);

/* owner_collect.c: all that neither the kernel's image nor a module is. */
int owners_collect(struct owners *owners, struct err *err);

/* Fill in kind, range and text, but no symbol: cheap. */
void owner_describe(struct owners *owners, const struct piece *piece, struct owner *ret);

#endif
