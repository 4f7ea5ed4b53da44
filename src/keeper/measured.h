/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_KEEPER_MEASURED_H
#define HVSM_KEEPER_MEASURED_H

#include "base/map.h"
#include "base/vec.h"
#include "keeper/records.h"

/*
 * What the agent measured, by file: a table that is made of the log's records and grows with
 * them. It has copies of all that it needs; the records' bytes may go.
 *
 * One file may be there several times, each as it was at another time. A newer one does not undo
 * an older one: who runs the old pages still does.
 */
struct measured_file {
	uint64_t device;	/* as the agent's stat(2) has it: the kernel's s_dev may differ */
	uint64_t inode;
	uint64_t size_bytes;
	uint64_t mtime_ns;
	uint64_t ctime_ns;
	uint64_t time_ns;	/* when: CLOCK_BOOTTIME */
	uint64_t sequence;	/* of its record */
	uint8_t sha256[AGENT_DIGEST_BYTES];
	uint32_t reason;	/* enum agent_reason */
	uint32_t segments;
	uint32_t pages;		/* digests */
	const struct agent_segment *segment;
	const uint8_t *digests;
	const char *path;	/* guest text: escape it */

	/* The one before with the same inode, size and mtime; with the same inode; NULL: none. */
	const struct measured_file *older_same, *older_inode;
};

/* A file that the agent could not read. */
struct measured_failure {
	uint64_t device, inode;	/* 0: not known */
	uint64_t time_ns;
	uint32_t reason;	/* enum agent_reason */
	uint32_t error;		/* errno of the guest */
	char *path;		/* guest text */
};

/* Start with {0}; give the memory back with measured_free(). */
struct measured {
	VEC(struct measured_file *) files;	/* as in the log; their addresses stay */
	VEC(struct measured_failure) failures;
	uint64_t lost;		/* events that nobody saw, of those that are dropped … */
	uint64_t lost_first_ns, lost_last_ns;	/* … and when the agent noticed */
	bool full;		/* the log's upper bound was reached: later files are missing */
	uint64_t full_ns;
	bool stopped;		/* the agent ended on request */
	bool partial;		/* this table's bound was reached: some are missing in it */
	struct map same, inodes;	/* → the newest, in @files */
};

/**
 * measured_add - what a record says of files; one that says nothing of them is fine
 * Return: 0, -ENOMEM, -ELOOP (MEASURED_FILES_MAX). Then something may be missing in the table; of
 *         -ELOOP that stays known (partial).
 */
nodiscard int measured_add(struct measured *measured, const struct record *record,
			   struct err *err);

/* Another log begins, in the same boot: files stay, what the old one said of itself is gone. */
void measured_restart(struct measured *measured);

/* What the kernel says of a file, by which its measurement is found. */
struct measured_key {
	uint64_t device;	/* s_dev */
	uint64_t inode;
	uint64_t size_bytes;
	uint64_t mtime_ns;
	uint64_t ctime_ns;
};

/**
 * measured_find - the measurement of a file as it is now
 * One of the same inode, size and mtime. Of several that of the same device, because overlayfs
 * and btrfs tell stat(2) another one that counts where there is a choice only; then that of the
 * same ctime, which chmod(2) and rename(2) change as well; then the newest.
 *
 * Return: owned by @measured; NULL: that file was not measured. Others with the same key follow by
 *         older_same from measured_same() on; at most MEASURED_SAME_MAX are looked at.
 */
const struct measured_file *measured_find(const struct measured *measured,
					  const struct measured_key *key);

/* The newest of the same inode, size and mtime, of whatever device; NULL: none. */
const struct measured_file *measured_same(const struct measured *measured,
					  const struct measured_key *key);

/* The newest of an inode number, whatever its size and mtime are; NULL: none. */
const struct measured_file *measured_inode(const struct measured *measured, uint64_t inode);

/**
 * measured_digest - the digest of a page
 * @page: of the file, from 0
 * Return: AGENT_DIGEST_BYTES; NULL: that page is not code, and was not measured.
 */
const uint8_t *measured_digest(const struct measured_file *file, uint64_t page);

void measured_free(struct measured *measured);

/* "executed", "mapped", "script", "module"; "?". */
const char *measured_reason_name(uint32_t reason);

#endif
