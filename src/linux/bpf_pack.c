/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/bpf_pack.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define CHUNK_BYTES 64u		/* BPF_PROG_CHUNK_SIZE */
#define INT3	    0xcc
#define PACK_MAX    (64u << 20)	/* 2 MiB per memory node */
#define PIECE_BYTES (128u << 10)

static bool is_used(const uint8_t *bitmap, uint64_t chunk)
{
	return bitmap[chunk / 8] >> chunk % 8 & 1;
}

static bool is_empty(const uint8_t *chunk)
{
	return chunk[0] == INT3 && !memcmp(chunk, chunk + 1, CHUNK_BYTES - 1);
}

static int find_slack(const uint8_t *bitmap, const uint8_t *code, gva at, uint64_t chunks,
		      struct bpf_slack *ret, uint64_t *unused)
{
	struct bpf_slack slack = { gva_of(0), 0 };

	for (uint64_t i = 0; i < chunks; i++) {
		if (is_used(bitmap, i))
			continue;
		*unused += CHUNK_BYTES;
		if (!is_used(code, i))
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

/* A bit for each chunk that holds something. */
static int find_code(struct view *view, gva at, uint64_t chunks, uint8_t *code, struct err *err)
{
	cleanup(freep) uint8_t *piece = malloc(PIECE_BYTES);

	if (!piece)
		return -ENOMEM;
	for (uint64_t i = 0; i < chunks; i++) {
		uint64_t in = i * CHUNK_BYTES % PIECE_BYTES, rest = (chunks - i) * CHUNK_BYTES;
		int r = in ? 0 : view_read(view, gva_add(at, i * CHUNK_BYTES), piece,
					   rest < PIECE_BYTES ? rest : PIECE_BYTES, err);

		if (r < 0)
			return r;
		if (!is_empty(piece + in))
			code[i / 8] |= (uint8_t)(1u << i % 8);
	}
	return 0;
}

int bpf_pack_check(const struct kernel *kernel, struct view *view, gva pack, gva at,
		   uint64_t bytes, struct bpf_slack *ret, uint64_t *unused, struct err *err)
{
	cleanup(freep) uint8_t *bitmap = NULL, *code = NULL;
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
	code = calloc(chunks / 8, 1);
	if (!bitmap || !code)
		return -ENOMEM;
	/* Chunks are taken before they are written to, so the bitmap is read last. */
	r = find_code(view, at, chunks, code, err);
	if (r >= 0)
		r = view_read(view, gva_add(pack, field.at), bitmap, chunks / 8, err);
	return r < 0 ? r : find_slack(bitmap, code, at, chunks, ret, unused);
}
