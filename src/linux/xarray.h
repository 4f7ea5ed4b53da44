/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_LINUX_XARRAY_H
#define HVSM_LINUX_XARRAY_H

#include "linux/kernel.h"

/*
 * struct xarray: an array of pointers by index, as a tree (include/linux/xarray.h,
 * lib/xarray.c). struct radix_tree_root is the same struct, and struct idr holds one.
 */

/*
 * Called with each entry that is in use. @entry is the pointer as it is stored: for pointers
 * that is the address; a value (xa_mk_value) has its lowest bit set. A negative return ends
 * the walk.
 */
typedef int xarray_fn(uint64_t index, uint64_t entry, void *ctx, struct err *err);

/**
 * xarray_walk - every entry in use, by ascending index
 * @array: guest address of the struct xarray
 * @max:   entries, more are -ELOOP
 *
 * Reserved and retry entries are skipped. An entry that spans several indices is visited once,
 * with the first.
 *
 * Return: 0 (all was seen), what @visit returned, -EBADMSG (the tree contradicts itself; in a
 *         running guest it may be an update in flight), -ELOOP, -ENOENT (types), or an error
 *         as view_read().
 */
nodiscard int xarray_walk(const struct kernel *kernel, struct view *view, gva array,
			  uint32_t max, xarray_fn *visit, void *ctx, struct err *err);

/**
 * xarray_get - one entry
 * @entry: as xarray_fn has it
 * @first: the first index that it stands for: @index, or less where it spans several
 *
 * Return: 0, -ENOENT (nothing is there; or the types), or an error as xarray_walk().
 */
nodiscard int xarray_get(const struct kernel *kernel, struct view *view, gva array,
			 uint64_t index, uint64_t *entry, uint64_t *first, struct err *err);

#endif
