/* SPDX-License-Identifier: Apache-2.0 */

/* hvsm trust - the programs that hvsm knows to be good. */

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/actions.h"
#include "cli/command.h"
#include "cli/kept.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/say.h"
#include "cli/sources.h"
#include "cli/table.h"
#include "reference/trust.h"
#include "report/encode.h"
#include "report/human.h"
#include "report/text.h"
#include "report/verdict.h"

static const char *advice_for(int code)
{
	switch (code) {
	case -EBADMSG:
		return "what is damaged must be made or fetched again";
	case -ELOOP:
		return "no package is that large: do not trust it";
	case -EACCES:
		return "run as root, or name a store of your own with --store";
	case -ENOENT:
		return "name a package (.deb, .rpm), a directory or a file that has programs";
	case -ESTALE:
		return "try again when nobody writes to it";
	default:
		return NULL;
	}
}

static int open_trust(const struct arguments *args, bool create, struct trust **ret)
{
	struct err err = {0};
	int r = trust_open(sources_store(args), create, ret, &err);

	if (r < 0 && (create || r != -ENOENT))
		say_failed(r, &err, advice_for(r), "cannot open the trust store");
	return r;
}

static void print_added(const struct trust_added *added)
{
	char held[64] = "known already";

	if (!added->known)
		snprintf(held, sizeof(held), "%llu file%s", (unsigned long long)added->files,
			 added->files == 1 ? "" : "s");
	kept_say(&added->source, "%s", held);
}

/* What was added is said even where something after it failed. */
static int add_path(struct trust *trust, const char *path, struct err *err)
{
	cleanup(progress_end) struct progress *progress = NULL;
	struct trust_addition addition = {0};
	char what[256];
	int r;

	snprintf(what, sizeof(what), "adding %s", path);
	progress = progress_begin(what);
	r = trust_add(trust, path, &addition, err);
	progress_end(&progress);
	for (size_t i = 0; i < addition.list.n; i++)
		print_added(&addition.list.v[i]);
	vec_free(&addition.list);
	return r;
}

static int add_run(const struct arguments *args, char *const *paths, size_t n)
{
	cleanup(trust_close) struct trust *trust = NULL;
	int status = EXIT_CLEAN;

	if (open_trust(args, true, &trust) < 0)
		return EXIT_UNSCANNED;
	for (size_t i = 0; i < n; i++) {
		struct err err = {0};
		int r = add_path(trust, paths[i], &err);

		if (r < 0) {
			say_failed(r, &err, advice_for(r), "cannot add to the trust store");
			status = EXIT_UNSCANNED;
		}
	}
	return status;
}

static int file_json(const struct trust_file *file, void *ctx, struct err *err)
{
	char digest[2 * TRUST_DIGEST_BYTES + 1];
	json_t **array = ctx;

	(void)err;
	sodium_bin2hex(digest, sizeof(digest), file->digest, sizeof(file->digest));
	encode_append(array, json_pack("{s:o, s:s, s:s, s:o, s:o}",
				       "path", encode_text(file->path),
				       "kind", trust_kind_name(file->kind),
				       "sha256", digest,
				       "mode", json_sprintf("%04o", file->mode),
				       "size_bytes", encode_count(file->size_bytes)));
	return 0;
}

struct listed {
	struct trust *trust;
	bool wide;
	json_t *items;
	struct table table;
};

static int entry_json(const struct trust_entry *entry, void *ctx, struct err *err)
{
	const struct reference_source *source = &entry->source;
	struct listed *listed = ctx;
	json_t *item, *files = json_array();
	int r = listed->wide ? trust_each_file(listed->trust, source->sha256, file_json, &files,
					       err) : 0;

	item = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
			 "id", encode_text(source->sha256),
			 "source", encode_text(source->source),
			 "path", encode_text(source->path),
			 "package", encode_text_or_null(source->package),
			 "version", encode_text_or_null(source->version),
			 "signature", encode_text_or_null(source->signature),
			 "files_n", encode_count(entry->files),
			 "added", encode_time(entry->added_s * 1000000000));
	if (listed->wide && item)
		encode_set(&item, "files", files);
	else
		json_decref(files);
	encode_append(&listed->items, item);
	return r < 0 ? r : 0;
}

static int entry_row(const struct trust_entry *entry, void *ctx, struct err *err)
{
	const struct reference_source *source = &entry->source;
	struct listed *listed = ctx;
	struct table *table = &listed->table;
	char added[HUMAN_MAX];

	(void)err;
	table_text(table, "%.*s", KEPT_ID_DIGITS, source->sha256);
	table_text(table, "%llu", (unsigned long long)entry->files);
	table_text(table, "%s", human_time(entry->added_s * 1000000000, added, sizeof(added)));
	table_text(table, "%s", *source->version ? source->version : "-");
	table_text(table, "%s", kept_name(source));
	return 0;
}

