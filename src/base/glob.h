/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_BASE_GLOB_H
#define HVSM_BASE_GLOB_H

#include <stdbool.h>

/**
 * glob_match - does a pattern fit the whole of a text?
 *
 * '*' stands for any text, '?' for any byte, and everything else for itself: names in a kernel
 * are full of brackets ("sys_call_table[62]"), which fnmatch(3) would take for a set. The time
 * is bounded by the product of both lengths, for the text may be a guest's.
 */
bool glob_match(const char *pattern, const char *text);

#endif
