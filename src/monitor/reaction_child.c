/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "monitor/reaction_kinds.h"

/*
 * The daemon takes as many descriptors as the host lets it have. Who uses select() writes beyond
 * its sets with over 1024, so programs count on no more, and ask for more by themselves.
 */
static void usual_limits(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur <= FD_SETSIZE)
		return;
	limit.rlim_cur = FD_SETSIZE;
	setrlimit(RLIMIT_NOFILE, &limit);
}

/* As a process that a shell started: it shares nothing with the daemon. */
static int set_up(int input, int words)
{
	sigset_t none;
	int null;

	/* Its own session, so that all that it starts can be ended with it. */
	if (setsid() < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return -1;
	for (int s = 1; s < NSIG; s++)
		signal(s, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* Out of the way of the standard descriptors, one of which either may be. */
	input = fcntl(input, F_DUPFD, 3);
	words = fcntl(words, F_DUPFD, 3);
	null = fcntl(open("/dev/null", O_WRONLY), F_DUPFD, 3);
	if (input < 0 || words < 0 || null < 0 || lseek(input, 0, SEEK_SET) < 0)
		return -1;
	if (dup2(input, STDIN_FILENO) < 0 || dup2(words, STDERR_FILENO) < 0 ||
	    dup2(null, STDOUT_FILENO) < 0)
		return -1;
	umask(077);
	/* Libraries read variables, too: proxies, where to log keys. */
	clearenv();
	usual_limits();
	return close_range(3, ~0u, 0);
}

/* At a guest: by its own monitor, or by who holds that; a domain of Xen by its toolstack. */
static int touch(struct reaction_job *job, struct err *err)
{
	struct err own = {0}, other = {0};
	int r;

	if (job->domain)
		return reaction_xen(job, err);
	r = reaction_qmp(job, &own);
	if (r < 0 && job->reached)
		return err_set(err, r, "%s", own.text);
	if (r < 0 && reaction_libvirt(job, &other) < 0)
		return err_set(err, r, "QMP: %.100s; libvirt: %.100s", own.text, other.text);
	return 0;
}

_Noreturn void reaction_child(struct reaction_job *job, int input, int words)
{
	struct err err = {0};
	const char *text;
	int r;

	if (set_up(input, words) < 0)
		_exit(125);
	switch (job->reaction->kind) {
	case REACTION_RUN:
		r = reaction_run(job, &err);
		break;
	case REACTION_WEBHOOK:
		r = reaction_webhook(job, &err);
		break;
	default:
		r = touch(job, &err);
	}
	text = r < 0 ? err.text : job->done;
	/* Where it cannot be said, the status says the rest. */
	if (write(STDERR_FILENO, text, strlen(text)) < 0)
		_exit(r < 0 ? 1 : 0);
	_exit(r < 0 ? 1 : 0);
}
