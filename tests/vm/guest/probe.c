/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe - go once through what a test module may have hooked, and say whether it still works
 *
 *	probe getpid64 | getpid32 | int VECTOR
 *
 * Exits with 0 when the answer was right. "int" expects the signal that the vector's own handler sends.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* The child's number as its parent knows it, against what the child is told. */
static int check_pid(long (*ask)(void))
{
	int fds[2], status;
	long told = -1;
	pid_t pid;

	if (pipe(fds))
		return 1;
	pid = fork();
	if (!pid) {
		told = ask();
		_exit(write(fds[1], &told, sizeof(told)) != sizeof(told));
	}
	waitpid(pid, &status, 0);
	if (read(fds[0], &told, sizeof(told)) != sizeof(told))
		return 1;
	printf("expected %d, got %ld\n", pid, told);
	return told != pid;
}

static long ask64(void)
{
	return syscall(SYS_getpid);
}

static long ask32(void)
{
	long r = 20;

	asm volatile("int $0x80" : "+a" (r) : : "memory", "r8", "r9", "r10", "r11");
	return r;
}

static int raise_vector(int vector)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		if (vector == 4)
			asm volatile("int $4");
		else if (vector == 3)
			asm volatile("int3");
		_exit(0);
	}
	waitpid(pid, &status, 0);
	printf("status %#x\n", status);
	return !WIFSIGNALED(status) || WTERMSIG(status) != (vector == 4 ? SIGSEGV : SIGTRAP);
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "getpid64"))
		return check_pid(ask64);
	if (argc == 2 && !strcmp(argv[1], "getpid32"))
		return check_pid(ask32);
	if (argc == 3 && !strcmp(argv[1], "int"))
		return raise_vector(atoi(argv[2]));
	fprintf(stderr, "usage: probe getpid64 | getpid32 | int 3|4\n");
	return 2;
}
