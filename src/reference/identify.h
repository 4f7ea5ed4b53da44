/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_REFERENCE_IDENTIFY_H
#define HVSM_REFERENCE_IDENTIFY_H

#include "base/blob.h"
#include "base/err.h"

/* What an unpacked kernel or module says of itself; "" where it does not. */
struct identified {
	char build_id[41];	/* in hex */
	char release[65];	/* "6.1.0-32-amd64" */
	char banner[512];	/* "Linux version …", of a kernel */
};

/* 0, -EBADMSG (not a sound ELF file), -ELOOP, -ENOMEM. */
nodiscard int identify_kernel(const struct blob *vmlinux, struct identified *ret,
			      struct err *err);
nodiscard int identify_module(const struct blob *ko, struct identified *ret, struct err *err);

/* The build ID of either, alone: a banner is searched for in all of a kernel. */
nodiscard int identify_build(const struct blob *file, char ret[41], struct err *err);

#endif
