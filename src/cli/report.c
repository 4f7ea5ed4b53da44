/* SPDX-License-Identifier: Apache-2.0 */

/* hvsm report - what was reported of guests, kept in the ledger. */

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/now.h"
#include "cli/actions.h"
#include "cli/command.h"
#include "cli/output.h"
#include "cli/say.h"
#include "cli/table.h"
#include "cli/when.h"
#include "report/cursor.h"
#include "report/encode.h"
#include "report/export.h"
#include "report/human.h"
#include "report/ledger.h"
#include "report/listed.h"
#include "report/stored.h"
#include "report/verdict.h"

#define HASH_TEXT (2 * LEDGER_HASH_BYTES + 1)

static const char *advice_for(int code)
{
	switch (code) {
	case -EBADMSG:
		return "`hvsm report verify` says what is wrong with it";
	case -EACCES:
		return "run as root, or name a copy of your own with --ledger";
	case -ENOENT:
		return "`hvsm report list` shows what there is";
	case -ENOTSUP:
		return "the hvsmd that writes it must be of this version";
	default:
		return NULL;
	}
}

static const char *ledger_path(const struct arguments *args)
{
	const char *named = getenv("HVSM_LEDGER");

	if (args->ledger.n)
		return args->ledger.v[args->ledger.n - 1];
	return named && *named ? named : LEDGER_DEFAULT;
}

static int open_ledger(const struct arguments *args, struct ledger **ret)
{
	struct err err = {0};
	int r = ledger_open(ledger_path(args), false, ret, &err);

	if (r < 0)
		say_failed(r, &err, r == -ENOENT ? "hvsmd makes it; --ledger names another one" :
			   advice_for(r), "cannot open the ledger of reports");
	return r;
}

static const char *last_of(const words *given)
{
	return given->n ? given->v[given->n - 1] : NULL;
}

/* What is asked for: of one guest, or since when. */
static int filter_of(const struct arguments *args, char *const *operands, size_t n,
		     struct ledger_filter *ret)
{
	struct ledger_filter filter = { .guest = n ? operands[0] : NULL, .open = args->open };
	const char *since = last_of(&args->since);

	if (since && when_read(since, now_ns(CLOCK_REALTIME), &filter.since_ns) < 0) {
		say("report: no time '%s'; write it as 2025-03-01, '2025-03-01 14:02' or 12h",
		    since);
		return -EINVAL;
	}
	*ret = filter;
	return 0;
}

/* The report that was read last, since findings share it. */
struct last_report {
	struct ledger *ledger;
	uint64_t seq;
	json_t *json;		/* NULL: none, or it expired */
};

/* The finding in the report that last had it; NULL: that expired. */
static json_t *details_of(struct last_report *last, const struct ledger_finding *finding)
{
	cleanup(blob_free) struct blob text = {0};
	json_t *one;
	size_t i;

	if (last->seq != finding->last_in) {
		json_decref(last->json);
		last->json = NULL;
		last->seq = finding->last_in;
		if (ledger_report(last->ledger, finding->last_in, &text, NULL) >= 0)
			last->json = json_loadb((const char *)text.data, text.size, 0, NULL);
	}
	json_array_foreach(json_object_get(last->json, "findings"), i, one) {
		const char *id = json_string_value(json_object_get(one, "id"));

		if (id && !strcmp(id, finding->id))
			return one;
	}
	return NULL;
}

/* Did the daemon's policy allow it when it was reported last? */
static bool was_allowed(struct last_report *last, const struct ledger_finding *finding)
{
	const json_t *policy = json_object_get(details_of(last, finding), "policy");

	return json_is_object(json_object_get(policy, "allowed"));
}

/* What actions that list have in common. */
struct listing_of {
	struct ledger *ledger;
	struct last_report last;
	struct ledger_filter filter;
	uint64_t limit;		/* of items; 0: none */
	uint64_t n;		/* that were listed */
	struct cursor before, place;	/* as was given; of the last item */
	bool more;		/* there are others than these */
	bool json;
	json_t *items;
	struct table table;
};

/* Is the page full? Then what would be listed next is only noted. */
static bool is_full(struct listing_of *list, uint64_t seq, const char *id)
{
	list->more = list->limit && list->n == list->limit;
	if (list->more)
		return true;
	list->n++;
	list->place.seq = seq;
	snprintf(list->place.id, sizeof(list->place.id), "%s", id);
	return false;
}

