/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_REFERENCE_RPM_H
#define HVSM_REFERENCE_RPM_H

#include "base/err.h"
#include "reference/reference.h"

/* Its lead (rpm's docs/manual/format_v4.md). */
#define RPM_MAGIC "\xed\xab\xee\xdb"

/**
 * rpm_describe - what the headers of an .rpm say: name, version, whether it is signed
 * @source: receives package, version, signature
 *
 * The signature is not verified: that needs the distribution's key. It is known to be there.
 *
 * Return: 0, -ENOENT (not an .rpm), -EBADMSG (damaged), -ENOMEM, -EIO.
 */
nodiscard int rpm_describe(int fd, struct reference_source *source, struct err *err);

#endif
