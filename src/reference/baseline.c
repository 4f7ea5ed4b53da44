/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/baseline.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <zstd.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/now.h"
#include "base/vec.h"
#include "reference/database.h"

#define DIGEST_BYTES crypto_hash_sha256_BYTES

/* It is written once a boot and read in every sweep. */
#define LEVEL 1

/* Boots of one guest that are kept: a host may have two guests of one name. */
#define BOOTS_KEPT 4

/* After that long a guest is not expected back, or not as the same boot. */
#define FORGET_S (180 * 24 * 3600)

/* What was given as new. */
struct fresh {
	char *item;
	size_t size_bytes;
	unsigned char digest[DIGEST_BYTES];
	struct blob packed;
};

struct baseline {
	struct database *database;
	char *guest;
	unsigned char boot[DIGEST_BYTES];
	VEC(struct fresh) fresh;
	uint64_t fresh_bytes;
	struct baseline_elsewhere elsewhere;	/* nothing in it: it is here */
};

/* What no two boots share; the canary is the guest's secret, so only a digest is kept. */
static void boot_digest(const struct kernel *kernel, unsigned char ret[DIGEST_BYTES])
{
	const uint64_t numbers[] = {
		kernel->boot.canary, kernel->boot.first_task.v, kernel->boot.first_task_ns,
		kernel->text.v,
	};
	crypto_hash_sha256_state state;

	crypto_hash_sha256_init(&state);
	crypto_hash_sha256_update(&state, (const unsigned char *)numbers, sizeof(numbers));
	crypto_hash_sha256_update(&state, (const unsigned char *)kernel->build_id,
				  strlen(kernel->build_id));
	crypto_hash_sha256_final(&state, ret);
}

int baseline_open(const char *store, const char *guest, const struct kernel *kernel,
		  struct baseline **ret, struct err *err)
{
	cleanup(baseline_close) struct baseline *baseline = calloc(1, sizeof(*baseline));
	int r;

	if (baseline)
		baseline->guest = strdup(guest);
	if (!baseline || !baseline->guest)
		return err_set(err, -ENOMEM, "no memory for a baseline");
	boot_digest(kernel, baseline->boot);
	r = database_open(store, true, &baseline->database, err);
	if (r < 0)
		return r;
	*ret = take_ptr(&baseline);
	return 0;
}

int baseline_ask(const struct baseline_elsewhere *elsewhere, struct baseline **ret,
		 struct err *err)
{
	struct baseline *baseline = calloc(1, sizeof(*baseline));

	if (!baseline)
		return err_set(err, -ENOMEM, "no memory for a baseline");
	baseline->elsewhere = *elsewhere;
	*ret = baseline;
	return 0;
}

static void fresh_free(struct baseline *baseline, struct fresh *fresh)
{
	baseline->fresh_bytes -= fresh->packed.size;
	free(fresh->item);
	blob_free(&fresh->packed);
}

static void drop_all(struct baseline *baseline)
{
	for (size_t i = 0; i < baseline->fresh.n; i++)
		fresh_free(baseline, &baseline->fresh.v[i]);
	vec_free(&baseline->fresh);
}

void baseline_close(struct baseline **baseline)
{
	if (!*baseline)
		return;
	drop_all(*baseline);
	database_close(&(*baseline)->database);
	free((*baseline)->guest);
	free(*baseline);
	*baseline = NULL;
}

void baseline_drop(struct baseline *baseline, const char *item)
{
	if (baseline->elsewhere.drop) {
		baseline->elsewhere.drop(baseline->elsewhere.ctx, item);
		return;
	}
	for (size_t i = 0; i < baseline->fresh.n; i++) {
		if (strcmp(baseline->fresh.v[i].item, item) != 0)
			continue;
		fresh_free(baseline, &baseline->fresh.v[i]);
		baseline->fresh.v[i] = baseline->fresh.v[--baseline->fresh.n];
		return;
	}
}

static int pack(const void *data, size_t size, struct blob *ret, struct err *err)
{
	size_t room = ZSTD_compressBound(size), n;
	uint8_t *packed = malloc(room), *fitting;

	if (!packed)
		return err_set(err, -ENOMEM, "no memory for a baseline");
	n = ZSTD_compress(packed, room, data, size, LEVEL);
	if (ZSTD_isError(n)) {
		free(packed);
		return err_set(err, -ENOMEM, "a baseline: %s", ZSTD_getErrorName(n));
	}
	fitting = realloc(packed, n);	/* many are kept */
	*ret = (struct blob){ fitting ? fitting : packed, n };
	return 0;
}

