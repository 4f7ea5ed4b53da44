/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_REFERENCE_PACKAGE_H
#define HVSM_REFERENCE_PACKAGE_H

#include "base/blob.h"
#include "base/err.h"
#include "reference/reference.h"

/*
 * Kernels and modules out of what a person has: packages (.deb, .rpm), bare files (vmlinuz,
 * vmlinux, .ko, these compressed), directories of all of them.
 */
enum packaged_kind {
	PACKAGED_KERNEL,		/* vmlinuz, vmlinux: package_vmlinux() unpacks it */
	PACKAGED_MODULE,		/* .ko, .ko.xz, …: package_module() unpacks it */
};

/* One of them; the texts are valid while it is visited. */
struct packaged {
	enum packaged_kind kind;
	const char *path;		/* in the package; of a bare file: its own */
	char module[64];		/* "snd_hda_intel", from the file's name; "": a kernel */
	char release[65];		/* of "…/modules/RELEASE/…"; "": not in the path */
	bool loose;			/* a bare file, which may be read later, by its path */
	struct reference_source *source;	/* a bare file has its SHA-256 once it was read */
	struct package_reader *reader;
};

/**
 * packaged_read - the bytes of the member that is being visited, as they lie there; once
 * @ret: the caller's, for blob_free()
 * Return: 0, -ELOOP (over a limit), -EBADMSG (a damaged package), -ENOMEM, -EIO.
 */
nodiscard int packaged_read(struct packaged *member, struct blob *ret, struct err *err);

/* 0: go on; 1: nothing else of this package is wanted; an errno ends it all. */
typedef int packaged_fn(struct packaged *member, void *ctx, struct err *err);

/**
 * package_each - every kernel and module in a file or directory
 * @path: what it is is told by what it holds; in a directory and in a package, members are
 *        told by their names. Links in a directory are not followed.
 *
 * Return: 0, what @visit returned, -EBADMSG (damaged, hostile, or none of what is named
 *         above), -ELOOP (over a limit), -ENOMEM, or an error of reading files.
 */
nodiscard int package_each(const char *path, packaged_fn *visit, void *ctx, struct err *err);

/**
 * package_vmlinux - unpack a kernel
 * @file: vmlinuz, vmlinux, or one of them compressed; taken, emptied
 * @ret:  the caller's, for blob_free()
 * Return: 0, -EBADMSG, -ENOTSUP, -ELOOP, -ENOMEM.
 */
nodiscard int package_vmlinux(struct blob *file, struct blob *ret, struct err *err);

/* The same for a module. */
nodiscard int package_module(struct blob *file, struct blob *ret, struct err *err);

/* A bare file that was visited, read again. As packaged_read(). */
nodiscard int package_read_file(const char *path, struct blob *ret, struct err *err);

#endif
