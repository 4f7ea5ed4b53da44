/* SPDX-License-Identifier: Apache-2.0 */
#include "ram/proc.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

int proc_init(struct proc *proc, pid_t pid, struct err *err)
{
	struct proc new = { .pid = pid, .pidfd = -1, .dir = -1 };
	char path[32];
	int r;

	if (pid <= 0)
		return err_set(err, -EINVAL, "%d is not a process id", (int)pid);
	new.pidfd = pidfd_open(pid, 0);
	if (new.pidfd < 0) {
		/* Of a thread, EINVAL or ENOENT. */
		if (errno == ESRCH || errno == EINVAL || errno == ENOENT)
			return err_set(err, -ESRCH, "no process %d", (int)pid);
		return err_set(err, -errno, "process %d: %s", (int)pid, strerror(errno));
	}

	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	new.dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	r = new.dir < 0 ? -errno : 0;
	/* Alive after the open: then the directory is this process's and not a successor's. */
	if (proc_alive(&new, NULL) < 0)
		r = err_set(err, -ESRCH, "no process %d", (int)pid);
	else if (r == -ENOENT)
		r = err_set(err, -EACCES,
			    "process %d is hidden: run as root, or in the group that the "
			    "mount options of /proc name", (int)pid);
	else if (r < 0)
		r = err_set(err, r, "%s: %s", path, strerror(-r));
	if (r < 0) {
		proc_deinit(&new);
		return r;
	}
	*proc = new;
	return 0;
}

void proc_deinit(struct proc *proc)
{
	fd_close(&proc->pidfd);
	fd_close(&proc->dir);
	*proc = PROC_NONE;
}

int proc_alive(const struct proc *proc, struct err *err)
{
	struct pollfd poller = { .fd = proc->pidfd, .events = POLLIN };

	if (poll(&poller, 1, 0) <= 0)
		return 0;
	return err_set(err, -ESRCH, "process %d ended", (int)proc->pid);
}

int proc_openat(const struct proc *proc, const char *name, int flags, struct err *err)
{
	int fd = openat(proc->dir, name, flags | O_CLOEXEC), r;

	if (fd >= 0)
		return fd;
	r = -errno;
	if (r == -EACCES || r == -EPERM)
		return err_set(err, -EACCES, "no permission to read the memory of process %d: run "
			       "as root, or with CAP_SYS_PTRACE", (int)proc->pid);
	if (proc_alive(proc, err) < 0)
		return -ESRCH;
	return err_set(err, r, "/proc/%d/%s: %s", (int)proc->pid, name, strerror(-r));
}

int proc_read(const struct proc *proc, const char *name, size_t max, char **ret, size_t *len,
	      struct err *err)
{
	cleanup(freep) char *text = NULL;
	cleanup(fd_close) int fd = -1;
	size_t n = 0, room = 0;

	fd = proc_openat(proc, name, O_RDONLY, err);
	if (fd < 0)
		return fd;
	for (;;) {
		ssize_t got;

		if (room - n < 2) {
			char *bigger;

			room = room ? room * 2 : 16384;
			bigger = realloc(text, room);
			if (!bigger)
				return -ENOMEM;
			text = bigger;
		}
		got = read(fd, text + n, room - n - 1);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return err_set(err, errno == ESRCH ? -ESRCH : -EIO, "/proc/%d/%s: %s",
				       (int)proc->pid, name, strerror(errno));
		if (!got)
			break;
		n += (size_t)got;
		if (n > max)
			return err_set(err, -ELOOP, "/proc/%d/%s: over %zu bytes",
				       (int)proc->pid, name, max);
	}
	text[n] = '\0';
	*len = n;
	*ret = take_ptr(&text);
	return 0;
}

int proc_path(const struct proc *proc, const char *path, struct err *err)
{
	struct open_how how = { .flags = O_PATH | O_CLOEXEC };
	cleanup(fd_close) int from = -1;
	long fd;

	how.resolve = path[0] == '/' ? RESOLVE_IN_ROOT : RESOLVE_BENEATH;
	from = proc_openat(proc, path[0] == '/' ? "root" : "cwd", O_PATH | O_DIRECTORY, err);
	if (from < 0)
		return from;
	fd = syscall(SYS_openat2, from, path, &how, sizeof(how));
	if (fd < 0)
		return err_set(err, -errno, "'%s' of process %d: %s", path, (int)proc->pid,
			       strerror(errno));
	return (int)fd;
}

int proc_has_fd(const struct proc *proc, const char *link)
{
	cleanup(dir_close) DIR *dir = NULL;
	const struct dirent *entry;
	char target[64];
	int fd;

	fd = openat(proc->dir, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return -ENOMEM;
	}
	while ((entry = readdir(dir))) {
		ssize_t n = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);

		target[n < 0 ? 0 : n] = '\0';
		if (!strcmp(target, link))
			return 1;
	}
	return 0;
}

int proc_link(const struct proc *proc, const char *name, char *buf, size_t size)
{
	ssize_t n = readlinkat(proc->dir, name, buf, size - 1);

	if (n < 0)
		return -errno;
	buf[n] = '\0';
	return 0;
}
