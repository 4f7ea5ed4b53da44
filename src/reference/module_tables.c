/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/module_tables.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define ENTRY_WORDS 4u
#define ORC_BYTES   6u	/* struct orc_entry */

/* What stands at one place of an entry. */
enum word {
	WORD_NONE,
	WORD_U64,	/* 8 bytes: a number or an address */
	WORD_U32,	/* 4 bytes: a number */
	WORD_S32_REL,	/* 4 bytes: relative to its own place */
	WORD_S64_REL,	/* 8 bytes: relative to its own place */
};

/* One kind of table: what its entries are made of, and by what they are sorted. */
struct table_kind {
	const char *section;
	enum word words[ENTRY_WORDS];
	unsigned by, then;		/* words that it is sorted by; the same: no second one */
	uint64_t flags[ENTRY_WORDS];	/* low bits of a word that are no address */
	uint64_t init_flag[ENTRY_WORDS];	/* of these, the one that the kernel sets itself */
	const char *beside;		/* a section with ORC_BYTES for each entry; NULL: none */
};

static const struct table_kind kinds[] = {
	/* kernel/trace/ftrace.c, ftrace_process_locs() */
	{ .section = "__mcount_loc", .words = { WORD_U64 } },
	/* arch/x86/kernel/unwind_orc.c, unwind_module_init() */
	{ .section = ".orc_unwind_ip", .words = { WORD_S32_REL }, .beside = ".orc_unwind" },
	/* lib/extable.c, sort_extable(); the third word is a type since 5.16 */
	{ .section = "__ex_table", .words = { WORD_S32_REL, WORD_S32_REL, WORD_U32 } },
	/* kernel/jump_label.c, jump_label_add_module() */
	{ .section = "__jump_table", .words = { WORD_S32_REL, WORD_S32_REL, WORD_S64_REL },
	  .by = 2, .then = 0, .flags = { [2] = 3 }, .init_flag = { [2] = 2 } },
	/* kernel/static_call_inline.c, __static_call_init() */
	{ .section = ".static_call_sites", .words = { WORD_S32_REL, WORD_S32_REL },
	  .by = 1, .then = 1, .flags = { [1] = 3 }, .init_flag = { [1] = 2 } },
};

/* An entry, with addresses instead of distances. */
struct entry {
	uint64_t words[ENTRY_WORDS];
	uint8_t beside[ORC_BYTES];
	const struct table_kind *kind;
};

struct settling {
	const struct shipped *vmlinux;
	const struct symbols *symbols;
	struct shipped *shipped;
	struct table_kind kind;
	struct shipped_part *part, *beside;
	size_t entry_bytes, n;
};

static size_t word_bytes(enum word word)
{
	return word == WORD_NONE ? 0 : word == WORD_U32 || word == WORD_S32_REL ? 4 : 8;
}

static struct shipped_part *find_part(struct shipped *shipped, const char *name)
{
	for (size_t i = 0; i < shipped->parts.n; i++)
		if (!strcmp(shipped->parts.v[i].name, name))
			return &shipped->parts.v[i];
	return NULL;
}

/* Entry @i out of @bytes, which is the whole table, and @beside. */
static struct entry decode(const struct settling *s, const uint8_t *bytes, const uint8_t *beside,
			   size_t i)
{
	struct entry entry = { .kind = &s->kind };
	size_t at = i * s->entry_bytes;

	for (unsigned w = 0; w < ENTRY_WORDS; w++) {
		enum word word = s->kind.words[w];
		int32_t narrow = 0;
		uint64_t wide = 0;

		if (word_bytes(word) == 4) {
			memcpy(&narrow, bytes + at, sizeof(narrow));
			wide = word == WORD_U32 ? (uint64_t)(uint32_t)narrow :
						  (uint64_t)(int64_t)narrow;
		} else if (word != WORD_NONE) {
			memcpy(&wide, bytes + at, sizeof(wide));
		}
		if (word == WORD_S32_REL || word == WORD_S64_REL)
			wide += s->part->at.v + at;
		entry.words[w] = wide;
		at += word_bytes(word);
	}
	if (beside)
		memcpy(entry.beside, beside + i * ORC_BYTES, ORC_BYTES);
	return entry;
}

static void encode(const struct settling *s, const struct entry *entry, size_t i)
{
	size_t at = i * s->entry_bytes;

	for (unsigned w = 0; w < ENTRY_WORDS; w++) {
		enum word word = s->kind.words[w];
		uint64_t value = entry->words[w];

		if (word == WORD_S32_REL || word == WORD_S64_REL)
			value -= s->part->at.v + at;
		memcpy(s->part->bytes + at, &value, word_bytes(word));
		at += word_bytes(word);
	}
	if (s->beside)
		memcpy(s->beside->bytes + i * ORC_BYTES, entry->beside, ORC_BYTES);
}

/* By what the kernel sorts by, flags left out. */
static int by_key(const struct entry *x, const struct entry *y)
{
	const unsigned words[] = { x->kind->by, x->kind->then };

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		uint64_t a = x->words[words[i]] & ~x->kind->flags[words[i]];
		uint64_t b = y->words[words[i]] & ~y->kind->flags[words[i]];

		if (a != b)
			return a < b ? -1 : 1;
	}
	return 0;
}

/* … and then by all the rest, so that there is one order. */
static int by_all(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	int order = by_key(x, y);

	for (unsigned w = 0; w < ENTRY_WORDS && !order; w++)
		order = (x->words[w] > y->words[w]) - (x->words[w] < y->words[w]);
	return order ? order : memcmp(x->beside, y->beside, ORC_BYTES);
}

