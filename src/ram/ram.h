/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_RAM_RAM_H
#define HVSM_RAM_RAM_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "ram/registers.h"

/*
 * The physical memory of one guest, read only. One struct in front of every way to reach it:
 * a running QEMU (qemu.h), a domain of Xen (xen.h), a memory image (image.h), bytes in our own
 * memory (fake.h).
 *
 * A backend never writes, never stops a vCPU, and never makes the guest or its hypervisor's
 * process grow: a hole in a shared backend reads as zeros without being allocated.
 */
struct ram;
struct handover;	/* handover.h */
struct served_buffer;	/* served.h */
struct machine;		/* machine.h */

/*
 * Reads bytes of a guest where they lie. They change meanwhile, and may be anything: each is to be
 * read once, and not believed.
 */
typedef void ram_reader_fn(const uint8_t *bytes, size_t len, void *ctx);

/* One run of guest-physical addresses behind which there is RAM. */
struct ram_range {
	gpa start;		/* page aligned */
	uint64_t size_bytes;	/* > 0, a multiple of the page size */
};

/* What a backend is made of. Embed struct ram as the first member. */
struct ram_ops {
	const char *name;	/* "qemu", "xen", "image", "fake" */

	/*
	 * Copy @len bytes (> 0, inside range @range) that start @offset bytes into it.
	 * 0, -EFAULT (not readable just now), -ESRCH (the guest is gone), -EIO.
	 */
	int (*read)(struct ram *ram, size_t range, uint64_t offset, void *buf, size_t len,
		    struct err *err);

	/*
	 * Have @reader read @len bytes (> 0, inside range @range) where they lie. NULL: never so.
	 * 0; -EAGAIN: they have to be copied.
	 */
	int (*read_in_place)(struct ram *ram, size_t range, uint64_t offset, size_t len,
			     ram_reader_fn *reader, void *ctx);

	/*
	 * The first populated run of range @range at or after @offset: what was never
	 * touched reads as zero and need not be searched. NULL: all is populated.
	 * 0, -ENOENT (none follows), or an error. @len ≥ 1 on success.
	 */
	int (*populated)(struct ram *ram, size_t range, uint64_t offset, uint64_t *start,
			 uint64_t *len, struct err *err);

	/* 0 while the guest is there; -ESRCH when it ended. NULL: an image, no live guest. */
	int (*alive)(struct ram *ram, struct err *err);

	/* What another process needs to read the same: see handover.h. NULL: see fetch. */
	int (*hand_over)(struct ram *ram, struct handover *to, struct err *err);

	/*
	 * For memory that takes rights to read which nobody else shall have (served.h): copy
	 * frames @first to @first + @n, 1..FETCH_FRAMES_MAX, all in RAM, to @to, and hold
	 * nothing of them afterwards. Bit i of @there: frame @first + i was there; what is
	 * copied for one that was not is undefined. NULL: hand_over is there, or neither.
	 * 0, -ESRCH, -EIO.
	 */
	int (*fetch)(struct ram *ram, uint64_t first, uint32_t n, uint8_t *to, uint64_t *there,
		     struct err *err);

	/*
	 * Read the registers of the vCPUs again, for ram_set_registers(), which no guest can
	 * notice. NULL: they cannot be had like that.
	 */
	int (*registers)(struct ram *ram, struct err *err);

	/*
	 * What is read next is of a new instant: learn anew which machine frames there are. NULL:
	 * they cannot change. 0, -ESRCH, -EBADMSG, -ESTALE, -EIO.
	 */
	int (*renew)(struct ram *ram, struct err *err);

	/* Let go of what is held of the guest; the next read takes it again. NULL: nothing is. */
	void (*rest)(struct ram *ram);

	void (*close)(struct ram *ram);	/* frees the backend and the struct */
};

