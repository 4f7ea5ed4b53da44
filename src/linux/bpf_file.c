/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "guest/list.h"
#include "linux/bpf_set.h"
#include "linux/file_table.h"

/*
 * BPF objects by what holds them: descriptors of tasks (which also lead to perf events and to
 * sockets with programs), and the files of bpffs.
 */

struct file_fields {
	struct field ops, private, sk, filter, filter_program;
	struct field event_program, event_call, call_array;
};

static const struct member file_members[] = {
	MEMBER(struct file_fields, ops, "file.f_op"),
	MEMBER(struct file_fields, private, "file.private_data"),
	MEMBER_OPTIONAL(struct file_fields, sk, "socket.sk"),
	MEMBER_OPTIONAL(struct file_fields, filter, "sock.sk_filter"),
	MEMBER_OPTIONAL(struct file_fields, filter_program, "sk_filter.prog"),
	MEMBER_OPTIONAL(struct file_fields, event_program, "perf_event.prog"),
	MEMBER_OPTIONAL(struct file_fields, event_call, "perf_event.tp_event"),
	MEMBER_OPTIONAL(struct file_fields, call_array, "trace_event_call.prog_array"),
};
LAYOUT(file_layout, struct file_fields, file_members);

enum file_kind { FILE_PROGRAM, FILE_MAP, FILE_LINK, FILE_LINK_POLL, FILE_EVENT, FILE_SOCKET,
		 FILE_KINDS };

static const char *const file_ops[FILE_KINDS] = {
	"bpf_prog_fops", "bpf_map_fops", "bpf_link_fops", "bpf_link_fops_poll", "perf_fops",
	"socket_file_ops",
};

struct file_walk {
	struct bpf_walk *walk;
	const struct file_fields *f;
	gva ops[FILE_KINDS];
};

static int hold(struct file_walk *files, enum bpf_kind kind, const struct file_slot *slot,
		gva at, struct err *err)
{
	struct bpf *bpf = files->walk->bpf;
	struct bpf_holder *holder;
	uint32_t object;
	int r;

	if (!at.v)
		return 0;
	r = bpf_found(files->walk, kind, at, &object, err);
	if (r < 0)
		return r;
	holder = vec_add(&bpf->holders);
	if (!holder)
		return err_set(err, -ENOMEM, "no memory for holders of BPF");
	holder->object = object;
	holder->pid = (uint32_t)slot->task->tgid;
	holder->fd = slot->fd;
	snprintf(holder->comm, sizeof(holder->comm), "%s", slot->task->comm);
	return 0;
}

/* A program of its own, and those of the tracepoint or probe that it stands for. */
static int visit_event(struct file_walk *files, const struct file_slot *slot, gva event,
		       struct err *err)
{
	struct view *view = files->walk->view;
	gva program = { 0 }, call = { 0 }, array = { 0 };
	char where[96];
	int r = 0;

	if (files->f->event_program.there)
		r = field_ptr(view, event, &files->f->event_program, &program, err);
	snprintf(where, sizeof(where), "perf event of %d %s", slot->task->tgid, slot->task->comm);
	if (r >= 0)
		r = bpf_attached(files->walk, program, err, "%s", where);
	if (r >= 0 && files->f->event_call.there && files->f->call_array.there)
		r = field_ptr(view, event, &files->f->event_call, &call, err);
	if (r >= 0 && call.v)
		r = field_ptr(view, call, &files->f->call_array, &array, err);
	return r < 0 || !array.v ? r : bpf_array(files->walk, array, where, err);
}

static int visit_socket(struct file_walk *files, const struct file_slot *slot, gva socket,
			struct err *err)
{
	const struct file_fields *f = files->f;
	struct view *view = files->walk->view;
	gva sk, filter = { 0 }, program = { 0 };
	int r;

	if (!f->sk.there || !f->filter.there || !f->filter_program.there)
		return 0;
	r = field_ptr(view, socket, &f->sk, &sk, err);
	if (r >= 0 && sk.v)
		r = field_ptr(view, sk, &f->filter, &filter, err);
	if (r >= 0 && filter.v)
		r = field_ptr(view, filter, &f->filter_program, &program, err);
	return r < 0 ? r : bpf_attached(files->walk, program, err, "socket %u of %d %s", slot->fd,
					slot->task->tgid, slot->task->comm);
}

