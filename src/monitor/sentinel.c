/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/sentinel.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/map.h"
#include "base/now.h"
#include "check/check.h"
#include "linux/module.h"
#include "monitor/piece_hash.h"

/*
 * What is read and hashed at a time. It stays in a cache near by. More at a time is read faster; of
 * constants, less tells better apart what holds pointers.
 */
#define PIECE_BYTES	 (16u << 10)
#define PIECE_BYTES_CODE (128u << 10)

/*
 * A kernel's code and constants are some 30 MiB, and those of its modules some 10. What a guest
 * makes of its symbols and its list of modules may be more: that is not watched.
 */
#define PIECES_MAX ((128u << 20) / PIECE_BYTES)

/* To be read between two looks at the clock, which is a system call. */
#define BYTES_PER_CLOCK (128u << 10)

/* For a hash: it was not read yet. */
#define UNREAD PIECE_HASH_NONE

struct piece {
	uint64_t at;		/* guest-virtual */
	uint32_t hash;
	uint32_t bytes : 24;	/* 1..PIECE_BYTES, of code PIECE_BYTES_CODE */
	uint32_t region : 8;
};

/*
 * How often: one piece of TABLES has its turn as often as WEIGHT[TABLES] of CODE. One in COLD holds
 * no pointer into code: strings, the kernel's symbols and types, its keys.
 */
enum group_kind { ALWAYS, TABLES, CODE, COLD, GROUPS };
static const double weights[GROUPS] = { [TABLES] = 2, [CODE] = 1, [COLD] = 0.125 };

/* Those before @next have had their turn in this round. */
struct group {
	VEC(struct piece) pieces;
	size_t next;
	double done;		/* rounds, by its weight */
	uint64_t rounds;
};

struct sentinel {
	struct group groups[GROUPS];
	struct piece_key key;
	uint64_t chance;
	uint64_t bytes;
	size_t pieces_n;
	bool begun;		/* the kernel's own are known */
	bool modules_known;
	bool unformed;		/* one of them, when the list was read */
	uint64_t modules_ends[2];	/* of the list, when it was read */
	gva code, code_end;
	uint8_t room[PIECE_BYTES_CODE];
};

/* Small, and hooked most: read in every look. */
static const struct {
	const char *from, *to;	/* @to NULL: @bytes */
	uint32_t bytes;
	enum sentinel_region region;
} always[] = {
	/* 547 numbers, with those of x32; what follows is a constant as well. */
	{ "sys_call_table", NULL, 548 * 8, SENTINEL_CALLS },
	{ "x32_sys_call_table", NULL, 548 * 8, SENTINEL_CALLS },
	{ "ia32_sys_call_table", NULL, 460 * 8, SENTINEL_CALLS },
	{ "idt_table", NULL, GUEST_PAGE_SIZE, SENTINEL_GATES },
	{ "__entry_text_start", "__entry_text_end", 0, SENTINEL_ENTRY },
	{ "do_syscall_64", NULL, 256, SENTINEL_ENTRY },
	/* From 6.9 on a switch takes the place of the table (1e3ad78334a6). */
	{ "x64_sys_call", NULL, 12 << 10, SENTINEL_ENTRY },
	{ "x32_sys_call", NULL, 12 << 10, SENTINEL_ENTRY },
	{ "ia32_sys_call", NULL, 12 << 10, SENTINEL_ENTRY },
};

/* Who judges a region. */
static const struct {
	enum sentinel_region region;
	const char *id;
} judges[] = {
	{ SENTINEL_CODE, "kernel-code" },
	{ SENTINEL_CODE, "entry-points" },
	{ SENTINEL_CODE, "syscall-dispatch" },
	{ SENTINEL_CODE, "kprobes" },
	{ SENTINEL_CODE, "ftrace-users" },
	{ SENTINEL_ENTRY, "entry-points" },
	{ SENTINEL_ENTRY, "syscall-dispatch" },
	{ SENTINEL_ENTRY, "kernel-code" },
	{ SENTINEL_CONSTANTS, "kernel-rodata" },
	{ SENTINEL_CONSTANTS, "kernel-pointers" },
	{ SENTINEL_ONCE, "ro-after-init" },
	{ SENTINEL_ONCE, "kernel-pointers" },
	{ SENTINEL_ONCE, "lsm-hooks" },
	{ SENTINEL_ONCE, "security-hooks" },
	{ SENTINEL_CALLS, "syscall-table" },
	{ SENTINEL_CALLS, "syscall32-table" },
	{ SENTINEL_GATES, "idt" },
	{ SENTINEL_GATES, "entry-points" },
	{ SENTINEL_MODULES, "module-code" },
	{ SENTINEL_MODULES, "kprobes" },
	{ SENTINEL_MODULES, "ftrace-users" },
};

