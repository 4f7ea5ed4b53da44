/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_MONITOR_OPENAPI_H
#define HVSM_MONITOR_OPENAPI_H

#include <stddef.h>

/* docs/openapi.json, without blanks; not terminated. scripts/embed makes it. */
extern const char openapi_text[];
extern const size_t openapi_bytes;

#endif
