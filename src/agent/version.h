/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_AGENT_VERSION_H
#define HVSM_AGENT_VERSION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/err.h"

/*
 * What tells a version of a file from others. Where it is under fs-verity
 * (Documentation/filesystems/fsverity.rst), its digest counts as well: the kernel has it at hand,
 * and gives the file's pages only as they were when it was made.
 */
struct version {
	struct stat stat;
	uint64_t verity;	/* first bytes of the digest; 0: it is not under fs-verity */
};

#define VERITY_UNKNOWN UINT64_MAX

/* Of an open file. 0, or what statx(2) failed with. */
nodiscard int version_of_fd(int fd, struct version *ret);

/**
 * version_of_path - the same by its path, which may lead to the file by a link
 * @sync: false: by what is known of it by now; nothing is asked of a file server
 *
 * Where the file is under fs-verity it is opened to be asked for its digest, but only if @sync:
 * else that is VERITY_UNKNOWN.
 *
 * Return: 0, or what statx(2) or open(2) failed with.
 */
nodiscard int version_of_path(const char *path, bool sync, struct version *ret);

#endif
