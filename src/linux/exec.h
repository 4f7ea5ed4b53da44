/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_LINUX_EXEC_H
#define HVSM_LINUX_EXEC_H

#include "base/vec.h"
#include "linux/kernel.h"
#include "linux/owner.h"

/*
 * All memory that the kernel can execute: the kernel half of its page tables, and who owns
 * each page of it. Ownership is by pages here: every kind of code but BPF programs in packs
 * has its pages to itself.
 */
struct exec_range {
	gva start;
	uint64_t size_bytes;
	unsigned rights;	/* MAP_*: MAP_EXEC always; MAP_WRITE is alarming */
	enum owner_kind kind;
	gva object;		/* struct module, …; 0: none */
};

struct exec_ranges {
	VEC(struct exec_range) list;	/* ascending, disjoint; split where the owner changes */
	uint64_t bytes;

	/*
	 * Not 0: there are pages without an owner, and one of the places where owners stand
	 * could not be read: they may be that one's.
	 */
	int owners_error;
	struct err why;
};

/**
 * exec_read - every executable page of the kernel's half, page tables first
 * @owners: of the same view
 * @ret:    zeroed; give it to exec_free() whatever came back
 *
 * What no list owns is judged by what it holds: see OWNER_THUNKS and OWNER_UNUSED.
 *
 * Return: 0 (every table was walked; see owners_error), or the first error, with what was
 *         seen until then.
 */
nodiscard int exec_read(const struct kernel *kernel, struct view *view, struct owners *owners,
			struct exec_ranges *ret, struct err *err);

void exec_free(struct exec_ranges *ranges);

/* Is @at in a page that holds nothing but thunks (see OWNER_THUNKS), at the start of one? */
bool exec_is_thunk(struct view *view, gva at);

/*
 * May pages without an owner have one that hvsm does not know how to look for? (What a guest
 * made unreadable owns nothing: who corrupts a list gets no excuse from it.)
 */
bool exec_is_unsure(const struct exec_ranges *ranges);

/**
 * exec_is_cleared - does the kernel clear pages before it puts code into them?
 *
 * Where it does not (init_on_alloc=0), what was in a page before is left beside the code.
 *
 * Return: 1, 0, or as view_read().
 */
nodiscard int exec_is_cleared(const struct kernel *kernel, struct view *view, struct err *err);

/* The owner of a range in words, as owner_of() gives it. */
void exec_describe(struct owners *owners, const struct exec_range *range, struct owner *ret);

#endif
