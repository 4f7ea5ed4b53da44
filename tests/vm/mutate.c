/* SPDX-License-Identifier: Apache-2.0 */

/*
 * mutate IMAGE FLIPS SEED REFERENCE... - is every changed byte found?
 *
 * FLIPS times one random byte of the kernel's text or constants, or of a module's, is changed
 * to something else, as hvsm reads it: the image itself stays as it is. The checks of code must
 * then report exactly one finding, at that byte, by the right check; and none once all is as it
 * was. Prints each byte of which that is not so, and a line of JSON with the sums; ends with 1
 * where there was one.
 *
 * Left out, since nothing says what they should be: the constants' ro_after_init, which the
 * kernel writes while it boots, and what is left of the page behind the last constant
 * ("padding"), where the boot loader's memory shows through. Nothing there can be executed.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "check/run.h"
#include "linux/kernel.h"
#include "linux/module.h"
#include "linux/owner.h"
#include "ram/image.h"
#include "reference/kernel_image.h"
#include "reference/reference.h"

/* Of a finding's place: what differs is shown from the changed byte on, give or take a word. */
#define NEAR_BYTES 8u

/* The rig draws from each kind of memory by these shares. */
static const struct kind {
	const char *what;
	const char *check;
	unsigned share;		/* of 100 */
} kinds[] = {
	{ "kernel code", "kernel-code", 45 },
	{ "kernel constants", "kernel-rodata", 20 },
	{ "module code", "module-code", 25 },
	{ "module constants", "module-code", 10 },
};

struct area {
	size_t kind;
	gva at;
	uint64_t size_bytes;
};

enum outcome { FOUND, MISSED, UNSURE, ASTRAY, DOUBLE, OUTCOMES };

static const char *const outcome_names[] = {
	"found", "missed", "inconclusive", "astray", "twice",
};

static struct {
	struct ram *ram;
	const struct ram_ops *inner;
	struct view *view;
	struct kernel *kernel;
	struct check_sources sources;
	VEC(struct area) areas;
	uint64_t bytes[ARRAY_SIZE(kinds)], padding;
	gpa flipped;		/* the byte that reads otherwise; 0: none */
	uint8_t by;		/* what it is xor-ed with */
	uint64_t random;
	uint64_t sums[ARRAY_SIZE(kinds)][OUTCOMES];
} g;

static void die(const char *what, const struct err *err)
{
	fprintf(stderr, "mutate: %s%s%s\n", what, err && err->text[0] ? ": " : "",
		err ? err->text : "");
	exit(2);
}

/* xorshift64* */
static uint64_t draw(uint64_t n)
{
	g.random ^= g.random >> 12;
	g.random ^= g.random << 25;
	g.random ^= g.random >> 27;
	return g.random * 0x2545f4914f6cdd1d % n;
}

static int read_flipped(struct ram *ram, size_t range, uint64_t offset, void *buf, size_t len,
			struct err *err)
{
	uint64_t at = ram->ranges[range].start.v + offset;
	int r = g.inner->read(ram, range, offset, buf, len, err);

	if (r >= 0 && g.flipped.v && g.flipped.v - at < len)
		((uint8_t *)buf)[g.flipped.v - at] ^= g.by;
	return r;
}

static void add_area(size_t kind, gva from, gva to)
{
	struct area *area = to.v > from.v ? vec_add(&g.areas) : NULL;

	if (!area)
		return;
	*area = (struct area){ kind, from, to.v - from.v };
	g.bytes[kind] += area->size_bytes;
}

static gva symbol(const char *name)
{
	struct err err = {0};
	gva at;

	if (kernel_symbol(g.kernel, name, &at, &err) < 0)
		die("symbol", &err);
	return at;
}

static void add_modules(void)
{
	struct modules modules = {0};
	struct err err = {0};

	if (modules_read(g.kernel, g.view, MODULE_BY_LIST, &modules, &err) < 0)
		die("modules", &err);
	for (size_t i = 0; i < modules.list.n; i++) {
		const struct module_area *text = &modules.list.v[i].area[MODULE_TEXT];
		const struct module_area *rodata = &modules.list.v[i].area[MODULE_RODATA];

		add_area(2, text->at, gva_add(text->at, text->size_bytes));
		add_area(3, rodata->at, gva_add(rodata->at, rodata->size_bytes));
	}
	modules_free(&modules);
}