static int add_fresh(struct baseline *baseline, const char *item, const void *data, size_t size,
		     const unsigned char digest[DIGEST_BYTES], struct err *err)
{
	struct fresh fresh = { .size_bytes = size }, *slot;
	int r;

	baseline_drop(baseline, item);
	if (baseline->fresh.n == BASELINE_ITEMS_MAX)
		return err_set(err, -ELOOP, "over %u items in a baseline", BASELINE_ITEMS_MAX);
	r = pack(data, size, &fresh.packed, err);
	if (r < 0)
		return r;
	baseline->fresh_bytes += fresh.packed.size;
	memcpy(fresh.digest, digest, DIGEST_BYTES);
	fresh.item = strdup(item);
	if (baseline->fresh_bytes > BASELINE_BYTES_MAX)
		r = err_set(err, -ELOOP, "over %u MiB in a baseline", BASELINE_BYTES_MAX >> 20);
	slot = fresh.item && r >= 0 ? vec_add(&baseline->fresh) : NULL;
	if (!slot) {
		fresh_free(baseline, &fresh);
		return r < 0 ? r : err_set(err, -ENOMEM, "no memory for a baseline");
	}
	*slot = fresh;
	return BASELINE_NEW;
}

/* What was recorded: size, digest, packed bytes, as the row has them. */
static int unpack_record(sqlite3_stmt *row, struct blob *ret, struct err *err)
{
	cleanup(blob_free) struct blob blob = {0};
	unsigned char digest[DIGEST_BYTES];
	uint64_t size = statement_number(row, 0);
	size_t n;

	if (size > BASELINE_ITEM_MAX)
		return err_set(err, -EBADMSG, "the store is damaged: a record is too large");
	blob.size = (size_t)size;
	blob.data = malloc(blob.size ? blob.size : 1);
	if (!blob.data)
		return err_set(err, -ENOMEM, "no memory for a baseline");
	n = ZSTD_decompress(blob.data, blob.size, sqlite3_column_blob(row, 2),
			    (size_t)sqlite3_column_bytes(row, 2));
	crypto_hash_sha256(digest, blob.data, blob.size);
	if (ZSTD_isError(n) || n != blob.size ||
	    sqlite3_column_bytes(row, 1) != sizeof(digest) ||
	    memcmp(digest, sqlite3_column_blob(row, 1), sizeof(digest)) != 0)
		return err_set(err, -EBADMSG, "the store is damaged: a record has changed");
	*ret = blob;
	blob = (struct blob){0};
	return 0;
}

static int compare_record(sqlite3_stmt *row, size_t size, const unsigned char digest[DIGEST_BYTES],
			  struct blob *was, struct err *err)
{
	cleanup(blob_free) struct blob blob = {0};
	int r;

	if (statement_number(row, 0) == size &&
	    sqlite3_column_bytes(row, 1) == DIGEST_BYTES &&
	    !memcmp(sqlite3_column_blob(row, 1), digest, DIGEST_BYTES))
		return BASELINE_SAME;
	r = unpack_record(row, &blob, err);
	if (r < 0)
		return r;
	if (was) {
		*was = blob;
		blob = (struct blob){0};
	}
	return BASELINE_DIFFERS;
}

static int find_record(struct baseline *baseline, const char *item, sqlite3_stmt **row,
		       struct err *err)
{
	int r = database_prepare(baseline->database, row, err,
				 "SELECT r.size, r.sha256, r.data FROM record r"
				 " JOIN boot b ON b.id = r.boot"
				 " WHERE b.guest = ? AND b.boot = ? AND r.item = ?", "sbs",
				 baseline->guest, baseline->boot, sizeof(baseline->boot), item);

	return r < 0 ? r : database_step(baseline->database, *row, err);
}

int baseline_compare(struct baseline *baseline, const char *item, const void *data, size_t size,
		     struct blob *was, struct err *err)
{
	cleanup(statement_end) sqlite3_stmt *row = NULL;
	unsigned char digest[DIGEST_BYTES];
	int r;

	if (size > BASELINE_ITEM_MAX)
		return err_set(err, -ELOOP, "over %u MiB for a baseline", BASELINE_ITEM_MAX >> 20);
	if (baseline->elsewhere.compare)
		return baseline->elsewhere.compare(baseline->elsewhere.ctx, item, data, size, was,
						   err);
	crypto_hash_sha256(digest, data, size);
	r = find_record(baseline, item, &row, err);
	if (r < 0)
		return r;
	if (r > 0)
		return compare_record(row, size, digest, was, err);
	return add_fresh(baseline, item, data, size, digest, err);
}

/* Another hvsm may have recorded the same: what came first counts. */
static int write_items(struct baseline *baseline, struct err *err)
{
	int r = 0;

	for (size_t i = 0; i < baseline->fresh.n && r >= 0; i++) {
		const struct fresh *fresh = &baseline->fresh.v[i];

		r = database_do(baseline->database, err, "INSERT OR IGNORE INTO record(boot, item,"
				" size, sha256, data) SELECT id, ?, ?, ?, ? FROM boot"
				" WHERE guest = ? AND boot = ?", "sibbsb", fresh->item,
				(int64_t)fresh->size_bytes, fresh->digest, sizeof(fresh->digest),
				fresh->packed.data, fresh->packed.size, baseline->guest,
				baseline->boot, sizeof(baseline->boot));
	}
	return r;
}

