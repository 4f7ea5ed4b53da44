/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_KEEPER_KEEPER_H
#define HVSM_KEEPER_KEEPER_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/format.h"
#include "base/blob.h"
#include "base/vec.h"
#include "keeper/build.h"
#include "linux/kernel.h"

/*
 * The keeper: it finds the measure agent in a guest, proves it, and follows its log. One belongs
 * to one guest, and lives over sweeps: what it has read of the log it does not read again.
 * docs/agent.md has the rules.
 *
 *	struct keeper *keeper = check_keeper(run);	// NULL: no copy of the agent at hand
 *	r = keeper_look(keeper, check_kernel(run), check_view(run), err);
 *	if (r >= 0 && keeper_measured(keeper))
 *		… look files up (measured.h)
 */
struct keeper;
struct measured;	/* keeper/measured.h */
struct inside;		/* keeper/inside.h */
struct since;		/* keeper/since.h */
struct page_digests;	/* keeper/page_digests.h */
struct patience;	/* keeper/patience.h */

enum keeper_state {
	KEEPER_ABSENT,		/* there is none, and in this boot never was */
	KEEPER_STARTING,	/* proved; it measures what ran before it */
	KEEPER_TRUSTED,
	KEEPER_STALLED,		/* proved, but it does not run, or not all of it could be seen */
	KEEPER_TAMPERED,	/* its code, its log, its surroundings are not as they must be */
	KEEPER_REPLACED,	/* another one than before in this boot */
	KEEPER_GONE,		/* it was there in this boot, and is not any more */
};

/* "absent", "starting", …: as the report has it. */
const char *keeper_state_name(enum keeper_state state);

/* What is not as it must be, by what it is about: each has its check. */
enum keeper_topic {
	KEEPER_PRESENCE,	/* there, exactly one, the same as before */
	KEEPER_CODE,		/* its memory: code, constants, nothing foreign, locked */
	KEEPER_ALIVE,		/* not stopped, not frozen, its heart beats */
	KEEPER_LOG,		/* chained, and an extension of what was seen */
	KEEPER_WATCH,		/* its fanotify marks */
	KEEPER_VIEW,		/* its inside view: see keeper_inside() */
	KEEPER_TOPICS
};

enum keeper_weight {
	KEEPER_LOW,		/* legitimate, and worth knowing */
	KEEPER_MEDIUM,
	KEEPER_HIGH,		/* nothing legitimate does this */
};

struct keeper_problem {
	enum keeper_topic topic;
	enum keeper_weight weight;
	char object[64];	/* what is not right, the same over sweeps: "code page" */
	char title[128];
	gva at;			/* 0: no address */
	char what[96];		/* the evidence; guest text in it is as it is */
	char expected[160];
	char found[288];
};

/* The agent as it was found last. */
struct keeper_agent {
	enum keeper_state state;
	enum keeper_state apparent;	/* … leaving aside what this one look could not see */
	char build_id[41];	/* "": absent. Of one that is gone it is what was known last, */
	gva task;		/* task_struct of its leader; 0: there is none */
	int32_t pid;
	uint64_t start_ns;	/* when it began, CLOCK_BOOTTIME */
	uint32_t period_ms;
	uint64_t heartbeat_ns;
	uint64_t round_ns;	/* between its looks at all processes, as it says; 0: not known */
	uint64_t complete_ns;	/* all that ran then is measured, as it says; 0: never yet */
	uint64_t log_records;	/* … and so are these: of the log, as far as it was proved */
	uint64_t log_bytes;
	uint8_t log_digest[AGENT_DIGEST_BYTES];	/* chain of the last of them */

	/* What was covered. */
	uint64_t processes;	/* looked at */
	uint64_t pages;		/* of its code and constants, each equal to the host's copy */
	uint64_t marks;		/* of fanotify */
	uint64_t systems;	/* file systems that must have one */
	bool young;		/* one has none: it may have been mounted just now */

	VEC(struct keeper_problem) problems;
	char unseen[KEEPER_TOPICS][224];	/* why something could not be seen; "": all was */
};

/**
 * keeper_open - keep one guest's agent
 * @builds: the host's copies, at least one; the keeper's from now on (empty then), on success
 *
 * Return: 0, -EINVAL (no copy), -ENOMEM.
 */
nodiscard int keeper_open(struct builds *builds, struct keeper **ret, struct err *err);

/* *@keeper becomes NULL. NULL is fine. */
void keeper_close(struct keeper **keeper);

/**
 * keeper_look - find the agent, prove it, and read what it logged since the last look
 *
 * A second call costs nothing, until the view is refreshed; one that failed fails alike, unless
 * there is more fuel by then. What is not as it must be, and what
 * could not be seen, is no error: keeper_agent() has it.
 *
 * Return: 0, -ELOOP (fuel), -ESRCH, -ENOMEM, -ENOENT (types that this kernel lacks).
 */
nodiscard int keeper_look(struct keeper *keeper, const struct kernel *kernel, struct view *view,
			  struct err *err);

/* The host's copy of the agent that was found; NULL: none was. */
const struct build *keeper_build(const struct keeper *keeper);

/* Of the last look; never NULL. */
const struct keeper_agent *keeper_agent(const struct keeper *keeper);

/**
 * keeper_measured - what the agent measured in this boot
 * NULL where no agent was proved whose log can be believed: its state is then absent, tampered
 * or gone. It grows with each look, and is the keeper's.
 */
const struct measured *keeper_measured(const struct keeper *keeper);

/**
 * keeper_pages - digests of physical pages, kept over sweeps
 * The keeper's; check process-code is who uses them.
 */
struct page_digests *keeper_pages(struct keeper *keeper);

/* Since when the agent has not seen something; the keeper's. */
struct patience *keeper_patience(struct keeper *keeper);

/* The newest whole inside view; NULL: none that can be believed. It changes with each look. */
const struct inside *keeper_inside(const struct keeper *keeper);

/* Differences between inside and outside, and since which inside view: for who compares them. */
struct since *keeper_since(struct keeper *keeper);

/**
 * keeper_remember - what the next keeper of this guest and boot must know
 * @ret: to be kept on the host, for keeper_recall(); for blob_free(). Empty: nothing yet.
 *
 * Return: 0, -ENOMEM.
 */
nodiscard int keeper_remember(const struct keeper *keeper, struct blob *ret, struct err *err);

/* Before the first look. 0, or -EBADMSG (not from keeper_remember(), or from another hvsm). */
nodiscard int keeper_recall(struct keeper *keeper, const void *data, size_t size,
			    struct err *err);

#endif
