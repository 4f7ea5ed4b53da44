/* SPDX-License-Identifier: Apache-2.0 */

/* hvsm reference - the kernels that hvsm knows to be good. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/actions.h"
#include "cli/command.h"
#include "cli/fetch.h"
#include "cli/kept.h"
#include "cli/opened.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/say.h"
#include "cli/sources.h"
#include "cli/table.h"
#include "reference/store.h"
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
		return "no kernel is that large: do not trust the file";
	case -EACCES:
		return "run as root, or name a store of your own with --store";
	case -ENOENT:
		return "is the path right?";
	default:
		return NULL;
	}
}

static int open_store(const struct arguments *args, bool create, struct store **ret)
{
	struct err err = {0};
	int r = store_open(sources_store(args), create, ret, &err);

	if (r < 0 && (create || r != -ENOENT))
		say_failed(r, &err, advice_for(r), "cannot open the store");
	return r;
}

static void print_added(const struct store_added *added)
{
	char held[64] = "known already";

	if (!added->known)
		snprintf(held, sizeof(held), "%u kernel%s, %u module%s", added->kernels,
			 added->kernels == 1 ? "" : "s", added->modules,
			 added->modules == 1 ? "" : "s");
	kept_say(&added->source, "%s", held);
}

/* What was added is said even where something after it failed. */
static int add_path(struct store *store, const char *path, const char *signature,
		    struct store_addition *addition, struct err *err)
{
	cleanup(progress_end) struct progress *progress = NULL;
	char what[256];
	size_t before = addition->list.n;
	int r;

	snprintf(what, sizeof(what), "adding %s", path);
	progress = progress_begin(what);
	r = store_add(store, path, signature, addition, err);
	progress_end(&progress);
	for (size_t i = before; i < addition->list.n; i++)
		print_added(&addition->list.v[i]);
	return r;
}

static int add_run(const struct arguments *args, char *const *paths, size_t n)
{
	cleanup(store_close) struct store *store = NULL;
	struct store_addition addition = {0};
	int status = EXIT_CLEAN;

	if (open_store(args, true, &store) < 0)
		return EXIT_UNSCANNED;
	for (size_t i = 0; i < n; i++) {
		struct err err = {0};
		int r = add_path(store, paths[i], NULL, &addition, &err);

		if (r < 0) {
			say_failed(r, &err, advice_for(r), "cannot add to the store");
			status = EXIT_UNSCANNED;
		}
	}
	vec_free(&addition.list);
	return status;
}

static int entry_json(const struct store_entry *entry, void *ctx, struct err *err)
{
	const struct reference_source *source = &entry->source;
	json_t **items = ctx;

	(void)err;
	encode_append(items, json_pack(
		"{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
		"id", encode_text(source->sha256),
		"source", encode_text(source->source),
		"path", encode_text(source->path),
		"package", encode_text_or_null(source->package),
		"version", encode_text_or_null(source->version),
		"signature", encode_text_or_null(source->signature),
		"release", encode_text_or_null(entry->release),
		"build_id", encode_text_or_null(entry->build_id),
		"kernels", encode_count(entry->kernels),
		"modules", encode_count(entry->modules),
		"size_bytes", encode_count(entry->size_bytes),
		"added", encode_time(entry->added_s * 1000000000)));
	return 0;
}

static int entry_row(const struct store_entry *entry, void *ctx, struct err *err)
{
	const struct reference_source *source = &entry->source;
	struct table *table = ctx;
	char size[HUMAN_MAX];

	(void)err;
	table_text(table, "%.*s", KEPT_ID_DIGITS, source->sha256);
	table_text(table, "%s", *entry->release ? entry->release : "-");
	table_text(table, "%s", *source->version ? source->version : "-");
	table_text(table, "%s", entry->kernels ? "yes" : "no");
	table_text(table, "%llu", (unsigned long long)entry->modules);
	table_text(table, "%s", human_bytes(entry->size_bytes, size, sizeof(size)));
	table_text(table, "%s", kept_name(source));
	return 0;
}

static int list_text(struct store *store, struct err *err)
{
	static const struct column columns[] = {
		{ "ID", false }, { "RELEASE", false }, { "VERSION", false }, { "KERNEL", false },
		{ "MODULES", true }, { "SIZE", true }, { "SOURCE", false },
	};
	cleanup(table_free) struct table table = table_of(columns, ARRAY_SIZE(columns));
	int r = store ? store_each(store, entry_row, &table, err) : 0;

	if (r < 0)
		return r;
	if (!table.cells.n) {
		say("the store is empty; `hvsm reference add` or `fetch` puts a kernel into it");
		return 0;
	}
	return table_print(&table, output_columns(), stdout, err);
}

static int list_json(struct store *store, struct err *err)
{
	json_t *items = json_array();
	int r = store ? store_each(store, entry_json, &items, err) : 0;

	if (r < 0) {
		json_decref(items);
		return r;
	}
	return encode_print(json_pack("{s:s, s:o}", "schema", "hvsm.reference/1",
				      "items", items), stdout, err);
}

