/* SPDX-License-Identifier: Apache-2.0 */

/*
 * bench-ram TARGET - what reaching a guest's RAM costs
 *
 * Medians of reading populated memory in pieces of some sizes, each beside memcpy() of pieces
 * of that size in the same run; and of hashing it as hvsmd's sentinel does, beside the same hash of
 * this program's own memory. One JSON document; tests/bench/run.py makes the table.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/now.h"
#include "monitor/piece_hash.h"
#include "ram/guests.h"
#include "ram/window.h"
#include "median.h"

#define TOTAL	   (64u << 20)	/* read in each round, at most */
#define PIECES_MAX 16384u	/* that is in pieces of 4 KiB */
#define ROUNDS	   9u
#define HASHED	   (128u << 10)	/* a piece of the sentinel's */
#define CODE	   (16u << 20)	/* of a kernel */

/* Pieces of memory that the guest has touched; of a page, the first bytes. */
struct places {
	VEC(gpa) list;
};

static int find_places(struct ram *ram, size_t piece, struct places *places, struct err *err)
{
	uint64_t len;
	gpa at = { 0 };
	int r;

	while ((r = ram_populated(ram, at, &at, &len, err)) == 0) {
		for (uint64_t i = 0; i < len && len - i >= piece; i += piece < 4096 ? 4096 : piece) {
			gpa *place = vec_add(&places->list);

			if (!place)
				return -ENOMEM;
			*place = gpa_add(at, i);
		}
		at.v += len;
	}
	return r == -ENOENT ? 0 : r;
}

/* Fisher and Yates, with the same numbers each time. */
static void shuffle(struct places *places)
{
	srandom(1);
	for (size_t i = places->list.n; i > 1; i--) {
		size_t j = (size_t)random() % i;
		gpa swap = places->list.v[i - 1];

		places->list.v[i - 1] = places->list.v[j];
		places->list.v[j] = swap;
	}
}

static int measure(struct ram *ram, size_t piece, json_t *rows, struct err *err)
{
	cleanup(freep) uint8_t *to = malloc(TOTAL), *from = malloc(TOTAL);
	uint64_t read[ROUNDS], copy[ROUNDS];
	struct places places = { 0 };
	size_t n;
	int r = find_places(ram, piece, &places, err);

	if (!to || !from)
		return -ENOMEM;
	memset(to, 1, TOTAL);
	memset(from, 2, TOTAL);
	shuffle(&places);
	n = TOTAL / piece < PIECES_MAX ? TOTAL / piece : PIECES_MAX;
	n = places.list.n < n ? places.list.n : n;
	for (unsigned round = 0; round < ROUNDS && r == 0; round++) {
		uint64_t start = now_ns(CLOCK_MONOTONIC);

		for (size_t i = 0; i < n && r == 0; i++)
			r = ram_read(ram, places.list.v[i], to + i * piece, piece, err);
		read[round] = now_ns(CLOCK_MONOTONIC) - start;
		start = now_ns(CLOCK_MONOTONIC);
		for (size_t i = 0; i < n; i++)
			memcpy(to + i * piece, from + i * piece, piece);
		copy[round] = now_ns(CLOCK_MONOTONIC) - start;
	}
	vec_free(&places.list);
	if (r == 0 && n)
		json_array_append_new(rows, json_pack("{s:I, s:I, s:f, s:f}", "bytes",
			(json_int_t)piece, "pieces", (json_int_t)n, "read_ns",
			(double)median(read, ROUNDS) / (double)n, "memcpy_ns",
			(double)median(copy, ROUNDS) / (double)n));
	return r;
}

struct hashing {
	struct piece_key key;
	uint32_t sum;
};

static void hash_bytes_of(const uint8_t *bytes, size_t len, void *ctx)
{
	struct hashing *hashing = ctx;

	hashing->sum ^= piece_hash(&hashing->key, bytes, len);
}

