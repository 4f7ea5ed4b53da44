/* SPDX-License-Identifier: Apache-2.0 */

/* The guest's bytes beside those that should be there: what differs, and what explains it. */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "reference/explain_inside.h"
#include "reference/patch.h"

/* Differences with fewer equal bytes between them are one: an instruction has up to 15. */
#define GAP_BYTES 8u

/* What is compared, and how far it got. */
struct comparing {
	struct explainer *e;
	const struct shipped *shipped;
	const struct sites *sites;
	gva at;
	const uint8_t *expected, *found;
	size_t n;
	uint64_t *explained;
	difference_fn *visit;
	void *ctx;
};

/*
 * The guest's bytes of a place; in @room where they are not all among those at hand, which are
 * the ones that count nevertheless: the kernel may map others.
 */
static const uint8_t *site_found(const struct comparing *c, const struct site *site,
				 uint8_t room[SITE_BYTES_MAX])
{
	if (site->at.v >= c->at.v && site->at.v - c->at.v <= c->n &&
	    site->size_bytes <= c->n - (site->at.v - c->at.v))
		return c->found + (site->at.v - c->at.v);
	if (view_read(c->e->view, site->at, room, site->size_bytes, NULL) < 0)
		return NULL;
	for (size_t i = 0; i < site->size_bytes; i++)
		if (site->at.v + i - c->at.v < c->n)
			room[i] = c->found[site->at.v + i - c->at.v];
	return room;
}

/*
 * Does one of the places that hold byte @i explain it?
 * @end: receives how far that place reaches
 */
static int explain_byte(const struct comparing *c, size_t i, struct difference *d,
			enum verdict *ret, size_t *end, struct err *err)
{
	gva at = gva_add(c->at, i);
	struct sites_at walk = sites_from(c->sites, at);
	uint8_t room[SITE_BYTES_MAX];
	struct site site;

	while (!*ret && sites_next(c->sites, &walk, &site)) {
		struct looked l = { c->e, c->shipped, &site, NULL, d };
		int r;

		if (site.at.v > at.v)
			break;
		if (at.v - site.at.v >= site.size_bytes)
			continue;
		d->kind = explain_kind(site.kind);
		l.found = site_found(c, &site, room);
		if (!l.found)
			continue;
		r = explain_site(&l, ret, err);
		if (r < 0)
			return r;
		*end = site.at.v + site.size_bytes - c->at.v;
	}
	return 0;
}

/* Do the bytes from offset @offset of a kprobe's jump on stand at byte @i? */
static bool has_jump(const struct comparing *c, size_t i, const uint8_t *jump, size_t offset)
{
	size_t n = JUMP_BYTES - offset < c->n - i ? JUMP_BYTES - offset : c->n - i;

	return !memcmp(c->found + i, jump + offset, n);
}

/* A breakpoint, or the jump that an optimised one became, that is in the kernel's table. */
static enum verdict explain_kprobe(const struct comparing *c, size_t i, size_t *end)
{
	const struct kprobes *kprobes = &c->e->kprobes;

	for (size_t j = 0; j < kprobes->list.n; j++) {
		const struct kprobe *kprobe = &kprobes->list.v[j];
		uint64_t offset = gva_add(c->at, i).v - kprobe->address.v;
		struct owner owner;
		uint8_t jump[JUMP_BYTES];
		bool half;

		if (!offset && c->found[i] == OP_INT3) {
			*end = i + 1;
			return YES;
		}
		if (offset >= JUMP_BYTES ||
		    view_read(c->e->view, kprobe->address, jump, sizeof(jump), NULL) < 0)
			continue;
		/* Optimised just now: the jump's end is there, a breakpoint holds its start. */
		half = jump[0] == OP_INT3 && c->e->busy;
		if (!half && (jump[0] != OP_JMP || !kprobe->optimized))
			continue;
		if (!has_jump(c, i, jump, offset) ||
		    owner_of(c->e->owners, branch_target(kprobe->address, jump), &owner,
			     NULL) < 0 || owner.kind != OWNER_KPROBE)
			continue;
		*end = i + (JUMP_BYTES - offset);
		return half ? PASSING : YES;
	}
	return NO;
}

