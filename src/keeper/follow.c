/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/follow.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/limits.h"

#define CHUNK_BYTES	(1u << 20)	/* read at a time; no page of it is kept in the view */
#define PERIOD_MAX_MS	60000u		/* the agent takes none that is longer (agent/run.c) */
#define USER_END	(1ull << 56)

static void printf_like(5, 6) tell(struct look *look, const char *object, const char *title,
				   const char *expected, const char *fmt, ...)
{
	const struct told told = {
		.topic = KEEPER_LOG, .weight = KEEPER_HIGH,
		.object = object, .title = title, .expected = expected,
	};
	va_list ap;

	va_start(ap, fmt);
	look_vtell(look, &told, fmt, ap);
	va_end(ap);
}

/* --- the anchor --- */

static bool is_region(const struct agent_region *region, uint64_t max)
{
	return region->at && !(region->at & GUEST_PAGE_MASK) && region->size_bytes <= max &&
	       region->at < USER_END && region->size_bytes <= USER_END - region->at;
}

/* What cannot be in an anchor; NULL: nothing. */
static const char *nonsense(const struct agent_anchor *anchor, const struct claim *claim)
{
	if (anchor->magic != AGENT_MAGIC)
		return "it is none: its magic number is missing";
	if (!anchor->format || anchor->format > AGENT_FORMAT ||
	    anchor->size_bytes < (anchor->format == 1 ? AGENT_ANCHOR_BYTES_1 : sizeof(*anchor)))
		return "it is of another format";
	if ((int64_t)anchor->pid != claim->task.tgid)
		return "it says that it is another process";
	if (anchor->state < AGENT_STARTING || anchor->state > AGENT_STOPPING)
		return "its state is none";
	if (!anchor->period_ms || anchor->period_ms > PERIOD_MAX_MS)
		return "its period cannot be";
	if (!is_region(&anchor->log, AGENT_LOG_MAX) ||
	    !is_region(&anchor->events, 2 * AGENT_EVENTS * sizeof(struct agent_event)) ||
	    !is_region(&anchor->inside, 2ull * AGENT_INSIDE_MAX))
		return "its regions lie where they cannot";
	if (anchor->log_bytes > anchor->log.size_bytes || anchor->log_records > anchor->log_bytes)
		return "its log is longer than the memory that it has";
	return NULL;
}

int follow_anchor(struct look *look, const struct claim *claim, struct agent_anchor *ret,
		  struct err *err)
{
	struct agent_anchor anchor;
	const char *why;
	int r;

	r = view_read_space(look->view, claim->task.space,
			    gva_of(claim->bias + claim->build->anchor), &anchor, sizeof(anchor),
			    err);
	if (r < 0)
		return r;
	why = nonsense(&anchor, claim);
	if (why) {
		tell(look, "anchor", "Agent's anchor was written over", "an anchor", "%s", why);
		return 1;
	}
	if (anchor.format == 1)
		memset((uint8_t *)&anchor + AGENT_ANCHOR_BYTES_1, 0,
		       sizeof(anchor) - AGENT_ANCHOR_BYTES_1);
	*ret = anchor;
	return 0;
}

/* --- the log --- */

struct reading {
	struct look *look;
	const struct claim *claim;
	const struct agent_anchor *anchor;
	struct follow *follow;
	struct measured *measured;
	struct log_mark mark;		/* where the bytes at hand begin */
	uint64_t reached_ns;
	uint8_t *data;
	size_t room;
};

static int need_room(struct reading *reading, size_t size, struct err *err)
{
	uint8_t *data;

	if (size <= reading->room)
		return 0;
	data = realloc(reading->data, size);
	if (!data)
		return err_set(err, -ENOMEM, "no memory for the agent's log");
	reading->data = data;
	reading->room = size;
	return 0;
}

/*
 * Bytes of whole records at the beginning of @size bytes. @next: size of the record behind them,
 * of which not all is there; 0: its header is not, or it cannot be one, which reading it tells.
 */
static size_t whole_records(const uint8_t *data, size_t size, size_t *next)
{
	size_t at = 0;

	*next = 0;
	while (size - at >= sizeof(struct agent_record)) {
		uint32_t bytes;

		memcpy(&bytes, data + at, sizeof(bytes));
		if (bytes < sizeof(struct agent_record) || bytes > AGENT_RECORD_MAX)
			return size;
		if (bytes > size - at) {
			*next = bytes;
			return at;
		}
		at += bytes;
	}
	return at;
}

