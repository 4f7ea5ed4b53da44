/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_RAM_XEN_GUESTS_H
#define HVSM_RAM_XEN_GUESTS_H

#include "ram/guests.h"

/**
 * xen_guests_find - add the domains of this host
 * @guests: they come behind those that are there
 * @err:    never NULL
 *
 * Our own domain is among them, as one that cannot be attached. Where this host does not run
 * on Xen, none is found, and no library is loaded; where it is no dom0 and may not ask, none is
 * found either.
 *
 * Return: 0, -ENOTSUP (Xen's libraries are missing), -EACCES, -ENOMEM, or another errno.
 */
nodiscard int xen_guests_find(struct guests *guests, struct err *err);

/**
 * xen_guests_resolve - open a domain by its number, name or UUID
 * @name: digits alone are a number
 *
 * Return: as guests_resolve().
 */
nodiscard int xen_guests_resolve(const char *name, struct guest *guest, struct ram **ram,
				 struct err *err);

#endif
