/* SPDX-License-Identifier: Apache-2.0 */

/* hvsm hooks - who put code into the kernel's way. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/listing.h"
#include "cli/output.h"
#include "cli/table.h"
#include "linux/hook.h"
#include "report/encode.h"

/* A pointer, with the words for it: what names it in the guest may be gone when it is printed. */
struct item {
	const char *mechanism;
	gva object_at, at, target;
	bool registered;
	bool is_function;
	enum owner_kind kind;
	char object[192];
	char pointer[96];	/* "file_operations.read_iter" */
	char symbol[160];
	char owner[160];
};

struct hooks {
	VEC(struct item) list;
};

struct collecting {
	struct hooks *hooks;
	struct hook_walk walk;
	bool all;
};

/*
 * Is it what an object of its kind has anyway? The kernel's own functions are; those of a module
 * in a table of the same module; and those of a module in an object that is nobody's own memory:
 * such as it made itself.
 */
static bool is_ordinary(const struct collecting *c, const struct hook *hook)
{
	const struct kernel *kernel = c->walk.kernel;
	gva in = hook->table.v ? hook->table : hook->object->at;
	const struct module_info *module;
	struct owner owner;

	if (hook->expected || hook->object->registered ||
	    !owner_is_function(c->walk.owners, hook->target))
		return false;
	if (owners_is_kernel_text(c->walk.owners, hook->target))
		return true;
	if ((in.v >= kernel->text.v && in.v < kernel->end.v) ||
	    owner_of(c->walk.owners, hook->target, &owner, NULL) < 0)
		return false;
	module = modules_find(owners_modules(c->walk.owners), owner.object);
	return module && (module_has(module, in, NULL) || !hook->table.v);
}

static int add(const struct hook *hook, void *ctx, struct err *err)
{
	struct collecting *c = ctx;
	struct owner owner;
	struct item *item;

	if (!c->all && is_ordinary(c, hook))
		return 0;
	item = vec_add(&c->hooks->list);
	if (!item)
		return err_set(err, -ENOMEM, "no memory for hooks");
	if (owner_of(c->walk.owners, hook->target, &owner, NULL) < 0)
		owner.kind = OWNER_NONE;
	item->mechanism = hook->object->mechanism;
	item->object_at = hook->object->at;
	item->at = hook->at;
	item->target = hook->target;
	item->registered = hook->object->registered;
	item->kind = owner.kind;
	item->is_function = owner.is_start;
	hook_object_name(hook->object, item->object, sizeof(item->object));
	snprintf(item->pointer, sizeof(item->pointer), "%s.%s", hook->type, hook->member);
	snprintf(item->symbol, sizeof(item->symbol), "%s", owner.has_symbol ? owner.symbol : "");
	snprintf(item->owner, sizeof(item->owner), "%s", owner.text);
	return 0;
}

static int hooks_read(const struct attached *guest, const struct arguments *args, void *data,
		      struct err *err)
{
	struct collecting c = { .hooks = data, .all = args->wide };
	cleanup(owners_close) struct owners *owners = NULL;
	int first, r = owners_open(guest->kernel, guest->view, &owners, err);

	if (r < 0)
		return r;
	hook_walk_open(guest->kernel, guest->view, owners, add, &c, &c.walk);
	/* One that is broken must not hide what is in the others. */
	first = owners_modules_error(owners);
	if (first < 0)
		err_set(err, first, "modules cannot be listed completely");
	for (size_t i = 0; hook_sources[i] && r != -ENOMEM && r != -ESRCH; i++) {
		struct err why = {0};

		r = hook_walk_source(&c.walk, hook_sources[i], &why);
		if (r >= 0 || r == -ENOENT || first < 0)
			continue;
		first = r;
		*err = why;
	}
	hook_walk_close(&c.walk);
	return first;
}

static void hooks_free(void *data)
{
	struct hooks *hooks = data;

	vec_free(&hooks->list);
}

static json_t *hooks_json(const void *data)
{
	const struct hooks *hooks = data;
	json_t *items = json_array();

	for (size_t i = 0; i < hooks->list.n; i++) {
		const struct item *item = &hooks->list.v[i];

		encode_append(&items, json_pack(
			"{s:s, s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:s, s:b, s:b}",
			"mechanism", item->mechanism,
			"object", encode_text(item->object),
			"object_address", encode_address(item->object_at),
			"pointer", item->pointer,
			"address", encode_address(item->at),
			"target", encode_address(item->target),
			"symbol", encode_text_or_null(item->symbol),
			"owner", encode_text(item->owner),
			"owner_kind", owner_kind_name(item->kind),
			"function", item->is_function,
			"registered", item->registered));
	}
	return items;
}

static int hooks_text(const struct arguments *args, const void *data, struct err *err)
{
	static const struct column columns[] = {
		{ "MECHANISM", false }, { "OBJECT", false }, { "LEADS TO", false },
		{ "OWNER", false },
	};
	static const struct column wide[] = {
		{ "MECHANISM", false }, { "OBJECT", false }, { "POINTER", false },
		{ "LEADS TO", false }, { "OWNER", false },
	};
	cleanup(table_free) struct table table =
		args->wide ? table_of(wide, ARRAY_SIZE(wide)) :
			     table_of(columns, ARRAY_SIZE(columns));
	const struct hooks *hooks = data;

	for (size_t i = 0; i < hooks->list.n; i++) {
		const struct item *item = &hooks->list.v[i];

		table_text(&table, "%s", item->mechanism);
		table_text(&table, "%s", item->object);
		if (args->wide)
			table_text(&table, "%s", item->pointer);
		if (item->symbol[0])
			table_text(&table, "%s", item->symbol);
		else
			table_text(&table, "%#" PRIx64, item->target.v);
		table_text(&table, "%s", item->owner);
	}
	return table_print(&table, output_columns(), stdout, err);
}

static const struct listing listing = {
	.schema = "hvsm.hooks/1",
	.bytes = sizeof(struct hooks),
	.read = hooks_read,
	.free = hooks_free,
	.json = hooks_json,
	.text = hooks_text,
};

const struct command hooks_command = {
	.name = "hooks",
	.operands = "TARGET",
	.operands_min = 1,
	.operands_max = 1,
	.options = OPTION_JSON | OPTION_LONG,
	.summary = "who put code into the kernel's way",
	.about =
		"List what is called because somebody asked for it: notifiers, packet and\n"
		"netfilter hooks, probes, timers, and operations of files, sockets and devices\n"
		"that are not those of the kernel or of the module that made them; each with the\n"
		"function that it leads to and who owns that. Most of it is legitimate: what is\n"
		"wrong is told by `hvsm scan`. With --long every pointer to a function that is\n"
		"known how to get at, ordinary ones included: some ten thousand.",
	.example = "  hvsm hooks web1",
	.listing = &listing,
};
