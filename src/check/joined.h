/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_CHECK_JOINED_H
#define HVSM_CHECK_JOINED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/map.h"
#include "base/vec.h"
#include "linux/task.h"

/*
 * What outside and inside together say of each process: every check that looks at processes
 * with the agent's eyes adds what it came to know, and the sweep joins it (processes[] of
 * hvsm.report/1).
 */

/* What is wrong with a process; bits. */
enum process_mark {
	PROCESS_MODIFIED_MEMORY	= 1 << 0,	/* its code is not what was measured */
	PROCESS_MODIFIED_DISK	= 1 << 1,	/* its program's file is another one by now */
	PROCESS_HIDDEN_INSIDE	= 1 << 2,	/* the agent does not see it */
	PROCESS_UNMEASURED	= 1 << 3,	/* the agent has not measured all that it runs */
	PROCESS_UNKNOWN		= 1 << 4,	/* it runs something that nobody vouches for */
};

struct process_seen {
	int32_t pid;		/* with @start_ns: who it is */
	uint64_t start_ns;	/* CLOCK_BOOTTIME */
	char comm[TASK_COMM_BYTES];
	unsigned marks;		/* enum process_mark */

	/* Pages of its executable memory that files stand behind; by check process-code. */
	uint64_t executable;	/* mapped */
	uint64_t resident;	/* in memory */
	uint64_t verified;	/* … and equal to what was measured */

	/* Of its program; by check process-digest, which has every process of user space. */
	bool listed;
	bool has_digest;
	uint8_t digest[32];	/* SHA-256, as the agent measured it */
	char *path;		/* guest text; NULL: not known */
	char *package;		/* "bash 5.2.15-2+b7": who vouches for the digest; NULL: nobody */
};

/* Free what it holds and zero it. */
void process_seen_clear(struct process_seen *process);

/* Start with {0}; give the memory back with process_table_free(). */
struct process_table {
	VEC(struct process_seen *) all;
	struct map index;	/* PID → place in @all */
};

/**
 * process_table_get - what is known of a process so far
 * Return: owned by @table; new ones are zero but for who they are. NULL: no memory.
 */
struct process_seen *process_table_get(struct process_table *table, int32_t pid,
				       uint64_t start_ns, const char *comm);

/* The process, if it is there: of the same start. NULL: it is not. */
struct process_seen *process_table_find(const struct process_table *table, int32_t pid,
					uint64_t start_ns);

/**
 * process_table_join - add what another check came to know of the same processes
 * Those that are not in @to are left out, but for hidden ones: who is unlinked from the list of
 * tasks is listed by nobody. Texts are moved.
 *
 * Return: 0, -ENOMEM (some are missing).
 */
nodiscard int process_table_join(struct process_table *to, struct process_table *from);

void process_table_free(struct process_table *table);

/* What a process comes to: the gravest that is known of it. */
enum process_result {
	PROCESS_IS_KNOWN,
	PROCESS_IS_UNKNOWN,
	PROCESS_IS_MODIFIED_MEMORY,
	PROCESS_IS_MODIFIED_DISK,
	PROCESS_IS_UNMEASURED,
	PROCESS_IS_HIDDEN_INSIDE,
	PROCESS_RESULTS,
};

enum process_result process_result(const struct process_seen *process);

/* "known", "unknown", "modified-in-memory", "modified-on-disk", "unmeasured", "hidden-inside" */
const char *process_result_name(enum process_result result);

#endif
