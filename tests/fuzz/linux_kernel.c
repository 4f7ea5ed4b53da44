/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/kernel.h"

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "make/memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The whole way from bytes to a kernel. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kernel *kernel = NULL;
	struct memory m = {0};
	struct err err = {0};
	struct view *view;
	struct ram *ram;
	int r;

	memory_load(&m, data, size);
	memory_page(&m, 0);
	view = memory_view(&m, VIEW_FUEL_ATTACH, &ram);
	r = kernel_open(view, &kernel, &err);
	if ((r >= 0) != (kernel != NULL) || (r < 0 && (err.code != r || !err.text[0])))
		abort();
	if (kernel && (!kernel->cpus || !kernel->banner[0] || kernel->end.v <= kernel->text.v))
		abort();
	r = kernel ? kernel_check(kernel, view, &err) : 0;
	if (r < 0 && r != -ESTALE && r != -ELOOP)
		abort();
	kernel_close(&kernel);
	view_close(&view);
	ram_close(&ram);
	memory_free(&m);
	return 0;
}
