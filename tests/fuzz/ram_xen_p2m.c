/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "ram/xen_p2m.h"

#define FRAMES 3000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	const uint8_t *data;
	size_t pages;
	unsigned reads;
};

/* The input is the guest's pages, from its shared_info on, over and over. */
static int read_input(void *ctx, const uint64_t *frames, uint32_t n, uint8_t *pages, bool *there,
		      struct err *err)
{
	struct input *input = ctx;

	(void)err;
	for (uint32_t i = 0; i < n; i++, input->reads++) {
		there[i] = frames[i] < 1u << 20;
		memcpy(pages + i * GUEST_PAGE_SIZE,
		       input->data + frames[i] % input->pages * GUEST_PAGE_SIZE, GUEST_PAGE_SIZE);
	}
	return 0;
}

/* Whatever is in them, each page of the list costs its way through four tables, five times. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size / GUEST_PAGE_SIZE, 0 };
	const struct p2m_source source = { read_input, &input };
	static uint32_t frames[FRAMES];

	if (input.pages && p2m_read(&source, 0, frames, FRAMES, NULL) == 0 && !input.reads)
		abort();
	if (input.reads > 5 * ((FRAMES / 512 + 1) * 5 + 2))
		abort();
	return 0;
}
