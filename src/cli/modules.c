/* SPDX-License-Identifier: Apache-2.0 */

/* hvsm modules - the kernel modules of a guest. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/listing.h"
#include "cli/output.h"
#include "cli/table.h"
#include "linux/module.h"
#include "report/encode.h"

static const struct {
	unsigned by;
	const char *name;
} ways[] = {
	{ MODULE_BY_LIST, "list" },
	{ MODULE_BY_TREE, "tree" },
	{ MODULE_BY_SYSFS, "sysfs" },
};

static json_t *found_by_json(const struct module_info *module)
{
	json_t *array = json_array();

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++)
		if (module->found_by & ways[i].by)
			encode_append(&array, json_string(ways[i].name));
	return array;
}

static json_t *areas_json(const struct module_info *module)
{
	json_t *array = json_array();

	for (enum module_area_kind kind = 0; kind < MODULE_AREAS; kind++) {
		const struct module_area *area = &module->area[kind];

		if (area->size_bytes)
			encode_append(&array, json_pack("{s:s, s:o, s:o}",
				"kind", module_area_name(kind),
				"address", encode_address(area->at),
				"size_bytes", encode_count(area->size_bytes)));
	}
	return array;
}

/* What uses a module is known by address; one that no list has is called by it. */
static const char *user_name(const struct modules *modules, gva at, char *buf, size_t size)
{
	const struct module_info *user = modules_find(modules, at);

	if (user && *user->name)
		snprintf(buf, size, "%s", user->name);
	else
		snprintf(buf, size, "%#" PRIx64, at.v);
	return buf;
}

static json_t *used_by_json(const struct modules *modules, const struct module_info *module)
{
	json_t *array = json_array();
	char name[MODULE_NAME_MAX];

	for (size_t i = 0; i < module->used_by.n; i++)
		encode_append(&array, encode_text(user_name(modules, module->used_by.v[i], name,
							    sizeof(name))));
	return array;
}

static json_t *module_json(const struct modules *modules, const struct module_info *module)
{
	return json_pack("{s:o, s:s, s:o, s:I, s:o, s:o, s:b, s:o, s:o, s:o, s:o, s:o, s:b, s:o}",
			 "name", encode_text(module->name),
			 "state", module_state_name(module->state),
			 "size_bytes", encode_count(module->size_bytes),
			 "refcount", (json_int_t)module->refcount,
			 "used_by", used_by_json(modules, module),
			 "found_by", found_by_json(module),
			 "permanent", module->permanent,
			 "taint", encode_text_or_null(module->taint),
			 "version", encode_text_or_null(module->version),
			 "srcversion", encode_text_or_null(module->srcversion),
			 "args", encode_text_or_null(module->args),
			 "areas", areas_json(module),
			 "partial", module->error != 0,
			 "address", encode_address(module->at));
}

/* "list,tree,sysfs" */
static const char *found_by_text(const struct module_info *module, char *buf, size_t size)
{
	size_t used = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++)
		if (module->found_by & ways[i].by && used < size)
			used += (size_t)snprintf(buf + used, size - used, "%s%s",
						 used ? "," : "", ways[i].name);
	return buf;
}

/* "a,b,c", cut to fit; the JSON has them all. */
static const char *used_by_text(const struct modules *modules, const struct module_info *module,
				char *buf, size_t size)
{
	char name[MODULE_NAME_MAX];
	size_t used = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < module->used_by.n && used < size; i++)
		used += (size_t)snprintf(buf + used, size - used, "%s%s", i ? "," : "",
					 user_name(modules, module->used_by.v[i], name,
						   sizeof(name)));
	return buf;
}

static int modules_read_all(const struct attached *guest, const struct arguments *args,
			    void *data, struct err *err)
{
	(void)args;
	return modules_read(guest->kernel, guest->view, MODULE_BY_ALL | MODULE_DETAILS, data, err);
}

static void modules_free_all(void *data)
{
	modules_free(data);
}

static json_t *modules_json(const void *data)
{
	const struct modules *modules = data;
	json_t *items = json_array();

	for (size_t i = 0; i < modules->list.n; i++)
		encode_append(&items, module_json(modules, &modules->list.v[i]));
	return items;
}

static int modules_text(const struct arguments *args, const void *data, struct err *err)
{
	static const struct column columns[] = {
		{ "NAME", false }, { "SIZE", true }, { "REFS", true }, { "STATE", false },
		{ "FOUND BY", false }, { "TAINT", false }, { "USED BY", false },
	};
	cleanup(table_free) struct table table = table_of(columns, ARRAY_SIZE(columns));
	const struct modules *modules = data;
	char by[32], users[512];

	(void)args;
	for (size_t i = 0; i < modules->list.n; i++) {
		const struct module_info *module = &modules->list.v[i];

		table_text(&table, "%s", *module->name ? module->name : "(no name)");
		table_text(&table, "%" PRIu64, module->size_bytes);
		table_text(&table, "%" PRId64, module->refcount);
		table_text(&table, "%s", module_state_name(module->state));
		table_text(&table, "%s", found_by_text(module, by, sizeof(by)));
		table_text(&table, "%s", module->taint);
		table_text(&table, "%s", used_by_text(modules, module, users,
						  sizeof(users)));
	}
	return table_print(&table, output_columns(), stdout, err);
}

static const struct listing listing = {
	.schema = "hvsm.modules/1",
	.bytes = sizeof(struct modules),
	.read = modules_read_all,
	.free = modules_free_all,
	.json = modules_json,
	.text = modules_text,
};

const struct command modules_command = {
	.name = "modules",
	.operands = "TARGET",
	.operands_min = 1,
	.operands_max = 1,
	.options = OPTION_JSON,
	.summary = "the kernel modules of a guest",
	.about =
		"List the modules that the kernel has loaded, by each of the ways in which the\n"
		"kernel knows them: the list that lsmod shows, the address tree, and sysfs. A\n"
		"module that one of them lacks (FOUND BY) is being loaded or removed, or hides.",
	.example = "  hvsm modules web1",
	.listing = &listing,
};
