/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_RAM_HEAP_H
#define HVSM_RAM_HEAP_H

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

#endif
