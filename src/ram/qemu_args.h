/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_RAM_QEMU_ARGS_H
#define HVSM_RAM_QEMU_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/vec.h"

enum qemu_memory {
	QEMU_MEMORY_RAM,	/* anonymous */
	QEMU_MEMORY_MEMFD,
	QEMU_MEMORY_FILE,	/* a file, /dev/hugepages, shared memory */
};

/* One -object memory-backend-… */
struct qemu_backend {
	char *id;
	char *path;		/* file: what mem-path= says; else NULL */
	uint64_t size_bytes;
	enum qemu_memory kind;
	bool shared;
};

/* One -numa node */
struct qemu_node {
	uint64_t id;
	char *memdev;		/* NULL: memory not by backend */
};

/* Strings, each malloc()ed. */
struct qemu_strings {
	VEC(char *) list;
};

/*
 * What a command line of QEMU says about the guest: see qemu-system-x86_64(1). Only what hvsm
 * needs; the strings are the process's own words, not escaped.
 */
struct qemu_args {
	char *binary;		/* argv[0] */
	char *name, *uuid;	/* NULL: none given */
	char *machine;		/* "pc-q35-7.2"; NULL: QEMU's default */
	char *accel;		/* "kvm"; the first that is named; NULL: none */
	char *cpu;
	char *memory_backend;	/* -machine memory-backend=; NULL: none */
	char *mem_path;		/* -mem-path; NULL: none */
	char *kernel;		/* -kernel: a file that is booted; NULL: none */
	char *confidential;	/* "sev-guest": type of the object; NULL: not confidential */
	char *readconfig;	/* -readconfig: the command line is not all */
	uint64_t ram_bytes;	/* -m; 0: not given */
	uint64_t max_bytes;	/* -m …,maxmem=; 0: none */
	uint64_t slots;		/* -m …,slots=: for DIMMs */
	uint64_t max_below_4g;	/* -machine max-ram-below-4g=; 0: none */
	unsigned vcpus;
	bool stopped;		/* -S */
	bool incoming;		/* -incoming: it came, or comes, from another host */
	VEC(struct qemu_backend) backends;
	VEC(struct qemu_node) nodes;
	struct qemu_strings monitors;	/* paths of QMP sockets, as QEMU was given them */
};

/* What -m is without a word: 128 MiB (hw/core/machine.c). */
#define QEMU_RAM_DEFAULT (128ull << 20)

/**
 * qemu_args_parse - read a command line
 * @cmdline: contents of /proc/PID/cmdline: strings, each with its NUL
 *
 * Unknown options are skipped: QEMU itself has checked them.
 *
 * Return: 0, -EBADMSG (what matters to us cannot be read), -ELOOP, -ENOMEM. Free with
 *         qemu_args_free(), also after a failure.
 */
nodiscard int qemu_args_parse(const char *cmdline, size_t len, struct qemu_args *args,
			      struct err *err);
void qemu_args_free(struct qemu_args *args);

/* The backend with this id, or NULL. */
const struct qemu_backend *qemu_args_backend(const struct qemu_args *args, const char *id);

/* The size of the machine's RAM: -m, or else that of its backend, or else the default. */
uint64_t qemu_args_ram_bytes(const struct qemu_args *args);

enum qemu_binary {
	QEMU_BINARY_NONE,	/* not QEMU */
	QEMU_BINARY_X86_64,
	QEMU_BINARY_OTHER,	/* QEMU for another architecture */
};

/* What the path of an executable (/proc/PID/exe, argv[0]) tells. */
enum qemu_binary qemu_binary(const char *path);

#endif
