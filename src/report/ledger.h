/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_REPORT_LEDGER_H
#define HVSM_REPORT_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/blob.h"
#include "base/err.h"

/*
 * The reports of all sweeps, kept so that nobody can change what was reported unseen: each is a
 * record in a chain of SHA-256, signed with an Ed25519 key that is made at first use. What the
 * reports found is kept as findings that open and close over sweeps. See docs/reports.md.
 *
 *	ledger.db	records, reports, findings (and SQLite's ledger.db-wal and -shm)
 *	key, key.pub	the key, readable by its owner only; what belongs to it, in hex
 *	lock		held while the files are made
 *
 * Several processes may read while one writes; several may write, one after the other. One
 * struct ledger is used by one thread, and not across fork().
 */
struct ledger;

/* Where it is unless told otherwise. */
#define LEDGER_DEFAULT "/var/lib/hvsm/reports"

#define LEDGER_HASH_BYTES 32	/* SHA-256 */
#define LEDGER_KEY_BYTES  32	/* Ed25519, public */

/**
 * ledger_open - open the ledger in a directory
 * @path:  of the directory; its parent must be there
 * @write: make what is not there, and bring what is there to this version; else nothing is
 *         created or changed, and only what says so below can be done
 *
 * Return: 0, -ENOENT (there is none), -EACCES (also: others may write into the directory),
 *         -ENOTSUP (of another version), -EBADMSG (damaged; or there are records and no key),
 *         -EBUSY, -ENOSPC, -ENOMEM, -EIO, or what mkdir() says: "as ledger_open()" below.
 */
nodiscard int ledger_open(const char *path, bool write, struct ledger **ret, struct err *err);

/* *@ledger becomes NULL. NULL is fine. */
void ledger_close(struct ledger **ledger);

/* --- writing --- */

/*
 * What the host knows of a report by itself. Texts must be printable, without anything that
 * escape() would change but a backslash, and have 255 bytes at most.
 */
struct ledger_origin {
	const char *guest;	/* what names the guest for good: its UUID, else its name; NULL:
				   what the report says: uuid, else name, else target */
	const char *boot;	/* no two boots of a guest share it; NULL: the report's text_base */
	uint64_t time_ns;	/* CLOCK_REALTIME; 0: now */
};

/* What became of a report. */
struct ledger_added {
	uint64_t seq;		/* of its record: what `hvsm report show` calls it */
	uint64_t same_as;	/* of the record that has the same; 0: it is stored in whole */
	uint32_t opened;	/* findings that are new, or are back */
	uint32_t closed;	/* findings that are gone */
	uint8_t hash[LEDGER_HASH_BYTES];	/* the head of the chain, as of this record */
};

/**
 * ledger_add - store a report
 * @origin: NULL: all as the report says
 * @json:   hvsm.report/1, @size bytes; from a scanner, so anything may be in it
 * @ret:    may be NULL
 *
 * When this returns 0 the report is on the disk, and stays there if the host loses power.
 * Otherwise nothing has been changed. What is the same as an earlier report of this boot but for
 * times, counts and processes is recorded, but not stored once more.
 *
 * A finding opens with the first report that has it, and closes with one whose check was
 * conclusive (clean; or with findings, and nothing left unseen) and no longer has it: as
 * well in a later boot.
 *
 * Return: 0, -EBADMSG (it is no such report), -ELOOP (it is too large, or nests too deep,
 *         or too much is open in its guest), -EINVAL (@origin, or opened to read), -ESTALE (the
 *         file was removed or replaced meanwhile: open the ledger again), as ledger_open().
 */
nodiscard int ledger_add(struct ledger *ledger, const struct ledger_origin *origin,
			 const void *json, size_t size, struct ledger_added *ret,
			 struct err *err);

/* Was its file removed, or replaced? Then open it again. @ledger may be NULL. */
bool ledger_is_moved(const struct ledger *ledger);

/* How long, and how much, to keep. */
struct ledger_retention {
	uint64_t before_ns;	/* remove records that were made before; 0: none */
	uint64_t bytes_max;	/* of the database: remove the oldest beyond that; 0: any */
};

/**
 * ledger_expire - remove the oldest reports
 * @now_ns:  CLOCK_REALTIME; 0: now
 * @removed: receives how many records were removed; may be NULL
 *
 * A signed checkpoint is added to the chain that stands for them. The newest record stays, and
 * so do findings that are open. What is closed goes with the last record that had it.
 *
 * The caller vouches for the clock. A record that a wrong clock put into the future keeps those
 * after it, whose age is not known for certain, until @bytes_max counts.
 *
 * Return: 0, -EINVAL (opened to read), as ledger_open().
 */
nodiscard int ledger_expire(struct ledger *ledger, const struct ledger_retention *keep,
			    uint64_t now_ns, uint64_t *removed, struct err *err);

/*
 * --- reading ---
 * Where there is no ledger (NULL) at the moment these, and ledger_add(), return -ENOTCONN.
 */

enum ledger_kind {
	LEDGER_REPORT,		/* a report */
	LEDGER_SAME,		/* one that is the same as @refers */
	LEDGER_CHECKPOINT,	/* stands for all records up to @refers, which were removed */
};

/* "report", "same", "checkpoint". */
const char *ledger_kind_name(enum ledger_kind kind);

