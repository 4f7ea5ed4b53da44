/* SPDX-License-Identifier: Apache-2.0 */
#include "check/hooked.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "check/code.h"

/* Code that was freed when the kernel was up, and what is left of its symbols. */
static bool is_freed(const struct hooked *hooked, gva target)
{
	const struct symbols *symbols = hooked->walk.kernel->symbols;
	gva start = symbols_lookup(symbols, "_sinittext");
	gva end = symbols_lookup(symbols, "_einittext");

	return start.v && target.v >= start.v && target.v < end.v &&
	       symbols_is_start(symbols, target, NULL);
}

/* From where to where modules lie: most addresses that are asked for are not in between. */
static void find_span(struct hooked *hooked)
{
	const struct modules *modules = owners_modules(hooked->owners);

	hooked->first = gva_of(UINT64_MAX);
	for (size_t i = 0; i < modules->list.n; i++)
		for (size_t kind = 0; kind < MODULE_AREAS; kind++) {
			const struct module_area *area = &modules->list.v[i].area[kind];
			gva end = gva_add(area->at, area->size_bytes);

			if (!area->size_bytes)
				continue;
			if (area->at.v < hooked->first.v)
				hooked->first = area->at;
			if (end.v > hooked->end.v)
				hooked->end = end;
		}
}

/* In whose memory a table lies: a listed module, or NULL. */
static const struct module_info *module_at(const struct hooked *hooked, gva at)
{
	const struct modules *modules = owners_modules(hooked->owners);

	if (at.v < hooked->first.v || at.v >= hooked->end.v)
		return NULL;
	for (size_t i = 0; i < modules->list.n; i++)
		if (modules->list.v[i].found_by & MODULE_BY_LIST &&
		    module_has(&modules->list.v[i], at, NULL))
			return &modules->list.v[i];
	return NULL;
}

static bool is_of_image(const struct hooked *hooked, gva at)
{
	return at.v >= hooked->walk.kernel->text.v && at.v < hooked->walk.kernel->end.v;
}

/*
 * Is it the only one of its name? Static functions may be called alike, and the types know one of
 * them, any one (pahole before 1.25 took the first that it met).
 */
static bool is_only(const struct symbols *symbols, const struct symbol *symbol)
{
	size_t n = symbols_count(symbols);

	for (size_t i = 0; i < n; i++) {
		struct symbol other = symbols_get(symbols, i);

		if (other.at.v != symbol->at.v && !strcmp(other.name, symbol->name))
			return false;
	}
	return true;
}

/* Is it a constant of the kernel? kernel-rodata proves that these are as shipped. */
static bool is_constant(const struct hooked *hooked, gva at)
{
	return at.v >= hooked->rodata.v && at.v < hooked->erodata.v;
}

/* Symbols and types are of one kernel, and so is what fits. Some ten thousand pairs do. */
#define ALIKE_MAX 65536u

static void alike_free(void *object)
{
	map_free(object);
	free(object);
}

/* NULL: no memory, and each pair is looked at each time. */
static struct map *alike_of(struct types *types)
{
	static const char key[1];
	struct map *alike = types_kept(types, key);

	if (alike)
		return alike;
	alike = calloc(1, sizeof(*alike));
	if (alike && types_keep(types, key, alike, alike_free) < 0) {
		free(alike);
		return NULL;
	}
	return alike;
}

/*
 * Does the function take what it will be given? Where the kernel is built to cast, it does so in
 * its constants.
 */
static bool is_alike(struct hooked *hooked, const struct hook *hook)
{
	const struct kernel *kernel = hooked->walk.kernel;
	struct symbol symbol;
	int r = 0;

	/* Unlike for any two of them: addresses of the image differ in their low half only. */
	uint64_t pair = hook->target.v ^ (uint64_t)hook->prototype << 40;

	if (!hook->prototype || is_constant(hooked, hook->at) ||
	    !is_of_image(hooked, hook->target) ||
	    (hooked->alike && map_get(hooked->alike, pair, NULL)) ||
	    symbols_at(kernel->symbols, hook->target, &symbol, NULL) < 0)
		return true;
	if (!types_alike(kernel->types, hook->prototype,
			 types_function(kernel->types, symbol.name)) &&
	    is_only(kernel->symbols, &symbol))
		return false;
	if (hooked->alike && hooked->alike->n < ALIKE_MAX)
		r = map_put(hooked->alike, pair, 1);
	(void)r;	/* without memory it is looked at again */
	return true;
}

/* Does @module use what @other has? Then it may name its functions. */
static bool depends_on(const struct hooked *hooked, const struct module_info *module,
		       const struct module_info *other)
{
	struct module_info whole = {0};
	bool found = false;
	int r = module_read(hooked->walk.kernel, hooked->walk.view, other->at, true, &whole, NULL);

	for (size_t i = 0; i < whole.used_by.n; i++)
		found |= whole.used_by.v[i].v == module->at.v;
	module_free(&whole);
	return found || r < 0;
}

/* May a table that lies there have functions from here? */
static bool is_at_home(const struct hooked *hooked, const struct hook *hook)
{
	const struct module_info *table, *target;

	if (is_of_image(hooked, hook->target))
		return true;
	if (is_of_image(hooked, hook->table))
		return false;
	table = module_at(hooked, hook->table);
	target = module_at(hooked, hook->target);
	return !table || !target || table == target || depends_on(hooked, table, target);
}

