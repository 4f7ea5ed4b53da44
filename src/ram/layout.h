/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_RAM_LAYOUT_H
#define HVSM_RAM_LAYOUT_H

#include "base/vec.h"
#include "ram/qemu_args.h"
#include "ram/ram.h"

/*
 * Where a QEMU machine puts its RAM. The machine's own RAM is one run of bytes ("pc.ram"),
 * made of one or more blocks (memory backends); the guest sees it below 4 GiB up to the PCI
 * hole, and the rest from 4 GiB on. DIMMs are blocks of their own.
 *
 * The VGA window and the firmware's shadow (0xa0000-0xfffff) count as RAM: what lies there is
 * the RAM beneath, which is what a guest sees where its chipset does not cover it.
 */
struct piece {
	uint64_t start;		/* guest-physical */
	uint64_t size_bytes;
	uint64_t offset;	/* of @start in the block */
	uint64_t host;		/* host-virtual, in the process; set by place.h */
	char block[64];		/* its name: "pc.ram", "ram-node0" */
};

struct ram_layout {
	VEC(struct piece) pieces;	/* ascending and disjoint */
};

/**
 * layout_of_machine - what the type of machine says
 * @type:         "pc-q35-7.2", "microvm"; NULL: QEMU's default
 * @max_below_4g: the machine's option of that name; 0: not given
 * @ranges:       receives one or two
 * @split:        does the answer depend on the type at all?
 *
 * Facts: pc_init1() of hw/i386/pc_piix.c, pc_q35_init() of hw/i386/pc_q35.c, and
 * microvm_memory_init() of hw/i386/microvm.c (as from QEMU 5.2).
 *
 * Return: how many ranges; -ENOTSUP (not a type that we know), -EBADMSG (not a size of RAM).
 */
nodiscard int layout_of_machine(const char *type, uint64_t ram_bytes, uint64_t max_below_4g,
				struct ram_range ranges[2], bool *split, struct err *err);

/**
 * layout_of_args - the pieces that a command line stands for
 * @ranges: @n ranges that hold the machine's RAM, one after the other
 *
 * Return: 0, -EBADMSG (backends that do not add up), -ENOMEM. Free with layout_free(), also
 *         after a failure.
 */
nodiscard int layout_of_args(const struct qemu_args *args, const struct ram_range *ranges, int n,
			     struct ram_layout *layout, struct err *err);

/**
 * layout_of_mtree - the pieces that "info mtree" of the QEMU monitor shows
 * @text: a string, CR LF or LF; somebody else's words
 *
 * Return: 0, -EBADMSG (not sound), -ENOENT (no RAM in it), -ELOOP (over RAM_RANGES_MAX),
 *         -ENOMEM. Free with layout_free(), also after a failure.
 */
nodiscard int layout_of_mtree(const char *text, struct ram_layout *layout, struct err *err);

void layout_free(struct ram_layout *layout);

/* Give @ram its ranges: pieces that touch make one. Return: as ram_set_ranges(). */
nodiscard int layout_set_ranges(const struct ram_layout *layout, struct ram *ram, struct err *err);

#endif
