/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "linux/log.h"
#include "monitor/behaviour_part.h"
#include "report/encode.h"

/* Lines of the kernel's log. */

/* A line without an end waits so long for what may be added to it. */
#define HELD_NS 1000000000ull

/* LOG_LINE_MAX of kernel/printk/printk.c is 1024; what is longer is cut. */
#define LINE_BYTES 1024u

struct part_log {
	struct log log;		/* what was read last */
	uint64_t newest;	/* number of the newest record, as log_newest() has it */
	uint64_t newest_was;
	uint64_t next;		/* sequence number of the first that was not told */
	bool again;		/* something was left for the next look */
	uint64_t held, held_ns;	/* a line without an end: its sequence number + 1, since when */
};

static void *log_open(void)
{
	return calloc(1, sizeof(struct part_log));
}

static void log_forget(void *ctx)
{
	struct part_log *part = ctx;

	log_free(&part->log);
	*part = (struct part_log){0};
}

static void log_close(void *ctx)
{
	log_forget(ctx);
	free(ctx);
}

static int log_read_part(void *ctx, const struct glance *glance, struct err *err)
{
	struct part_log *part = ctx;
	int r = log_newest(glance->kernel, glance->view, &part->newest, err);

	if (r >= 0 && !glance->first && !part->again && part->newest == part->newest_was)
		return READ_SAME;
	log_free(&part->log);
	if (r >= 0)
		r = log_read(glance->kernel, glance->view, &part->log, err);
	return r < 0 ? r : READ_ALL;
}

static void tell_record(const struct glance *glance, const struct log_record *record)
{
	char line[LINE_BYTES + 1];

	if (!glance_wants(glance, EVENT_LOG))
		return;
	strncpy(line, record->text, LINE_BYTES);
	line[LINE_BYTES] = '\0';
	glance_tell(glance, EVENT_LOG,
		  json_pack("{s:o, s:o, s:s, s:o, s:o, s:o}",
			    "seq", encode_count(record->seq),
			    "time_us", encode_count(record->time_ns / 1000),
			    "level", log_level_name(record->level),
			    "facility", encode_count(record->facility),
			    "text", encode_text(line),
			    "comm", encode_text_or_null(record->comm)));
}

/* Shall the last line wait for more to come? */
static bool hold(struct part_log *part, const struct glance *glance,
		 const struct log_record *record)
{
	if (record->newline || record->lost)
		return false;
	if (part->held != record->seq + 1) {
		part->held = record->seq + 1;
		part->held_ns = glance->mono_ns;
	}
	return glance->mono_ns - part->held_ns < HELD_NS;
}

static void tell_missed(const struct glance *glance, uint64_t count)
{
	if (count && glance_wants(glance, EVENT_LOG_MISSED))
		glance_tell(glance, EVENT_LOG_MISSED,
			  json_pack("{s:o}", "count", encode_count(count)));
}

static int log_compare(void *ctx, const struct glance *glance, bool complete, struct err *err)
{
	struct part_log *part = ctx;

	(void)err;
	if (!complete)
		return 0;	/* what is there is told by the next look */
	part->again = false;
	for (size_t i = 0; i < part->log.all.n; i++) {
		const struct log_record *record = &part->log.all.v[i];

		if (record->seq < part->next)
			continue;
		/* One before it is being written: it is told first. */
		part->again = record->seq > part->next && part->log.unfinished && i;
		if (!part->again && i + 1 == part->log.all.n)
			part->again = !glance->first && hold(part, glance, record);
		if (part->again)
			break;
		if (!glance->first)
			tell_missed(glance, record->seq - part->next);
		tell_record(glance, record);
		part->next = record->seq + 1;
	}
	part->again |= part->log.unfinished != 0;
	part->newest_was = part->newest;
	log_free(&part->log);
	return 0;
}

const struct part behaviour_log = {
	.name = "kernel log",
	.kinds = EVENT_BIT(EVENT_LOG) | EVENT_BIT(EVENT_LOG_MISSED),
	.open = log_open,
	.close = log_close,
	.read = log_read_part,
	.compare = log_compare,
	.forget = log_forget,
};
