/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/path.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"

#define NAME_BYTES_MAX	255u	/* NAME_MAX: of one entry */
#define TYPE_BYTES	32u	/* of a file system's name, as far as it matters here */

struct path_fields {
	struct field path_mnt, path_dentry, f_path;
	struct field hash, parent, name, name_len, inode, op, sb;
	struct field dname;
	struct field ino, private;
	struct field type, type_name;
	struct field root, mount_mnt, mount_parent, mountpoint;
	struct field ns_ops, ns_name;
};

static const struct member path_members[] = {
	MEMBER(struct path_fields, path_mnt, "path.mnt"),
	MEMBER(struct path_fields, path_dentry, "path.dentry"),
	MEMBER(struct path_fields, f_path, "file.f_path"),
	MEMBER(struct path_fields, hash, "dentry.d_hash.pprev"),
	MEMBER(struct path_fields, parent, "dentry.d_parent"),
	MEMBER(struct path_fields, name, "dentry.d_name.name"),
	MEMBER(struct path_fields, name_len, "dentry.d_name.len"),
	MEMBER(struct path_fields, inode, "dentry.d_inode"),
	MEMBER(struct path_fields, op, "dentry.d_op"),
	MEMBER(struct path_fields, sb, "dentry.d_sb"),
	MEMBER(struct path_fields, dname, "dentry_operations.d_dname"),
	MEMBER(struct path_fields, ino, "inode.i_ino"),
	MEMBER(struct path_fields, private, "inode.i_private"),
	MEMBER(struct path_fields, type, "super_block.s_type"),
	MEMBER(struct path_fields, type_name, "file_system_type.name"),
	MEMBER(struct path_fields, root, "vfsmount.mnt_root"),
	MEMBER(struct path_fields, mount_mnt, "mount.mnt"),
	MEMBER(struct path_fields, mount_parent, "mount.mnt_parent"),
	MEMBER(struct path_fields, mountpoint, "mount.mnt_mountpoint"),
	MEMBER_OPTIONAL(struct path_fields, ns_ops, "ns_common.ops"),
	MEMBER_OPTIONAL(struct path_fields, ns_name, "proc_ns_operations.name"),
};
LAYOUT(path_layout, struct path_fields, path_members);

/* A place in the tree of mounts: struct path. */
struct place {
	gva mnt;
	gva dentry;
};

/* A name that grows from its end to its start, at the end of the caller's buffer. */
struct tail {
	char *buf;
	size_t at;	/* of the first character in use; buf[size - 1] is the terminator */
	size_t size;
};

static struct tail tail_of(char *buf, size_t size)
{
	buf[size - 1] = '\0';
	return (struct tail){ buf, size - 1, size };
}

static int tail_add(struct tail *tail, const char *text, size_t len, struct err *err)
{
	if (len > tail->at)
		return err_set(err, -ELOOP, "path of over %zu bytes", tail->size - 1);
	tail->at -= len;
	memcpy(tail->buf + tail->at, text, len);
	return 0;
}

/* To the start of the buffer, behind @mark, which takes the place of text if it must. */
static int tail_finish(struct tail *tail, const char *mark)
{
	size_t before = strlen(mark), len;

	if (before > tail->size - 1)
		before = tail->size - 1;
	if (before > tail->at)
		tail->at = before;
	len = tail->size - 1 - tail->at;
	memmove(tail->buf + before, tail->buf + tail->at, len + 1);
	memcpy(tail->buf, mark, before);
	return (int)(before + len);
}

/* The name of an entry, without its path. @name has room for NAME_BYTES_MAX + 1. */
static int read_name(struct view *view, const struct path_fields *f, gva dentry, char *name,
		     struct err *err)
{
	uint64_t len;
	gva at;
	int r;

	r = field_read(view, dentry, &f->name_len, &len, err);
	if (r >= 0)
		r = field_ptr(view, dentry, &f->name, &at, err);
	if (r < 0)
		return wrap(err, r, "directory entry");
	if (!len || len > NAME_BYTES_MAX)
		return fail(err, -EBADMSG, dentry, "name of %" PRIu64 " bytes", len);
	r = view_read(view, at, name, len, err);
	if (r < 0)
		return wrap(err, r, "name of a directory entry");
	name[len] = '\0';
	return (int)len;
}

/* Where a mount hangs: the place in its parent; -ENOENT for the root of all. */
static int mount_point(struct view *view, const struct path_fields *f, gva mnt,
		       struct place *ret, struct err *err)
{
	gva mount = field_object(mnt, &f->mount_mnt), parent, dentry;
	int r;

