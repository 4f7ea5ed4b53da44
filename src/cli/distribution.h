/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_CLI_DISTRIBUTION_H
#define HVSM_CLI_DISTRIBUTION_H

#include "base/err.h"

/* Packages that one kernel may be in: all of one line together; the first line that exists. */
#define KERNEL_PACKAGES_MAX 2
#define KERNEL_CHOICES_MAX  3

struct kernel_packages {
	char version[128];	/* "6.1.192-2"; "": the banner does not tell */
	char name[KERNEL_CHOICES_MAX][KERNEL_PACKAGES_MAX][128];	/* "": no more */
};

/**
 * distribution_packages - which packages hold a kernel, by what it says of itself
 * @release, @banner: the guest's words: hostile. What is given back is made of letters,
 *                    digits and ".+~_-:" alone, and begins with a letter or a digit.
 *
 * Return: 0, -ENOTSUP (not a kernel of Debian or Ubuntu), -EBADMSG (no such release can be).
 */
nodiscard int distribution_packages(const char *release, const char *banner,
				    struct kernel_packages *ret, struct err *err);

#endif
