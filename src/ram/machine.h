/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_RAM_MACHINE_H
#define HVSM_RAM_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/*
 * Which machine frame is behind each frame of a paravirtual guest of Xen, and the way back.
 *
 * Such a guest knows two kinds of physical addresses: its own, which begin at 0 and which all but
 * its page tables are about, and those of the machine, which its page tables hold. Everywhere in
 * hvsm a gpa is of the first kind; the second one appears where an entry of a page table is read,
 * and only there (guest/paging.c).
 *
 * What a frame leads to is the guest's own word (its p2m), so this is no more than a choice of
 * names for the frames that it has: Xen maps for us none that is not the domain's. And the way back
 * is made from the way there: what page tables lead to is always read from the very frame that the
 * processor takes, whatever the guest calls it.
 *
 * The table lies in a memfd, which the process that reads the p2m alone can write: another one,
 * that parses the guest's memory, has it as well (handover.h).
 */
struct machine;

/* In place of a frame's number: nothing of its own is there. */
#define MACHINE_NONE UINT32_MAX

/*
 * A machine address that is none of the guest's frames has this bit as a gpa; no RAM lies there.
 * Page tables lead so to what others have granted it, to devices, and to Xen's own pages.
 */
#define MACHINE_FOREIGN (1ull << 51)

/**
 * machine_new - for the process that knows
 * @frames_n: the guest's frames are 0 to @frames_n; 1..MACHINE_FRAMES_MAX. None is there yet.
 *
 * Return: 0, -EINVAL, -ENOMEM, or another errno (no memfd, no seals: Linux before 5.1).
 */
nodiscard int machine_new(uint32_t frames_n, struct machine **ret, struct err *err);

/* The same, for nobody else: no descriptor, no system call but those of malloc(). */
nodiscard int machine_own(uint32_t frames_n, struct machine **ret, struct err *err);

/**
 * machine_take - for the one that is told
 * @fd: of machine_fd() in the other process; stays the caller's, who can close it
 *
 * Return: 0, -EBADMSG (no such table), -ENOMEM, or another errno.
 */
nodiscard int machine_take(int fd, struct machine **ret, struct err *err);

/* NULL is fine. */
void machine_free(struct machine *machine);

/* To be handed over; -1: of machine_own(). */
int machine_fd(const struct machine *machine);

uint32_t machine_frames_n(const struct machine *machine);

/**
 * machine_set - the whole table anew; for who made it with machine_new() or machine_own()
 * @frames: machine_frames_n() machine frames, or MACHINE_NONE. Where several frames lead to one
 *          machine frame, it is the first one's.
 *
 * Return: whether anything changed.
 */
bool machine_set(struct machine *machine, const uint32_t *frames);

/* The machine frame behind a frame of the guest, or MACHINE_NONE. */
uint32_t machine_of(const struct machine *machine, uint64_t frame);

/* What a machine address is to the guest: a gpa in its RAM, or one with MACHINE_FOREIGN. */
gpa machine_to_guest(struct machine *machine, uint64_t address);

#endif
