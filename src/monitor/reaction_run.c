/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "monitor/reaction_kinds.h"
#include "monitor/trusted.h"

int reaction_run(struct reaction_job *job, struct err *err)
{
	static char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin", locale[] = "LC_ALL=C.UTF-8";
	char *environment[] = { path, locale, NULL };
	const struct config_reaction *reaction = job->reaction;
	cleanup(freep) char **argv = calloc(reaction->arguments.n + 2, sizeof(*argv));
	int r = trusted_path(reaction->program, S_IFREG, err);

	if (!argv)
		return err_set(err, -ENOMEM, "no memory");
	if (r < 0)
		return r;
	argv[0] = reaction->program;
	for (size_t i = 0; i < reaction->arguments.n; i++)
		argv[i + 1] = reaction->arguments.v[i];
	if (chdir("/") < 0)
		return err_set(err, -errno, "/: %s", strerror(errno));
	execve(reaction->program, argv, environment);
	return err_set(err, -errno, "%s: %s", reaction->program, strerror(errno));
}
