/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/symbols.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/names.h"
#include "base/writer.h"
#include "linux/kallsyms.h"

struct symbols {
	size_t n;
	uint64_t *at;		/* ascending */
	uint32_t *name;		/* offset into pool: the type's letter stands before it */
	char *pool;
	struct names names;	/* → index + 1 */
	char layout[64];

	/* The image by pages: how many symbols lie below each; NULL: there is no such table. */
	uint32_t *below;
	uint64_t first;		/* where the first page begins */
	uint32_t pages;		/* below[0..pages] */

	uint64_t moved;		/* what the kernel's addresses lie higher by */
	bool borrowed;		/* all of the above is another one's */
	unsigned others;	/* users besides the first */
};

/* Per-CPU and absolute symbols stay where they are, wherever the kernel lies. */
static uint64_t address(const struct symbols *symbols, size_t i)
{
	uint64_t at = symbols->at[i];

	return gva_is_kernel(gva_of(at)) ? at + symbols->moved : at;
}

/* Names to find symbols by; of several equal ones the first, so it is added last. */
static int hash_names(struct symbols *symbols)
{
	const char *pool = symbols->pool;
	int r = names_init(&symbols->names, pool, (uint32_t)symbols->n);

	for (size_t i = symbols->n; r >= 0 && i-- > 0;) {
		uint32_t text = symbols->name[i];

		names_add(&symbols->names, (uint32_t)i + 1, text, strlen(pool + text));
	}
	return r;
}

/* So that a search need not look at all of the table. Their order was checked. */
static int count_pages(struct symbols *symbols, gva text)
{
	gva end = symbols_lookup(symbols, "_end");
	uint64_t bytes = end.v - text.v;
	uint32_t i = 0;

	if (end.v <= text.v || bytes > KERNEL_IMAGE_MAX)
		return 0;
	symbols->below = malloc((bytes / GUEST_PAGE_SIZE + 1) * sizeof(*symbols->below));
	if (!symbols->below)
		return -ENOMEM;
	symbols->first = text.v;
	symbols->pages = (uint32_t)(bytes / GUEST_PAGE_SIZE);
	for (uint32_t page = 0; page <= symbols->pages; page++) {
		while (i < symbols->n && symbols->at[i] < text.v + page * GUEST_PAGE_SIZE)
			i++;
		symbols->below[page] = i;
	}
	return 0;
}

static int check_order(const struct symbols *symbols, gva text, struct err *err)
{
	uint32_t same = 0;
	gva at;
	int r;

	for (size_t i = 1; i < symbols->n; i++) {
		if (symbols->at[i] < symbols->at[i - 1])
			return err_set(err, -EBADMSG, "symbol %zu is out of order", i);
		same = symbols->at[i] == symbols->at[i - 1] ? same + 1 : 0;
		if (same == SYMBOLS_AT_ONE_MAX)
			return err_set(err, -EBADMSG, "over %u symbols at one address", same);
	}
	r = symbols_find(symbols, "_text", &at, err);
	if (r < 0)
		return r;
	if (at.v != text.v)
		return err_set(err, -EBADMSG, "_text is at %#" PRIx64 ", not at %#" PRIx64,
			       at.v, text.v);
	return 0;
}

int symbols_parse(const void *image, size_t size, gva text, struct symbols **ret,
		  struct err *err)
{
	cleanup(symbols_free) struct symbols *symbols = NULL;
	struct kallsyms k;
	int r;

	r = kallsyms_find(image, size, text, &k, err);
	if (r < 0)
		return wrap(err, r, "the kernel's symbol table");

	symbols = calloc(1, sizeof(*symbols));
	if (!symbols)
		return -ENOMEM;
	symbols->n = k.n;
	symbols->at = malloc(k.n * sizeof(*symbols->at));
	symbols->name = malloc(k.n * sizeof(*symbols->name));
	if (!symbols->at || !symbols->name)
		return -ENOMEM;
	r = kallsyms_unpack(&k, symbols->at, symbols->name, &symbols->pool, err);
	if (r >= 0)
		r = hash_names(symbols);
	if (r >= 0)
		r = check_order(symbols, text, err);
	if (r >= 0)
		r = count_pages(symbols, text);
	if (r < 0)
		return wrap(err, r, "the kernel's symbol table");

