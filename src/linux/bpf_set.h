/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_LINUX_BPF_SET_H
#define HVSM_LINUX_BPF_SET_H

#include "linux/bpf.h"
#include "linux/partial.h"

/* The inside of bpf*.c: objects are collected first, and read when all ways were gone. */
struct bpf_walk {
	const struct kernel *kernel;
	struct view *view;
	struct bpf *bpf;
	enum bpf_way way;
	const void *fields;	/* of the way */
	struct partial partial;	/* of the way */
};

/**
 * bpf_found - the way leads to an object
 * @index: receives its place; may be NULL
 *
 * Return: 0 (also where @at is 0: nothing there), -EBADMSG (@at is no place for one), -ELOOP,
 *         -ENOMEM.
 */
nodiscard int bpf_found(struct bpf_walk *walk, enum bpf_kind kind, gva at, uint32_t *index,
			struct err *err);

/* A program that is attached; as bpf_found(). What stands for "no program" is passed over. */
nodiscard int bpf_attached(struct bpf_walk *walk, gva program, struct err *err,
			   const char *fmt, ...) printf_like(4, 5);

/* The programs of a struct bpf_prog_array, each attached at @where. */
nodiscard int bpf_array(struct bpf_walk *walk, gva array, const char *where, struct err *err);

/* The ways; each as bpf_read(), -ENOENT where the kernel has none. */
nodiscard int bpf_by_file(struct bpf_walk *walk, struct err *err);
nodiscard int bpf_by_pin(struct bpf_walk *walk, struct err *err);
nodiscard int bpf_by_trampoline(struct bpf_walk *walk, struct err *err);
nodiscard int bpf_by_tracepoint(struct bpf_walk *walk, struct err *err);
nodiscard int bpf_by_event(struct bpf_walk *walk, struct err *err);
nodiscard int bpf_by_cgroup(struct bpf_walk *walk, struct err *err);
nodiscard int bpf_by_device(struct bpf_walk *walk, struct err *err);

/* bpf_object.c: what an object says of itself. */
nodiscard int bpf_describe(struct bpf_walk *walk, uint32_t index, struct err *err);

#endif
