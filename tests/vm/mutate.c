/* SPDX-License-Identifier: Apache-2.0 */

/*
 * mutate IMAGE FLIPS SEED REFERENCE... - is every changed byte found?
 *
 * FLIPS times one random byte of the kernel's text or constants, or of a module's, is changed
 * to something else, as hvsm reads it: the image itself stays as it is. Or one of the places
 * that the kernel patches is changed to what might well stand there, but should not just now.
 * The checks of code must
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
#include "linux/exec.h"
#include "linux/kernel.h"
#include "linux/module.h"
#include "linux/owner.h"
#include "ram/image.h"
#include "reference/kernel_image.h"
#include "reference/reference.h"

/* Of a finding's place: what differs is shown from the changed byte on, give or take a word. */
#define NEAR_BYTES 8u

#define CHANGED_MAX 8u

/* The rig draws from each kind of memory by these shares. */
static const struct kind {
	const char *what;
	const char *check;
	unsigned share;		/* of 100 */
} kinds[] = {
	{ "kernel code", "kernel-code", 30 },
	{ "kernel constants", "kernel-rodata", 15 },
	{ "module code", "module-code", 20 },
	{ "module constants", "module-code", 10 },
	{ "patched places", "kernel-code", 20 },
	{ "trampolines", "ftrace-trampolines", 5 },
};

enum { KERNEL_CODE, KERNEL_CONSTANTS, MODULE_CODE, MODULE_CONSTANTS, SITES, TRAMPOLINES };

static const char *const checks[] = {
	"kernel-code", "kernel-rodata", "module-code", "ftrace-trampolines",
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
	const struct kernel_image *image;
	gpa at;			/* where it reads otherwise; 0: nowhere */
	size_t n;
	uint8_t old[CHANGED_MAX], new[CHANGED_MAX];
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

static int read_changed(struct ram *ram, size_t range, uint64_t offset, void *buf, size_t len,
			struct err *err)
{
	uint64_t at = ram->ranges[range].start.v + offset;
	int r = g.inner->read(ram, range, offset, buf, len, err);

	for (size_t i = 0; r >= 0 && g.at.v && i < g.n; i++)
		if (g.at.v + i - at < len)
			((uint8_t *)buf)[g.at.v + i - at] = g.new[i];
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

		add_area(MODULE_CODE, text->at, gva_add(text->at, text->size_bytes));
		add_area(MODULE_CONSTANTS, rodata->at, gva_add(rodata->at, rodata->size_bytes));
	}
	modules_free(&modules);
}

/* Of ftrace: there are some while a tracer has functions of its own. */
static void add_trampolines(void)
{
	struct exec_ranges exec = {0};
	struct owners *owners = NULL;
	struct err err = {0};

	if (owners_open(g.kernel, g.view, &owners, &err) < 0 ||
	    exec_read(g.kernel, g.view, owners, &exec, &err) < 0)
		die("executable memory", &err);
	for (size_t i = 0; i < exec.list.n; i++) {
		struct owner owner;

		if (exec.list.v[i].kind == OWNER_FTRACE &&
		    owner_of(owners, exec.list.v[i].start, &owner, &err) >= 0)
			add_area(TRAMPOLINES, owner.start,
				 gva_add(owner.start, owner.size_bytes));
	}
	exec_free(&exec);
	owners_close(&owners);
}

static void add_kernel(void)
{
	struct err err = {0};
	gva end = symbol("__end_rodata");
	struct sites_at walk = {0};
	struct site site;

	if (kernel_image_of(g.sources.reference, g.kernel, g.view, &g.image, &err) < 0)
		die("kernel image", &err);
	add_area(KERNEL_CODE, symbol("_text"), gva_of((symbol("_etext").v + GUEST_PAGE_MASK) &
						      ~(uint64_t)GUEST_PAGE_MASK));
	add_area(KERNEL_CONSTANTS, symbol("__start_rodata"), symbol("__start_ro_after_init"));
	add_area(KERNEL_CONSTANTS, symbol("__end_ro_after_init"), g.image->erodata);
	while (sites_next(&g.image->sites, &walk, &site))
		g.bytes[SITES] += site.size_bytes;
	g.padding = end.v - g.image->erodata.v;
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
	ops.read = read_changed;
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
	add_trampolines();
}

