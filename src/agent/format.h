/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_AGENT_FORMAT_H
#define HVSM_AGENT_FORMAT_H

#include <stddef.h>
#include <stdint.h>

/*
 * What the measure agent keeps in its memory, for the keeper to read from outside. The agent only
 * writes it and the keeper only reads it; there is no other way from one to the other.
 *
 * All of it is little endian, without padding that has no name, and locked in memory
 * (mlockall(2)). Times are CLOCK_BOOTTIME in ns: the clock of task_struct.start_boottime, so that
 * either side can tell what was there first. Numbers of devices are the kernel's: major << 20 |
 * minor (MKDEV() in include/linux/kdev_t.h), not what stat(2) gives.
 *
 * The keeper takes every byte for a lie until it is checked.
 */
#define AGENT_MAGIC	     0x544e47414d535648ull	/* "HVSMAGNT" */
#define AGENT_FORMAT	     2u	/* what is new since 1 stands at the end of structs */
#define AGENT_ANCHOR_SECTION ".hvsm.anchor"
#define AGENT_DIGEST_BYTES   32u	/* SHA-256 */
#define AGENT_PAGE_BYTES     4096u
#define AGENT_PATH_MAX	     4096u
#define AGENT_SEGMENTS_MAX   64u	/* of one file */

/* Reserved at the start, so that nothing ever moves; what is not used yet takes no memory. */
#define AGENT_LOG_MAX	    (256ull << 20)
#define AGENT_RECORD_MAX    (8u << 20)	/* 1 GiB of code in one file */
#define AGENT_EVENTS	    16384u	/* in the ring; a power of two */
#define AGENT_INSIDE_MAX    (8u << 20)	/* one copy; there are two */

/* Between two rounds of all processes, however long one takes. */
#define AGENT_ROUND_MAX_NS  300000000000ull

enum agent_state {
	AGENT_STARTING = 1,	/* what ran before it is not measured yet */
	AGENT_RUNNING,
	AGENT_STOPPING,		/* on request: systemctl stop */
};

struct agent_region {
	uint64_t at;		/* in the agent's address space, page aligned */
	uint64_t size_bytes;	/* reserved */
};

/*
 * The anchor: alone on its pages in section AGENT_ANCHOR_SECTION, where the host's own copy of the
 * program says that it is.
 *
 * What stands between log_sequence and the end of log_head is of one instant if log_sequence is
 * even, and the same before and after it was copied (a sequence lock). The log up to log_bytes
 * never changes.
 */
struct agent_anchor {
	uint64_t magic;
	uint32_t format;
	uint32_t size_bytes;		/* of this struct */
	uint32_t state;			/* enum agent_state */
	uint32_t pid;
	uint64_t started_ns;
	uint8_t boot_id[16];		/* /proc/sys/kernel/random/boot_id */
	uint64_t heartbeat;		/* counts up, once a period at least */
	uint64_t heartbeat_ns;		/* when it last did */
	uint32_t period_ms;		/* between heartbeats and between inside views */
	uint32_t marks;			/* fanotify marks that it holds */
	uint64_t lost;			/* events that the kernel dropped (queue overflow) */

	struct agent_region log;	/* struct agent_record after struct agent_record */
	struct agent_region events;	/* struct agent_event [AGENT_EVENTS] */
	struct agent_region inside;	/* two of struct agent_inside, half of it each */

	uint64_t log_sequence;
	uint64_t log_bytes;		/* used */
	uint64_t log_records;
	uint8_t log_head[AGENT_DIGEST_BYTES];	/* chain of the last record */

	uint64_t events_next;		/* sequence number of the event that will be written next */
	uint64_t inside_sequence;	/* of the newest whole inside view; 0: none yet */

	/* Since format 2. */
	uint64_t round_ns;		/* from the begin of the newest whole round of all processes
					 * to that of the next; 0: there was none yet */
	uint64_t complete_ns;		/* begin of the newest round since which nothing was lost,
					 * and all is measured that was found; 0: none yet */
};

#define AGENT_ANCHOR_BYTES_1 offsetof(struct agent_anchor, round_ns)

