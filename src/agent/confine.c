/* SPDX-License-Identifier: Apache-2.0 */

#include "agent/confine.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/fsverity.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

/* --- capabilities --- */

/* Not among them: CAP_NET_ADMIN (only to subscribe to the proc connector), CAP_SYS_RESOURCE. */
static const unsigned kept[] = {
	CAP_SYS_ADMIN,		/* fanotify marks on what is mounted later; /proc/PID/map_files */
	CAP_SYS_PTRACE,		/* /proc/PID/exe, root and maps of all; a /proc with hidepid */
	CAP_DAC_READ_SEARCH,	/* programs and libraries that only their owner may read */
};

/* The log grows and is locked, which takes the capability where the limit could not be lifted. */
static bool lock_has_limit(void)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_MEMLOCK, &limit) < 0 || limit.rlim_cur != RLIM_INFINITY;
}

static void keep(struct __user_cap_data_struct set[2], unsigned capability)
{
	set[capability / 32].permitted |= 1u << capability % 32;
	set[capability / 32].effective |= 1u << capability % 32;
}

int confine_privileges(struct agent *agent, struct err *err)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct have[2] = {0}, set[2] = {0};
	const struct rlimit none = { 0, 0 };

	(void)agent;
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		keep(set, kept[i]);
	if (lock_has_limit())
		keep(set, CAP_IPC_LOCK);
	if (syscall(SYS_capget, &header, have) < 0)
		return err_set(err, -errno, "capabilities");
	for (size_t i = 0; i < ARRAY_SIZE(set); i++) {
		set[i].permitted &= have[i].permitted;
		set[i].effective &= have[i].permitted;
	}
	if (syscall(SYS_capset, &header, set) < 0)
		return err_set(err, -errno, "giving up capabilities");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_set(err, -errno, "no_new_privs");
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	setrlimit(RLIMIT_CORE, &none);
	return 0;
}

/* --- system calls --- */

enum rule {
	ALLOW,
	DENY,		/* an intruder's: the agent ends */
	ABSENT,		/* ENOSYS: libc has another way */
	WITHOUT,	/* allowed if the argument has none of these bits */
	WITH,		/* allowed if it has one of them */
	ONLY,		/* allowed if it is this */
};

#define WRITES (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | O_APPEND | (O_TMPFILE & ~O_DIRECTORY))

static const struct call {
	uint16_t number;
	uint8_t rule;		/* enum rule */
	uint8_t argument;
	uint32_t value;
} calls[] = {
	/* Files to be measured, /proc: to read, never to write or to make. */
	{ SYS_openat, WITHOUT, 2, WRITES },
	{ SYS_open, WITHOUT, 1, WRITES },
	{ SYS_read }, { SYS_pread64 }, { SYS_readv }, { SYS_close }, { SYS_lseek },
	{ SYS_fstat }, { SYS_newfstatat }, { SYS_statx }, { SYS_stat }, { SYS_lstat },
	{ SYS_fstatfs }, { SYS_statfs }, { SYS_readlink }, { SYS_readlinkat },
	{ SYS_getdents64 }, { SYS_fadvise64 }, { SYS_access }, { SYS_faccessat },
	{ SYS_fcntl }, { SYS_dup }, { SYS_uname },
	{ SYS_ioctl, ONLY, 1, FS_IOC_MEASURE_VERITY },

	/* The loop: to wait for descriptors, for time, for another thread. */
	{ SYS_epoll_wait }, { SYS_epoll_pwait }, { SYS_epoll_ctl }, { SYS_poll }, { SYS_ppoll },
	{ SYS_timerfd_settime }, { SYS_futex }, { SYS_nanosleep }, { SYS_clock_nanosleep },
	{ SYS_clock_gettime }, { SYS_gettimeofday }, { SYS_time }, { SYS_restart_syscall },
	{ SYS_sched_yield },

	/* Sockets that are there: the connector, `status` and `log`, the service manager. */
	{ SYS_recvmmsg }, { SYS_recvmsg }, { SYS_recvfrom }, { SYS_sendto }, { SYS_sendmsg },
	{ SYS_accept4 }, { SYS_getsockopt }, { SYS_shutdown },

	/* To watch what is executed from file systems that are mounted later. */
	{ SYS_fanotify_mark },

	/* What it says on stderr. */
	{ SYS_write }, { SYS_writev },

	/* Memory, never executable. */
	{ SYS_mmap, WITHOUT, 2, PROT_EXEC },
	{ SYS_mprotect, WITHOUT, 2, PROT_EXEC },
	{ SYS_munmap }, { SYS_mremap }, { SYS_madvise }, { SYS_brk }, { SYS_mlock },
	{ SYS_mlock2 }, { SYS_munlock }, { SYS_getrandom },

	/* Threads of its own, what libc does in each, and their end. */
	{ SYS_clone, WITH, 0, CLONE_THREAD },
	{ SYS_clone3, ABSENT },
	{ SYS_set_robust_list }, { SYS_rseq }, { SYS_prctl, ONLY, 0, PR_SET_NAME },
	{ SYS_rt_sigprocmask }, { SYS_rt_sigaction }, { SYS_rt_sigreturn }, { SYS_sigaltstack },
	{ SYS_getpid }, { SYS_gettid }, { SYS_tgkill }, { SYS_exit }, { SYS_exit_group },
	{ SYS_sched_getaffinity },

	/* What the agent never does: whoever does it has taken it over. */
	{ SYS_execve, DENY }, { SYS_execveat, DENY }, { SYS_ptrace, DENY },
	{ SYS_process_vm_writev, DENY }, { SYS_init_module, DENY }, { SYS_finit_module, DENY },
	{ SYS_delete_module, DENY }, { SYS_kexec_load, DENY }, { SYS_kexec_file_load, DENY },
	{ SYS_bpf, DENY }, { SYS_mount, DENY }, { SYS_umount2, DENY }, { SYS_pivot_root, DENY },
	{ SYS_chroot, DENY }, { SYS_unshare, DENY }, { SYS_setns, DENY }, { SYS_reboot, DENY },
	{ SYS_io_uring_setup, DENY },
};