static int write_boot(struct baseline *baseline, int64_t now, struct err *err)
{
	int r = database_do(baseline->database, err, "INSERT INTO boot(guest, boot, seen)"
			    " VALUES(?, ?, ?) ON CONFLICT DO UPDATE SET seen = excluded.seen",
			    "sbi", baseline->guest, baseline->boot, sizeof(baseline->boot), now);

	if (r >= 0)
		r = database_do(baseline->database, err, "DELETE FROM boot WHERE guest = ? AND id"
				" NOT IN (SELECT id FROM boot WHERE guest = ? ORDER BY seen DESC,"
				" id DESC LIMIT ?)", "ssi", baseline->guest, baseline->guest,
				(int64_t)BOOTS_KEPT);
	if (r >= 0)
		r = database_do(baseline->database, err, "DELETE FROM boot WHERE seen < ?", "i",
				now - FORGET_S);
	return r;
}

/*
 * What is new is added to what is there, sweep by sweep, and whoever has taken over a scanner has
 * always something new: a record of a boot has no more than one sweep may give.
 */
static int check_room(struct baseline *baseline, struct err *err)
{
	cleanup(statement_end) sqlite3_stmt *row = NULL;
	int r = database_prepare(baseline->database, &row, err,
				 "SELECT count(*), total(length(r.data)) FROM record r"
				 " JOIN boot b ON b.id = r.boot WHERE b.guest = ? AND b.boot = ?",
				 "sb", baseline->guest, baseline->boot, sizeof(baseline->boot));

	if (r >= 0)
		r = database_step(baseline->database, row, err);
	if (r < 0)
		return r;
	if (statement_number(row, 0) > BASELINE_ITEMS_MAX ||
	    statement_number(row, 1) > BASELINE_BYTES_MAX)
		return err_set(err, -ELOOP, "over %u items, or %u MiB, in a baseline",
			       BASELINE_ITEMS_MAX, BASELINE_BYTES_MAX >> 20);
	return 0;
}

int baseline_commit(struct baseline *baseline, struct err *err)
{
	int r;

	if (!baseline->fresh.n || !baseline->database)
		return 0;
	r = database_begin(baseline->database, err);
	if (r < 0)
		return r;
	r = write_boot(baseline, (int64_t)(now_ns(CLOCK_REALTIME) / 1000000000), err);
	if (r >= 0)
		r = write_items(baseline, err);
	if (r >= 0)
		r = check_room(baseline, err);
	if (r >= 0)
		r = database_commit(baseline->database, err);
	if (r < 0) {
		database_undo(baseline->database);
		/* What there will never be room for is not kept in memory. */
		if (r == -ELOOP)
			drop_all(baseline);
		return r;
	}
	drop_all(baseline);
	return 0;
}

int baseline_noted(struct baseline *baseline, const char *item, struct blob *ret, struct err *err)
{
	cleanup(statement_end) sqlite3_stmt *row = NULL;
	int r;

	if (baseline->elsewhere.noted)
		return baseline->elsewhere.noted(baseline->elsewhere.ctx, item, ret, err);
	r = find_record(baseline, item, &row, err);
	if (r <= 0)
		return r < 0 ? r : err_set(err, -ENOENT, "nothing was kept as '%s'", item);
	return unpack_record(row, ret, err);
}

int baseline_note(struct baseline *baseline, const char *item, const void *data, size_t size,
		  struct err *err)
{
	cleanup(blob_free) struct blob packed = {0};
	unsigned char digest[DIGEST_BYTES];
	int r;

	if (size > BASELINE_ITEM_MAX)
		return err_set(err, -ELOOP, "over %u MiB for a baseline", BASELINE_ITEM_MAX >> 20);
	if (baseline->elsewhere.note)
		return baseline->elsewhere.note(baseline->elsewhere.ctx, item, data, size, err);
	crypto_hash_sha256(digest, data, size);
	r = pack(data, size, &packed, err);
	if (r >= 0)
		r = database_begin(baseline->database, err);
	if (r < 0)
		return r;
	r = write_boot(baseline, (int64_t)(now_ns(CLOCK_REALTIME) / 1000000000), err);
	if (r >= 0)
		r = database_do(baseline->database, err, "INSERT OR REPLACE INTO record(boot, item,"
				" size, sha256, data) SELECT id, ?, ?, ?, ? FROM boot"
				" WHERE guest = ? AND boot = ?", "sibbsb", item, (int64_t)size,
				digest, sizeof(digest), packed.data, packed.size, baseline->guest,
				baseline->boot, sizeof(baseline->boot));
	if (r >= 0)
		r = database_commit(baseline->database, err);
	if (r < 0)
		database_undo(baseline->database);
	return r;
}
