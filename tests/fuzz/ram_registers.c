/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "ram/registers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever a monitor prints, what is taken from it is of CPUs that there can be. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	registers_list cpus = { 0 };
	char *text = malloc(size + 1);

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	if (registers_parse(text, &cpus, NULL) == 0 && (!cpus.n || cpus.n > CPUS_MAX))
		abort();
	vec_free(&cpus);
	free(text);
	return 0;
}
