/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_RAM_PLACE_H
#define HVSM_RAM_PLACE_H

#include "ram/layout.h"
#include "ram/maps.h"
#include "ram/qmp.h"
#include "ram/remote.h"

/*
 * Where the pieces of a layout lie in QEMU's own address space: sets piece.host. Either way
 * the answer is checked against the process's areas: a piece lies in one run of them.
 */

/**
 * place_by_monitor - ask QEMU
 * Return: 0, -EBADMSG (answers that do not fit the process), or an error of qmp_human().
 */
nodiscard int place_by_monitor(struct qmp *qmp, const struct maps *maps, struct ram_layout *layout,
			       struct err *err);

/**
 * place_by_size - find the areas that are as large as the blocks and of their kind
 *
 * Blocks of one size and kind (NUMA nodes) are told apart by QEMU's own list of blocks, in its
 * heap.
 *
 * Return: 0, -ENOENT (no such area), -EBADMSG (several, which cannot be told apart), -ENOMEM.
 */
nodiscard int place_by_size(struct remote *remote, const struct qemu_args *args,
			    const struct maps *maps, struct ram_layout *layout, struct err *err);

#endif
