/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/symbols.h"

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Each symbol of a table that was taken can be found by its name and by its address. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct symbols *symbols = NULL;

	if (symbols_parse(data, size, gva_of(0xffffffffa1200000), &symbols, NULL) < 0)
		return 0;
	for (size_t i = 0; i < symbols_count(symbols); i++) {
		struct symbol symbol = symbols_get(symbols, i), other;
		char text[SYMBOL_NAME_MAX + 32];
		gva at;

		if (!symbol.type || !symbol.name[0] || strlen(symbol.name) >= SYMBOL_NAME_MAX ||
		    symbols_find(symbols, symbol.name, &at, NULL) < 0 ||
		    !symbols_is_start(symbols, symbol.at, symbol.name))
			abort();
		symbols_print(symbols, symbol.at, text, sizeof(text));
		if (symbols_at(symbols, symbol.at, &other, NULL) >= 0 && other.at.v != symbol.at.v)
			abort();
	}
	symbols_free(&symbols);
	return 0;
}
