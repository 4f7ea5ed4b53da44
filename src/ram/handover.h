/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_RAM_HANDOVER_H
#define HVSM_RAM_HANDOVER_H

#include "base/writer.h"
#include "ram/ram.h"

/*
 * A guest's memory for another process: the one that opened it has the rights to, the one that
 * reads it shall have none. What is handed over are descriptors that can only be read from, and
 * bytes that say what is where in them; or, where no such descriptors exist, a buffer that the
 * first process copies to what the second asks for (served.h).
 */

struct memory_elsewhere;	/* served.h */

/* Files behind the RAM of one guest, and what a process has besides: what one message holds. */
#define HANDOVER_FDS_MAX	249u

/* RAM_RANGES_MAX ranges and as many pieces of them. */
#define HANDOVER_BYTES_MAX	(128u << 10)

struct handover {
	struct writer text;
	int fds[HANDOVER_FDS_MAX];	/* stay those of the struct ram */
	size_t fds_n;
};

/**
 * handover_of - what another process needs to read @ram
 * @ret: to be given back with handover_free(), whatever came back; @ram must outlive it
 *
 * Return: 0, -ELOOP (too many files), -ENOTSUP (memory that cannot be handed over), -ENOMEM.
 */
nodiscard int handover_of(struct ram *ram, struct handover *ret, struct err *err);
void handover_free(struct handover *handover);

/**
 * handover_take - the other side
 * @text:    what handover->text had
 * @fds:     become the result's on success
 * @starter: asked for what only the first process can read; NULL: it cannot be asked
 *
 * An image is looked into only here: what is wrong with it is told as by image_open().
 *
 * Return: 0, -EBADMSG (not from handover_of()), -ENOMEM, or as image_open().
 */
nodiscard int handover_take(const void *text, size_t size_bytes, const int *fds, size_t fds_n,
			    const struct memory_elsewhere *starter, struct ram **ret,
			    struct err *err);

/* --- for backends --- */

/* Which backend reads it. */
enum handover_kind {
	HANDOVER_QEMU = 1,
	HANDOVER_IMAGE,
	HANDOVER_SERVED,
};

/* One more descriptor. Return: its place, -ELOOP. */
nodiscard int handover_add(struct handover *handover, int fd, struct err *err);

/* What is left of the text, and the descriptors, which become @ret's on success. */
nodiscard int qemu_take(struct bytes *text, const int *fds, size_t fds_n, struct ram **ret,
			struct err *err);
nodiscard int image_take(struct bytes *text, const int *fds, size_t fds_n, struct ram **ret,
			 struct err *err);
nodiscard int served_take(struct bytes *text, const int *fds, size_t fds_n,
			  const struct memory_elsewhere *starter, struct ram **ret,
			  struct err *err);

/* What served_take() takes, of memory with the operation "fetch". */
nodiscard int served_hand_over(struct ram *ram, struct handover *to, struct err *err);

#endif
