/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_RAM_XEN_MONITOR_H
#define HVSM_RAM_XEN_MONITOR_H

#include "ram/xen_host.h"

/*
 * What Xen tells of a PVH or HVM domain as it happens (docs/xen.md): that a vCPU changes what
 * protects its kernel in CR0 or CR4. It goes through the domain's monitor ring, which one program
 * may have. vCPUs do not wait for an answer, but for room in the ring, which has some 8 places:
 * who holds a ring must read it, and give it back whatever happens. A ring whose holder died stays
 * with the domain until xen_monitor_release(), and its vCPUs stand still once it is full.
 *
 * Only Xen writes to the ring: its page is taken out of the guest's memory.
 */
struct xen_monitor;

/* A vCPU has changed such a bit. */
struct xen_write {
	uint32_t vcpu;
	uint32_t reg;		/* 0: CR0; 4: CR4 */
	uint64_t before, after;
};

/* What Linux pins (arch/x86/kernel/cpu/common.c): WP; UMIP, FSGSBASE, SMEP, SMAP, CET. */
#define XEN_CR0_TOLD (1ull << 16)
#define XEN_CR4_TOLD (1ull << 11 | 1ull << 16 | 1ull << 20 | 1ull << 21 | 1ull << 23)

/**
 * xen_monitor_open - have it told
 * @events: of xen_libs' events_open(), for all domains; outlives it, as @host does
 *
 * Xen pauses the domain for it, for a moment.
 *
 * Return: 0, -ENOTSUP (a PV domain, no libxenctrl, a CPU or Xen that cannot), -EBUSY (another
 *         program has the ring), -ENOMEM, or an errno of the hypervisor.
 */
nodiscard int xen_monitor_open(const struct xen_host *host, xenevtchn_handle *events,
			       uint16_t id, struct xen_monitor **ret, struct err *err);

/* The ring is the domain's again, and nothing is told any more. Of NULL: nothing. */
void xen_monitor_close(struct xen_monitor **monitor);

/* The port that events_pending() names when something is there. */
evtchn_port_t xen_monitor_port(const struct xen_monitor *monitor);

/**
 * xen_monitor_next - what was told next
 * Never waits, and gives its place back. Return: 1 and *@ret; 0: nothing more.
 */
nodiscard int xen_monitor_next(struct xen_monitor *monitor, struct xen_write *ret);

/* Has anybody the ring of a domain? */
bool xen_monitor_is_taken(const struct xen_host *host, uint16_t id);

/* Whoever had it has it no more; who waits for room in it goes on. 0, or an errno. */
nodiscard int xen_monitor_release(const struct xen_host *host, uint16_t id, struct err *err);

#endif
