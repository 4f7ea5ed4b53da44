/* SPDX-License-Identifier: Apache-2.0 */
#include "make/faults.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

/* The linker and the loader take these for the C library's. The kernel is asked directly. */

static struct {
	unsigned nth, calls;
	int code;
	bool counts, goes_on, failed;
	unsigned short_at;
} fault;

void fault_set(unsigned nth, int code)
{
	fault.nth = nth;
	fault.code = code;
	fault.calls = 0;
	fault.counts = true;
	fault.goes_on = fault.failed = false;
	fault.short_at = 0;
}

void fault_set_on(unsigned nth, int code)
{
	fault_set(nth, code);
	fault.goes_on = true;
}

void fault_set_short_then(unsigned nth, int code)
{
	fault_set_on(nth + 1, code);
	fault.short_at = nth;
}

unsigned fault_end(bool *failed)
{
	fault.counts = false;
	if (failed)
		*failed = fault.failed;
	return fault.calls;
}

/* @n: how many bytes; less where it shall be short. */
static bool fails(size_t *n)
{
	if (!fault.counts)
		return false;
	fault.calls++;
	if (fault.calls == fault.short_at && n)
		*n /= 2;
	if (!fault.nth || (fault.goes_on ? fault.calls < fault.nth : fault.calls != fault.nth))
		return false;
	if (fault.code == FAULT_SHORT) {
		/* What has records, such as a page map, gives whole ones. */
		size_t less = !n ? 0 : *n % 8 ? *n / 2 : *n / 2 & ~(size_t)7;

		if (less) {
			*n = less;
			fault.failed = true;
		}
		return false;
	}
	fault.failed = true;
	errno = fault.code;
	return true;
}

/* What makes, opens or maps is not interrupted. */
static bool fails_to_make(void)
{
	return fault.code != EINTR && fails(NULL);
}

ssize_t read(int fd, void *to, size_t n)
{
	return fails(&n) ? -1 : syscall(SYS_read, fd, to, n);
}

ssize_t write(int fd, const void *from, size_t n)
{
	return fails(&n) ? -1 : syscall(SYS_write, fd, from, n);
}

/* What is called pread() is this one, as of _FILE_OFFSET_BITS; and so with those that follow. */
ssize_t pread64(int fd, void *to, size_t n, off64_t at)
{
	return fails(&n) ? -1 : syscall(SYS_pread64, fd, to, n, at);
}

ssize_t pwrite64(int fd, const void *from, size_t n, off64_t at)
{
	return fails(&n) ? -1 : syscall(SYS_pwrite64, fd, from, n, at);
}

int openat64(int directory, const char *path, int flags, ...)
{
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
	va_end(args);
	return fails_to_make() ? -1 : (int)syscall(SYS_openat, directory, path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
	va_end(args);
	return openat64(AT_FDCWD, path, flags, mode);
}

int fsync(int fd)
{
	return fails(NULL) ? -1 : (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
	return fails(NULL) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

int ftruncate64(int fd, off64_t size)
{
	return fails(NULL) ? -1 : (int)syscall(SYS_ftruncate, fd, size);
}

int renameat(int from, const char *old, int to, const char *new)
{
	return fails(NULL) ? -1 : (int)syscall(SYS_renameat, from, old, to, new);
}

ssize_t send(int fd, const void *from, size_t n, int flags)
{
	return fails(&n) ? -1 : syscall(SYS_sendto, fd, from, n, flags, NULL, 0);
}

ssize_t recv(int fd, void *to, size_t n, int flags)
{
	return fails(&n) ? -1 : syscall(SYS_recvfrom, fd, to, n, flags, NULL, NULL);
}

int accept4(int fd, struct sockaddr *peer, socklen_t *size, int flags)
{
	return fails(NULL) ? -1 : (int)syscall(SYS_accept4, fd, peer, size, flags);
}

ssize_t process_vm_readv(pid_t pid, const struct iovec *to, unsigned long to_n,
			 const struct iovec *from, unsigned long from_n, unsigned long flags)
{
	struct iovec less = *to;

	return fails(&less.iov_len) ? -1 :
	       syscall(SYS_process_vm_readv, pid, &less, to_n, from, from_n, flags);
}

int memfd_create(const char *name, unsigned flags)
{
	return fails_to_make() ? -1 : (int)syscall(SYS_memfd_create, name, flags);
}

void *mmap64(void *at, size_t n, int protection, int flags, int fd, off64_t offset)
{
	/* Memory that belongs to no file is torture.h's. */
	if (fd >= 0 && fails_to_make())
		return MAP_FAILED;
	return (void *)syscall(SYS_mmap, at, n, protection, flags, fd, offset);
}
