/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_REFERENCE_REFERENCE_H
#define HVSM_REFERENCE_REFERENCE_H

#include <stdbool.h>

#include "base/blob.h"
#include "linux/kernel.h"
#include "reference/profile.h"

/*
 * What the distribution shipped of the kernel that one guest runs: its vmlinux and its
 * modules. Opened for a guest when hvsm attaches to it, and kept over sweeps. It may come from
 * packages or files that were named, from the store, or from the file that QEMU was told to
 * boot (-kernel); which of them is right is told by the build ID alone.
 */
struct reference;

struct reference_options {
	const char *const *paths;	/* packages, kernels, modules, directories: --reference */
	size_t paths_n;
	const char *store;		/* directory of the store; NULL: none */
	const char *kernel_file;	/* what QEMU booted, as a path of this host; NULL: none */
	const char *kernel_name;	/* the same in QEMU's words */
};

/* Where the kernel came from. All text is the host's own. */
struct reference_source {
	char source[16];	/* "package", "file", "kernel file" */
	char path[512];		/* of the file that it was taken from */
	char package[128];	/* "linux-image-6.1.0-32-amd64"; "" for a bare file */
	char version[128];	/* of the package; "" for a bare file */
	char sha256[65];	/* of that file, in hex */
	char signature[128];	/* what is known of who vouches for it; "" */
};

/**
 * reference_open - find what was shipped of a guest's kernel
 * Where paths are given, one of them must hold the kernel, or they hold modules only; a path
 * that cannot be read is an error (somebody named it). Otherwise the store is searched, then
 * the kernel file; a damaged store is an error, a kernel file that is no kernel is none.
 *
 * Return: 0, -ENOENT (nothing there has this build ID; the text says which build the guest
 *         runs, what was found instead, and how to get the right one), -EBADMSG (damaged or
 *         hostile file), -ELOOP (over a limit: a decompression bomb), -ENOMEM, or an error of
 *         reading files.
 */
nodiscard int reference_open(const struct reference_options *options, const struct kernel *kernel,
			     struct reference **ret, struct err *err);

/* Somebody else who has the files: for a process that may open none. */
struct reference_elsewhere {
	/* As reference_module(). */
	int (*module)(void *ctx, const char *name, const char *build_id, struct blob *ret,
		      struct err *err);
	/* @vmlinux of reference_ask() is not needed any more: called once. */
	void (*release)(void *ctx);
	/* As reference_map_vmlinux(); until it is released. NULL: it cannot. */
	int (*map)(void *ctx, uint64_t from, size_t n, void *at);
	void *ctx;
};

/**
 * reference_ask - a reference that is with somebody else
 * @source:      copied
 * @vmlinux:     the kernel's; stays readable until it is released
 * @has_modules: see reference_has_modules()
 * @elsewhere:   copied
 *
 * Return: 0, -ENOMEM (nothing was released).
 */
nodiscard int reference_ask(const struct reference_source *source, const struct blob *vmlinux,
			    bool has_modules, const struct reference_elsewhere *elsewhere,
			    struct reference **ret, struct err *err);

/* *@reference becomes NULL. NULL is fine. */
void reference_close(struct reference **reference);

const struct reference_source *reference_source(const struct reference *reference);

/*
 * The kernel as an ELF file with its relocations (vmlinux.h); lives as long as @reference, or
 * until it is released: it has 60 MiB, and once its image was made nobody needs it.
 */
const struct blob *reference_vmlinux(const struct reference *reference);
void reference_release_vmlinux(struct reference *reference);

/**
 * reference_map_vmlinux - pages of it that several processes share
 * @from, @n: which of its bytes, both multiples of the size of a page
 * @at: memory from mmap() whose place they take; they may be written, which others do not see
 *
 * They stay after it was released. Return: 0, -ENOTSUP (it lies in memory of our own, and
 * nothing was done), or another errno.
 */
nodiscard int reference_map_vmlinux(struct reference *reference, uint64_t from, size_t n,
				    void *at);

/* Its symbols and types, where somebody has them already, or NULL. They stay the caller's. */
const struct profile *reference_profile(const struct reference *reference);
void reference_set_profile(struct reference *reference, const struct profile *profile);

/* Are there any modules to compare with? A bare kernel file has none. */
bool reference_has_modules(const struct reference *reference);

/**
 * reference_module - the module as it was shipped, unpacked: an ELF object
 * @name:     as the guest calls it: "ext4", "snd_hda_intel" ('-' and '_' are the same)
 * @build_id: in hex, where the guest says it; NULL or "": by name, of the kernel's release
 * @ret:      the caller's, to be given to blob_free()
 *
 * Return: 0, -ENOENT (not shipped), -EBADMSG, -ELOOP, -ENOMEM, or an error of reading files.
 */
nodiscard int reference_module(struct reference *reference, const char *name,
			       const char *build_id, struct blob *ret, struct err *err);

/*
 * What is worked out once and kept with the reference, over sweeps: the state belongs to the
 * code that made it, and is freed with the reference.
 */
enum reference_keep {
	KEEP_KERNEL,
	KEEP_MODULES,
	REFERENCE_KEEPS,
};

struct reference_kept {
	void *state;
	void (*free)(void *state);
};

struct reference_kept *reference_kept(struct reference *reference, enum reference_keep which);

#endif
