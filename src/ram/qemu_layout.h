/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_RAM_QEMU_LAYOUT_H
#define HVSM_RAM_QEMU_LAYOUT_H

#include "ram/layout.h"
#include "ram/maps.h"
#include "ram/qmp.h"
#include "ram/remote.h"

/**
 * qemu_find_layout - where a QEMU has its guest's RAM
 * @qmp: its monitor; NULL: as the command line names it, or without one
 * @ram: receives the words for where the answer is from, the room for more, and whether there may
 *       be something in it that was not found
 *
 * Return: 0, -ENOTSUP (a machine that is not known), -EBADMSG (what is said does not fit the
 *         process), -ENOMEM, or an error of qmp_human(). Free with layout_free(), also after a
 *         failure.
 */
nodiscard int qemu_find_layout(struct remote *remote, const struct qemu_args *args,
			       const struct maps *maps, struct qmp *qmp, struct ram *ram,
			       struct ram_layout *layout, struct err *err);

/**
 * qemu_open_monitor - a QMP socket as the command line names it
 *
 * Return: as qmp_open(); -ESRCH (another process listens there), or an errno of proc_path().
 */
nodiscard int qemu_open_monitor(const struct proc *proc, const char *path, int answer_ms,
				struct qmp **ret, struct err *err);

#endif
