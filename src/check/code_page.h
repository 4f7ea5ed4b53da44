/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_CHECK_CODE_PAGE_H
#define HVSM_CHECK_CODE_PAGE_H

#include "agent/format.h"
#include "check/process.h"
#include "keeper/measured.h"
#include "linux/inode.h"
#include "linux/uprobe.h"
#include "linux/vma.h"

/* A page of code that is not what was measured of its file: is there a good reason? */

/* One file that processes have mapped as code. */
struct code_file {
	const struct program *program;
	struct inode_info info;
	const struct measured_file *measured;	/* NULL: it was not */
	const struct measured_file *before;	/* … but as it was last; NULL: nor that */
	bool asked, no_elf;	/* whether it is no ELF file, once that was asked */
	bool told;		/* that it, or a part of it, was not measured */
};

struct code_page {
	struct process_walk *walk;
	const struct task *task;
	const struct code_file *file;
	const struct vma *vma;
	struct space space;	/* in which the process runs: of two, that without the kernel */
	unsigned runtime;	/* enum runtime: compilers that the process has mapped */
	uint64_t at;		/* in the process's address space */
	uint64_t number;	/* of the page in the file */
	gpa frame;
	uint8_t found[GUEST_PAGE_SIZE];
	uint8_t digest[AGENT_DIGEST_BYTES];
	uint8_t clean[GUEST_PAGE_SIZE];	/* what was measured, where @has_clean */
	bool has_clean;
	bool touched, written;	/* the file's change time, or what it has, is another by now */
};

enum page_state {
	PAGE_EQUAL,		/* it is what was measured, by now */
	PAGE_PROBED,		/* … but for breakpoints of uprobes */
	PAGE_GONE,		/* not mapped any more, or of another file */
	PAGE_CHANGING,		/* the file has changed meanwhile: nobody can say */
	PAGE_RELOCATED,		/* of a file with text relocations: nobody can say */
	PAGE_COMPILED,		/* of no ELF file, in a process that makes code */
	PAGE_MODIFIED,
};

/*
 * Is this page what was measured of the file? Where the change time is that of a measurement it is
 * that one's page, else of any of the same file with the same size and modification time.
 * @known: whether the page was measured at all
 */
bool code_page_is_measured(const struct code_file *file, uint64_t number, const uint8_t *digest,
			   bool *known);

/**
 * code_page_judge - look once more, on fresh memory, and find a reason
 * @page:    all but what is found there; @page->clean is filled in where it can be had
 * @uprobes: those of the kernel
 *
 * The view is refreshed.
 *
 * Return: enum page_state, or an error as view_read().
 */
nodiscard int code_page_judge(struct code_page *page, const struct uprobes *uprobes,
			      struct err *err);

/* What is wrong with it, and where it begins to be. */
void code_page_evidence(const struct code_page *page, struct finding *finding);

#endif
