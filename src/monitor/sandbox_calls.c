/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/sandbox_calls.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "monitor/calls.h"
#include "monitor/sandbox.h"

static const struct call allowed[] = {
	/* Talking: only over sockets that it has, and it has one. */
	{ SCMP_SYS(recvmsg), "messages of the starter, and the descriptors in them" },
	{ SCMP_SYS(sendmsg), "messages to the starter" },
	{ SCMP_SYS(poll), "to wait for the next message; is the guest's process alive? (pidfd)" },
	{ SCMP_SYS(shutdown), "a starter that breaks the protocol is not listened to" },

	/* The guest's memory: descriptors that were opened for reading. */
	{ SCMP_SYS(pread64), "bytes of RAM files, of /proc/PID/mem and pagemap" },
	{ SCMP_SYS(lseek), "holes in RAM files and images; moves no bytes" },
	{ SCMP_SYS(fstat), "size of what the starter sent" },
	/* fstat() of glibc 2.33 and later. A path would lead nowhere: Landlock, no mounts. */
	{ SCMP_SYS(newfstatat), "the same", 1, { CALL_IF(3, SCMP_CMP_EQ, AT_EMPTY_PATH) } },
	{ SCMP_SYS(mincore), "what of a RAM file is there to be read in place: ram/window.c" },
	{ SCMP_SYS(close), "descriptors that were used up" },

	/* Its own memory; none of it becomes code. */
	{ SCMP_SYS(mmap), "malloc(), what the starter sent", 2,
	  { CALL_IF(2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0),
	    CALL_IF(3, SCMP_CMP_MASKED_EQ, MAP_SHARED | MAP_HUGETLB, 0) } },
	/* Shared memory of its own would be on nobody's bill: RLIMIT_DATA does not count it. */
	{ SCMP_SYS(mmap), "what the starter copies for it; RAM files: ram/window.c", 2,
	  { CALL_IF(2, SCMP_CMP_EQ, PROT_READ), CALL_IF(3, SCMP_CMP_EQ, MAP_SHARED) } },
	{ SCMP_SYS(mprotect), "malloc() grows its arenas so", 1,
	  { CALL_IF(2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0) } },
	{ SCMP_SYS(munmap), "free()" },
	{ SCMP_SYS(mremap), "realloc() of what is large" },
	{ SCMP_SYS(madvise), "free() gives memory back" },
	{ SCMP_SYS(brk), "malloc()" },
	{ SCMP_SYS(sysinfo), "qsort() asks once how much memory there is" },

	/* Reports: files in memory, which are sealed and sent. */
	/* None of huge pages: those are for guests. */
	{ SCMP_SYS(memfd_create), "reports are larger than a message", 1,
	  { CALL_IF(1, SCMP_CMP_EQ, MFD_CLOEXEC | MFD_ALLOW_SEALING) } },
	{ SCMP_SYS(write), "into them: no other descriptor but the channel can be written to" },
	{ SCMP_SYS(fcntl), "to seal them", 1, { CALL_IF(1, SCMP_CMP_EQ, F_ADD_SEALS) } },
	{ SCMP_SYS(fcntl), "are those of the starter sealed?", 1,
	  { CALL_IF(1, SCMP_CMP_EQ, F_GET_SEALS) } },

	/* Time, where the vDSO cannot tell it; pauses between two looks. */
	{ SCMP_SYS(clock_gettime), "durations, and when it was" },
	{ SCMP_SYS(gettimeofday), "the same" },
	{ SCMP_SYS(time), "the same" },
	{ SCMP_SYS(clock_nanosleep), "to look again after a moment" },
	{ SCMP_SYS(restart_syscall), "a pause that was interrupted by a stop goes on" },

	{ SCMP_SYS(getrandom), "malloc() and libsodium draw keys" },
	{ SCMP_SYS(futex), "locks of the C library; memory of its own" },

	/* Its end. */
	{ SCMP_SYS(exit_group), "the end" },
	{ SCMP_SYS(rt_sigreturn), "out of the handler of SIGSYS" },
};

/* What sanitizers do when they report, and in between. */
static const struct call sanitizers[] = {
	{ SCMP_SYS(sigaltstack), "a stack to report an overflow of the stack on" },
	{ SCMP_SYS(rt_sigaction), "back to the default after a report" },
	{ SCMP_SYS(sched_yield), "their locks" },
	{ SCMP_SYS(getrlimit), "bounds of the stack" },
	{ SCMP_SYS(prlimit64), "the same", 1, { CALL_IF(2, SCMP_CMP_NE, 0) } },
	{ SCMP_SYS(readlink), "the name of the program; nothing is there" },
	{ SCMP_SYS(read), "what was opened before" },
	{ SCMP_SYS(getuid), "the same" },
	{ SCMP_SYS(getppid), "the same" },
};

/* … and what they try, and do without: it fails, in place of ending the process unheard. */
static const int refused_sanitizers[] = {
	SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(access), SCMP_SYS(stat), SCMP_SYS(pipe),
	SCMP_SYS(pipe2), SCMP_SYS(clone), SCMP_SYS(clone3), SCMP_SYS(fork), SCMP_SYS(prctl),
	SCMP_SYS(ioctl), SCMP_SYS(process_vm_readv), SCMP_SYS(rt_sigqueueinfo),
	SCMP_SYS(socketpair), SCMP_SYS(readlinkat), SCMP_SYS(getcwd),
};

static int add_all(scmp_filter_ctx filter)
{
	int r = calls_allow(filter, allowed, ARRAY_SIZE(allowed));

	if (r == 0)
		r = calls_allow_abort(filter);
	if (r == 0 && CALLS_SANITIZED)
		r = calls_allow(filter, sanitizers, ARRAY_SIZE(sanitizers));
	if (r == 0 && CALLS_SANITIZED)
		r = calls_refuse(filter, refused_sanitizers, ARRAY_SIZE(refused_sanitizers));
	return r;
}

int sandbox_calls_load(struct err *err)
{
	return calls_load(SCMP_ACT_TRAP, add_all, err);
}

void sandbox_call_name(uint32_t number, char *ret, size_t size)
{
	cleanup(freep) char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_X86_64,
								    (int)number);

	snprintf(ret, size, "%s", name ? name : "");
}
