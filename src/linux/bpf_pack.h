/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_LINUX_BPF_PACK_H
#define HVSM_LINUX_BPF_PACK_H

#include "linux/kernel.h"

/*
 * The memory that BPF programs are packed into, in chunks of 64 bytes (kernel/bpf/core.c,
 * struct bpf_prog_pack, from 57631054fae6 (5.18) on). Chunks that are not in use hold int3.
 */

/* Unused memory that holds something else. */
struct bpf_slack {
	gva start;
	uint64_t size_bytes;
};

/**
 * bpf_pack_check - look for code in the unused chunks of a pack
 * @pack:  its struct bpf_prog_pack
 * @at:    its memory
 * @bytes: of it
 * @ret:   receives the first run of chunks that are not in use and hold code
 * @unused: receives the bytes that are not in use
 *
 * Return: 1 (there is such a run), 0 (none), -EBADMSG (a size that cannot be), -ENOTSUP, or
 *         an error of view_read().
 */
nodiscard int bpf_pack_check(const struct kernel *kernel, struct view *view, gva pack, gva at,
			     uint64_t bytes, struct bpf_slack *ret, uint64_t *unused,
			     struct err *err);

#endif
