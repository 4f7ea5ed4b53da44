/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/file.h"

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/map.h"
#include "linux/file_table.h"
#include "linux/object.h"
#include "linux/partial.h"
#include "linux/path.h"

#define ANON_INODE_FS_MAGIC 0x09041934u	/* include/uapi/linux/magic.h */

#define MODE_FORMAT 0170000u		/* S_IFMT */

struct file_fields {
	struct field file, mnt, dentry, inode, flags, position;
	struct field inode_size, mode, ino, rdev, size, sb;
	struct field dev, magic;
	struct field hash, parent, name, name_len;
	struct field mount_mnt, mount_id;
};

static const struct member file_members[] = {
	MEMBER(struct file_fields, file, "file"),
	MEMBER(struct file_fields, mnt, "file.f_path.mnt"),
	MEMBER(struct file_fields, dentry, "file.f_path.dentry"),
	MEMBER(struct file_fields, inode, "file.f_inode"),
	MEMBER(struct file_fields, flags, "file.f_flags"),
	MEMBER(struct file_fields, position, "file.f_pos"),
	MEMBER(struct file_fields, inode_size, "inode"),
	MEMBER(struct file_fields, mode, "inode.i_mode"),
	MEMBER(struct file_fields, ino, "inode.i_ino"),
	MEMBER(struct file_fields, rdev, "inode.i_rdev"),
	MEMBER(struct file_fields, size, "inode.i_size"),
	MEMBER(struct file_fields, sb, "inode.i_sb"),
	MEMBER(struct file_fields, dev, "super_block.s_dev"),
	MEMBER(struct file_fields, magic, "super_block.s_magic"),
	MEMBER(struct file_fields, hash, "dentry.d_hash.pprev"),
	MEMBER(struct file_fields, parent, "dentry.d_parent"),
	MEMBER(struct file_fields, name, "dentry.d_name.name"),
	MEMBER(struct file_fields, name_len, "dentry.d_name.len"),
	MEMBER(struct file_fields, mount_mnt, "mount.mnt"),
	MEMBER(struct file_fields, mount_id, "mount.mnt_id"),
};
LAYOUT(file_layout, struct file_fields, file_members);

struct list {
	const struct kernel *kernel;
	struct view *view;
	const struct file_fields *f;
	struct files *files;
	struct map seen;	/* struct file → where in the list it stands */
	struct object object;
	char path[PATH_BYTES_MAX];
};

static enum file_type type_of(uint32_t mode, uint64_t magic)
{
	static const enum file_type types[] = {
		[01] = FILE_FIFO, [02] = FILE_CHAR, [04] = FILE_DIRECTORY, [06] = FILE_BLOCK,
		[010] = FILE_REGULAR, [012] = FILE_LINK, [014] = FILE_SOCKET, [017] = FILE_UNKNOWN,
	};

	/* Their mode has no type, or (cfd86ef7e8e7, 6.16) says "regular". */
	return magic == ANON_INODE_FS_MAGIC ? FILE_ANON : types[(mode & MODE_FORMAT) >> 12];
}

static int read_inode(struct list *list, struct file *file, struct err *err)
{
	const struct file_fields *f = list->f;
	uint64_t dev, magic;
	int r;

	r = object_read(list->view, file->inode_at, &f->inode_size, &list->object, err);
	if (r < 0)
		return wrap(err, r, "inode of an open file");
	file->inode = object_uint(&list->object, &f->ino);
	file->rdev = object_u32(&list->object, &f->rdev);
	file->size_bytes = object_uint(&list->object, &f->size);
	r = field_read(list->view, object_ptr(&list->object, &f->sb), &f->dev, &dev, err);
	if (r >= 0)
		r = field_read(list->view, object_ptr(&list->object, &f->sb), &f->magic, &magic,
			       err);
	if (r < 0)
		return wrap(err, r, "file system of an open file");
	file->dev = (uint32_t)dev;
	file->type = type_of(object_u32(&list->object, &f->mode), magic);
	return 0;
}

/*
 * Is the name gone (d_unlinked(): unhashed, and no root), or was there none ever? That of a
 * memfd is "memfd:" and what its maker chose, in a tree of its own (mm/memfd.c), which no
 * name in a directory can be.
 */
static int read_dentry(struct list *list, gva dentry, struct file *file, struct err *err)
{
	static const char memfd[] = "memfd:";
	const struct file_fields *f = list->f;
	char start[sizeof(memfd) - 1] = "";
	uint64_t name_len = 0;
	gva hash, parent, name;
	int r;

	r = field_ptr(list->view, dentry, &f->hash, &hash, err);
	if (r >= 0)
		r = field_ptr(list->view, dentry, &f->parent, &parent, err);
	if (r >= 0 && parent.v == dentry.v && file->type == FILE_REGULAR)
		r = field_read(list->view, dentry, &f->name_len, &name_len, err);
	if (r >= 0 && name_len >= sizeof(start)) {
		r = field_ptr(list->view, dentry, &f->name, &name, err);
		if (r >= 0)
			r = view_read(list->view, name, start, sizeof(start), err);
	}
	if (r < 0)
		return wrap(err, r, "name of an open file");
	file->memfd = !memcmp(start, memfd, sizeof(start));
	file->deleted = file->memfd || (!hash.v && parent.v != dentry.v);
	return 0;
}