/* Run the checks of code once; how many findings, and one of them. */
static size_t run_checks(struct check_result *results, size_t *unsure)
{
	size_t found = 0;

	*unsure = 0;
	for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
		struct check_result *result = &results[i];

		result->check = check_by_id(checks[i]);
		result->sources = &g.sources;
		view_set_kernel(g.view, g.kernel->space);
		view_refuel(g.view, VIEW_FUEL_SWEEP);
		view_refresh(g.view);
		check_execute(result->check, g.kernel, g.view, result);
		found += result->findings.n;
		*unsure += result->state == CHECK_INCONCLUSIVE || result->incomplete;
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

static gva pick_byte(size_t kind)
{
	uint64_t in = draw(g.bytes[kind]);

	for (size_t i = 0; i < g.areas.n; i++) {
		const struct area *area = &g.areas.v[i];

		if (area->kind != kind)
			continue;
		if (in < area->size_bytes)
			return gva_add(area->at, in);
		in -= area->size_bytes;
	}
	die("nothing to change", NULL);
	return gva_of(0);
}

/* The start of any function of the kernel. */
static gva pick_function(void)
{
	for (;;) {
		struct symbol s = symbols_get(g.kernel->symbols,
					      draw(symbols_count(g.kernel->symbols)));

		if ((s.type | 0x20) == 't' && s.at.v >= g.image->text.v &&
		    s.at.v < g.image->etext.v)
			return s.at;
	}
}

static void branch(uint8_t opcode, gva at, gva to)
{
	int32_t rel = (int32_t)(to.v - (at.v + 5));

	g.new[0] = opcode;
	memcpy(g.new + 1, &rel, sizeof(rel));
	g.n = 5;
}

static void bytes(const char *text, size_t n)
{
	memcpy(g.new, text, n);
	g.n = n;
}

static const char *const tracers[] = { "ftrace_caller", "ftrace_regs_caller" };

/*
 * A place from which ftrace calls someone may do so by its trampoline for all, as by one for him; and
 * a NOP is what was shipped (docs/patching.md).
 */
static bool is_right_as_well(const struct site *site)
{
	int32_t rel;

	if (site->kind != TABLE_MCOUNT || g.n != 5 || g.old[0] != 0xe8)
		return false;
	if (!memcmp(g.new, "\x0f\x1f\x44\x00\x00", 5))
		return true;
	if (g.new[0] != 0xe8)
		return false;
	memcpy(&rel, g.new + 1, sizeof(rel));
	for (size_t i = 0; i < ARRAY_SIZE(tracers); i++)
		if (gva_add(site->at, (uint64_t)(int64_t)rel + 5).v == symbol(tracers[i]).v)
			return true;
	return false;
}

/* What could stand where the kernel patches its code: it has all of these somewhere. */
static void change_site(gva at)
{
	/* No return thunk: a static call that returns does so by that or by "ret". */
	static const char *const thunks[] = {
		"__x86_indirect_thunk_rax", "__x86_indirect_thunk_r11",
	};

	switch (draw(12)) {
	case 0:
		return bytes("\x0f\x1f\x44\x00\x00", 5);
	case 1:
		return branch(0xe8, at, pick_function());
	case 2:
		return branch(0xe9, at, pick_function());
	case 3:
		return bytes("\xcc", 1);
	case 4:
		return branch(0xe8, at, symbol(tracers[draw(ARRAY_SIZE(tracers))]));
	case 5:
		return bytes("\xc3\xcc\xcc\xcc\xcc", 5);
	case 6:
		return branch(0xe9, at, symbol(thunks[draw(ARRAY_SIZE(thunks))]));
	case 7:
		return branch(0xe8, at, symbol(thunks[draw(ARRAY_SIZE(thunks))]));
	case 8:
		return branch(0xe9, at, gva_add(at, 8 + draw(64)));
	case 9:
		return bytes("\x66\x90", 2);
	case 10:
		return bytes(draw(2) ? "\x3e" : "\xf0", 1);
	default:
		g.new[1] = (uint8_t)draw(64);
		g.new[0] = 0xeb;
		g.n = 2;
	}
}

static struct site any_site(void)
{
	size_t n = draw(g.image->sites.n);
	struct sites_at walk = {0};
	struct site site = {0};

	for (size_t i = 0; i <= n; i++)
		if (!sites_next(&g.image->sites, &walk, &site))
			break;
	return site;
}

/* What to change, and to what; false: nothing can be there, or it is the same. */
static bool choose(size_t kind, gva *at)
{
	struct site site;
	struct mapping map;

	g.n = 1;
	if (kind == SITES) {
		site = any_site();
		*at = site.at;
		if (at->v >= g.image->etext.v)
			return false;	/* freed after boot */
		change_site(*at);
	} else {
		*at = pick_byte(kind);
	}
	view_refuel(g.view, VIEW_FUEL_SWEEP);
	view_refresh(g.view);
	if (view_translate(g.view, g.kernel->space, *at, &map, NULL) < 0 ||
	    view_read(g.view, *at, g.old, g.n, NULL) < 0)
		return false;
	if (kind != SITES)
		g.new[0] = (uint8_t)(g.old[0] ^ (1 + draw(255)));
	g.at = map.at;
	return memcmp(g.new, g.old, g.n) && !(kind == SITES && is_right_as_well(&site));
}

static void print_bytes(const uint8_t *from)
{
	for (size_t i = 0; i < g.n; i++)
		printf("%02x", from[i]);
}

static void tell(size_t kind, gva at, enum outcome outcome, const struct check_result *results)
{
	struct owners *owners = NULL;
	char name[160];

	view_refresh(g.view);
	if (owners_open(g.kernel, g.view, &owners, NULL) < 0)
		die("owners", NULL);
	printf("%s: %s %#" PRIx64 " %s: ", outcome_names[outcome], kinds[kind].what, at.v,
	       owner_symbol(owners, at, name, sizeof(name)));
	print_bytes(g.old);
	printf(" became ");
	print_bytes(g.new);
	printf("\n");
	owners_close(&owners);
	for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
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

static enum outcome judge(size_t kind, gva at, const struct check_result *results, size_t found,
			  size_t unsure)
{
	if (found > 1)
		return DOUBLE;
	if (!found)
		return unsure ? UNSURE : MISSED;
	for (size_t i = 0; i < ARRAY_SIZE(checks); i++)
		if (results[i].findings.n && !strcmp(checks[i], kinds[kind].check))
			return is_near(results[i].findings.v[0], at) ? FOUND : ASTRAY;
	return ASTRAY;
}

/* Change one place; false: there is nothing to change. */
static bool change(void)
{
	struct check_result results[ARRAY_SIZE(checks)] = {0};
	uint64_t share = draw(100);
	size_t kind = 0, found, unsure;
	enum outcome outcome;
	bool chosen;
	gva at;

	while (share >= kinds[kind].share)
		share -= kinds[kind++].share;
	chosen = g.bytes[kind] && choose(kind, &at);
	found = chosen ? run_checks(results, &unsure) : 0;
	g.at = gpa_of(0);
	if (!chosen)
		return false;
	outcome = judge(kind, at, results, found, unsure);
	g.sums[kind][outcome]++;
	if (outcome != FOUND)
		tell(kind, at, outcome, results);
	for (size_t i = 0; i < ARRAY_SIZE(checks); i++)
		check_result_clear(&results[i]);
	return true;
}

/* As it is, nothing is found, and nothing is unsure. */
static void expect_clean(void)
{
	struct check_result results[ARRAY_SIZE(checks)] = {0};
	size_t unsure, found = run_checks(results, &unsure);

	for (size_t i = 0; i < ARRAY_SIZE(checks); i++)
		if (results[i].state != CHECK_CLEAN)
			fprintf(stderr, "mutate: %s: %zu findings %s\n", checks[i],
				results[i].findings.n, results[i].reason);
	if (found || unsure)
		die("not clean as it is", NULL);
	for (size_t i = 0; i < ARRAY_SIZE(checks); i++)
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
		i += change();
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
