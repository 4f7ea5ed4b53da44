/* SPDX-License-Identifier: Apache-2.0 */
#include "check/image_compare.h"

/* Code runs to the end of the page that _etext lies in. */
static gva page_end(gva at)
{
	return gva_of((at.v + GUEST_PAGE_MASK) & ~(uint64_t)GUEST_PAGE_MASK);
}

static int kernel_code_run(struct check_run *run, struct err *err)
{
	struct image_compare compare;
	int r;

	r = image_compare_open(run, &compare, err);
	if (r > 0) {
		compare.place = (struct difference_place){
			SEVERITY_CRITICAL, "kernel code", "kernel", NULL,
		};
		r = image_compare(&compare, compare.image->text, page_end(compare.image->etext),
				  err);
		check_covered(run, "KiB of code", compare.bytes >> 10);
		check_covered(run, "bytes patched since boot", compare.explained);
		check_stands_on(run, ASSURANCE_REFERENCE);
	}
	image_compare_close(&compare);
	return r;
}

CHECK(kernel_code,
	.id = "kernel-code",
	.group = GROUP_CODE,
	.title = "Code of the kernel is not what was shipped",
	.proves = "Every byte of the kernel's text is that of the distribution's own package, "
		  "relocated, and patched as the kernel patches itself on this CPU: each place "
		  "that differs is a jump label, static call, ftrace site or kprobe that is "
		  "exactly as the kernel's structures say.",
	.techniques = TECHNIQUES("T1014", "T1601.001"),
	.fuel_max = 60000,
	.run = kernel_code_run);