static bool is_mark(const struct log_mark *a, const struct log_mark *b)
{
	return a->offset == b->offset && a->sequence == b->sequence &&
	       !memcmp(a->chain, b->chain, sizeof(a->chain));
}

/* Is the first record of the process that it stands in, and of this boot? */
static bool is_start(const struct reading *reading, const struct agent_start *start)
{
	const struct build *build = reading->claim->build;

	return start->pid == reading->anchor->pid &&
	       start->started_ns == reading->anchor->started_ns &&
	       !memcmp(start->boot_id, reading->anchor->boot_id, sizeof(start->boot_id)) &&
	       start->build_id_bytes == build->id_size &&
	       !memcmp(start->build_id, build->id_bytes, build->id_size);
}

/* Return: 0, 1 (a problem was told), or what must end the look. */
static int take_record(struct reading *reading, const struct record *record,
		       const struct log_mark *behind, struct err *err)
{
	struct follow *follow = reading->follow;
	int r;

	if (record->head.type == AGENT_RECORD_START && !is_start(reading, &record->start)) {
		tell(reading->look, "log", "Agent's log is not its own",
		     "a first record of this process", "one of another process, boot or build");
		return 1;
	}
	if (record->head.type == AGENT_RECORD_START)
		follow->started_ns = record->start.started_ns;
	else if (record->head.type != AGENT_RECORD_FOLLOWS)
		follow->measures = true;
	else if (follow->ancestors_n < AGENT_ANCESTORS_MAX)
		follow->ancestors[follow->ancestors_n++] = record->follows.ended;
	if (!follow->joined && behind->offset >= follow->before.offset) {
		if (!is_mark(behind, &follow->before)) {
			tell(reading->look, "log", "Agent's log was rewritten",
			     "the records that were seen before, and more",
			     "other records before number %" PRIu64, behind->sequence);
			return 1;
		}
		follow->joined = true;
	}
	r = measured_add(reading->measured, record, err);
	if (r == -ELOOP) {
		look_unseen(reading->look, KEEPER_LOG, "%s", err->text);
		r = 0;
	}
	reading->reached_ns = record->head.time_ns;
	return r;
}

/* As take_record(), of @size bytes of whole records. */
static int take_records(struct reading *reading, size_t size, struct err *err)
{
	struct records records = records_of(reading->data, size, &reading->mark);
	struct err why = {0};
	struct record record;
	int r;

	while ((r = records_next(&records, &record, &why)) > 0) {
		r = take_record(reading, &record, &records.mark, err);
		if (r)
			return r;
		reading->mark = records.mark;
		reading->follow->mark = records.mark;
		reading->follow->reached_ns = reading->reached_ns;
	}
	if (r < 0) {
		tell(reading->look, "log", "Agent's log is broken", "records that are chained",
		     "%s", why.text);
		return 1;
	}
	return 0;
}

static int read_chunk(struct reading *reading, struct err *err)
{
	uint64_t left = reading->anchor->log_bytes - reading->mark.offset;
	size_t size = left < CHUNK_BYTES ? (size_t)left : CHUNK_BYTES, whole, next;
	gva at = gva_of(reading->anchor->log.at + reading->mark.offset);
	struct space space = reading->claim->task.space;
	int r;

	r = need_room(reading, size, err);
	if (r >= 0)
		r = view_read_space(reading->look->view, space, at, reading->data, size, err);
	if (r < 0)
		return r;
	whole = whole_records(reading->data, size, &next);
	if (!whole && next && next <= left) {
		r = need_room(reading, next, err);
		if (r >= 0)
			r = view_read_space(reading->look->view, space, at, reading->data, next,
					    err);
		if (r < 0)
			return r;
		whole = next;
	}
	/* What is cut off at the end of the log is told by who reads it. */
	return take_records(reading, whole ? whole : size, err);
}

/*
 * Does the agent write to its log just now? Then its length and its head may be of two instants.
 * The view keeps the page that the anchor was copied from, so this one is fetched past it.
 */
static bool is_writing(const struct reading *reading)
{
	const struct claim *claim = reading->claim;
	gva at = gva_of(claim->bias + claim->build->anchor +
			offsetof(struct agent_anchor, log_sequence));
	struct view *view = reading->look->view;
	struct mapping mapping;
	uint64_t sequence;

	return view_translate(view, claim->task.space, at, &mapping, NULL) >= 0 &&
	       view_copy_phys(view, mapping.at, &sequence, sizeof(sequence), NULL) >= 0 &&
	       sequence != reading->anchor->log_sequence;
}

