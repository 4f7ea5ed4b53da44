/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/finder_calls.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "monitor/calls.h"

#define FCNTL(command) CALL_IF(1, SCMP_CMP_EQ, command)

static const struct call allowed[] = {
	/* Talking: only over the socket that it has. */
	{ SCMP_SYS(recvmsg), "what is asked, and the descriptors with it" },
	{ SCMP_SYS(sendmsg), "the answer" },
	{ SCMP_SYS(poll), "to wait for either" },
	{ SCMP_SYS(shutdown), "a starter that breaks the protocol is not listened to" },

	/* Packages, kernels, modules; what may be opened for what is Landlock's to say. */
	/* None is cut off by that: Landlock knows of it since Linux 6.2 only. */
	{ SCMP_SYS(open), "files", 1, { CALL_IF(1, SCMP_CMP_MASKED_EQ, O_TRUNC, 0) } },
	{ SCMP_SYS(openat), "files", 1, { CALL_IF(2, SCMP_CMP_MASKED_EQ, O_TRUNC, 0) } },
	{ SCMP_SYS(close), "files that were used up" },
	{ SCMP_SYS(read), "files" },
	{ SCMP_SYS(pread64), "files" },
	{ SCMP_SYS(lseek), "parts of them are passed over" },
	{ SCMP_SYS(stat), "is it a directory, and how large?" },
	{ SCMP_SYS(lstat), "the same" },
	{ SCMP_SYS(fstat), "the same" },
	{ SCMP_SYS(newfstatat), "the same" },
	{ SCMP_SYS(statfs), "fts(3), libarchive: what the file system can do" },
	{ SCMP_SYS(fstatfs), "the same" },
	{ SCMP_SYS(access), "is it there?" },
	{ SCMP_SYS(faccessat), "the same" },
	{ SCMP_SYS(faccessat2), "the same" },
	{ SCMP_SYS(getdents64), "directories that were named" },
	{ SCMP_SYS(readlink), "SQLite: where a path leads" },
	{ SCMP_SYS(readlinkat), "the same" },
	{ SCMP_SYS(getcwd), "the same" },
	/* Others send signals (F_SETOWN), hold up who opens a file (F_SETLEASE), … */
	{ SCMP_SYS(fcntl), "fts(3) doubles descriptors", 1, { FCNTL(F_DUPFD_CLOEXEC) } },
	{ SCMP_SYS(fcntl), "the same", 1, { FCNTL(F_DUPFD) } },
	{ SCMP_SYS(fcntl), "the C library asks what it has", 1, { FCNTL(F_GETFD) } },
	{ SCMP_SYS(fcntl), "… and has it closed in programs", 1, { FCNTL(F_SETFD) } },
	{ SCMP_SYS(fcntl), "the same", 1, { FCNTL(F_GETFL) } },
	{ SCMP_SYS(fcntl), "SQLite: has somebody locked it?", 1, { FCNTL(F_GETLK) } },
	{ SCMP_SYS(fcntl), "SQLite locks its file", 1, { FCNTL(F_SETLK) } },

	/* The store, and nameless files. */
	{ SCMP_SYS(write), "what is found" },
	{ SCMP_SYS(pwrite64), "the same" },
	{ SCMP_SYS(ftruncate), "SQLite's journal" },
	{ SCMP_SYS(fallocate), "the same" },
	{ SCMP_SYS(fsync), "what was added is there after a crash" },
	{ SCMP_SYS(fdatasync), "the same" },
	{ SCMP_SYS(flock), "one at a time adds to the store" },
	{ SCMP_SYS(mkdir), "the directory of what is large" },
	{ SCMP_SYS(mkdirat), "the same" },
	{ SCMP_SYS(rename), "a file has its name when it is whole" },
	{ SCMP_SYS(renameat), "the same" },
	{ SCMP_SYS(renameat2), "the same" },
	{ SCMP_SYS(unlink), "SQLite's journal; what was not finished" },
	{ SCMP_SYS(unlinkat), "the same" },
	/* No fchown(), which SQLite does without: nor fchmod(), of which Landlock knows nothing. */
	{ SCMP_SYS(geteuid), "whose is the store?" },
	{ SCMP_SYS(getuid), "the same" },
	{ SCMP_SYS(getegid), "the same" },
	{ SCMP_SYS(getgid), "the same" },
	{ SCMP_SYS(memfd_create), "what is found is sent in memory that is sealed" },
	{ SCMP_SYS(fcntl), "to seal it", 1, { FCNTL(F_ADD_SEALS) } },
	{ SCMP_SYS(fcntl), "is what is asked sealed?", 1, { FCNTL(F_GET_SEALS) } },

	/* Its own memory; none of it becomes code. */
	{ SCMP_SYS(mmap), "malloc(), files", 1, { CALL_IF(2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0) } },
	{ SCMP_SYS(mprotect), "malloc()", 1, { CALL_IF(2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0) } },
	{ SCMP_SYS(munmap), "free()" },
	{ SCMP_SYS(mremap), "realloc()" },
	{ SCMP_SYS(madvise), "free() gives memory back" },
	{ SCMP_SYS(brk), "malloc()" },
	{ SCMP_SYS(sysinfo), "qsort() asks once how much memory there is" },
	{ SCMP_SYS(sched_getaffinity), "liblzma, zstd: how many CPUs?" },

	{ SCMP_SYS(clock_gettime), "when it was, where the vDSO cannot tell" },
	{ SCMP_SYS(gettimeofday), "the same" },
	{ SCMP_SYS(time), "the same" },
	{ SCMP_SYS(nanosleep), "SQLite waits for who has the store" },
	{ SCMP_SYS(clock_nanosleep), "the same" },
	{ SCMP_SYS(restart_syscall), "a pause that was interrupted by a stop goes on" },
	{ SCMP_SYS(getrandom), "malloc(), libsodium and SQLite draw keys" },
	{ SCMP_SYS(futex), "locks of the C library" },
	{ SCMP_SYS(rt_sigreturn), "out of a handler" },
	{ SCMP_SYS(exit_group), "the end" },
};

/* What sanitizers do when they report. */
static const struct call sanitizers[] = {
	{ SCMP_SYS(sigaltstack), "a stack to report an overflow of the stack on" },
	{ SCMP_SYS(rt_sigaction), "back to the default after a report" },
	{ SCMP_SYS(sched_yield), "their locks" },
	{ SCMP_SYS(getrlimit), "bounds of the stack" },
	{ SCMP_SYS(prlimit64), "the same", 1, { CALL_IF(2, SCMP_CMP_NE, 0) } },
	{ SCMP_SYS(getppid), "who reports" },
};

static int add_all(scmp_filter_ctx filter)
{
	int r = calls_allow(filter, allowed, ARRAY_SIZE(allowed));

	if (r == 0)
		r = calls_allow_abort(filter);
	if (r == 0 && CALLS_SANITIZED)
		r = calls_allow(filter, sanitizers, ARRAY_SIZE(sanitizers));
	return r;
}

int finder_calls_load(struct err *err)
{
	return calls_load(SCMP_ACT_ERRNO(EPERM), add_all, err);
}
