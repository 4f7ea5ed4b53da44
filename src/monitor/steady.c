/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/steady.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/now.h"

/* Two clocks that were read within that were read at once. */
#define APART_NS 1000000000ull

bool steady_read(uint64_t *real, uint64_t *boot)
{
	*boot = now_ns(CLOCK_BOOTTIME);
	*real = now_ns(CLOCK_REALTIME);
	return now_ns(CLOCK_BOOTTIME) - *boot < APART_NS;
}

int64_t steady_look(struct steady *steady, uint64_t real, uint64_t boot)
{
	const int64_t offset = (int64_t)(real - boot);
	int64_t by = (int64_t)((uint64_t)offset - (uint64_t)steady->seen_ns);

	if (!steady->begun || by > STEADY_JUMP_NS || by < -STEADY_JUMP_NS) {
		by = steady->begun ? by : 0;
		steady->begun = true;
		steady->seen_ns = offset;
		steady->since_ns = boot;
		steady->stands = false;
		return by;
	}
	if (boot - steady->since_ns >= STEADY_NS) {
		steady->known = steady->stands = true;
		steady->base_ns = steady->seen_ns;
	}
	return 0;
}

bool steady_is(const struct steady *steady)
{
	return steady->stands;
}

uint64_t steady_time(const struct steady *steady, uint64_t real, uint64_t boot)
{
	return !steady->known || steady->stands ? real : boot + (uint64_t)steady->base_ns;
}

char *steady_jump_text(int64_t by, char *text, size_t size)
{
	uint64_t ns = by < 0 ? 0 - (uint64_t)by : (uint64_t)by;

	snprintf(text, size, "the host's clock was set %s by %" PRIu64 " s", by < 0 ? "back" :
		 "forward", ns / (uint64_t)1000000000);
	return text;
}
