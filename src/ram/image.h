/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_RAM_IMAGE_H
#define HVSM_RAM_IMAGE_H

#include "ram/ram.h"

/**
 * image_open - a file that holds the physical memory of a guest
 *
 * Formats, told by their first bytes:
 *   ELF core  as QEMU's dump-guest-memory, virsh dump --memory-only, or kdump write it
 *   Xen core  as xl dump-core writes it, of PV, PVH and HVM domains, and ram_dump() of PV
 *   LiME      version 1, as the LiME module writes it with format=lime
 *   raw       anything else: byte N of the file is guest-physical address N
 *
 * Compressed and foreign formats are refused by name. Of a truncated file the part that is
 * there can be read, ram->layout says how much is not, and reading beyond is -EFAULT. A file
 * that changes afterwards does no harm. Nothing is allocated by a size that the file claims.
 *
 * Return: 0, -ENOENT, -EACCES, -ENOTSUP (a format that we do not read), -EBADMSG (damaged),
 *         -ELOOP (over RAM_RANGES_MAX), -ENOMEM, or another errno.
 */
nodiscard int image_open(const char *path, struct ram **ret, struct err *err);

/**
 * image_open_unread - the same, but nothing of it is read yet
 * It can only be handed over (handover.h), and is looked into by whoever takes it.
 *
 * Return: 0, -ENOENT, -EACCES, -ENOTSUP (not a file), -ENOMEM, or another errno.
 */
nodiscard int image_open_unread(const char *path, struct ram **ret, struct err *err);

#endif
