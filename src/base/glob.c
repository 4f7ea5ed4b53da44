/* SPDX-License-Identifier: Apache-2.0 */
#include "base/glob.h"

#include <stddef.h>

bool glob_match(const char *pattern, const char *text)
{
	const char *star = NULL, *resume = NULL;

	/*
	 * A star takes nothing at first, and one byte more each time that what follows it does
	 * not fit. Only the last one has to be tried again: whatever an earlier one could take
	 * more, the last can take as well.
	 */
	while (*text) {
		if (*pattern == '*') {
			star = pattern++;
			resume = text;
		} else if (*pattern == '?' || *pattern == *text) {
			pattern++;
			text++;
		} else if (star) {
			pattern = star + 1;
			text = ++resume;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return !*pattern;
}
