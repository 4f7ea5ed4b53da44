/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/backoff.h"

#define NS_PER_MS 1000000ull

uint64_t backoff_next(struct backoff *backoff, uint64_t served_ns, uint32_t first_ms,
		      uint32_t most_ms)
{
	uint64_t made_up = served_ns / (BACKOFF_SERVICE_MS * NS_PER_MS);
	uint32_t ends = made_up < backoff->ends ? backoff->ends - (uint32_t)made_up : 0;
	uint64_t ms = first_ms;

	backoff->ends = ends < UINT32_MAX ? ends + 1 : ends;
	if (!ends)
		return 0;
	while (--ends && ms < most_ms)
		ms *= 2;
	return (ms < most_ms ? ms : most_ms) * NS_PER_MS;
}
