// SPDX-License-Identifier: Apache-2.0
/*
 * taskcorners - processes of the kinds that are easy to get wrong
 *
 *	taskcorners			start one of each; prints a line "ROLE PID" when it is as it shall stay
 *	taskcorners churn SECONDS	fork, clone, exec and die on all CPUs for a while
 *
 * They stay until they are killed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char **arguments;	/* main()'s, to write over */
static int ready_fd;

static void die(const char *what)
{
	dprintf(2, "taskcorners: %s: %s\n", what, strerror(errno));
	exit(1);
}

#define must(v) ({ __typeof__(v) v_ = (v); if (v_ < 0) die(#v); v_; })

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

/* Start ROLE and wait until it says that it is ready, or has become another program. */
static pid_t role(const char *name, void (*run)(void))
{
	int fds[2];
	char byte;
	pid_t pid;

	must(pipe2(fds, O_CLOEXEC));
	pid = must(fork());
	if (!pid) {
		int null = must(open("/dev/null", O_RDWR));

		must(setsid());
		prctl(PR_SET_NAME, name);
		close(fds[0]);
		ready_fd = fds[1];
		dup2(null, 1);
		run();
		ready();
		rest();
	}
	close(fds[1]);
	if (read(fds[0], &byte, 1) < 0)
		die(name);
	close(fds[0]);
	printf("%s %d\n", name, pid);
	return pid;
}

/* --- threads --- */

static void *survivor(void *arg)
{
	char line[256] = "";

	/* Until the leader is gone: it stays as a zombie for as long as we live. */
	while (!strstr(line, "Z (")) {
		FILE *status = fopen("/proc/self/status", "r");

		while (status && fgets(line, sizeof(line), status))
			if (!strncmp(line, "State:", 6))
				break;
		if (status)
			fclose(status);
		usleep(1000);
	}
	ready();
	rest();
	return arg;
}

static void dead_leader(void)
{
	pthread_t id;

	if (pthread_create(&id, NULL, survivor, NULL))
		die("pthread_create");
	syscall(SYS_exit, 0);
}

/* A thread's children are its own, not its leader's. */
static void *forks(void *arg)
{
	if (!must(fork())) {
		prctl(PR_SET_NAME, "tk-grandchild");
		close(ready_fd);
		rest();
	}
	pthread_barrier_wait(arg);
	rest();
	return NULL;
}

static void thread_forks(void)
{
	static pthread_barrier_t barrier;
	pthread_t id;

	pthread_barrier_init(&barrier, NULL, 2);
	if (pthread_create(&id, NULL, forks, &barrier))
		die("pthread_create");
	pthread_barrier_wait(&barrier);
}

/* --- programs --- */

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

static void run_fd(int fd)
{
	char *argv[] = { (char *)"tk-program", (char *)"rest", NULL }, *env[] = { NULL };

	must((int)syscall(SYS_execveat, fd, "", argv, env, AT_EMPTY_PATH));
}

static void in_memory(void)
{
	int fd = must((int)syscall(SYS_memfd_create, "tk memory", MFD_CLOEXEC));

	copy(self(), fd);
	run_fd(fd);
}

static void deleted(void)
{
	int to = must(open("/tmp/tk-deleted", O_WRONLY | O_CREAT | O_CLOEXEC, 0700)), fd;

	copy(self(), to);
	close(to);
	fd = must(open("/tmp/tk-deleted", O_RDONLY | O_CLOEXEC));
	must(unlink("/tmp/tk-deleted"));
	run_fd(fd);
}

/* setproctitle(3): over the arguments and on into the environment. */
static void title(void)
{
	size_t room = 0;

	for (int i = 0; arguments[i]; i++)
		room += strlen(arguments[i]) + 1;
	memset(arguments[0], 'x', room);
	memcpy(arguments[0], "tk-title: a title of its own ", 29);
}

static void no_arguments(void)
{
	int fd = self();
	char *argv[] = { NULL }, *env[] = { (char *)"TK=rest", NULL };

	/* From v5.18 on the kernel gives it an empty one (dcd46d897adb). */
	must((int)syscall(SYS_execveat, fd, "", argv, env, AT_EMPTY_PATH));
}

/* --- namespaces and groups --- */

static void inner(void)
{
	prctl(PR_SET_NAME, "tk-inner");
	ready();
	rest();
}

static void middle(void)
{
	prctl(PR_SET_NAME, "tk-middle");
	must(unshare(CLONE_NEWPID));
	if (!must(fork()))
		inner();
	close(ready_fd);
	rest();
}

