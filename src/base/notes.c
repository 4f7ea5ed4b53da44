/* SPDX-License-Identifier: Apache-2.0 */
#include "base/notes.h"

#include <elf.h>
#include <stdio.h>

#define BUILD_ID_BYTES 20u

bool notes_build_id(struct bytes notes, char ret[BUILD_ID_TEXT])
{
	while (notes.left && bytes_ok(&notes)) {
		uint32_t name_bytes = bytes_u32(&notes), id_bytes = bytes_u32(&notes);
		uint32_t type = bytes_u32(&notes);
		const uint8_t *name, *id;

		if (name_bytes > notes.left || id_bytes > notes.left)
			return false;
		name = bytes_take(&notes, (name_bytes + 3) & ~3u);
		id = bytes_take(&notes, (id_bytes + 3) & ~3u);
		if (!name || !id || type != NT_GNU_BUILD_ID || id_bytes != BUILD_ID_BYTES ||
		    name_bytes != 4 || memcmp(name, "GNU", 4))
			continue;
		for (unsigned i = 0; i < BUILD_ID_BYTES; i++)
			snprintf(ret + 2 * i, 3, "%02x", id[i]);
		return true;
	}
	return false;
}
