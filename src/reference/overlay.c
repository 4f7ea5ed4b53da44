/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/overlay.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

#define SAME_MAX 255u	/* of bytes that are the same: a byte */

/* … and of those that differ; above it are the numbers of words. */
#define RUN_MAX (255u - OVERLAY_WORDS)

/* Runs that come so often become words: those that do are seen thousands of times. */
#define WORD_TIMES 16u
#define SEEN	   4096u
/* For hash_bytes(): always the same, so that the same image takes as much each time. */
#define WORD_SECRET 0x9e3779b97f4a7c15ull

/* Fewer bytes that are the same are not worth a run of their own, which takes two. */
#define GAP_BYTES 2u

/* At worst each seventh byte begins a run, of which four are kept, and two say so. */
#define PAGE_PACKED_MAX (2 * OVERLAY_PAGE_BYTES)

/* An ENDBR: what runs are at least, so that there are few lengths. Most are calls and jumps: 5. */
#define RUN_USUAL 4u

/* A run that may become a word, and how often it was seen more than what else belongs here. */
struct overlay_seen {
	struct overlay_word word;
	uint8_t number;		/* of the word that it is, and one */
	uint16_t times;
};

/* Where the run of differing bytes that begins at @i ends, short gaps included. */
static size_t run_end(const uint8_t *was, const uint8_t *now, size_t i, size_t n)
{
	size_t last = i;

	for (size_t j = i + 1; j < n && j - last <= GAP_BYTES + 1; j++)
		if (was[j] != now[j])
			last = j;
	if (last + 1 - i < RUN_USUAL)
		return n - i < RUN_USUAL ? n : i + RUN_USUAL;
	return last + 1;
}

/* The first byte from @i on that differs; eight at a time, for most are the same. */
static size_t next_other(const uint8_t *was, const uint8_t *now, size_t i, size_t n)
{
	uint64_t a, b;

	for (; i + sizeof(a) <= n; i += sizeof(a)) {
		memcpy(&a, was + i, sizeof(a));
		memcpy(&b, now + i, sizeof(b));
		if (a != b)
			return i + (size_t)__builtin_ctzll(a ^ b) / 8;
	}
	while (i < n && was[i] == now[i])
		i++;
	return i;
}

/* The number of the word that a run is, or becomes now; OVERLAY_WORDS: it is none. */
static unsigned word_of(struct overlay *overlay, const uint8_t *run, size_t n)
{
	struct overlay_seen *seen;

	if (n > OVERLAY_WORD_BYTES)
		return OVERLAY_WORDS;
	seen = &overlay->seen[hash_bytes(run, n, WORD_SECRET) % SEEN];
	if (seen->word.n != n || memcmp(seen->word.bytes, run, n) != 0) {
		if (seen->number || seen->times) {	/* one that is a word stays */
			if (!seen->number)
				seen->times--;
			return OVERLAY_WORDS;
		}
		memcpy(seen->word.bytes, run, n);
		seen->word.n = (uint8_t)n;
	}
	if (!seen->number && ++seen->times == WORD_TIMES && overlay->words_n < OVERLAY_WORDS) {
		overlay->words[overlay->words_n] = seen->word;
		seen->number = (uint8_t)++overlay->words_n;
	}
	if (seen->times > WORD_TIMES)
		seen->times = WORD_TIMES;
	return seen->number ? seen->number - 1u : OVERLAY_WORDS;
}

static size_t put(struct overlay *overlay, uint8_t *packed, size_t same, const uint8_t *run,
		  size_t n)
{
	unsigned word = n ? word_of(overlay, run, n) : OVERLAY_WORDS;

	packed[0] = (uint8_t)same;
	packed[1] = (uint8_t)(word < OVERLAY_WORDS ? RUN_MAX + 1 + word : n);
	if (word < OVERLAY_WORDS)
		return 2;
	memcpy(packed + 2, run, n);
	return 2 + n;
}

static size_t pack(struct overlay *overlay, const uint8_t *was, const uint8_t *now, size_t n,
		   uint8_t *packed)
{
	size_t used = 0, done = 0;

	for (size_t i = 0; i < n;) {
		size_t end;

		i = next_other(was, now, i, n);
		if (i == n)
			break;
		end = run_end(was, now, i, n);
		while (done < end) {
			size_t same = i > done ? i - done : 0, other;

			if (same > SAME_MAX)
				same = SAME_MAX;
			other = done + same < i ? 0 : end - done - same;
			if (other > RUN_MAX)
				other = RUN_MAX;
			used += put(overlay, packed + used, same, now + done + same, other);
			done += same + other;
		}
		i = end;
	}
	return used;
}

static int make_room(struct overlay *overlay, size_t n)
{
	size_t room = overlay->packed_room + overlay->packed_room / 2;
	uint8_t *packed;

	if (n <= overlay->packed_room - overlay->packed_bytes)
		return 0;
	if (room < overlay->packed_bytes + n)
		room = overlay->packed_bytes + n;
	packed = room <= UINT32_MAX ? realloc(overlay->packed, room) : NULL;
	if (!packed)
		return -ENOMEM;
	overlay->packed = packed;
	overlay->packed_room = room;
	return 0;
}

