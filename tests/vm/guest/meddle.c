// SPDX-License-Identifier: Apache-2.0
/*
 * meddle - what intruders do to a process that runs, without the intruder
 *
 *	meddle start			start a process to do it to; prints its PID
 *	meddle run			be that process
 *	meddle poke|write PID		change a byte of its code: by ptrace(2), by /proc/PID/mem
 *	meddle constant PID		… of its program's read-only data
 *	meddle map|memfd PID		have it map code that no file has, and run it
 *	meddle unlock|lock PID		let its code leave memory, and keep it there again
 *	meddle end PID			end its main thread, and no other
 *	meddle leaderless		as start, but only a thread of it runs on; prints both
 *	meddle drop 0 FILE		take what nobody uses of a file out of the page cache
 *	meddle anchor PID		change what says that an agent is one
 *	meddle log PID			change a byte in the middle of an agent's log
 *	meddle forge PID		… and chain all records anew
 *	meddle truncate PID		take the last half of its records out of an agent's log
 *	meddle unmark PID		take an agent's fanotify marks away
 *	meddle brief MS			execute a file without a name, which ends after that time
 *	meddle storm SECONDS PROGRAM	execute PROGRAM as often as it can; prints how often
 *
 * What is changed a second time is again what it was, and what a process mapped goes with it.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sodium.h>
#include <spawn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "agent/format.h"

#define PAGE 4096ul
#define FLIP 0x01

static int pid;
static const char *argument;

static void die(const char *what)
{
	dprintf(2, "meddle: %s: %s\n", what, strerror(errno));
	exit(1);
}

#define must(v) ({ __typeof__(v) v_ = (v); if ((long)v_ == -1) die(#v); v_; })

/* --- the process that it is done to --- */

/*
 * Code that certainly runs, with a number in it that can be another: in memory, or in a copy of
 * this file (MARK in tests/vm/lab/agent.py).
 */
#define MARK 0x6576736d
static const uint8_t mark[] = { 0xb8, 0x6d, 0x73, 0x76, 0x65 };

static void run(void)
{
	uint32_t a;

	for (;;) {
		__asm__ volatile("mov %1, %%eax" : "=a"(a) : "i"(MARK));
		usleep(20000);
	}
}

/* The thread that runs on says which one it is. */
static void *run_on(void *ready)
{
	dprintf(3, "%d\n", (int)syscall(SYS_gettid));
	close(3);
	(void)ready;
	run();
	return NULL;
}

static void lose_leader(void)
{
	pthread_t thread;

	errno = pthread_create(&thread, NULL, run_on, NULL);
	if (errno)
		die("thread");
	pthread_exit(NULL);
}

static void start_as(const char *mode)
{
	posix_spawn_file_actions_t null;
	char *argv[] = { (char *)"meddle", (char *)(uintptr_t)mode, NULL };
	char own[256] = "";

	must((int)readlink("/proc/self/exe", own, sizeof(own) - 1));
	posix_spawn_file_actions_init(&null);
	posix_spawn_file_actions_adddup2(&null, 1, 3);
	for (int fd = 0; fd < 3; fd++)
		posix_spawn_file_actions_addopen(&null, fd, "/dev/null", O_RDWR, 0);
	if (!strcmp(mode, "run"))
		posix_spawn_file_actions_addclose(&null, 3);
	errno = posix_spawn(&pid, own, &null, NULL, argv, NULL);
	if (errno)
		die("spawn");
	printf("%d\n", pid);
}

static void start(void)
{
	start_as("run");
}

static void leaderless(void)
{
	start_as("lose-leader");
}

/* --- its memory --- */

struct area {
	uint64_t from, to;
	char rights[8];
};

static char *of_process(const char *what)
{
	static char path[96];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, what);
	return path;
}

static int memory(void)
{
	return must(open(of_process("mem"), O_RDWR | O_CLOEXEC));
}

/* The first area of its program's file with these RIGHTS ("": any) that is not before AT. */
static struct area program_area(const char *rights, uint64_t at)
{
	struct area area, found = { .to = 0 };
	char line[512], path[256], own[256] = "";
	FILE *maps;

	must((int)readlink(of_process("exe"), own, sizeof(own) - 1));
	maps = fopen(of_process("maps"), "r");
	if (!maps)
		die("maps");
	while (fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%lx-%lx %7s %*s %*s %*s %255s", &area.from, &area.to, area.rights,
			   path) == 4 && !strcmp(path, own) && strstr(area.rights, rights) &&
		    area.from >= at && !found.to)
			found = area;
	}
	fclose(maps);
	if (!found.to)
		die("no such area");
	return found;
}