/* static_call_add_module(): what leads to a trampoline is made to lead to its key. */
static void use_key(const struct settling *s, struct entry *entry)
{
	gva from = symbols_lookup(s->symbols, "__start_static_call_tramp_key");
	gva to = symbols_lookup(s->symbols, "__stop_static_call_tramp_key");
	uint64_t flags = entry->words[1] & s->kind.flags[1];
	uint64_t tramp = entry->words[1] & ~s->kind.flags[1];

	if (!from.v || to.v < from.v)
		return;
	for (gva at = from; to.v - at.v >= 8; at = gva_add(at, 8)) {
		const uint8_t *bytes = shipped_at(s->vmlinux, at, 8);
		int32_t offset[2];

		if (!bytes)
			return;
		memcpy(offset, bytes, sizeof(offset));
		if (at.v + (uint64_t)(int64_t)offset[0] != tramp)
			continue;
		entry->words[1] = (at.v + 4 + (uint64_t)(int64_t)offset[1]) | flags;
		return;
	}
}

static bool is_init(const struct settling *s, const struct entry *entry)
{
	const struct shipped_part *part = shipped_part(s->shipped, gva_of(entry->words[0]));

	return part && part->flags & PART_GONE;
}

/*
 * The kernel marks what lies in the init part, so that it leaves it alone once it is freed; in
 * the file the same bit may say something else (JUMP_LABEL_HACK).
 */
static void mark_init(const struct settling *s, struct entry *entry)
{
	for (unsigned w = 0; w < ENTRY_WORDS; w++) {
		entry->words[w] &= ~s->kind.init_flag[w];
		if (is_init(s, entry))
			entry->words[w] |= s->kind.init_flag[w];
	}
}

/*
 * Entries [from, to) compare equal: where the guest has the same ones there, it is its order
 * that counts. Kernels that do not mark entries of the init part exist (up to 5.18 jump
 * labels): what the guest has of such a mark is taken.
 */
static void adopt_order(const struct settling *s, struct entry *entries, struct entry *live,
			struct entry *scratch, size_t from, size_t to)
{
	memcpy(scratch, live + from, (to - from) * sizeof(*scratch));
	for (size_t i = 0; i < to - from; i++)
		if (is_init(s, &scratch[i]))
			mark_init(s, &scratch[i]);
	qsort(scratch, to - from, sizeof(*scratch), by_all);
	for (size_t i = from; i < to; i++)
		if (by_all(&scratch[i - from], &entries[i]))
			return;
	memcpy(entries + from, live + from, (to - from) * sizeof(*entries));
}

static void put_back(const struct settling *s, struct entry *entries, struct entry *live,
		     struct entry *scratch)
{
	for (size_t from = 0, to; from < s->n; from = to) {
		for (to = from + 1; to < s->n && !by_key(&entries[from], &entries[to]); to++)
			;
		adopt_order(s, entries, live, scratch, from, to);
	}
	for (size_t i = 0; i < s->n; i++)
		encode(s, &entries[i], i);
}

static int settle(struct settling *s, struct view *view, struct err *err)
{
	cleanup(freep) struct entry *entries = calloc(s->n, sizeof(*entries));
	cleanup(freep) struct entry *live = calloc(s->n, sizeof(*live));
	cleanup(freep) struct entry *scratch = calloc(s->n, sizeof(*scratch));
	cleanup(freep) uint8_t *bytes = malloc(s->part->size_bytes);
	cleanup(freep) uint8_t *beside = s->beside ? malloc(s->beside->size_bytes) : NULL;
	int r;

	if (!entries || !live || !scratch || !bytes || (s->beside && !beside))
		return err_set(err, -ENOMEM, "no memory for tables of a module");
	r = view_read(view, s->part->at, bytes, s->part->size_bytes, err);
	if (r >= 0 && s->beside)
		r = view_read(view, s->beside->at, beside, s->beside->size_bytes, err);
	if (r < 0)
		return wrap(err, r, "%s", s->part->name);
	for (size_t i = 0; i < s->n; i++) {
		entries[i] = decode(s, s->part->bytes, s->beside ? s->beside->bytes : NULL, i);
		live[i] = decode(s, bytes, beside, i);
		if (!strcmp(s->kind.section, ".static_call_sites"))
			use_key(s, &entries[i]);
		mark_init(s, &entries[i]);
	}
	qsort(entries, s->n, sizeof(*entries), by_all);
	put_back(s, entries, live, scratch);
	return 0;
}

int module_tables_settle(const struct kernel *kernel, struct view *view,
			 const struct shipped *vmlinux, const struct symbols *symbols,
			 struct shipped *shipped, struct err *err)
{
	struct field handler;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct settling s = { vmlinux, symbols, shipped, .kind = kinds[i] };
		int r;

		s.part = find_part(shipped, s.kind.section);
		if (!s.part)
			continue;
		if (s.kind.words[2] == WORD_U32 &&
		    types_field(kernel->types, "exception_table_entry.handler", &handler,
				NULL) >= 0)
			s.kind.words[2] = WORD_S32_REL;
		for (unsigned w = 0; w < ENTRY_WORDS; w++)
			s.entry_bytes += word_bytes(s.kind.words[w]);
		s.n = s.part->size_bytes / s.entry_bytes;
		s.beside = s.kind.beside ? find_part(shipped, s.kind.beside) : NULL;
		if (s.part->size_bytes % s.entry_bytes ||
		    (s.kind.beside && (!s.beside || s.beside->size_bytes != s.n * ORC_BYTES)))
			return err_set(err, -EBADMSG, "%s of %llu bytes", s.kind.section,
				       (unsigned long long)s.part->size_bytes);
		r = settle(&s, view, err);
		if (r < 0)
			return r;
	}
	return 0;
}
