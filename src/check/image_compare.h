/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_CHECK_IMAGE_COMPARE_H
#define HVSM_CHECK_IMAGE_COMPARE_H

#include "check/check.h"
#include "check/difference.h"
#include "reference/kernel_image.h"

/* The guest's kernel image held against the reference: for what looks at a part of it. */
struct image_compare {
	struct check_run *run;
	const struct kernel_image *image;
	struct owners *owners;
	struct explainer *explainer;
	struct difference_place place;
	/* Is this what the kernel does to itself? NULL: nothing is. */
	bool (*is_own)(const struct image_compare *compare, const struct difference *difference);
	uint64_t bytes;		/* compared */
	uint64_t explained;	/* bytes that differ, with a reason */
	uint64_t passing;	/* places that were being patched */
};

/**
 * image_compare_open - make ready to compare, or say why there is nothing to compare with
 * Return: 1, 0 (no reference; the run says so), or a negative errno.
 */
nodiscard int image_compare_open(struct check_run *run, struct image_compare *ret,
				 struct err *err);
void image_compare_close(struct image_compare *compare);

/* Compare [@from, @to), by physical address; findings go to the run. 0, or as view_read(). */
nodiscard int image_compare(struct image_compare *compare, gva from, gva to, struct err *err);

#endif