/* The number in run(), or where there is none the last byte, which is padding. */
static uint64_t code(void)
{
	struct area area = program_area("r-xp", 0);
	size_t size = area.to - area.from;
	uint8_t *copy = malloc(size), *at = NULL;
	int fd = memory();

	if (copy && pread(fd, copy, size, (off_t)area.from) == (ssize_t)size)
		at = memmem(copy, size, mark, sizeof(mark) - 1);
	close(fd);
	return at ? area.from + (uint64_t)(at - copy) + sizeof(mark) - 1 : area.to - 1;
}

static void attach(void)
{
	int status;

	must((int)ptrace(PTRACE_ATTACH, pid, 0, 0));
	must(waitpid(pid, &status, __WALL));
}

static void detach(void)
{
	must((int)ptrace(PTRACE_DETACH, pid, 0, 0));
}

/* Newer kernels let only who traces it write to what is mapped read-only. */
static void write_memory(int fd, const void *from, size_t size, uint64_t at)
{
	if (pwrite(fd, from, size, (off_t)at) == (ssize_t)size)
		return;
	attach();
	must((int)pwrite(fd, from, size, (off_t)at));
	detach();
}

static void flip(uint64_t at)
{
	int fd = memory();
	uint8_t byte;

	must((int)pread(fd, &byte, 1, (off_t)at));
	byte ^= FLIP;
	write_memory(fd, &byte, 1, at);
	close(fd);
}

static void change_written(void)
{
	flip(code());
}

static void change_constant(void)
{
	flip(program_area("r--p", program_area("r-xp", 0).to).to - 1);
}

static void change_poked(void)
{
	uint64_t at = code(), in = at & 7;
	long word;

	attach();
	errno = 0;
	word = ptrace(PTRACE_PEEKTEXT, pid, at - in, 0);
	if (errno)
		die("peek");
	must((int)ptrace(PTRACE_POKETEXT, pid, at - in, word ^ (long)((uint64_t)FLIP << (8 * in))));
	detach();
}

/* --- code that it has from nowhere --- */

static uint64_t call_at;	/* a syscall instruction of its own */

static uint64_t remote(uint64_t nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e)
{
	struct user_regs_struct regs;
	int status;

	must((int)ptrace(PTRACE_GETREGS, pid, 0, &regs));
	regs.rip = call_at;
	regs.orig_rax = (uint64_t)-1;	/* what it waited for is not begun again */
	regs.rax = nr;
	regs.rdi = a;
	regs.rsi = b;
	regs.rdx = c;
	regs.r10 = d;
	regs.r8 = e;
	regs.r9 = 0;
	must((int)ptrace(PTRACE_SETREGS, pid, 0, &regs));
	must((int)ptrace(PTRACE_SINGLESTEP, pid, 0, 0));
	must(waitpid(pid, &status, __WALL));
	must((int)ptrace(PTRACE_GETREGS, pid, 0, &regs));
	if (regs.rax > -PAGE) {
		errno = (int)-regs.rax;
		die("system call of the other");
	}
	return regs.rax;
}

static void run_there(uint64_t at)
{
	/* for (;;) nanosleep(): its arguments stay in memory that it has. */
	static const uint8_t sleeps[] = {
		0x48, 0x8d, 0x3d, 25, 0, 0, 0,	/* lea time(%rip),%rdi */
		0x31, 0xf6,			/* xor %esi,%esi */
		0xb8, 35, 0, 0, 0,		/* mov $nanosleep,%eax */
		0x0f, 0x05, 0xeb, 0xee,		/* syscall; jmp */
		0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	};
	struct user_regs_struct regs;
	int fd = memory();

	must((int)pwrite(fd, sleeps, sizeof(sleeps), (off_t)at));
	close(fd);
	must((int)ptrace(PTRACE_GETREGS, pid, 0, &regs));
	regs.rip = at;
	must((int)ptrace(PTRACE_SETREGS, pid, 0, &regs));
	detach();
}

/*
 * It sleeps in a system call, as who waits for something does nearly all the time. Whom this finds
 * at work, or stopped on its way back from an interrupt, is asked again a little later.
 */
static void take_over(void)
{
	struct user_regs_struct regs;

	for (int left = 100; left; left--) {
		attach();
		must((int)ptrace(PTRACE_GETREGS, pid, 0, &regs));
		call_at = regs.rip - 2;
		if ((long)regs.orig_rax >= 0)
			return;
		detach();
		usleep(50000);
	}
	errno = EBUSY;
	die("it is in no system call");
}

static void inject(void)
{
	take_over();
	run_there(remote(SYS_mmap, 0, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
			 (uint64_t)-1));
}

static void inject_memfd(void)
{
	uint64_t name = program_area("", 0).from + 1, fd;	/* "ELF…" */

	take_over();
	fd = remote(SYS_memfd_create, name, 0, 0, 0, 0);
	remote(SYS_ftruncate, fd, PAGE, 0, 0, 0);
	run_there(remote(SYS_mmap, 0, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd));
}

