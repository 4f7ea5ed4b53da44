/* SPDX-License-Identifier: Apache-2.0 */
#include "make/patching.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int visit(const struct difference *difference, bool passing, void *ctx, struct err *err)
{
	(void)passing;
	(void)err;
	*(size_t *)ctx += difference->size_bytes;
	return difference->size_bytes ? 0 : -EINVAL;
}

/*
 * Patched as the tables of the input say (patching_load()), and held against what the guest has:
 * the code as it was shipped. Each difference is explained or told, and none twice.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct patching m;
	static uint8_t found[PATCHING_CODE];
	struct explainer *explainer = NULL;
	struct owners *owners = NULL;
	uint64_t explained = 0;
	size_t told = 0;

	if (!m.world)
		patching_open(&m);
	patching_load(&m, data, size);
	memcpy(found, patching_at(&m, m.code), sizeof(found));
	if (patch_all(&m.patcher, world_view(m.world), &m.shipped, &m.sites, NULL) > 0 ||
	    owners_open(world_kernel(m.world), world_view(m.world), &owners, NULL) < 0 ||
	    explainer_open(&m.patcher, world_view(m.world), owners, &explainer, NULL) < 0)
		abort();
	if (compare_part(explainer, &m.shipped, &m.sites, m.code, found, sizeof(found), &explained,
			 visit, &told, NULL) == -EINVAL || told + explained > sizeof(found))
		abort();
	explainer_close(&explainer);
	owners_close(&owners);
	return 0;
}