/* One record. Texts are escaped already, and valid while it is visited. */
struct ledger_record {
	uint64_t seq;		/* 1 …, without a gap */
	enum ledger_kind kind;
	uint64_t time_ns;	/* when it was stored */
	uint64_t refers;
	/* Of a checkpoint the rest is 0 or "", but the hashes. */
	const char *guest;	/* as struct ledger_origin */
	const char *boot;
	const char *name;	/* of the guest, else its target: for people */
	uint64_t started_ns;	/* of the sweep, as the report says */
	uint64_t duration_us;
	const char *verdict;	/* "clean", "suspicious", "compromised", "inconclusive" */
	const char *assurance;	/* "reference", "baseline", "none" */
	uint64_t findings;	/* how many it has */
	uint8_t report[LEDGER_HASH_BYTES];	/* of the report as it came, made compact; of a
						   checkpoint: of the last record it stands for */
	uint8_t content[LEDGER_HASH_BYTES];	/* of what is stored; of a checkpoint: of the
						   findings as they were then */
	uint8_t print[LEDGER_HASH_BYTES];	/* of what makes two reports the same */
	uint8_t hash[LEDGER_HASH_BYTES];	/* of the record before, and all of the above */
	uint8_t signature[64];			/* of that */
};

/* Which ones: those for which all holds. */
struct ledger_filter {
	const char *guest;	/* its key or its name; NULL, "": all */
	const char *key;	/* its key, if that is known: then @guest is not looked at */
	uint64_t since_ns;	/* records: made since; findings: seen since, or closed */
	uint64_t after_seq;	/* records: later ones; findings: opened or closed by later ones */
	uint64_t before_seq;	/* records: earlier; findings: opened by earlier ones; 0: all */
	const char *before_id;	/* findings: also those that @before_seq opened whose id is less;
				   NULL: none of these */
	bool open;		/* findings: only those */
	bool newest;		/* the newest first; findings by @opened_in, then by id */
};

typedef int ledger_record_fn(const struct ledger_record *record, void *ctx, struct err *err);

/**
 * ledger_each - visit records, the oldest first unless @filter says otherwise
 * @filter: NULL: all
 *
 * They are read one by one, in that order: who ends it early has not paid for the rest.
 *
 * Return: 0, what @visit returned below 0 (which ends it), as ledger_open().
 */
nodiscard int ledger_each(struct ledger *ledger, const struct ledger_filter *filter,
			  ledger_record_fn *visit, void *ctx, struct err *err);

/**
 * ledger_report - what a record has stored, or the one it is the same as
 * @ret: hvsm.report/1 without a newline; the caller's, for blob_free()
 *
 * The digest is compared; the chain is not.
 *
 * Return: 0, -ENOENT (no such record, or a checkpoint), -EBADMSG, as ledger_open().
 */
nodiscard int ledger_report(struct ledger *ledger, uint64_t seq, struct blob *ret,
			    struct err *err);

/* One finding over sweeps. Texts are escaped already, and valid while it is visited. */
struct ledger_finding {
	const char *guest, *boot;
	const char *name;	/* of the guest, as @last_in has it; else @guest */
	const char *id;		/* 16 hex digits */
	const char *check, *severity, *title;
	uint64_t first_seen_ns, last_seen_ns;	/* when the reports were stored */
	uint64_t closed_ns;	/* 0: it is open */
	/* None is before the one above, even where the clock was set back. */
	uint64_t sweeps;	/* how many had it */
	uint64_t opened_in, last_in, closed_in;	/* records; it may have been back since the first */
};

typedef int ledger_finding_fn(const struct ledger_finding *finding, void *ctx, struct err *err);

/*
 * Visit findings by guest, boot and id, or the newest first. As ledger_each(), but that those of
 * a guest that is known by its name only are sorted first.
 */
nodiscard int ledger_each_finding(struct ledger *ledger, const struct ledger_filter *filter,
				  ledger_finding_fn *visit, void *ctx, struct err *err);

/* The end of the chain, as it was signed. */
struct ledger_head {
	uint64_t seq;		/* of the last record; 0: there is none */
	uint64_t removed;	/* records up to this one have been removed */
	uint64_t time_ns;
	uint8_t hash[LEDGER_HASH_BYTES];
	uint8_t key[LEDGER_KEY_BYTES];	/* as key.pub has it */
};

/* Not verified. Return: 0, as ledger_open(). */
nodiscard int ledger_head(struct ledger *ledger, struct ledger_head *ret, struct err *err);

/* Bytes of the database that are in use: what struct ledger_retention bounds. As ledger_head(). */
nodiscard int ledger_bytes(struct ledger *ledger, uint64_t *ret, struct err *err);

/* --- proving --- */

struct ledger_trusted {
	const uint8_t *key;	/* LEDGER_KEY_BYTES, noted elsewhere; NULL: that of the ledger */
	const uint8_t *head;	/* LEDGER_HASH_BYTES: this record must be in the chain, or stand
				   right before it; NULL: none is known */
};

/* @seq: of the record; 0: of none. @what: one line, without a guest's text. */
typedef int ledger_problem_fn(uint64_t seq, const char *what, void *ctx, struct err *err);

/**
 * ledger_verify - is everything as it was signed?
 * @trusted: NULL: nothing is known from elsewhere
 * @problem: told what is wrong, with the first 100 at most
 *
 * Finds what was changed, removed, inserted or put into another order: of records, reports,
 * findings and of the tables themselves. What is written meanwhile does not matter.
 *
 * Return: how many problems there are; or below 0 what @problem returned, as ledger_open().
 */
nodiscard int ledger_verify(struct ledger *ledger, const struct ledger_trusted *trusted,
			    ledger_problem_fn *problem, void *ctx, struct err *err);

#endif
