/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_RAM_XEN_CONTEXT_H
#define HVSM_RAM_XEN_CONTEXT_H

#include <stdbool.h>
#include <xenctrl.h>

#include "ram/registers.h"

/*
 * A vCPU as Xen's tools are told of it, and as .xen_prstatus of its cores has it: struct
 * vcpu_guest_context of Xen's public headers.
 */

/**
 * xen_context_read - what hvsm knows of a vCPU from it
 * @pv:  of a PV guest: the addresses that it asked Xen to enter it at; else control registers
 * @ret: receives it
 *
 * Return: false where the vCPU is not up: it has none.
 */
bool xen_context_read(const struct vcpu_guest_context *context, bool pv, struct registers *ret);

/* The same, of a PV guest, the other way round; all else is 0. */
void xen_context_write(const struct registers *registers, struct vcpu_guest_context *ret);

#endif