/* As the sentinel does: where it lies, or else of a copy. */
static int hash_one(struct ram *ram, gpa at, struct hashing *hashing, struct err *err)
{
	static uint8_t room[HASHED];
	int r;

	if (ram_read_in_place(ram, at, HASHED, hash_bytes_of, hashing) == 0)
		return 0;
	r = ram_read(ram, at, room, HASHED, err);
	if (r == 0)
		hash_bytes_of(room, HASHED, hashing);
	return r;
}

static int measure_hash(struct ram *ram, json_t *rows, struct err *err)
{
	cleanup(freep) uint8_t *own = malloc(TOTAL);
	uint64_t hash[ROUNDS], limit[ROUNDS];
	struct places places = { 0 };
	struct hashing hashing = { .sum = 0 };
	size_t n;
	int r = own ? find_places(ram, HASHED, &places, err) : -ENOMEM;

	if (r < 0)
		return r;
	memset(own, 1, TOTAL);
	piece_key_draw(&hashing.key);
	/* All near by, and as much, as a kernel's code is. */
	n = places.list.n < CODE / HASHED ? places.list.n : CODE / HASHED;
	places.list.n = n;
	shuffle(&places);
	for (unsigned round = 0; round < ROUNDS && r == 0; round++) {
		uint64_t start = now_ns(CLOCK_MONOTONIC);

		for (size_t i = 0; i < n && r == 0; i++)
			r = hash_one(ram, places.list.v[i], &hashing, err);
		hash[round] = now_ns(CLOCK_MONOTONIC) - start;
		start = now_ns(CLOCK_MONOTONIC);
		for (size_t i = 0; i < n; i++)
			hash_bytes_of(own + i * HASHED, HASHED, &hashing);
		limit[round] = now_ns(CLOCK_MONOTONIC) - start;
	}
	vec_free(&places.list);
	if (r == 0 && n)
		json_array_append_new(rows, json_pack("{s:s, s:I, s:I, s:f, s:f}", "name", "hash",
			"bytes", (json_int_t)HASHED, "sum", (json_int_t)hashing.sum, "read_ns",
			(double)median(hash, ROUNDS) / (double)n, "own_ns",
			(double)median(limit, ROUNDS) / (double)n));
	return r;
}

static int measure_attach(const char *target, json_t *rows, struct err *err)
{
	uint64_t took[ROUNDS];

	for (unsigned i = 0; i < ROUNDS; i++) {
		cleanup(ram_close) struct ram *ram = NULL;
		uint64_t start = now_ns(CLOCK_MONOTONIC);
		struct guest guest = { 0 };
		int r = guests_resolve(target, &guest, &ram, err);

		if (r < 0)
			return r;
		took[i] = now_ns(CLOCK_MONOTONIC) - start;
		guest_free(&guest);
	}
	json_array_append_new(rows, json_pack("{s:s, s:f}", "name", "attach", "read_ns",
					      (double)median(took, ROUNDS)));
	return 0;
}

int main(int argc, char **argv)
{
	static const size_t pieces[] = { 8, 4096, 65536, 1 << 20, 2 << 20 };
	cleanup(ram_close) struct ram *ram = NULL;
	json_t *rows = json_array(), *document;
	struct guest guest = { 0 };
	struct err err = { 0 };
	int r;

	if (argc != 2) {
		fprintf(stderr, "usage: bench-ram TARGET\n");
		return 2;
	}
	windows_catch();
	r = guests_resolve(argv[1], &guest, &ram, &err);
	if (r == 0)
		r = measure_attach(argv[1], rows, &err);
	for (size_t i = 0; i < ARRAY_SIZE(pieces) && r == 0; i++)
		r = measure(ram, pieces[i], rows, &err);
	if (r == 0)
		r = measure_hash(ram, rows, &err);
	guest_free(&guest);
	if (r < 0) {
		fprintf(stderr, "bench-ram: %s\n", err.code ? err.text : strerror(-r));
		return 2;
	}
	document = json_pack("{s:s, s:o}", "layout", ram->layout, "rows", rows);
	json_dumpf(document, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(document);
	return 0;
}
