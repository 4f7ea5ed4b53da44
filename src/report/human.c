/* SPDX-License-Identifier: Apache-2.0 */
#include "report/human.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "base/cleanup.h"

struct unit {
	double size;
	const char *name;
};

static const char *scaled(double value, const struct unit *units, size_t n, char *buf,
			  size_t size)
{
	size_t i = n - 1;

	while (i && value < units[i].size)
		i--;
	value /= units[i].size;
	snprintf(buf, size, "%.*f %s", i && value < 100 ? (value < 10 ? 2 : 1) : 0, value,
		 units[i].name);
	return buf;
}

const char *human_bytes(uint64_t bytes, char *buf, size_t size)
{
	static const struct unit units[] = {
		{ 1, "B" },
		{ 1ull << 10, "KiB" },
		{ 1ull << 20, "MiB" },
		{ 1ull << 30, "GiB" },
		{ 1ull << 40, "TiB" },
	};

	return scaled((double)bytes, units, ARRAY_SIZE(units), buf, size);
}

const char *human_duration(uint64_t ns, char *buf, size_t size)
{
	static const struct unit units[] = {
		{ 1, "ns" },
		{ 1e3, "us" },
		{ 1e6, "ms" },
		{ 1e9, "s" },
	};

	return scaled((double)ns, units, ARRAY_SIZE(units), buf, size);
}

const char *human_time(uint64_t ns, char *buf, size_t size)
{
	time_t seconds = (time_t)(ns / 1000000000);
	struct tm tm;

	if (!localtime_r(&seconds, &tm) || !strftime(buf, size, "%F %T", &tm))
		snprintf(buf, size, "%" PRIu64 " ns", ns);
	return buf;
}
