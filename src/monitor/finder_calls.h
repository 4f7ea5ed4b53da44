/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_MONITOR_FINDER_CALLS_H
#define HVSM_MONITOR_FINDER_CALLS_H

#include "base/err.h"

/* For finder_role.c only. */

/**
 * finder_calls_load - from now on the process reads and writes files, and does little else
 *
 * It is root still, and whoever is may connect to systemd, libvirt or D-Bus, or signal its
 * processes: there is no socket but the one that it has, and no other process. A system call that
 * is not on the list fails (EPERM). Sets no_new_privs. Return: 0, or a negative errno.
 */
nodiscard int finder_calls_load(struct err *err);

#endif
