/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "monitor/reaction_kinds.h"
#include "monitor/trusted.h"

#define PART ".part"

int reaction_dump_create(const struct reaction_job *job, char *path, size_t size, struct err *err)
{
	const char *directory = job->reaction->directory;
	char guest[40] = "", when[32];
	time_t now = time(NULL);
	struct tm tm;
	int fd, n, r = trusted_path(directory, S_IFDIR, err);

	if (r < 0)
		return r;
	/* A UUID may be any text of who started the guest. */
	if (job->uuid && strlen(job->uuid) < sizeof(guest) &&
	    strspn(job->uuid, "0123456789abcdefABCDEF-") == strlen(job->uuid))
		strcpy(guest, job->uuid);
	else
		snprintf(guest, sizeof(guest), "pid-%d", job->pid);
	gmtime_r(&now, &tm);
	strftime(when, sizeof(when), "%Y%m%dT%H%M%SZ", &tm);
	n = snprintf(path, size, "%s/%s-%s.core" PART, directory, guest, when);
	if (n < 0 || (size_t)n >= size)
		return err_set(err, -ENAMETOOLONG, "%s: too long a name", directory);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_set(err, -errno, "%s: %s", path, strerror(errno));
	return fd;
}

int reaction_dump_end(struct reaction_job *job, const char *path, int r, struct err *err)
{
	cleanup(freep) char *final = strndup(path, strlen(path) - strlen(PART));

	if (r == 0 && !final)
		r = err_set(err, -ENOMEM, "no memory");
	if (r == 0 && rename(path, final) < 0)
		r = err_set(err, -errno, "%s: %s", path, strerror(errno));
	if (r < 0)
		unlink(path);
	else
		snprintf(job->done, sizeof(job->done), "%s", final);
	return r;
}
