/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_MONITOR_PROTOCOL_H
#define HVSM_MONITOR_PROTOCOL_H

#include "base/limits.h"
#include "monitor/channel.h"

/*
 * What a scanner and its starter say to each other. Texts are written by write_text(), numbers
 * are u32 unless something else stands here; descriptors are in [brackets].
 *
 *	starter				scanner
 *	OPEN ------------------------->		here is a guest's memory
 *	     <------------------------- NEED_MEMORY (any number of times, from here on)
 *	ANSWER ----------------------->
 *	     <------------------------- READY	its kernel was found: this one
 *	GRANT ------------------------>		what there is to compare it with
 *	SWEEP ------------------------>		look
 *	     <------------------------- NEED_*	(any number of times: material)
 *	ANSWER ----------------------->
 *	     <------------------------- REPORT	this was found; SWEEP may follow again
 *	LOOK ------------------------->		what has happened since the last one?
 *	     <------------------------- EVENTS
 *	QUIT, or the end of the channel
 *
 * One that was not given a guest may be told PREPARE instead: a kernel that was shipped is a
 * hostile file, too. It says PREPARED.
 *
 * At any time the scanner may say SAID (a remark for a person), FAILED (the last OPEN or SWEEP
 * did not work out), or, as its last word, FORBIDDEN.
 */
enum {
	/* By the starter. */
	MSG_OPEN = 1,	/* name, uuid, target, hypervisor [handover text, its descriptors …] */
	MSG_GRANT,	/* GRANT_*, struct reference_source as 6 texts, n, n paths of agents
			   [vmlinux if GRANT_REFERENCE, its profile if GRANT_PROFILE, n agents] */
	MSG_SWEEP,	/* SWEEP_*, n, n ids of checks (0: all) [registers] */
	MSG_ANSWER,	/* i32 code, text of the error or none, what was asked for [bytes] */
	MSG_LOOK,	/* u8: for events, too; microseconds that the sentinel may take
			   (sentinel.h), 0: none */
	MSG_PREPARE,	/* nothing [vmlinux]; of one that has no guest */
	MSG_QUIT,	/* nothing */

	/* By the scanner. */
	MSG_READY = 32,	/* release, build ID, u64 × 4: text, canary, first task, its time;
			   SANDBOX_*; JSON of the kernel, as a report has it */
	MSG_NEED_MODULE,	/* name, build ID → [ELF object] */
	MSG_NEED_BASELINE,	/* BASELINE_OP_*, item, u8: bytes follow, rest of the body [bytes]
				   → compare: [what was], noted: [bytes] */
	MSG_NEED_TRUST,		/* u8 × 32 digest → kind, mode, u64 size, path, by; or
				   nothing → is it empty? */
	MSG_REPORT,	/* enum verdict, steady, OUTSIDE_*, SWEEP_* [report]; it read where it
			   knows of no RAM, which may have been plugged in */
	MSG_EVENTS,	/* number of events, SENTINEL_BIT() of regions in which something is not
			   what it was [lines of hvsm.event/1, if there are any] */
	MSG_SAID,	/* text */
	MSG_FAILED,	/* i32 code, text or none */
	MSG_FORBIDDEN,	/* number of a system call */
	MSG_NEED_MEMORY,	/* u64 first frame, n → u64: those that are in the buffer now; of
				   guests that are served (ram/served.h) */
	MSG_PREPARED,	/* nothing [profile (reference/profile.h)] */
};

enum {
	GRANT_REFERENCE = 1,
	GRANT_MODULES	= 2,	/* of the reference */
	GRANT_BASELINE	= 4,
	GRANT_TRUST	= 8,
	GRANT_PROFILE	= 16,	/* of the reference */
};

/* Where the guest led to no RAM that its layout has. */
enum {
	OUTSIDE_SOME	= 1,
	OUTSIDE_IN_ROOM = 2,	/* where some may be plugged in (struct ram) */
};

/* What the report is to be. */
enum {
	SWEEP_JSON   = 1,	/* hvsm.report/1; else text for a person */
	SWEEP_COLOUR = 2,	/* … with colours */
};

enum {
	BASELINE_OP_COMPARE,
	BASELINE_OP_COMPARE_WAS,	/* … and say what was */
	BASELINE_OP_DROP,
	BASELINE_OP_NOTE,
	BASELINE_OP_NOTED,
	BASELINE_OPS,
};

/* What earlier sweeps knew of the agent: the one item that is noted, and none that is compared. */
#define BASELINE_AGENT_ITEM "agent"

/* What is smaller goes within the message. */
#define INLINE_BYTES_MAX	(8u << 10)

/* The longest answer to wait for: a package that is unpacked by the starter, say. */
#define ANSWER_MS		(-1)

/* The table: see channel.h. */
extern const struct channel_rule protocol_rules[];
extern const size_t protocol_rules_n;

/* Handlers of the table, in the files that the roles are in. */
channel_handler scanner_on_open, scanner_on_grant, scanner_on_sweep, scanner_on_look,
	scanner_on_prepare, scanner_on_quit;
channel_handler session_on_ready, session_on_need, session_on_need_memory, session_on_report,
	session_on_events, session_on_prepared, session_on_said, session_on_failed,
	session_on_forbidden;

#endif
