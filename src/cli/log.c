/* SPDX-License-Identifier: Apache-2.0 */

/* hvsm log - the kernel log of a guest. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/columns.h"
#include "base/escape.h"
#include "cli/listing.h"
#include "cli/output.h"
#include "linux/log.h"
#include "report/encode.h"

/* "[12345.123456] " */
#define STAMP_MAX 32

static json_t *record_json(const struct log_record *record)
{
	return json_pack("{s:o, s:o, s:s, s:o, s:o, s:b, s:b, s:o, s:o, s:o}",
			 "seq", encode_count(record->seq),
			 "time_us", encode_count(record->time_ns / 1000),
			 "level", log_level_name(record->level),
			 "facility", encode_count(record->facility),
			 "text", encode_text(record->text),
			 "lost", record->lost,
			 "by_cpu", record->by_cpu,
			 "caller", encode_count(record->caller),
			 "comm", encode_text_or_null(record->comm),
			 "device", encode_text_or_null(record->device));
}

static int log_read_all(const struct attached *guest, const struct arguments *args, void *data,
			struct err *err)
{
	(void)args;
	return log_read(guest->kernel, guest->view, data, err);
}

static void log_free_all(void *data)
{
	log_free(data);
}

static json_t *log_json(const void *data)
{
	const struct log *log = data;
	json_t *items = json_array();

	for (size_t i = 0; i < log->all.n; i++)
		encode_append(&items, record_json(&log->all.v[i]));
	return items;
}

/* One line of a record; those after the first have blanks in place of the time. */
static int print_line(const char *stamp, const char *line, size_t n, size_t width)
{
	cleanup(freep) char *escaped = malloc(ESCAPED_MAX(n));
	size_t fit;

	if (!escaped)
		return -ENOMEM;
	escape(line, n, escaped, ESCAPED_MAX(n));
	fit = width > strlen(stamp) ? columns_fit(escaped, width - strlen(stamp))
				    : strlen(escaped);
	printf("%s%.*s\n", stamp, (int)fit, escaped);
	return 0;
}

static int print_record(const struct log_record *record, size_t width)
{
	const char *line = record->lost ? "(overwritten)" : record->text;
	char stamp[STAMP_MAX];

	snprintf(stamp, sizeof(stamp), "[%5" PRIu64 ".%06" PRIu64 "] ",
		 record->time_ns / 1000000000, record->time_ns % 1000000000 / 1000);
	for (;;) {
		size_t n = strcspn(line, "\n");

		if (print_line(stamp, line, n, width) < 0)
			return -ENOMEM;
		if (!line[n] || !line[n + 1])
			return 0;
		line += n + 1;
		memset(stamp, ' ', strlen(stamp));
	}
}

static int log_text(const struct arguments *args, const void *data, struct err *err)
{
	const struct log *log = data;
	size_t width = output_columns();

	(void)args;
	for (size_t i = 0; i < log->all.n; i++)
		if (print_record(&log->all.v[i], width) < 0)
			return err_set(err, -ENOMEM, "no memory for a line");
	return 0;
}

static const struct listing listing = {
	.schema = "hvsm.log/1",
	.bytes = sizeof(struct log),
	.read = log_read_all,
	.free = log_free_all,
	.json = log_json,
	.text = log_text,
};

const struct command log_command = {
	.name = "log",
	.operands = "TARGET",
	.operands_min = 1,
	.operands_max = 1,
	.options = OPTION_JSON,
	.summary = "the kernel log of a guest",
	.about =
		"Print the guest's kernel log, as dmesg(1) would inside it. What `dmesg -C` hides\n"
		"there is still shown; what the ring has overwritten is gone.",
	.example = "  hvsm log web1 | tail",
	.listing = &listing,
};
