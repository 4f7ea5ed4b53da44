/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_CLI_KEPT_H
#define HVSM_CLI_KEPT_H

#include "base/err.h"
#include "reference/reference.h"

/* What the commands about stores (`reference`, `trust`) say of what is kept there. */

#define KEPT_ID_DIGITS 12	/* of a source's digest: how lists show it, and how it is named */

/* Its package, else its path. Guest text it is not, but a file's: escape it. */
const char *kept_name(const struct reference_source *source);

/* One line: "ID  name version: " and what @fmt says. */
void kept_say(const struct reference_source *source, const char *fmt, ...) printf_like(2, 3);

#endif