static size_t next_difference(const struct comparing *c, size_t i)
{
	while (i < c->n) {
		size_t step = c->n - i < 64 ? c->n - i : 64;

		if (memcmp(c->expected + i, c->found + i, step)) {
			while (c->expected[i] == c->found[i])
				i++;
			return i;
		}
		i += step;
	}
	return i;
}

/* Where the run of differing bytes that begins at @i ends, short gaps included. */
static size_t run_end(const struct comparing *c, size_t i)
{
	size_t last = i;

	for (size_t j = i + 1; j < c->n && j - last <= GAP_BYTES; j++)
		if (c->expected[j] != c->found[j])
			last = j;
	return last + 1;
}

static uint64_t differing(const struct comparing *c, size_t from, size_t to)
{
	uint64_t n = 0;

	for (size_t i = from; i < to; i++)
		n += c->expected[i] != c->found[i];
	return n;
}

/* Which part of [@i, …) is one difference; @end behind it. As compare_part(). */
static int tell(const struct comparing *c, size_t i, size_t *end, struct err *err)
{
	struct difference d = { .at = gva_add(c->at, i), .kind = "code" }, next;
	enum verdict verdict = NO;
	size_t stop;
	int r;

	r = explain_byte(c, i, &d, &verdict, end, err);
	if (r < 0)
		return r;
	if (verdict == NO)
		verdict = explain_kprobe(c, i, end);
	if (*end > c->n)
		*end = c->n;
	if (verdict == YES) {
		*c->explained += differing(c, i, *end);
		return 0;
	}
	if (verdict == NO) {
		/* Up to the next byte that something explains. */
		stop = run_end(c, i);
		for (*end = i + 1; *end < stop; ++*end) {
			size_t ignored;
			enum verdict v = NO;

			next = d;
			if (c->expected[*end] == c->found[*end])
				continue;
			r = explain_byte(c, *end, &next, &v, &ignored, err);
			if (r < 0)
				return r;
			if (v != NO || explain_kprobe(c, *end, &ignored) != NO)
				break;
		}
		while (*end > i + 1 && c->expected[*end - 1] == c->found[*end - 1])
			--*end;
	}
	d.size_bytes = *end - i;
	d.expected = c->expected + i;
	d.found = c->found + i;
	return c->visit(&d, verdict == PASSING, c->ctx, err);
}

/* --- places whose key was changed since they were predicted --- */

/* What a place must be now: 0 where nothing says so. */
static int site_code(const struct comparing *c, const struct site *site, uint8_t *code,
		     struct err *err)
{
	struct explainer *e = c->e;
	gva func = {0};
	int r;

	if (site->kind == TABLE_JUMPS)
		r = jump_label_code(e->p, e->view, c->shipped, site, false, code, err);
	else if (site->kind == TABLE_STATIC_CALLS)
		r = static_call_code(e->p, e->view, c->shipped, site, &func, code, err);
	else if (site->kind == SITE_TRAMPOLINE)
		r = trampoline_code(e->p, e->view, c->shipped, site, &func, code, err);
	else
		return 0;
	/* A key that leads to no function is not what is looked at here. */
	return r < 0 ? r : !func.v || explainer_is_function(e, func);
}

/*
 * A place that is as it was predicted, but that its key says should be otherwise by now: it was
 * changed back, or not changed with it.
 */
static int check_site(const struct comparing *c, const struct site *site, struct err *err)
{
	uint64_t from = site->at.v > c->at.v ? site->at.v : c->at.v;
	uint64_t end = site->at.v + site->size_bytes, to = c->at.v + c->n;
	struct difference d = { .at = gva_of(from), .kind = explain_kind(site->kind) };
	uint8_t code[STATIC_CALL_BYTES];
	int r;

	if (end < to)
		to = end;
	if (to <= from || site->size_bytes > sizeof(code))
		return 0;
	r = site_code(c, site, code, err);
	if (r <= 0)
		return r;
	d.size_bytes = to - from;
	d.expected = code + (from - site->at.v);
	d.found = c->found + (from - c->at.v);
	if (!memcmp(d.expected, c->expected + (from - c->at.v), d.size_bytes) ||
	    memcmp(d.found, c->expected + (from - c->at.v), d.size_bytes) != 0)
		return 0;
	snprintf(d.why, sizeof(d.why), "its key was changed, and it was not");
	return c->visit(&d, c->e->busy, c->ctx, err);
}

