/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "info mtree", as print_memory_region() of QEMU's system/memory.c writes it:
 *
 *   memory-region: system
 *     0000000000000000-ffffffffffffffff (prio 0, i/o): system
 *       0000000000000000-00000000bfffffff (prio 0, ram): alias ram-below-4g @pc.ram 0000…-…
 *       0000000100000000-000000013fffffff (prio 0, ram): alias ram-above-4g @pc.ram 0000…-…
 *       0000000140000000-00000002ffffffff (prio 0, i/o): device-memory
 *         0000000140000000-000000017fffffff (prio 0, ram): dimm0
 *   memory-region: pc.ram
 *     0000000000000000-000000013fffffff (prio 0, i/o): pc.ram
 *       0000000000000000-000000007fffffff (prio 0, ram): ram-node0
 *       0000000080000000-000000013fffffff (prio 0, ram): ram-node1
 *
 * The aliases, unlike the flat view, do not depend on what the guest wrote to its chipset.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/limits.h"
#include "ram/layout.h"

struct line {
	unsigned indent;
	uint64_t start, last;	/* first and last byte */
	bool ram;		/* "ram", "nv-ram" */
	char name[64];
	char target[64];	/* of an alias; else "" */
	uint64_t offset;	/* in the target */
};

/* Which lines of a text are about one thing. */
struct mtree {
	VEC(struct line) ram;		/* ram-below-4g, ram-above-4g; then DIMMs */
	VEC(struct line) blocks;	/* in the region that these are aliases of */
	size_t aliases;			/* of @ram: how many are of the machine's RAM */
};

/* At most 16 hex digits up to @end. */
static bool hex(const char **at, char end, uint64_t *ret)
{
	char *stop;
	size_t n = strspn(*at, "0123456789abcdef");

	if (!n || n > 16 || (*at)[n] != end)
		return false;
	*ret = strtoull(*at, &stop, 16);
	*at = stop + 1;
	return true;
}

static bool word(const char **at, char *to, size_t size)
{
	size_t n = strcspn(*at, " \r\n");

	if (!n || n >= size)
		return false;
	memcpy(to, *at, n);
	to[n] = '\0';
	*at += n;
	return true;
}

/* A line of another form is none of ours: false. */
static bool parse_line(const char *at, struct line *line)
{
	size_t type;
	uint64_t last;

	*line = (struct line){ .indent = (unsigned)strspn(at, " ") };
	at += line->indent;
	if (!hex(&at, '-', &line->start) || !hex(&at, ' ', &line->last) ||
	    line->last < line->start || strncmp(at, "(prio ", 6) != 0)
		return false;
	at += 6;
	at += strcspn(at, ",\n");
	if (strncmp(at, ", ", 2) != 0)
		return false;
	at += 2;
	type = strcspn(at, ")\n");
	line->ram = (type == 3 && !memcmp(at, "ram", 3)) ||
		    (type == 6 && !memcmp(at, "nv-ram", 6));
	at += type;
	if (strncmp(at, "): ", 3) != 0)
		return false;
	at += 3;
	if (strncmp(at, "alias ", 6) != 0)
		return word(&at, line->name, sizeof(line->name));
	at += 6;
	if (!word(&at, line->name, sizeof(line->name)) || strncmp(at, " @", 2) != 0)
		return false;
	at += 2;
	if (!word(&at, line->target, sizeof(line->target)) || *at++ != ' ')
		return false;
	if (!hex(&at, '-', &line->offset))
		return false;
	/* The end of a line; a mapping that is switched off has "[disabled]" behind it. */
	type = strspn(at, "0123456789abcdef");
	last = type && type <= 16 ? strtoull(at, NULL, 16) : 0;
	return last >= line->offset && last - line->offset == line->last - line->start &&
	       strncmp(at + type, " [disabled]", 11) != 0;
}

#define add_line(list, line, err)                                                       \
	({                                                                              \
		__typeof__((list)->v) to_ = NULL;                                       \
		if ((list)->n < RAM_RANGES_MAX)                                         \
			to_ = vec_add(list);                                            \
		if (to_)                                                                \
			*to_ = *(line);                                                 \
		to_ ? 0 : err_set(err, -ELOOP, "over %u regions of RAM", RAM_RANGES_MAX); \
	})

/* Trees are printed once for each address space that has them. */
static bool known(const struct line *lines, size_t n, const struct line *line)
{
	for (size_t i = 0; i < n; i++)
		if (lines[i].start == line->start && lines[i].last == line->last &&
		    !strcmp(lines[i].name, line->name))
			return true;
	return false;
}

static bool is_alias_of_ram(const struct line *line)
{
	return !strcmp(line->name, "ram-below-4g") || !strcmp(line->name, "ram-above-4g");
}

/* The line after @at, or NULL. */
static const char *next_line(const char *at)
{
	at = strchr(at, '\n');
	return at && at[1] ? at + 1 : NULL;
}