static void add_kernel(void)
{
	const struct kernel_image *image;
	struct err err = {0};
	gva end = symbol("__end_rodata");

	if (kernel_image_of(g.sources.reference, g.kernel, g.view, &image, &err) < 0)
		die("kernel image", &err);
	add_area(0, symbol("_text"), gva_of((symbol("_etext").v + GUEST_PAGE_MASK) &
					    ~(uint64_t)GUEST_PAGE_MASK));
	add_area(1, symbol("__start_rodata"), symbol("__start_ro_after_init"));
	add_area(1, symbol("__end_ro_after_init"), image->erodata);
	g.padding = end.v - image->erodata.v;
	if (g.padding > GUEST_PAGE_SIZE)
		die("there is more than a page behind the last constant", NULL);
}

static void attach(const char *image, const char *const *references, size_t n)
{
	static struct ram_ops ops;
	struct reference_options options = { .paths = references, .paths_n = n };
	struct err err = {0};

	if (image_open(image, &g.ram, &err) < 0)
		die("image", &err);
	g.inner = g.ram->ops;
	ops = *g.inner;
	ops.read = read_flipped;
	g.ram->ops = &ops;
	if (view_open(g.ram, VIEW_FUEL_ATTACH, &g.view) < 0)
		die("no memory", NULL);
	if (kernel_open(g.view, &g.kernel, &err) < 0)
		die("kernel", &err);
	if (reference_open(&options, g.kernel, &g.sources.reference, &err) < 0)
		die("reference", &err);
	view_refuel(g.view, VIEW_FUEL_SWEEP);
	add_kernel();
	add_modules();
}

/* Run the checks of code once; how many findings, and one of them. */
static size_t run_checks(struct check_result *results, size_t *unsure)
{
	size_t found = 0, n = 0;

	*unsure = 0;
	for (size_t i = 0; i < ARRAY_SIZE(kinds) - 1; i++) {
		struct check_result *result = &results[n];

		result->check = check_by_id(kinds[i].check);
		if (!result->check)
			continue;
		result->sources = &g.sources;
		view_set_kernel(g.view, g.kernel->space);
		view_refuel(g.view, VIEW_FUEL_SWEEP);
		view_refresh(g.view);
		check_execute(result->check, g.kernel, g.view, result);
		found += result->findings.n;
		*unsure += result->state == CHECK_INCONCLUSIVE || result->incomplete;
		n++;
	}
	return found;
}

static bool is_near(const struct finding *finding, gva at)
{
	for (size_t i = 0; i < finding->evidence.n; i++)
		if (at.v - finding->evidence.v[i].at.v + NEAR_BYTES < 2 * NEAR_BYTES + 64)
			return true;
	return false;
}

static const struct area *pick(gva *at)
{
	uint64_t share = draw(100), in;
	size_t kind = 0;

	while (share >= kinds[kind].share)
		share -= kinds[kind++].share;
	while (!g.bytes[kind])
		kind--;
	in = draw(g.bytes[kind]);
	for (size_t i = 0; i < g.areas.n; i++) {
		const struct area *area = &g.areas.v[i];

		if (area->kind != kind)
			continue;
		if (in < area->size_bytes) {
			*at = gva_add(area->at, in);
			return area;
		}
		in -= area->size_bytes;
	}
	return NULL;
}

