/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/shipped.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

static const char *const table_names[SHIPPED_TABLES] = {
	[TABLE_ALTERNATIVES] = ".altinstructions",
	[TABLE_PARAVIRT] = ".parainstructions",
	[TABLE_RETPOLINES] = ".retpoline_sites",
	[TABLE_RETURNS] = ".return_sites",
	[TABLE_CALLS] = ".call_sites",
	[TABLE_ENDBR] = ".ibt_endbr_seal",
	[TABLE_LOCKS] = ".smp_locks",
	[TABLE_JUMPS] = "__jump_table",
	[TABLE_STATIC_CALLS] = ".static_call_sites",
	[TABLE_MCOUNT] = "__mcount_loc",
};

const char *shipped_table_name(enum shipped_table table)
{
	return table_names[table];
}

int shipped_table_of(const char *section)
{
	for (size_t i = 0; i < ARRAY_SIZE(table_names); i++)
		if (!strcmp(table_names[i], section))
			return (int)i;
	return -1;
}

struct shipped_part *shipped_add(struct shipped *shipped, const char *name, gva at,
				 uint64_t size_bytes, unsigned flags)
{
	uint8_t *bytes = calloc(1, size_bytes ? size_bytes : 1);
	struct shipped_part *part = bytes ? vec_add(&shipped->parts) : NULL;

	if (!part) {
		free(bytes);
		return NULL;
	}
	snprintf(part->name, sizeof(part->name), "%s", name);
	part->at = at;
	part->size_bytes = size_bytes;
	part->bytes = bytes;
	part->flags = flags;
	return part;
}

static int by_address(const void *a, const void *b)
{
	const struct shipped_part *x = a, *y = b;

	return (x->at.v > y->at.v) - (x->at.v < y->at.v);
}

int shipped_sort(struct shipped *shipped, struct err *err)
{
	if (!shipped->parts.n)
		return 0;
	qsort(shipped->parts.v, shipped->parts.n, sizeof(*shipped->parts.v), by_address);
	for (size_t i = 0; i < shipped->parts.n; i++) {
		const struct shipped_part *part = &shipped->parts.v[i];

		if (part->size_bytes > -part->at.v && part->at.v)
			return fail(err, -EBADMSG, part->at, "section %s does not fit there",
				    part->name);
		if (i + 1 < shipped->parts.n && part[1].at.v - part->at.v < part->size_bytes)
			return fail(err, -EBADMSG, part->at, "sections %s and %s overlap",
				    part->name, part[1].name);
	}
	return 0;
}

void shipped_free(struct shipped *shipped)
{
	for (size_t i = 0; i < shipped->parts.n && !shipped->borrowed; i++)
		free(shipped->parts.v[i].bytes);
	vec_free(&shipped->parts);
	vec_free(&shipped->runtime);
	vec_free(&shipped->trampolines);
	*shipped = (struct shipped){0};
}

const struct shipped_part *shipped_part(const struct shipped *shipped, gva at)
{
	size_t low = 0, high = shipped->parts.n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (shipped->parts.v[middle].at.v <= at.v)
			low = middle + 1;
		else
			high = middle;
	}
	if (!low || at.v - shipped->parts.v[low - 1].at.v >= shipped->parts.v[low - 1].size_bytes)
		return NULL;
	return &shipped->parts.v[low - 1];
}

uint8_t *shipped_at(const struct shipped *shipped, gva at, uint64_t n)
{
	const struct shipped_part *part = shipped_part(shipped, at);

	if (!part || n > part->size_bytes - (at.v - part->at.v))
		return NULL;
	return part->bytes + (at.v - part->at.v);
}

/* A number that straddles an end is moved as a whole. */
#define MARGIN 8u

bool shipped_copy(const struct shipped *shipped, gva at, uint8_t *ret, size_t n)
{
	const struct shipped_part *part = shipped_part(shipped, at);
	uint8_t room[MARGIN + SHIPPED_COPY_MAX + MARGIN];
	uint64_t offset = part ? at.v - part->at.v : 0, lead, rest;

	if (!part || n > SHIPPED_COPY_MAX || n > part->size_bytes - offset)
		return false;
	if (!shipped->finish) {
		memcpy(ret, part->bytes + offset, n);
		return true;
	}
	lead = offset < MARGIN ? offset : MARGIN;
	rest = part->size_bytes - offset - n < MARGIN ? part->size_bytes - offset - n : MARGIN;
	memcpy(room, part->bytes + offset - lead, lead + n + rest);
	shipped->finish(shipped, offset - lead, room, lead + n + rest);
	memcpy(ret, room + lead, n);
	return true;
}