static char *hex(const uint8_t *bytes, char text[HASH_TEXT])
{
	return sodium_bin2hex(text, HASH_TEXT, bytes, LEDGER_HASH_BYTES);
}

/* --- list --- */

static void record_row(const struct ledger_record *record, struct table *table)
{
	char stored[HUMAN_MAX];

	table_text(table, "%llu", (unsigned long long)record->seq);
	table_text(table, "%s", human_time(record->time_ns, stored, sizeof(stored)));
	table_escaped(table, record->verdict);
	table_text(table, "%llu", (unsigned long long)record->findings);
	if (record->refers)
		table_text(table, "%llu", (unsigned long long)record->refers);
	else
		table_text(table, "-");
	table_escaped(table, record->name);
}

static int list_record(const struct ledger_record *record, void *ctx, struct err *err)
{
	struct listing_of *list = ctx;

	(void)err;
	/* For people they are no reports. */
	if (record->kind == LEDGER_CHECKPOINT && !list->json)
		return 0;
	if (is_full(list, record->seq, ""))
		return -ECANCELED;
	if (list->json)
		encode_append(&list->items, listed_record(record));
	else
		record_row(record, &list->table);
	return 0;
}

static int list_records(struct listing_of *list, struct err *err)
{
	static const struct column columns[] = {
		{ "ID", true }, { "STORED", false }, { "VERDICT", false }, { "FINDINGS", true },
		{ "SAME AS", true }, { "GUEST", false },
	};

	list->table = table_of(columns, ARRAY_SIZE(columns));
	return ledger_each(list->ledger, &list->filter, list_record, list, err);
}

/* --- findings --- */

static void finding_row(const struct ledger_finding *finding, struct listing_of *list)
{
	struct table *table = &list->table;
	char first[HUMAN_MAX];

	table_escaped(table, finding->severity);
	table_text(table, "%s", finding->closed_ns ? "closed" :
				was_allowed(&list->last, finding) ? "allowed" : "open");
	table_text(table, "%s", human_time(finding->first_seen_ns, first, sizeof(first)));
	table_text(table, "%llu", (unsigned long long)finding->last_in);
	table_escaped(table, finding->name);
	table_escaped(table, finding->title);
}

static int list_finding(const struct ledger_finding *finding, void *ctx, struct err *err)
{
	struct listing_of *list = ctx;

	(void)err;
	if (is_full(list, finding->opened_in, finding->id))
		return -ECANCELED;
	if (list->json)
		encode_append(&list->items,
			      listed_finding(finding, was_allowed(&list->last, finding)));
	else
		finding_row(finding, list);
	return 0;
}

static int list_findings(struct listing_of *list, struct err *err)
{
	static const struct column columns[] = {
		{ "SEVERITY", false }, { "STATE", false }, { "FIRST SEEN", false },
		{ "LAST IN", true }, { "GUEST", false }, { "FINDING", false },
	};

	list->table = table_of(columns, ARRAY_SIZE(columns));
	return ledger_each_finding(list->ledger, &list->filter, list_finding, list, err);
}

/* --- both --- */

static int print_list(struct listing_of *list, const char *schema, const char *none,
		      struct err *err)
{
	const struct cursor *next = list->more ? &list->place : NULL;
	char text[CURSOR_TEXT_MAX];
	int r = 0;

	if (list->json)
		return encode_print(json_pack("{s:s, s:o, s:o}", "schema", schema,
					      "items", take_ptr(&list->items),
					      "next", listed_next(next)), stdout, err);
	if (list->table.cells.n)
		r = table_print(&list->table, output_columns(), stdout, err);
	else
		say("%s", none);
	if (r >= 0 && next)
		say("there are older ones: --before %s", cursor_text(next, text));
	return r;
}

/* Which page: --limit, --before. */
static int page_of(const struct arguments *args, bool findings, struct listing_of *list)
{
	const char *limit = last_of(&args->limit), *before = last_of(&args->before);
	struct cursor number = { 0 };

	if (limit && !cursor_read(limit, strlen(limit), false, &number)) {
		say("report: --limit takes a number from 1, not '%s'", limit);
		return -EINVAL;
	}
	if (before && !cursor_read(before, strlen(before), findings, &list->before)) {
		say("report: --before takes what the page before it ended with, not '%s'", before);
		return -EINVAL;
	}
	list->limit = number.seq;
	list->filter.newest = limit || before;
	list->filter.before_seq = list->before.seq;
	list->filter.before_id = list->before.id;
	return 0;
}

