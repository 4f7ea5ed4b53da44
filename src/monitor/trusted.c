/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/trusted.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int look(const char *path, mode_t type, bool last, struct err *err)
{
	struct stat status;

	if (lstat(path, &status) < 0)
		return err_set(err, -errno, "%s: %s", path, strerror(errno));
	if (S_ISLNK(status.st_mode))
		return err_set(err, -EINVAL, "%s: a link; name what it leads to", path);
	if ((status.st_mode & S_IFMT) != type)
		return err_set(err, -EINVAL, "%s: not a %s", path,
			       type == S_IFDIR ? "directory" : "file");
	if (status.st_uid != 0 && status.st_uid != geteuid())
		return err_set(err, -EACCES, "%s: belongs to user %u: it must be root's", path,
			       status.st_uid);
	if ((status.st_mode & (S_IWGRP | S_IWOTH)) && (last || !(status.st_mode & S_ISVTX)))
		return err_set(err, -EACCES, "%s: others than its owner may write it", path);
	return 0;
}

int trusted_path(const char *path, mode_t type, struct err *err)
{
	char part[PATH_MAX];
	int r;

	if (*path != '/' || strlen(path) >= sizeof(part))
		return err_set(err, -EINVAL, "%s: not an absolute path", path);
	r = look("/", S_IFDIR, false, err);
	for (const char *slash = strchr(path + 1, '/'); slash && r == 0;
	     slash = strchr(slash + 1, '/')) {
		snprintf(part, sizeof(part), "%.*s", (int)(slash - path), path);
		r = look(part, S_IFDIR, false, err);
	}
	return r < 0 ? r : look(path, type, true, err);
}
