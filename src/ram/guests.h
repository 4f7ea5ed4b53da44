/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_RAM_GUESTS_H
#define HVSM_RAM_GUESTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/vec.h"
#include "ram/judged.h"
#include "ram/ram.h"

/*
 * A guest as its host knows it. The strings are malloc()ed, NULL where there is nothing to
 * say, and the words of whoever started it: escape them at output.
 */
struct guest {
	pid_t pid;		/* of its QEMU; 0: a memory image, or a domain of Xen */
	bool xen;		/* a domain of Xen */
	bool self;		/* … the one that this program runs in: none to be watched */
	char *name;		/* or else "qemu-PID", "xen-ID", the file's name; never NULL */
	char *uuid;
	char *target;		/* what names it: "qemu:4711", "xen:3"; never NULL */
	char *hypervisor;	/* "QEMU (kvm)", "Xen (pvh)", "memory image"; never NULL */
	char *machine;		/* "pc-q35-7.2", "pvh" */
	char *accel;		/* "kvm", "tcg", "xen" */
	char *qmp;		/* path of its QMP socket, as QEMU was given it */
	uint64_t memory_bytes;	/* as configured, without memory devices */
	unsigned vcpus;
	bool stopped;		/* started with -S; of Xen: paused, shut down, or dying */
	struct err why_not;	/* code 0: it can be attached; else why it cannot */
};

struct guests {
	VEC(struct guest) list;
	struct err xen;		/* why Xen's domains could not be looked for; code 0: they were */
};

/**
 * guests_find - every guest on this host, whoever started it: QEMU's by PID, Xen's by number
 *
 * Of QEMU, reads /proc only: no library of libvirt, no socket is touched. Processes that the
 * host hides from us (hidepid=) are not seen. Of Xen, where this host runs on it, asks xenstore.
 *
 * Return: 0, -ENOMEM, or an errno of /proc; -EMFILE, -ENFILE: who is there cannot be told without
 *         descriptors. Free with guests_free() on success.
 */
nodiscard int guests_find(struct guests *guests, struct err *err);

/* The same for who looks all the time: @judged has what was learned by earlier looks. */
nodiscard int guests_find_again(struct judged *judged, struct guests *guests, struct err *err);
void guests_free(struct guests *guests);

/**
 * guests_resolve - open what a person calls a guest
 * @target: "qemu:PID", "qmp:SOCKET", "libvirt:NAME" or "libvirt:UUID", "xen:NAME", "xen:UUID" or
 *          "xen:ID", "image:FILE"; the name or UUID of a guest that guests_find() sees; or the
 *          path of a file or a QMP socket
 * @guest:  receives who it is; free with guest_free() on success
 * @ram:    receives its memory; close with ram_close()
 *
 * Return: 0, or what qemu_open(), xen_open() and image_open() return; -ENOENT (no such guest),
 *         -ENOTUNIQ (several have that name; the text lists them), -EINVAL.
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
