// SPDX-License-Identifier: Apache-2.0
/*
 * intrude - processes as intruders leave them, without the intruder
 *
 *	intrude MODE [ARGUMENT]		start one, in a process group of its own; prints its PID when it is
 *					as it shall stay
 *	intrude rest			just sleep
 *
 * They do nothing but sleep until they are killed. With ALONE in the environment their main thread
 * ends, and another one sleeps on.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096

extern char **environ;

static int ready_fd;		/* closed, or closed by exec(), when all is in place */
static const char *argument;	/* of the mode */
static char **arguments;	/* main()'s, to write over */

static void die(const char *what)
{
	dprintf(2, "intrude: %s: %s\n", what, strerror(errno));
	exit(1);
}

#define must(v) ({ __typeof__(v) v_ = (v); if ((long)v_ == -1) die(#v); v_; })

static void ready(void)
{
	must((int)write(ready_fd, "", 1));
	close(ready_fd);
}

static void rest(void)
{
	for (;;)
		pause();
}

/* Waits until the main thread has ended. */
static void *rest_alone(void *nothing)
{
	char line[256];
	FILE *status;
	bool ended;

	(void)nothing;
	do {
		usleep(10000);
		ended = false;
		status = fopen("/proc/self/status", "r");
		while (status && fgets(line, sizeof(line), status))
			ended |= !strncmp(line, "State:\tZ", 8);
		if (status)
			fclose(status);
	} while (!ended);
	ready();
	rest();
	return NULL;
}

static void leave_alone(void)
{
	pthread_t thread;

	errno = pthread_create(&thread, NULL, rest_alone, NULL);
	if (errno)
		die("thread");
	pthread_exit(NULL);
}

static void again(int fd, char *name, char *what, char *with)
{
	char *argv[] = { name, what, with, NULL };

	must((int)syscall(SYS_execveat, fd, "", argv, environ, AT_EMPTY_PATH));
}

static int self(void)
{
	return must(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
}

static void copy(int from, int to)
{
	char buf[65536];
	ssize_t n;

	while ((n = must(read(from, buf, sizeof(buf)))) > 0)
		must(write(to, buf, (size_t)n));
}

/* --- memory --- */

/* for (;;) pause(); */
static const uint8_t pauses[] = { 0xb8, 34, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf7 };

static void *anonymous(size_t size, int rights)
{
	return must(mmap(NULL, size, rights, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

static void code(void)
{
	anonymous(PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
}

static void heap(void)
{
	void *at = must(sbrk(2 * PAGE));

	must(mprotect((void *)(((uintptr_t)at + PAGE - 1) & ~(PAGE - 1ul)), PAGE,
		      PROT_READ | PROT_EXEC));
}

static void stack(void)
{
	char here;

	must(mprotect((void *)((uintptr_t)&here & ~(PAGE - 1ul)), PAGE,
		      PROT_READ | PROT_WRITE | PROT_EXEC | PROT_GROWSDOWN));
}

static void memfd(void)
{
	int fd = must((int)syscall(SYS_memfd_create, "intrude", MFD_CLOEXEC));

	must(ftruncate(fd, PAGE));
	must(mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0));
}

static void deleted_library(void)
{
	int fd = must(open("/tmp/intrude.so", O_RDWR | O_CREAT | O_CLOEXEC, 0600));

	must(ftruncate(fd, PAGE));
	must(mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0));
	must(unlink("/tmp/intrude.so"));
}

static void writable(void)
{
	must(mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE, self(), 0));
}

/* --- the program --- */

static void in_memory(void)
{
	int fd = must((int)syscall(SYS_memfd_create, "intrude", MFD_CLOEXEC));

	copy(self(), fd);
	again(fd, (char *)"intrude", (char *)"rest", NULL);
}

static void deleted(void)
{
	int to = must(open("/tmp/intrude-program", O_WRONLY | O_CREAT | O_CLOEXEC, 0700)), fd;

	copy(self(), to);
	close(to);
	fd = must(open("/tmp/intrude-program", O_RDONLY | O_CLOEXEC));
	must(unlink("/tmp/intrude-program"));
	again(fd, (char *)"intrude", (char *)"rest", NULL);
}

/* Put a copy in anonymous memory in place of what is mapped: the code goes on in the copy. */
static void replace(char *from, size_t size, int rights)
{
	char *other = anonymous(size, PROT_READ | PROT_WRITE);

	memcpy(other, from, size);
	must(mprotect(other, size, rights));
	must(mremap(other, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, from));
}

static void replace_own(bool all)
{
	struct { uintptr_t from, to; int rights; } areas[16];
	char line[512], rights[8], path[256], own[256] = "";
	FILE *maps = fopen("/proc/self/maps", "r");
	int n = 0;

	if (!maps)
		die("maps");
	must((int)readlink("/proc/self/exe", own, sizeof(own) - 1));
	while (fgets(line, sizeof(line), maps) && n < 16) {
		path[0] = '\0';
		if (sscanf(line, "%lx-%lx %7s %*s %*s %*s %255s", &areas[n].from, &areas[n].to, rights,
			   path) != 4 || strcmp(path, own) || (!all && rights[2] != 'x'))
			continue;
		areas[n++].rights = PROT_READ | (rights[1] == 'w' ? PROT_WRITE : 0) |
				    (rights[2] == 'x' ? PROT_EXEC : 0);
	}
	fclose(maps);
	while (n--)
		replace((char *)areas[n].from, areas[n].to - areas[n].from, areas[n].rights);
}

static void hollow(void)
{
	replace_own(false);
}

static void other_name(void)
{
	replace_own(true);
	must(prctl(PR_SET_MM, PR_SET_MM_EXE_FILE, must(open("/bin/busybox", O_RDONLY)), 0, 0));
}

/* --- registers --- */

static char data[16 * PAGE] = { 1 };

static void sleep_at(uint64_t sp)
{
	ready();
	__asm__ volatile("mov %0, %%rsp\n"
			 "1: mov $34, %%eax\n"
			 "syscall\n"
			 "jmp 1b\n" : : "r"(sp) : "rax", "rcx", "r11", "memory");
}

static void pivot(void)
{
	sleep_at((uint64_t)(data + sizeof(data) / 2));
}

static void nowhere(void)
{
	sleep_at(PAGE);
}

static void call_from_data(void)
{
	char *at = anonymous(PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);

	memcpy(at, pauses, sizeof(pauses));
	ready();
	((void (*)(void))at)();
}

/* --- others --- */

static void trace(void)
{
	int pid = atoi(argument), status;

	must((int)ptrace(PTRACE_SEIZE, pid, 0, 0));
	ready();
	while (waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status))
		ptrace(PTRACE_CONT, pid, 0, 0);
	rest();
}

static void preload(void)
{
	must(setenv("LD_PRELOAD", argument, 1));
	again(self(), (char *)"intrude", (char *)"map", (char *)(uintptr_t)argument);
}

static void audit(void)
{
	must(setenv("LD_AUDIT", argument, 1));
	again(self(), (char *)"intrude", (char *)"rest", NULL);
}

static void library_path(void)
{
	must(setenv("LD_LIBRARY_PATH", argument, 1));
	again(self(), (char *)"intrude", (char *)"rest", NULL);
}

/* As a library that the dynamic linker mapped. */
static void map(const char *path)
{
	int fd = must(open(path, O_RDONLY | O_CLOEXEC));

	must(mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0));
	rest();
}

