/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/module_tables.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "make/modules.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Each table takes its share of the input, as shipped; the guest has the other half of it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = { "__mcount_loc", ".orc_unwind_ip", ".orc_unwind",
					     "__ex_table", "__jump_table", ".static_call_sites" };
	size_t share = size / 2 / ARRAY_SIZE(names) / 48 * 48;
	struct shipped shipped = { 0 };
	static struct made_modules made;
	static gva tables;

	if (!made.world) {
		made_modules_open(&made, false, NULL, 0);
		tables = world_alloc(made.world, 65536);
	}
	for (size_t i = 0; share && 2 * share * ARRAY_SIZE(names) < 65536 &&
			   i < ARRAY_SIZE(names); i++) {
		gva at = gva_add(tables, i * share);
		size_t n = i == 1 ? share / 6 * 4 : share;
		struct shipped_part *part = shipped_add(&shipped, names[i], at, n, i & 3);

		memcpy(part->bytes, data + 2 * i * share, n);
		world_copy(made.world, at, data + (2 * i + 1) * share, (uint32_t)n);
	}
	if (shipped_sort(&shipped, NULL) < 0 ||
	    module_tables_settle(world_kernel(made.world), world_view(made.world), &shipped,
				 world_kernel(made.world)->symbols, &shipped, NULL) > 0)
		abort();
	shipped_free(&shipped);
	return 0;
}
