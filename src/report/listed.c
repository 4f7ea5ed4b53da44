/* SPDX-License-Identifier: Apache-2.0 */
#include "report/listed.h"

#include <sodium.h>

#include "report/encode.h"

#define HASH_TEXT (2 * LEDGER_HASH_BYTES + 1)

/* What the ledger has is escaped already. */
static json_t *text_or_null(const char *text)
{
	return *text ? json_string(text) : json_null();
}

json_t *listed_record(const struct ledger_record *record)
{
	bool report = record->kind != LEDGER_CHECKPOINT;
	char hash[HASH_TEXT];

	sodium_bin2hex(hash, sizeof(hash), record->hash, LEDGER_HASH_BYTES);
	return json_pack(
		"{s:I, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:s}",
		"id", (json_int_t)record->seq, "kind", ledger_kind_name(record->kind),
		"stored", encode_time(record->time_ns),
		"refers", record->refers ? encode_count(record->refers) : json_null(),
		"guest", text_or_null(record->guest), "boot", text_or_null(record->boot),
		"name", text_or_null(record->name),
		"started", report ? encode_time(record->started_ns) : json_null(),
		"duration_us", report ? encode_count(record->duration_us) : json_null(),
		"verdict", text_or_null(record->verdict),
		"assurance", text_or_null(record->assurance),
		"findings", report ? encode_count(record->findings) : json_null(),
		"hash", hash);
}

json_t *listed_finding(const struct ledger_finding *finding, bool allowed)
{
	return json_pack(
		"{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
		"id", finding->id, "guest", finding->guest, "name", finding->name,
		"boot", finding->boot,
		"state", finding->closed_ns ? "closed" : "open",
		"check", finding->check, "severity", finding->severity, "title", finding->title,
		"allowed", allowed,
		"first_seen", encode_time(finding->first_seen_ns),
		"last_seen", encode_time(finding->last_seen_ns),
		"closed", finding->closed_ns ? encode_time(finding->closed_ns) : json_null(),
		"sweeps", encode_count(finding->sweeps),
		"opened_in", encode_count(finding->opened_in),
		"last_in", encode_count(finding->last_in),
		"closed_in", finding->closed_in ? encode_count(finding->closed_in) : json_null());
}

json_t *listed_next(const struct cursor *next)
{
	char text[CURSOR_TEXT_MAX];

	if (!next)
		return json_null();
	return *next->id ? json_string(cursor_text(next, text)) : encode_count(next->seq);
}
