/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/file_table.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/map.h"
#include "guest/paging.h"
#include "linux/task_each.h"

#define CHUNK 512u		/* slots that are read at a time: one page of pointers */

struct table_fields {
	struct field files, fdt, max_fds, fd, close_on_exec;
};

static const struct member table_members[] = {
	MEMBER(struct table_fields, files, "task_struct.files"),
	MEMBER(struct table_fields, fdt, "files_struct.fdt"),
	MEMBER(struct table_fields, max_fds, "fdtable.max_fds"),
	MEMBER(struct table_fields, fd, "fdtable.fd"),
	MEMBER(struct table_fields, close_on_exec, "fdtable.close_on_exec"),
};
LAYOUT(table_layout, struct table_fields, table_members);

struct walk {
	struct view *view;
	const struct table_fields *f;
	file_slot_fn *visit;
	void *ctx;
	struct map seen;	/* files_struct → TGID of the process that had it last */
	uint32_t used;		/* slots in use, of all tables */
	struct partial partial;
};

static int visit_slot(struct walk *walk, const struct file_slot *slot, struct err *err)
{
	int r;

	if (walk->used++ == FILES_MAX)
		return err_set(err, -ELOOP, "over %u open files", FILES_MAX);
	if (gva_is_kernel(slot->file))
		r = walk->visit(slot, walk->ctx, err);
	else
		r = fail(err, -EBADMSG, slot->task->at, "file %u at %#llx", slot->fd,
			 (unsigned long long)slot->file.v);
	return partial_add(&walk->partial, r, err);
}

/* Slots @from … @from + @n of a table. */
static int walk_chunk(struct walk *walk, const struct task *task, gva fd, gva close_on_exec,
		      uint32_t from, uint32_t n, struct err *err)
{
	uint64_t slots[CHUNK], bits[CHUNK / 64] = { 0 };
	bool have_bits = false;
	int r;

	/* Tables that share pages cost fuel all the same: else the loop over them has no end. */
	r = view_burn(walk->view, 1, err);
	if (r >= 0)
		r = view_read(walk->view, gva_add(fd, from * sizeof(slots[0])), slots,
			      n * sizeof(slots[0]), err);
	for (uint32_t i = 0; r >= 0 && i < n; i++) {
		struct file_slot slot = { .task = task, .fd = from + i, .file = gva_of(slots[i]) };

		if (!slots[i])
			continue;
		if (!have_bits) {
			r = view_read(walk->view, gva_add(close_on_exec, from / 8), bits,
				      (n + 63) / 64 * sizeof(bits[0]), err);
			r = partial_add(&walk->partial, r, err);
		}
		have_bits = true;
		slot.cloexec = bits[i / 64] >> i % 64 & 1;
		if (r >= 0)
			r = visit_slot(walk, &slot, err);
	}
	return r;
}

static int walk_table(struct walk *walk, const struct task *task, gva files, struct err *err)
{
	const struct table_fields *f = walk->f;
	uint64_t max_fds;
	gva fdt, fd, close_on_exec;
	int r;

	r = field_ptr(walk->view, files, &f->fdt, &fdt, err);
	if (r >= 0)
		r = field_read(walk->view, fdt, &f->max_fds, &max_fds, err);
	if (r >= 0)
		r = field_ptr(walk->view, fdt, &f->fd, &fd, err);
	if (r >= 0)
		r = field_ptr(walk->view, fdt, &f->close_on_exec, &close_on_exec, err);
	if (r < 0)
		return r;
	for (uint32_t from = 0; r >= 0 && from < max_fds && from < FDS_MAX; from += CHUNK) {
		uint64_t left = max_fds - from;

		r = walk_chunk(walk, task, fd, close_on_exec, from,
			       left < CHUNK ? (uint32_t)left : CHUNK, err);
		r = partial_add(&walk->partial, r, err);
	}
	if (r >= 0 && max_fds > FDS_MAX)
		r = fail(err, -EBADMSG, fdt, "table of %llu open files",
			 (unsigned long long)max_fds);
	return r;
}

/* The table of one thread, unless its process has given it already. */
static int walk_thread(const struct task *task, void *ctx, struct err *err)
{
	struct walk *walk = ctx;
	uint32_t process = (uint32_t)task->tgid, had;
	gva files;
	int r;

	r = field_ptr(walk->view, task->at, &walk->f->files, &files, err);
	if (r < 0 || !files.v)
		return r;
	if (!gva_is_kernel(files))
		return fail(err, -EBADMSG, task->at, "open files at %#llx",
			    (unsigned long long)files.v);
	if (map_get(&walk->seen, files.v, &had) && had == process)
		return 0;
	r = map_put(&walk->seen, files.v, process);
	return r < 0 ? r : walk_table(walk, task, files, err);
}

int file_table_walk(const struct kernel *kernel, struct view *view, const struct tasks *tasks,
		    file_slot_fn *visit, void *ctx, struct err *err)
{
	struct walk walk = {
		.view = view,
		.visit = visit,
		.ctx = ctx,
		.partial = partial_of(view),
	};
	struct err own = { 0 };
	int r;

	r = types_layout(kernel->types, &table_layout, (const void **)&walk.f, err);
	if (r < 0)
		return r;
	r = task_each_thread(kernel, view, tasks, &walk.partial, walk_thread, &walk, &own);
	if (r < 0 && err)
		*err = own;
	map_free(&walk.seen);
	return partial_end(&walk.partial, r, err);
}
