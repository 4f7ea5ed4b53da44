/* SPDX-License-Identifier: Apache-2.0 */

#include "agent/version.h"

#include <fcntl.h>
#include <linux/fsverity.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#include "base/cleanup.h"

#define DIGEST_BYTES 64		/* SHA-512 */

static struct timespec time_of(const struct statx_timestamp *time)
{
	return (struct timespec){ time->tv_sec, time->tv_nsec };
}

static struct stat stat_of(const struct statx *file)
{
	struct stat stat = {0};

	stat.st_dev = makedev(file->stx_dev_major, file->stx_dev_minor);
	stat.st_ino = file->stx_ino;
	stat.st_mode = file->stx_mode;
	stat.st_nlink = file->stx_nlink;
	stat.st_uid = file->stx_uid;
	stat.st_size = (off_t)file->stx_size;
	stat.st_mtim = time_of(&file->stx_mtime);
	stat.st_ctim = time_of(&file->stx_ctime);
	return stat;
}

/* 0 where it cannot be had: then the file's times have to do. */
static uint64_t verity_of(int fd)
{
	struct fsverity_digest head = { .digest_size = DIGEST_BYTES };
	uint8_t answer[sizeof(head) + DIGEST_BYTES] = {0};
	uint64_t verity;

	memcpy(answer, &head, sizeof(head));
	if (ioctl(fd, FS_IOC_MEASURE_VERITY, answer) < 0)
		return 0;
	memcpy(&verity, answer + sizeof(head), sizeof(verity));
	return verity;
}

static bool is_verity(const struct statx *file)
{
	return file->stx_attributes & file->stx_attributes_mask & STATX_ATTR_VERITY;
}

int version_of_fd(int fd, struct version *ret)
{
	struct statx file;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &file) < 0)
		return -errno;
	*ret = (struct version){ stat_of(&file), is_verity(&file) ? verity_of(fd) : 0 };
	return 0;
}

int version_of_path(const char *path, bool sync, struct version *ret)
{
	cleanup(fd_close) int fd = -1;
	struct statx file;

	if (statx(AT_FDCWD, path, sync ? 0 : AT_STATX_DONT_SYNC, STATX_BASIC_STATS, &file) < 0)
		return -errno;
	if (sync && is_verity(&file)) {
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
		if (fd < 0)
			return -errno;
		return version_of_fd(fd, ret);
	}
	*ret = (struct version){ stat_of(&file), is_verity(&file) ? VERITY_UNKNOWN : 0 };
	return 0;
}
