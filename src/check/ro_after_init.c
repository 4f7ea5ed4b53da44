/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "check/difference.h"
#include "reference/baseline.h"

/*
 * What the kernel computes while it boots and never changes afterwards: no package knows it, but
 * it is the same in each sweep of one boot.
 */
#define ITEM "ro_after_init"

struct compared {
	struct check_run *run;
	struct owners *owners;
	struct shipped was;	/* one part: what was recorded */
	gva at;
	const uint8_t *now;
	size_t size;
};

static void tell(struct compared *compared)
{
	struct difference_place place = {
		SEVERITY_CRITICAL, "kernel constant", "kernel", &compared->was, .data = true,
	};
	const uint8_t *was = compared->was.parts.v[0].bytes, *now = compared->now;

	for (size_t i = 0; i + 8 <= compared->size; i += 8) {
		struct difference difference = {
			.at = gva_add(compared->at, i), .size_bytes = 8, .expected = was + i,
			.found = now + i, .kind = "constant",
		};

		if (memcmp(was + i, now + i, 8))
			difference_finding(compared->run, compared->owners, &place, &difference);
	}
}

static int show(struct check_run *run, gva at, const uint8_t *now, const struct blob *was,
		struct err *err)
{
	struct compared compared = { .run = run, .at = at, .now = now, .size = was->size };
	struct shipped_part *part;
	int r;

	r = check_owners(run, &compared.owners, err);
	if (r < 0)
		return r;
	part = shipped_add(&compared.was, ITEM, at, was->size, 0);
	if (part) {
		memcpy(part->bytes, was->data, was->size);
		tell(&compared);
	} else {
		r = err_set(err, -ENOMEM, "no memory for what was recorded");
	}
	shipped_free(&compared.was);
	owners_close(&compared.owners);
	return r;
}

static int compare(struct check_run *run, gva at, const uint8_t *now, size_t size,
		   struct err *err)
{
	struct blob was = {0};
	int r = baseline_compare(check_baseline(run), ITEM, now, size, &was, err);

	if (r == BASELINE_DIFFERS && was.size != size)
		r = err_set(err, -EBADMSG, "the baseline is of another kernel");
	else if (r == BASELINE_DIFFERS)
		r = show(run, at, now, &was, err);
	else if (r == BASELINE_NEW)
		check_note(run, "recorded: later sweeps of this boot compare with it");
	if (r >= 0)
		check_covered(run, "KiB of constants", size >> 10);
	blob_free(&was);
	return r < 0 ? r : 0;
}

static int ro_after_init_run(struct check_run *run, struct err *err)
{
	const struct kernel *kernel = check_kernel(run);
	cleanup(freep) uint8_t *now = NULL;
	gva start, end;
	int r;

	if (!check_baseline(run)) {
		check_not_covered(run, "nothing is recorded of this boot of the guest");
		return 0;
	}
	r = kernel_symbol(kernel, "__start_ro_after_init", &start, err);
	if (r >= 0)
		r = kernel_symbol(kernel, "__end_ro_after_init", &end, err);
	if (r < 0)
		return r;
	if (start.v < kernel->text.v || end.v <= start.v || end.v > kernel->end.v)
		return err_set(err, -EBADMSG, "ro_after_init is outside of the kernel's image");
	now = malloc(end.v - start.v);
	if (!now)
		return err_set(err, -ENOMEM, "no memory for what is compared");
	r = kernel_read_image(kernel, check_view(run), start, now, end.v - start.v, err);
	return r < 0 ? r : compare(run, start, now, end.v - start.v, err);
}

CHECK(ro_after_init,
	.id = "ro-after-init",
	.group = GROUP_CODE,
	.title = "What is constant since boot has changed",
	.proves = "The kernel's data that are read-only once it has booted (ro_after_init) are "
		  "what they were in the first sweep of this boot.",
	.techniques = TECHNIQUES("T1014"),
	.fuel_max = 20000,
	.run = ro_after_init_run);
