/* SPDX-License-Identifier: Apache-2.0 */

/* hvsm status - what the daemon says of itself and of the guests it watches. */

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/columns.h"
#include "base/escape.h"
#include "cli/ask.h"
#include "cli/command.h"
#include "cli/output.h"
#include "cli/say.h"
#include "cli/table.h"
#include "report/encode.h"
#include "report/human.h"
#include "report/text.h"
#include "report/verdict.h"

static const char *text_of(const json_t *object, const char *key, const char *none)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : none;
}

static json_int_t count_of(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

/* Names and times are cut so that a row has 80 columns. */
#define NAME_COLUMNS 20

/* What control said is escaped already; but who has taken it over may have left that out. */
static void put(const char *label, const char *text)
{
	cleanup(freep) char *line = NULL;
	cleanup(freep) char *safe = NULL;

	if (asprintf(&line, "%s: %s", label, text) < 0)
		line = NULL;
	safe = line ? escape_once(line) : NULL;
	text_put(stdout, 0, 2, safe ? safe : "(no memory)");
}

static void add_cell(struct table *table, const char *text, size_t columns)
{
	cleanup(freep) char *safe = escape_once(text);

	if (safe)
		safe[columns_fit(safe, columns)] = '\0';
	table_escaped(table, safe ? safe : "");
	table->no_memory |= !safe;
}

static int print_guests(const json_t *guests, struct err *err)
{
	static const struct column columns[] = {
		{ "GUEST", false }, { "STATE", false }, { "VERDICT", false }, { "OPEN", true },
		{ "CPU", true }, { "MEMORY", true }, { "SWEPT", false },
	};
	cleanup(table_free) struct table table = table_of(columns, ARRAY_SIZE(columns));
	char memory[HUMAN_MAX];
	const json_t *guest;
	size_t i;

	json_array_foreach(guests, i, guest) {
		const char *name = text_of(guest, "name", text_of(guest, "target", "-"));
		const char *swept = text_of(guest, "last_sweep", "");

		add_cell(&table, name, NAME_COLUMNS);
		add_cell(&table, text_of(guest, "state", "-"), NAME_COLUMNS);
		add_cell(&table, text_of(guest, "verdict", "-"), NAME_COLUMNS);
		table_text(&table, "%lld", (long long)count_of(guest, "open_findings"));
		table_text(&table, "%.1f%%",
			   100 * json_real_value(json_object_get(guest, "cpu_share")));
		table_text(&table, "%s", human_bytes((uint64_t)count_of(guest, "memory_bytes"),
						     memory, sizeof(memory)));
		/* The time of day, of "2026-11-22T13:39:52.363941Z". */
		table_text(&table, "%.8s", strlen(swept) > 19 ? swept + 11 : "-");
	}
	return table_print(&table, output_columns(), stdout, err);
}

static void print_reasons(const json_t *guests)
{
	const json_t *guest;
	size_t i;

	json_array_foreach(guests, i, guest) {
		const char *reason = text_of(guest, "reason", "");

		if (*reason)
			put(text_of(guest, "name", text_of(guest, "target", "-")), reason);
	}
}

static int print_text(const json_t *status, struct err *err)
{
	const json_t *guests = json_object_get(status, "guests");
	const json_t *reports = json_object_get(status, "reports");
	const char *trouble = text_of(reports, "trouble", "");
	long long sweeps = (long long)count_of(reports, "received");
	long long kept = (long long)count_of(reports, "records");
	int r = 0;

	printf("hvsmd %s since %.19sZ: %zu guest%s, %lld sweep%s, %lld report%s kept\n",
	       text_of(status, "version", "?"), text_of(status, "started", "?"),
	       json_array_size(guests), json_array_size(guests) == 1 ? "" : "s",
	       sweeps, sweeps == 1 ? "" : "s", kept, kept == 1 ? "" : "s");
	if (*trouble)
		put("reports cannot be stored", trouble);
	if (json_array_size(guests)) {
		putchar('\n');
		r = print_guests(guests, err);
		print_reasons(guests);
	}
	return r;
}

static enum verdict verdict_by_name(const char *name)
{
	for (enum verdict v = VERDICT_CLEAN; v <= VERDICT_COMPROMISED; v++)
		if (!strcmp(verdict_name(v), name))
			return v;
	return VERDICT_INCONCLUSIVE;
}

/* The gravest of all guests; one that is not seen, or not yet, is not clean. */
static enum exit_status status_of(const json_t *status)
{
	enum exit_status worst = EXIT_CLEAN;
	const json_t *guest;
	size_t i;

	json_array_foreach(json_object_get(status, "guests"), i, guest) {
		enum verdict verdict = verdict_by_name(text_of(guest, "verdict", ""));
		const char *state = text_of(guest, "state", "");

		if (verdict == VERDICT_CLEAN && strcmp(state, "watched") != 0 &&
		    strcmp(state, "paused") != 0)
			verdict = VERDICT_INCONCLUSIVE;
		worst = exit_status_worse(worst, verdict_exit_status(verdict));
	}
	return worst;
}

static int status_run(const struct arguments *args)
{
	json_t *status = NULL;
	struct err err = { 0 };
	int r = ask_once("{\"request\":\"status\"}", "hvsm.status/1", &status, &err);
	int exit_status = EXIT_UNSCANNED;

	if (r < 0) {
		say_failed(r, &err, "is hvsmd running, and may you ask it (root, group hvsm)?",
			   "no status");
		return EXIT_UNSCANNED;
	}
	exit_status = (int)status_of(status);
	r = args->json ? encode_print(json_incref(status), stdout, &err) :
			 print_text(status, &err);
	json_decref(status);
	if (r < 0)
		say_failed(r, &err, NULL, "cannot print the status");
	return r < 0 ? EXIT_UNSCANNED : exit_status;
}

const struct command status_command = {
	.name = "status",
	.operands = "",
	.options = OPTION_JSON,
	.summary = "what the daemon watches, and how it is",
	.about =
		"Ask hvsmd(8) how it is, and of each guest: whether it is watched, its verdict by\n"
		"what is open and how the checks ended last, how many findings are open, what\n"
		"watching it costs, and when it was looked at last (UTC). HVSM_SOCKET names\n"
		"another socket than /run/hvsm/hvsmd.sock.\n"
		"\n"
		"Exit status: 0 every guest is clean; 1 findings are open; 2 the daemon does not\n"
		"answer; 3 no finding, but a guest or a check is inconclusive.",
	.example = "  hvsm status\n  hvsm status --json",
	.run = status_run,
};
