/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_LINUX_BPF_H
#define HVSM_LINUX_BPF_H

#include <stdbool.h>
#include <stdint.h>

#include "base/map.h"
#include "base/vec.h"
#include "linux/kernel.h"

/*
 * BPF programs, maps and links, by each way in which the kernel or a program can get at them.
 * What bpf(2) lists (bpftool) is only the tables; a program that runs is attached somewhere, and
 * what is to stay is held by a descriptor, a pin, a link or an attachment.
 *
 * Not among the ways: filters of traffic control (cls_bpf is a module), netfilter, sockmaps,
 * arrays of programs for tail calls. Those that are attached there by links are found by these.
 */
enum bpf_way {
	BPF_BY_TABLE,		/* prog_idr, map_idr, link_idr: what bpftool shows */
	BPF_BY_FILE,		/* descriptors of tasks */
	BPF_BY_PIN,		/* files of bpffs */
	BPF_BY_CODE,		/* bpf_kallsyms: compiled programs that have a symbol */
	BPF_BY_TRAMPOLINE,	/* fentry, fexit, fmod_ret, freplace, LSM */
	BPF_BY_TRACEPOINT,	/* raw tracepoints */
	BPF_BY_EVENT,		/* kprobes, uprobes, tracepoints: ftrace_events; perf events */
	BPF_BY_CGROUP,		/* control groups */
	BPF_BY_DEVICE,		/* XDP and tcx of network devices */
	BPF_BY_SOCKET,		/* filters of sockets that tasks hold */
	BPF_BY_LINK,		/* programs, by a link */
	BPF_BY_PROGRAM,		/* maps, by a program */
	BPF_WAYS
};

/* "table", "file", … */
const char *bpf_way_name(enum bpf_way way);

enum bpf_kind {
	BPF_PROGRAM,
	BPF_MAP,
	BPF_LINK,
	BPF_KINDS
};

#define BPF_NAME_BYTES 16u	/* BPF_OBJ_NAME_LEN */
#define BPF_TAG_BYTES  8u

/* What all three have. Text is the guest's: escape it at output. */
struct bpf_object {
	enum bpf_kind kind;
	gva at;			/* struct bpf_prog, bpf_map, bpf_link */
	unsigned found_by;	/* 1 << enum bpf_way */
	uint32_t id;		/* as it says itself; 0: none */
	uint32_t type;
	const char *type_name;	/* "BPF_PROG_TYPE_XDP"; "" where the types do not say */
	char name[BPF_NAME_BYTES];
	int64_t refcount;	/* 0: it is being freed */
	int error;		/* the first that the reading of it met; 0: all is there */

	/* A link's program; the index in @objects, or -1. */
	int64_t program;

	/* Of a map: */
	uint32_t key_bytes, value_bytes, entries;

	/* Of a program: */
	gva aux;
	uint8_t tag[BPF_TAG_BYTES];
	uint32_t uid;
	uint64_t loaded_ns;	/* since boot */
	const char *attach_name;	/* expected_attach_type; "" */
	char attach_to[64];	/* function that it is made for; "" */
	bool jited;
	bool part;		/* of another program: one of its functions */
	gva code;		/* bpf_func */
	uint32_t code_bytes;
	gva start, end;		/* what the kernel says the code takes; 0: no symbol */
	uint32_t insns;
	VEC(gva) calls;		/* functions of the kernel that it calls, each once */
	VEC(uint32_t) maps;	/* indices in @objects */
};

/* A descriptor of a task that holds an object. */
struct bpf_holder {
	uint32_t object;	/* index in @objects */
	uint32_t pid, fd;
	char comm[16];
};

/* Where a program is attached. */
struct bpf_attachment {
	uint32_t object;
	enum bpf_way way;
	char where[112];	/* "eth0 xdp", "/system.slice BPF_CGROUP_DEVICE": escape it */
};

struct bpf {
	VEC(struct bpf_object) objects;
	VEC(struct bpf_holder) holders;
	VEC(struct bpf_attachment) attachments;
	struct map index;	/* address → index in @objects, + 1 */
	unsigned walked;	/* 1 << way: those that were seen to their end */
	struct {
		int code;	/* 0; -ENOENT: this kernel has no such way; else what failed */
		struct err err;
	} failed[BPF_WAYS];
};

/**
 * bpf_read - all BPF objects
 * @ret: zeroed; give it to bpf_free() whatever came back
 *
 * The tables are read last, so that what was loaded meanwhile is in them.
 *
 * Return: 0 (every way that this kernel has was seen to its end), or the first failure, with
 *         what was found nevertheless; -ESRCH, -ENOMEM end it at once.
 */
nodiscard int bpf_read(const struct kernel *kernel, struct view *view, struct bpf *ret,
		       struct err *err);

void bpf_free(struct bpf *bpf);

#endif
