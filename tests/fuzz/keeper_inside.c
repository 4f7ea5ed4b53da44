/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "keeper/inside.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every item lies inside of the copy, and there are as many as it says. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup(inside_free) struct inside inside = {0};
	struct blob copy = { malloc(size + 1), size };
	uint64_t sequence = 0;

	memcpy(copy.data, data, size);
	memcpy(&sequence, data, size < sizeof(sequence) ? size : sizeof(sequence));
	if (inside_parse(&copy, sequence, &inside, NULL) < 0)
		return 0;
	if (inside.items.n != inside.head.items)
		abort();
	for (size_t i = 0; i < inside.items.n; i++)
		if (inside.items.v[i].text < inside.data.data ||
		    inside.items.v[i].text + inside.items.v[i].text_bytes >
			    inside.data.data + inside.data.size)
			abort();
	return 0;
}