	snprintf(symbols->layout, sizeof(symbols->layout), "%s, %zu symbols", k.layout,
		 symbols->n);
	*ret = take_ptr(&symbols);
	return 0;
}

void symbols_free(struct symbols **symbols)
{
	if (!*symbols)
		return;
	if ((*symbols)->others) {
		(*symbols)->others--;
		*symbols = NULL;
		return;
	}
	if (!(*symbols)->borrowed) {
		free((*symbols)->at);
		free((*symbols)->name);
		free((*symbols)->pool);
		free((*symbols)->below);
		names_free(&(*symbols)->names);
	}
	free(*symbols);
	*symbols = NULL;
}

struct symbols *symbols_share(struct symbols *symbols)
{
	symbols->others++;
	return symbols;
}

int symbols_move(const struct symbols *symbols, uint64_t by, struct symbols **ret)
{
	struct symbols *moved = malloc(sizeof(*moved));

	if (!moved)
		return -ENOMEM;
	*moved = *symbols;
	moved->moved += by;
	moved->borrowed = true;
	moved->others = 0;
	*ret = moved;
	return 0;
}

bool symbols_equal(const struct symbols *a, const struct symbols *b)
{
	size_t last = a->n - 1;

	if (a->n != b->n)
		return false;
	/* Of one table, which neither of them can change. */
	if (!a->n || (a->at == b->at && a->name == b->name && a->pool == b->pool &&
		      a->moved == b->moved))
		return true;
	for (size_t i = 0; i < a->n; i++)
		if (address(a, i) != address(b, i) || a->name[i] != b->name[i])
			return false;
	/* The names lie in the order of the table, each with its type before it. */
	return !memcmp(a->pool, b->pool, a->name[last]) &&
	       !strcmp(a->pool + a->name[last], b->pool + b->name[last]);
}

size_t symbols_count(const struct symbols *symbols)
{
	return symbols->n;
}

const char *symbols_layout(const struct symbols *symbols)
{
	return symbols->layout;
}

struct symbol symbols_get(const struct symbols *symbols, size_t i)
{
	const char *name = symbols->pool + symbols->name[i];

	return (struct symbol){ gva_of(address(symbols, i)), name, name[-1] };
}

int symbols_find(const struct symbols *symbols, const char *name, gva *ret, struct err *err)
{
	uint32_t number = names_find(&symbols->names, name, strlen(name));

	if (number) {
		ret->v = address(symbols, number - 1);
		return 0;
	}
	return err_set(err, -ENOENT, "the kernel has no symbol '%s'", name);
}

gva symbols_lookup(const struct symbols *symbols, const char *name)
{
	gva at = gva_of(0);

	return symbols_find(symbols, name, &at, NULL) < 0 ? gva_of(0) : at;
}

