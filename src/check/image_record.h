/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_CHECK_IMAGE_RECORD_H
#define HVSM_CHECK_IMAGE_RECORD_H

#include "check/check.h"
#include "check/difference.h"
#include "reference/self_image.h"

/* The kernel's image held against the record of this boot: where there is no reference. */

/**
 * image_record_open - the guest's own image, and places of it that are not as its tables say
 * What is told goes to the run.
 *
 * Return: 1, 0 (there is no record to compare with; the run says so), or a negative errno.
 */
nodiscard int image_record_open(struct check_run *run, struct self_image *ret, struct err *err);

/**
 * image_record - compare a run of it with what was recorded
 * What differs goes to the run; what is not recorded yet will be, unless something was found.
 *
 * @item: unique name of the run: "kernel text"
 * Return: 0, or as baseline_compare().
 */
nodiscard int image_record(struct check_run *run, const struct self_image *image,
			   const struct difference_place *place, const char *item, gva from,
			   gva to, struct err *err);

/* Hold the code against what its own tables say. 0, or as view_read(). */
nodiscard int image_record_places(struct check_run *run, const struct self_image *image,
				  const struct difference_place *place, struct err *err);

#endif
