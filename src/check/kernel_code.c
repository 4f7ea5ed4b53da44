/* SPDX-License-Identifier: Apache-2.0 */
#include "check/image_compare.h"
#include "check/image_record.h"

/* Code runs to the end of the page that _etext lies in. */
static gva page_end(gva at)
{
	return gva_of((at.v + GUEST_PAGE_MASK) & ~(uint64_t)GUEST_PAGE_MASK);
}

/* Without a reference: as its own tables say, and as in the first sweep of this boot. */
static int by_record(struct check_run *run, struct err *err)
{
	const struct difference_place place = { SEVERITY_CRITICAL, "kernel code", "kernel" };
	struct self_image image;
	int r = image_record_open(run, &image, err);

	if (r > 0) {
		r = image_record_places(run, &image, &place, err);
		if (r >= 0) {
			self_image_blank(&image);
			r = image_record(run, &image, &place, "kernel text", image.text,
					 image.etext, err);
		}
		check_covered(run, "KiB of code", (image.etext.v - image.text.v) >> 10);
	}
	self_image_free(&image);
	return r;
}

static int kernel_code_run(struct check_run *run, struct err *err)
{
	struct image_compare compare;
	int r;

	if (!check_reference(run))
		return by_record(run, err);

	r = image_compare_open(run, &compare, err);
	if (r > 0) {
		compare.place = (struct difference_place){
			SEVERITY_CRITICAL, "kernel code", "kernel", NULL,
		};
		r = image_compare(&compare, compare.image->text, page_end(compare.image->etext),
				  err);
		if (explainer_was_quiet(compare.explainer))
			check_quiet(run);
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
		  "exactly as the kernel's structures say. Without a reference: places that are "
		  "patched are as these say, and all others as in the first sweep of this boot.",
	.techniques = TECHNIQUES("T1014", "T1601.001"),
	.fuel_max = 60000,
	.worth = 16,
	.run = kernel_code_run);
