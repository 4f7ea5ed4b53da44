/* SPDX-License-Identifier: Apache-2.0 */
#include "check/difference.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "check/code.h"
#include "guest/insn.h"

/* Of what is shown: bytes in hex, instructions from the one that differs on. */
#define SHOWN_BYTES 24u
#define SHOWN_INSNS 3u

/* Code that is decoded from a function's start on, to find where an instruction begins. */
#define FUNCTION_MAX 16384u

/* Differences of one function that are shown: one that was replaced has a hundred. */
#define SHOWN_DIFFERENCES 8u

/* A difference, and as much around it as makes a whole instruction or pointer. */
struct shown {
	const struct shipped_part *part;	/* NULL: between two parts */
	bool data;
	gva at;
	size_t shown_bytes;			/* in hex */
	size_t bytes;				/* of both copies, ≥ shown_bytes */
	uint8_t expected[2 * SHOWN_BYTES], found[2 * SHOWN_BYTES];
};

static bool is_code(const struct shown *shown)
{
	return !shown->data && shown->part && shown->part->flags & PART_EXEC;
}

/* The instruction, of those that begin at @from, that holds @at; [@at, @at] where none does. */
static struct insn insn_around(const struct shipped_part *part, gva from, gva at)
{
	struct insn found = { .at = at, .size_bytes = 1 };
	uint64_t room = part->size_bytes - (from.v - part->at.v);
	uint64_t n = at.v - from.v + SHOWN_BYTES;
	struct insns insns = { 0 };

	if (insns_decode(part->bytes + (from.v - part->at.v), n < room ? n : room, from,
			 &insns) >= 0)
		for (size_t i = 0; i < insns.list.n; i++)
			if (at.v - insns.list.v[i].at.v < insns.list.v[i].size_bytes)
				found = insns.list.v[i];
	insns_free(&insns);
	return found;
}

/* Where to begin and how much to show: whole instructions of code, whole words of data. */
static void frame(struct shown *shown, const struct difference *difference, gva symbol)
{
	const struct shipped_part *part = shown->part;
	gva at = difference->at;
	uint64_t n = difference->size_bytes, begin = at.v & ~7ull;

	shown->at = at;
	if (is_code(shown) && symbol.v >= part->at.v && at.v - symbol.v <= FUNCTION_MAX) {
		struct insn insn = insn_around(part, symbol, at);

		shown->at = insn.at;
		n += at.v - insn.at.v;
		if (n < insn.size_bytes)
			n = insn.size_bytes;
	} else if (part && !is_code(shown) && n <= 8 && begin >= part->at.v &&
		   begin + 8 - part->at.v <= part->size_bytes && at.v + n <= begin + 8) {
		shown->at.v = begin;
		n = 8;
	}
	shown->shown_bytes = n < SHOWN_BYTES ? n : SHOWN_BYTES;
}

static struct shown show(const struct difference_place *place, const struct difference *difference,
			 gva symbol)
{
	struct shown shown = {
		.part = shipped_part(place->shipped, difference->at), .data = place->data,
	};
	uint64_t lead, n, room;

	frame(&shown, difference, symbol);
	lead = difference->at.v - shown.at.v;
	n = difference->size_bytes;
	if (shown.part) {
		room = shown.part->size_bytes - (shown.at.v - shown.part->at.v);
		shown.bytes = room < sizeof(shown.found) ? room : sizeof(shown.found);
		memcpy(shown.expected, shown.part->bytes + (shown.at.v - shown.part->at.v),
		       shown.bytes);
		memcpy(shown.found, shown.expected, shown.bytes);
	} else {
		shown.bytes = n < sizeof(shown.found) ? n : sizeof(shown.found);
	}
	if (lead < shown.bytes) {
		room = shown.bytes - lead;
		if (n > room)
			n = room;
		memcpy(shown.expected + lead, difference->expected, n);
		memcpy(shown.found + lead, difference->found, n);
	}
	if (shown.shown_bytes > shown.bytes)
		shown.shown_bytes = shown.bytes;
	return shown;
}

static const char *print(const struct shown *shown, const uint8_t *bytes, size_t all, char *buf,
			 size_t size)
{
	char text[160];
	size_t have = 0;

	for (size_t i = 0; i < shown->shown_bytes; i++)
		have += (size_t)snprintf(buf + have, size - have, "%02x", bytes[i]);
	if (all > SHOWN_BYTES)
		have += (size_t)snprintf(buf + have, size - have, "… (%zu bytes)", all);
	if (is_code(shown))
		snprintf(buf + have, size - have, ": %s",
			 insn_print(bytes, shown->bytes, shown->at, SHOWN_INSNS, text,
				    sizeof(text)));
	return buf;
}

