/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_REFERENCE_PARCEL_H
#define HVSM_REFERENCE_PARCEL_H

#include "reference/reference.h"

/*
 * A reference on its way from the process that opened it to one that uses it. To find it, packages
 * are unpacked, which takes seconds, and a file may be read that a tenant wrote; to use it, a list
 * and a file with packed modules are enough. The kernel itself travels apart: reference_vmlinux().
 */
struct parcel {
	struct blob table;	/* what it is, and which modules there are */
	int modules;		/* the file where these lie; the reference's; -1: in none */
};

/**
 * parcel_pack - what another process needs
 * @ret: its table is the caller's, for blob_free(); its file goes with @reference
 * Return: 0, -ENOMEM.
 */
nodiscard int parcel_pack(const struct reference *reference, struct parcel *ret, struct err *err);

/**
 * parcel_unpack - the reference, without its kernel
 * The table may say anything: what is not as it has to be is refused, and a bare file is one of
 * those that were named, or lies in a directory that was.
 *
 * @table:   @size bytes, needed during the call only
 * @modules: becomes the reference's on success; -1: there is none
 * @options: as reference_open() was given them there
 *
 * Return: 0, -EPROTO (no such table), -ENOMEM, or an errno of the store's.
 */
nodiscard int parcel_unpack(const void *table, size_t size, int modules,
			    const struct reference_options *options, struct reference **ret,
			    struct err *err);

#endif
