/* SPDX-License-Identifier: Apache-2.0 */
#include "report/processes.h"

#include <inttypes.h>
#include <sodium.h>
#include <string.h>

#include "base/cleanup.h"
#include "report/encode.h"
#include "report/text.h"

/* Those that are not known are named, up to so many of each result: JSON has all. */
#define NAMED_MAX 10u

static json_t *process_json(const struct process_seen *process)
{
	char digest[2 * sizeof(process->digest) + 1] = "";

	if (process->has_digest)
		sodium_bin2hex(digest, sizeof(digest), process->digest, sizeof(process->digest));
	return json_pack("{s:i, s:o, s:o, s:o, s:o, s:s, s:o, s:{s:o, s:o, s:o}}",
			 "pid", (int)process->pid,
			 "start_ns", encode_count(process->start_ns),
			 "comm", encode_text(process->comm),
			 "path", encode_text(process->path),
			 "digest", encode_text_or_null(digest),
			 "result", process_result_name(process_result(process)),
			 "package", encode_text_or_null(process->package),
			 "pages",
				"executable", encode_count(process->executable),
				"resident", encode_count(process->resident),
				"verified", encode_count(process->verified));
}

json_t *processes_json(const struct sweep *sweep)
{
	json_t *array = sweep->joined ? json_array() : json_null();

	for (size_t i = 0; sweep->joined && i < sweep->processes.all.n; i++)
		encode_append(&array, process_json(sweep->processes.all.v[i]));
	return array;
}

static uint64_t count(const struct sweep *sweep, enum process_result result)
{
	uint64_t n = 0;

	for (size_t i = 0; i < sweep->processes.all.n; i++)
		n += process_result(sweep->processes.all.v[i]) == result;
	return n;
}

static void name_all(const struct sweep *sweep, enum process_result result, FILE *to)
{
	uint64_t n = 0;

	for (size_t i = 0; i < sweep->processes.all.n; i++) {
		const struct process_seen *process = sweep->processes.all.v[i];

		if (process_result(process) != result || n++ >= NAMED_MAX)
			continue;
		fputs("  ", to);
		text_wrap(to, 2, 4, "%s: %" PRId32 " %s, %s", process_result_name(result),
			  process->pid, process->comm,
			  process->path ? process->path : "no program");
	}
	if (n > NAMED_MAX)
		fprintf(to, "  %s: %" PRIu64 " more\n", process_result_name(result),
			n - NAMED_MAX);
}

void processes_text(const struct sweep *sweep, FILE *to)
{
	char line[256] = "";
	size_t at = 0;

	if (!sweep->joined)
		return;
	for (int i = 0; i < PROCESS_RESULTS; i++) {
		uint64_t n = count(sweep, (enum process_result)i);

		if (n)
			at += (size_t)snprintf(line + at, sizeof(line) - at, "%s%" PRIu64 " %s",
					       at ? ", " : "", n,
					       process_result_name((enum process_result)i));
	}
	text_wrap(to, 0, 2, "processes: %s", *line ? line : "none");
	for (int i = 0; i < PROCESS_RESULTS; i++)
		if (i != PROCESS_IS_KNOWN)
			name_all(sweep, (enum process_result)i, to);
}
