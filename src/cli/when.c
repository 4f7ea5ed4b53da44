/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/when.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"

#define SECOND_NS 1000000000ull

/* "12h": 1; no such thing: 0. */
static int read_ago(const char *text, uint64_t now_ns, uint64_t *ret)
{
	static const char units[] = "smhd";
	static const uint64_t seconds[] = { 1, 60, 3600, 86400 };
	const char *unit;
	uint64_t n;
	char *end;

	if (strspn(text, "0123456789") == 0)
		return 0;
	n = strtoull(text, &end, 10);
	unit = *end ? strchr(units, *end) : NULL;
	if (!unit || end[1] || n > now_ns / SECOND_NS / seconds[unit - units])
		return 0;
	*ret = now_ns - n * seconds[unit - units] * SECOND_NS;
	return 1;
}

/* Behind the seconds: nothing, a fraction, "Z". */
static bool read_end(const char *rest, bool *utc)
{
	if (*rest == '.')
		rest += 1 + strspn(rest + 1, "0123456789");
	*utc = *rest == 'Z';
	return !rest[*utc];
}

int when_read(const char *text, uint64_t now_ns, uint64_t *ret)
{
	static const char *const formats[] = {
		"%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M",
		"%Y-%m-%d",
	};

	if (read_ago(text, now_ns, ret))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		struct tm tm = { .tm_isdst = -1 };
		const char *rest = strptime(text, formats[i], &tm);
		time_t seconds;
		bool utc;

		if (!rest || !read_end(rest, &utc))
			continue;
		if (utc)
			tm.tm_isdst = 0;
		seconds = utc ? timegm(&tm) : mktime(&tm);
		if (seconds < 0 || (uint64_t)seconds > UINT64_MAX / SECOND_NS)
			return -EINVAL;
		*ret = (uint64_t)seconds * SECOND_NS;
		return 0;
	}
	return -EINVAL;
}
