/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_BASE_COLUMNS_H
#define HVSM_BASE_COLUMNS_H

#include <stddef.h>

/*
 * How much room text takes on a terminal. Text is what escape() gives: valid UTF-8 without
 * control characters. The answer is never too small: East Asian wide characters count two,
 * and combining ones count one although they take none.
 */

/* Columns that the whole of @text takes. */
size_t columns_of(const char *text);

/**
 * columns_fit - how much of a text fits
 * @text:    terminated
 * @columns: there are so many
 *
 * Return: bytes of the longest beginning of @text that fits; it ends between two characters.
 */
size_t columns_fit(const char *text, size_t columns);

#endif
