/* SPDX-License-Identifier: Apache-2.0 */
#include "report/ledger_parse.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a scanner sends. What is taken is printable, and reads as the same once more. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct parsed once = {0}, twice = {0};

	if (parsed_read(data, size, &once, NULL) < 0)
		return 0;
	for (size_t i = 0; i < once.text.size; i++)
		if (once.text.data[i] < ' ' || once.text.data[i] == 0x7f)
			abort();
	if (parsed_read(once.text.data, once.text.size, &twice, NULL) < 0 ||
	    memcmp(once.digest, twice.digest, sizeof(once.digest)) ||
	    memcmp(once.print, twice.print, sizeof(once.print)))
		abort();
	parsed_free(&once);
	parsed_free(&twice);
	return 0;
}