static int visit_slot(const struct file_slot *slot, void *ctx, struct err *err)
{
	struct file_walk *files = ctx;
	struct bpf_walk *walk = files->walk;
	size_t kind = 0;
	gva ops, at;
	int r;

	r = field_ptr(walk->view, slot->file, &files->f->ops, &ops, err);
	while (r >= 0 && kind < FILE_KINDS && (!ops.v || ops.v != files->ops[kind].v))
		kind++;
	if (r < 0 || kind == FILE_KINDS)
		return r;
	r = field_ptr(walk->view, slot->file, &files->f->private, &at, err);
	if (r < 0 || !at.v)
		return r;
	switch ((enum file_kind)kind) {
	case FILE_PROGRAM:
		return hold(files, BPF_PROGRAM, slot, at, err);
	case FILE_MAP:
		return hold(files, BPF_MAP, slot, at, err);
	case FILE_LINK:
	case FILE_LINK_POLL:
		return hold(files, BPF_LINK, slot, at, err);
	case FILE_EVENT:
		walk->way = BPF_BY_EVENT;
		r = visit_event(files, slot, at, err);
		break;
	default:
		walk->way = BPF_BY_SOCKET;
		r = visit_socket(files, slot, at, err);
		break;
	}
	walk->way = BPF_BY_FILE;
	return r;
}

int bpf_by_file(struct bpf_walk *walk, struct err *err)
{
	struct file_walk files = { .walk = walk };
	struct tasks tasks = { 0 };
	int r;

	r = types_layout(walk->kernel->types, &file_layout, (const void **)&files.f, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < FILE_KINDS; i++)
		files.ops[i] = symbols_lookup(walk->kernel->symbols, file_ops[i]);
	if (!files.ops[FILE_PROGRAM].v)
		return err_set(err, -ENOENT, "no bpf_prog_fops");
	r = partial_add(&walk->partial, task_list(walk->kernel, walk->view, &tasks, err), err);
	if (r >= 0)
		r = file_table_walk(walk->kernel, walk->view, &tasks, visit_slot, &files, err);
	tasks_free(&tasks);
	if (r >= 0)
		walk->bpf->walked |= 1u << BPF_BY_SOCKET;
	return r;
}

/* --- bpffs (kernel/bpf/inode.c): what an inode holds is told by its operations --- */

struct pin_fields {
	struct field mounts, mount, inodes, inode, ops, private;
};

static const struct member pin_members[] = {
	MEMBER(struct pin_fields, mounts, "file_system_type.fs_supers"),
	MEMBER(struct pin_fields, mount, "super_block.s_instances"),
	MEMBER(struct pin_fields, inodes, "super_block.s_inodes"),
	MEMBER(struct pin_fields, inode, "inode.i_sb_list"),
	MEMBER(struct pin_fields, ops, "inode.i_op"),
	MEMBER(struct pin_fields, private, "inode.i_private"),
};
LAYOUT(pin_layout, struct pin_fields, pin_members);

#define PINS_MAX 65536u		/* inodes of one bpffs */

static int visit_inode(gva link, void *ctx, struct err *err)
{
	static const char *const names[BPF_KINDS] = {
		"bpf_prog_iops", "bpf_map_iops", "bpf_link_iops",
	};
	struct bpf_walk *walk = ctx;
	const struct pin_fields *f = walk->fields;
	gva inode = field_object(link, &f->inode), ops, at;
	int r;

	r = field_ptr(walk->view, inode, &f->ops, &ops, err);
	for (enum bpf_kind kind = 0; kind < BPF_KINDS && r >= 0; kind++) {
		if (!ops.v || ops.v != symbols_lookup(walk->kernel->symbols, names[kind]).v)
			continue;
		r = field_ptr(walk->view, inode, &f->private, &at, err);
		if (r >= 0)
			r = bpf_found(walk, kind, at, NULL, err);
	}
	return partial_add(&walk->partial, r, err);
}

static int visit_super(gva link, void *ctx, struct err *err)
{
	struct bpf_walk *walk = ctx;
	const struct pin_fields *f = walk->fields;
	gva super = field_object(link, &f->mount);

	return partial_add(&walk->partial,
			   list_walk(walk->view, field_at(super, &f->inodes), PINS_MAX,
				     visit_inode, walk, err), err);
}

int bpf_by_pin(struct bpf_walk *walk, struct err *err)
{
	gva type = symbols_lookup(walk->kernel->symbols, "bpf_fs_type");
	const struct pin_fields *f;
	int r;

	if (!type.v)
		return err_set(err, -ENOENT, "no bpf_fs_type");
	r = types_layout(walk->kernel->types, &pin_layout, &walk->fields, err);
	if (r < 0)
		return r;
	f = walk->fields;
	return hlist_walk(walk->view, field_at(type, &f->mounts), MOUNT_NAMESPACES_MAX,
			  visit_super, walk, err);
}
