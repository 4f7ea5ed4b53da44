/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_LINUX_VMAP_H
#define HVSM_LINUX_VMAP_H

#include "guest/list.h"
#include "linux/kernel.h"

/*
 * The kernel's own account of its virtual memory areas (mm/vmalloc.c): modules, BPF,
 * trampolines and thread stacks are such areas.
 */
struct vmap_area {
	gva start;
	uint64_t size_bytes;	/* a guard page at the end included, where it has one */
	uint64_t pages;		/* that back it, as the kernel says; 0 where that is unknown */
	gva caller;		/* code that asked for it; 0 where that is unknown */
};

/**
 * vmap_at - the area that holds an address
 * Return: 0, -ENOENT (there is none), -ENOTSUP (no account of areas that hvsm knows),
 *         -EBADMSG, -ELOOP, or an error of view_read().
 */
nodiscard int vmap_at(const struct kernel *kernel, struct view *view, gva at,
		      struct vmap_area *ret, struct err *err);

/**
 * vmap_walk - every area that is in use, in no order
 * @visit: gets start and size only: what else there is costs further reads
 *
 * Return: 0, -ENOTSUP (as above), or as list_walk().
 */
typedef int vmap_fn(const struct vmap_area *area, void *ctx, struct err *err);
nodiscard int vmap_walk(const struct kernel *kernel, struct view *view, vmap_fn *visit,
			void *ctx, struct err *err);

#endif
