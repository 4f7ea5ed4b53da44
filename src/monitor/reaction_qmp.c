/* SPDX-License-Identifier: Apache-2.0 */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "monitor/reaction_kinds.h"
#include "ram/qemu.h"
#include "ram/qmp.h"

static int dump(struct qmp *qmp, struct reaction_job *job, struct err *err)
{
	char path[PATH_MAX];
	cleanup(fd_close) int fd = reaction_dump_create(job, path, sizeof(path), err);
	int r;

	if (fd < 0)
		return fd;
	/* By descriptor: QEMU may be somebody who cannot write there. */
	r = qmp_give(qmp, "hvsm-dump", fd, err);
	if (r == 0)
		r = qmp_execute(qmp, "dump-guest-memory",
				json_pack("{s:b, s:s}", "paging", 0, "protocol",
					  "fd:hvsm-dump"), NULL, err);
	return reaction_dump_end(job, path, r, err);
}

/*
 * "net0: index=0,type=nic,…", " \ hub0port0: net0: index=0,type=nic,…": the name; NULL: not one
 * of a network interface.
 */
static char *interface_of(char *line)
{
	char *name = line + strspn(line, " \\\r"), *end = strstr(name, ": index="), *colon;

	if (!end || !strstr(end, ",type=nic"))
		return NULL;
	*end = '\0';
	while ((colon = strstr(name, ": ")))
		name = colon + 2;
	return name;
}

static int unlink_all(struct qmp *qmp, struct reaction_job *job, struct err *err)
{
	cleanup(freep) char *text = NULL;
	unsigned n = 0;
	int r = qmp_human(qmp, "info network", &text, err);
	char *save = NULL;

	for (char *line = r == 0 ? strtok_r(text, "\n", &save) : NULL; line && r == 0;
	     line = strtok_r(NULL, "\n", &save)) {
		const char *name = interface_of(line);

		if (!name)
			continue;
		if (n++ == REACTION_NICS_MAX)
			return err_set(err, -ELOOP, "over %u network interfaces",
				       REACTION_NICS_MAX);
		r = qmp_execute(qmp, "set_link",
				json_pack("{s:s, s:b}", "name", name, "up", 0), NULL, err);
	}
	if (r == 0 && n == 0)
		return err_set(err, -ENODEV, "it has no network interface");
	if (r == 0)
		snprintf(job->done, sizeof(job->done), "%u network interface%s", n,
			 n == 1 ? "" : "s");
	return r;
}

/* Was it paused? Others may be at the same monitor. */
static int expect_paused(struct qmp *qmp, struct err *err)
{
	json_t *status = NULL;
	int r = qmp_execute(qmp, "query-status", NULL, &status, err);

	if (r == 0 && !json_is_false(json_object_get(status, "running")))
		r = err_set(err, -EIO, "it runs on");
	json_decref(status);
	return r;
}

int reaction_at_monitor(struct qmp *qmp, struct reaction_job *job, struct err *err)
{
	int r;

	switch (job->reaction->kind) {
	case REACTION_PAUSE:
		r = qmp_execute(qmp, "stop", NULL, NULL, err);
		return r < 0 ? r : expect_paused(qmp, err);
	case REACTION_DUMP:
		return dump(qmp, job, err);
	case REACTION_UNLINK:
		return unlink_all(qmp, job, err);
	case REACTION_SHUTDOWN:
		return qmp_execute(qmp, "system_powerdown", NULL, NULL, err);
	case REACTION_POWEROFF:
		return qmp_execute(qmp, "quit", NULL, NULL, err);
	default:
		return err_set(err, -EINVAL, "not a reaction that touches a guest");
	}
}

int reaction_qmp(struct reaction_job *job, struct err *err)
{
	cleanup(qmp_close) struct qmp *qmp = NULL;
	int r;

	if (!job->pid)
		return err_set(err, -ENOENT, "it has no process");
	r = qemu_monitor(job->pid, job->uuid, (int)job->reaction->timeout_s * 1000, &qmp, err);
	if (r < 0)
		return r;
	job->reached = true;
	return reaction_at_monitor(qmp, job, err);
}
