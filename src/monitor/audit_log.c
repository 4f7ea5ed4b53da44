/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/audit_log.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/limits.h"
#include "report/encode.h"

#define OLD_NAME AUDIT_LOG_NAME ".1"

static int failed(struct err *err)
{
	return err_set(err, -errno, "%s: %s", AUDIT_LOG_NAME, strerror(errno));
}

/* As write(2), which a signal may keep from it. */
static ssize_t put(int fd, const char *text, size_t n)
{
	ssize_t done;

	while ((done = write(fd, text, n)) < 0 && errno == EINTR)
		;
	return done;
}

/* A line that was cut is one by itself. */
static int end_torn(struct audit_log *log, struct err *err)
{
	if (!log->torn)
		return 0;
	if (put(log->fd, "\n", 1) != 1)
		return failed(err);
	log->size++;
	log->torn = false;
	return 0;
}

static int begin(struct audit_log *log, struct err *err)
{
	struct stat status;
	char last = '\n';
	ssize_t got = 1;

	log->fd = openat(log->directory, AUDIT_LOG_NAME,
			 O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (log->fd < 0 || fstat(log->fd, &status) < 0)
		return failed(err);
	log->size = (uint64_t)status.st_size;
	if (log->size)
		while ((got = pread(log->fd, &last, 1, status.st_size - 1)) < 0 && errno == EINTR)
			;
	if (got != 1)
		return failed(err);
	log->torn = last != '\n';
	return end_torn(log, err);
}

int audit_log_open(const char *directory, struct audit_log *ret, struct err *err)
{
	cleanup(audit_log_close) struct audit_log log = AUDIT_LOG_NONE;
	int r;

	log.size_max = AUDIT_LOG_BYTES_MAX;
	log.directory = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (log.directory < 0)
		return err_set(err, -errno, "directory '%s': %s", directory, strerror(errno));
	r = begin(&log, err);
	if (r < 0)
		return r;
	*ret = log;
	log = AUDIT_LOG_NONE;
	return 0;
}

void audit_log_close(struct audit_log *log)
{
	fd_close(&log->fd);
	fd_close(&log->directory);
}

/* Where that fails the file goes on to grow: what is written counts more than where. */
static int turn_over(struct audit_log *log, struct err *err)
{
	struct audit_log next = *log;
	int r;

	if (renameat(log->directory, AUDIT_LOG_NAME, log->directory, OLD_NAME) < 0)
		return 0;
	next.fd = -1;
	r = begin(&next, err);
	if (r < 0) {
		fd_close(&next.fd);
		return r;
	}
	fd_close(&log->fd);
	*log = next;
	return 0;
}

static int sync_all(int fd, struct err *err)
{
	int r;

	while ((r = fdatasync(fd)) < 0 && errno == EINTR)
		;
	return r < 0 ? failed(err) : 0;
}

static char *line_of(const struct link_audit *audit, size_t *n)
{
	json_t *json = json_pack(
		"{s:s, s:o, s:o, s:s, s:s, s:o, s:s, s:o, s:o}", "schema", "hvsm.audit/1",
		"time", encode_time(audit->time_ns), "guest", encode_text(audit->guest),
		"reaction", audit->reaction, "kind", audit->kind,
		"finding", encode_text_or_null(audit->finding),
		"outcome", audit_outcome_name(audit->outcome),
		"duration_us", encode_count(audit->duration_ns / 1000),
		"text", encode_text_or_null(audit->text));
	char *text = json_dump_text(json, 0);

	json_decref(json);
	/* The terminator's place is the newline's. */
	if (text) {
		*n = strlen(text) + 1;
		text[*n - 1] = '\n';
	}
	return text;
}

int audit_log_add(struct audit_log *log, const struct link_audit *audit, struct err *err)
{
	size_t n = 0;
	cleanup(freep) char *line = line_of(audit, &n);
	ssize_t done;
	int r = 0;

	if (!line)
		return err_set(err, -ENOMEM, "no memory for a line of %s", AUDIT_LOG_NAME);
	if (log->size && log->size + n > log->size_max)
		r = turn_over(log, err);
	if (r < 0)
		return r;
	r = end_torn(log, err);
	if (r < 0)
		return r;
	done = put(log->fd, line, n);
	if (done < 0)
		return failed(err);
	if (done != (ssize_t)n)
		r = err_set(err, -ENOSPC, "%s: no room for a line", AUDIT_LOG_NAME);
	else if (strcmp(audit->kind, reaction_kind_name(REACTION_LOG)) != 0)
		r = sync_all(log->fd, err);
	if (r >= 0) {
		log->size += n;
	} else if (ftruncate(log->fd, (off_t)log->size) < 0) {
		log->size += (uint64_t)done;
		log->torn = done != (ssize_t)n;
	}
	return r;
}