static int check_keys(const struct comparing *c, struct err *err)
{
	struct explainer *e = c->e;
	struct sites_at walk;
	struct site site;
	int r = 0;

	if (c->shipped != e->p->vmlinux)
		return 0;
	walk = sites_from(c->sites, c->at);
	if (!sites_next(c->sites, &walk, &site) || site.at.v >= c->at.v + c->n)
		return 0;
	if (!e->has_keys)
		r = keys_changed(e->p, e->view, &e->changed, err);
	e->has_keys = true;
	if (!e->changed)
		return r;
	do
		r = check_site(c, &site, err);
	while (r >= 0 && sites_next(c->sites, &walk, &site) && site.at.v < c->at.v + c->n);
	return r;
}

/* --- calls of ftrace that somebody took out --- */

static int check_call(const struct comparing *c, const struct ftrace_site *site, struct err *err)
{
	const struct site place = { .at = site->at, .size_bytes = JUMP_BYTES };
	struct difference d = { .at = site->at, .kind = explain_kind(TABLE_MCOUNT) };
	uint8_t room[SITE_BYTES_MAX], call[JUMP_BYTES];

	d.found = site_found(c, &place, room);
	if (!d.found || memcmp(d.found, c->e->p->nop5, JUMP_BYTES) != 0)
		return 0;
	branch_encode(call, OP_CALL, site->at, c->e->ftrace_caller);
	d.expected = call;
	d.size_bytes = JUMP_BYTES;
	snprintf(d.why, sizeof(d.why),
		 "ftrace has made it a call, of this or of a trampoline, and it is none");
	return c->visit(&d, c->e->busy, c->ctx, err);
}

/* Is there any place here that is patched at all? There is none among constants. */
static bool has_sites(const struct comparing *c)
{
	struct sites_at walk = sites_from(c->sites, c->at);
	struct site site;

	return sites_next(c->sites, &walk, &site) && site.at.v < c->at.v + c->n;
}

/* A NOP is what was shipped; where ftrace calls someone it makes them deaf. */
static int check_calls(const struct comparing *c, struct err *err)
{
	struct explainer *e = c->e;
	uint64_t last = 0;
	int r;

	if (!e->traces || !has_sites(c))
		return 0;
	r = explain_ftrace_sites(e, err);
	if (r < 0 || e->gave_up)
		return r;
	for (size_t i = ftrace_sites_from(&e->ftrace, c->at); i < e->ftrace.list.n && r >= 0; i++) {
		const struct ftrace_site *site = &e->ftrace.list.v[i];

		if (site->at.v - c->at.v >= c->n)
			break;
		/* The guest's records may name one place as often as they like. */
		if (site->called && site->at.v != last)
			r = check_call(c, site, err);
		last = site->at.v;
	}
	return r;
}

int compare_with(struct explainer *explainer, const struct shipped *shipped,
		  const struct sites *sites, gva at, const uint8_t *expected,
		  const uint8_t *found, size_t n, uint64_t *explained, difference_fn *visit,
		  void *ctx, struct err *err)
{
	struct comparing c = {
		explainer, shipped, sites, at, expected, found, n, explained, visit, ctx,
	};
	size_t end;
	int r = 0;

	if (memcmp(expected, found, n) != 0)
		for (size_t i = next_difference(&c, 0); i < n && r >= 0;
		     i = next_difference(&c, end)) {
			end = i + 1;
			r = tell(&c, i, &end, err);
		}
	if (r >= 0)
		r = check_keys(&c, err);
	return r < 0 ? r : check_calls(&c, err);
}

int compare_part(struct explainer *explainer, const struct shipped *shipped,
		 const struct sites *sites, gva at, const uint8_t *found, size_t n,
		 uint64_t *explained, difference_fn *visit, void *ctx, struct err *err)
{
	const uint8_t *expected = shipped_at(shipped, at, n);

	if (!expected)
		return err_set(err, -EINVAL, "%#" PRIx64 " is not of what was shipped", at.v);
	return compare_with(explainer, shipped, sites, at, expected, found, n, explained, visit,
			     ctx, err);
}