static void tell(const struct area *area, gva at, uint8_t was, enum outcome outcome,
		 const struct check_result *results)
{
	struct owners *owners = NULL;
	char name[160];

	view_refresh(g.view);
	if (owners_open(g.kernel, g.view, &owners, NULL) < 0)
		die("owners", NULL);
	printf("%s: %s %#" PRIx64 " %s: %02x became %02x\n", outcome_names[outcome],
	       kinds[area->kind].what, at.v, owner_symbol(owners, at, name, sizeof(name)), was,
	       was ^ g.by);
	owners_close(&owners);
	for (size_t i = 0; i < ARRAY_SIZE(kinds) && results[i].check; i++) {
		const struct check_result *result = &results[i];

		if (result->reason[0])
			printf("  %s: %s\n", result->check->id, result->reason);
		for (size_t j = 0; j < result->findings.n; j++)
			printf("  %s: %s at %#" PRIx64 "\n", result->check->id,
			       result->findings.v[j]->object_name,
			       result->findings.v[j]->evidence.n ?
			       result->findings.v[j]->evidence.v[0].at.v : 0);
	}
}

static enum outcome judge(const struct area *area, gva at, const struct check_result *results,
			  size_t found, size_t unsure)
{
	if (found > 1)
		return DOUBLE;
	if (!found)
		return unsure ? UNSURE : MISSED;
	for (size_t i = 0; i < ARRAY_SIZE(kinds) && results[i].check; i++)
		if (results[i].findings.n && !strcmp(results[i].check->id,
						     kinds[area->kind].check))
			return is_near(results[i].findings.v[0], at) ? FOUND : ASTRAY;
	return ASTRAY;
}

/* Change one byte; false: nothing is there. */
static bool flip(void)
{
	struct check_result results[ARRAY_SIZE(kinds)] = {0};
	struct mapping map;
	const struct area *area;
	enum outcome outcome;
	size_t found, unsure;
	uint8_t was;
	gva at;

	area = pick(&at);
	if (!area)
		die("nothing to change", NULL);
	view_refuel(g.view, VIEW_FUEL_SWEEP);
	view_refresh(g.view);
	if (view_translate(g.view, g.kernel->space, at, &map, NULL) < 0 ||
	    view_u8(g.view, at, &was, NULL) < 0)
		return false;
	g.by = (uint8_t)(1 + draw(255));
	g.flipped = map.at;
	found = run_checks(results, &unsure);
	g.flipped = gpa_of(0);
	outcome = judge(area, at, results, found, unsure);
	g.sums[area->kind][outcome]++;
	if (outcome != FOUND)
		tell(area, at, was, outcome, results);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		check_result_clear(&results[i]);
	return true;
}

/* As it is, nothing is found, and nothing is unsure. */
static void expect_clean(void)
{
	struct check_result results[ARRAY_SIZE(kinds)] = {0};
	size_t unsure, found = run_checks(results, &unsure);

	for (size_t i = 0; i < ARRAY_SIZE(kinds) && results[i].check; i++)
		if (results[i].state != CHECK_CLEAN)
			fprintf(stderr, "mutate: %s: %zu findings %s\n", results[i].check->id,
				results[i].findings.n, results[i].reason);
	if (found || unsure)
		die("not clean as it is", NULL);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		check_result_clear(&results[i]);
}

int main(int argc, char **argv)
{
	uint64_t flips = argc > 2 ? strtoull(argv[2], NULL, 10) : 0, bad = 0;

	if (argc < 5 || !flips)
		die("usage: mutate IMAGE FLIPS SEED REFERENCE...", NULL);
	g.random = strtoull(argv[3], NULL, 10) * 0x9e3779b97f4a7c15 + 1;
	attach(argv[1], (const char *const *)argv + 4, (size_t)argc - 4);
	expect_clean();
	for (uint64_t i = 0; i < flips;)
		i += flip();
	expect_clean();

	printf("{\"seed\": %s, \"padding\": %" PRIu64, argv[3], g.padding);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		printf(", \"%s\": {\"bytes\": %" PRIu64, kinds[i].what, g.bytes[i]);
		for (size_t j = 0; j < OUTCOMES; j++) {
			printf(", \"%s\": %" PRIu64, outcome_names[j], g.sums[i][j]);
			bad += j == FOUND ? 0 : g.sums[i][j];
		}
		printf("}");
	}
	printf("}\n");
	reference_close(&g.sources.reference);
	kernel_close(&g.kernel);
	view_close(&g.view);
	ram_close(&g.ram);
	vec_free(&g.areas);
	return bad ? 1 : 0;
}
