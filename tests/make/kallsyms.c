/* SPDX-License-Identifier: Apache-2.0 */
#include "make/kallsyms.h"

#include <stdlib.h>
#include <string.h>

/* Characters that no symbol has stand for pairs that many have. */
static const char *const pairs[] = { "sy", "s_", "__", "in", "te", "re", "de", "on", "er", "_f" };

struct writer {
	uint8_t *image;
	size_t size;
	size_t at;
	char token[256][4];
};

static void put(struct writer *w, const void *data, size_t n)
{
	if (n > w->size - w->at)
		abort();
	memcpy(w->image + w->at, data, n);
	w->at += n;
}

static void put_u32(struct writer *w, uint64_t value)
{
	uint32_t v = (uint32_t)value;

	put(w, &v, sizeof(v));
}

static size_t align(struct writer *w)
{
	w->at = (w->at + 7) & ~(size_t)7;
	return w->at;
}

/* Tokens below the space are pairs, the printable ones themselves, the others one pair each. */
static void make_tokens(struct writer *w)
{
	for (unsigned i = 0; i < 256; i++) {
		if (i > ' ' && i < 0x7f)
			w->token[i][0] = (char)i;
		else if (i < sizeof(pairs) / sizeof(pairs[0]))
			strcpy(w->token[i], pairs[i]);
		else
			memcpy(w->token[i], ((char[]){ 'Z', (char)('A' + i % 26), 'a', 0 }), 4);
	}
}

static size_t pack(const struct symbol_in *symbol, uint8_t packed[1024])
{
	const char *from = symbol->name;
	size_t n = 0;

	packed[n++] = (uint8_t)symbol->type;
	while (*from) {
		unsigned i = 0;

		while (i < sizeof(pairs) / sizeof(pairs[0]) && strncmp(from, pairs[i], 2))
			i++;
		if (n == 1024)
			abort();
		if (i < sizeof(pairs) / sizeof(pairs[0])) {
			packed[n++] = (uint8_t)i;
			from += 2;
		} else {
			packed[n++] = (uint8_t)*from++;
		}
	}
	return n;
}

static void put_names(struct writer *w, const struct symbol_in *symbols, uint32_t n,
		      struct kallsyms_parts *parts)
{
	uint32_t *markers = calloc(n / 256 + 1, sizeof(*markers));
	uint8_t packed[1024];

	parts->number = align(w);
	put_u32(w, n);
	parts->names = align(w);
	for (uint32_t i = 0; i < n; i++) {
		size_t len = pack(&symbols[i], packed);
		uint8_t head[2] = { (uint8_t)len, 0 };

		if (i % 256 == 0)
			markers[i / 256] = (uint32_t)(w->at - parts->names);
		if (len > 0x7f) {
			head[0] = (uint8_t)(len | 0x80);
			head[1] = (uint8_t)(len >> 7);
		}
		put(w, head, len > 0x7f ? 2 : 1);
		put(w, packed, len);
	}
	parts->markers = align(w);
	put(w, markers, (n + 255) / 256 * sizeof(*markers));
	free(markers);
}

static void put_order(struct writer *w, uint32_t n)
{
	align(w);
	for (uint32_t i = 0; i < n; i++)
		put(w, ((uint8_t[]){ (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i }), 3);
}

static void put_tokens(struct writer *w, struct kallsyms_parts *parts)
{
	uint16_t index[256];

	parts->tokens = align(w);
	for (unsigned i = 0; i < 256; i++) {
		index[i] = (uint16_t)(w->at - parts->tokens);
		put(w, w->token[i], strlen(w->token[i]) + 1);
	}
	parts->index = align(w);
	put(w, index, sizeof(index));
}

static void put_offsets(struct writer *w, const struct symbol_in *symbols, uint32_t n,
			uint64_t text, enum kallsyms_layout layout, int percpu,
			struct kallsyms_parts *parts)
{
	parts->offsets = align(w);
	for (uint32_t i = 0; i < n; i++) {
		uint64_t at = symbols[i].at;

		if (layout == SELF)
			put_u32(w, at - (text + w->at));
		else if (percpu)
			put_u32(w, at >> 32 ? text - 1 - at : at);
		else
			put_u32(w, at - text);
	}
	if (layout == SELF)
		return;
	parts->base = align(w);
	put(w, &text, sizeof(text));
}

struct kallsyms_parts kallsyms_make(uint8_t *image, size_t size, size_t at, uint64_t text,
				    const struct symbol_in *symbols, uint32_t n,
				    enum kallsyms_layout layout, int percpu)
{
	struct writer w = { .image = image, .size = size, .at = at };
	struct kallsyms_parts parts = {0};

	make_tokens(&w);
	if (layout == OLD || layout == OLD_SEQS)
		put_offsets(&w, symbols, n, text, layout, percpu, &parts);
	put_names(&w, symbols, n, &parts);
	if (layout == OLD_SEQS)
		put_order(&w, n);
	put_tokens(&w, &parts);
	if (layout == NEW || layout == SELF) {
		put_offsets(&w, symbols, n, text, layout, percpu, &parts);
		put_order(&w, n);
	}
	parts.end = w.at;
	return parts;
}
