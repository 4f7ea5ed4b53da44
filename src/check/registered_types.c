/* SPDX-License-Identifier: Apache-2.0 */
#include "check/hooked.h"

static int registered_types_run(struct check_run *run, struct err *err)
{
	static const struct hook_source *const sources[] = { &hooks_types, NULL };

	return hooked_run(run, sources, "registered types", NULL, err);
}

CHECK(registered_types,
	.id = "registered-types",
	.group = GROUP_POINTERS,
	.title = "A binary format, key type or algorithm leads to foreign code",
	.proves = "Each function of each binary format, key type and cryptographic algorithm is "
		  "one of the kernel or of a listed module, and one that may be called so.",
	.techniques = TECHNIQUES("T1014", "T1547.006"),
	.fuel_max = 20000,
	.run = registered_types_run);
