/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_MONITOR_BROKER_H
#define HVSM_MONITOR_BROKER_H

#include "keeper/build.h"
#include "monitor/channel.h"
#include "reference/baseline.h"
#include "reference/reference.h"
#include "reference/trust.h"

/*
 * The starter's side of what scanners need (need.h): it has the files, they have not. What they
 * are given are sealed memfds. What they ask is hostile: names are words that are looked up and
 * nothing else, sizes are bounded, and one guest's scanner reaches that guest's baseline only.
 */

struct broker_agent {
	char *path;
	int fd;
};

/*
 * The shipped kernel, and the agents, as files in memory: scanners of guests with the same
 * build share them. Owned by whoever started them.
 */
struct broker_files {
	int vmlinux;			/* -1: not made yet */
	int profile;			/* see prepare.h; -1: there is none */
	VEC(struct broker_agent) agents;
};

#define BROKER_FILES_NONE ((struct broker_files){ .vmlinux = -1, .profile = -1 })

/* What there is for one guest: all may be NULL, and stays the caller's. */
struct broker {
	struct reference *reference;
	struct baseline *baseline;
	struct trust *trust;
	struct broker_files *files;
	uint64_t asked;			/* since the last sweep began */
	uint32_t noted;			/* … and of these BASELINE_OP_NOTE */
	uint64_t cpu_ns;		/* spent on answers: the guest's bill */
	uint64_t job_cpu_ns;		/* … when the last sweep began */
};

/* Questions in one sweep: a module's object, a record, a digest each; see limits.h. */
#define BROKER_QUESTIONS_MAX (4u << 20)

/* What the agent's log is remembered by is noted once in a sweep; each is a write to the disk. */
#define BROKER_NOTES_MAX 4u

/* On the answers of one sweep: all modules of a kernel, unpacked, take some seconds. */
#define BROKER_CPU_NS_MAX 60000000000ull

/**
 * broker_put_kernel - the reference's kernel as a file in memory
 * Its copy in the reference is released. Nothing where it was put before. 0, or an errno.
 */
nodiscard int broker_put_kernel(struct broker_files *files, struct reference *reference,
				struct err *err);

/* … and the agents. */
nodiscard int broker_put_agents(struct broker_files *files, const struct builds *builds,
				struct err *err);

void broker_files_free(struct broker_files *files);

/**
 * broker_grant - tell a scanner what there is
 * To be called with all of @broker set, before its first sweep. 0, or as channel_send().
 */
nodiscard int broker_grant(const struct broker *broker, struct channel *channel, struct err *err);

/* A sweep begins. */
void broker_renew(struct broker *broker);

/**
 * broker_answer - answer one MSG_NEED_*
 * That something is not there, or damaged, is an answer. Nobody is waited for: whose answers do
 * not fit into its socket does not read them.
 *
 * Return: 0, -EPROTO (no such question, too many, or unread answers), or as channel_send().
 */
nodiscard int broker_answer(struct broker *broker, struct channel *channel,
			    struct message *question, struct err *err);

#endif
