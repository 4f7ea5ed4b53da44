/* SPDX-License-Identifier: Apache-2.0 */

/* hvsm mounts - the mounts of a guest, of all its mount namespaces. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/listing.h"
#include "cli/output.h"
#include "cli/table.h"
#include "linux/file.h"
#include "linux/mount.h"
#include "linux/task.h"
#include "report/encode.h"

#define FLAGS_MAX 128

static json_t *mount_json(const struct mount *mount)
{
	char flags[FLAGS_MAX], super[FLAGS_MAX], dev[32];

	snprintf(dev, sizeof(dev), "%" PRIu32 ":%" PRIu32, dev_major(mount->dev),
		 dev_minor(mount->dev));
	return json_pack("{s:o, s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:s, s:s, s:o, s:o, s:b, s:o}",
			 "namespace", encode_count(mount->ns),
			 "id", encode_count(mount->id),
			 "parent", encode_count(mount->parent),
			 "dev", dev,
			 "root", encode_text(mount->root),
			 "point", encode_text(mount->point),
			 "type", encode_text(mount->type),
			 "source", encode_text(mount->source),
			 "flags", mount_print_flags(mount, flags, sizeof(flags)),
			 "super_flags", mount_print_super_flags(mount, super, sizeof(super)),
			 "shared", encode_count(mount->shared),
			 "master", encode_count(mount->master),
			 "unbindable", mount->unbindable,
			 "address", encode_address(mount->at));
}

static int mounts_read(const struct attached *guest, const struct arguments *args, void *data,
		       struct err *err)
{
	cleanup(tasks_free) struct tasks tasks = {0};
	int tasks_r, r;

	(void)args;
	tasks_r = task_list(guest->kernel, guest->view, &tasks, err);
	r = mount_list(guest->kernel, guest->view, &tasks, data, tasks_r < 0 ? NULL : err);
	return tasks_r < 0 ? tasks_r : r;
}

static void mounts_free_all(void *data)
{
	mounts_free(data);
}

static json_t *mounts_json(const void *data)
{
	const struct mounts *mounts = data;
	json_t *items = json_array();

	for (size_t i = 0; i < mounts->all.n; i++)
		encode_append(&items, mount_json(&mounts->all.v[i]));
	return items;
}

static int mounts_text(const struct arguments *args, const void *data, struct err *err)
{
	static const struct column columns[] = {
		{ "NAMESPACE", true }, { "ID", true }, { "TYPE", false }, { "SOURCE", false },
		{ "POINT", false }, { "FLAGS", false },
	};
	cleanup(table_free) struct table table = table_of(columns, ARRAY_SIZE(columns));
	const struct mounts *mounts = data;
	char flags[FLAGS_MAX];

	(void)args;
	for (size_t i = 0; i < mounts->all.n; i++) {
		const struct mount *mount = &mounts->all.v[i];

		table_text(&table, "%" PRIu32, mount->ns);
		table_text(&table, "%" PRIu32, mount->id);
		table_text(&table, "%s", mount->type);
		table_text(&table, "%s", mount->source);
		table_text(&table, "%s", mount->point);
		table_text(&table, "%s", mount_print_flags(mount, flags, sizeof(flags)));
	}
	return table_print(&table, output_columns(), stdout, err);
}

static const struct listing listing = {
	.schema = "hvsm.mounts/1",
	.bytes = sizeof(struct mounts),
	.read = mounts_read,
	.free = mounts_free_all,
	.json = mounts_json,
	.text = mounts_text,
};

const struct command mounts_command = {
	.name = "mounts",
	.operands = "TARGET",
	.operands_min = 1,
	.operands_max = 1,
	.options = OPTION_JSON,
	.summary = "the mounts of a guest, of all its mount namespaces",
	.about =
		"List what is mounted where, for each mount namespace of the guest: NAMESPACE is\n"
		"its inode number, as /proc/PID/ns/mnt of the processes in it shows.",
	.example = "  hvsm mounts web1",
	.listing = &listing,
};
