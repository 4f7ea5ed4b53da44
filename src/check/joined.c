/* SPDX-License-Identifier: Apache-2.0 */
#include "check/joined.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

void process_seen_clear(struct process_seen *process)
{
	free(process->path);
	free(process->package);
	*process = (struct process_seen){0};
}

struct process_seen *process_table_get(struct process_table *table, int32_t pid,
				       uint64_t start_ns, const char *comm)
{
	const uint64_t key = (uint64_t)(uint32_t)pid + 1;	/* 0 is no key */
	struct process_seen *process, **slot;
	uint32_t i;

	if (map_get(&table->index, key, &i))
		return table->all.v[i];
	process = calloc(1, sizeof(*process));
	slot = process ? vec_add(&table->all) : NULL;
	if (!slot) {
		free(process);
		return NULL;
	}
	*slot = process;
	process->pid = pid;
	process->start_ns = start_ns;
	snprintf(process->comm, sizeof(process->comm), "%s", comm);
	if (map_put(&table->index, key, (uint32_t)table->all.n - 1) < 0) {
		table->all.n--;
		free(process);
		return NULL;
	}
	return process;
}

struct process_seen *process_table_find(const struct process_table *table, int32_t pid,
					uint64_t start_ns)
{
	uint32_t i;

	if (!map_get(&table->index, (uint64_t)(uint32_t)pid + 1, &i) ||
	    table->all.v[i]->start_ns != start_ns)
		return NULL;
	return table->all.v[i];
}

static void join(struct process_seen *to, struct process_seen *from)
{
	to->marks |= from->marks;
	if (from->executable) {
		to->executable = from->executable;
		to->resident = from->resident;
		to->verified = from->verified;
	}
	to->listed |= from->listed;
	if (from->has_digest && !to->has_digest) {
		to->has_digest = true;
		memcpy(to->digest, from->digest, sizeof(to->digest));
	}
	if (!to->path)
		to->path = take_ptr(&from->path);
	if (!to->package)
		to->package = take_ptr(&from->package);
}

int process_table_join(struct process_table *to, struct process_table *from)
{
	for (size_t i = 0; i < from->all.n; i++) {
		struct process_seen *process = from->all.v[i];
		struct process_seen *known = process_table_find(to, process->pid,
								process->start_ns);

		if (!known && process->marks & PROCESS_HIDDEN_INSIDE)
			known = process_table_get(to, process->pid, process->start_ns,
						  process->comm);
		else if (!known)
			continue;
		if (!known)
			return -ENOMEM;
		if (known->start_ns == process->start_ns)	/* not another one by now */
			join(known, process);
	}
	return 0;
}

void process_table_free(struct process_table *table)
{
	for (size_t i = 0; i < table->all.n; i++) {
		process_seen_clear(table->all.v[i]);
		free(table->all.v[i]);
	}
	vec_free(&table->all);
	map_free(&table->index);
}

enum process_result process_result(const struct process_seen *process)
{
	static const struct {
		unsigned mark;
		enum process_result result;
	} gravest[] = {
		{ PROCESS_HIDDEN_INSIDE, PROCESS_IS_HIDDEN_INSIDE },
		{ PROCESS_MODIFIED_MEMORY, PROCESS_IS_MODIFIED_MEMORY },
		{ PROCESS_UNKNOWN, PROCESS_IS_UNKNOWN },
		{ PROCESS_UNMEASURED, PROCESS_IS_UNMEASURED },
		{ PROCESS_MODIFIED_DISK, PROCESS_IS_MODIFIED_DISK },
	};

	for (size_t i = 0; i < ARRAY_SIZE(gravest); i++)
		if (process->marks & gravest[i].mark)
			return gravest[i].result;
	return process->has_digest ? PROCESS_IS_KNOWN : PROCESS_IS_UNMEASURED;
}

const char *process_result_name(enum process_result result)
{
	static const char *const names[] = {
		[PROCESS_IS_KNOWN] = "known",
		[PROCESS_IS_UNKNOWN] = "unknown",
		[PROCESS_IS_MODIFIED_MEMORY] = "modified-in-memory",
		[PROCESS_IS_MODIFIED_DISK] = "modified-on-disk",
		[PROCESS_IS_UNMEASURED] = "unmeasured",
		[PROCESS_IS_HIDDEN_INSIDE] = "hidden-inside",
	};

	return names[result];
}
