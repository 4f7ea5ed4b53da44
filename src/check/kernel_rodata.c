/* SPDX-License-Identifier: Apache-2.0 */
#include "check/image_compare.h"

static int kernel_rodata_run(struct check_run *run, struct err *err)
{
	struct image_compare compare;
	int r;

	r = image_compare_open(run, &compare, err);
	if (r > 0) {
		compare.place = (struct difference_place){
			SEVERITY_CRITICAL, "kernel constant", "kernel", &compare.image->shipped,
			.data = true,
		};
		r = image_compare(&compare, compare.image->rodata, compare.image->ro_init, err);
		if (r >= 0)
			r = image_compare(&compare, compare.image->ero_init,
					  compare.image->erodata, err);
		check_covered(run, "KiB of constants", compare.bytes >> 10);
		check_stands_on(run, ASSURANCE_REFERENCE);
	}
	image_compare_close(&compare);
	return r;
}

CHECK(kernel_rodata,
	.id = "kernel-rodata",
	.group = GROUP_CODE,
	.title = "A constant of the kernel is not what was shipped",
	.proves = "Every byte of the kernel's read-only data is that of the distribution's own "
		  "package: operation tables, the symbol table, the types. What the kernel may "
		  "still write while it boots (ro_after_init) is not among it.",
	.techniques = TECHNIQUES("T1014", "T1601.001"),
	.fuel_max = 60000,
	.run = kernel_rodata_run);
