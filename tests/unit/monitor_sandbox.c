/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/sandbox.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "monitor/calls.h"
#include "monitor/channel.h"
#include "monitor/sealed.h"

enum { FORBIDDEN = 7, GIVE = 8, DONE = 9 };

static const struct channel_rule rules[] = {
	{ FORBIDDEN, "FORBIDDEN", ROLE_SCANNER, 4, 4, 0, 0, NULL },
	{ DONE, "DONE", ROLE_SCANNER, 4, 4, 0, 1, NULL },
	{ GIVE, "GIVE", ROLE_STARTER, 0, 0, 0, 2, NULL },
};

static const struct sandbox_limits limits = {
	.memory_bytes = 64u << 20, .file_bytes = 1u << 20, .fds = 16, .cpu_s = 60,
};

/* A child in the sandbox, and what became of it. */
struct child {
	pid_t pid;
	struct channel channel;
};

typedef long act_fn(struct channel *channel);

#define NOT_PERMITTED	(-1000)		/* the sandbox itself failed */

/* What the act returned is told, unless it ended the process. */
static void child_run(int fd, act_fn *act)
{
	struct channel channel;
	struct sandbox sandbox;
	struct err err = {0};
	int32_t result = NOT_PERMITTED;

	channel_init(&channel, fd, ROLE_SCANNER, ROLE_STARTER, rules, ARRAY_SIZE(rules));
	if (sandbox_prepare(&sandbox, fd, FORBIDDEN, &err) >= 0 &&
	    sandbox_enter(&sandbox, &limits, &err) >= 0)
		result = (int32_t)act(&channel);
	if (channel_send(&channel, DONE, &result, sizeof(result), NULL, 0, -1, NULL) < 0)
		_exit(1);
	_exit(0);
}

static void child_start(struct child *child, act_fn *act)
{
	int fds[2];

	assert_int_equal(channel_pair(fds, NULL), 0);
	child->pid = fork();
	assert_true(child->pid >= 0);
	if (!child->pid)
		child_run(fds[1], act);
	close(fds[1]);
	channel_init(&child->channel, fds[0], ROLE_STARTER, ROLE_SCANNER, rules,
		     ARRAY_SIZE(rules));
}

static int child_end(struct child *child)
{
	int status;

	channel_close(&child->channel);
	assert_int_equal(waitpid(child->pid, &status, 0), child->pid);
	return status;
}

/* What it says: the type of the message, and the number in it. 0: it ended without a word. */
static uint32_t child_says(struct child *child, int32_t *number)
{
	struct message message;
	uint32_t type;

	if (channel_receive(&child->channel, &message, -1, NULL) < 0)
		return 0;
	type = message.rule->type;
	*number = (int32_t)bytes_u32(&message.body);
	message_deinit(&message);
	return type;
}

/* What a process that does it says last, and the number of that; how it ended. */
static uint32_t act_out(act_fn *act, int32_t *number, int *status)
{
	struct child child;
	uint32_t said;

	*number = 0;
	child_start(&child, act);
	said = child_says(&child, number);
	*status = child_end(&child);
	return said;
}

/* The act ends the process, and the starter is told which system call it was. */
static void dies(act_fn *act, long call)
{
	int32_t number;
	int status;
	uint32_t said = act_out(act, &number, &status);

	/* Sanitizers try these while they report: they are refused there. */
	if (CALLS_SANITIZED && said == DONE && number == -EACCES)
		return;
	if (said != FORBIDDEN || number != call)
		fail_msg("call %ld: said %u, %d", call, said, number);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSYS);
}

/* The act goes through, and returns this. */
static void returns(act_fn *act, long result)
{
	int32_t number;
	int status;
	uint32_t said = act_out(act, &number, &status);

	if (said != DONE || number != result)
		fail_msg("said %u, %d (status %#x), not %ld", said, number, (unsigned)status,
			 result);
	assert_int_equal(status, 0);
}

static long result_of(long r)
{
	return r < 0 ? -errno : r;
}

/* --- what ends it --- */

