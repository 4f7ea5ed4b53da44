/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_MONITOR_BOOTED_H
#define HVSM_MONITOR_BOOTED_H

#include "ram/proc.h"
#include "ram/qemu_args.h"

/* The kernel that QEMU was told to boot. Its words, seen from inside of its root. */
struct booted {
	struct proc proc;
	struct qemu_args args;
	int fd;
	char path[64];		/* of the file, for this process; "": there is none */
};

#define BOOTED_NONE ((struct booted){ .proc = PROC_NONE, .fd = -1 })

/* Or nothing: a guest that boots from its disk has none that we could read. */
void booted_find(pid_t pid, struct booted *booted);
void booted_free(struct booted *booted);

#endif
