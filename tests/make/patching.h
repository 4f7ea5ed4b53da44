/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_TESTS_MAKE_PATCHING_H
#define HVSM_TESTS_MAKE_PATCHING_H

#include "make/world.h"
#include "reference/patch_inside.h"

/*
 * A made-up kernel image as shipped, and a patcher for it, set up by hand: what a real one reads
 * from its guest is put in by the test. Image and guest lie at the same place; the guest's
 * memory holds zeros where nothing was written.
 */
#define PATCHING_CODE 8192u

struct patching {
	struct world *world;
	struct shipped shipped;		/* the image: all of the world's kernel */
	struct patcher patcher;
	struct sites sites;

	gva code;			/* PATCHING_CODE of int3 in the text, to be patched */
	gva target[2], module;		/* functions of the kernel; no function: data behind it */
	gva thunk[16];			/* __x86_indirect_thunk_rax, … */
	gva trampoline, return0;	/* __SCT__shown, __static_call_return0 */
	gva ftrace_caller, ftrace_stub, ftrace_call;

	gva tables;			/* 32 KiB of data */
	gva static_call, static_key;	/* __SCK__shown, a struct static_key */
	gva pv_ops;
	uint32_t tables_n;		/* bytes that are taken by replacements */
	uint8_t *pristine;		/* the image as patching_open() left it */
};

void patching_open(struct patching *m);
void patching_close(struct patching *m);

/* What was shipped at @at. */
uint8_t *patching_at(struct patching *m, gva at);

/* Code that was shipped at @offset of m->code; where it is. */
gva patching_code(struct patching *m, uint32_t offset, const void *code, size_t n);

/* A branch of five bytes: @op to @target. */
gva patching_branch(struct patching *m, uint32_t offset, uint8_t op, gva target);

/* The next @n bytes of a table. */
gva patching_entry(struct patching *m, enum shipped_table table, const void *entry, size_t n);

/* An entry of four bytes that leads to @at. */
void patching_place(struct patching *m, enum shipped_table table, gva at);

/* An entry of .altinstructions: @flags as ALT_FLAG_*. The replacement is put into the tables. */
void patching_alternative(struct patching *m, gva at, unsigned bytes, unsigned cpuid,
			  unsigned flags, const void *repl, size_t repl_bytes);

/* Where the next replacement will lie. */
gva patching_replacement(const struct patching *m);

void patching_jump(struct patching *m, gva at, gva target, bool branch);
void patching_static_call(struct patching *m, gva at, bool tail);

/* Write to the guest, and let the view see it. */
void patching_put(struct patching *m, gva at, uint64_t value);

/* The guest gets the image as it is now, patched. */
void patching_boot(struct patching *m);

/**
 * patching_save - what is patched, and how, as one input of a fuzzer
 * @size: receives its length
 * Return: the caller's, for free().
 */
uint8_t *patching_save(const struct patching *m, size_t *size);

/*
 * Put back what patching_open() made, and on it what patching_save() gave, or anything: what is
 * too short is filled with zeros, what is too long is cut. The guest has the code as it is then.
 */
void patching_load(struct patching *m, const uint8_t *data, size_t size);

/* Set the bit of a CPU feature. */
void patching_feature(struct patching *m, unsigned cpuid);

#endif
