/* SPDX-License-Identifier: Apache-2.0 */
#include "check/module_compare.h"

#include <stdlib.h>
#include <string.h>

#include "base/alike.h"
#include "base/cleanup.h"

/* Read and compared at a time. */
#define CHUNK_BYTES (256u << 10)

/* Bytes of a difference that are kept until it is told. */
#define KEPT_BYTES 64u

/* Differences as close as this belong together: an address, say, of which one byte is as it was. */
#define NEAR_BYTES 16u

/* A module with more changes than this is another one: that is one finding. */
#define CHANGES_MAX 32u

struct change {
	struct difference difference;
	uint8_t expected[KEPT_BYTES], found[KEPT_BYTES];
};

struct comparing {
	struct module_compare *compare;
	const struct module_info *module;
	const struct module_reference *reference;
	uint8_t *chunk;
	VEC(struct change) changes;
	uint64_t changes_n;	/* those included that are not kept */
	gva last;		/* end of the last one */
	bool passing;
};

static void comparing_free(struct comparing *c)
{
	free(c->chunk);
	vec_free(&c->changes);
}

static int keep(struct comparing *c, const struct difference *difference)
{
	struct change *change;
	size_t n = difference->size_bytes < KEPT_BYTES ? difference->size_bytes : KEPT_BYTES;

	if (!c->changes_n || difference->at.v - c->last.v > NEAR_BYTES)
		c->changes_n++;
	c->last = gva_add(difference->at, difference->size_bytes);
	if (c->changes_n > CHANGES_MAX || c->changes.n > 8 * CHANGES_MAX)
		return 0;
	change = vec_add(&c->changes);
	if (!change)
		return -ENOMEM;
	change->difference = *difference;
	memcpy(change->expected, difference->expected, n);
	memcpy(change->found, difference->found, n);
	return 0;
}

static int visit(const struct difference *difference, bool passing, void *ctx, struct err *err)
{
	struct comparing *c = ctx;

	if (passing) {
		c->passing = true;
		return 0;
	}
	return keep(c, difference) < 0 ? err_set(err, -ENOMEM, "no memory for differences") : 0;
}

/* Bytes that no one patches. @expected NULL: nothing, which the kernel fills with zeros. */
static int compare_bytes(struct comparing *c, gva at, const uint8_t *expected, size_t n,
			 const char *kind)
{
	static const uint8_t zeros[KEPT_BYTES];

	for (size_t from = 0; from < n;) {
		struct difference difference = { .kind = kind };
		size_t to;

		from += expected ? alike_bytes(c->chunk + from, expected + from, n - from) :
				   zero_bytes(c->chunk + from, n - from);
		if (from == n)
			break;
		for (to = from + 1; to < n && c->chunk[to] != (expected ? expected[to] : 0); to++)
			if (!expected && to - from == KEPT_BYTES)
				break;
		difference.at = gva_add(at, from);
		difference.size_bytes = to - from;
		difference.expected = expected ? expected + from : zeros;
		difference.found = c->chunk + from;
		if (keep(c, &difference) < 0)
			return -ENOMEM;
		from = to;
	}
	return 0;
}

/* [@at, @at + @n) of the guest; @part NULL: between the parts. */
static int compare_range(struct comparing *c, const struct shipped_part *part, gva at, uint64_t n,
			 struct err *err)
{
	struct view *view = check_view(c->compare->run);
	bool code = part && part->flags & PART_EXEC;
	int r = 0;

	for (uint64_t done = 0; done < n && r >= 0;) {
		size_t step = n - done < CHUNK_BYTES ? n - done : CHUNK_BYTES;
		gva from = gva_add(at, done);
		const uint8_t *expected = part ? part->bytes + (from.v - part->at.v) : NULL;

		r = view_read(view, from, c->chunk, step, err);
		if (r < 0)
			break;
		if (code)
			r = compare_part(c->compare->explainer, &c->reference->shipped,
					 &c->reference->sites, from, c->chunk, step,
					 &c->compare->explained, visit, c, err);
		else if (!expected || memcmp(c->chunk, expected, step) != 0)
			r = compare_bytes(c, from, expected, step, part ? "constant" :
					  "unused memory");
		done += step;
	}
	*(code ? &c->compare->code_bytes : &c->compare->constant_bytes) += n;
	return r;
}

