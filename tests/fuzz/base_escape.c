/* SPDX-License-Identifier: Apache-2.0 */
#include "base/escape.h"

#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/columns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever comes in, what goes out is one line of valid UTF-8, and is never cut in a character. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(ESCAPED_MAX(size));
	json_t *json;

	for (size_t room = ESCAPED_MAX(size); text && room; room = room / 2) {
		size_t n = escape((const char *)data, size, text, room);

		json = json_stringn(text, n);
		if (!json || strlen(text) != n || strpbrk(text, "\n\r\033\b") ||
		    columns_fit(text, columns_of(text)) != n)
			abort();
		json_decref(json);
	}
	free(text);
	return 0;
}