/* Two PID namespaces deep, in a user namespace, and with a clock of its own. */
static void nested(void)
{
	char byte;
	int fds[2];

	must(unshare(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWCGROUP));
#ifdef CLONE_NEWTIME
	must(unshare(CLONE_NEWTIME));
#endif
	must(pipe2(fds, O_CLOEXEC));
	if (!must(fork())) {
		close(ready_fd);
		ready_fd = fds[1];
		middle();
	}
	close(fds[1]);
	must((int)read(fds[0], &byte, 1));
}

static void put(const char *path, const char *text)
{
	int fd = must(open(path, O_WRONLY | O_CLOEXEC));

	must((int)write(fd, text, strlen(text)));
	close(fd);
}

static void make(const char *path)
{
	if (mkdir(path, 0755) && errno != EEXIST)
		die(path);
}

/* A hierarchy of the old kind, as systemd keeps it in its hybrid layout. */
static void old_cgroup(void)
{
	char pid[16];

	make("/tmp/systemd");
	if (mount("cgroup", "/tmp/systemd", "cgroup", 0, "none,name=systemd") && errno != EBUSY)
		die("mount of a v1 cgroup");
	make("/tmp/systemd/machine.slice");
	make("/tmp/systemd/machine.slice/libpod-"
	     "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210.scope");
	snprintf(pid, sizeof(pid), "%d", getpid());
	put("/tmp/systemd/machine.slice/libpod-"
	    "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210.scope/cgroup.procs", pid);
}

/* --- scheduling --- */

static void fifo(void)
{
	struct sched_param param = { .sched_priority = 10 };

	must(sched_setscheduler(0, SCHED_FIFO, &param));
}

struct attributes {		/* sched_setattr(2) */
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};

static void deadline(void)
{
	struct attributes attributes = { .size = sizeof(attributes), .policy = 6, .runtime = 1000000,
					 .deadline = 100000000, .period = 100000000 };

	must((int)syscall(SYS_sched_setattr, 0, &attributes, 0));
}

/* --- states --- */

static void traced(void)
{
	pid_t child = must(fork());
	int status;

	if (!child) {
		prctl(PR_SET_NAME, "tk-tracee");
		close(ready_fd);
		must((int)ptrace(PTRACE_TRACEME, 0, 0, 0));
		raise(SIGSTOP);
		rest();
	}
	must(waitpid(child, &status, 0));
}

static void idmapped(void)
{
	must(setresgid(4000000001u, 4000000002u, 4000000003u));
	must(setresuid(1, 2, 4000000003u));
	setfsuid(4000000003u);
}

/* --- churn --- */

static void *end(void *arg)
{
	return arg;
}

static void churn(time_t until)
{
	while (time(NULL) < until) {
		pthread_t ids[4];
		pid_t pid;
		int n = 0;

		pid = fork();
		if (!pid) {
			if (!fork())
				_exit(0);	/* init's to reap */
			_exit(0);
		}
		for (; n < 4 && !pthread_create(&ids[n], NULL, end, NULL); n++)
			;
		while (n)
			pthread_join(ids[--n], NULL);
		if (pid > 0)
			waitpid(pid, NULL, 0);
		pid = vfork();
		if (!pid) {
			execl("/proc/self/exe", "taskcorners", "true", NULL);
			_exit(1);
		}
		if (pid > 0)
			waitpid(pid, NULL, 0);
	}
	exit(0);
}

int main(int argc, char **argv)
{
	arguments = argv;
	if (argc == 2 && !strcmp(argv[1], "true"))
		return 0;
	if ((argc == 2 && !strcmp(argv[1], "rest")) || getenv("TK"))
		rest();
	if (argc == 3 && !strcmp(argv[1], "churn")) {
		time_t until = time(NULL) + atol(argv[2]);

		for (int i = 0; i < 6; i++)
			if (!must(fork()))
				churn(until);
		while (wait(NULL) > 0)
			;
		return 0;
	}
	if (argc != 1)
		return 2;
	setvbuf(stdout, NULL, _IONBF, 0);
	role("tk-leader", dead_leader);
	role("tk-forks", thread_forks);
	role("tk-memory", in_memory);
	role("tk-deleted", deleted);
	role("tk-title", title);
	role("tk-bare", no_arguments);
	role("tk-nested", nested);
	role("tk-old-cgroup", old_cgroup);
	role("tk-fifo", fifo);
	role("tk-deadline", deadline);
	role("tk-tracer", traced);
	role("tk-ids", idmapped);
	return 0;
}
