// SPDX-License-Identifier: Apache-2.0
/*
 * Processes for who takes privileges: it starts them as root, they drop what they have, and print "ROLE PID":
 *
 *	parent		UID 1000, has executed this program as such
 *	child		its child, which has executed nothing
 *	program		its child, which has executed this program once more
 *	filtered	under seccomp; its children "older" and "younger" inherit the filter
 *	container	PID 1 of namespaces of its own, with one child
 *
 * They sleep until they are killed: "unprivileged" is their process group's name in ps.
 */
#define _GNU_SOURCE
#include <err.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define UNPRIVILEGED 1000
#define READY_FD     9		/* open until all is as it stays */

static void tell(const char *role, pid_t pid)
{
	dprintf(STDOUT_FILENO, "%s %d\n", role, pid);
}

static void rest(void)
{
	close(STDOUT_FILENO);
	close(READY_FD);
	for (;;)
		pause();
}

static pid_t split(const char *role)
{
	pid_t pid = fork();

	if (pid < 0)
		err(1, "fork");
	if (pid && role)
		tell(role, pid);
	return pid;
}

static void drop(void)
{
	if (setgroups(0, NULL) || setresgid(UNPRIVILEGED, UNPRIVILEGED, UNPRIVILEGED) ||
	    setresuid(UNPRIVILEGED, UNPRIVILEGED, UNPRIVILEGED))
		err(1, "drop");
}

static void filter(void)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = { .len = 1, .filter = &allow };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		err(1, "seccomp");
}

static void contain(void)
{
	if (unshare(CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC))
		err(1, "unshare");
	if (!split("container")) {
		if (!split(NULL))
			rest();
		rest();
	}
	rest();
}

static void be_parent(const char *self)
{
	tell("parent", getpid());
	if (!split("child"))
		rest();
	if (!split("program")) {
		execl(self, self, "rest", NULL);
		err(1, "%s", self);
	}
	if (!split("filtered")) {
		filter();
		if (!split("older"))
			rest();
		usleep(20000);	/* so that one is older, whatever the clock's grain */
		if (!split("younger"))
			rest();
		rest();
	}
	rest();
}

int main(int argc, char **argv)
{
	const char *self = "/proc/self/exe";
	const char *role = argc > 1 ? argv[1] : "";
	int ready[2];
	char c;

	prctl(PR_SET_NAME, "unprivileged");
	if (!strcmp(role, "rest"))
		rest();
	if (!strcmp(role, "parent"))
		be_parent(self);
	setsid();
	if (pipe(ready) || dup2(ready[1], READY_FD) != READY_FD)
		err(1, "pipe");
	close(ready[1]);
	if (!split(NULL))
		contain();
	if (!split(NULL)) {
		drop();
		execl(self, self, "parent", NULL);
		err(1, "%s", self);
	}
	close(READY_FD);
	return read(ready[0], &c, 1) ? 1 : 0;
}