static int list_with(const struct arguments *args, char *const *operands, size_t n, bool findings)
{
	cleanup(ledger_close) struct ledger *ledger = NULL;
	struct listing_of list = { .json = args->json };
	struct err err = {0};
	int r;

	if (filter_of(args, operands, n, &list.filter) < 0 || page_of(args, findings, &list) < 0 ||
	    open_ledger(args, &ledger) < 0)
		return EXIT_UNSCANNED;
	list.ledger = list.last.ledger = ledger;
	list.items = json_array();
	r = findings ? list_findings(&list, &err) : list_records(&list, &err);
	if (r >= 0 || list.more)
		r = findings ? print_list(&list, "hvsm.findings/1", "there is no such finding",
					  &err) :
			       print_list(&list, "hvsm.reports/1", "there is no such report", &err);
	json_decref(list.items);
	json_decref(list.last.json);
	table_free(&list.table);
	if (r < 0)
		say_failed(r, &err, advice_for(r), "cannot list the ledger");
	return r < 0 ? EXIT_UNSCANNED : EXIT_CLEAN;
}

static int list_run(const struct arguments *args, char *const *operands, size_t n)
{
	return list_with(args, operands, n, false);
}

static int findings_run(const struct arguments *args, char *const *operands, size_t n)
{
	return list_with(args, operands, n, true);
}

/* --- show --- */

struct shown {
	struct ledger *ledger;
	uint64_t seq;
	bool json, found;
};

static int show_report(const struct ledger_record *record, const struct shown *shown,
		       struct err *err)
{
	cleanup(blob_free) struct blob text = {0};
	json_t *report;
	int r = ledger_report(shown->ledger, record->seq, &text, err);

	if (r < 0)
		return r;
	if (shown->json) {
		fwrite(text.data, 1, text.size, stdout);
		putchar('\n');
		return 0;
	}
	report = json_loadb((const char *)text.data, text.size, 0, NULL);
	if (!report)
		return err_set(err, -ENOMEM, "no memory for the report");
	stored_text(record, report, stdout);
	json_decref(report);
	return 0;
}

static int show_if(const struct ledger_record *record, void *ctx, struct err *err)
{
	struct shown *shown = ctx;
	int r;

	if (record->seq != shown->seq || record->kind == LEDGER_CHECKPOINT)
		return -ENOENT;
	shown->found = true;
	r = show_report(record, shown, err);
	return r < 0 ? r : -ECANCELED;	/* no more of them */
}

static int show_run(const struct arguments *args, char *const *operands, size_t n)
{
	cleanup(ledger_close) struct ledger *ledger = NULL;
	struct shown shown = { .json = args->json };
	struct ledger_filter filter = {0};
	struct err err = {0};
	char *end;
	int r;

	(void)n;
	shown.seq = strtoull(operands[0], &end, 10);
	if (*end || !*operands[0] || !shown.seq || shown.seq > INT64_MAX) {
		say("report: no ID '%s'; `hvsm report list` shows them", operands[0]);
		return EXIT_UNSCANNED;
	}
	if (open_ledger(args, &ledger) < 0)
		return EXIT_UNSCANNED;
	shown.ledger = ledger;
	filter.after_seq = shown.seq - 1;
	r = ledger_each(ledger, &filter, show_if, &shown, &err);
	if (r == -ECANCELED)
		return EXIT_CLEAN;
	if (!shown.found)
		r = err_set(&err, -ENOENT, "there is no report %s", operands[0]);
	say_failed(r, &err, advice_for(r), "cannot show it");
	return EXIT_UNSCANNED;
}

/* --- verify --- */

struct verified {
	json_t *problems;	/* NULL: as text */
};

static int problem_told(uint64_t seq, const char *what, void *ctx, struct err *err)
{
	struct verified *verified = ctx;

	(void)err;
	if (verified->problems)
		encode_append(&verified->problems, json_pack(
			"{s:o, s:o}", "record", seq ? encode_count(seq) : json_null(),
			"what", encode_text(what)));
	else if (seq)
		printf("report %llu: %s\n", (unsigned long long)seq, what);
	else
		printf("%s\n", what);
	return 0;
}

