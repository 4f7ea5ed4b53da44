/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/module.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "linux/module_symbols.h"
#include "make/modules.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The input is laid over one of two modules: whatever it says, reading ends and frees all. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct made_modules made;
	static uint8_t original[768];
	static gva module;
	struct modules modules = { 0 };
	uint8_t *bytes;

	if (!made.world) {
		made_modules_open(&made, false, NULL, 0);
		module = made_module(&made, "first");
		made_module(&made, "second");
		memcpy(original, world_at(made.world, module, sizeof(original)), sizeof(original));
	}
	bytes = world_at(made.world, module, sizeof(original));
	memcpy(bytes, original, sizeof(original));
	/* Pairs of a place and a byte, so that most of it stays as it was. */
	for (struct bytes in = bytes_of(data, size); in.left >= 3;) {
		size_t at = bytes_u16(&in) % sizeof(original);

		bytes[at] = bytes_u8(&in);
	}
	if (modules_read(world_kernel(made.world), world_view(made.world),
			 MODULE_BY_ALL | MODULE_DETAILS, &modules, NULL) > 0)
		abort();
	for (size_t i = 0; i < modules.list.n; i++) {
		struct module_symbols *symbols = NULL;

		if (module_symbols_read(world_kernel(made.world), world_view(made.world),
					&modules.list.v[i], &symbols, NULL) > 0)
			abort();
		module_symbols_free(&symbols);
	}
	modules_free(&modules);
	return 0;
}
