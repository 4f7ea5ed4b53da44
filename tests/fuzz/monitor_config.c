/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/config.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A text is taken as a whole, and then every guest has what its sections say; or it is refused,
 * with words. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config *config = NULL;
	struct guest_config guest;
	struct err err = {0};
	int r = config_parse("f", (const char *)data, size, &config, &err);

	if (r < 0) {
		if (config || !*err.text || err.code != r)
			abort();
		return 0;
	}
	if (config_guest(config, "web-1", "0c8e1d1a", &guest) < 0)
		abort();
	for (size_t i = 0; i < guest.reactions->n; i++)
		if (!config_reaction(config, guest.reactions->v[i]))
			abort();
	guest_config_free(&guest);
	config_free(&config);
	return 0;
}