#define ACT(name, call, ...)                                       \
	static long name(struct channel *channel)                  \
	{                                                          \
		(void)channel;                                     \
		return result_of(syscall(call, ##__VA_ARGS__));    \
	}

ACT(act_open, SYS_open, "/etc/passwd", O_RDONLY)
ACT(act_openat, SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY)
ACT(act_openat2, SYS_openat2, AT_FDCWD, "/etc/passwd", NULL, 0)
ACT(act_creat, SYS_creat, "/tmp/x", 0600)
ACT(act_unlink, SYS_unlink, "/tmp/x")
ACT(act_rename, SYS_rename, "/tmp/x", "/tmp/y")
ACT(act_mkdir, SYS_mkdir, "/tmp/x", 0700)
ACT(act_chmod, SYS_fchmodat, AT_FDCWD, "/tmp", 0777)
ACT(act_truncate, SYS_truncate, "/tmp/x", 0)
ACT(act_stat, SYS_newfstatat, AT_FDCWD, "/etc/passwd", NULL, 0)
ACT(act_statx, SYS_statx, AT_FDCWD, "/etc/passwd", 0, 0, NULL)
ACT(act_socket, SYS_socket, AF_INET, SOCK_STREAM, 0)
ACT(act_unix_socket, SYS_socket, AF_UNIX, SOCK_STREAM, 0)
ACT(act_connect, SYS_connect, 0, NULL, 0)
ACT(act_execve, SYS_execve, "/bin/true", NULL, NULL)
ACT(act_execveat, SYS_execveat, AT_FDCWD, "/bin/true", NULL, NULL, 0)
ACT(act_fork, SYS_clone, SIGCHLD, NULL, NULL, NULL, 0)
ACT(act_ptrace, SYS_ptrace, PTRACE_ATTACH, getppid(), NULL, NULL)
ACT(act_vm_writev, SYS_process_vm_writev, 1, NULL, 0, NULL, 0, 0)
ACT(act_pwrite, SYS_pwrite64, 0, "x", 1, 0)
ACT(act_writev, SYS_writev, 0, NULL, 0)
ACT(act_kill, SYS_kill, 1, SIGKILL)
ACT(act_tgkill, SYS_tgkill, 1, 1, SIGKILL)
ACT(act_pidfd_signal, SYS_pidfd_send_signal, 0, SIGKILL, NULL, 0)
ACT(act_pidfd_getfd, SYS_pidfd_getfd, 0, 0, 0)
ACT(act_mmap_exec, SYS_mmap, NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
    -1, 0)
ACT(act_mmap_shared, SYS_mmap, NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
    0)
ACT(act_mmap_huge, SYS_mmap, NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1,
    0)
ACT(act_memfd_huge, SYS_memfd_create, "x", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB)
ACT(act_mprotect_exec, SYS_mprotect, (uintptr_t)act_open & ~4095ul, 4096, PROT_READ | PROT_EXEC)
ACT(act_mount, SYS_mount, "none", "/", "tmpfs", 0, NULL)
ACT(act_unshare, SYS_unshare, CLONE_NEWUSER)
ACT(act_setns, SYS_setns, 0, 0)
ACT(act_chroot, SYS_chroot, "/")
ACT(act_setuid, SYS_setuid, 0)
ACT(act_capset, SYS_capset, NULL, NULL)
ACT(act_setrlimit, SYS_setrlimit, 0, NULL)
ACT(act_bpf, SYS_bpf, BPF_MAP_CREATE, NULL, 0)
ACT(act_io_uring, SYS_io_uring_setup, 1, NULL)
ACT(act_userfaultfd, SYS_userfaultfd, 0)
ACT(act_perf, SYS_perf_event_open, NULL, 0, -1, -1, 0)
ACT(act_keyctl, SYS_keyctl, 0, 0, 0, 0, 0)
ACT(act_seccomp, SYS_seccomp, 0, 0, NULL)
ACT(act_dup, SYS_dup, 0)
ACT(act_set_flags, SYS_fcntl, 0, F_SETFL, O_ASYNC)
ACT(act_shmget, SYS_shmget, 0, 4096, 0600)
ACT(act_module, SYS_init_module, NULL, 0, "")
ACT(act_unknown, 4000)

static void what_is_not_on_the_list_ends_it(void **state)
{
	static const struct {
		act_fn *act;
		long call;
	} all[] = {
		{ act_open, SYS_open }, { act_openat, SYS_openat },
		{ act_openat2, SYS_openat2 }, { act_creat, SYS_creat },
		{ act_unlink, SYS_unlink }, { act_rename, SYS_rename },
		{ act_mkdir, SYS_mkdir }, { act_chmod, SYS_fchmodat },
		{ act_truncate, SYS_truncate }, { act_stat, SYS_newfstatat },
		{ act_statx, SYS_statx }, { act_socket, SYS_socket },
		{ act_unix_socket, SYS_socket }, { act_connect, SYS_connect },
		{ act_execve, SYS_execve }, { act_execveat, SYS_execveat },
		{ act_fork, SYS_clone }, { act_vm_writev, SYS_process_vm_writev },
		{ act_pwrite, SYS_pwrite64 }, { act_writev, SYS_writev },
		{ act_kill, SYS_kill }, { act_tgkill, SYS_tgkill },
		{ act_pidfd_signal, SYS_pidfd_send_signal },
		{ act_pidfd_getfd, SYS_pidfd_getfd },
		{ act_mmap_exec, SYS_mmap }, { act_mprotect_exec, SYS_mprotect },
		{ act_mmap_shared, SYS_mmap }, { act_mmap_huge, SYS_mmap },
		{ act_memfd_huge, SYS_memfd_create },
		{ act_mount, SYS_mount }, { act_unshare, SYS_unshare },
		{ act_setns, SYS_setns }, { act_chroot, SYS_chroot },
		{ act_setuid, SYS_setuid }, { act_capset, SYS_capset },
		{ act_setrlimit, SYS_setrlimit }, { act_bpf, SYS_bpf },
		{ act_io_uring, SYS_io_uring_setup }, { act_userfaultfd, SYS_userfaultfd },
		{ act_perf, SYS_perf_event_open }, { act_keyctl, SYS_keyctl },
		{ act_seccomp, SYS_seccomp }, { act_dup, SYS_dup },
		{ act_set_flags, SYS_fcntl }, { act_shmget, SYS_shmget },
		{ act_module, SYS_init_module }, { act_unknown, 4000 },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		dies(all[i].act, all[i].call);
	/* getppid() of its arguments is what is forbidden first, but to sanitizers. */
	dies(act_ptrace, CALLS_SANITIZED ? SYS_ptrace : SYS_getppid);
}

static long act_32_bit(struct channel *channel)
{
	long r;

	(void)channel;
	__asm__ volatile("int $0x80" : "=a"(r) : "0"(20L /* getpid */) : "memory");
	return r;
}

ACT(act_x32, 0x40000000 + SYS_getpid)

/* Their numbers mean something else: killed at once, without a handler of its own. */
static void calls_of_other_kinds_of_programs_end_it(void **state)
{
	act_fn *const acts[] = { act_32_bit, act_x32 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(acts); i++) {
		struct child child;
		int32_t number;
		int status;

		child_start(&child, acts[i]);
		assert_int_equal(child_says(&child, &number), 0);
		status = child_end(&child);
		assert_true(WIFSIGNALED(status));
		/* A kernel without 32-bit programs knows no such call, and faults. */
		assert_true(WTERMSIG(status) == SIGSYS || WTERMSIG(status) == SIGSEGV);
	}
}

/* --- what is refused --- */

static long act_write_to_ram(struct channel *channel)
{
	struct message message;
	void *shared;
	long r;

	if (channel_receive(channel, &message, -1, NULL) < 0 || message.fds_n != 2)
		return -1;
	if (pread(message.fds[0], &(char){0}, 1, 0) != 1 ||
	    pread(message.fds[1], &(char){0}, 1, (off_t)(uintptr_t)&rules) != 1)
		return -2;
	r = result_of(write(message.fds[0], "x", 1));
	if (r != -EBADF)
		return r;
	r = result_of(write(message.fds[1], "x", 1));
	if (r != -EBADF)
		return r;
	shared = mmap(NULL, 4096, PROT_READ, MAP_SHARED, message.fds[0], 0);
	if (shared == MAP_FAILED)
		return -3;
	return result_of(mprotect(shared, 4096, PROT_READ | PROT_WRITE));
}

/* A file of RAM, and a process's memory, as the starter hands them over. */
static void guest_memory_cannot_be_written(void **state)
{
	cleanup(fd_close) int file = memfd_create("ram", 0);
	char path[64];
	struct child child;
	int32_t number = 0;
	int fds[2];

	(void)state;
	assert_int_equal(ftruncate(file, 4096), 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	fds[0] = open(path, O_RDONLY | O_CLOEXEC);
	fds[1] = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	assert_true(fds[0] >= 0 && fds[1] >= 0);
	child_start(&child, act_write_to_ram);
	assert_int_equal(channel_send(&child.channel, GIVE, NULL, 0, fds, 2, -1, NULL), 0);
	assert_int_equal(child_says(&child, &number), DONE);
	assert_int_equal(number, -EACCES);
	assert_int_equal(child_end(&child), 0);
	close(fds[0]);
	close(fds[1]);
}

/* Files in memory that are mapped, and closed: no limit of descriptors counts them. */
static long act_mapped_files(struct channel *channel)
{
	static char page[4096];

	(void)channel;
	for (unsigned n = 0; n < 4096; n++) {
		int fd = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING);

		/* One page of it is there, and all of it is mapped. */
		if (fd < 0 || lseek(fd, (1 << 20) - (off_t)sizeof(page), SEEK_SET) < 0 ||
		    write(fd, page, sizeof(page)) != sizeof(page))
			return -1;
		if (mmap(NULL, 1 << 20, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED)
			return -errno;
		close(fd);
	}
	return 0;
}

static long act_memory(struct channel *channel)
{
	void *small = mmap(NULL, 16u << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			   -1, 0);

	(void)channel;
	if (small == MAP_FAILED)
		return -1;
	return mmap(NULL, 128u << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		    0) == MAP_FAILED ? -errno : 0;
}

static long act_descriptors(struct channel *channel)
{
	(void)channel;
	for (unsigned i = 0; i < 64; i++)
		if (memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING) < 0)
			return -errno;
	return 0;
}

static long act_large_file(struct channel *channel)
{
	static char data[1u << 16];
	int fd = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	(void)channel;
	for (unsigned i = 0; i < 32; i++)
		if (write(fd, data, sizeof(data)) < 0)
			return -errno;
	return 0;
}

static void limits_hold(void **state)
{
	struct child child;
	int32_t number;
	int status;

	(void)state;
	if (!CALLS_SANITIZED) {	/* their shadow has terabytes */
		returns(act_memory, -ENOMEM);
		returns(act_mapped_files, -ENOMEM);
	}
	returns(act_descriptors, -EMFILE);
	child_start(&child, act_large_file);
	assert_int_equal(child_says(&child, &number), 0);
	status = child_end(&child);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGXFSZ);
}

/* The flag that fstat() of the C library sets allows a path as well: it leads nowhere. */
static long act_stat_path(struct channel *channel)
{
	char buf[256];

	(void)channel;
	return result_of(syscall(SYS_newfstatat, AT_FDCWD, "/etc/passwd", buf, AT_EMPTY_PATH));
}

static long act_mounts(struct channel *channel)
{
	long r = act_stat_path(channel);

	/* Where the host permits no namespace, it is seen that there is a file: no more. */
	return r == 0 ? -ENOENT : r;
}

static void files_are_out_of_sight(void **state)
{
	(void)state;
	returns(geteuid() == 0 ? act_stat_path : act_mounts, -ENOENT);
}

/* --- what it still can --- */

static long act_work(struct channel *channel)
{
	cleanup(freep) char *memory = malloc(1u << 20);
	cleanup(freep) char *large = malloc(8u << 20);
	struct timespec moment = { .tv_nsec = 1000000 };
	struct timespec now;
	struct sealed sealed;
	char *larger;
	int fd, r;

	if (!memory || !large)
		return -1;
	memset(large, 1, 8u << 20);
	larger = realloc(large, 16u << 20);
	if (!larger)
		return -2;
	large = larger;
	if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now) < 0 || nanosleep(&moment, NULL) < 0)
		return -3;
	fd = sealed_make("report", large, 1000, NULL);
	if (fd < 0 || sealed_map(fd, 1000, &sealed, NULL) < 0)
		return -4;
	sealed_unmap(&sealed);
	r = channel_send(channel, DONE, &(int32_t){ 1 }, 4, &fd, 1, -1, NULL);
	close(fd);
	return r;
}

