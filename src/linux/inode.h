/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_LINUX_INODE_H
#define HVSM_LINUX_INODE_H

#include "linux/kernel.h"

/* What tells a file, and a version of it, from others: as stat(2) gives it. */
struct inode_info {
	uint64_t device;	/* s_dev; of overlayfs, btrfs … stat(2) may give another */
	uint64_t number;
	uint64_t size_bytes;
	uint64_t mtime_ns, ctime_ns;	/* since 1970 */
};

/**
 * inode_read - the identity of a file
 * @inode: its struct inode
 *
 * Return: 0, -EBADMSG (@inode is no address in the kernel), -ENOENT (types), or an error as
 *         view_read().
 */
nodiscard int inode_read(const struct kernel *kernel, struct view *view, gva inode,
			 struct inode_info *ret, struct err *err);

#endif
