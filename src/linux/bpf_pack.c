/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/bpf_pack.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define CHUNK_BYTES 64u		/* BPF_PROG_CHUNK_SIZE */
#define INT3	    0xcc
#define PACK_MAX    (64u << 20)	/* read at once: 2 MiB per memory node */

static bool is_used(const uint8_t *bitmap, uint64_t chunk)
{
	return bitmap[chunk / 8] >> chunk % 8 & 1;
}

static bool is_empty(const uint8_t *chunk)
{
	return chunk[0] == INT3 && !memcmp(chunk, chunk + 1, CHUNK_BYTES - 1);
}

static int find_slack(const uint8_t *bitmap, const uint8_t *memory, gva at, uint64_t chunks,
		      struct bpf_slack *ret, uint64_t *unused)
{
	struct bpf_slack slack = { gva_of(0), 0 };

	for (uint64_t i = 0; i < chunks; i++) {
		if (is_used(bitmap, i))
			continue;
		*unused += CHUNK_BYTES;
		if (is_empty(memory + i * CHUNK_BYTES))
			continue;
		if (!slack.size_bytes)
			slack.start = gva_add(at, i * CHUNK_BYTES);
		slack.size_bytes = at.v + (i + 1) * CHUNK_BYTES - slack.start.v;
	}
	if (!slack.size_bytes)
		return 0;
	*ret = slack;
	return 1;
}

int bpf_pack_check(const struct kernel *kernel, struct view *view, gva pack, gva at,
		   uint64_t bytes, struct bpf_slack *ret, uint64_t *unused, struct err *err)
{
	cleanup(freep) uint8_t *bitmap = NULL, *memory = NULL;
	uint64_t chunks = bytes / CHUNK_BYTES;
	struct field field;
	int r;

	*unused = 0;
	if (types_field(kernel->types, "bpf_prog_pack.bitmap", &field, NULL) < 0)
		return err_set(err, -ENOTSUP, "BPF packs without a bitmap");
	if (!bytes || bytes % (8 * CHUNK_BYTES) || bytes > PACK_MAX)
		return fail(err, -EBADMSG, pack, "BPF pack of %#llx bytes",
			    (unsigned long long)bytes);
	bitmap = malloc(chunks / 8);
	memory = malloc(bytes);
	if (!bitmap || !memory)
		return -ENOMEM;
	/* Chunks are taken before they are written to, so the bitmap is read last. */
	r = view_read(view, at, memory, bytes, err);
	if (r >= 0)
		r = view_read(view, gva_add(pack, field.at), bitmap, chunks / 8, err);
	return r < 0 ? r : find_slack(bitmap, memory, at, chunks, ret, unused);
}
