/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_CHECK_HOOKED_H
#define HVSM_CHECK_HOOKED_H

#include "check/check.h"
#include "linux/hook.h"

/*
 * Pointers to functions that live objects lead to, judged alike in every check: a pointer is
 * good if it leads to the start of a function of the kernel or of a listed module, or to a
 * program of BPF, and if it may belong there:
 *
 * - the function takes what it will be given: where the types know both (types_alike()), and
 *   the pointer is no constant of the kernel's;
 * - a table that lies in the kernel's own data leads to the kernel; one in a module's data, to
 *   the kernel, to this module, or to one that it depends on;
 * - an object with a home leads to the kernel, and if it is a module's, to this module and those
 *   that it depends on or that depend on it;
 * - a table of operations that every program has in its own data, and nobody makes at run time,
 *   is in the kernel's or a listed module's: of which types this is so, a check says.
 *
 * That functions and constants are as shipped is proven elsewhere (kernel-code, module-code,
 * kernel-rodata). Code that is freed after boot counts as what it was: it cannot be executed.
 */
struct hooked {
	struct check_run *run;
	struct owners *owners;
	struct hook_walk walk;

	/*
	 * What a check knows of its objects besides, asked of each pointer that is good so far.
	 * Return: NULL, or what is wrong: "a table of its own".
	 */
	const char *(*doubt)(struct hooked *hooked, const struct hook *hook);
	const void *ctx;	/* for doubt() */

	/* Types whose tables are in the data of a program, NULL at the end; NULL: none. */
	const char *const *fixed;
	gva first, end;		/* where modules lie: from the first to the last */
	gva rodata, erodata;	/* the kernel's constants */
	struct map *alike;	/* functions and prototypes that were found to fit, or NULL */
	struct map misplaced;	/* objects with tables of these types that are not there */
};

/**
 * hooked_run - a check that judges all pointers of some sources
 * @sources: NULL at the end
 * @what:    what is counted as covered, a literal: "files in /proc"
 * @doubt:   may be NULL
 *
 * Return: 0, or as hook_walk_source().
 */
nodiscard int hooked_run(struct check_run *run, const struct hook_source *const *sources,
			 const char *what,
			 const char *(*doubt)(struct hooked *hooked, const struct hook *hook),
			 struct err *err);

/* As hooked_run(), with types whose tables are @fixed: struct hooked. */
nodiscard int hooked_run_fixed(struct check_run *run, const struct hook_source *const *sources,
			       const char *what, const char *const *fixed, struct err *err);

#endif
