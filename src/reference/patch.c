/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/patch.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "reference/patch_inside.h"
#include "reference/profile.h"

gva patcher_symbol(const struct patcher *patcher, const char *name)
{
	return symbols_lookup(patcher->symbols, name);
}

bool patcher_is_function(const struct patcher *patcher, gva at)
{
	return at.v >= patcher->text.v && at.v < patcher->etext.v &&
	       symbols_is_start(patcher->symbols, at, NULL);
}

int patcher_live(const struct patcher *patcher, struct view *view, gva at, void *buf, size_t n,
		 struct err *err)
{
	return kernel_read_image(patcher->kernel, view, at, buf, n, err);
}

void fill_nops(const struct patcher *patcher, uint8_t *code, size_t n)
{
	while (n) {
		size_t step = n < patcher->nop_max ? n : patcher->nop_max;

		memcpy(code, patcher->nop[step], step);
		code += step;
		n -= step;
	}
}

/* --- the patcher --- */

static int find_types(struct patcher *p, struct err *err)
{
	gva start = patcher_symbol(p, "__start_BTF"), stop = patcher_symbol(p, "__stop_BTF");
	const uint8_t *blob = stop.v > start.v ?
		shipped_at(p->vmlinux, start, stop.v - start.v) : NULL;

	if (!blob)
		return err_set(err, -EBADMSG, "the reference has no types (BTF)");
	if (types_is_of(p->kernel->types, blob, stop.v - start.v)) {
		p->types = types_share(p->kernel->types);
		return 0;
	}
	return types_parse(blob, stop.v - start.v, &p->types, err);
}

/* An honest guest has the very same: they are the larger part of what it takes to watch it. */
static void share_symbols(struct patcher *p)
{
	if (!symbols_equal(p->symbols, p->kernel->symbols))
		return;
	symbols_free(&p->symbols);
	p->symbols = symbols_share(p->kernel->symbols);
}

static int read_caps(struct patcher *p, struct view *view, struct err *err)
{
	gva cpu = patcher_symbol(p, "boot_cpu_data");
	struct field caps;
	int r;

	r = types_field(p->types, "cpuinfo_x86.x86_capability", &caps, err);
	if (r < 0)
		return r;
	p->caps_n = caps.size_bytes / sizeof(p->caps[0]);
	if (!cpu.v || p->caps_n > CAPS_MAX)
		return err_set(err, -ENOENT, "the reference has no list of CPU features");
	return view_read(view, field_at(cpu, &caps), p->caps, caps.size_bytes, err);
}

/* Entry @n of a table of pointers as shipped; 0: there is none. */
static gva pointer_at(const struct patcher *p, gva table, unsigned n)
{
	const uint8_t *entry = shipped_at(p->vmlinux, gva_add(table, n * 8ull), 8);
	gva at = {0};

	if (entry)
		memcpy(&at.v, entry, 8);
	return at;
}

/* A NOP of @n bytes that a pointer in the shipped table @table leads to. */
static int take_nop(struct patcher *p, gva at, unsigned n, uint8_t *nop, struct err *err)
{
	const uint8_t *code = shipped_at(p->vmlinux, at, n);

	if (!code)
		return err_set(err, -EBADMSG, "the reference's table of NOPs is damaged");
	memcpy(nop, code, n);
	return 0;
}

/* The NOPs lie one behind the other, so a table of pointers ends where they do not. */
static unsigned count_nops(const struct patcher *p, gva table)
{
	unsigned n = 1;

	while (n < NOP_BYTES_MAX &&
	       pointer_at(p, table, n + 1).v == pointer_at(p, table, n).v + n)
		n++;
	return n;
}

/*
 * Up to 5.12 ideal_nops points to the table for this CPU, with another one for what must be
 * one instruction behind it; since then there is x86_nops only (a89dfde3dc3c).
 */
