/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_RAM_WINDOW_H
#define HVSM_RAM_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Windows on the file behind a guest's RAM: parts of it that are mapped, read only, so that bytes
 * are read where they are. That takes half of the time that pread() takes, which copies page by
 * page (measured: docs/architecture.md).
 *
 * To read a page of a shared mapping that the file has not got puts it there: the guest would grow.
 * And past the end of a file that became shorter there is a SIGBUS. So nothing is read through a
 * window but what mincore() says is in memory, of a memfd of normal pages that nobody can make
 * shorter (memfd_create(2), F_SEAL_SHRINK; QEMU's memory-backend-memfd seals its own), and which
 * everybody may write to, as memfds are made: of other files mincore() tells those only who own
 * them what is there, and everybody else that all is (can_do_mincore() in mm/mincore.c, 5.2).
 * A page that goes between the question and the read comes back, empty: that takes a guest that
 * gives up the page in which its kernel's code is, in these microseconds.
 */
#define WINDOWS_MAX 2u

struct window {
	const uint8_t *map;	/* NULL: none */
	int fd;			/* the caller's */
	uint64_t offset;	/* into the file; a multiple of WINDOW_BYTES */
};

struct windows {
	struct window v[WINDOWS_MAX];
	unsigned next;		/* to be replaced */
	bool refused;		/* a file that cannot be read so: it is not tried again */
};

/* So much at once, so that a kernel's code needs one window or two: addresses are not for free. */
#define WINDOW_BYTES (64ull << 20)

/* At most so much is asked for at once. */
#define WINDOW_PEEK_MAX (256u << 10)

/**
 * windows_peek - bytes of a file where they are
 * @fd:     the same file as long as @windows lives
 * @offset: with @len it lies in the file
 * @len:    1..WINDOW_PEEK_MAX
 *
 * Return: the bytes, until the next call; they may change at any time. NULL: pread() them.
 */
const uint8_t *windows_peek(struct windows *windows, int fd, uint64_t offset, size_t len);

/* Unmaps them all. */
void windows_close(struct windows *windows);

#endif
