/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "check/code.h"
#include "check/image_compare.h"

/*
 * Function pointers in data that the kernel can write: which words are such pointers is told by
 * what was shipped there. They may be set to other functions of the kernel and its modules, and
 * to what BPF made, but never into the middle of code or to where no one's code is. Those that
 * only the kernel sets, while it boots, lead to its own: what is read-only afterwards, and the
 * paravirt operations.
 */
#define PIECE_BYTES (128u << 10)

struct pointers {
	struct image_compare compare;
	gva pv_ops;
	uint64_t pv_ops_bytes;	/* 0: there are none */
};

static bool is_of_boot(const struct pointers *pointers, gva at)
{
	const struct kernel_image *image = pointers->compare.image;

	return at.v - pointers->pv_ops.v < pointers->pv_ops_bytes ||
	       (at.v >= image->ro_init.v && at.v < image->ero_init.v);
}

static bool is_good(struct pointers *pointers, gva at, gva target)
{
	if (!target.v)
		return true;
	if (explainer_is_function(pointers->compare.explainer, target))
		return owners_is_kernel_text(pointers->compare.owners, target) ||
		       !is_of_boot(pointers, at);
	return !is_of_boot(pointers, at) &&
	       explainer_is_image(pointers->compare.explainer, target);
}

static void check_word(struct pointers *pointers, gva at, gva shipped, gva found)
{
	struct check_run *run = pointers->compare.run;
	struct owners *owners = pointers->compare.owners;
	char symbol[160], expected[192];
	struct finding *finding;

	if (found.v == shipped.v || is_good(pointers, at, found))
		return;
	finding = check_finding(run, SEVERITY_CRITICAL, "function pointer", at, "%s",
				owner_symbol(owners, at, symbol, sizeof(symbol)));
	snprintf(expected, sizeof(expected), "a function, as %s",
		 owner_symbol(owners, shipped, symbol, sizeof(symbol)));
	code_evidence(run, owners, finding, "function pointer", at, expected, found);
}

/* The first of the pointers, which ascend, that lies at @at or above. */
static size_t first_from(const struct pointers *pointers, gva at)
{
	uint64_t offset = at.v - check_kernel(pointers->compare.run)->text.v;
	size_t low = 0, high;
	const uint32_t *all = kernel_image_pointers(pointers->compare.image, &high);

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (all[middle] < offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The pointers from @first on that lie in [@from, @to), of which the guest has @found. */
static size_t check_words(struct pointers *pointers, size_t first, gva from, gva to,
			  const uint8_t *found)
{
	const struct kernel_image *image = pointers->compare.image;
	gva text = check_kernel(pointers->compare.run)->text;
	size_t n, i = first;
	const uint32_t *at = kernel_image_pointers(image, &n);

	for (; i < n; i++) {
		uint64_t offset = text.v + at[i] - from.v;
		gva is;

		if (offset >= to.v - from.v || to.v - from.v - offset < 8)
			break;
		memcpy(&is.v, found + offset, 8);
		check_word(pointers, gva_add(from, offset), kernel_image_pointer(image, at[i]),
			   is);
	}
	check_covered(pointers->compare.run, "function pointers", i - first);
	return i;
}

/* In pieces: each begins with the pointer that did not lie in the one before as a whole. */
static int check_run_of(struct pointers *pointers, gva from, gva to, struct err *err)
{
	const struct kernel *kernel = check_kernel(pointers->compare.run);
	cleanup(freep) uint8_t *found = malloc(PIECE_BYTES);
	size_t n, next = first_from(pointers, from);
	const uint32_t *at = kernel_image_pointers(pointers->compare.image, &n);

	if (to.v <= from.v || to.v - from.v > VIEW_READ_MAX)
		return err_set(err, -EBADMSG, "the reference's data cannot be");
	if (!found)
		return err_set(err, -ENOMEM, "no memory for data");
	while (next < n && kernel->text.v + at[next] + 8 <= to.v) {
		gva start = gva_add(kernel->text, at[next]), end = to;
		int r;

		if (end.v - start.v > PIECE_BYTES)
			end = gva_of((start.v + PIECE_BYTES) & ~GUEST_PAGE_MASK);
		r = kernel_read_image(kernel, check_view(pointers->compare.run), start, found,
				      end.v - start.v, err);
		if (r < 0)
			return r;
		next = check_words(pointers, next, start, end, found);
	}
	return 0;
}

static int kernel_pointers_run(struct check_run *run, struct err *err)
{
	struct pointers pointers = {0};
	gva data, edata;
	int r;

	r = image_compare_open(run, &pointers.compare, err);
	if (r > 0) {
		const struct symbols *symbols = kernel_image_symbols(pointers.compare.image);

		struct symbol symbol;

		pointers.pv_ops = symbols_lookup(symbols, "pv_ops");
		if (pointers.pv_ops.v && symbols_at(symbols, pointers.pv_ops, &symbol,
						    &pointers.pv_ops_bytes) < 0)
			pointers.pv_ops_bytes = 0;
		r = symbols_find(symbols, "_sdata", &data, err);
		if (r >= 0)
			r = symbols_find(symbols, "_edata", &edata, err);
		if (r >= 0)
			r = check_run_of(&pointers, pointers.compare.image->ro_init,
					 pointers.compare.image->ero_init, err);
		if (r >= 0)
			r = check_run_of(&pointers, data, edata, err);
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
		  "the kernel, of a listed module, or of BPF; of the kernel alone where nobody "
		  "else may set it.",
	.techniques = TECHNIQUES("T1014", "T1574.013"),
	.fuel_max = 60000,
	.worth = 4,
	.run = kernel_pointers_run);
