/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_RAM_GUESTS_H
#define HVSM_RAM_GUESTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/vec.h"
#include "ram/ram.h"

/*
 * A guest as its host knows it. The strings are malloc()ed, NULL where there is nothing to
 * say, and the words of whoever started it: escape them at output.
 */
struct guest {
	pid_t pid;		/* of its QEMU; 0: a memory image */
	char *name;		/* -name; or else "qemu-PID", the file's name; never NULL */
	char *uuid;
	char *target;		/* what names it on the command line: "qemu:4711"; never NULL */
	char *hypervisor;	/* "QEMU (kvm)", "memory image"; never NULL */
	char *machine;		/* "pc-q35-7.2" */
	char *accel;		/* "kvm", "tcg" */
	char *qmp;		/* path of its QMP socket, as QEMU was given it */
	uint64_t memory_bytes;	/* as configured, without memory devices */
	unsigned vcpus;
	bool stopped;		/* started with -S */
	struct err why_not;	/* code 0: it can be attached; else why it cannot */
};

struct guests {
	VEC(struct guest) list;
};

/**
 * guests_find - every QEMU guest on this host, whoever started it, by PID
 *
 * Reads /proc only: no library of libvirt, no socket is touched. Processes that the host hides
 * from us (hidepid=) are not seen.
 *
 * Return: 0, -ENOMEM, or an errno of /proc. Free with guests_free() on success.
 */
nodiscard int guests_find(struct guests *guests, struct err *err);
void guests_free(struct guests *guests);

/**
 * guests_resolve - open what a person calls a guest
 * @target: "qemu:PID", "qmp:SOCKET", "libvirt:NAME" or "libvirt:UUID", "image:FILE"; the name
 *          or UUID of a guest that guests_find() sees; or the path of a file or a QMP socket
 * @guest:  receives who it is; free with guest_free() on success
 * @ram:    receives its memory; close with ram_close()
 *
 * Return: 0, or what qemu_open() and image_open() return; -ENOENT (no such guest), -ENOTUNIQ
 *         (several have that name; the text lists them), -ENOTSUP ("xen:"), -EINVAL.
 */
nodiscard int guests_resolve(const char *target, struct guest *guest, struct ram **ram,
			     struct err *err);
void guest_free(struct guest *guest);

/**
 * guests_resolve_unread - the same, for whoever hands the memory over (handover.h)
 * An image is opened, and not read: @ram has no ranges then, and the guest no size.
 */
nodiscard int guests_resolve_unread(const char *target, struct guest *guest, struct ram **ram,
				    struct err *err);

#endif
