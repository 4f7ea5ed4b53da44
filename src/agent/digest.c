/* SPDX-License-Identifier: Apache-2.0 */

#include "agent/digest.h"

#include <sodium.h>
#include <string.h>
#include <unistd.h>

_Static_assert(DIGEST_BUFFER_BYTES % AGENT_PAGE_BYTES == 0, "whole pages in the buffer");

/* Where we are among the pages that are wanted. */
struct cursor {
	const struct segments *segments;
	uint32_t segment;
	uint8_t *pages;		/* the next digest */
};

/* Page number @page stands in @data, of which the file has @n bytes. */
static void digest_page(struct cursor *cursor, uint64_t page, const uint8_t *data, size_t n)
{
	const struct agent_segment *segment = &cursor->segments->v[cursor->segment];
	uint8_t tail[AGENT_PAGE_BYTES] = {0};

	if (cursor->segment == cursor->segments->n || page < segment->first_page)
		return;
	if (n < AGENT_PAGE_BYTES) {
		memcpy(tail, data, n);
		data = tail;
	}
	crypto_hash_sha256(cursor->pages, data, AGENT_PAGE_BYTES);
	cursor->pages += AGENT_DIGEST_BYTES;
	if (page + 1 == segment->first_page + segment->pages)
		cursor->segment++;
}

/* All of [at, at + n), or an error. */
static int read_whole(int fd, uint8_t *buffer, size_t n, uint64_t at)
{
	size_t done = 0;

	while (done < n) {
		ssize_t got = pread(fd, buffer + done, n - done, (off_t)(at + done));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			return -ESTALE;
		done += (size_t)got;
	}
	return 0;
}

int digest_file(int fd, uint64_t size_bytes, const struct segments *segments, uint8_t *buffer,
		uint8_t sha256[AGENT_DIGEST_BYTES], uint8_t *pages, bool (*go_on)(void *ctx),
		void *ctx)
{
	struct cursor cursor = { segments, 0, pages };
	crypto_hash_sha256_state state;

	crypto_hash_sha256_init(&state);
	for (uint64_t at = 0; at < size_bytes; at += DIGEST_BUFFER_BYTES) {
		size_t n = size_bytes - at < DIGEST_BUFFER_BYTES ? (size_t)(size_bytes - at) :
			   DIGEST_BUFFER_BYTES;
		int r = go_on(ctx) ? read_whole(fd, buffer, n, at) : -ECANCELED;

		if (r < 0)
			return r;
		crypto_hash_sha256_update(&state, buffer, n);
		for (size_t i = 0; i < n; i += AGENT_PAGE_BYTES)
			digest_page(&cursor, (at + i) / AGENT_PAGE_BYTES, buffer + i,
				    n - i < AGENT_PAGE_BYTES ? n - i : AGENT_PAGE_BYTES);
	}
	crypto_hash_sha256_final(&state, sha256);
	return 0;
}