/* Number of symbols at or below @at. */
static size_t count_upto(const struct symbols *symbols, uint64_t at)
{
	size_t low = 0, high = symbols->n;
	uint64_t page = (at - symbols->moved - symbols->first) / GUEST_PAGE_SIZE;

	if (page < symbols->pages && gva_is_kernel(gva_of(at))) {
		low = symbols->below[page];
		high = symbols->below[page + 1];
	}
	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (address(symbols, mid) <= at)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* Of several symbols at one address a global one is the better name (capital type). */
static size_t best_at(const struct symbols *symbols, size_t last)
{
	size_t best = last;

	for (size_t i = last + 1; i-- > 0 && symbols->at[i] == symbols->at[last];) {
		best = i;
		if (symbols->pool[symbols->name[i] - 1] < 'a')
			break;
	}
	return best;
}

int symbols_at(const struct symbols *symbols, gva at, struct symbol *ret, uint64_t *size_bytes)
{
	size_t upto = count_upto(symbols, at.v);

	if (!upto || !gva_is_kernel(gva_of(address(symbols, upto - 1))))
		return -ENOENT;
	*ret = symbols_get(symbols, best_at(symbols, upto - 1));
	if (size_bytes)
		*size_bytes = upto < symbols->n ? address(symbols, upto) - ret->at.v : 0;
	return 0;
}

bool symbols_is_start(const struct symbols *symbols, gva at, const char *prefix)
{
	size_t len = prefix ? strlen(prefix) : 0;

	for (size_t i = count_upto(symbols, at.v); i-- > 0 && address(symbols, i) == at.v;)
		if (!len || !strncmp(symbols->pool + symbols->name[i], prefix, len))
			return true;
	return false;
}

const char *symbols_print(const struct symbols *symbols, gva at, char *buf, size_t size)
{
	struct symbol symbol;

	if (symbols_at(symbols, at, &symbol, NULL) < 0)
		snprintf(buf, size, "%#" PRIx64, at.v);
	else if (symbol.at.v == at.v)
		snprintf(buf, size, "%s", symbol.name);
	else
		snprintf(buf, size, "%s+%#" PRIx64, symbol.name, at.v - symbol.at.v);
	return buf;
}

/* --- a table in bytes that several processes share --- */

static size_t pool_bytes(const struct symbols *symbols)
{
	const char *last = symbols->pool + symbols->name[symbols->n - 1];

	/* The names lie in the order of the table. */
	return (size_t)(last - symbols->pool) + strlen(last) + 1;
}

size_t symbols_written_max(const struct symbols *symbols)
{
	return 256 + symbols->n * (sizeof(*symbols->at) + sizeof(*symbols->name)) +
	       pool_bytes(symbols) + ((size_t)symbols->pages + 1) * sizeof(*symbols->below) +
	       names_written_max(&symbols->names, (uint32_t)symbols->n);
}

void symbols_write(const struct symbols *symbols, struct writer *w)
{
	write_aligned(w);
	write_u64(w, symbols->n);
	write_u64(w, pool_bytes(symbols));
	write_u64(w, symbols->first);
	write_u64(w, symbols->below ? symbols->pages + 1ull : 0);
	write_bytes(w, symbols->layout, sizeof(symbols->layout));
	write_bytes(w, symbols->at, symbols->n * sizeof(*symbols->at));
	write_bytes(w, symbols->name, symbols->n * sizeof(*symbols->name));
	if (symbols->below)
		write_bytes(w, symbols->below,
			    ((size_t)symbols->pages + 1) * sizeof(*symbols->below));
	write_bytes(w, symbols->pool, pool_bytes(symbols));
	names_write(&symbols->names, (uint32_t)symbols->n, w);
}

static bool is_inside(const struct symbols *symbols, size_t pool_bytes)
{
	if (symbols->layout[sizeof(symbols->layout) - 1] || symbols->pool[pool_bytes - 1])
		return false;
	for (size_t i = 0; i < symbols->n; i++)
		if (!symbols->name[i] || symbols->name[i] >= pool_bytes)
			return false;
	for (uint32_t i = 0; symbols->below && i <= symbols->pages; i++)
		if (symbols->below[i] > symbols->n)
			return false;
	return true;
}

int symbols_read(struct bytes *b, gva text, struct symbols **ret, struct err *err)
{
	cleanup(symbols_free) struct symbols *symbols = calloc(1, sizeof(*symbols));
	uint64_t pool, pages, n;
	int r;

	if (!symbols)
		return -ENOMEM;
	bytes_align(b);
	n = bytes_u64(b);
	pool = bytes_u64(b);
	symbols->first = bytes_u64(b);
	pages = bytes_u64(b);
	bytes_copy(b, symbols->layout, sizeof(symbols->layout));
	if (!bytes_ok(b) || !n || n > SYMBOLS_MAX || !pool ||
	    pages > KERNEL_IMAGE_MAX / GUEST_PAGE_SIZE + 1)
		return err_set(err, -EBADMSG, "no table of symbols");
	symbols->borrowed = true;
	symbols->n = n;
	symbols->at = (uint64_t *)(uintptr_t)bytes_take(b, n * sizeof(*symbols->at));
	symbols->name = (uint32_t *)(uintptr_t)bytes_take(b, n * sizeof(*symbols->name));
	if (pages)
		symbols->below = (uint32_t *)(uintptr_t)
			bytes_take(b, pages * sizeof(*symbols->below));
	symbols->pages = pages ? (uint32_t)pages - 1 : 0;
	symbols->pool = (char *)(uintptr_t)bytes_take(b, pool);
	if (!bytes_ok(b) || !is_inside(symbols, pool) ||
	    names_read(&symbols->names, b, symbols->pool, pool, (uint32_t)n, NULL) < 0)
		return err_set(err, -EBADMSG, "a table of symbols that leads out of itself");
	r = check_order(symbols, text, err);
	if (r >= 0)
		*ret = take_ptr(&symbols);
	return r;
}