#define REFUSED	 (SECCOMP_RET_ERRNO | (EPERM & SECCOMP_RET_DATA))
#define NOT_HERE (SECCOMP_RET_ERRNO | (ENOSYS & SECCOMP_RET_DATA))

/* Instructions: each call has at most 5 of them, and there are 6 around. */
struct program {
	struct sock_filter code[ARRAY_SIZE(calls) * 5 + 6];
	unsigned short n;
};

static void add(struct program *program, uint16_t code, uint32_t k, uint8_t jt, uint8_t jf)
{
	program->code[program->n++] = (struct sock_filter){ code, jt, jf, k };
}

static void load(struct program *program, size_t offset)
{
	add(program, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void end_with(struct program *program, uint32_t what)
{
	add(program, BPF_RET | BPF_K, what, 0, 0);
}

/* The low half is what counts: each argument that is looked at is an int, or such flags. */
static void add_argument(struct program *program, const struct call *call)
{
	uint16_t test = BPF_JMP | BPF_K | (call->rule == ONLY ? BPF_JEQ : BPF_JSET);
	bool good = call->rule != WITHOUT;

	add(program, BPF_JMP | BPF_JEQ | BPF_K, call->number, 0, 4);
	load(program, offsetof(struct seccomp_data, args) + 8u * call->argument);
	add(program, test, call->value, good, !good);
	end_with(program, REFUSED);
	end_with(program, SECCOMP_RET_ALLOW);
}

static void add_call(struct program *program, const struct call *call)
{
	uint32_t what = SECCOMP_RET_ALLOW;

	if (call->rule == DENY)
		what = SECCOMP_RET_KILL_PROCESS;
	else if (call->rule == ABSENT)
		what = NOT_HERE;
	else if (call->rule != ALLOW) {
		add_argument(program, call);
		return;
	}
	add(program, BPF_JMP | BPF_JEQ | BPF_K, call->number, 0, 1);
	end_with(program, what);
}

static void make(struct program *program)
{
	load(program, offsetof(struct seccomp_data, arch));
	add(program, BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0);
	end_with(program, SECCOMP_RET_KILL_PROCESS);
	/* Numbers of the x32 ABI have a bit that none of the table's has: they are refused. */
	load(program, offsetof(struct seccomp_data, nr));
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		add_call(program, &calls[i]);
	end_with(program, REFUSED);
}

int confine_calls(struct agent *agent, struct err *err)
{
	static struct program program;
	struct sock_fprog filter = { .filter = program.code };
	long r;

	(void)agent;
	(void)err;
	make(&program);
	filter.len = program.n;
	r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter);
	if (r != 0)
		agent_say("system calls stay as they are: %s",
			  r < 0 ? strerror(errno) : "a thread has a filter of its own");
	return 0;
}
