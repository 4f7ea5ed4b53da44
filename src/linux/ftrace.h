/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_LINUX_FTRACE_H
#define HVSM_LINUX_FTRACE_H

#include "base/vec.h"
#include "linux/kernel.h"

/*
 * The kernel's own record of each place where ftrace may be called: what the linker wrote down
 * of them is gone after boot (kernel/trace/ftrace.c, struct ftrace_page, struct dyn_ftrace).
 */
struct ftrace_site {
	gva at;
	uint32_t users;		/* that want to be called there; 0: nobody, it is a NOP */
	bool called;		/* its code has been made a call */
};

struct ftrace_sites {
	VEC(struct ftrace_site) list;	/* by address */
};

/**
 * ftrace_sites_read - all of them, those of modules included
 * @ret: zeroed; give it to ftrace_sites_free() whatever came back
 *
 * Return: 0 (a kernel without dynamic ftrace has none), -ENOENT (types that are not known),
 *         -ELOOP, -EBADMSG, -ENOMEM, or as view_read().
 */
nodiscard int ftrace_sites_read(const struct kernel *kernel, struct view *view,
				struct ftrace_sites *ret, struct err *err);

void ftrace_sites_free(struct ftrace_sites *sites);

/* The first site at or behind @at; @sites->list.n: there is none. */
size_t ftrace_sites_from(const struct ftrace_sites *sites, gva at);

/* The site at @at, or NULL. */
const struct ftrace_site *ftrace_sites_find(const struct ftrace_sites *sites, gva at);

#endif