	r = field_ptr(view, mount, &f->mount_parent, &parent, err);
	if (r >= 0)
		r = field_ptr(view, mount, &f->mountpoint, &dentry, err);
	if (r < 0)
		return wrap(err, r, "mount");
	if (parent.v == mount.v)
		return -ENOENT;
	if (!gva_is_kernel(parent))
		return fail(err, -EBADMSG, mount, "parent of a mount out of place");
	*ret = (struct place){ field_at(parent, &f->mount_mnt), dentry };
	return 0;
}

/*
 * From @at up to @root, or to the root of its tree where it does not lie under @root. A
 * dentry that is its own parent ends a file system; a dentry that is the root of its mount
 * goes on where that is mounted (fs/d_path.c: prepend_path()).
 */
static int climb(struct view *view, const struct path_fields *f, struct place at,
		 struct place root, struct tail *tail, struct err *err)
{
	char name[NAME_BYTES_MAX + 1];
	gva mount_root, parent;
	int r;

	r = field_ptr(view, at.mnt, &f->root, &mount_root, err);
	for (unsigned n = 0; r >= 0; n++) {
		if (at.dentry.v == root.dentry.v && at.mnt.v == root.mnt.v)
			return 0;
		if (n == PATH_DEPTH_MAX)
			return fail(err, -ELOOP, at.dentry, "path of over %u entries",
				    PATH_DEPTH_MAX);
		if (!gva_is_kernel(at.dentry) || !gva_is_kernel(at.mnt))
			return fail(err, -EBADMSG, at.dentry, "directory entry out of place");
		if (at.dentry.v == mount_root.v) {
			r = mount_point(view, f, at.mnt, &at, err);
			if (r == -ENOENT)
				return 0;
			if (r >= 0)
				r = field_ptr(view, at.mnt, &f->root, &mount_root, err);
			continue;
		}
		r = field_ptr(view, at.dentry, &f->parent, &parent, err);
		if (r < 0 || parent.v == at.dentry.v)
			break;
		r = read_name(view, f, at.dentry, name, err);
		if (r >= 0 && (memchr(name, '/', (size_t)r) || memchr(name, '\0', (size_t)r)))
			return fail(err, -EBADMSG, at.dentry, "name with a slash or a zero");
		if (r >= 0)
			r = tail_add(tail, name, (size_t)r, err);
		if (r >= 0)
			r = tail_add(tail, "/", 1, err);
		at.dentry = parent;
	}
	return r < 0 ? wrap(err, r, "path") : 0;
}

/* "mnt:[4026531841]": the kind is what the namespace's operations call themselves. */
static int name_namespace(struct view *view, const struct path_fields *f, gva inode,
			  uint64_t ino, char *buf, size_t size, struct err *err)
{
	char kind[TYPE_BYTES];
	gva at;
	int r = 0;

	if (!f->ns_ops.there || !f->ns_name.there) {
		snprintf(buf, size, "ns:[%" PRIu64 "]", ino);
		return 0;
	}
	r = field_ptr(view, inode, &f->private, &at, err);
	if (r >= 0)
		r = field_ptr(view, at, &f->ns_ops, &at, err);
	if (r >= 0)
		r = field_ptr(view, at, &f->ns_name, &at, err);
	if (r >= 0)
		r = view_string(view, at, kind, sizeof(kind), err);
	if (r < 0)
		return wrap(err, r, "name of a namespace");
	snprintf(buf, size, "%s:[%" PRIu64 "]", kind, ino);
	return 0;
}

/*
 * The name of what has none in any directory. The kernel asks the file system for it
 * (dentry_operations.d_dname); those that there are: fs/pipe.c, net/socket.c, fs/nsfs.c,
 * fs/anon_inodes.c, fs/pidfs.c, drivers/dma-buf/dma-buf.c, and simple_dname() of fs/d_path.c
 * for shared memory and huge pages.
 */
static int name_special(struct view *view, const struct path_fields *f, gva dentry, char *buf,
			size_t size, struct err *err)
{
	char type[TYPE_BYTES] = "", name[NAME_BYTES_MAX + 1];
	uint64_t ino = 0;
	gva at, inode;
	int r;

	r = field_ptr(view, dentry, &f->sb, &at, err);
	if (r >= 0)
		r = field_ptr(view, at, &f->type, &at, err);
	if (r >= 0)
		r = field_ptr(view, at, &f->type_name, &at, err);
	if (r >= 0)
		r = view_string(view, at, type, sizeof(type), err);
	if (r >= 0)
		r = field_ptr(view, dentry, &f->inode, &inode, err);
	if (r >= 0)
		r = field_read(view, inode, &f->ino, &ino, err);
	if (r < 0)
		return wrap(err, r, "file without a directory");

	if (!strcmp(type, "pipefs"))
		snprintf(buf, size, "pipe:[%" PRIu64 "]", ino);
	else if (!strcmp(type, "sockfs"))
		snprintf(buf, size, "socket:[%" PRIu64 "]", ino);
	else if (!strcmp(type, "pidfs"))
		snprintf(buf, size, "anon_inode:[pidfd]");
	else if (!strcmp(type, "nsfs"))
		return name_namespace(view, f, inode, ino, buf, size, err);
	else {
		r = read_name(view, f, dentry, name, err);
		if (r < 0)
			return r;
		if (!strcmp(type, "anon_inodefs"))
			snprintf(buf, size, "anon_inode:%s", name);
		else if (!strcmp(type, "dmabuf"))
			snprintf(buf, size, "/%s:", name);
		else
			snprintf(buf, size, "/%s (deleted)", name);
	}
	return 0;
}

