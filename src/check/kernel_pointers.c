/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "check/code.h"
#include "check/image_compare.h"

/*
 * Function pointers in data that the kernel can write: which words are such pointers is told by
 * what was shipped there. They may be set to other functions of the kernel and its modules, and
 * to what BPF made, but never into the middle of code or to where no one's code is.
 */
#define CHUNK_BYTES (256u << 10)

struct pointers {
	struct image_compare compare;
	uint64_t seen;
};

static bool is_good(struct pointers *pointers, gva target)
{
	struct owner owner;

	if (!target.v || explainer_is_function(pointers->compare.explainer, target))
		return true;
	return owner_of(pointers->compare.owners, target, &owner, NULL) >= 0 &&
	       (owner.kind == OWNER_BPF || owner.kind == OWNER_FTRACE) &&
	       owner.start.v == target.v;
}

static void check_word(struct pointers *pointers, gva at, gva shipped, gva found)
{
	struct check_run *run = pointers->compare.run;
	struct owners *owners = pointers->compare.owners;
	char symbol[160], expected[192];
	struct finding *finding;

	if (!explainer_is_shipped_function(pointers->compare.explainer, shipped))
		return;
	pointers->seen++;
	if (found.v == shipped.v || is_good(pointers, found))
		return;
	finding = check_finding(run, SEVERITY_CRITICAL, "function pointer", at, "%s",
				owner_symbol(owners, at, symbol, sizeof(symbol)));
	snprintf(expected, sizeof(expected), "a function, as %s",
		 owner_symbol(owners, shipped, symbol, sizeof(symbol)));
	code_evidence(run, owners, finding, "function pointer", at, expected, found);
}

static int check_words(struct pointers *pointers, gva from, gva to, struct err *err)
{
	const struct kernel *kernel = check_kernel(pointers->compare.run);
	cleanup(freep) uint8_t *chunk = malloc(CHUNK_BYTES + KERNEL_PART_BYTES(CHUNK_BYTES));
	int r = chunk ? 0 : err_set(err, -ENOMEM, "no memory for data");

	from = gva_of((from.v + 7) & ~7ull);
	while (r >= 0 && to.v > from.v && to.v - from.v >= 8) {
		size_t n = to.v - from.v < CHUNK_BYTES ? (to.v - from.v) & ~7ull : CHUNK_BYTES;
		struct shipped_part part;
		const uint8_t *expected;

		if (kernel_image_part(pointers->compare.image, from, n, chunk + CHUNK_BYTES,
				      &part) < 0)
			return err_set(err, -EBADMSG, "the reference's data end early");
		expected = part.bytes + (from.v - part.at.v);
		r = view_read_phys(check_view(pointers->compare.run),
				   gpa_add(kernel->image, from.v - kernel->text.v), chunk, n, err);
		for (size_t i = 0; i < n && r >= 0; i += 8) {
			gva was, is;

			memcpy(&was.v, expected + i, 8);
			memcpy(&is.v, chunk + i, 8);
			if (was.v >= kernel->text.v)
				check_word(pointers, gva_add(from, i), was, is);
		}
		from = gva_add(from, n);
	}
	return r;
}

static int kernel_pointers_run(struct check_run *run, struct err *err)
{
	struct pointers pointers = {0};
	gva data, edata;
	int r;

	r = image_compare_open(run, &pointers.compare, err);
	if (r > 0) {
		const struct symbols *symbols = kernel_image_symbols(pointers.compare.image);

		r = symbols_find(symbols, "_sdata", &data, err);
		if (r >= 0)
			r = symbols_find(symbols, "_edata", &edata, err);
		if (r >= 0)
			r = check_words(&pointers, pointers.compare.image->ro_init,
					pointers.compare.image->ero_init, err);
		if (r >= 0)
			r = check_words(&pointers, data, edata, err);
		check_covered(run, "function pointers", pointers.seen);
	}
	image_compare_close(&pointers.compare);
	return r;
}

CHECK(kernel_pointers,
	.id = "kernel-pointers",
	.group = GROUP_POINTERS,
	.title = "A function pointer of the kernel leads to no function",
	.proves = "Every function pointer that was shipped in the kernel's writable data, and in "
		  "what is read-only after boot, is empty or leads to the start of a function of "
		  "the kernel, of a listed module, or of BPF.",
	.techniques = TECHNIQUES("T1014", "T1574.013"),
	.fuel_max = 60000,
	.run = kernel_pointers_run);