/* --- log: what was measured --- */

enum agent_record_type {
	AGENT_RECORD_START = 1,	/* struct agent_start: always the first, and only that */
	AGENT_RECORD_FILE,	/* struct agent_file */
	AGENT_RECORD_UNREADABLE, /* struct agent_unreadable: a file that could not be measured */
	AGENT_RECORD_LOST,	/* struct agent_lost: the kernel dropped events */
	AGENT_RECORD_FULL,	/* nothing follows: the log's upper bound is reached */
	AGENT_RECORD_STOP,	/* the agent ends because it was told to */
	AGENT_RECORD_FOLLOWS,	/* struct agent_follows: right behind the first, newest first */
};

/*
 * Records are chained as a PCR is extended: chain = SHA-256(chain of the record before, 32 zero
 * bytes for the first ‖ the whole record, size_bytes long, with zeros in place of chain).
 */
struct agent_record {
	uint32_t size_bytes;	/* with this header and what follows; a multiple of 8 */
	uint32_t type;		/* enum agent_record_type */
	uint64_t sequence;	/* 0, 1, 2 … */
	uint64_t time_ns;
	uint8_t chain[AGENT_DIGEST_BYTES];
};

struct agent_start {
	struct agent_record record;
	uint8_t boot_id[16];
	uint64_t started_ns;
	uint32_t pid;
	uint32_t build_id_bytes;
	uint8_t build_id[32];	/* of the agent */
	char version[32];
};

/* Why a file was measured. */
enum agent_reason {
	AGENT_EXEC = 1,		/* executed, or the interpreter of what was executed */
	AGENT_MAPPED,		/* mapped executable: a library */
	AGENT_SCRIPT,		/* what an interpreter was given to run */
	AGENT_MODULE,		/* a kernel module */
};

/*
 * A file as it was at time_ns: then follow @segments of struct agent_segment, one digest for each
 * page of them (in their order), the path (@path_bytes, no NUL at the end), and zeros up to
 * size_bytes.
 *
 * The same file is measured again when its device, inode, size, mtime, ctime or fs-verity digest is
 * another; a newer record does not undo an older one: who runs the old pages still does.
 */
struct agent_file {
	struct agent_record record;
	uint64_t device;
	uint64_t inode;
	uint64_t size_bytes;
	uint64_t mtime_ns;
	uint64_t ctime_ns;
	uint8_t sha256[AGENT_DIGEST_BYTES];	/* of the whole file */
	uint32_t reason;			/* enum agent_reason */
	uint32_t segments;
	uint32_t pages;				/* digests, over all segments */
	uint32_t path_bytes;			/* as seen from init's root, or from the mount's */
};

/*
 * Pages of the file that may be mapped executable: those of an ELF file's PT_LOAD with PF_X, of
 * any other file that somebody mapped executable all. A page's digest is SHA-256 over
 * AGENT_PAGE_BYTES, as the page cache has them: zeros follow the end of the file.
 *
 * Segments stand in ascending order and no page is in two of them: those that touch are one. Of
 * a file with more than AGENT_SEGMENTS_MAX all pages are measured, as one segment.
 */
struct agent_segment {
	uint64_t first_page;	/* of the file: offset / AGENT_PAGE_BYTES */
	uint64_t pages;
};

struct agent_unreadable {
	struct agent_record record;
	uint64_t device, inode;	/* 0: not known */
	uint32_t reason;	/* enum agent_reason */
	uint32_t error;		/* errno */
	uint32_t path_bytes;	/* the path follows */
	uint32_t reserved;
};

struct agent_lost {
	struct agent_record record;
	uint64_t lost;		/* so far */
};

/*
 * An agent of this boot that ran before this one, and was told to end. It left word for the next,
 * who takes it away: of one that was killed nobody says anything, nor of those before it.
 */
struct agent_ended {
	uint64_t started_ns;	/* as in its anchor */
	uint64_t ended_ns;
	uint64_t log_records;	/* in the end, AGENT_RECORD_STOP included */
	uint64_t log_bytes;
	uint8_t log_head[AGENT_DIGEST_BYTES];
	uint32_t pid;
	uint32_t reserved;
};