/* Does the file system name it (see name_special)? As fs/d_path.c: d_path(). */
static int is_special(struct view *view, const struct path_fields *f, struct place at,
		      struct err *err)
{
	gva op, dname, parent, mount_root;
	int r;

	r = field_ptr(view, at.dentry, &f->op, &op, err);
	if (r < 0 || !op.v)
		return r;
	r = field_ptr(view, op, &f->dname, &dname, err);
	if (r < 0 || !dname.v)
		return r;
	r = field_ptr(view, at.dentry, &f->parent, &parent, err);
	if (r >= 0)
		r = field_ptr(view, at.mnt, &f->root, &mount_root, err);
	if (r < 0)
		return r;
	return parent.v != at.dentry.v || mount_root.v != at.dentry.v;
}

/* Has the entry lost its name (d_unlinked(): unhashed, and not the root of a tree)? */
static int is_deleted(struct view *view, const struct path_fields *f, gva dentry,
		      struct err *err)
{
	gva hash, parent;
	int r;

	r = field_ptr(view, dentry, &f->hash, &hash, err);
	if (r >= 0)
		r = field_ptr(view, dentry, &f->parent, &parent, err);
	return r < 0 ? r : !hash.v && parent.v != dentry.v;
}

static int print_place(struct view *view, const struct path_fields *f, struct place at,
		       struct place root, char *buf, size_t size, struct err *err)
{
	char name[NAME_BYTES_MAX + TYPE_BYTES];
	struct tail tail = tail_of(buf, size);
	int r;

	r = is_special(view, f, at, err);
	if (r > 0) {
		r = name_special(view, f, at.dentry, name, sizeof(name), err);
		if (r >= 0)
			r = tail_add(&tail, name, strlen(name), err);
		return r < 0 ? (tail_finish(&tail, "?/"), r) : tail_finish(&tail, "");
	}
	if (r >= 0)
		r = is_deleted(view, f, at.dentry, err);
	if (r > 0)
		r = tail_add(&tail, " (deleted)", strlen(" (deleted)"), err);
	if (r >= 0)
		r = climb(view, f, at, root, &tail, err);
	if (r < 0) {
		tail.at += tail.buf[tail.at] == '/';
		tail_finish(&tail, "?/");
		return r;
	}
	return tail_finish(&tail, tail.buf[tail.at] == '/' ? "" : "/");
}

static int read_place(struct view *view, const struct path_fields *f, gva path,
		      struct place *ret, struct err *err)
{
	int r = field_ptr(view, path, &f->path_mnt, &ret->mnt, err);

	if (r >= 0)
		r = field_ptr(view, path, &f->path_dentry, &ret->dentry, err);
	return r < 0 ? wrap(err, r, "path") : 0;
}

int path_print_at(const struct kernel *kernel, struct view *view, gva dentry, gva mnt, gva root,
		  char *buf, size_t size, struct err *err)
{
	struct place at = { mnt, dentry }, top = {0};
	const struct path_fields *f;
	int r;

	snprintf(buf, size, "?/");
	r = types_layout(kernel->types, &path_layout, (const void **)&f, err);
	if (r >= 0 && root.v)
		r = read_place(view, f, root, &top, err);
	if (r < 0)
		return r;
	return print_place(view, f, at, top, buf, size, err);
}

int path_print(const struct kernel *kernel, struct view *view, gva path, gva root, char *buf,
	       size_t size, struct err *err)
{
	const struct path_fields *f;
	struct place at = {0};
	int r;

	snprintf(buf, size, "?/");
	r = types_layout(kernel->types, &path_layout, (const void **)&f, err);
	if (r >= 0)
		r = read_place(view, f, path, &at, err);
	if (r < 0)
		return r;
	return path_print_at(kernel, view, at.dentry, at.mnt, root, buf, size, err);
}

int path_print_file(const struct kernel *kernel, struct view *view, gva file, gva root,
		    char *buf, size_t size, struct err *err)
{
	const struct path_fields *f;
	int r;

	snprintf(buf, size, "?/");
	r = types_layout(kernel->types, &path_layout, (const void **)&f, err);
	if (r < 0)
		return r;
	return path_print(kernel, view, field_at(file, &f->f_path), root, buf, size, err);
}