/* 64 hex digits. 1: it was given. */
static int read_hash(const words *given, const char *name, uint8_t ret[LEDGER_HASH_BYTES])
{
	const char *text = last_of(given);
	size_t n = 0;

	if (!text)
		return 0;
	if (strlen(text) == 2 * LEDGER_HASH_BYTES &&
	    !sodium_hex2bin(ret, LEDGER_HASH_BYTES, text, strlen(text), NULL, &n, NULL) &&
	    n == LEDGER_HASH_BYTES)
		return 1;
	say("report: --%s takes %d hex digits; `hvsm report verify` prints them", name,
	    2 * LEDGER_HASH_BYTES);
	return -EINVAL;
}

static int print_verified(struct ledger *ledger, struct verified *verified, int problems,
			  struct err *err)
{
	char hash[HASH_TEXT], key[HASH_TEXT];
	struct ledger_head head;
	int r = ledger_head(ledger, &head, err);

	if (r < 0)
		return r;
	hex(head.hash, hash);
	hex(head.key, key);
	if (verified->problems)
		return encode_print(json_pack(
			"{s:s, s:b, s:o, s:o, s:o, s:s, s:s, s:O}", "schema", "hvsm.verify/1",
			"intact", !problems, "last", encode_count(head.seq),
			"removed", encode_count(head.removed), "signed", encode_time(head.time_ns),
			"head", hash, "key", key, "problems", verified->problems), stdout, err);
	if (problems)
		printf("TAMPERED: %d problem%s\n", problems, problems == 1 ? "" : "s");
	else if (!head.seq)
		printf("intact: no report yet\n");
	else
		printf("intact: reports %llu to %llu\n", (unsigned long long)head.removed + 1,
		       (unsigned long long)head.seq);
	printf("head: %s\nkey:  %s\n", hash, key);
	return 0;
}

static int verify_run(const struct arguments *args, char *const *none, size_t n)
{
	uint8_t key[LEDGER_KEY_BYTES], head[LEDGER_HASH_BYTES];
	cleanup(ledger_close) struct ledger *ledger = NULL;
	struct ledger_trusted trusted = {0};
	struct verified verified = {0};
	struct err err = {0};
	int has_key = read_hash(&args->key, "key", key), problems, r;
	int has_head = has_key < 0 ? has_key : read_hash(&args->head, "head", head);

	(void)none;
	(void)n;
	if (has_key < 0 || has_head < 0)
		return EXIT_UNSCANNED;
	r = open_ledger(args, &ledger);
	if (r < 0)	/* what can no longer be read was changed */
		return r == -EBADMSG ? EXIT_FINDINGS : EXIT_UNSCANNED;
	trusted.key = has_key ? key : NULL;
	trusted.head = has_head ? head : NULL;
	verified.problems = args->json ? json_array() : NULL;
	r = problems = ledger_verify(ledger, &trusted, problem_told, &verified, &err);
	if (r >= 0)
		r = print_verified(ledger, &verified, problems, &err);
	json_decref(verified.problems);
	if (r < 0)
		say_failed(r, &err, NULL, "cannot verify the ledger");
	if (r == -EBADMSG)
		return EXIT_FINDINGS;
	return r < 0 ? EXIT_UNSCANNED : problems ? EXIT_FINDINGS : EXIT_CLEAN;
}

static int key_run(const struct arguments *args, char *const *none, size_t n)
{
	cleanup(ledger_close) struct ledger *ledger = NULL;
	struct ledger_head head;
	struct err err = {0};
	char key[HASH_TEXT];
	int r = open_ledger(args, &ledger);

	(void)none;
	(void)n;
	if (r < 0)
		return EXIT_UNSCANNED;
	r = ledger_head(ledger, &head, &err);
	if (r < 0) {
		say_failed(r, &err, advice_for(r), "cannot read the ledger");
		return EXIT_UNSCANNED;
	}
	puts(hex(head.key, key));
	return EXIT_CLEAN;
}

/* --- export --- */

struct exported {
	struct ledger *ledger;
	struct ledger_filter filter;
	bool ocsf;
	char host[256];
	struct last_report last;
};