static int add_path(struct list *list, struct file *file, const char *path, struct err *err)
{
	size_t bytes = strlen(path) + 1;

	/* As few files have long paths, this is reached only when somebody means it. */
	if (bytes > FILE_PATHS_BYTES_MAX - list->files->path_bytes)
		return err_set(err, -ELOOP, "over %u bytes of paths of open files",
			       FILE_PATHS_BYTES_MAX);
	file->path = malloc(bytes);
	if (!file->path)
		return -ENOMEM;
	memcpy(file->path, path, bytes);
	list->files->path_bytes += bytes;
	return 0;
}

/* All that can be found out about a file; the first failure is returned at the end. */
static int read_file(struct list *list, struct file *file, struct err *err)
{
	const struct file_fields *f = list->f;
	struct partial partial = partial_of(list->view);
	gva mnt, dentry;
	uint64_t mount;
	int r;

	r = object_read(list->view, file->at, &f->file, &list->object, err);
	if (r < 0)
		return wrap(err, r, "open file");
	mnt = object_ptr(&list->object, &f->mnt);
	dentry = object_ptr(&list->object, &f->dentry);
	file->inode_at = object_ptr(&list->object, &f->inode);
	file->flags = object_u32(&list->object, &f->flags);
	file->position = object_uint(&list->object, &f->position);

	r = read_inode(list, file, err);
	r = partial_add(&partial, r, err);
	if (r >= 0)
		r = partial_add(&partial, read_dentry(list, dentry, file, err), err);
	if (r >= 0) {
		r = field_read(list->view, field_object(mnt, &f->mount_mnt), &f->mount_id, &mount,
			       err);
		if (r >= 0)
			file->mount = (uint32_t)mount;
		r = partial_add(&partial, r, err);
	}
	if (r >= 0) {
		r = path_print_at(list->kernel, list->view, dentry, mnt, gva_of(0), list->path,
				  sizeof(list->path), err);
		/* A path too long for everybody is this file's fault, not the end of all. */
		r = partial_add(&partial, r == -ELOOP && view_fuel(list->view) ? -EBADMSG : r, err);
	}
	if (r >= 0)
		r = add_path(list, file, list->path, err);
	return partial_end(&partial, r, err);
}

static int add_file(const struct file_slot *slot, void *ctx, struct err *err)
{
	struct list *list = ctx;
	struct file *file;
	uint32_t same;
	int r;

	file = vec_add(&list->files->all);
	if (!file)
		return -ENOMEM;
	/* Files are inherited: most of them were met before. */
	if (map_get(&list->seen, slot->file.v, &same)) {
		*file = list->files->all.v[same];
		file->path = NULL;
		r = add_path(list, file, list->files->all.v[same].path, err);
	} else {
		file->at = slot->file;
		r = read_file(list, file, err);
		if (r >= 0)
			r = map_put(&list->seen, slot->file.v, (uint32_t)list->files->all.n - 1);
	}
	file->task = slot->task->at;
	file->pid = (uint32_t)slot->task->tgid;
	file->tid = (uint32_t)slot->task->pid;
	file->fd = slot->fd;
	file->cloexec = slot->cloexec;
	if (!file->path)
		list->files->all.n--;
	return r < 0 ? wrap(err, r, "PID %u, file %u", file->pid, slot->fd) : 0;
}

int file_list(const struct kernel *kernel, struct view *view, const struct tasks *tasks,
	      struct files *ret, struct err *err)
{
	struct list *list = calloc(1, sizeof(*list));
	int r;

	if (!list)
		return -ENOMEM;
	list->kernel = kernel;
	list->view = view;
	list->files = ret;
	r = types_layout(kernel->types, &file_layout, (const void **)&list->f, err);
	if (r >= 0)
		r = file_table_walk(kernel, view, tasks, add_file, list, err);
	map_free(&list->seen);
	free(list);
	return r;
}

void files_free(struct files *files)
{
	for (size_t i = 0; i < files->all.n; i++)
		free(files->all.v[i].path);
	vec_free(&files->all);
	files->path_bytes = 0;
}

bool file_reads(const struct file *file)
{
	return !(file->flags & FILE_O_PATH) && (file->flags & FILE_O_ACCMODE) != FILE_O_WRONLY;
}

bool file_writes(const struct file *file)
{
	uint32_t access = file->flags & FILE_O_ACCMODE;

	return !(file->flags & FILE_O_PATH) && (access == FILE_O_WRONLY || access == FILE_O_RDWR);
}

const char *file_type_name(enum file_type type)
{
	static const char *const names[] = {
		[FILE_UNKNOWN] = "unknown", [FILE_REGULAR] = "regular",
		[FILE_DIRECTORY] = "directory", [FILE_LINK] = "link", [FILE_CHAR] = "char",
		[FILE_BLOCK] = "block", [FILE_FIFO] = "fifo", [FILE_SOCKET] = "socket",
		[FILE_ANON] = "anon",
	};

	return names[type];
}
