/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_REPORT_HUMAN_H
#define HVSM_REPORT_HUMAN_H

#include <stddef.h>
#include <stdint.h>

/* Quantities as a person reads them, two or three significant digits. @buf is returned. */

#define HUMAN_MAX 32	/* enough for @size */

/* "512 B", "43.5 MiB" */
const char *human_bytes(uint64_t bytes, char *buf, size_t size);

/* "870 us", "3.42 ms", "1.2 s" */
const char *human_duration(uint64_t ns, char *buf, size_t size);

/* Local time, "2025-03-01 14:02:11"; @ns since 1970. */
const char *human_time(uint64_t ns, char *buf, size_t size);

#endif
