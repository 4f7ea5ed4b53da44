/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_REFERENCE_SHIPPED_H
#define HVSM_REFERENCE_SHIPPED_H

#include <stdbool.h>

#include "base/vec.h"
#include "base/err.h"

/*
 * Code and data as they were shipped, relocated to where a guest has them: the kernel's image
 * (vmlinux.h), a module (ko.h), the vDSO. Patching as the kernel does it (patch.h) is done on
 * this copy, which is then what the guest's memory should hold.
 */
enum {
	PART_EXEC	= 1,
	PART_WRITE	= 2,	/* the kernel may write it at any time */
	PART_GONE	= 4,	/* freed once it was used (init): the guest does not have it */
};

struct shipped_part {
	char name[48];		/* ".text", ".rodata"; "image" */
	gva at;
	uint64_t size_bytes;
	uint8_t *bytes;		/* owned */
	unsigned flags;		/* PART_* */

	/*
	 * Of the image: what was shipped for it from its start on without a gap; behind that is
	 * whatever was in memory. 0: all of it was.
	 */
	uint64_t loaded_bytes;
};

/* Tables of places that the kernel patches; by their section's name. */
enum shipped_table {
	TABLE_ALTERNATIVES,	/* .altinstructions */
	TABLE_PARAVIRT,		/* .parainstructions */
	TABLE_RETPOLINES,	/* .retpoline_sites */
	TABLE_RETURNS,		/* .return_sites */
	TABLE_CALLS,		/* .call_sites */
	TABLE_ENDBR,		/* .ibt_endbr_seal */
	TABLE_LOCKS,		/* .smp_locks */
	TABLE_JUMPS,		/* __jump_table */
	TABLE_STATIC_CALLS,	/* .static_call_sites */
	TABLE_MCOUNT,		/* __mcount_loc */
	SHIPPED_TABLES,
};

/* The section's name of a table; -1: no such table. */
const char *shipped_table_name(enum shipped_table table);
int shipped_table_of(const char *section);

struct shipped_range {
	gva at;
	uint64_t size_bytes;
};

/* A section runtime_ptr_NAME or runtime_shift_NAME (6.11, e78298556ee5). */
struct shipped_runtime {
	char name[64];		/* of the section */
	struct shipped_range range;
};

/* __SCT__NAME, the trampoline of a static call, and __SCK__NAME, its key: of a module's own. */
struct shipped_trampoline {
	gva at, key;
};

struct profile;

struct shipped {
	VEC(struct shipped_part) parts;		/* ascending, disjoint once sorted */
	struct shipped_range table[SHIPPED_TABLES];	/* size 0: there is none */
	VEC(struct shipped_runtime) runtime;
	VEC(struct shipped_trampoline) trampolines;
	const struct profile *profile;	/* of vmlinux: its symbols and types; NULL: not at hand */

	/*
	 * Of an image whose bytes are another one's (kernel_image.c), and are not to be written:
	 * its own addresses lie so much higher than the absolute ones that stand in them.
	 */
	uint64_t moved;
	bool borrowed;
	/* Turns a copy of them, from offset @from on, into its own. NULL: they are. */
	void (*finish)(const struct shipped *shipped, uint64_t from, uint8_t *bytes, size_t n);
};

/* One part more, of zeros; NULL: no memory. Sort before anything is looked up. */
struct shipped_part *shipped_add(struct shipped *shipped, const char *name, gva at,
				 uint64_t size_bytes, unsigned flags);

/* 0, -EBADMSG: parts overlap. */
nodiscard int shipped_sort(struct shipped *shipped, struct err *err);

/* Free what it holds and zero it. */
void shipped_free(struct shipped *shipped);

/*
 * @n bytes at @at, all in one part, or NULL. Where they are borrowed they are as they were linked,
 * neither moved nor patched: right for text, and for tables of distances.
 */
uint8_t *shipped_at(const struct shipped *shipped, gva at, uint64_t n);

/* A copy of such bytes as they should be; false where they are not all in one part. */
#define SHIPPED_COPY_MAX 16u
bool shipped_copy(const struct shipped *shipped, gva at, uint8_t *ret, size_t n);

/* The part that holds @at, or NULL. */
const struct shipped_part *shipped_part(const struct shipped *shipped, gva at);

#endif
