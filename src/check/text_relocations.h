/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_CHECK_TEXT_RELOCATIONS_H
#define HVSM_CHECK_TEXT_RELOCATIONS_H

#include "linux/kernel.h"

/*
 * Old libraries that were not built as position-independent code have their code changed when they
 * are loaded: DT_TEXTREL says so (System V gABI, "Dynamic Section").
 */
enum text_relocations {
	TEXT_RELOCATIONS_NO,
	TEXT_RELOCATIONS_YES,
	TEXT_RELOCATIONS_UNKNOWN,	/* the part of the file that says so is not in memory */
	TEXT_RELOCATIONS_UNLIKELY,	/* … but it is of 64 bits, whose compilers make none */
	TEXT_RELOCATIONS_NO_ELF,
};

/**
 * text_relocations_of - has a file text relocations?
 * @inode: the file, of which the kernel has the first page and the dynamic section in memory
 *
 * Return: 0, or an error as page_cache_read() but -ENOENT.
 */
nodiscard int text_relocations_of(const struct kernel *kernel, struct view *view, gva inode,
				  enum text_relocations *ret, struct err *err);

#endif
