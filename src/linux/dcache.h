/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_LINUX_DCACHE_H
#define HVSM_LINUX_DCACHE_H

#include "linux/kernel.h"

/* Names of files that the kernel has in memory: dentry → its children. */

/**
 * dcache_find - an entry of a directory
 * @directory: dentry
 * @ret:       its dentry, which has an inode and has not been deleted
 *
 * What is not in memory need not be missing on disk. Mounts are not followed.
 *
 * Return: 0, -ENOENT (not in memory), -EBADMSG (in a running guest it may be an update in
 *         flight), -ELOOP (limits), or an error as view_read().
 */
nodiscard int dcache_find(const struct kernel *kernel, struct view *view, gva directory,
			  const char *name, gva *ret, struct err *err);

#endif