struct agent_follows {
	struct agent_record record;
	struct agent_ended ended;
};

/* What it leaves, in a file of root's: AGENT_WILL in /run. Of more than these the oldest go. */
#define AGENT_ANCESTORS_MAX 8u
#define AGENT_WILL_MAGIC    0x4c4c4957u	/* "WILL" */

struct agent_will {
	uint32_t magic;
	uint32_t ended;		/* of @all, newest first */
	uint8_t boot_id[16];
	struct agent_ended all[AGENT_ANCESTORS_MAX];
};

/* --- events: what happened --- */

enum agent_event_type {
	AGENT_EVENT_EXEC = 1,	/* value: sequence of the file's record, or UINT64_MAX */
	AGENT_EVENT_EXIT,	/* value: status as wait(2) gives it */
	AGENT_EVENT_MODULE_IN,	/* text: its name */
	AGENT_EVENT_MODULE_OUT,
	AGENT_EVENT_MOUNT,	/* value: mount ID; text: end of its path */
	AGENT_EVENT_UNMOUNT,
	AGENT_EVENT_LOST,	/* value: how many the kernel has dropped, so far */
};

/*
 * Exec and exit come from the kernel as they happen (proc connector), or where it cannot tell from
 * what /proc shows once a period; a value that is not known is UINT64_MAX. Modules and mounts are
 * told once a period.
 *
 * Event number s stands in slot s % AGENT_EVENTS. Its sequence is written last, and is UINT64_MAX
 * while the rest is written: who copies a slot and finds another number than s was too late, and
 * knows how many he lost.
 */
struct agent_event {
	uint64_t sequence;
	uint64_t time_ns;
	uint32_t type;		/* enum agent_event_type */
	uint32_t pid;
	uint64_t value;
	char text[32];		/* ends with NUL, or is full */
};

/* --- inside: what the guest sees of itself --- */

/*
 * View number s stands in the region's half s % 2. A copy is whole if the header says s before and
 * after; @sequence is 0 while it is written. All items were there at some instant between
 * begun_ns and ended_ns; what was there all that time is among them.
 */
struct agent_inside {
	uint64_t sequence;
	uint64_t begun_ns;
	uint64_t ended_ns;
	uint32_t size_bytes;	/* with this header */
	uint32_t items;
	uint32_t missing;	/* bits, 1 << kind: of these not all could be listed */
	uint32_t reserved;
};

enum agent_item_kind {
	AGENT_ITEM_TASK = 1,	/* by getdents(2) on /proc; number: PID */
	AGENT_ITEM_MODULE,	/* text: name; number: its size, as /proc/modules has it */
	AGENT_ITEM_SOCKET,	/* number: inode, value: struct agent_socket; of init's namespace */
	AGENT_ITEM_MOUNT,	/* number: mount ID, value: device; text: where, at most
				 * AGENT_PATH_MAX of it; as process 1 has them */
	AGENT_ITEM_USER,	/* number: PID of the session's leader; text: user, NUL, line */
};

/* An item: this header, then @text_bytes of text, then zeros up to size_bytes. */
struct agent_item {
	uint16_t size_bytes;	/* a multiple of 8 */
	uint16_t kind;
	uint32_t text_bytes;
	uint64_t number;
	uint64_t value;
};

/*
 * The text of a socket. Ports in host order, addresses as on the wire, IPv4 in the first 4. Each
 * line of /proc/net/{tcp,udp,udplite,raw,icmp}{,6} is one, those without an inode (TIME_WAIT,
 * SYN_RECV) included. Of a raw socket local_port is what it receives (IPPROTO_ICMP …).
 */
struct agent_socket {
	uint16_t family;	/* AF_INET, AF_INET6 */
	uint16_t protocol;	/* IPPROTO_TCP, _UDP, _UDPLITE, _RAW, _ICMP, _ICMPV6 */
	uint16_t local_port, remote_port;
	uint32_t state;		/* as in /proc/net/tcp */
	uint32_t uid;
	uint8_t local[16], remote[16];
};

#endif
