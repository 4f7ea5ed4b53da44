/* SPDX-License-Identifier: Apache-2.0 */
#include "check/image_compare.h"

int image_compare_open(struct check_run *run, struct image_compare *ret, struct err *err)
{
	int r;

	*ret = (struct image_compare){ .run = run };
	if (!check_reference(run)) {
		check_not_covered(run, "there is no reference of this kernel; see `hvsm reference "
				  "fetch` and `hvsm scan --reference`");
		return 0;
	}
	r = kernel_image_of(check_reference(run), check_kernel(run), check_view(run), &ret->image,
			    err);
	if (r >= 0)
		r = check_owners(run, &ret->owners, err);
	if (r >= 0)
		r = explainer_open(ret->image->patcher, check_view(run), ret->owners,
				   &ret->explainer, err);
	return r < 0 ? r : 1;
}

void image_compare_close(struct image_compare *compare)
{
	explainer_close(&compare->explainer);
	owners_close(&compare->owners);
}

static int tell(const struct difference *difference, bool passing, void *ctx, struct err *err)
{
	struct image_compare *compare = ctx;

	(void)err;
	if (passing)
		compare->passing++;
	else if (compare->is_own && compare->is_own(compare, difference))
		compare->explained += difference->size_bytes;
	else
		difference_finding(compare->run, compare->owners, &compare->place, difference);
	return 0;
}

/* One chunk: it stays in the second-level cache between reading and comparing. */
static int compare_chunk(struct image_compare *compare, gva from, size_t n, struct err *err)
{
	uint8_t *room = kernel_image_room(compare->image);
	const struct kernel *kernel = check_kernel(compare->run);
	struct shipped_part part;
	struct shipped around = { .parts = { &part, 1, 1 } };
	int r;

	r = kernel_read_image(kernel, check_view(compare->run), from, room, n, err);
	if (r >= 0)
		r = kernel_image_part(compare->image, from, n, room + KERNEL_CHUNK_BYTES,
				      &part);
	if (r < 0)
		return r;
	compare->place.shipped = &around;
	r = compare_with(compare->explainer, &compare->image->shipped, &compare->image->sites,
			  from, part.bytes + (from.v - part.at.v), room, n, &compare->explained,
			  tell, compare, err);
	compare->place.shipped = NULL;
	return r;
}

int image_compare(struct image_compare *compare, gva from, gva to, struct err *err)
{
	int r = 0;

	while (from.v < to.v && r >= 0) {
		size_t n = to.v - from.v < KERNEL_CHUNK_BYTES ? to.v - from.v
							      : KERNEL_CHUNK_BYTES;

		r = compare_chunk(compare, from, n, err);
		compare->bytes += n;
		from = gva_add(from, n);
	}
	if (r >= 0 && compare->passing)
		check_inconclusive(compare->run, "the kernel was patching its code while it was "
				   "compared");
	return r;
}