static int find_nops(struct patcher *p, struct view *view, struct err *err)
{
	static const char *const tables[] = { "p6_nops", "k8_nops", "k7_nops", "intel_nops" };
	gva pointer = patcher_symbol(p, "ideal_nops"), table = patcher_symbol(p, "x86_nops");
	bool known = false;
	int r = 0;

	if (pointer.v) {
		r = view_ptr(view, pointer, &table, err);
		for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
			known |= table.v && patcher_symbol(p, tables[i]).v == table.v;
		if (r >= 0 && !known)
			return err_set(err, -EBADMSG, "ideal_nops leads to %#" PRIx64, table.v);
	}
	if (!table.v)
		return err_set(err, -ENOENT, "the reference has no table of NOPs");
	p->nop_max = pointer.v ? 8 : count_nops(p, table);
	for (unsigned n = 1; n <= p->nop_max && r >= 0; n++)
		r = take_nop(p, pointer_at(p, table, n), n, p->nop[n], err);
	memcpy(p->nop5, p->nop[5], sizeof(p->nop5));
	if (pointer.v && r >= 0)	/* NOP_ATOMIC5, behind the others */
		r = take_nop(p, pointer_at(p, table, 9), JUMP_BYTES, p->nop5, err);
	return r;
}

static int find_alternative_layout(struct patcher *p, struct err *err)
{
	static const struct { const char *path; size_t slot; } members[] = {
		{ "alt_instr", offsetof(struct alternative_layout, size) },
		{ "alt_instr.instr_offset", offsetof(struct alternative_layout, instr) },
		{ "alt_instr.repl_offset", offsetof(struct alternative_layout, repl) },
		{ "alt_instr.cpuid", offsetof(struct alternative_layout, cpuid) },
		{ "alt_instr.instrlen", offsetof(struct alternative_layout, instr_bytes) },
		{ "alt_instr.replacementlen", offsetof(struct alternative_layout, repl_bytes) },
	};
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(members) && r >= 0; i++)
		r = types_field(p->types, members[i].path,
				(struct field *)((char *)&p->alt + members[i].slot), err);
	/* Since 5d1dd961e743 (6.3); before, one bit of cpuid. */
	if (r >= 0 && types_field(p->types, "alt_instr.flags", &p->alt.flags, NULL) < 0)
		p->alt.flags.there = false;
	return r;
}

/* What a build says of itself: the same for all guests that run it, but for where it lies. */
static int find_profile(struct patcher *p, const struct patcher *like, struct err *err)
{
	const struct shipped_part *image = &p->vmlinux->parts.v[0];
	const struct profile *profile = p->vmlinux->profile;
	int r;

	if (like) {
		p->types = like->types;
		p->borrows_types = true;
		return symbols_move(like->symbols,
				    image->at.v - like->vmlinux->parts.v[0].at.v, &p->symbols);
	}
	if (profile) {
		p->types = types_share(profile->types);
		return symbols_move(profile->symbols, image->at.v - profile->text.v, &p->symbols);
	}
	r = symbols_parse(image->bytes, image->size_bytes, image->at, &p->symbols, err);
	if (r < 0)
		return r;
	share_symbols(p);
	return find_types(p, err);
}

/* What returns may go through: all of them say so in their names. */
static bool is_return_thunk(const struct patcher *p)
{
	struct symbol symbol;

	return patcher_is_function(p, p->return_thunk) &&
	       symbols_at(p->symbols, p->return_thunk, &symbol, NULL) >= 0 &&
	       strstr(symbol.name, "return_thunk");
}

static int patcher_read(struct patcher *p, struct view *view, const struct patcher *like,
			struct err *err)
{
	gva thunk;
	int r;

	r = find_profile(p, like, err);
	if (r >= 0) {
		p->text = patcher_symbol(p, "_text");
		p->etext = patcher_symbol(p, "_etext");
	}
	if (r >= 0)
		r = read_caps(p, view, err);
	if (r >= 0)
		r = find_nops(p, view, err);
	if (r >= 0)
		r = find_alternative_layout(p, err);
	if (r < 0)
		return r;
	thunk = patcher_symbol(p, "x86_return_thunk");
	p->return_thunk = patcher_symbol(p, "__x86_return_thunk");
	if (thunk.v)
		r = view_ptr(view, thunk, &p->return_thunk, err);
	if (r >= 0 && p->return_thunk.v && !is_return_thunk(p))
		return err_set(err, -EBADMSG, "x86_return_thunk leads to %#" PRIx64,
			       p->return_thunk.v);
	p->pv_ops = patcher_symbol(p, "pv_ops");
	p->return0 = patcher_symbol(p, "__static_call_return0");
	p->warn_trap = patcher_symbol(p, "__WARN_trap");
	if (r >= 0)
		r = choose_paravirt(p, view, err);
	return r < 0 ? r : choose_modes(p, view, err);
}

