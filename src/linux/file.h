/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_LINUX_FILE_H
#define HVSM_LINUX_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/vec.h"
#include "linux/task.h"

/*
 * Open files: task → files_struct → fdtable → struct file. Threads that share one table
 * (clone(2), CLONE_FILES) give its files once, under the first of them; a thread with a table
 * of its own gives its own. file_table.h walks the tables without looking at the files.
 */

enum file_type {
	FILE_UNKNOWN,		/* the inode could not be read, or names no type */
	FILE_REGULAR,
	FILE_DIRECTORY,
	FILE_LINK,		/* opened with O_PATH | O_NOFOLLOW */
	FILE_CHAR,
	FILE_BLOCK,
	FILE_FIFO,
	FILE_SOCKET,
	FILE_ANON,		/* anon_inode: eventfd, epoll, BPF programs, … */
};

/* "regular", "directory", …; "unknown". */
const char *file_type_name(enum file_type type);

/* A device number as the kernel keeps it: 12 bits of major, 20 of minor. */
static inline uint32_t dev_major(uint32_t dev)
{
	return dev >> 20;
}

static inline uint32_t dev_minor(uint32_t dev)
{
	return dev & 0xfffff;
}

enum {			/* file.flags: as in open(2), x86-64 */
	FILE_O_ACCMODE = 03,
	FILE_O_WRONLY  = 01,
	FILE_O_RDWR    = 02,
	FILE_O_APPEND  = 02000,
	FILE_O_PATH    = 010000000,
};

struct file {
	gva task;		/* task_struct of the owner */
	uint32_t pid;		/* process (TGID) and thread (PID) of the owner */
	uint32_t tid;
	uint32_t fd;

	gva at;			/* struct file */
	gva inode_at;		/* struct inode */
	char *path;		/* as /proc/PID/fd shows it; see path.h. Guest text: escape it */
	enum file_type type;
	uint64_t inode;
	uint32_t dev;		/* of the file system */
	uint32_t rdev;		/* of the device that a FILE_CHAR or FILE_BLOCK stands for */
	uint64_t size_bytes;
	uint64_t position;	/* what lseek(2) would tell */
	uint32_t flags;		/* FILE_O_* and all other bits of f_flags */
	uint32_t mount;		/* id of the mount, as in /proc/PID/mountinfo */
	bool cloexec;
	bool deleted;		/* its name is gone, the inode is not */
	bool memfd;		/* memfd_create(2): a file that never had a name */
};

/* Is it open for reading, for writing? */
bool file_reads(const struct file *file);
bool file_writes(const struct file *file);

struct files {
	VEC(struct file) all;	/* by task in the order of the task list, then by fd */
	uint64_t path_bytes;	/* of all paths together */
};

/**
 * file_list - the open files of all tasks
 * @tasks: whose; from task_list()
 * @ret:   {0} before; on failure it holds what had been found; to be given to files_free()
 *
 * What cannot be read of one file or of one table is left out and makes the call fail at its
 * end; the others are there.
 *
 * Return: 0 (complete), -EBADMSG, -EFAULT (some were left out), -ELOOP (limits), -ESRCH,
 *         -ENOENT (types), -ENOMEM.
 */
nodiscard int file_list(const struct kernel *kernel, struct view *view,
			const struct tasks *tasks, struct files *ret, struct err *err);

void files_free(struct files *files);

#endif
