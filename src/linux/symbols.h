/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_LINUX_SYMBOLS_H
#define HVSM_LINUX_SYMBOLS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct bytes;
struct writer;

/*
 * The kernel's own symbol table (kallsyms), as it lies in its read-only data: names
 * compressed with a table of 256 tokens. Sources: kernel/kallsyms.c, scripts/kallsyms.c.
 * Layouts: 5.10 and 6.1 (offsets, relative base, names, markers, tokens), 6.4+ (names first,
 * 404bad70fcf7), 7.x (offsets relative to their own place). They are told apart by what they
 * hold, never by version.
 */
struct symbols;

struct symbol {
	gva at;
	const char *name;	/* lives as long as the table */
	char type;		/* as nm(1) prints it: t, T, d, D, r, R, b, B, A, … */
};

/**
 * symbols_parse - find and unpack the symbol table in a copy of the kernel image
 * @image: host copy; stays the caller's and may go afterwards
 * @size:  of @image in bytes
 * @text:  guest address of its first byte (_text)
 *
 * Return: 0, -ENOENT (no table), -EBADMSG (a table that contradicts itself), -ELOOP
 *         (limits), -ENOMEM.
 */
nodiscard int symbols_parse(const void *image, size_t size, gva text, struct symbols **ret,
			    struct err *err);

/* Of one that was shared, the last one frees it. *@symbols becomes NULL. NULL is fine. */
void symbols_free(struct symbols **symbols);

/* One more user of it, who calls symbols_free() as well. Return: @symbols. */
struct symbols *symbols_share(struct symbols *symbols);

/**
 * symbols_move - the same symbols of a kernel that lies elsewhere
 * @by:  bytes higher, modulo 2^64
 * @ret: uses @symbols, which must outlive it, and takes next to no memory itself
 * Return: 0, -ENOMEM.
 */
nodiscard int symbols_move(const struct symbols *symbols, uint64_t by, struct symbols **ret);

/* Of a table that was not moved, all as bytes that symbols_read() can use as they are. */
void symbols_write(const struct symbols *symbols, struct writer *w);
size_t symbols_written_max(const struct symbols *symbols);

/**
 * symbols_read - a table where it lies
 * @b:    aligned to eight bytes; must outlive @ret, and does not change
 * @text: where it has _text
 *
 * Return: 0, -EBADMSG (no such table; all that it leads to is inside of it), -ELOOP, -ENOMEM.
 */
nodiscard int symbols_read(struct bytes *b, gva text, struct symbols **ret, struct err *err);

/* Do two tables say the same, symbol for symbol? */
bool symbols_equal(const struct symbols *a, const struct symbols *b);

size_t symbols_count(const struct symbols *symbols);

/* What the layout was, for a person: "relative offsets, 102345 symbols". */
const char *symbols_layout(const struct symbols *symbols);

/* Symbol @i < symbols_count() in order of the table (which is that of /proc/kallsyms). */
struct symbol symbols_get(const struct symbols *symbols, size_t i);

/**
 * symbols_find - the address of a symbol by name
 * Where a name stands more than once (static functions), the first of the table.
 * Return: 0, -ENOENT (with text in @err).
 */
nodiscard int symbols_find(const struct symbols *symbols, const char *name, gva *ret,
			   struct err *err);

/* As symbols_find(), for symbols that need not be: address 0 where there is none. */
gva symbols_lookup(const struct symbols *symbols, const char *name);

/**
 * symbols_at - which symbol covers an address
 * @ret:    the last symbol at or below @at (of several at one address, a global one first)
 * @size_bytes: up to the next symbol of a higher address; may be NULL
 *
 * Per-CPU and absolute symbols (below the kernel half) are not considered.
 *
 * Return: 0, -ENOENT (below the first symbol).
 */
nodiscard int symbols_at(const struct symbols *symbols, gva at, struct symbol *ret,
			 uint64_t *size_bytes);

/**
 * symbols_is_start - does a symbol with exactly this address exist?
 * @prefix: only names that begin so; NULL or "": any
 */
bool symbols_is_start(const struct symbols *symbols, gva at, const char *prefix);

/**
 * symbols_print - "name+0x10" or the bare address
 * @buf: receives the text, cut to @size, always terminated
 * Return: @buf.
 */
const char *symbols_print(const struct symbols *symbols, gva at, char *buf, size_t size);

#endif
