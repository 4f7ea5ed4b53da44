/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_RAM_WINDOW_H
#define HVSM_RAM_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ram/ram.h"

/*
 * Windows on the file behind a guest's RAM: parts of it that are mapped, read only, so that bytes
 * are read where they are. That takes half of the time that pread() takes, which copies page by
 * page (measured: docs/architecture.md).
 *
 * To read a page of a shared mapping that the file has not got puts it there: the guest would grow.
 * So nothing is read through a window but what mincore() says is in memory, where it tells us the
 * truth: who may not write to a file is told that all is there (can_do_mincore() in mm/mincore.c,
 * 5.2), so it is asked about a place where nothing is. A page that goes between the question and
 * the read, however long that takes, comes back, empty: for that a guest has to give up a page of
 * its kernel's code just then.
 *
 * A read past the end of a file that became shorter, or of a page whose memory is broken, is a
 * SIGBUS. The file is a memfd that nobody can make shorter (memfd_create(2), F_SEAL_SHRINK; QEMU's
 * memory-backend-memfd seals its own), and for what is left there is a handler.
 */
#define WINDOWS_MAX 2u

/* So much at once, so that a kernel's code needs one window or two: addresses are not for free. */
#define WINDOW_BYTES (64ull << 20)

/* At most so much is read at once. */
#define WINDOW_READ_MAX (256u << 10)

struct window {
	const uint8_t *map;	/* NULL: none */
	int fd;			/* the caller's */
	uint64_t offset;	/* into the file; a multiple of WINDOW_BYTES */
	uint64_t end;		/* of the file, which does not get shorter */
};

struct windows {
	struct window v[WINDOWS_MAX];
	unsigned next;		/* to be replaced */
	bool refused;		/* a file that cannot be read so: it is not tried again */
};

/* Handle SIGBUS from now on: before, nothing is read in place. For a process with one thread. */
void windows_catch(void);

/**
 * windows_read - have bytes of a file read where they are
 * @fd:  the same file as long as @windows lives
 * @len: 1..WINDOW_READ_MAX
 *
 * Return: 0; -EAGAIN: pread() them: @reader was not called, or what it made of them does not count.
 */
nodiscard int windows_read(struct windows *windows, int fd, uint64_t offset, size_t len,
			   ram_reader_fn *reader, void *ctx);

/* Unmaps them all. */
void windows_close(struct windows *windows);

#endif
