/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_RAM_XEN_H
#define HVSM_RAM_XEN_H

#include "ram/ram.h"
#include "ram/xen_libs.h"

/*
 * RAM of a domain, mapped from outside, read only.
 *
 * Guest frames are mapped in windows of XEN_WINDOW_FRAMES, a few at a time and for XEN_HELD_MS
 * at most: a frame that the guest gives back meanwhile stays what it was until then, and a
 * domain that is destroyed cannot go before its last frame is let go. ram_rest() lets go of all
 * at once; who waits between two sweeps calls it.
 *
 * RAM is what lies below the domain's hole for devices or from 4 GiB on; a frame in it that is
 * not there (given back by the balloon, the VGA window) is -EFAULT for that page alone.
 *
 * A PV guest's frames are those that its p2m lists (machine.h, xen_p2m.h), which is read anew
 * before registers are, and after ram_rest(): one list for all that is read between two of them. A
 * frame may lead to where it led before, which is memory of the same guest, or none. That needs
 * libxenctrl.
 *
 * The descriptor that maps it can do more than read, so it is never handed over: another process
 * is served (served.h).
 *
 * The registers of its vCPUs can be read, where libxenctrl is there (ram_read_registers()).
 */

/**
 * xen_open - attach to a domain
 * @libs: must outlive it
 * @id:   its number
 *
 * Nothing of the guest is stopped or changed. A domain with memory that is populated on demand
 * is refused for as long as Xen has not a page at hand for each that was promised
 * (xen_domain_owed()): to map one that it has not is the end of the guest.
 *
 * Return: 0, -ESRCH (no such domain), -EACCES, -ENOTSUP (our own, populated on demand,
 *         PV without libxenctrl), -ENOENT (it has no memory yet), -ELOOP, -ENOMEM, or another
 *         errno.
 */
nodiscard int xen_open(const struct xen_libs *libs, uint16_t id, struct ram **ret,
		       struct err *err);

#endif
