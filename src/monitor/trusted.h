/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_MONITOR_TRUSTED_H
#define HVSM_MONITOR_TRUSTED_H

#include <sys/types.h>

#include "base/err.h"

/**
 * trusted_path - can nobody but root, and who runs us, change what a path leads to?
 * @path: absolute
 * @type: S_IFREG or S_IFDIR
 *
 * It and every directory above it belong to one of the two, and others may not write there; in
 * a directory such as /tmp, with the sticky bit, they may, for what is there is not theirs. A
 * link on the way is refused.
 *
 * Return: 0, -EACCES (others could change it), -ENOENT, -EINVAL (not of that type, a link, not
 *         absolute), or another errno.
 */
nodiscard int trusted_path(const char *path, mode_t type, struct err *err);

#endif