int patcher_open(const struct kernel *kernel, struct view *view, const struct shipped *vmlinux,
		 const struct patcher *like, struct patcher **ret, struct err *err)
{
	cleanup(patcher_close) struct patcher *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return err_set(err, -ENOMEM, "no memory for a patcher");
	if (!vmlinux->parts.n)
		return err_set(err, -EBADMSG, "the reference is empty");
	p->kernel = kernel;
	p->vmlinux = vmlinux;
	r = patcher_read(p, view, like, err);
	if (r < 0)
		return r;
	*ret = take_ptr(&p);
	return 0;
}

void patcher_close(struct patcher **patcher)
{
	if (!*patcher)
		return;
	symbols_free(&(*patcher)->symbols);
	vec_free(&(*patcher)->keys);
	if (!(*patcher)->borrows_types)
		types_free(&(*patcher)->types);
	free(*patcher);
	*patcher = NULL;
}

int patcher_copy(const struct patcher *patcher, const struct shipped *vmlinux,
		 struct patcher **ret)
{
	cleanup(patcher_close) struct patcher *copy = malloc(sizeof(*copy));
	int r;

	if (!copy)
		return -ENOMEM;
	*copy = *patcher;
	copy->symbols = NULL;
	memset(&copy->keys, 0, sizeof(copy->keys));
	copy->borrows_types = true;
	copy->vmlinux = vmlinux;
	r = symbols_move(patcher->symbols, 0, &copy->symbols);
	for (size_t i = 0; i < patcher->keys.n && r >= 0; i++) {
		struct key_state *key = vec_add(&copy->keys);

		if (key)
			*key = patcher->keys.v[i];
		r = key ? 0 : -ENOMEM;
	}
	vec_settle(&copy->keys);
	if (r >= 0)
		*ret = take_ptr(&copy);
	return r;
}

void patcher_move(struct patcher *patcher, const struct shipped *vmlinux)
{
	patcher->vmlinux = vmlinux;
}

void patch_find_tables(const struct patcher *p, struct shipped *shipped)
{
	static const struct { enum shipped_table table; const char *start, *stop; } named[] = {
		{ TABLE_JUMPS, "__start___jump_table", "__stop___jump_table" },
		{ TABLE_STATIC_CALLS, "__start_static_call_sites", "__stop_static_call_sites" },
		{ TABLE_MCOUNT, "__start_mcount_loc", "__stop_mcount_loc" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(named); i++) {
		gva start = patcher_symbol(p, named[i].start);
		gva stop = patcher_symbol(p, named[i].stop);

		if (start.v && stop.v > start.v)
			shipped->table[named[i].table] =
				(struct shipped_range){ start, stop.v - start.v };
	}
}

/*
 * In the order in which the kernel does it (alternative_instructions()): alternatives take
 * their replacements as the steps before have left them.
 */
int patch_all(struct patcher *p, struct view *view, struct shipped *shipped, struct sites *sites,
	      struct err *err)
{
	int r;

	patch_iret(p, view, shipped);
	r = patch_hypercalls(p, view, shipped, err);
	if (r >= 0)
		r = patch_paravirt(p, view, shipped, sites, err);
	if (r >= 0)
		r = patch_retpolines(p, shipped, sites, err);
	if (r >= 0)
		r = patch_returns(p, shipped, sites, err);
	if (r >= 0 && shipped == p->vmlinux)
		r = choose_style(p, view, shipped, err);
	if (r >= 0)
		r = patch_alternatives(p, view, shipped, sites, err);
	if (r >= 0)
		r = patch_endbr(p, shipped, sites, err);
	if (r >= 0)
		r = patch_locks(p, shipped, sites, err);
	if (r >= 0)
		r = patch_runtime(p, view, shipped, sites, err);
	if (r >= 0)
		r = patch_mcount(p, shipped, sites, err);
	if (r >= 0)
		r = patch_static_calls(p, view, shipped, sites, err);
	if (r >= 0)
		r = patch_jump_labels(p, view, shipped, sites, err);
	if (r >= 0 && shipped == p->vmlinux)
		keys_settle(p);
	return r < 0 ? r : sites_pack(sites, err);
}
