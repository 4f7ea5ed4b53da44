/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_TESTS_MAKE_PACKAGE_H
#define HVSM_TESTS_MAKE_PACKAGE_H

#include <stddef.h>

#include "base/blob.h"

/*
 * Packages with small kernels and modules in them, as distributions make them. What comes back
 * is the caller's, for blob_free(); a lack of memory ends the test.
 */
enum packing {
	PACKED_NOT,
	PACKED_GZIP,
	PACKED_BZIP2,
	PACKED_XZ,
	PACKED_LZMA,
	PACKED_ZSTD,
	PACKED_LZ4,
	PACKED_LZ4_LEGACY,
	PACKINGS,
};

struct blob make_packed(enum packing packing, const void *data, size_t size);

/* vmlinux with a build ID of 20 bytes @id, a banner, and "relocations" behind the headers. */
struct blob make_vmlinux(unsigned char id, const char *release, const char *version);

/* A module, whose name is its file's. */
struct blob make_module(unsigned char id, const char *release);

/* vmlinuz; @vmlinux stays the caller's. */
struct blob make_bzimage(const struct blob *vmlinux, enum packing packing);

struct made_file {
	const char *path;
	struct blob blob;
	unsigned mode;		/* permissions; 0: 0644 */
	unsigned inode;		/* of a file with two names; 0: it has one */
};

struct blob make_deb(const char *package, const char *version, const struct made_file *files,
		     size_t n, enum packing packing);
struct blob make_rpm(const char *package, const char *version, const char *release,
		     const struct made_file *files, size_t n, enum packing packing);

/* The Debian package of a kernel: vmlinuz packed with lz4, ext4 and snd-hda-intel. */
struct blob make_kernel_deb(unsigned char id, const char *release, const char *version);

/* The ID that @id stands for, in hex. */
const char *make_build_id(unsigned char id, char ret[41]);

/* Write a file into a directory. */
void make_file(const char *directory, const char *name, const struct blob *blob);

#endif