static void change_lock(uint64_t nr)
{
	struct area area = program_area("r-xp", 0);
	struct user_regs_struct regs;

	take_over();
	must((int)ptrace(PTRACE_GETREGS, pid, 0, &regs));
	remote(nr, area.from, area.to - area.from, 0, 0, 0);
	must((int)ptrace(PTRACE_SETREGS, pid, 0, &regs));
	detach();
}

static void unlock(void)
{
	change_lock(SYS_munlock);
}

static void lock(void)
{
	change_lock(SYS_mlock);
}

static void end_leader(void)
{
	struct user_regs_struct regs;

	take_over();
	must((int)ptrace(PTRACE_GETREGS, pid, 0, &regs));
	regs.rip = call_at;
	regs.orig_rax = (uint64_t)-1;
	regs.rax = SYS_exit;
	regs.rdi = 0;
	must((int)ptrace(PTRACE_SETREGS, pid, 0, &regs));
	detach();
}

static void drop(void)
{
	int fd = must(open(argument, O_RDONLY | O_CLOEXEC));

	must(fsync(fd));
	errno = posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	if (errno)
		die("fadvise");
	close(fd);
}

/* --- an agent --- */

static void *file_of_program(void)
{
	int fd = must(open(of_process("exe"), O_RDONLY | O_CLOEXEC));
	off_t size = must(lseek(fd, 0, SEEK_END));

	return must(mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, fd, 0));
}

/* Where its file's section of this name stands in memory. */
static uint64_t section(const char *name)
{
	const Elf64_Ehdr *head = file_of_program();
	const Elf64_Shdr *all = (const void *)((const char *)head + head->e_shoff);
	const char *names = (const char *)head + all[head->e_shstrndx].sh_offset;
	uint64_t bias = head->e_type == ET_DYN ? program_area("", 0).from : 0;

	for (int i = 0; i < head->e_shnum; i++)
		if (!strcmp(names + all[i].sh_name, name))
			return bias + all[i].sh_addr;
	die("it has no anchor");
	return 0;
}

static uint64_t read_anchor(int fd, struct agent_anchor *anchor)
{
	uint64_t at = section(AGENT_ANCHOR_SECTION);

	must((int)pread(fd, anchor, sizeof(*anchor), (off_t)at));
	if (anchor->magic != AGENT_MAGIC || anchor->log_records < 4)
		die("it is no agent, or has measured nothing");
	return at;
}

/* The record before which half of the log stands; which one that is. */
static uint64_t half(int fd, const struct agent_anchor *anchor, struct agent_record *record,
		     struct agent_record *before)
{
	uint64_t at = anchor->log.at;

	for (uint64_t n = 0; n <= anchor->log_records / 2; n++, at += record->size_bytes) {
		*before = *record;
		must((int)pread(fd, record, sizeof(*record), (off_t)at));
	}
	return at - record->size_bytes;
}

static void change_anchor(void)
{
	flip(section(AGENT_ANCHOR_SECTION) + offsetof(struct agent_anchor, magic));
}

static void change_log(void)
{
	struct agent_record record = { .size_bytes = 0 }, before;
	struct agent_anchor anchor;
	int fd = memory();

	read_anchor(fd, &anchor);
	/* What follows the header of a file's record is which file it was. */
	flip(half(fd, &anchor, &record, &before) + sizeof(record) + 8);
	close(fd);
}

/* What log_sequence guards, with it. */
#define LOCKED_AT  offsetof(struct agent_anchor, log_sequence)
#define LOCKED_END (offsetof(struct agent_anchor, log_head) + AGENT_DIGEST_BYTES)

static void write_head(int fd, uint64_t at, struct agent_anchor *anchor)
{
	anchor->log_sequence += 2;
	must((int)pwrite(fd, (char *)anchor + LOCKED_AT, LOCKED_END - LOCKED_AT,
			 (off_t)(at + LOCKED_AT)));
}

static void chain(uint8_t head[AGENT_DIGEST_BYTES], struct agent_record *record)
{
	crypto_hash_sha256_state state;

	memset(record->chain, 0, sizeof(record->chain));
	crypto_hash_sha256_init(&state);
	crypto_hash_sha256_update(&state, head, AGENT_DIGEST_BYTES);
	crypto_hash_sha256_update(&state, (void *)record, record->size_bytes);
	crypto_hash_sha256_final(&state, head);
	memcpy(record->chain, head, AGENT_DIGEST_BYTES);
}