static void work_can_be_done(void **state)
{
	struct child child;
	int32_t number = 0;

	(void)state;
	child_start(&child, act_work);
	assert_int_equal(child_says(&child, &number), DONE);
	assert_int_equal(number, 1);
	assert_int_equal(child_says(&child, &number), DONE);
	assert_int_equal(number, 0);
	assert_int_equal(child_end(&child), 0);
}

static long act_abort(struct channel *channel)
{
	(void)channel;
	abort();
}

static void failed_assertion_is_told_as_one(void **state)
{
	struct child child;
	int32_t number;
	int status;

	(void)state;
	child_start(&child, act_abort);
	assert_int_equal(child_says(&child, &number), 0);
	status = child_end(&child);
	assert_true(WIFSIGNALED(status) || CALLS_SANITIZED);
	if (WIFSIGNALED(status))
		assert_int_equal(WTERMSIG(status), SIGABRT);
}

/* --- what it has become --- */

static long act_wait(struct channel *channel)
{
	struct message message;

	if (channel_send(channel, DONE, &(int32_t){ 0 }, 4, NULL, 0, -1, NULL) < 0 ||
	    channel_receive(channel, &message, -1, NULL) < 0)
		return -1;
	message_deinit(&message);
	return 0;
}

static void read_proc(pid_t pid, const char *name, char *buf, size_t size)
{
	cleanup(file_close) FILE *file = NULL;
	char path[64];
	size_t n;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	file = fopen(path, "r");
	assert_non_null(file);
	n = fread(buf, 1, size - 1, file);
	buf[n] = '\0';
}