/* What is the same as an earlier one is not printed once more. */
static int export_record(const struct ledger_record *record, void *ctx, struct err *err)
{
	struct exported *exported = ctx;
	const struct shown shown = { .ledger = exported->ledger, .json = true };

	return record->kind == LEDGER_REPORT ? show_report(record, &shown, err) : 0;
}

static int export_finding(const struct ledger_finding *finding, void *ctx, struct err *err)
{
	struct exported *exported = ctx;
	const json_t *details = details_of(&exported->last, finding);

	if (exported->ocsf)
		return encode_print(export_ocsf(finding, details, exported->filter.since_ns),
				    stdout, err);
	export_syslog(finding, details, exported->host, stdout);
	return 0;
}

static int export_run(const struct arguments *args, char *const *operands, size_t n)
{
	cleanup(ledger_close) struct ledger *ledger = NULL;
	const char *format = args->format.n ? last_of(&args->format) : "json";
	struct exported exported = { .ocsf = !strcmp(format, "ocsf") };
	struct err err = {0};
	int r;

	if (strcmp(format, "json") && strcmp(format, "ocsf") && strcmp(format, "syslog")) {
		say("report: no format '%s' (there are: json ocsf syslog)", format);
		return EXIT_UNSCANNED;
	}
	if (filter_of(args, operands, n, &exported.filter) < 0 || open_ledger(args, &ledger) < 0)
		return EXIT_UNSCANNED;
	exported.ledger = exported.last.ledger = ledger;
	if (gethostname(exported.host, sizeof(exported.host) - 1) < 0)
		*exported.host = '\0';
	r = !strcmp(format, "json") ?
		ledger_each(ledger, &exported.filter, export_record, &exported, &err) :
		ledger_each_finding(ledger, &exported.filter, export_finding, &exported, &err);
	json_decref(exported.last.json);
	if (r < 0)
		say_failed(r, &err, advice_for(r), "cannot export the ledger");
	return r < 0 ? EXIT_UNSCANNED : EXIT_CLEAN;
}

#define OPTION_PAGE (OPTION_LIMIT | OPTION_BEFORE)

static const struct action actions[] = {
	{ "list", "[GUEST]", 0, 1, OPTION_JSON | OPTION_SINCE | OPTION_PAGE, list_run },
	{ "findings", "[GUEST]", 0, 1, OPTION_JSON | OPTION_SINCE | OPTION_OPEN | OPTION_PAGE,
	  findings_run },
	{ "show", "ID", 1, 1, OPTION_JSON, show_run },
	{ "verify", "", 0, 0, OPTION_JSON | OPTION_KEY | OPTION_HEAD, verify_run },
	{ "export", "[GUEST]", 0, 1, OPTION_FORMAT | OPTION_SINCE, export_run },
	{ "key", "", 0, 0, 0, key_run },
};

static int report_run(const struct arguments *args)
{
	return actions_run("report", actions, ARRAY_SIZE(actions), args);
}

const struct command report_command = {
	.name = "report",
	.operands = "list|findings|show|verify|export|key [GUEST|ID]",
	.operands_min = 1,
	.operands_max = SIZE_MAX,
	.options = OPTION_LEDGER | OPTION_SINCE | OPTION_OPEN | OPTION_FORMAT | OPTION_KEY |
		   OPTION_HEAD | OPTION_JSON | OPTION_PAGE,
	.summary = "what was reported of guests: list, prove, export",
	.about =
		"Read the ledger in which hvsmd keeps its reports: a chain of signed records, in\n"
		"which nobody can change, remove or reorder one unseen. Nothing is changed.\n"
		"\n"
		"  list [GUEST]       reports, the oldest first; a page: the newest first\n"
		"  findings [GUEST]   what they found, over all sweeps; --open: what is there now\n"
		"  show ID            one report\n"
		"  verify             is all as it was signed? 1: no\n"
		"  export [GUEST]     for other programs: json, ocsf, syslog\n"
		"  key                the public key, to be noted elsewhere",
	.example = "  hvsm report list --limit 20\n"
		   "  hvsm report findings --open\n"
		   "  hvsm report list web1 --since 7d\n"
		   "  hvsm report export --format ocsf --since 1h",
	.run = report_run,
};
