/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_REPORT_ENCODE_H
#define HVSM_REPORT_ENCODE_H

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

#include "base/addr.h"
#include "base/err.h"

/*
 * Values as hvsm's JSON has them. Each function gives a new reference to the caller, or NULL
 * where memory ran out; json_pack("{s:o}", …) passes such a NULL on, so one question at the
 * end of a document is enough.
 *
 * JSON's numbers are doubles to many readers, exact up to 2^53 only: addresses and masks are
 * strings in hex, counts are numbers.
 */

/* Text of a guest, escaped (escape.h). NULL: null. */
json_t *encode_text(const char *text);

/* As encode_text(); "" is null, too: there is nothing to say. */
json_t *encode_text_or_null(const char *text);

/* "0xffffffff81000000", always 16 digits. */
json_t *encode_address(gva at);

/* As encode_address(); 0 is null: there is no address. */
json_t *encode_address_or_null(gva at);

/* A mask, or another number that is best read in hex: "0x1ffffffffff". */
json_t *encode_hex(uint64_t value);

json_t *encode_count(uint64_t count);

/* RFC 3339, UTC, microseconds; @ns since 1970 (CLOCK_REALTIME). */
json_t *encode_time(uint64_t ns);

/* As encode_time(), with nanoseconds: what bounds an instant must not be cut. */
json_t *encode_time_ns(uint64_t ns);

/**
 * encode_append - add to an array
 * @array: NULL where memory ran out; becomes NULL, and stays it, when it does now
 * @item:  the reference is taken; NULL: memory ran out while it was made
 */
void encode_append(json_t **array, json_t *item);

/* As encode_append(), for a member of an object; @key is valid UTF-8. */
void encode_set(json_t **object, const char *key, json_t *value);

/**
 * encode_print - write a document on one line
 * @document: the reference is taken; NULL: memory ran out while it was made
 *
 * Errors of writing are those of @to: ask ferror().
 *
 * Return: 0, -ENOMEM.
 */
nodiscard int encode_print(json_t *document, FILE *to, struct err *err);

#endif