static int list_run(const struct arguments *args, char *const *none, size_t n)
{
	cleanup(store_close) struct store *store = NULL;
	struct err err = {0};
	int r = open_store(args, false, &store);

	(void)none;
	(void)n;
	if (r < 0 && r != -ENOENT)
		return EXIT_UNSCANNED;
	r = args->json ? list_json(store, &err) : list_text(store, &err);
	if (r < 0)
		say_failed(r, &err, advice_for(r), "cannot list the store");
	return r < 0 ? EXIT_UNSCANNED : EXIT_CLEAN;
}

static int remove_run(const struct arguments *args, char *const *ids, size_t n)
{
	cleanup(store_close) struct store *store = NULL;
	int status = EXIT_CLEAN, r = open_store(args, false, &store);

	if (r == -ENOENT)
		say("there is no store in '%s'", sources_store(args));
	if (r < 0)
		return EXIT_UNSCANNED;
	for (size_t i = 0; i < n; i++) {
		struct reference_source source;
		struct err err = {0};

		r = store_remove(store, ids[i], &source, &err);
		if (r < 0) {
			say_failed(r, &err, "`hvsm reference list` shows the IDs",
				   "cannot remove '%s'", ids[i]);
			status = EXIT_UNSCANNED;
			continue;
		}
		kept_say(&source, "removed");
	}
	return status;
}

/* Is the kernel that the guest runs there now? */
static int verify(struct store *store, const char *build_id, struct err *err)
{
	cleanup(blob_free) struct blob vmlinux = {0};
	struct reference_source source;
	struct identified id;
	int r = store_kernel(store, build_id, "", &source, &id, &vmlinux, err);

	return r == -ENOENT ? err_set(err, r, "the package holds another build than %s, which "
				      "the guest runs", build_id) : r;
}

static int fetch_packages(const struct opened *guest, const struct kernel_packages *packages,
			  struct store *store, struct err *err)
{
	cleanup(progress_end) struct progress *progress = NULL;
	struct store_addition addition = {0};
	char directory[64] = "", what[256];
	int r;

	snprintf(what, sizeof(what), "downloading Linux %s", guest->session.kernel.release);
	progress = progress_begin(what);
	r = fetch(packages, directory, err);
	progress_end(&progress);
	if (r >= 0)
		r = add_path(store, directory, FETCH_SIGNATURE, &addition, err);
	fetch_remove(directory);
	if (r >= 0)
		r = verify(store, guest->session.kernel.build_id, err);
	vec_free(&addition.list);
	return r;
}

/* What its kernel says it is, as the scanner tells: these may be anybody's words. */
static int packages_of(const struct opened *guest, struct kernel_packages *ret, struct err *err)
{
	json_t *kernel = json_loads(guest->session.kernel_json, JSON_REJECT_DUPLICATES, NULL);
	const char *banner = json_string_value(json_object_get(kernel, "banner"));
	int r = distribution_packages(guest->session.kernel.release, banner ? banner : "", ret,
				      err);

	json_decref(kernel);
	return r;
}

static int fetch_run(const struct arguments *args, char *const *targets, size_t n)
{
	cleanup(opened_end) struct opened guest = OPENED_NONE;
	cleanup(store_close) struct store *store = NULL;
	struct kernel_packages packages;
	struct err err = {0};
	int r;

	(void)n;
	if (opened_start(targets[0], &guest) < 0 || open_store(args, true, &store) < 0)
		return EXIT_UNSCANNED;
	r = packages_of(&guest, &packages, &err);
	if (r >= 0)
		r = fetch_packages(&guest, &packages, store, &err);
	if (r < 0)
		say_failed(r, &err, "get the package that has this very build, and `hvsm reference "
			   "add` it", "cannot fetch the kernel of '%s'", targets[0]);
	return r < 0 ? EXIT_UNSCANNED : EXIT_CLEAN;
}

static const struct action actions[] = {
	{ "add", "PATH...", 1, SIZE_MAX, 0, add_run },
	{ "list", "", 0, 0, OPTION_JSON, list_run },
	{ "remove", "ID...", 1, SIZE_MAX, 0, remove_run },
	{ "fetch", "TARGET", 1, 1, 0, fetch_run },
};

static int reference_run(const struct arguments *args)
{
	return actions_run("reference", actions, ARRAY_SIZE(actions), args);
}

const struct command reference_command = {
	.name = "reference",
	.operands = "add|list|remove|fetch [PATH...|ID...|TARGET]",
	.operands_min = 1,
	.operands_max = SIZE_MAX,
	.options = OPTION_STORE | OPTION_JSON,
	.summary = "known good kernels, to compare guests with",
	.about =
		"Keep the kernels and modules that distributions shipped, so that `hvsm scan`\n"
		"can compare guests with them.\n"
		"\n"
		"  add PATH...    packages (.deb, .rpm), vmlinuz, vmlinux, .ko, or directories\n"
		"  list           what is there\n"
		"  remove ID...   forget it; an ID is that of the list, or how it begins\n"
		"  fetch TARGET   download what this guest runs, with the host's apt, and add it",
	.example = "  hvsm reference fetch web1\n"
		   "  hvsm reference add linux-image-6.1.0-32-amd64_6.1.129-1_amd64.deb",
	.run = reference_run,
};
