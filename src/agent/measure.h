/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_AGENT_MEASURE_H
#define HVSM_AGENT_MEASURE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "agent/agent.h"
#include "agent/cache.h"
#include "agent/format.h"
#include "agent/thread.h"
#include "agent/version.h"
#include "base/err.h"

/*
 * Files into the log. What has a record is found by its key alone; what has none goes to a worker
 * thread, so that nobody waits for a disk. There are three of them: a network file system, or one
 * that a process serves (FUSE), may stand still for ever, and then only its own worker does; and
 * what is not root's may be many files that are large, which only others that are not wait for.
 */
enum measure_worker {
	MEASURE_LOCAL,
	MEASURE_USER,
	MEASURE_SLOW,
	MEASURE_WORKERS
};

/* Jobs of one worker that wait; who brings more is told to come again. */
#define MEASURE_QUEUE 1024u

#define MEASURE_PATH_MAX 512

/* The workers start. */
nodiscard int measure_start(struct agent *agent, struct err *err);

/**
 * measure_known - does a file of this version have a record?
 * @cover: with digests of these pages at least
 * @entry: receives what is known of it; may be NULL
 */
bool measure_known(const struct version *version, enum cache_cover cover,
		   struct cache_entry *entry);

/**
 * measure_open - open a file to be read
 *
 * Only a regular one: to open a FIFO may take for ever, and to open a device may do something.
 *
 * Return: a descriptor; -ENOENT (none such, or no regular file); or what open(2) failed with.
 */
nodiscard int measure_open(const char *path);

/**
 * measure_fd - measure an open file, where there is no record of it
 * @fd:    readable, of any kind: only a regular file is read. Handed over, whatever is returned.
 * @cover: as measure_known(); a file that is not ELF has all its pages instead of its code's
 *
 * Return: 0; -EAGAIN (the worker has too much to do); -ENOMEM.
 */
nodiscard int measure_fd(enum measure_worker worker, int fd, enum agent_reason reason,
			 enum cache_cover cover);

/**
 * measure_path - open a file and measure it, where there is no record of it
 * @path: absolute; below /proc/PID/ for what a process has
 *
 * Nothing is recorded where the file, or the process, is not there any more.
 *
 * Return: as measure_fd(); -ENAMETOOLONG.
 */
nodiscard int measure_path(enum measure_worker worker, const char *path,
			   enum agent_reason reason, enum cache_cover cover);

/* A device is not mounted any more: the next one of its number has other files. */
void measure_forget(uint64_t device);

/* A record that @path could not be measured because of @error (an errno); once per path. */
void measure_unreadable(const char *path, enum agent_reason reason, int error);

/* @n more events were dropped: a record says so, one a period at most. From any thread. */
void measure_lost(uint64_t n);

/* Something was not looked at, or there was no room for it: a later round comes by again. */
void measure_miss(void);

/* How often that was so, or something was lost. */
uint64_t measure_misses(void);

/* What the workers have been given so far. */
struct measure_mark {
	uint64_t pushed[MEASURE_WORKERS];
};

struct measure_mark measure_mark(void);

/* Is all that done, and has each file of it a record? */
bool measure_reached(const struct measure_mark *mark);

/* Whose the file is, if its file system is none that may stand still. */
enum measure_worker measure_worker_of(const struct stat *stat);

/*
 * Is all done that was to be done when this was asked first? The slow worker is not waited for, and
 * the users' for a minute only.
 */
bool measure_settled(void);

/* How much more jobs a worker would take. */
uint32_t measure_room(enum measure_worker worker);

#endif