struct ram {
	const struct ram_ops *ops;
	struct ram_range *ranges;	/* sorted by start, disjoint; freed by ram_close() */
	size_t ranges_n;
	struct registers *cpus;	/* see ram_set_registers(); freed by ram_close() */
	size_t cpus_n;		/* 0: nothing is known of them */
	struct machine *machine; /* page tables hold machine addresses; freed, too; NULL: no */
	struct served_buffer *buffer;	/* see served.h; freed by ram_close(); NULL: none */
	char layout[192];	/* where the ranges come from, for a person; not escaped */
	uint64_t reads;		/* calls into the backend since it was opened */
	uint64_t read_bytes;
	uint64_t outside;	/* reads where it has no RAM, as far as its layout is known */
	struct ram_range room;	/* where memory may be plugged in; size 0: nowhere */
	bool unsure;		/* there may be some in it that @ranges lack */
	uint64_t in_room;	/* reads there, of what @ranges lack */
	uint64_t places;	/* another number where the memory lies elsewhere on the host */
};

/**
 * ram_read - copy guest-physical memory to the host
 * @at:  first byte
 * @buf: host buffer of @len bytes; contents undefined on failure
 * @len: > 0; may span ranges that touch
 *
 * Return: 0, -EFAULT (no RAM there, or it cannot be read just now), -ESRCH, -EIO, -EINVAL.
 */
nodiscard int ram_read(struct ram *ram, gpa at, void *buf, size_t len, struct err *err);

/**
 * ram_read_in_place - guest-physical memory where it lies, where that is quicker than a copy
 * @len:    > 0
 * @reader: called once with the bytes, or not at all
 *
 * The guest may change them at any time, so what is read twice may be two things: for what
 * believes it nothing, such as a hash. Nothing is read so before windows_catch() (ram/window.h).
 *
 * Return: 0; -EAGAIN: ram_read() it; what @reader made of it, if it was called, does not count.
 */
nodiscard int ram_read_in_place(struct ram *ram, gpa at, size_t len, ram_reader_fn *reader,
				void *ctx);

/**
 * ram_populated - next run of memory that may hold something other than zeros
 * @from:  search from here on
 * @start: receives where the run begins, @from or later
 * @len:   receives its length in bytes, > 0
 *
 * Return: 0, -ENOENT (no more), or an error of the backend.
 */
nodiscard int ram_populated(struct ram *ram, gpa from, gpa *start, uint64_t *len,
			    struct err *err);

/* Does [@at, @at + @len) lie wholly in RAM? */
bool ram_has(const struct ram *ram, gpa at, uint64_t len);

/* The sum of all ranges. */
uint64_t ram_bytes(const struct ram *ram);

/* Can the memory change while it is read? Not that of an image. */
bool ram_is_live(const struct ram *ram);

/* 0, or -ESRCH when the guest ended. */
nodiscard int ram_alive(struct ram *ram, struct err *err);

/**
 * ram_set_ranges - give a backend its layout; for backends only
 * @ranges: copied; in any order
 *
 * Return: 0, -EBADMSG (overlap, unaligned, empty, too many), -ENOMEM.
 */
nodiscard int ram_set_ranges(struct ram *ram, const struct ram_range *ranges, size_t n,
			     struct err *err);

/**
 * ram_set_registers - what is known of the vCPUs besides memory
 * @cpus: copied; replaces what was known. They are of the instant at which they were read.
 *
 * Return: 0, -ENOMEM.
 */
nodiscard int ram_set_registers(struct ram *ram, const struct registers *cpus, size_t n,
				struct err *err);

/**
 * ram_read_registers - what the vCPUs' registers hold now, where reading them disturbs nobody
 *
 * Where they can be read but were not, none are known afterwards: old ones must not be judged.
 *
 * Return: 0 (also where the backend cannot read them: what was known stays), or an error of
 *         the backend.
 */
nodiscard int ram_read_registers(struct ram *ram, struct err *err);

/* Is it a paravirtual guest of Xen (machine.h)? */
bool ram_is_pv(const struct ram *ram);

/**
 * ram_of_table - what an address in a page table is to the guest
 *
 * For all guests but the paravirtual ones of Xen that is the same number (machine.h).
 */
gpa ram_of_table(struct ram *ram, uint64_t address);

/* Nothing is read for a while: let go of what is held of the guest. */
void ram_rest(struct ram *ram);

/* Ends the access; *@ram becomes NULL. NULL is fine. */
void ram_close(struct ram **ram);

#endif
