/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/cleanup.h"
#include "check/image_compare.h"
#include "check/image_record.h"

/*
 * On some CPUs the kernel cuts a literal of its own up with strsep(), before it makes constants
 * read-only: set_rdt_options() of __check_quirks_intel() (arch/x86/kernel/cpu/resctrl/core.c).
 */
static const char *const cut_up[] = {
	"!cmt,!mbmtotal,!mbmlocal,!l3cat",
};

static bool in_literal(const struct image_compare *compare, gva at, const char *literal)
{
	size_t n = strlen(literal) + 1;

	for (size_t back = 0; back < n; back++) {
		const uint8_t *from = shipped_at(&compare->image->shipped, gva_sub(at, back), n);

		if (from && !memcmp(from, literal, n))
			return true;
	}
	return false;
}

static bool is_cut_up(const struct image_compare *compare, const struct difference *difference)
{
	for (size_t i = 0; i < difference->size_bytes; i++) {
		bool known = false;

		if (difference->expected[i] == difference->found[i])
			continue;
		if (difference->expected[i] != ',' || difference->found[i])
			return false;
		for (size_t j = 0; j < ARRAY_SIZE(cut_up) && !known; j++)
			known = in_literal(compare, gva_add(difference->at, i), cut_up[j]);
		if (!known)
			return false;
	}
	return true;
}

/* Without a reference: as in the first sweep of this boot. */
static int by_record(struct check_run *run, struct err *err)
{
	const struct difference_place place = {
		SEVERITY_CRITICAL, "kernel constant", "kernel", .data = true,
	};
	struct self_image image;
	int r = image_record_open(run, &image, err);

	if (r > 0)
		r = image_record(run, &image, &place, "kernel rodata", image.rodata, image.ro_init,
				 err);
	if (r >= 0 && image.shipped.parts.n) {
		r = image_record(run, &image, &place, "kernel rodata end", image.ero_init,
				 image.erodata, err);
		check_covered(run, "KiB of constants", (image.ro_init.v - image.rodata.v) >> 10);
		check_covered(run, "KiB of constants", (image.erodata.v - image.ero_init.v) >> 10);
	}
	self_image_free(&image);
	return r;
}

static int kernel_rodata_run(struct check_run *run, struct err *err)
{
	struct image_compare compare;
	int r;

	if (!check_reference(run))
		return by_record(run, err);

	r = image_compare_open(run, &compare, err);
	if (r > 0) {
		compare.place = (struct difference_place){
			SEVERITY_CRITICAL, "kernel constant", "kernel", NULL,
			.data = true,
		};
		compare.is_own = is_cut_up;
		r = image_compare(&compare, compare.image->rodata, compare.image->ro_init, err);
		if (r >= 0)
			r = image_compare(&compare, compare.image->ero_init,
					  compare.image->erodata, err);
		check_covered(run, "KiB of constants", compare.bytes >> 10);
		check_quiet(run);
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
		  "still write while it boots (ro_after_init) is not among it. Without a "
		  "reference: as in the first sweep of this boot.",
	.techniques = TECHNIQUES("T1014", "T1601.001"),
	.fuel_max = 60000,
	.worth = 8,
	.run = kernel_rodata_run);