/* All that these compare is watched. */
static const char *const watched[] = { "kernel-code", "kernel-rodata" };

int sentinel_open(struct sentinel **ret)
{
	struct sentinel *sentinel = calloc(1, sizeof(*sentinel));

	if (!sentinel)
		return -ENOMEM;
	piece_key_draw(&sentinel->key);
	randombytes_buf(&sentinel->chance, sizeof(sentinel->chance));
	*ret = sentinel;
	return 0;
}

void sentinel_close(struct sentinel **sentinel)
{
	if (!*sentinel)
		return;
	for (size_t i = 0; i < GROUPS; i++)
		vec_free(&(*sentinel)->groups[i].pieces);
	free(*sentinel);
	*sentinel = NULL;
}

struct sentinel_stats sentinel_stats(const struct sentinel *sentinel)
{
	return (struct sentinel_stats){ sentinel->groups[CODE].rounds, sentinel->bytes };
}

/* splitmix64: no more than a guest, which does not see the order, could make use of. */
static uint64_t draw(struct sentinel *sentinel)
{
	uint64_t z = sentinel->chance += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

/* --- what there is --- */

static bool add_piece(struct sentinel *sentinel, enum group_kind kind, const struct piece *piece)
{
	struct piece *slot = sentinel->pieces_n < PIECES_MAX ?
			     vec_add(&sentinel->groups[kind].pieces) : NULL;

	if (!slot)
		return false;
	*slot = *piece;
	sentinel->pieces_n++;
	return true;
}

static void add(struct sentinel *sentinel, enum group_kind kind, enum sentinel_region region,
		gva from, gva to)
{
	const uint64_t most = kind == CODE ? PIECE_BYTES_CODE : PIECE_BYTES;
	struct piece piece = { .at = from.v, .region = region & 0xff };
	bool room = true;

	while (room && piece.at < to.v) {
		uint64_t end = (piece.at / most + 1) * most;

		end = end < to.v && end > piece.at ? end : to.v;
		if (end - piece.at > most)	/* the last address of all */
			return;
		piece.bytes = (end - piece.at) & 0xffffff;
		room = add_piece(sentinel, kind, &piece);
		piece.at = end;
	}
}

static bool in_image(const struct kernel *kernel, uint64_t at, uint64_t bytes)
{
	return at >= kernel->text.v && at <= kernel->end.v && bytes <= kernel->end.v - at;
}

/* Between two symbols of the image; nothing where there is no such thing. */
static void add_between(struct sentinel *sentinel, const struct kernel *kernel,
			enum group_kind kind, enum sentinel_region region, const char *from,
			const char *to)
{
	gva start = symbols_lookup(kernel->symbols, from);
	gva end = symbols_lookup(kernel->symbols, to);

	if (start.v && start.v < end.v && in_image(kernel, start.v, end.v - start.v))
		add(sentinel, kind, region, start, end);
}

static void add_kernel(struct sentinel *sentinel, const struct kernel *kernel)
{
	const struct symbols *symbols = kernel->symbols;

	sentinel->code = kernel->text;
	sentinel->code_end = symbols_lookup(symbols, "_etext");
	add_between(sentinel, kernel, CODE, SENTINEL_CODE, "_text", "_etext");
	add_between(sentinel, kernel, TABLES, SENTINEL_CONSTANTS, "__start_rodata",
		    "__start_ro_after_init");
	add_between(sentinel, kernel, TABLES, SENTINEL_ONCE, "__start_ro_after_init",
		    "__end_ro_after_init");
	add_between(sentinel, kernel, TABLES, SENTINEL_CONSTANTS, "__end_ro_after_init",
		    "__end_rodata");
	for (size_t i = 0; i < ARRAY_SIZE(always); i++) {
		gva from = symbols_lookup(symbols, always[i].from);

		if (always[i].to)
			add_between(sentinel, kernel, ALWAYS, always[i].region, always[i].from,
				    always[i].to);
		else if (from.v && in_image(kernel, from.v, always[i].bytes))
			add(sentinel, ALWAYS, always[i].region, from,
			    gva_add(from, always[i].bytes));
	}
	sentinel->begun = true;
}

/* --- modules --- */

/* Takes those of modules out, and notes what they were. Without memory they are new ones. */
static void drop_modules(struct sentinel *sentinel, struct map *known)
{
	bool noted = true;

	for (size_t g = 0; g < GROUPS; g++) {
		struct group *group = &sentinel->groups[g];
		size_t left = 0;

		for (size_t i = 0; i < group->pieces.n; i++) {
			const struct piece *piece = &group->pieces.v[i];

			if (piece->region != SENTINEL_MODULES)
				group->pieces.v[left++] = *piece;
			else
				noted = noted && map_put(known, piece->at, piece->hash) >= 0;
		}
		/* The round begins anew where some have gone. */
		if (left < group->pieces.n)
			group->next = 0;
		sentinel->pieces_n -= group->pieces.n - left;
		group->pieces.n = left;
	}
}

static void add_modules(struct sentinel *sentinel, const struct modules *modules)
{
	for (size_t i = 0; i < modules->list.n; i++) {
		const struct module_info *module = &modules->list.v[i];
		const struct module_area *text = &module->area[MODULE_TEXT],
					 *rodata = &module->area[MODULE_RODATA];

		/* It gets its memory yet: the list's ends do not tell when it has. */
		if (module->state == MODULE_UNFORMED) {
			sentinel->modules_known = false;
			sentinel->unformed = true;
			continue;
		}
		add(sentinel, CODE, SENTINEL_MODULES, text->at,
		    gva_add(text->at, text->size_bytes));
		add(sentinel, TABLES, SENTINEL_MODULES, rodata->at,
		    gva_add(rodata->at, rodata->size_bytes));
	}
}

/*
 * What was read of them stays known, wherever it still is.
 *
 * Return: are there others than before? One that was taken out of the middle is not missed.
 */
static bool find_modules(struct sentinel *sentinel, const struct kernel *kernel, struct view *view)
{
	gva head = symbols_lookup(kernel->symbols, "modules");
	struct modules modules = {0};
	struct map known = {0};
	uint64_t ends[2];
	bool same, first = !sentinel->modules_ends[0], formed;

	if (!head.v || view_read(view, head, ends, sizeof(ends), NULL) < 0)
		return false;
	same = !memcmp(ends, sentinel->modules_ends, sizeof(ends));
	if (sentinel->modules_known && same)
		return false;
	memcpy(sentinel->modules_ends, ends, sizeof(ends));
	sentinel->modules_known = modules_read(kernel, view, MODULE_BY_LIST, &modules, NULL) >= 0;
	drop_modules(sentinel, &known);
	formed = sentinel->unformed;
	sentinel->unformed = false;
	add_modules(sentinel, &modules);
	formed &= !sentinel->unformed;
	for (size_t g = 0; g < GROUPS; g++)
		for (size_t i = 0; i < sentinel->groups[g].pieces.n; i++) {
			struct piece *piece = &sentinel->groups[g].pieces.v[i];

			if (piece->region == SENTINEL_MODULES)
				(void)map_get(&known, piece->at, &piece->hash);
		}
	/* Who changes the list all the time must not have the same pieces read each time. */
	for (size_t g = 0; g < GROUPS; g++)
		if (sentinel->groups[g].pieces.n && sentinel->groups[g].rounds)
			sentinel->groups[g].next = draw(sentinel) % sentinel->groups[g].pieces.n;
	map_free(&known);
	modules_free(&modules);
	return (!same || formed) && !first;
}

/* --- to look --- */

static int copy_pages(const struct kernel *kernel, struct view *view, uint64_t at, uint8_t *to,
		      size_t bytes)
{
	while (bytes) {
		size_t n = GUEST_PAGE_SIZE - (at & GUEST_PAGE_MASK);
		struct mapping mapping;
		int r = view_translate(view, kernel->space, gva_of(at), &mapping, NULL);

		n = n < bytes ? n : bytes;
		if (r >= 0)
			r = view_copy_phys(view, mapping.at, to, n, NULL);
		if (r < 0)
			return r;
		at += n;
		to += n;
		bytes -= n;
	}
	return 0;
}

/* The image is in one piece, but where the guest says by itself what lies where. */
static bool is_in_one(const struct kernel *kernel, struct view *view, const struct piece *piece)
{
	return !ram_is_pv(view_ram(view)) && in_image(kernel, piece->at, piece->bytes);
}

static gpa in_ram(const struct kernel *kernel, const struct piece *piece)
{
	return gpa_add(kernel->image, piece->at - kernel->text.v);
}

static int copy_piece(struct sentinel *sentinel, const struct kernel *kernel, struct view *view,
		      const struct piece *piece)
{
	if (!is_in_one(kernel, view, piece))
		return copy_pages(kernel, view, piece->at, sentinel->room, piece->bytes);
	return view_copy_phys(view, in_ram(kernel, piece), sentinel->room, piece->bytes, NULL);
}

/* Are there pointers into the kernel's code in what was read? */
static bool has_pointers(const struct sentinel *sentinel, const struct piece *piece)
{
	uint64_t word;

	for (size_t i = (8 - piece->at % 8) % 8; i + 8 <= piece->bytes; i += 8) {
		memcpy(&word, sentinel->room + i, sizeof(word));
		if (word >= sentinel->code.v && word < sentinel->code_end.v)
			return true;
	}
	return false;
}

struct in_place {
	const struct piece_key *key;
	uint32_t hash;
};

static void hash_in_place(const uint8_t *bytes, size_t len, void *ctx)
{
	struct in_place *in_place = ctx;

	in_place->hash = piece_hash(in_place->key, bytes, len);
}

/* UNREAD: it has to be copied. What is read for the first time is looked into as well. */
static uint32_t read_in_place(const struct sentinel *sentinel, const struct kernel *kernel,
			      struct view *view, const struct piece *piece)
{
	struct in_place in_place = { .key = &sentinel->key };

	if (piece->hash == UNREAD || !is_in_one(kernel, view, piece) ||
	    ram_read_in_place(view_ram(view), in_ram(kernel, piece), piece->bytes, hash_in_place,
			      &in_place) < 0)
		return UNREAD;
	return in_place.hash;
}

/* Has it changed? */
static bool visit(struct sentinel *sentinel, const struct kernel *kernel, struct view *view,
		  struct piece *piece)
{
	uint32_t was = piece->hash, is = read_in_place(sentinel, kernel, view, piece);

	/* That it is not there is something to remember, too. */
	if (is == UNREAD)
		is = piece_hash(&sentinel->key, sentinel->room,
				copy_piece(sentinel, kernel, view, piece) < 0 ? 0 : piece->bytes);
	piece->hash = is;
	sentinel->bytes += piece->bytes;
	return was != UNREAD && was != is;
}

static void end_round(struct group *group)
{
	if (group->next < group->pieces.n)
		return;
	group->next = 0;
	group->rounds++;
}

/*
 * The piece that is next, by chance: of all in the first round, then of what is left of a quarter,
 * so that none waits for longer than a round and a quarter.
 *
 * Return: SENTINEL_BIT() of its region, or 0.
 */
static uint32_t visit_next(struct sentinel *sentinel, const struct kernel *kernel,
			   struct view *view, enum group_kind kind)
{
	struct group *group = &sentinel->groups[kind];
	size_t left = group->pieces.n - group->next, quarter = group->pieces.n / 4 + 1;
	size_t some = group->rounds ? quarter - group->next % quarter : left;
	struct piece *piece = &group->pieces.v[group->next];
	struct piece *chosen = piece + draw(sentinel) % (left < some ? left : some);
	struct piece swap = *chosen;
	bool fresh = swap.hash == UNREAD, changed;

	*chosen = *piece;
	*piece = swap;
	changed = visit(sentinel, kernel, view, piece);
	group->done += 1 / ((double)group->pieces.n * weights[kind]);
	/* Those of a module lead into its own code. */
	if (kind == TABLES && fresh && piece->region != SENTINEL_MODULES &&
	    !has_pointers(sentinel, piece)) {
		struct piece cold = *piece;

		*piece = group->pieces.v[--group->pieces.n];
		sentinel->pieces_n--;
		(void)add_piece(sentinel, COLD, &cold);
	} else {
		group->next++;
	}
	end_round(group);
	return changed ? SENTINEL_BIT(swap.region) : 0;
}

/* Which group is furthest behind? GROUPS: there is nothing. */
static enum group_kind choose(struct sentinel *sentinel)
{
	enum group_kind best = GROUPS;

	for (enum group_kind g = TABLES; g < GROUPS; g++)
		if (sentinel->groups[g].pieces.n &&
		    (best == GROUPS || sentinel->groups[g].done < sentinel->groups[best].done))
			best = g;
	/* Who comes later has no more to make up for. */
	for (enum group_kind g = TABLES; g < GROUPS && best < GROUPS; g++)
		if (!sentinel->groups[g].pieces.n)
			sentinel->groups[g].done = sentinel->groups[best].done;
	return best;
}

/* All of it once, whatever its turn. */
static uint32_t visit_all(struct sentinel *sentinel, const struct kernel *kernel,
			  struct view *view)
{
	uint32_t changed = 0;

	for (enum group_kind g = COLD; g > ALWAYS; g--) {
		struct group *group = &sentinel->groups[g];

		group->next = 0;
		for (size_t n = group->pieces.n; n; n--)
			changed |= visit_next(sentinel, kernel, view, g);
	}
	return changed;
}

/* So few at least that each look gets on, whatever the clock says. */
static uint32_t visit_some(struct sentinel *sentinel, const struct kernel *kernel,
			   struct view *view, clockid_t clock, uint64_t until)
{
	uint32_t changed = 0;
	size_t n = 0;

	do {
		uint64_t pause = sentinel->bytes + BYTES_PER_CLOCK;

		for (; n < sentinel->pieces_n && sentinel->bytes < pause; n++) {
			enum group_kind kind = choose(sentinel);

			if (kind == GROUPS)
				return changed;
			changed |= visit_next(sentinel, kernel, view, kind);
		}
	} while (n < sentinel->pieces_n && now_ns(clock) < until);
	return changed;
}

uint32_t sentinel_look(struct sentinel *sentinel, const struct kernel *kernel, struct view *view,
		       uint64_t time_ns)
{
	/* The process that copies for us does so on our account. */
	clockid_t clock = view_ram(view)->buffer ? CLOCK_MONOTONIC : CLOCK_THREAD_CPUTIME_ID;
	struct group *group = &sentinel->groups[ALWAYS];
	uint64_t began = now_ns(clock);
	uint32_t changed = 0;

	view_refuel(view, VIEW_FUEL_SWEEP);
	view_refresh(view);
	if (!sentinel->begun)
		add_kernel(sentinel, kernel);
	if (find_modules(sentinel, kernel, view))
		changed |= SENTINEL_BIT(SENTINEL_LIST);
	for (size_t i = 0; i < group->pieces.n; i++)
		if (visit(sentinel, kernel, view, &group->pieces.v[i]))
			changed |= SENTINEL_BIT(group->pieces.v[i].region);
	if (time_ns == UINT64_MAX)
		changed |= visit_all(sentinel, kernel, view);
	else if (time_ns)
		changed |= visit_some(sentinel, kernel, view, clock, began + time_ns);
	/* One that was unloaded from the middle of the list, or another in its place. */
	if (changed & SENTINEL_BIT(SENTINEL_MODULES))
		sentinel->modules_known = false;
	return changed;
}

/* --- who judges it --- */

static bool number_of(const char *id, uint32_t *ret)
{
	size_t n;
	const struct check *const *all = checks_all(&n);

	for (size_t i = 0; i < n; i++) {
		if (strcmp(all[i]->id, id) != 0)
			continue;
		*ret = (uint32_t)i;
		return true;
	}
	return false;
}

size_t sentinel_checks(uint32_t regions, uint32_t *ret)
{
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(judges); i++) {
		bool there = !(regions & SENTINEL_BIT(judges[i].region));
		uint32_t number;

		if (there || !number_of(judges[i].id, &number))
			continue;
		for (size_t j = 0; j < n; j++)
			there |= ret[j] == number;
		if (!there && n < SENTINEL_CHECKS_MAX)
			ret[n++] = number;
	}
	return n;
}

bool sentinel_watches(const char *id)
{
	for (size_t i = 0; i < ARRAY_SIZE(watched); i++)
		if (!strcmp(watched[i], id))
			return true;
	return false;
}
