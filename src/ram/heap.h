/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_RAM_HEAP_H
#define HVSM_RAM_HEAP_H

#include "ram/layout.h"
#include "ram/maps.h"
#include "ram/ram.h"
#include "ram/remote.h"

/*
 * What QEMU's own tables say, found in its heap where no monitor can be asked. No guest makes
 * these tables, but it can leave bytes of its own in that heap (in packets, for example). So a
 * match proves nothing by itself: it decides between answers that are possible, and two
 * different matches are as good as none.
 */

/**
 * heap_find_block - which area of memory has the block called @name?
 * @hosts: where it may begin, ascending; @n > 0
 *
 * By struct RAMBlock (include/exec/ramblock.h of QEMU): host, …, used_length, …, idstr.
 *
 * Return: 0, -ENOENT (nothing found, or too much), -ENOMEM, or an errno of reading.
 */
nodiscard int heap_find_block(struct remote *remote, const struct maps *maps, const char *name,
			      uint64_t size_bytes, const uint64_t *hosts, size_t n,
			      uint64_t *host, struct err *err);

/**
 * heap_find_split - where does QEMU tell the guest that its RAM is?
 * @ram_bytes: of all RAM
 * @ranges:    what is expected, the second one empty where there is none; may receive another
 *             answer
 *
 * By its e820 table (hw/i386/e820_memory_layout.h), where the two ranges follow each other.
 *
 * Return: 1 (as expected), 2 (only another, which @ranges receives), -ENOENT (nothing, or
 *         too much), -ENOMEM, or an errno of reading.
 */
nodiscard int heap_find_split(struct remote *remote, const struct maps *maps, uint64_t ram_bytes,
			      struct ram_range ranges[2], struct err *err);

/**
 * heap_find_devices - what is plugged in beside the machine's own RAM, and where the guest sees it
 * @room:   where that may be
 * @layout: the machine's own pieces, with their places; receives the others, and is sorted
 *
 * By struct RAMBlock, whose mr leads to the struct FlatRange (softmmu/memory.c of QEMU; two
 * words and two of 16 bytes since 2.5) that say where it is mapped. That these structs are
 * what they are taken for is seen from the machine's own RAM, which is where it is known to be.
 *
 * Return: 1 (these are all), 0 (there may be others), -ENOMEM, or an errno of reading.
 */
nodiscard int heap_find_devices(struct remote *remote, const struct maps *maps,
				const struct ram_range *room, struct ram_layout *layout,
				struct err *err);

/* What is searched for is smaller. */
#define HEAP_OVERLAP_BYTES 512u

/* Looks at @n bytes of the heap, of which the last HEAP_OVERLAP_BYTES come again. */
typedef void heap_look_fn(void *ctx, const uint8_t *bytes, size_t n);

/**
 * heap_scan - show the heap to @look, piece by piece
 * @threads: instead of it, those of threads
 *
 * Return: 0, -ELOOP (HEAP_SCAN_MAX or HEAP_THREADS_SCAN_MAX: not all of it), -ENOMEM, or an
 *         errno of reading.
 */
nodiscard int heap_scan(struct remote *remote, const struct maps *maps, bool threads,
			heap_look_fn *look, void *ctx, struct err *err);

#endif
