/* SPDX-License-Identifier: Apache-2.0 */
#include "check/image_record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "reference/baseline.h"

#define PIECE_BYTES (4u << 20)
#define CHUNK_BYTES (128u << 10)
/* Differences with fewer equal bytes between them are told as one. */
#define GAP_BYTES   8u

struct told {
	struct check_run *run;
	struct owners *owners;
	struct difference_place place;
	uint64_t passing;
};

int image_record_open(struct check_run *run, struct self_image *ret, struct err *err)
{
	int r;

	*ret = (struct self_image){0};
	if (!check_baseline(run)) {
		check_not_covered(run, "there is no reference of this kernel, see `hvsm reference "
				  "fetch` and `hvsm scan --reference`, and no record of this boot");
		return 0;
	}
	r = self_image_make(check_kernel(run), check_view(run), ret, err);
	return r < 0 ? r : 1;
}

static int tell(const struct difference *difference, bool passing, void *ctx, struct err *err)
{
	struct told *told = ctx;

	(void)err;
	if (passing)
		told->passing++;
	else
		difference_finding(told->run, told->owners, &told->place, difference);
	return 0;
}

static int compare_places(struct told *told, const struct self_image *image,
			  struct explainer *explainer, struct err *err)
{
	const struct kernel *kernel = check_kernel(told->run);
	cleanup(freep) uint8_t *chunk = malloc(CHUNK_BYTES);
	int r = chunk ? 0 : err_set(err, -ENOMEM, "no memory to compare with");
	uint64_t explained = 0;

	for (gva at = image->text; at.v < image->etext.v && r >= 0;) {
		size_t n = image->etext.v - at.v < CHUNK_BYTES ? image->etext.v - at.v
							       : CHUNK_BYTES;

		r = kernel_read_image(kernel, check_view(told->run), at, chunk, n, err);
		if (r >= 0)
			r = compare_part(explainer, &image->shipped, &image->sites, at, chunk, n,
					 &explained, tell, told, err);
		at = gva_add(at, n);
	}
	if (r >= 0 && told->passing)
		check_inconclusive(told->run, "the kernel was patching its code while it was "
				   "looked at");
	return r;
}

int image_record_places(struct check_run *run, const struct self_image *image,
			const struct difference_place *place, struct err *err)
{
	struct told told = { .run = run, .place = *place };
	struct explainer *explainer = NULL;
	int r;

	told.place.shipped = &image->shipped;
	r = check_owners(run, &told.owners, err);
	if (r >= 0)
		r = explainer_open(image->patcher, check_view(run), told.owners, &explainer, err);
	if (r >= 0)
		r = compare_places(&told, image, explainer, err);
	explainer_close(&explainer);
	owners_close(&told.owners);
	return r;
}

/* One piece that is not what was recorded. */
static int show(struct check_run *run, const struct difference_place *place, gva at,
		const uint8_t *was, const uint8_t *now, size_t n, struct err *err)
{
	struct shipped_part part = { .at = at, .size_bytes = n, .flags = PART_EXEC };
	struct shipped around = { .parts = { &part, 1, 1 } };
	struct told told = { .run = run, .place = *place };
	int r = check_owners(run, &told.owners, err);

	part.bytes = (uint8_t *)(uintptr_t)was;
	told.place.shipped = &around;
	for (size_t i = 0, end; i < n && r >= 0; i = end) {
		struct difference difference = { .at = gva_add(at, i), .kind = "code" };

		end = i + 1;
		if (was[i] == now[i])
			continue;
		for (size_t j = end; j < n && j - end < GAP_BYTES; j++)
			if (was[j] != now[j])
				end = j + 1;
		difference.size_bytes = end - i;
		difference.expected = was + i;
		difference.found = now + i;
		difference_finding(run, told.owners, &told.place, &difference);
	}
	owners_close(&told.owners);
	return r;
}

int image_record(struct check_run *run, const struct self_image *image,
		 const struct difference_place *place, const char *item, gva from, gva to,
		 struct err *err)
{
	int r = 0;

	for (unsigned piece = 0; from.v < to.v && r >= 0; piece++) {
		size_t n = to.v - from.v < PIECE_BYTES ? to.v - from.v : PIECE_BYTES;
		const uint8_t *now = shipped_at(&image->shipped, from, n);
		cleanup(blob_free) struct blob was = {0};
		char name[64];

		if (!now)
			return err_set(err, -EBADMSG, "a part of the kernel's image is missing");
		snprintf(name, sizeof(name), "%s %u", item, piece);
		r = baseline_compare(check_baseline(run), name, now, n, &was, err);
		if (r == BASELINE_DIFFERS && was.size == n)
			r = show(run, place, from, was.data, now, n, err);
		else if (r == BASELINE_DIFFERS)
			r = err_set(err, -EBADMSG, "the record is of another kernel");
		else if (r == BASELINE_NEW)
			check_note(run, "recorded: later sweeps of this boot compare with it");
		check_stands_on(run, r == BASELINE_NEW ? ASSURANCE_NONE : ASSURANCE_BASELINE);
		from = gva_add(from, n);
	}
	return r < 0 ? r : 0;
}