/* The first branch of the code at @from that touches the difference; 0: none. */
static gva branch_of(const struct shown *shown, const struct difference *difference, gva from)
{
	gva target = { 0 }, end = gva_add(difference->at, difference->size_bytes);
	uint64_t skip = from.v - shown->at.v;
	struct insns insns = { 0 };

	if (skip < shown->bytes &&
	    insns_decode(shown->found + skip, shown->bytes - skip, from, &insns) >= 0)
		for (size_t i = 0; i < insns.list.n && !target.v; i++) {
			const struct insn *insn = &insns.list.v[i];

			if (insn->at.v < end.v && insn->at.v + insn->size_bytes > difference->at.v)
				target = insn->target;
		}
	insns_free(&insns);
	return target;
}

/* Where what was found leads: a branch that differs, or a pointer to the kernel's half. */
static gva target_of(const struct shown *shown, const struct difference *difference)
{
	gva target = difference->target;
	uint64_t word;

	if (target.v)
		return target;
	if (is_code(shown)) {
		target = branch_of(shown, difference, shown->at);
		/* Who jumps in may have begun in the middle of what was an instruction. */
		return target.v ? target : branch_of(shown, difference, difference->at);
	}
	if (shown->shown_bytes != sizeof(word) || shown->at.v % sizeof(word))
		return target;
	memcpy(&word, shown->found, sizeof(word));
	return gva_of(gva_is_kernel(gva_of(word)) ? word : 0);
}

/* The start of the function or variable that @at is in, by the symbols; 0: none says so. */
static gva symbol_start(const struct difference_place *place, const struct owner *owner, gva at)
{
	const struct shipped_part *part = shipped_part(place->shipped, at);

	if (!part || !owner->has_symbol || owner->offset > at.v - part->at.v)
		return gva_of(0);
	return gva_sub(at, owner->offset);
}

static struct finding *new_finding(struct check_run *run, struct owners *owners,
				   const struct difference_place *place, gva at, gva symbol)
{
	const struct shipped_part *part = shipped_part(place->shipped, at);
	char name[160];

	if (symbol.v)
		return check_finding(run, place->severity, place->kind, symbol, "%s",
				     owner_symbol(owners, symbol, name, sizeof(name)));
	if (part)
		return check_finding(run, place->severity, place->kind, at, "%s %s+%#" PRIx64,
				     place->name, part->name, at.v - part->at.v);
	return check_finding(run, place->severity, place->kind, at, "%s at %#" PRIx64,
			     place->name, at.v);
}

static void add_evidence(struct check_run *run, struct owners *owners,
			 const struct difference_place *place,
			 const struct difference *difference, const struct owner *owner,
			 struct finding *finding)
{
	gva symbol = symbol_start(place, owner, difference->at), target;
	char expected[320], found[320];
	struct shown shown;

	if (finding->evidence.n >= SHOWN_DIFFERENCES)
		return;
	shown = show(place, difference, symbol);
	finding_evidence(finding, place->data ? "constant" : difference->kind, difference->at,
			 symbol.v ? owner->symbol : NULL,
			 print(&shown, shown.expected, difference->size_bytes, expected,
			       sizeof(expected)),
			 print(&shown, shown.found, difference->size_bytes, found, sizeof(found)));
	if (difference->why[0])
		finding_evidence(finding, "reason", gva_of(0), NULL, NULL, difference->why);
	target = target_of(&shown, difference);
	if (target.v)
		code_evidence(run, owners, finding, is_code(&shown) ? "branch" : "pointer",
			      difference->at, NULL, target);
}

static void find_owner(struct check_run *run, struct owners *owners, gva at, struct owner *ret)
{
	struct err why = { 0 };

	if (owner_of(owners, at, ret, &why) < 0)
		check_inconclusive(run, "owners of code: %s", why.text);
}

struct finding *difference_finding(struct check_run *run, struct owners *owners,
				   const struct difference_place *place,
				   const struct difference *difference)
{
	struct finding *finding;
	struct owner owner;

	find_owner(run, owners, difference->at, &owner);
	finding = new_finding(run, owners, place, difference->at,
			      symbol_start(place, &owner, difference->at));
	add_evidence(run, owners, place, difference, &owner, finding);
	return finding;
}

void difference_evidence(struct check_run *run, struct owners *owners,
			 const struct difference_place *place,
			 const struct difference *difference, struct finding *finding)
{
	struct owner owner;

	find_owner(run, owners, difference->at, &owner);
	add_evidence(run, owners, place, difference, &owner, finding);
}
