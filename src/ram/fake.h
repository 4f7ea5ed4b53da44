/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_RAM_FAKE_H
#define HVSM_RAM_FAKE_H

#include "ram/ram.h"

/**
 * fake_open - a guest out of bytes in our own memory, for tests and fuzzing
 * @ranges: its layout
 * @bytes:  one host buffer per range, of that range's size; NULL for a range that faults.
 *          They stay the caller's and must outlive the guest.
 *
 * Return: 0, -EBADMSG (bad layout), -ENOMEM.
 */
nodiscard int fake_open(const struct ram_range *ranges, void *const *bytes, size_t n,
			struct ram **ret, struct err *err);

/* Let the @nth read from now on (1 = the next), and all after it, fail; 0: none. */
void fake_fail_after(struct ram *ram, uint64_t nth);

#endif
