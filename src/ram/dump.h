/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_RAM_DUMP_H
#define HVSM_RAM_DUMP_H

#include "ram/ram.h"

/**
 * ram_dump - write a guest's memory, as image_open() reads it
 * @fd: an empty file; where it is not complete it has no ELF header
 *
 * An ELF core as QEMU writes it: what is there in PT_LOADs, by guest-physical address, and the
 * registers that are known (ram_set_registers()) in notes. image_open() reads up to
 * RAM_RANGES_MAX pieces of memory; it may be in more. What cannot be read, as what the
 * balloon has taken, is in none: it is not said to be zeros. A guest that runs meanwhile is not
 * of one instant.
 *
 * Of a PV guest of Xen it is a core as xl dump-core writes it, which says the machine frame
 * of each page; of the vCPUs it has where Xen enters the kernel, and no general registers.
 *
 * Return: 0, -ELOOP (over IMAGE_HEADERS_MAX runs), -ESRCH,
 *         -ENOMEM, or an errno of reading or writing.
 */
nodiscard int ram_dump(struct ram *ram, int fd, struct err *err);

#endif
