/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_RAM_XEN_P2M_H
#define HVSM_RAM_XEN_P2M_H

#include <stdint.h>

#include "base/err.h"

/*
 * The p2m of a paravirtual guest of Xen: its own list of the machine frame behind each of its
 * frames, as it shows it to the host's tools (struct arch_shared_info of Xen's public headers).
 * Either a table of three levels, or a list at an address in the guest's own page tables.
 *
 * All of that is the guest's word. What is done with it is no more than to copy numbers of 8
 * bytes, from at most as many pages as the frames that are asked for can fill.
 */

/* A way to read machine frames of the guest. */
struct p2m_source {
	/*
	 * Copy @n frames, 1..P2M_BATCH, to @pages; @there says which could be read: none that
	 * is not the guest's. 0, or an error that ends it.
	 */
	int (*read)(void *ctx, const uint64_t *frames, uint32_t n, uint8_t *pages, bool *there,
		    struct err *err);
	void *ctx;
};

#define P2M_BATCH 64u

/**
 * p2m_size - how many frames the guest says that it has
 * @shared: the machine frame of its shared_info page, as Xen knows it
 * Return: 0, -EAGAIN (it has not said yet: it boots), -EFAULT, or an error of @source.
 */
nodiscard int p2m_size(const struct p2m_source *source, uint64_t shared, uint64_t *ret,
		       struct err *err);

/**
 * p2m_read - the machine frame of each
 * @to: receives @n of them, of frame 0 on; MACHINE_NONE (machine.h) for each that is not there
 *      or not the guest's own (granted by another, a device's)
 *
 * Return: 0, -EAGAIN (it has none yet), -EBADMSG (it is damaged), -ESTALE (it was changed all the
 *         time), -ENOMEM, or an error of @source.
 */
nodiscard int p2m_read(const struct p2m_source *source, uint64_t shared, uint32_t *to,
		       uint32_t n, struct err *err);

#endif
