/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_LINUX_E820_H
#define HVSM_LINUX_E820_H

#include "linux/kernel.h"

/**
 * e820_check - does the guest see its RAM where we read it?
 *
 * Where no monitor socket told the layout, it was worked out from the type of the machine.
 * The map that the firmware gave to the kernel (e820_table_firmware, arch/x86/kernel/e820.c)
 * tells whether that was right: every RAM entry must lie in our ranges, and every range of
 * ours must hold one.
 *
 * Return: 0 (they agree), -EBADMSG (they do not; the text says where), -ENOENT (this kernel
 *         keeps no such map), or an error as view_read().
 */
nodiscard int e820_check(const struct kernel *kernel, struct view *view, struct err *err);

#endif