/* Constant, although the file calls it writable: filled in while the module is loaded. */
static bool is_compared(const struct shipped_part *part)
{
	if (part->flags & PART_GONE)
		return false;
	return !(part->flags & PART_WRITE) || !strcmp(part->name, "__jump_table") ||
	       !strcmp(part->name, ".static_call_sites");
}

/* What lies between and behind the sections of an area that holds no data. */
static int compare_gaps(struct comparing *c, enum module_area_kind kind, struct err *err)
{
	const struct module_area *area = &c->module->area[kind];
	gva end = gva_add(area->at, area->size_bytes), at = area->at;
	const struct shipped *shipped = &c->reference->shipped;
	int r = 0;

	for (size_t i = 0; i < shipped->parts.n && r >= 0; i++) {
		const struct shipped_part *part = &shipped->parts.v[i];

		if (part->at.v < area->at.v || part->at.v >= end.v)
			continue;
		if (part->at.v > at.v)
			r = compare_range(c, NULL, at, part->at.v - at.v, err);
		at = gva_add(part->at, part->size_bytes);
	}
	if (r >= 0 && at.v < end.v)
		r = compare_range(c, NULL, at, end.v - at.v, err);
	return r;
}

static int compare_all(struct comparing *c, struct err *err)
{
	const struct shipped *shipped = &c->reference->shipped;
	int r = 0;

	for (size_t i = 0; i < shipped->parts.n && r >= 0; i++) {
		const struct shipped_part *part = &shipped->parts.v[i];

		if (is_compared(part))
			r = compare_range(c, part, part->at, part->size_bytes, err);
	}
	if (r >= 0)
		r = compare_gaps(c, MODULE_TEXT, err);
	return r < 0 ? r : compare_gaps(c, MODULE_RODATA, err);
}

static void tell(struct comparing *c)
{
	struct module_compare *compare = c->compare;
	struct difference_place place = {
		.severity = SEVERITY_CRITICAL, .name = c->module->name,
		.shipped = &c->reference->shipped,
	};
	struct finding *all = NULL;

	if (c->changes_n > CHANGES_MAX) {
		all = check_finding(compare->run, SEVERITY_CRITICAL, "module", c->module->at, "%s",
				    c->module->name);
		finding_title(all, "Module is not what was shipped under its name");
	}
	for (size_t i = 0; i < c->changes.n; i++) {
		struct change *change = &c->changes.v[i];
		const struct shipped_part *part;

		/* The vector may have moved since. */
		change->difference.expected = change->expected;
		change->difference.found = change->found;
		part = shipped_part(place.shipped, change->difference.at);
		place.data = part && !(part->flags & PART_EXEC);
		place.kind = place.data ? "module constant" : "module code";
		if (all)
			difference_evidence(compare->run, compare->owners, &place,
					    &change->difference, all);
		else
			difference_finding(compare->run, compare->owners, &place,
					   &change->difference);
	}
}

static int compare_code(struct comparing *c, struct err *err)
{
	const struct shipped *shipped = &c->reference->shipped;
	int r = 0;

	for (size_t i = 0; i < shipped->parts.n && r >= 0; i++)
		if (shipped->parts.v[i].flags & PART_EXEC)
			r = compare_range(c, &shipped->parts.v[i], shipped->parts.v[i].at,
					  shipped->parts.v[i].size_bytes, err);
	return r;
}

static int compare_by(struct module_compare *compare, const struct module_info *module,
		      const struct module_reference *reference,
		      int (*how)(struct comparing *c, struct err *err), struct err *err)
{
	cleanup(comparing_free) struct comparing c = {
		.compare = compare, .module = module, .reference = reference,
		.chunk = malloc(CHUNK_BYTES),
	};
	int r;

	if (!c.chunk)
		return err_set(err, -ENOMEM, "no memory to compare with");
	r = how(&c, err);
	if (c.passing)
		check_inconclusive(compare->run, "module %s was being patched while it was "
				   "compared", module->name);
	if (r >= 0 && reference->doubtful && c.changes_n > CHANGES_MAX)
		return MODULE_OTHER;
	tell(&c);
	return r < 0 ? r : c.changes_n ? MODULE_DIFFERS : MODULE_SAME;
}

int module_compare(struct module_compare *compare, const struct module_info *module,
		   const struct module_reference *reference, struct err *err)
{
	return compare_by(compare, module, reference, compare_all, err);
}

int module_compare_code(struct module_compare *compare, const struct module_info *module,
			const struct module_reference *reference, struct err *err)
{
	return compare_by(compare, module, reference, compare_code, err);
}