static void forge_log(void)
{
	struct agent_record record = { .size_bytes = 0 }, before;
	struct agent_anchor anchor;
	int fd = memory();
	uint64_t at = read_anchor(fd, &anchor);
	size_t from = half(fd, &anchor, &record, &before) - anchor.log.at;
	uint8_t *log = malloc(anchor.log_bytes);

	if (!log || pread(fd, log, anchor.log_bytes, (off_t)anchor.log.at) < 0)
		die("its log");
	log[from + sizeof(record) + 8] ^= FLIP;
	memcpy(anchor.log_head, before.chain, sizeof(before.chain));
	for (size_t i = from; i < anchor.log_bytes; i += ((struct agent_record *)(log + i))->size_bytes)
		chain(anchor.log_head, (struct agent_record *)(log + i));
	must((int)pwrite(fd, log + from, anchor.log_bytes - from, (off_t)(anchor.log.at + from)));
	write_head(fd, at, &anchor);
	close(fd);
}

static void truncate_log(void)
{
	struct agent_record record = { .size_bytes = 0 }, before;
	struct agent_anchor anchor;
	int fd = memory();
	uint64_t at = read_anchor(fd, &anchor);

	anchor.log_bytes = half(fd, &anchor, &record, &before) - anchor.log.at;
	anchor.log_records = record.sequence;
	memcpy(anchor.log_head, before.chain, sizeof(before.chain));
	write_head(fd, at, &anchor);
	close(fd);
}

static void unmark(void)
{
	int of = must((int)syscall(SYS_pidfd_open, pid, 0)), fd, n = 0;
	char path[16], link[64] = "";

	for (int i = 0; i < 64; i++) {
		snprintf(path, sizeof(path), "fd/%d", i);
		memset(link, 0, sizeof(link));
		if (readlink(of_process(path), link, sizeof(link) - 1) < 0 ||
		    strcmp(link, "anon_inode:[fanotify]"))
			continue;
		fd = must((int)syscall(SYS_pidfd_getfd, of, i, 0));
		must(fanotify_mark(fd, FAN_MARK_FLUSH, 0, AT_FDCWD, NULL));
		must(fanotify_mark(fd, FAN_MARK_FLUSH | FAN_MARK_MOUNT, 0, AT_FDCWD, NULL));
		must(fanotify_mark(fd, FAN_MARK_FLUSH | FAN_MARK_FILESYSTEM, 0, AT_FDCWD, NULL));
		n++;
	}
	if (!n)
		die("it has no fanotify descriptor");
}

/* --- many --- */

static void storm(void)
{
	char *argv[] = { (char *)(uintptr_t)argument, (char *)"nothing", NULL };
	time_t end = time(NULL) + pid;
	unsigned long n = 0;
	pid_t child;

	while (time(NULL) < end) {
		errno = posix_spawn(&child, argument, NULL, NULL, argv, NULL);
		if (errno)
			die("spawn");
		must(waitpid(child, NULL, 0));
		n++;
	}
	printf("%lu\n", n);
}

/* Another file each time, by what follows the program in it. */
static void brief(void)
{
	char text[16], *argv[] = { (char *)"brief", (char *)"doze", text, NULL };
	int own = must(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
	int fd = must(memfd_create("brief", MFD_CLOEXEC));
	struct timespec now;
	char buffer[65536];
	ssize_t n;
	pid_t child;

	while ((n = must(read(own, buffer, sizeof(buffer)))))
		must(write(fd, buffer, (size_t)n));
	must(clock_gettime(CLOCK_MONOTONIC, &now));
	must(write(fd, &now, sizeof(now)));
	snprintf(text, sizeof(text), "%d", pid);
	child = must(fork());
	if (!child) {
		fexecve(fd, argv, environ);
		die("fexecve");
	}
	must(waitpid(child, NULL, 0));
}

static void doze(void)
{
	usleep((useconds_t)pid * 1000);
}

static const struct {
	const char *name;
	void (*run)(void);
} modes[] = {
	{ "start", start }, { "run", run }, { "poke", change_poked }, { "write", change_written },
	{ "constant", change_constant }, { "map", inject }, { "memfd", inject_memfd },
	{ "anchor", change_anchor }, { "log", change_log }, { "forge", forge_log },
	{ "truncate", truncate_log }, { "unmark", unmark }, { "storm", storm },
	{ "brief", brief }, { "doze", doze },
	{ "unlock", unlock }, { "lock", lock }, { "end", end_leader }, { "drop", drop },
	{ "leaderless", leaderless }, { "lose-leader", lose_leader },
};

int main(int argc, char **argv)
{
	pid = argc > 2 ? atoi(argv[2]) : 0;
	argument = argc > 3 ? argv[3] : "";
	for (size_t i = 0; argc > 1 && i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (strcmp(argv[1], modes[i].name))
			continue;
		modes[i].run();
		return 0;
	}
	return argc == 2 && !strcmp(argv[1], "nothing") ? 0 : 2;
}
