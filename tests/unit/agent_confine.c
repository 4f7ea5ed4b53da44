/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/confine.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/fsverity.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

/* Does this say true in a process that has given up what the agent does? */
static bool in_child(bool (*fn)(void), int *status)
{
	pid_t child = fork();
	struct err err;

	assert_true(child >= 0);
	if (child == 0) {
		if (confine_privileges(NULL, &err) < 0 || confine_calls(NULL, &err) < 0)
			_exit(99);
		_exit(fn() ? 0 : 1);
	}
	assert_int_equal(waitpid(child, status, 0), child);
	return WIFEXITED(*status) && WEXITSTATUS(*status) == 0;
}

static bool refused(long r)
{
	return r < 0 && errno == EPERM;
}

static bool files_are_read(void)
{
	char byte;
	int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	bool got = fd >= 0 && read(fd, &byte, 1) == 1;
	int dir = open("/proc", O_RDONLY | O_DIRECTORY), path = open("/", O_PATH | O_DIRECTORY);
	FILE *file = fopen("/proc/self/maps", "re");

	return got && dir >= 0 && path >= 0 && file;
}

static bool files_are_not_written(void)
{
	return refused(open("/dev/null", O_WRONLY)) && refused(open("/dev/null", O_RDWR)) &&
	       refused(open("/tmp/hvsm-confine", O_RDONLY | O_CREAT, 0600)) &&
	       refused(open("/tmp", O_TMPFILE | O_RDWR, 0600)) &&
	       refused(open("/dev/null", O_RDONLY | O_TRUNC)) &&
	       refused(syscall(SYS_open, "/dev/null", O_WRONLY)) &&
	       refused(syscall(SYS_creat, "/tmp/hvsm-confine", 0600)) &&
	       refused(syscall(SYS_openat2, AT_FDCWD, "/dev/null", NULL, 0)) &&
	       refused(unlink("/tmp/hvsm-confine")) && refused(mkdir("/tmp/hvsm-confine", 0700)) &&
	       refused(rename("/tmp/hvsm-confine", "/tmp/hvsm-confine2")) &&
	       refused(chmod("/tmp/hvsm-confine", 0700)) && refused(truncate("/dev/null", 0));
}

/* The kernel's answer: this is no file that has a digest. */
static bool only_a_digest_is_asked_for(void)
{
	struct fsverity_digest digest = { .digest_size = 0 };
	int fd = open("/dev/null", O_RDONLY);

	return fd >= 0 && ioctl(fd, FS_IOC_MEASURE_VERITY, &digest) < 0 && errno != EPERM &&
	       refused(ioctl(fd, TIOCSTI, "x")) && refused(ioctl(fd, FIONREAD, &digest)) &&
	       close(fd) == 0;
}

static bool there_is_no_network(void)
{
	return refused(socket(AF_INET, SOCK_STREAM, 0)) && refused(socket(AF_UNIX, SOCK_STREAM, 0)) &&
	       refused(socket(AF_NETLINK, SOCK_RAW, 0)) && refused(connect(0, NULL, 0)) &&
	       refused(bind(0, NULL, 0)) && refused(listen(0, 1));
}

static bool no_memory_becomes_code(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return page != MAP_FAILED && refused(mprotect(page, 4096, PROT_READ | PROT_EXEC)) &&
	       mprotect(page, 4096, PROT_READ) == 0 &&
	       mmap(NULL, 4096, PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED &&
	       refused(syscall(SYS_pkey_mprotect, page, 4096, PROT_EXEC, -1)) &&
	       refused(syscall(SYS_personality, 0x0400000)) && munmap(page, 4096) == 0;
}

static bool others_are_left_alone(void)
{
	return refused(kill(getppid(), 0)) && refused(syscall(SYS_pidfd_open, getpid(), 0)) &&
	       refused(setuid(0)) && refused(syscall(SYS_prlimit64, 0, 0, NULL, NULL)) &&
	       refused(prctl(PR_SET_DUMPABLE, 1)) && fork() < 0;
}

static void *nothing(void *ctx)
{
	return ctx;
}

static bool threads_start_and_end(void)
{
	pthread_t thread;
	void *result = NULL;
	int here = 0;

	return pthread_create(&thread, NULL, nothing, &here) == 0 &&
	       pthread_join(thread, &result) == 0 && result == &here;
}

static bool only_what_it_needs_is_left(void)
{
	const unsigned allowed = 1u << CAP_SYS_ADMIN | 1u << CAP_SYS_PTRACE |
				 1u << CAP_DAC_READ_SEARCH | 1u << CAP_IPC_LOCK;
	FILE *status = fopen("/proc/self/status", "re");
	unsigned long long effective = ~0ull, permitted = ~0ull;
	int bare = 0, filtered = 0;
	char line[256];

	while (status && fgets(line, sizeof(line), status)) {
		sscanf(line, "CapEff: %llx", &effective);
		sscanf(line, "CapPrm: %llx", &permitted);
		sscanf(line, "NoNewPrivs: %d", &bare);
		sscanf(line, "Seccomp: %d", &filtered);
	}
	return !(effective & ~(unsigned long long)allowed) && effective == permitted && bare == 1 &&
	       filtered == 2;
}

#define WORKS(fn)                                \
	static void fn##_there(void **state)     \
	{                                        \
		int status;                      \
						 \
		(void)state;                     \
		assert_true(in_child(fn, &status)); \
	}

WORKS(files_are_read)
WORKS(files_are_not_written)
WORKS(only_a_digest_is_asked_for)
WORKS(there_is_no_network)
WORKS(no_memory_becomes_code)
WORKS(others_are_left_alone)
WORKS(threads_start_and_end)
WORKS(only_what_it_needs_is_left)

static bool a_program(void)
{
	execl("/bin/true", "true", (char *)NULL);
	return true;
}

static bool a_trace(void)
{
	syscall(SYS_ptrace, 0, 0, 0, 0);
	return true;
}

static bool a_module(void)
{
	syscall(SYS_finit_module, -1, "", 0);
	return true;
}

static bool a_mount(void)
{
	syscall(SYS_mount, 0, 0, 0, 0, 0);
	return true;
}

static void what_only_an_intruder_does_ends_it(void **state)
{
	bool (*const deeds[])(void) = { a_program, a_trace, a_module, a_mount };

	(void)state;
	for (size_t i = 0; i < sizeof(deeds) / sizeof(deeds[0]); i++) {
		int status;

		assert_false(in_child(deeds[i], &status));
		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), SIGSYS);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_are_read_there),
		cmocka_unit_test(files_are_not_written_there),
		cmocka_unit_test(only_a_digest_is_asked_for_there),
		cmocka_unit_test(there_is_no_network_there),
		cmocka_unit_test(no_memory_becomes_code_there),
		cmocka_unit_test(others_are_left_alone_there),
		cmocka_unit_test(threads_start_and_end_there),
		cmocka_unit_test(only_what_it_needs_is_left_there),
		cmocka_unit_test(what_only_an_intruder_does_ends_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
