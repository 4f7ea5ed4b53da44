/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_RAM_QEMU_H
#define HVSM_RAM_QEMU_H

#include <sys/types.h>

#include "ram/proc.h"
#include "ram/qemu_args.h"
#include "ram/qmp.h"
#include "ram/ram.h"

/*
 * RAM of a running, unmodified QEMU, read from its process.
 *
 * Reading leaves no trace in it. Private memory is read only where /proc/PID/pagemap says that
 * a page is there (anything else reads as zeros, or from the file below it), shared memory with
 * pread() from its file, where a hole is no page either. So neither the guest nor QEMU grows.
 * The one exception are pages that the host has swapped out: reading brings them back, as the
 * guest's own access would; to pass them over would make a guest's memory unreadable.
 *
 * No vCPU is ever stopped. What the guest writes meanwhile may be seen or not.
 */

/**
 * qemu_open - attach to the process @pid
 *
 * The layout is asked for at a QMP socket that the command line names and that is free; where
 * there is none, it comes from the type of the machine, and every block of RAM must be found in
 * the process with just that size. ram->layout tells which.
 *
 * Return: 0, -ESRCH (no such process, or not QEMU), -EACCES (no permission; says what to do),
 *         -ENOTSUP (other architecture, confidential guest, unknown machine), -ENOENT (its RAM
 *         was not found), -EBADMSG (ambiguous), -ESTALE (just being migrated to this host),
 *         -ENOMEM, or another errno.
 *
 * Not noticed: memory that is plugged in later (ram->outside tells that something is there:
 * attach again), and a migration by postcopy that begins later.
 */
nodiscard int qemu_open(pid_t pid, struct ram **ret, struct err *err);

/**
 * qemu_open_qmp - attach to the process that listens at a QMP socket
 * @pid: receives its PID; may be NULL
 *
 * Return: as qemu_open(); and errors of the socket, for this one must answer.
 */
nodiscard int qemu_open_qmp(const char *path, struct ram **ret, pid_t *pid, struct err *err);

/**
 * qemu_read_registers - what the vCPUs' registers hold now
 * @ram: receives them (ram_set_registers())
 *
 * QEMU stops each vCPU for that, some tenths of a millisecond, which the guest can notice:
 * only where a person asked for it.
 *
 * Return: 0, -ENOENT (it has no QMP socket), -ETIMEDOUT (that serves somebody else), -EBADMSG,
 *         -ESRCH, -ENOMEM, or another errno of the socket.
 */
nodiscard int qemu_read_registers(pid_t pid, struct ram *ram, struct err *err);

/**
 * qemu_monitor - talk to a QEMU at one of its QMP sockets
 * @uuid:      that its command line must have; NULL: that it must not have. Else the PID is
 *             another guest's by now.
 * @answer_ms: how long to wait for each answer
 *
 * Return: 0 (qmp_close()); as qemu_read_registers() otherwise.
 */
nodiscard int qemu_monitor(pid_t pid, const char *uuid, int answer_ms, struct qmp **ret,
			   struct err *err);

/**
 * qemu_describe - read a process's command line
 * @args: to be freed with qemu_args_free() on success
 *
 * Needs no permission but to see the process.
 *
 * Return: 0; -ESRCH (gone, or not QEMU); -ENOTSUP (a QEMU for another architecture); -EACCES,
 *         -EBADMSG, -ENOMEM.
 */
nodiscard int qemu_describe(const struct proc *proc, struct qemu_args *args, struct err *err);

/* Can a guest like that be read at all? 0, or -ENOTSUP with the reason. */
nodiscard int qemu_supported(const struct qemu_args *args, struct err *err);

/**
 * qemu_areas - a number that changes where the process gets or loses memory as large as RAM is
 *
 * Return: 0, -ESRCH, -EACCES, -ENOMEM, or as maps_parse().
 */
nodiscard int qemu_areas(pid_t pid, uint64_t *ret, struct err *err);

#endif
