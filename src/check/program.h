/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_CHECK_PROGRAM_H
#define HVSM_CHECK_PROGRAM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/map.h"
#include "base/vec.h"
#include "linux/kernel.h"

/*
 * Files that processes run, map or load: where they lie, and whether they are known to make
 * code at run time. docs/processes.md has the rules for those who run hvsm.
 */

/* Whose a place in the tree of files is. */
enum place {
	PLACE_OTHER,		/* /srv, /var, a mount of one's own */
	PLACE_SYSTEM,		/* where packages put programs: only root writes there */
	PLACE_TEMP,		/* where everybody may write: /tmp, /dev/shm */
	PLACE_HOME,		/* of a user */
};

/* "system", "temporary", "home", "other". */
const char *place_name(enum place place);

/* Of a path as path.h prints it. */
enum place place_of(const char *path);

/* Is an entry of the path hidden from ls(1): "/usr/lib/.x/y"? */
bool path_is_hidden(const char *path);

/* What a runtime that makes code looks like in memory; bits. */
enum runtime {
	RUNTIME_ANY	= 1 << 0,	/* a compiler: areas of any size, also in memfds */
	RUNTIME_SLJIT	= 1 << 1,	/* PCRE: writable ones of whole 64 KiB */
	RUNTIME_FFI	= 1 << 2,	/* libffi: small ones */
};

struct program {
	gva dentry, inode;
	enum place place;
	bool deleted;		/* it had a name and has none any more */
	bool memory;		/* never had one: memfd, shared memory */
	bool memfd;
	unsigned runtime;	/* enum runtime; 0: none known, or not from a system directory */
	uint32_t uid;		/* of the file */
	uint32_t mode;
	uint32_t device;
	uint64_t number;	/* of the inode */
	uint64_t size_bytes;
	char *path;		/* see path.h. Guest text: escape it */
	const char *name;	/* the last part of @path, "(deleted)" with it */
};

/* Start with {.kernel, .view}; give the memory back with programs_free(). */
struct programs {
	const struct kernel *kernel;
	struct view *view;
	VEC(struct program *) all;
	struct map index;	/* dentry → place in @all */
};

/**
 * programs_get - what a struct file leads to
 * @ret: owned by @programs, as long as it is there
 *
 * Return: 0, or an error as path_print_file().
 */
nodiscard int programs_get(struct programs *programs, gva file, const struct program **ret,
			   struct err *err);

void programs_free(struct programs *programs);

/**
 * program_is_replaced - is there another file by now under the name that a deleted one had?
 * As far as the kernel has the name in memory.
 *
 * Return: 1, 0, or an error as dcache_find().
 */
nodiscard int program_is_replaced(struct programs *programs, const struct program *program,
				  struct err *err);

/**
 * program_successor - the file that stands by now under the name that a deleted one had
 * @inode: receives its struct inode, where there is one
 * As program_is_replaced().
 */
nodiscard int program_successor(struct programs *programs, const struct program *program,
				gva *inode, struct err *err);

/* Is it a regular file: no device, no directory? */
bool program_is_regular(const struct program *program);

/* Does the last part of a path match one of these? "name" or "name*"; NULL at the end. */
bool name_matches(const char *name, const char *const *patterns);

#endif
