/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/spawn.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "monitor/channel.h"

#define STATUS_NOT_EXECUTED 127

/* In the child: only what may be called between fork() and exec(). */
static void become_role(const char *argument, const char *subject, int channel, pid_t starter)
{
	const char *argv[] = { program_invocation_short_name, argument, subject, NULL };
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	/* A starter that is killed takes it along; one that is gone already has done so. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != starter)
		_exit(STATUS_NOT_EXECUTED);
	if (channel == CHANNEL_FD ? fcntl(channel, F_SETFD, 0) < 0
				  : dup2(channel, CHANNEL_FD) < 0)
		_exit(STATUS_NOT_EXECUTED);
	syscall(SYS_close_range, CHANNEL_FD + 1, ~0u, 0);
	execv("/proc/self/exe", (char *const *)argv);
	_exit(STATUS_NOT_EXECUTED);
}

int spawn_role(const char *role, const char *subject, int channel, struct spawned *ret,
	       struct err *err)
{
	struct spawned process = SPAWNED_NONE;
	pid_t starter = getpid();
	char argument[64];

	snprintf(argument, sizeof(argument), SPAWN_ROLE "%s", role);
	fflush(NULL);
	process.pid = fork();
	if (process.pid < 0)
		return err_set(err, -errno, "no process: %s", strerror(errno));
	if (!process.pid)
		become_role(argument, subject, channel, starter);
	process.pidfd = (int)syscall(SYS_pidfd_open, process.pid, 0);
	if (process.pidfd < 0) {
		int r = err_set(err, -errno, "pidfd: %s", strerror(errno));

		spawn_kill(&process);
		return r;
	}
	*ret = process;
	return 0;
}

const char *spawn_role_of(int argc, char **argv)
{
	size_t n = strlen(SPAWN_ROLE);

	return argc >= 2 && !strncmp(argv[1], SPAWN_ROLE, n) ? argv[1] + n : NULL;
}

static void describe(int status, char *text, size_t size)
{
	if (WIFSIGNALED(status))
		snprintf(text, size, "killed by SIG%s", sigabbrev_np(WTERMSIG(status)));
	else
		snprintf(text, size, "exit status %d", WEXITSTATUS(status));
}

/* Return: 1 and how it ended, 0 (it runs). */
static int reap(struct spawned *process, int block, int *status, char *text, size_t size)
{
	pid_t pid;

	do
		pid = waitpid(process->pid, status, block ? 0 : WNOHANG);
	while (pid < 0 && errno == EINTR);
	if (pid == 0)
		return 0;
	if (pid > 0) {
		describe(*status, text, size);
	} else {
		*status = -1;
		snprintf(text, size, "lost");
	}
	fd_close(&process->pidfd);
	*process = SPAWNED_NONE;
	return 1;
}

int spawn_wait(struct spawned *process, int block, char *text, size_t size)
{
	int status;

	return reap(process, block, &status, text, size);
}

int spawn_status(struct spawned *process, char *text, size_t size)
{
	int status = -1;

	reap(process, 1, &status, text, size);
	return status != -1 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void spawn_kill(struct spawned *process)
{
	char text[64];

	if (process->pid <= 0)
		return;
	kill(process->pid, SIGKILL);
	spawn_wait(process, 1, text, sizeof(text));
}
