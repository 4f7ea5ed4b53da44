/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_CLI_WHEN_H
#define HVSM_CLI_WHEN_H

#include <stdint.h>

#include "base/err.h"

/**
 * when_read - a time as a person writes it
 * @text:   "2025-03-01", "2025-03-01 14:02", "2025-03-01T14:02:11" in local time, with a 'Z' at
 *          the end in UTC, with or without a fraction, which is passed over; or how long ago:
 *          "90s", "15m", "12h", "7d"
 * @now_ns: CLOCK_REALTIME
 * @ret:    since 1970
 *
 * Return: 0, -EINVAL.
 */
nodiscard int when_read(const char *text, uint64_t now_ns, uint64_t *ret);

#endif