int overlay_add(struct overlay *overlay, const uint8_t *was, const uint8_t *now, size_t n)
{
	uint8_t packed[PAGE_PACKED_MAX];
	size_t used = 0;
	uint32_t *start;

	if (!overlay->seen)
		overlay->seen = calloc(SEEN, sizeof(*overlay->seen));
	if (!overlay->seen)
		return -ENOMEM;
	if (memcmp(was, now, n) != 0)
		used = pack(overlay, was, now, n, packed);
	if (make_room(overlay, used) < 0)
		return -ENOMEM;
	start = vec_add(&overlay->starts);
	if (!start)
		return -ENOMEM;
	*start = (uint32_t)overlay->packed_bytes;
	if (used)
		memcpy(overlay->packed + overlay->packed_bytes, packed, used);
	overlay->packed_bytes += used;
	return 0;
}

void overlay_settle(struct overlay *overlay)
{
	uint8_t *packed = overlay->packed_bytes ?
		realloc(overlay->packed, overlay->packed_bytes) : NULL;

	free(overlay->seen);
	overlay->seen = NULL;
	vec_settle(&overlay->starts);
	if (!packed)
		return;
	overlay->packed = packed;
	overlay->packed_room = overlay->packed_bytes;
}

/* What a run is, and where the next one begins. */
static inline const uint8_t *run_bytes(const struct overlay *overlay, const uint8_t *run, size_t *n,
				       const uint8_t **next)
{
	const struct overlay_word *word;

	if (run[1] <= RUN_MAX) {
		*n = run[1];
		*next = run + 2 + *n;
		return run + 2;
	}
	word = &overlay->words[run[1] - RUN_MAX - 1];
	*n = word->n;
	*next = run + 2;
	return word->bytes;
}

/* The part of one run that lies in [@from, @from + @n). */
static void put_part(uint64_t at, const uint8_t *run, size_t bytes, uint64_t from, uint8_t *to,
		     size_t n)
{
	for (size_t i = 0; i < bytes; i++)
		if (at + i >= from && at + i - from < n)
			to[at + i - from] = run[i];
}

/*
 * A run of @n bytes that all lie inside: most have five, and nearly all up to sixteen, which two
 * copies of a fixed size make that may overlap.
 */
static inline void put_run(uint8_t *to, const uint8_t *run, size_t n)
{
	if (n - 4 <= 4) {
		memcpy(to, run, 4);
		memcpy(to + n - 4, run + n - 4, 4);
	} else if (n - 8 <= 8) {
		memcpy(to, run, 8);
		memcpy(to + n - 8, run + n - 8, 8);
	} else {
		memcpy(to, run, n);
	}
}

static void apply_page(const struct overlay *overlay, size_t page, uint64_t from, uint8_t *to,
		       size_t n)
{
	const uint8_t *run = overlay->packed + overlay->starts.v[page];
	const uint8_t *end = overlay->packed + (page + 1 < overlay->starts.n ?
						overlay->starts.v[page + 1] :
						overlay->packed_bytes);
	uint64_t at = (uint64_t)page * OVERLAY_PAGE_BYTES;
	bool inside = at >= from && at - from + OVERLAY_PAGE_BYTES <= n;
	const uint8_t *next, *bytes;
	size_t bytes_n;

	if (inside)
		to += at - from;
	for (; run < end; run = next) {
		bytes = run_bytes(overlay, run, &bytes_n, &next);
		if (inside) {
			put_run(to + run[0], bytes, bytes_n);
			to += run[0] + bytes_n;
		} else {
			put_part(at + run[0], bytes, bytes_n, from, to, n);
			at += run[0] + bytes_n;
		}
	}
}

bool overlay_is_clear(const struct overlay *overlay, uint64_t from, size_t n)
{
	uint64_t first = from / OVERLAY_PAGE_BYTES, end = (from + n - 1) / OVERLAY_PAGE_BYTES + 1;
	size_t pages = overlay->starts.n;

	if (first >= pages)
		return true;
	return overlay->starts.v[first] ==
	       (end < pages ? overlay->starts.v[end] : overlay->packed_bytes);
}

void overlay_apply(const struct overlay *overlay, uint64_t from, uint8_t *bytes, size_t n)
{
	if (!overlay->packed_bytes)
		return;
	for (uint64_t page = from / OVERLAY_PAGE_BYTES;
	     page < overlay->starts.n && page * OVERLAY_PAGE_BYTES < from + n; page++)
		apply_page(overlay, page, from, bytes, n);
}

size_t overlay_bytes(const struct overlay *overlay)
{
	return overlay->packed_room + overlay->starts.room * sizeof(*overlay->starts.v);
}

void overlay_free(struct overlay *overlay)
{
	free(overlay->packed);
	free(overlay->seen);
	vec_free(&overlay->starts);
	*overlay = (struct overlay){0};
}
