/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check/check.h"
#include "reference/kernel_image.h"

/*
 * All that hvsm knows of a kernel comes from that kernel's own symbol table and types. Who
 * forges them leads every other check astray, so they are held against the shipped ones.
 */

/* Of the symbols that differ, these are told. */
#define SHOWN_MAX 8u

static void show_symbol(struct finding *finding, struct symbol expected, struct symbol found)
{
	char was[224], is[224];

	snprintf(was, sizeof(was), "%#" PRIx64 " %c %s", expected.at.v, expected.type,
		 expected.name);
	snprintf(is, sizeof(is), "%#" PRIx64 " %c %s", found.at.v, found.type, found.name);
	finding_evidence(finding, "symbol", found.at, NULL, was, is);
}

static bool is_same(struct symbol a, struct symbol b)
{
	return a.at.v == b.at.v && a.type == b.type && !strcmp(a.name, b.name);
}

static bool compare_symbols(struct check_run *run, const struct symbols *shipped,
			    const struct symbols *found)
{
	size_t n = symbols_count(shipped), m = symbols_count(found);
	struct finding *finding = NULL;
	char was[32], is[32];

	check_covered(run, "symbols", m);
	if (symbols_equal(shipped, found))
		return true;
	for (size_t i = 0; i < n && i < m; i++) {
		struct symbol a = symbols_get(shipped, i), b = symbols_get(found, i);

		if (is_same(a, b))
			continue;
		if (!finding)
			finding = check_finding(run, SEVERITY_CRITICAL, "kernel profile", gva_of(0),
						"symbols");
		if (finding->evidence.n < SHOWN_MAX)
			show_symbol(finding, a, b);
	}
	if (n == m)
		return false;
	finding = check_finding(run, SEVERITY_CRITICAL, "kernel profile", gva_of(0), "symbols");
	snprintf(was, sizeof(was), "%zu symbols", n);
	snprintf(is, sizeof(is), "%zu symbols", m);
	finding_evidence(finding, "symbol table", gva_of(0), NULL, was, is);
	return false;
}

static bool compare_types(struct check_run *run, const struct types *shipped,
			  const struct types *found)
{
	struct finding *finding;
	char was[64], is[64];

	check_covered(run, "types", types_count(found));
	if (types_equal(shipped, found))
		return true;
	finding = check_finding(run, SEVERITY_CRITICAL, "kernel profile", gva_of(0), "types");
	snprintf(was, sizeof(was), "%u types, %zu bytes", types_count(shipped),
		 types_bytes(shipped));
	snprintf(is, sizeof(is), "%u types, %zu bytes%s", types_count(found), types_bytes(found),
		 types_bytes(found) == types_bytes(shipped) ? ", others" : "");
	finding_evidence(finding, "BTF", gva_of(0), NULL, was, is);
	return false;
}

/*
 * Neither side changes while both are there: what was read of the guest when it was attached to,
 * and what was shipped. So one comparison serves all sweeps of one boot.
 */
struct same {
	struct kernel_boot boot;
	gva text;
	const struct symbols *symbols, *shipped_symbols;
	const struct types *shipped_types;
};

static struct same same_of(const struct kernel *kernel, const struct kernel_image *image)
{
	struct same same;

	memset(&same, 0, sizeof(same));		/* what lies between the members, too */
	same.boot = kernel->boot;
	same.text = kernel->text;
	same.symbols = kernel->symbols;
	same.shipped_symbols = kernel_image_symbols(image);
	same.shipped_types = kernel_image_types(image);
	return same;
}

static const char same_key[1];

static bool was_same(const struct kernel *kernel, const struct same *same)
{
	const struct same *kept = types_kept(kernel->types, same_key);

	return kept && !memcmp(kept, same, sizeof(*same));
}

/* Without memory they are compared again. */
static void keep_same(const struct kernel *kernel, const struct same *same)
{
	struct same *kept = types_kept(kernel->types, same_key) ? NULL : malloc(sizeof(*kept));

	if (!kept)
		return;
	*kept = *same;
	if (types_keep(kernel->types, same_key, kept, free) < 0)
		free(kept);
}

static int kernel_profile_run(struct check_run *run, struct err *err)
{
	const struct kernel *kernel = check_kernel(run);
	const struct kernel_image *image;
	struct same same;
	int r;

	if (!check_reference(run)) {
		check_not_covered(run, "there is no reference of this kernel; see `hvsm reference "
				  "fetch` and `hvsm scan --reference`");
		return 0;
	}
	r = kernel_image_of(check_reference(run), kernel, check_view(run), &image, err);
	if (r < 0)
		return r;
	same = same_of(kernel, image);
	if (was_same(kernel, &same)) {
		check_covered(run, "symbols", symbols_count(kernel->symbols));
		check_covered(run, "types", types_count(kernel->types));
	} else {
		bool symbols = compare_symbols(run, kernel_image_symbols(image), kernel->symbols);
		bool types = compare_types(run, kernel_image_types(image), kernel->types);

		if (symbols && types)
			keep_same(kernel, &same);
	}
	check_stands_on(run, ASSURANCE_REFERENCE);
	return 0;
}

CHECK(kernel_profile,
	.id = "kernel-profile",
	.group = GROUP_CODE,
	.title = "The kernel's description of itself is not what was shipped",
	.proves = "The symbols and types that hvsm read from the guest, and found everything else "
		  "with, are those of the distribution's own package.",
	.techniques = TECHNIQUES("T1014", "T1036"),
	.fuel_max = 20000,
	.run = kernel_profile_run);
