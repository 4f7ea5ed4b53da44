/* SPDX-License-Identifier: Apache-2.0 */

/* hvsm files - the open files of a guest's processes. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/listing.h"
#include "cli/output.h"
#include "cli/pids.h"
#include "cli/table.h"
#include "linux/file.h"
#include "linux/task.h"
#include "report/encode.h"

struct open_files {
	struct tasks tasks;
	struct pids pids;	/* of @tasks */
	struct files files;
};

/* "r", "w", "rw"; "-": neither (O_PATH). */
static const char *access_text(const struct file *file)
{
	if (file_reads(file))
		return file_writes(file) ? "rw" : "r";
	return file_writes(file) ? "w" : "-";
}

static json_t *dev_json(uint32_t dev)
{
	return json_sprintf("%" PRIu32 ":%" PRIu32, dev_major(dev), dev_minor(dev));
}

static json_t *file_json(const struct open_files *open, const struct file *file)
{
	bool device = file->type == FILE_CHAR || file->type == FILE_BLOCK;

	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o,"
			 " s:b, s:b, s:b, s:o}",
			 "pid", encode_count(file->pid),
			 "tid", encode_count(file->tid),
			 "comm", encode_text(pids_comm(&open->pids, &open->tasks, file->pid)),
			 "fd", encode_count(file->fd),
			 "path", encode_text(file->path),
			 "type", file_type_name(file->type),
			 "access", access_text(file),
			 "inode", encode_count(file->inode),
			 "dev", dev_json(file->dev),
			 "rdev", device ? dev_json(file->rdev) : json_null(),
			 "size_bytes", encode_count(file->size_bytes),
			 "position", encode_count(file->position),
			 "flags", encode_hex(file->flags),
			 "mount", encode_count(file->mount),
			 "cloexec", file->cloexec,
			 "deleted", file->deleted,
			 "memfd", file->memfd,
			 "address", encode_address(file->at));
}

static int files_read(const struct attached *guest, const struct arguments *args, void *data,
		      struct err *err)
{
	struct open_files *open = data;
	int tasks_r, r;

	(void)args;
	tasks_r = task_list(guest->kernel, guest->view, &open->tasks, err);
	r = pids_init(&open->tasks, &open->pids, err);
	if (r < 0)
		return r;
	r = file_list(guest->kernel, guest->view, &open->tasks, &open->files,
		      tasks_r < 0 ? NULL : err);
	return tasks_r < 0 ? tasks_r : r;
}

static void files_free_all(void *data)
{
	struct open_files *open = data;

	files_free(&open->files);
	pids_free(&open->pids);
	tasks_free(&open->tasks);
}

static json_t *files_json(const void *data)
{
	const struct open_files *open = data;
	json_t *items = json_array();

	for (size_t i = 0; i < open->files.all.n; i++)
		encode_append(&items, file_json(open, &open->files.all.v[i]));
	return items;
}

static int files_text(const struct arguments *args, const void *data, struct err *err)
{
	static const struct column columns[] = {
		{ "PID", true }, { "COMM", false }, { "FD", true }, { "MODE", false },
		{ "TYPE", false }, { "SIZE", true }, { "PATH", false },
	};
	cleanup(table_free) struct table table = table_of(columns, ARRAY_SIZE(columns));
	const struct open_files *open = data;

	(void)args;
	for (size_t i = 0; i < open->files.all.n; i++) {
		const struct file *file = &open->files.all.v[i];
		const char *comm = pids_comm(&open->pids, &open->tasks, file->pid);

		table_text(&table, "%" PRIu32, file->pid);
		table_text(&table, "%s", comm ? comm : "?");
		table_text(&table, "%" PRIu32, file->fd);
		table_text(&table, "%s", access_text(file));
		table_text(&table, "%s", file_type_name(file->type));
		table_text(&table, "%" PRIu64, file->size_bytes);
		table_text(&table, "%s", file->path);
	}
	return table_print(&table, output_columns(), stdout, err);
}

static const struct listing listing = {
	.schema = "hvsm.files/1",
	.bytes = sizeof(struct open_files),
	.read = files_read,
	.free = files_free_all,
	.json = files_json,
	.text = files_text,
};

const struct command files_command = {
	.name = "files",
	.operands = "TARGET",
	.operands_min = 1,
	.operands_max = 1,
	.options = OPTION_JSON,
	.summary = "the open files of a guest's processes",
	.about =
		"List the files that processes hold open, by process and descriptor. A path ends\n"
		"in \" (deleted)\" where the file has no name any more.",
	.example = "  hvsm files web1 | grep '(deleted)'",
	.listing = &listing,
};
