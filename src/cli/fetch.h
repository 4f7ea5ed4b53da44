/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_CLI_FETCH_H
#define HVSM_CLI_FETCH_H

#include "cli/distribution.h"

/* What is recorded of a package that came this way. */
#define FETCH_SIGNATURE "checksum of the archive's signed index, verified by apt"

/**
 * fetch - download packages with the host's own apt
 * @directory: receives the name of a new directory that has them, for fetch_remove()
 *
 * Return: 0, -ENOTSUP (no apt here), -ENOENT (the archives of this host do not have them; the
 *         text has apt's reason), -ENOMEM, or an errno.
 */
nodiscard int fetch(const struct kernel_packages *packages, char directory[64],
		    struct err *err);

/* Remove the directory and what is in it. "" is fine. */
void fetch_remove(const char *directory);

#endif
