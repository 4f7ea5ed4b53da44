/* SPDX-License-Identifier: Apache-2.0 */
#include "ram/layout.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"

#define GIB ((uint64_t)1 << 30)

/* Below this, no machine that we know splits its RAM, whatever its type and version. */
#define NEVER_SPLIT (2 * GIB)

enum family { FAMILY_PC, FAMILY_Q35, FAMILY_MICROVM, FAMILY_ISA, FAMILY_UNKNOWN };

/* Is this the version of a type from before 2.0, which did not align the split? */
static bool is_old(const char *version)
{
	return (version[0] == '0' || version[0] == '1') && version[1] == '.';
}

/*
 * Distributions have versions of their own ("pc-i440fx-rhel7.6.0", "pc-q35-noble"), all newer
 * than 2.0 but for Red Hat's 6 and 7.0.
 */
static enum family family_of(const char *type, bool *old)
{
	static const struct { const char *prefix; enum family family; } prefixes[] = {
		{ "pc-i440fx-", FAMILY_PC },
		{ "pc-q35-", FAMILY_Q35 },
		{ "pc-", FAMILY_PC },
	};

	*old = false;
	if (!type || !strcmp(type, "pc") || !strcmp(type, "ubuntu"))
		return FAMILY_PC;
	if (!strcmp(type, "q35") || !strcmp(type, "ubuntu-q35"))
		return FAMILY_Q35;
	if (!strcmp(type, "microvm"))
		return FAMILY_MICROVM;
	if (!strcmp(type, "isapc"))
		return FAMILY_ISA;
	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
		size_t n = strlen(prefixes[i].prefix);

		if (strncmp(type, prefixes[i].prefix, n) != 0)
			continue;
		if (!strncmp(type + n, "rhel6", 5) || !strncmp(type + n, "rhel7.0", 7))
			break;
		*old = is_old(type + n);
		return prefixes[i].family;
	}
	return FAMILY_UNKNOWN;
}

static uint64_t split_of_pc(uint64_t ram_bytes, uint64_t max_below_4g, bool aligned)
{
	uint64_t split = max_below_4g ? max_below_4g : 0xe0000000;

	if (ram_bytes >= split && aligned && split > 0xc0000000)
		split = 0xc0000000;
	return split;
}

static uint64_t split_of_q35(uint64_t ram_bytes, uint64_t max_below_4g, bool aligned)
{
	uint64_t split = ram_bytes >= 0xb0000000 && aligned ? 0x80000000 : 0xb0000000;

	return max_below_4g && max_below_4g < split ? max_below_4g : split;
}

int layout_of_machine(const char *type, uint64_t ram_bytes, uint64_t max_below_4g,
		      struct ram_range ranges[2], bool *split, struct err *err)
{
	uint64_t below = ram_bytes;
	bool old;

	if (!ram_bytes || ram_bytes % GUEST_PAGE_SIZE)
		return err_set(err, -EBADMSG, "RAM of %" PRIu64 " bytes", ram_bytes);
	*split = ram_bytes >= NEVER_SPLIT || max_below_4g;
	if (*split) {
		switch (family_of(type, &old)) {
		case FAMILY_PC:
			below = split_of_pc(ram_bytes, max_below_4g, !old);
			break;
		case FAMILY_ISA:
			below = split_of_pc(ram_bytes, max_below_4g, false);
			break;
		case FAMILY_Q35:
			below = split_of_q35(ram_bytes, max_below_4g, !old);
			break;
		case FAMILY_MICROVM:
			below = 0xc0000000;
			break;
		default:
			return err_set(err, -ENOTSUP, "where machine type '%s' has its RAM is not "
				       "known: give QEMU a QMP socket (-qmp unix:…)", type);
		}
	}
	if (below > ram_bytes)
		below = ram_bytes;
	ranges[0] = (struct ram_range){ gpa_of(0), below };
	ranges[1] = (struct ram_range){ gpa_of(4 * GIB), ram_bytes - below };
	return ram_bytes > below ? 2 : 1;
}

static int add_piece(struct ram_layout *layout, const struct piece *piece, struct err *err)
{
	struct piece *to;

	if (layout->pieces.n == RAM_RANGES_MAX)
		return err_set(err, -ELOOP, "RAM in over %u pieces", RAM_RANGES_MAX);
	to = vec_add(&layout->pieces);
	if (!to)
		return -ENOMEM;
	*to = *piece;
	return 0;
}

/*
 * Lay a block that holds bytes [@from, @from + @size) of the machine's RAM over the ranges,
 * which hold its bytes one after the other.
 */
static int lay(struct ram_layout *layout, const struct ram_range *ranges, int n, const char *name,
	       uint64_t from, uint64_t size, struct err *err)
{
	uint64_t at = 0;	/* of the range's first byte in the machine's RAM */

	for (int i = 0; i < n; i++) {
		uint64_t end = at + ranges[i].size_bytes;
		uint64_t low = from > at ? from : at;
		uint64_t high = from + size < end ? from + size : end;
		struct piece piece = { .start = ranges[i].start.v + (low - at),
				       .size_bytes = high - low, .offset = low - from };
		int r;

		snprintf(piece.block, sizeof(piece.block), "%s", name);
		if (low < high) {
			r = add_piece(layout, &piece, err);
			if (r < 0)
				return r;
		}
		at = end;
	}
	return 0;
}

int layout_of_args(const struct qemu_args *args, const struct ram_range *ranges, int n,
		   struct ram_layout *layout, struct err *err)
{
	uint64_t ram_bytes = qemu_args_ram_bytes(args), at = 0;
	size_t blocks = 0;
	int r = 0;

	*layout = (struct ram_layout){ 0 };
	for (size_t i = 0; i < args->nodes.n && r == 0; i++) {
		const struct qemu_backend *backend;

		if (!args->nodes.v[i].memdev)
			continue;
		backend = qemu_args_backend(args, args->nodes.v[i].memdev);
		if (!backend || backend->size_bytes > ram_bytes - at)
			return err_set(err, -EBADMSG, "NUMA node %" PRIu64 ": memory backend '%s' "
				       "is unknown or too large", args->nodes.v[i].id,
				       args->nodes.v[i].memdev);
		r = lay(layout, ranges, n, backend->id, at, backend->size_bytes, err);
		at += backend->size_bytes;
		blocks++;
	}
	if (r == 0 && !blocks)
		return lay(layout, ranges, n,
			   args->memory_backend ? args->memory_backend : "pc.ram", 0, ram_bytes,
			   err);
	if (r == 0 && at != ram_bytes)
		r = err_set(err, -EBADMSG, "NUMA nodes of %" PRIu64 " bytes in a guest of %"
			    PRIu64, at, ram_bytes);
	return r;
}

void layout_free(struct ram_layout *layout)
{
	vec_free(&layout->pieces);
}

int layout_set_ranges(const struct ram_layout *layout, struct ram *ram, struct err *err)
{
	cleanup(freep) struct ram_range *ranges = calloc(layout->pieces.n + 1, sizeof(*ranges));
	size_t n = 0;

	if (!ranges)
		return -ENOMEM;
	for (size_t i = 0; i < layout->pieces.n; i++) {
		const struct piece *piece = &layout->pieces.v[i];

		if (n && ranges[n - 1].start.v + ranges[n - 1].size_bytes == piece->start)
			ranges[n - 1].size_bytes += piece->size_bytes;
		else
			ranges[n++] = (struct ram_range){ gpa_of(piece->start),
							  piece->size_bytes };
	}
	return ram_set_ranges(ram, ranges, n, err);
}
