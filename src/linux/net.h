/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_LINUX_NET_H
#define HVSM_LINUX_NET_H

#include "base/vec.h"
#include "linux/kernel.h"

/* Network namespaces: net_namespace_list (net/core/net_namespace.c). */
struct net {
	gva at;			/* struct net */
	uint32_t inode;		/* as in /proc/PID/ns/net */
};

struct nets {
	VEC(struct net) list;	/* the initial one first */
};

/**
 * nets_read - all of them
 * @ret: zeroed; to be given to nets_free() whatever came back
 *
 * Return: 0, or the first error, with what was found: as list_walk(), -ENOENT (a kernel
 *         without networking), -ENOMEM.
 */
nodiscard int nets_read(const struct kernel *kernel, struct view *view, struct nets *ret,
			struct err *err);

void nets_free(struct nets *nets);

#endif