static int file_line(const struct trust_file *file, void *ctx, struct err *err)
{
	char digest[2 * TRUST_DIGEST_BYTES + 1];

	(void)ctx;
	(void)err;
	sodium_bin2hex(digest, sizeof(digest), file->digest, sizeof(file->digest));
	text_wrap(stdout, 0, 2, "%s %04o %s %s", digest, file->mode, trust_kind_name(file->kind),
		  file->path);
	return 0;
}

static int entry_long(const struct trust_entry *entry, void *ctx, struct err *err)
{
	const struct reference_source *source = &entry->source;
	struct listed *listed = ctx;

	text_wrap(stdout, 0, KEPT_ID_DIGITS + 2, "%.*s  %s%s%s (%s)", KEPT_ID_DIGITS,
		  source->sha256, kept_name(source), *source->version ? " " : "",
		  source->version, source->path);
	return trust_each_file(listed->trust, source->sha256, file_line, NULL, err);
}

static int list_text(struct listed *listed, struct err *err)
{
	static const struct column columns[] = {
		{ "ID", false }, { "FILES", true }, { "ADDED", false }, { "VERSION", false },
		{ "SOURCE", false },
	};
	int r;

	listed->table = table_of(columns, ARRAY_SIZE(columns));
	r = listed->trust ? trust_each(listed->trust, listed->wide ? entry_long : entry_row,
				       listed, err) : 0;
	if (r >= 0 && listed->table.cells.n)
		r = table_print(&listed->table, output_columns(), stdout, err);
	else if (r >= 0 && (!listed->trust || !listed->wide))
		say("nothing is trusted; `hvsm trust add` takes packages, directories and files");
	table_free(&listed->table);
	return r;
}

static int list_json(struct listed *listed, struct err *err)
{
	int r;

	listed->items = json_array();
	r = listed->trust ? trust_each(listed->trust, entry_json, listed, err) : 0;
	if (r < 0) {
		json_decref(listed->items);
		return r;
	}
	return encode_print(json_pack("{s:s, s:o}", "schema", "hvsm.trust/1",
				      "items", listed->items), stdout, err);
}

static int list_run(const struct arguments *args, char *const *none, size_t n)
{
	cleanup(trust_close) struct trust *trust = NULL;
	struct listed listed = { .wide = args->wide };
	struct err err = {0};
	int r = open_trust(args, false, &trust);

	(void)none;
	(void)n;
	if (r < 0 && r != -ENOENT)
		return EXIT_UNSCANNED;
	listed.trust = trust;
	r = args->json ? list_json(&listed, &err) : list_text(&listed, &err);
	if (r < 0)
		say_failed(r, &err, advice_for(r), "cannot list the trust store");
	return r < 0 ? EXIT_UNSCANNED : EXIT_CLEAN;
}

static int remove_run(const struct arguments *args, char *const *ids, size_t n)
{
	cleanup(trust_close) struct trust *trust = NULL;
	int status = EXIT_CLEAN, r = open_trust(args, false, &trust);

	if (r == -ENOENT)
		say("nothing is trusted in '%s'", sources_store(args));
	if (r < 0)
		return EXIT_UNSCANNED;
	for (size_t i = 0; i < n; i++) {
		struct reference_source source;
		struct err err = {0};

		r = trust_remove(trust, ids[i], &source, &err);
		if (r < 0) {
			say_failed(r, &err, "`hvsm trust list` shows the IDs",
				   "cannot remove '%s'", ids[i]);
			status = EXIT_UNSCANNED;
			continue;
		}
		kept_say(&source, "removed");
	}
	return status;
}

static const struct action actions[] = {
	{ "add", "PACKAGE|DIR|FILE...", 1, SIZE_MAX, 0, add_run },
	{ "list", "", 0, 0, OPTION_JSON | OPTION_LONG, list_run },
	{ "remove", "ID...", 1, SIZE_MAX, 0, remove_run },
};

static int trust_run(const struct arguments *args)
{
	return actions_run("trust", actions, ARRAY_SIZE(actions), args);
}

const struct command trust_command = {
	.name = "trust",
	.operands = "add|list|remove [PACKAGE|DIR|FILE...|ID...]",
	.operands_min = 1,
	.operands_max = SIZE_MAX,
	.options = OPTION_STORE | OPTION_LONG | OPTION_JSON,
	.summary = "known good programs, to compare with what guests run",
	.about =
		"Keep SHA-256 digests of the programs, libraries, scripts and modules that may\n"
		"run in guests, so that `hvsm scan` can tell what the measure agent in a guest\n"
		"measured from what nobody vouches for.\n"
		"\n"
		"  add PATH...    packages (.deb, .rpm), golden directories, or single files\n"
		"  list           what is there; with --long every file\n"
		"  remove ID...   forget it; an ID is that of the list, or how it begins",
	.example = "  hvsm trust add /var/cache/apt/archives\n"
		   "  hvsm trust add /srv/golden/debian-12 ./our-daemon",
	.run = trust_run,
};