static int read_log(struct reading *reading, struct err *err)
{
	const struct agent_anchor *anchor = reading->anchor;
	struct follow *follow = reading->follow;
	int r = 0;

	while (reading->mark.offset < anchor->log_bytes && !r)
		r = read_chunk(reading, err);
	if (r)
		return r > 0 ? 0 : r;
	if (reading->mark.sequence != anchor->log_records ||
	    memcmp(reading->mark.chain, anchor->log_head, AGENT_DIGEST_BYTES) != 0) {
		if (is_writing(reading)) {
			look_unseen(reading->look, KEEPER_LOG,
				    "the agent wrote to its log while it was looked at");
			return 0;
		}
		tell(reading->look, "log", "Agent's log is broken",
		     "a head that is the chain of its last record",
		     "another one, behind %" PRIu64 " records", reading->mark.sequence);
	} else if (!follow->joined)
		tell(reading->look, "log", "Agent's log was truncated",
		     "the records that were seen before", "%" PRIu64 " of %" PRIu64 " records",
		     reading->mark.sequence, follow->before.sequence);
	return 0;
}

int follow_log(struct look *look, const struct claim *claim, const struct agent_anchor *anchor,
	       struct follow *follow, struct measured *measured, struct err *err)
{
	struct reading reading = {
		.look = look, .claim = claim, .anchor = anchor, .follow = follow,
		.measured = measured, .mark = follow->mark, .reached_ns = follow->reached_ns,
	};
	int r;

	if (anchor->log_sequence & 1) {
		look_unseen(look, KEEPER_LOG, "the agent writes to its log just now");
		return 0;
	}
	if (anchor->log_bytes < follow->mark.offset ||
	    anchor->log_records < follow->mark.sequence) {
		tell(look, "log", "Agent's log was truncated", "the records that were seen before",
		     "%" PRIu64 " of %" PRIu64 " records", anchor->log_records,
		     follow->mark.sequence);
		return 0;
	}
	if (follow->started_ns && follow->started_ns != anchor->started_ns) {
		tell(look, "anchor", "Agent's anchor was written over", "when its log began",
		     "another time at which it started");
		return 0;
	}
	if (!follow->before.offset)
		follow->joined = true;
	r = read_log(&reading, err);
	free(reading.data);
	return look_partial(look, KEEPER_LOG, r, err);
}

/* --- the inside view --- */

static int copy_inside(struct look *look, const struct claim *claim,
		       const struct agent_anchor *anchor, struct blob *ret, struct err *err)
{
	uint64_t half = anchor->inside.size_bytes / 2, sequence = anchor->inside_sequence;
	gva at = gva_of(anchor->inside.at + (sequence & 1) * half);
	struct agent_inside head;
	int r;

	if (half < sizeof(head))
		return err_set(err, -EBADMSG, "no room for an inside view");
	r = view_read_space(look->view, claim->task.space, at, &head, sizeof(head), err);
	if (r < 0)
		return r;
	if (head.sequence != sequence)
		return err_set(err, -ESTALE, "the inside view was written meanwhile");
	if (head.size_bytes < sizeof(head) || head.size_bytes > half)
		return err_set(err, -EBADMSG, "an inside view of %u bytes", head.size_bytes);
	ret->data = malloc(head.size_bytes);
	if (!ret->data)
		return err_set(err, -ENOMEM, "no memory for an inside view");
	ret->size = head.size_bytes;
	return view_read_space(look->view, claim->task.space, at, ret->data, ret->size, err);
}

int follow_inside(struct look *look, const struct claim *claim,
		  const struct agent_anchor *anchor, struct inside *inside, struct err *err)
{
	const struct told told = {
		.topic = KEEPER_VIEW, .weight = KEEPER_HIGH, .at = claim->task.at,
		.object = "inside view", .title = "Agent's inside view cannot be",
		.expected = "items within their bounds",
	};
	cleanup(blob_free) struct blob data = {0};
	struct inside newer = {0};
	int r;

	if (!anchor->inside_sequence || anchor->inside_sequence == inside->head.sequence)
		return 0;
	r = copy_inside(look, claim, anchor, &data, err);
	if (r >= 0)
		r = inside_parse(&data, anchor->inside_sequence, &newer, err);
	if (r == -EBADMSG) {
		look_tell(look, &told, "%s", err->text);
		return 0;
	}
	if (r < 0)
		return look_partial(look, KEEPER_VIEW, r, err);
	inside_free(inside);
	*inside = newer;
	return 0;
}
