/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/ko.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int resolve(const char *name, gva *ret, void *ctx, struct err *err)
{
	(void)ctx;
	*ret = gva_of(0xffffffff81000000ull + strlen(name));
	return name[0] == '_' ? err_set(err, -ENOENT, "no %s", name) : 0;
}

/* Whatever the object says: it is laid out, relocated and freed again, or refused. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct module_info module = { .at = gva_of(0xffffffffc0900000ull) };
	struct ko_place place = { .module = &module, .percpu = gva_of(0x20000) };
	struct blob file = { malloc(size ? size : 1), size };
	struct shipped shipped = { 0 };
	struct ko *ko = NULL;
	gva at;

	memcpy(file.data, data, size);
	for (unsigned i = 0; i < MODULE_AREAS; i++)
		module.area[i] = (struct module_area){ gva_of(0xffffffffc0000000ull + (i << 20)),
						       1u << 20 };
	if (ko_open(&file, &ko, NULL) >= 0 && ko_place(ko, &place, NULL) >= 0 &&
	    (ko_export(ko, "shown", &at) > 0 || ko_load(ko, resolve, NULL, &shipped, NULL) > 0 ||
	     ko_shrink(ko) > 0))
		abort();
	shipped_free(&shipped);
	ko_close(&ko);
	blob_free(&file);
	return 0;
}