/* May what belongs there have functions from here? */
static bool is_of_home(const struct hooked *hooked, const struct hook *hook)
{
	const struct module_info *home, *target;

	if (is_of_image(hooked, hook->target))
		return true;
	if (is_of_image(hooked, hook->object->home))
		return false;
	home = module_at(hooked, hook->object->home);
	target = module_at(hooked, hook->target);
	return !home || !target || home == target || depends_on(hooked, home, target) ||
	       depends_on(hooked, target, home);
}

/* NULL: a pointer that may be what it is. */
static const char *why_not(struct hooked *hooked, const struct hook *hook)
{
	if (!is_alike(hooked, hook))
		return "a function that takes what it is given";
	if (hook->table.v && !is_at_home(hooked, hook))
		return "a function of those whose table it is";
	if (hook->object->home.v && !is_of_home(hooked, hook))
		return "a function of those whose object it is";
	return hooked->doubt ? hooked->doubt(hooked, hook) : NULL;
}

/* Is its table where such tables never are? */
static bool is_misplaced(const struct hooked *hooked, const struct hook *hook)
{
	if (!hooked->fixed || !hook->table.v || is_of_image(hooked, hook->table) ||
	    module_at(hooked, hook->table))
		return false;
	for (size_t i = 0; hooked->fixed[i]; i++)
		if (!strcmp(hooked->fixed[i], hook->type))
			return true;
	return false;
}

/*
 * One finding for a table, however many pointers it has; those that do not lead to the kernel
 * tell who made it. Where all do, the first of an object has to stand for them.
 */
static void report_table(struct hooked *hooked, const struct hook *hook)
{
	int known = map_put(&hooked->misplaced, hook->object->at.v, 1);
	char name[320], what[160];
	struct finding *finding;

	if (known < 0)
		check_inconclusive(hooked->run, "no memory");
	if (known == 1 && is_of_image(hooked, hook->target))
		return;
	finding = check_finding(hooked->run, SEVERITY_CRITICAL, hook->object->mechanism,
				hook->object->at, "%s: %s",
				hook_object_name(hook->object, name, sizeof(name)), hook->type);
	snprintf(what, sizeof(what), "%s.%s", hook->type, hook->member);
	code_evidence(hooked->run, hooked->owners, finding, what, hook->at,
		      "a table in the data of the kernel or of a listed module", hook->target);
}

static void report(struct hooked *hooked, const struct hook *hook, enum severity severity,
		   const char *expected)
{
	char name[320], what[160];
	struct finding *finding;

	finding = check_finding(hooked->run, severity, hook->object->mechanism, hook->object->at,
				"%s", hook_name(&hooked->walk, hook, name, sizeof(name)));
	snprintf(what, sizeof(what), "%s.%s", hook->type, hook->member);
	code_evidence(hooked->run, hooked->owners, finding, what, hook->at, expected,
		      hook->target);
}

static int judge(const struct hook *hook, void *ctx, struct err *err)
{
	struct hooked *hooked = ctx;
	struct owner owner;
	const char *expected;
	struct err why = {0};
	int r;

	(void)err;
	if (hook->expected) {
		report(hooked, hook, SEVERITY_HIGH, hook->expected);
		return 0;
	}
	if (is_misplaced(hooked, hook)) {
		report_table(hooked, hook);
		return 0;
	}
	if (!owner_is_function(hooked->owners, hook->target) && !is_freed(hooked, hook->target)) {
		r = owner_of(hooked->owners, hook->target, &owner, &why);
		if (owner.kind == OWNER_BPF)
			return 0;
		if (r < 0 && owner.kind == OWNER_NONE) {
			check_inconclusive(hooked->run, "owners of code: %s", why.text);
			return 0;
		}
		report(hooked, hook, SEVERITY_CRITICAL,
		       "a function of the kernel or of a listed module");
		return 0;
	}
	expected = why_not(hooked, hook);
	if (expected)
		report(hooked, hook, SEVERITY_HIGH, expected);
	return 0;
}

static int run_sources(struct hooked *hooked, const struct hook_source *const *sources,
		       const char *what, struct err *err)
{
	struct check_run *run = hooked->run;
	cleanup(owners_close) struct owners *owners = NULL;
	int r = check_owners(run, &owners, err);

	if (r < 0)
		return r;
	hooked->owners = owners;
	find_span(hooked);
	hooked->alike = alike_of(check_kernel(run)->types);
	hooked->rodata = symbols_lookup(check_kernel(hooked->run)->symbols, "__start_rodata");
	hooked->erodata = symbols_lookup(check_kernel(hooked->run)->symbols, "__end_rodata");
	hook_walk_open(check_kernel(run), check_view(run), owners, judge, hooked, &hooked->walk);
	for (size_t i = 0; sources[i] && r >= 0; i++) {
		r = hook_walk_source(&hooked->walk, sources[i], err);
		if (r != -ENOENT)
			continue;
		check_note(run, "%s", err->text);
		r = 0;
	}
	check_covered(run, what, hooked->walk.objects);
	check_covered(run, "pointers", hooked->walk.pointers);
	hook_walk_close(&hooked->walk);
	map_free(&hooked->misplaced);
	return r;
}

int hooked_run(struct check_run *run, const struct hook_source *const *sources, const char *what,
	       const char *(*doubt)(struct hooked *hooked, const struct hook *hook),
	       struct err *err)
{
	struct hooked hooked = { .run = run, .doubt = doubt };

	return run_sources(&hooked, sources, what, err);
}

int hooked_run_fixed(struct check_run *run, const struct hook_source *const *sources,
		     const char *what, const char *const *fixed, struct err *err)
{
	struct hooked hooked = { .run = run, .fixed = fixed };

	return run_sources(&hooked, sources, what, err);
}
