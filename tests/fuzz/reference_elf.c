/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "reference/elf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void inside(const struct elf_file *elf, const uint8_t *at, uint64_t n)
{
	if (at && (at < elf->data || (uint64_t)(at - elf->data) > elf->size ||
		   n > elf->size - (uint64_t)(at - elf->data)))
		abort();
}

/* Whatever is given out lies inside of the file. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup(elf_free) struct elf_file elf = {0};
	char build_id[41];

	if (elf_read(data, size, &elf, NULL) < 0)
		return 0;
	for (size_t i = 0; i < elf.sections.n; i++)
		inside(&elf, elf.sections.v[i].bytes, elf.sections.v[i].size_bytes);
	for (size_t i = 0; i < elf.segments.n; i++)
		inside(&elf, elf.segments.v[i].bytes, elf.segments.v[i].file_bytes);
	return elf_build_id(&elf, build_id) == 0 && strlen(build_id) != 40 ? abort(), 0 : 0;
}