/* A connection as all standard descriptors. */
static void connect_standard(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int listener = must(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), fd;
	socklen_t len = sizeof(at);

	must(bind(listener, (struct sockaddr *)&at, sizeof(at)));
	must(listen(listener, 1));
	must(getsockname(listener, (struct sockaddr *)&at, &len));
	if (!must(fork())) {
		close(ready_fd);
		must(accept(listener, NULL, NULL));
		rest();
	}
	fd = must(socket(AF_INET, SOCK_STREAM, 0));
	must(connect(fd, (struct sockaddr *)&at, sizeof(at)));
	for (int i = 0; i < 3; i++)
		must(dup2(fd, i));
	close(fd);
}

static void connect_shell(void)
{
	connect_standard();
	must(execl("/bin/sh", "sh", "-i", NULL));
}

/* As inetd does it. */
static void connect_service(void)
{
	connect_standard();
	must(execl("/bin/sh", "sh", "-c", "sleep 1000000; true", NULL));
}

static void thread_name(void)
{
	must(prctl(PR_SET_NAME, "kworker/0:7"));
}

static void thread_argument(void)
{
	size_t room = 0;

	for (int i = 0; arguments[i]; i++)
		room += strlen(arguments[i]) + 1;
	memset(arguments[0], 0, room);
	snprintf(arguments[0], room, "[kworker/0:7]");
}

static const struct {
	const char *name;
	void (*run)(void);
} modes[] = {
	{ "code", code }, { "heap", heap }, { "stack", stack }, { "memfd", memfd },
	{ "deleted-library", deleted_library }, { "writable", writable },
	{ "in-memory", in_memory }, { "deleted", deleted }, { "hollow", hollow },
	{ "other-name", other_name }, { "pivot", pivot }, { "nowhere", nowhere },
	{ "call-from-data", call_from_data }, { "trace", trace }, { "preload", preload },
	{ "audit", audit }, { "library-path", library_path }, { "shell", connect_shell },
	{ "service", connect_service }, { "connection", connect_standard },
	{ "thread-name", thread_name }, { "thread-argument", thread_argument },
	{ "sleep", ready },
};

static void start(void (*run)(void))
{
	int fds[2], null;
	char byte;
	pid_t pid;

	must(pipe2(fds, O_CLOEXEC));
	pid = must(fork());
	if (!pid) {
		must(setsid());
		null = must(open("/dev/null", O_RDWR));
		must(dup2(null, 0));
		must(dup2(null, 1));
		close(fds[0]);
		ready_fd = fds[1];
		run();
		if (getenv("ALONE"))
			leave_alone();
		if (run != ready)
			ready();
		rest();
	}
	close(fds[1]);
	/* No byte, but the end: it became another program, or died. */
	if (read(fds[0], &byte, 1) < 0 || waitpid(pid, NULL, WNOHANG))
		die("it died");
	printf("%d\n", pid);
}

int main(int argc, char **argv)
{
	arguments = argv;
	if (argc == 2 && !strcmp(argv[1], "rest"))
		rest();
	if (argc == 3 && !strcmp(argv[1], "map"))
		map(argv[2]);
	argument = argc == 3 ? argv[2] : "";
	for (size_t i = 0; argc >= 2 && i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (strcmp(argv[1], modes[i].name))
			continue;
		start(modes[i].run);
		return 0;
	}
	return 2;
}
