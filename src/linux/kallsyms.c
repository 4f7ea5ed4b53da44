/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/kallsyms.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"

#define TOKENS		256u
#define TOKEN_BYTES_MAX 64u
#define GROUP		256u	/* names per marker */
#define GROUP_BYTES_MAX (GROUP * (2u + SYMBOL_NAME_MAX))
#define SYMBOLS_MIN	4096u	/* the smallest real kernels have tens of thousands */
#define POOL_MAX	(64u << 20)

/*
 * Steps of the search: an image is searched for what fits, and a forged one can hold millions
 * of places that nearly do. A real one takes half a million, nearly all over its names.
 */
#define WORK_MAX	(64u << 20)
#define WORK_TOKENS	4096u	/* of the look at one place that may be a token table */

/* How far the parts may lie from each other: alignment and a word or two of padding. */
#define GAP_MAX		64u
#define ALIGN		8u	/* of each part; the markers follow the names at once */

static uint32_t get_u32(const struct kallsyms *k, size_t at)
{
	uint32_t v;

	memcpy(&v, k->image + at, sizeof(v));
	return v;
}

static uint64_t get_u64(const struct kallsyms *k, size_t at)
{
	uint64_t v;

	memcpy(&v, k->image + at, sizeof(v));
	return v;
}

/* Pay for work on what may be a forgery; false where it is too much. */
static bool spend(struct kallsyms *k, uint32_t steps)
{
	k->work += steps;
	return k->work <= WORK_MAX;
}

static int too_much_work(struct err *err)
{
	return err_set(err, -ELOOP, "too many places that nearly are one");
}

static uint16_t token_at(const struct kallsyms *k, unsigned token)
{
	uint16_t v;

	memcpy(&v, k->image + k->index + 2 * token, sizeof(v));
	return v;
}

static bool is_print(uint8_t c)
{
	return c >= 0x20 && c < 0x7f;
}

/* Start of the token before the one that starts at @at; 0 where there is none. */
static size_t token_before(const struct kallsyms *k, size_t at)
{
	size_t start = at;

	if (at < 2 || k->image[at - 1])
		return 0;
	for (start--; start > 0 && is_print(k->image[start - 1]); start--)
		if (at - start > TOKEN_BYTES_MAX)
			return 0;
	return start < at - 1 ? start : 0;
}

/* Is there a table of 256 tokens at @at, and behind it the index that fits it? */
static bool is_token_table(struct kallsyms *k, size_t at)
{
	uint16_t index[TOKENS];
	size_t end = at;

	for (unsigned i = 0; i < TOKENS; i++) {
		size_t len = 0;

		if (end - at > UINT16_MAX)
			return false;
		index[i] = (uint16_t)(end - at);
		while (end < k->size && is_print(k->image[end]) && len <= TOKEN_BYTES_MAX) {
			end++;
			len++;
		}
		if (end >= k->size || k->image[end] || !len || len > TOKEN_BYTES_MAX)
			return false;
		end++;
	}
	for (size_t gap = 0; gap < GAP_MAX && end + gap + sizeof(index) <= k->size; gap++) {
		if (memcmp(k->image + end + gap, index, sizeof(index)))
			continue;
		k->tokens = at;
		k->tokens_end = end;
		k->index = end + gap;
		return true;
	}
	return false;
}

/*
 * The tokens of the ten digits stand for themselves, as every kernel has symbols with digits
 * in them: that makes twenty bytes to look for.
 */
static int find_tokens(struct kallsyms *k, struct err *err)
{
	static const uint8_t digits[] = "0\0001\0002\0003\0004\0005\0006\0007\0008\0009";
	const uint8_t *hit = k->image, *end = k->image + k->size;

	while ((hit = memmem(hit, (size_t)(end - hit), digits, sizeof(digits)))) {
		size_t second = (size_t)(hit - k->image);

		for (unsigned i = 1; i < '0' && second; i++)
			second = token_before(k, second);
		/* What lies before the first token may be printable, too: try each length. */
		for (size_t len = 1; len <= TOKEN_BYTES_MAX && len + 1 < second; len++) {
			if (!spend(k, WORK_TOKENS))
				return too_much_work(err);
			if (is_token_table(k, second - 1 - len))
				return 0;
			if (!is_print(k->image[second - 1 - len]))
				break;
		}
		hit++;
	}
	return err_set(err, -ENOENT, "no token table");
}

/* Length of the packed name at @at, and of the length itself; 0: none there. */
static size_t name_length(const struct kallsyms *k, size_t at, size_t end, size_t *head)
{
	size_t len;

	if (at >= end)
		return 0;
	len = k->image[at];
	*head = 1;
	if (k->long_names && len & 0x80) {
		if (at + 1 >= end)
			return 0;
		len = (len & 0x7f) | (size_t)k->image[at + 1] << 7;
		*head = 2;
	}
	return len <= SYMBOL_NAME_MAX && *head + len <= end - at ? len : 0;
}

