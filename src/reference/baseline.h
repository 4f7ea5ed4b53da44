/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_REFERENCE_BASELINE_H
#define HVSM_REFERENCE_BASELINE_H

#include <stdbool.h>

#include "base/blob.h"
#include "linux/kernel.h"

/*
 * What no package says, hvsm remembers itself: the first sweep of a boot of a guest records it,
 * later ones compare. A record belongs to one boot of one guest (kernel.h, struct kernel_boot);
 * it lies in the store, so that the next run of hvsm has it.
 */
struct baseline;

enum baseline_result {
	BASELINE_NEW,		/* nothing was recorded of it: it will be, by baseline_commit() */
	BASELINE_SAME,
	BASELINE_DIFFERS,
};

/**
 * baseline_open - the record of this boot of a guest; an empty one where there is none
 * @store: directory of the store; created where it is missing
 * @guest: what names the guest over restarts of hvsm: its UUID, else its name
 *
 * Return: 0, -EACCES and the like (nothing can be kept there), -EBADMSG (a damaged store),
 *         -ENOMEM.
 */
nodiscard int baseline_open(const char *store, const char *guest, const struct kernel *kernel,
			    struct baseline **ret, struct err *err);

/* Somebody else who has the store: for a process that may open no file. As the functions below. */
struct baseline_elsewhere {
	int (*compare)(void *ctx, const char *item, const void *data, size_t size,
		       struct blob *was, struct err *err);
	void (*drop)(void *ctx, const char *item);
	int (*note)(void *ctx, const char *item, const void *data, size_t size, struct err *err);
	int (*noted)(void *ctx, const char *item, struct blob *ret, struct err *err);
	void *ctx;
};

/**
 * baseline_ask - a baseline that is with somebody else, who commits it, too
 * @elsewhere: copied
 * Return: 0, -ENOMEM.
 */
nodiscard int baseline_ask(const struct baseline_elsewhere *elsewhere, struct baseline **ret,
			   struct err *err);

/* *@baseline becomes NULL; what was not committed is forgotten. NULL is fine. */
void baseline_close(struct baseline **baseline);

/**
 * baseline_compare - is it as it was?
 * @item: "ro_after_init", "module evil .text": unique within the guest
 * @data: copied where it is new; up to 16 MiB
 * @was:  receives what was recorded where it differs, for blob_free(); may be NULL
 *
 * What is new may be given again, with other content, until it is committed.
 *
 * Return: enum baseline_result, -ELOOP (too large, too many), -EBADMSG, -ENOMEM, -EIO.
 */
nodiscard int baseline_compare(struct baseline *baseline, const char *item, const void *data,
			       size_t size, struct blob *was, struct err *err);

/* Forget what was given as new for this item since the last commit. */
void baseline_drop(struct baseline *baseline, const char *item);

/**
 * baseline_note - keep what changes from sweep to sweep, at once
 * @item: apart from those that are compared
 * @data: replaces what was kept under this name; up to 16 MiB
 *
 * Return: 0, or an error as of baseline_open(), -ELOOP.
 */
nodiscard int baseline_note(struct baseline *baseline, const char *item, const void *data,
			    size_t size, struct err *err);

/**
 * baseline_noted - what was kept last
 * @ret: for blob_free()
 * Return: 0, -ENOENT (nothing), -EBADMSG, -ENOMEM, -EIO.
 */
nodiscard int baseline_noted(struct baseline *baseline, const char *item, struct blob *ret,
			     struct err *err);

/*
 * Record what is new. 0, -ELOOP (more than one boot's record may hold: none of it is), or an error
 * as of baseline_open().
 */
nodiscard int baseline_commit(struct baseline *baseline, struct err *err);

#endif
