/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_LINUX_ANCHOR_H
#define HVSM_LINUX_ANCHOR_H

#include "guest/view.h"

/*
 * Where a Linux kernel lies, from page tables alone: no symbol, no register, no guess at the
 * version. Nothing here is trusted yet; kernel_open() checks it against what the image says.
 */
struct anchor {
	gva text;		/* where the image is mapped: _text */
	gpa image;		/* where it lies: 2 MiB aligned */
	uint64_t size_bytes;	/* mapped from there on, contiguously */
	uint8_t levels;		/* of paging: 4 or 5 */
	const char *found_by;
};

/*
 * Called per candidate, the best first. 0: go on, with the view fuelled anew; anything else
 * ends the search.
 */
typedef int anchor_fn(const struct anchor *anchor, void *ctx, struct err *err);

/**
 * anchor_search - find every place that looks like a running kernel
 *
 * First the trampoline that starts further CPUs and wakes the machine: it lies in the low
 * 1 MiB and holds a copy of the kernel half of init_top_pgt (arch/x86/realmode/init.c,
 * setup_real_mode()). Then, where nobody was satisfied, every populated page, for
 * level3_kernel_pgt (arch/x86/kernel/head_64.S), at the cost of reading all of RAM.
 *
 * Return: what @candidate returned if not 0; 0 when all was searched; -ELOOP (fuel, or over
 *         ANCHORS_MAX candidates), -ESRCH, -ENOMEM.
 */
nodiscard int anchor_search(struct view *view, anchor_fn *candidate, void *ctx, struct err *err);

#endif