/* Walk @n names from @names on: does every 256th begin where its marker says? */
static bool names_fit(struct kallsyms *k, size_t names, size_t markers, uint32_t n, size_t *end)
{
	size_t at = names, head, len;

	for (uint32_t i = 0; i < n; i++) {
		if (i % GROUP == 0 &&
		    (at - names != get_u32(k, markers + 4 * (i / GROUP)) || !spend(k, GROUP)))
			return false;
		len = name_length(k, at, markers, &head);
		if (!len)
			return false;
		at += head + len;
	}
	*end = at;
	return true;
}

/* The number of symbols stands 4 or 8 bytes before the names and matches the markers. */
static bool names_at(struct kallsyms *k, size_t names, size_t markers, uint32_t markers_n)
{
	size_t end;

	for (size_t back = 4; back <= 8 && back <= names; back += 4) {
		uint32_t n = get_u32(k, names - back);

		if (n < SYMBOLS_MIN || n > SYMBOLS_MAX || (n + GROUP - 1) / GROUP > markers_n)
			continue;
		for (int is_long = 1; is_long >= 0; is_long--) {
			k->long_names = is_long;
			/* Names that do not reach the markers are some of the names. */
			if (!names_fit(k, names, markers, n, &end) || markers - end >= ALIGN)
				continue;
			k->names = names;
			k->names_end = end;
			k->n = n;
			return true;
		}
	}
	return false;
}

/* Markers at @at that increase by what 256 names can take. */
static uint32_t count_markers(const struct kallsyms *k, size_t at, size_t limit)
{
	uint32_t n = 1, last = 0;

	if (get_u32(k, at))
		return 0;
	for (; at + 4 * (size_t)n + 4 <= limit; n++) {
		uint32_t next = get_u32(k, at + 4 * (size_t)n);

		if (next <= last || next - last < 2 * GROUP || next - last > GROUP_BYTES_MAX)
			break;
		last = next;
	}
	return n;
}

/*
 * The markers lie between names and tokens. From the tokens back, look for numbers that can
 * be markers and for names that begin so far before them that they fit.
 */
static int find_names(struct kallsyms *k, struct err *err)
{
	size_t limit = k->tokens;

	for (size_t at = limit & ~3ull; at >= 8; at -= 4) {
		uint32_t n = count_markers(k, at, limit), last;
		size_t high, low;

		if (n < SYMBOLS_MIN / GROUP)
			continue;
		/* The names end, one group of unknown length after the last marker, before @at. */
		last = get_u32(k, at + 4 * (size_t)(n - 1));
		if (last > at)
			continue;
		high = (at - last) & ~3ull;
		low = high > GROUP_BYTES_MAX ? high - GROUP_BYTES_MAX : 8;
		for (size_t names = high; names >= low && names >= 8; names -= 4) {
			if (names_at(k, names, at, n))
				return 0;
			if (!spend(k, 1))
				return too_much_work(err);
		}
	}
	return err_set(err, -ENOENT, "no names");
}

/* Do more than half of the offsets have their sign set? Then the rest are per-CPU. */
static bool mostly_negative(const struct kallsyms *k)
{
	uint32_t negative = 0;

	for (uint32_t i = 0; i < k->n; i++)
		negative += get_u32(k, k->offsets + 4 * (size_t)i) >> 31;
	return negative > k->n / 2;
}

/* Is the number at @at the base that offsets count from, with room for them at @offsets? */
static bool base_at(struct kallsyms *k, size_t at, size_t offsets, const char *layout)
{
	if (at + 8 > k->size || offsets + 4 * (size_t)k->n > k->size || get_u64(k, at) != k->text.v)
		return false;
	k->offsets = offsets;
	k->encoding = mostly_negative(k) ? OFFSETS_PERCPU : OFFSETS_BASE;
	k->layout = layout;
	return true;
}

/* Each offset counts from its own place: the first symbol is the start of the image. */
static bool self_relative_at(struct kallsyms *k, size_t at)
{
	if (at + 4 * (size_t)k->n > k->size)
		return false;
	for (uint32_t i = 0; i < 2; i++) {
		size_t place = at + 4 * (size_t)i;
		int64_t to = (int64_t)place + (int32_t)get_u32(k, place);

		if (to < 0 || to > (i ? (int64_t)k->size : 0))
			return false;
	}
	k->offsets = at;
	k->encoding = OFFSETS_SELF;
	k->layout = "self-relative offsets";
	return true;
}

