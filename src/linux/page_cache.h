/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_LINUX_PAGE_CACHE_H
#define HVSM_LINUX_PAGE_CACHE_H

#include "linux/kernel.h"

/* What the kernel keeps in memory of files: inode → address_space → pages. */

/**
 * page_cache_read - a page of a file
 * @page: its number, from 0
 * @buf:  receives GUEST_PAGE_SIZE bytes; what is behind the file's end is zero
 *
 * Return: 0, -ENOENT (not in memory; of an empty file nothing ever is), -EBADMSG (that cannot
 *         be a page), or an error as view_read().
 */
nodiscard int page_cache_read(const struct kernel *kernel, struct view *view, gva inode,
			      uint64_t page, uint8_t *buf, struct err *err);

#endif