static void has_line(const char *text, const char *line)
{
	if (!strstr(text, line))
		fail_msg("no '%s' in:\n%s", line, text);
}

static void rights_are_gone(void **state)
{
	struct child child;
	char status[8192], limits_now[8192];
	int32_t number;

	(void)state;
	child_start(&child, act_wait);
	assert_int_equal(child_says(&child, &number), DONE);
	assert_int_equal(number, 0);
	read_proc(child.pid, "status", status, sizeof(status));
	read_proc(child.pid, "limits", limits_now, sizeof(limits_now));
	has_line(status, "CapInh:\t0000000000000000\n");
	has_line(status, "CapPrm:\t0000000000000000\n");
	has_line(status, "CapEff:\t0000000000000000\n");
	has_line(status, "CapAmb:\t0000000000000000\n");
	has_line(status, "NoNewPrivs:\t1\n");
	has_line(status, "Seccomp:\t2\n");
	has_line(status, "Threads:\t1\n");
	if (geteuid() == 0) {
		has_line(status, "CapBnd:\t0000000000000000\n");
		has_line(status, "Groups:\t \n");
		assert_null(strstr(status, "Uid:\t0"));
		assert_null(strstr(status, "\nGid:\t0"));
	}
	has_line(limits_now, "Max core file size        0                    0");
	has_line(limits_now, "Max processes             0                    0");
	assert_int_equal(channel_send(&child.channel, GIVE, NULL, 0, NULL, 0, -1, NULL), 0);
	assert_int_equal(child_says(&child, &number), DONE);
	assert_int_equal(child_end(&child), 0);
}

static void system_calls_have_names(void **state)
{
	char name[32];

	(void)state;
	sandbox_call_name(SYS_openat, name, sizeof(name));
	assert_string_equal(name, "openat");
	sandbox_call_name(4000, name, sizeof(name));
	assert_string_equal(name, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_not_on_the_list_ends_it),
		cmocka_unit_test(calls_of_other_kinds_of_programs_end_it),
		cmocka_unit_test(guest_memory_cannot_be_written),
		cmocka_unit_test(limits_hold),
		cmocka_unit_test(files_are_out_of_sight),
		cmocka_unit_test(work_can_be_done),
		cmocka_unit_test(failed_assertion_is_told_as_one),
		cmocka_unit_test(rights_are_gone),
		cmocka_unit_test(system_calls_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
