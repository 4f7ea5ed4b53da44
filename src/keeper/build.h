/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_KEEPER_BUILD_H
#define HVSM_KEEPER_BUILD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/blob.h"
#include "base/err.h"
#include "base/vec.h"

/*
 * The host's own copies of the measure agent: ELF files of a static program, by which the one
 * that runs in a guest is known and proved. What is said of addresses is as linked; a running
 * copy lies a bias above that, which is a multiple of the page size.
 */

enum build_kind {
	BUILD_CONST,		/* mapped read-only: equal to the file */
	BUILD_CODE,		/* mapped executable: equal to the file */
	BUILD_RELRO,		/* written at the start, read-only after that */
	BUILD_DATA,		/* writable */
};

/* "constants", "code", "relocated constants", "data". */
const char *build_kind_name(enum build_kind kind);

/* Whole pages; in ascending order, and disjoint. */
struct build_range {
	enum build_kind kind;
	uint64_t start, end;
	uint64_t offset;	/* in the file, of @start; a multiple of the page size */
	uint64_t file_bytes;	/* from @start on that are of the file; zeros follow */
};

struct build_relocation {
	uint64_t at;
	uint64_t addend;	/* RELATIVE: bias + addend; IRELATIVE: the resolver's address */
	bool indirect;		/* IRELATIVE: the resolver chooses the address */
};

struct build {
	char *path;		/* on the host */
	char id[41];		/* GNU build ID in hex */
	uint8_t id_bytes[20];
	uint32_t id_size;
	uint64_t id_at;		/* where the running program has it, in a page of BUILD_CONST */
	uint64_t anchor;	/* of struct agent_anchor, page aligned */
	struct blob file;
	VEC(struct build_range) ranges;
	VEC(struct build_relocation) relocations;	/* by address; those in BUILD_RELRO */
};

/**
 * build_read - take a file apart
 * @file: the build's from now on, also on failure
 * @path: copied
 *
 * Return: 0, -ENOENT (an ELF file, but no agent: without the anchor's section), -EBADMSG (not
 *         such a file, one that contradicts itself, or one that cannot be proved: not static,
 *         relocated code, no build ID), -ELOOP, -ENOMEM.
 */
nodiscard int build_read(struct blob *file, const char *path, struct build **ret,
			 struct err *err);

/* *@build becomes NULL. NULL is fine. */
void build_free(struct build **build);

/* The first range of this kind; NULL: none. */
const struct build_range *build_range(const struct build *build, enum build_kind kind);

/**
 * build_compare - is a page of the running program what it must be?
 * @range: of it, not BUILD_DATA
 * @at:    of the page, as linked: in the range
 * @bias:  of the running copy
 * @page:  GUEST_PAGE_SIZE bytes
 * @where: receives the offset in the page of the first that is not
 *
 * Pages of BUILD_CONST and BUILD_CODE are the file's. In one of BUILD_RELRO each relocated
 * pointer must lead to where the file says, or where a resolver chooses, into code; the rest is
 * written by the C library when it starts, and not judged here.
 */
bool build_compare(const struct build *build, const struct build_range *range, uint64_t at,
		   uint64_t bias, const uint8_t *page, uint32_t *where);

/* What the host has. Start with {0}; give the memory back with builds_free(). */
struct builds {
	VEC(struct build *) all;
};

/**
 * builds_add - an agent's file, or every one in a directory
 * In a directory what is no agent is passed over, and of two files of one build one is kept.
 *
 * Return: 0, -ENOENT (no such file; not an agent, or none in the directory), as build_read(),
 *         or as open(2).
 */
nodiscard int builds_add(struct builds *builds, const char *path, struct err *err);

void builds_free(struct builds *builds);

#endif