static int find_offsets(struct kallsyms *k, struct err *err)
{
	size_t bytes = 4 * (size_t)k->n, after = k->index + 2 * TOKENS;

	/* Up to 6.3: offsets, base, number of symbols, names. */
	for (size_t at = (k->names - 8) & ~7ull; at + GAP_MAX > k->names && at >= bytes + 8;
	     at -= 8)
		if (base_at(k, at, at - ((bytes + 7) & ~7ull), "offsets before the names"))
			return 0;
	/* From 6.4 (404bad70fcf7): … tokens, index, offsets, base. */
	for (size_t at = (after + 3) & ~3ull; at < after + GAP_MAX; at += 4)
		for (size_t base = (at + bytes + 3) & ~3ull; base < at + bytes + 16; base += 4)
			if (base_at(k, base, at, "offsets after the tokens"))
				return 0;
	for (size_t at = (after + 3) & ~3ull; at < after + GAP_MAX; at += 4)
		if (self_relative_at(k, at))
			return 0;
	return err_set(err, -EBADMSG, "no offsets for %u symbols", k->n);
}

int kallsyms_find(const void *image, size_t size, gva text, struct kallsyms *ret, struct err *err)
{
	struct kallsyms k = { .image = image, .size = size, .text = text };
	int r;

	r = find_tokens(&k, err);
	if (r >= 0)
		r = find_names(&k, err);
	if (r >= 0)
		r = find_offsets(&k, err);
	if (r >= 0)
		*ret = k;
	return r;
}

static uint64_t address_of(const struct kallsyms *k, uint32_t i)
{
	size_t place = k->offsets + 4 * (size_t)i;
	uint32_t raw = get_u32(k, place);
	int64_t offset = (int32_t)raw;

	switch (k->encoding) {
	case OFFSETS_PERCPU:
		return offset >= 0 ? raw : k->text.v - 1 - (uint64_t)offset;
	case OFFSETS_BASE:
		return k->text.v + raw;
	case OFFSETS_SELF:
	default:
		return k->text.v + place + (uint64_t)offset;
	}
}

/* Most are a few characters long: so much is copied at once, whatever their length. */
#define TOKEN_BYTES_FEW 16u

struct token {
	uint8_t len;
	char text[TOKEN_BYTES_MAX];
};

static void load_tokens(const struct kallsyms *k, struct token tokens[TOKENS])
{
	for (unsigned i = 0; i < TOKENS; i++) {
		const char *text = (const char *)k->image + k->tokens + token_at(k, i);

		tokens[i].len = (uint8_t)strlen(text);	/* is_token_table() saw its end */
		memcpy(tokens[i].text, text, tokens[i].len);
	}
}

/* Room for one more name of any length that is allowed, its terminator, and a long copy. */
static int make_room(char **pool, size_t used, size_t *room, size_t first, struct err *err)
{
	size_t larger = *room ? 2 * *room : first;
	char *more;

	if (*room - used >= SYMBOL_NAME_MAX + TOKEN_BYTES_MAX + 2)
		return 0;
	if (larger > POOL_MAX)
		return err_set(err, -ELOOP, "names of over %u bytes", POOL_MAX / 2);
	more = realloc(*pool, larger);
	if (!more)
		return -ENOMEM;
	*pool = more;
	*room = larger;
	return 0;
}

/* Write a name behind its type's letter. Return: where it ends, or an error. */
static int unpack_one(const uint8_t *packed, size_t len, const struct token *tokens, char *out)
{
	size_t used = 0;

	for (size_t j = 0; j < len; j++) {
		const struct token *token = &tokens[packed[j]];

		if (used + token->len > SYMBOL_NAME_MAX)
			return -EBADMSG;
		if (token->len <= TOKEN_BYTES_FEW)
			memcpy(out + used, token->text, TOKEN_BYTES_FEW);
		else
			memcpy(out + used, token->text, token->len);
		used += token->len;
	}
	out[used] = '\0';
	return used < 2 ? -EBADMSG : (int)used;
}

int kallsyms_unpack(const struct kallsyms *k, uint64_t *at, uint32_t *name, char **pool,
		    struct err *err)
{
	cleanup(freep) char *out = NULL;
	size_t used = 0, room = 0, from = k->names, head, len;
	struct token tokens[TOKENS] = {0};

	load_tokens(k, tokens);
	for (uint32_t i = 0; i < k->n; i++) {
		int r = make_room(&out, used, &room, (size_t)k->n * 32 + 4096, err);

		if (r < 0)
			return r;
		len = name_length(k, from, k->names_end, &head);
		r = unpack_one(k->image + from + head, len, tokens, out + used);
		if (r < 0)
			return err_set(err, r, "symbol %u has no name, or none that ends", i);
		name[i] = (uint32_t)used + 1;	/* behind the type's letter */
		at[i] = address_of(k, i);
		used += (size_t)r + 1;
		from += head + len;
	}
	*pool = take_ptr(&out);
	return 0;
}
