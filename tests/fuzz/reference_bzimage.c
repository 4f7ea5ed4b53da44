/* SPDX-License-Identifier: Apache-2.0 */
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "reference/bzimage.h"
#include "reference/identify.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What comes out begins as an ELF file does, and says what it is, or that it is damaged. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup(blob_free) struct blob vmlinux = {0};
	struct identified id;

	if (bzimage_vmlinux(data, size, &vmlinux, NULL) < 0)
		return 0;
	if (vmlinux.size < SELFMAG || memcmp(vmlinux.data, ELFMAG, SELFMAG) != 0)
		abort();
	if (identify_kernel(&vmlinux, &id, NULL) == 0 && strlen(id.release) >= sizeof(id.release))
		abort();
	return 0;
}