/* The aliases of the machine's RAM, or (@devices) what is plugged beside it. */
static int collect(const char *text, bool devices, struct mtree *mtree, struct err *err)
{
	unsigned device_indent = 0;
	int r = 0;

	for (const char *at = text; at && r == 0; at = next_line(at)) {
		struct line line;

		if (!parse_line(at, &line)) {
			if (!strncmp(at, "memory-region:", 14) ||
			    !strncmp(at, "address-space:", 14))
				device_indent = 0;
			continue;
		}
		if (line.indent <= device_indent)
			device_indent = 0;
		if (!strcmp(line.name, "device-memory") || !strcmp(line.name, "hotplug-memory"))
			device_indent = line.indent;
		else if ((devices ? device_indent && line.ram
				  : line.target[0] && is_alias_of_ram(&line)) &&
			 !known(mtree->ram.v, mtree->ram.n, &line))
			r = add_line(&mtree->ram, &line, err);
	}
	if (!devices)
		mtree->aliases = mtree->ram.n;
	return r;
}

/* The blocks in region @name: those of its section, or else itself. */
static int collect_blocks(const char *text, const char *name, struct mtree *mtree,
			  struct err *err)
{
	bool inside = false;
	int r = 0;

	for (const char *at = text; at && r == 0; at = next_line(at)) {
		struct line line;

		if (!strncmp(at, "memory-region: ", 15)) {
			char section[sizeof(line.name)];
			const char *from = at + 15;

			inside = !mtree->blocks.n && word(&from, section, sizeof(section)) &&
				 !strcmp(section, name);
		} else if (!strncmp(at, "address-space:", 14)) {
			inside = false;
		} else if (inside && parse_line(at, &line) && line.ram) {
			r = add_line(&mtree->blocks, &line, err);
		}
	}
	return r;
}

static int add_piece(struct ram_layout *layout, const char *block, uint64_t start, uint64_t size,
		     uint64_t offset, struct err *err)
{
	struct piece *piece = NULL;

	if (layout->pieces.n < RAM_RANGES_MAX)
		piece = vec_add(&layout->pieces);
	if (!piece)
		return err_set(err, -ELOOP, "RAM in over %u pieces", RAM_RANGES_MAX);
	*piece = (struct piece){ .start = start, .size_bytes = size, .offset = offset };
	snprintf(piece->block, sizeof(piece->block), "%s", block);
	return 0;
}

/* One alias of the machine's RAM, cut along the blocks that hold it. */
static int lay(const struct mtree *mtree, const struct line *alias, struct ram_layout *layout,
	       struct err *err)
{
	uint64_t size = alias->last - alias->start + 1;	/* not 0: not everywhere */
	uint64_t at = alias->offset, done = 0;

	for (size_t i = 0; i < mtree->blocks.n && done < size; i++) {
		const struct line *block = &mtree->blocks.v[i];
		uint64_t n;
		int r;

		if (at < block->start || at > block->last)
			continue;
		n = size - done;
		if (n - 1 > block->last - at)
			n = block->last - at + 1;
		r = add_piece(layout, block->name, alias->start + done, n, at - block->start, err);
		if (r < 0)
			return r;
		at += n;
		done += n;
	}
	if (done != size)
		return err_set(err, -EBADMSG, "'%s' is not all RAM", alias->name);
	return 0;
}

static int by_start(const void *a, const void *b)
{
	const struct piece *x = a, *y = b;

	return (x->start > y->start) - (x->start < y->start);
}

static int lay_all(const struct mtree *mtree, struct ram_layout *layout, struct err *err)
{
	int r = 0;

	for (size_t i = 0; i < mtree->ram.n && r == 0; i++) {
		const struct line *line = &mtree->ram.v[i];

		if (line->last - line->start == UINT64_MAX)
			return err_set(err, -EBADMSG, "'%s' is everywhere", line->name);
		if (i < mtree->aliases)
			r = lay(mtree, line, layout, err);
		else
			r = add_piece(layout, line->target[0] ? line->target : line->name,
				      line->start, line->last - line->start + 1, line->offset, err);
	}
	if (r < 0)
		return r;
	qsort(layout->pieces.v, layout->pieces.n, sizeof(*layout->pieces.v), by_start);
	for (size_t i = 0; i < layout->pieces.n; i++) {
		const struct piece *piece = &layout->pieces.v[i], *next = piece + 1;

		if (((piece->start | piece->size_bytes | piece->offset) & GUEST_PAGE_MASK) ||
		    piece->start + (piece->size_bytes - 1) < piece->start ||
		    (i + 1 < layout->pieces.n &&
		     next->start - piece->start < piece->size_bytes))
			return err_set(err, -EBADMSG, "RAM at %#" PRIx64 " is not sound",
				       piece->start);
	}
	return 0;
}

int layout_of_mtree(const char *text, struct ram_layout *layout, struct err *err)
{
	struct mtree mtree = { 0 };
	int r;

	*layout = (struct ram_layout){ 0 };
	r = collect(text, false, &mtree, err);
	if (r == 0 && !mtree.aliases)
		r = err_set(err, -ENOENT, "the memory tree has no RAM that we know");
	for (size_t i = 1; r == 0 && i < mtree.aliases; i++)
		if (strcmp(mtree.ram.v[i].target, mtree.ram.v[0].target) != 0)
			r = err_set(err, -EBADMSG, "RAM in both '%s' and '%s'",
				    mtree.ram.v[0].target, mtree.ram.v[i].target);
	if (r == 0)
		r = collect_blocks(text, mtree.ram.v[0].target, &mtree, err);
	if (r == 0)
		r = collect(text, true, &mtree, err);
	if (r == 0)
		r = lay_all(&mtree, layout, err);
	vec_free(&mtree.ram);
	vec_free(&mtree.blocks);
	return r;
}
