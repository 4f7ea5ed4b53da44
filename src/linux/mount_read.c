/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/mount_read.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "linux/partial.h"
#include "linux/path.h"

#define NAME_MAX_BYTES 255u	/* of one entry of a directory */
#define TYPE_MAX_BYTES 64u	/* of a file system's name */

/* vfsmount.mnt_flags: include/linux/mount.h */
#define MNT_FLAG_SHARED	    0x1000u
#define MNT_FLAG_UNBINDABLE 0x2000u
#define MNT_FLAG_LOCKED	    0x800000u
#define MNT_FLAG_CURSOR	    0x10000000u	/* 9f6c61f96f2d (5.8), gone with the list */

/* mount.mnt_t_flags: fs/mount.h; where it is, it has what two of the above had. */
#define T_FLAG_SHARED	  1u
#define T_FLAG_UNBINDABLE 2u

static const struct member mount_members[] = {
	MEMBER(struct mount_fields, mount, "mount"),
	MEMBER(struct mount_fields, mnt, "mount.mnt"),
	MEMBER(struct mount_fields, parent, "mount.mnt_parent"),
	MEMBER(struct mount_fields, point, "mount.mnt_mountpoint"),
	MEMBER(struct mount_fields, devname, "mount.mnt_devname"),
	MEMBER(struct mount_fields, id, "mount.mnt_id"),
	MEMBER_OPTIONAL(struct mount_fields, unique, "mount.mnt_id_unique"),
	MEMBER(struct mount_fields, group, "mount.mnt_group_id"),
	MEMBER(struct mount_fields, master, "mount.mnt_master"),
	MEMBER_OPTIONAL(struct mount_fields, prop, "mount.mnt_t_flags"),
	MEMBER(struct mount_fields, root, "mount.mnt.mnt_root"),
	MEMBER(struct mount_fields, sb, "mount.mnt.mnt_sb"),
	MEMBER(struct mount_fields, flags, "mount.mnt.mnt_flags"),
	MEMBER_OPTIONAL(struct mount_fields, idmap, "mount.mnt.mnt_idmap"),
	MEMBER_OPTIONAL(struct mount_fields, userns, "mount.mnt.mnt_userns"),
	MEMBER(struct mount_fields, dev, "super_block.s_dev"),
	MEMBER(struct mount_fields, sb_flags, "super_block.s_flags"),
	MEMBER(struct mount_fields, type, "super_block.s_type"),
	MEMBER(struct mount_fields, subtype, "super_block.s_subtype"),
	MEMBER(struct mount_fields, sb_root, "super_block.s_root"),
	MEMBER(struct mount_fields, sb_userns, "super_block.s_user_ns"),
	MEMBER(struct mount_fields, type_name, "file_system_type.name"),
	MEMBER(struct mount_fields, dentry_parent, "dentry.d_parent"),
	MEMBER(struct mount_fields, dentry_hash, "dentry.d_hash.pprev"),
	MEMBER(struct mount_fields, dentry_name, "dentry.d_name.name"),
	MEMBER(struct mount_fields, dentry_len, "dentry.d_name.len"),
};
LAYOUT(mount_layout, struct mount_fields, mount_members);

int mount_reader_init(struct mount_reader *reader, const struct kernel *kernel,
		      struct view *view, struct mounts *mounts, struct err *err)
{
	reader->kernel = kernel;
	reader->view = view;
	reader->mounts = mounts;
	reader->nop_idmap = symbols_lookup(kernel->symbols, "nop_mnt_idmap");
	reader->init_user_ns = symbols_lookup(kernel->symbols, "init_user_ns");
	return types_layout(kernel->types, &mount_layout, (const void **)&reader->f, err);
}

void mount_free(struct mount *mount)
{
	free(mount->root);
	free(mount->point);
	free(mount->type);
	free(mount->source);
}

static int keep(struct mount_reader *reader, const char *text, char **ret, struct err *err)
{
	size_t bytes = strlen(text) + 1;

	if (bytes > MOUNT_TEXT_BYTES_MAX - reader->mounts->text_bytes)
		return err_set(err, -ELOOP, "over %u bytes of names of mounts",
			       MOUNT_TEXT_BYTES_MAX);
	*ret = malloc(bytes);
	if (!*ret)
		return -ENOMEM;
	memcpy(*ret, text, bytes);
	reader->mounts->text_bytes += bytes;
	return 0;
}

/* Put "/name" of an entry in front of what is in the buffer from @at on; the new start. */
static int prepend(struct mount_reader *reader, gva dentry, size_t at, struct err *err)
{
	const struct mount_fields *f = reader->f;
	uint64_t len;
	gva name;
	int r;

	r = field_read(reader->view, dentry, &f->dentry_len, &len, err);
	if (r >= 0)
		r = field_ptr(reader->view, dentry, &f->dentry_name, &name, err);
	if (r < 0)
		return r;
	if (!len || len > NAME_MAX_BYTES || len + 1 > at)
		return fail(err, -EBADMSG, dentry, "name of %llu bytes", (unsigned long long)len);
	r = view_read(reader->view, name, reader->path + at - len, len, err);
	reader->path[at - len - 1] = '/';
	return r < 0 ? r : (int)(at - len - 1);
}

/*
 * The root of a mount within its file system, as dentry_path() of fs/d_path.c: up to the
 * entry that is its own parent.
 */
static int read_root(struct mount_reader *reader, gva dentry, char **ret, struct err *err)
{
	static const char gone[] = "//deleted";
	const struct mount_fields *f = reader->f;
	size_t end = sizeof(reader->path) - 1;
	gva parent, hash;
	int at = (int)end, r;

	reader->path[end] = '\0';
	r = field_ptr(reader->view, dentry, &f->dentry_hash, &hash, err);
	for (unsigned n = 0; r >= 0; n++) {
		r = field_ptr(reader->view, dentry, &f->dentry_parent, &parent, err);
		if (r < 0 || parent.v == dentry.v)
			break;
		if (n == PATH_DEPTH_MAX)
			return fail(err, -EBADMSG, dentry, "path of over %u entries", n);
		if (!n && !hash.v) {	/* its name is gone */
			at -= (int)strlen(gone);
			memcpy(reader->path + at, gone, strlen(gone));
		}
		r = at = prepend(reader, dentry, (size_t)at, err);
		dentry = parent;
	}
	if (r < 0)
		return r;
	return keep(reader, reader->path[at] ? reader->path + at : "/", ret, err);
}

static int read_type(struct mount_reader *reader, gva sb, char **ret, struct err *err)
{
	char name[2 * TYPE_MAX_BYTES + 2];
	gva type, at;
	int n, r;

	r = field_ptr(reader->view, sb, &reader->f->type, &type, err);
	if (r >= 0)
		r = field_ptr(reader->view, type, &reader->f->type_name, &at, err);
	if (r >= 0)
		r = n = view_string(reader->view, at, name, TYPE_MAX_BYTES, err);
	if (r >= 0)
		r = field_ptr(reader->view, sb, &reader->f->subtype, &at, err);
	if (r >= 0 && at.v) {	/* "fuse.sshfs" */
		name[n] = '.';
		r = view_string(reader->view, at, name + n + 1, TYPE_MAX_BYTES, err);
	}
	return r < 0 ? r : keep(reader, name, ret, err);
}

static int read_source(struct mount_reader *reader, gva name, char **ret, struct err *err)
{
	int r;

	if (!name.v)
		return keep(reader, "none", ret, err);
	r = view_string(reader->view, name, reader->path, sizeof(reader->path), err);
	return r < 0 ? r : keep(reader, reader->path, ret, err);
}

/* @object, in the reader, is the struct mount, so it is used up before another is read. */
static int read_point(struct mount_reader *reader, gva parent, gva point, gva at, char **ret,
		      struct err *err)
{
	int r;

	if (parent.v == at.v)
		return keep(reader, "/", ret, err);
	r = path_print_at(reader->kernel, reader->view, point,
			  field_at(parent, &reader->f->mnt), gva_of(0), reader->path,
			  sizeof(reader->path), err);
	if (r == -ELOOP && view_fuel(reader->view))
		r = -EBADMSG;	/* a path without end: no reason to stop */
	return r < 0 ? r : keep(reader, reader->path, ret, err);
}

static uint32_t flags_of(const struct mount_reader *reader, uint32_t mnt_flags, gva sb_userns)
{
	static const struct {
		uint32_t theirs, ours;
	} flags[] = {
		{ 0x01, MOUNT_NOSUID }, { 0x02, MOUNT_NODEV }, { 0x04, MOUNT_NOEXEC },
		{ 0x08, MOUNT_NOATIME }, { 0x10, MOUNT_NODIRATIME }, { 0x20, MOUNT_RELATIME },
		{ 0x40, MOUNT_READONLY }, { 0x80, MOUNT_NOSYMFOLLOW },
		{ MNT_FLAG_LOCKED, MOUNT_LOCKED },
	};
	gva idmap = object_ptr(&reader->object, &reader->f->idmap);
	gva userns = object_ptr(&reader->object, &reader->f->userns);
	uint32_t ret = 0;

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		if (mnt_flags & flags[i].theirs)
			ret |= flags[i].ours;
	/* is_idmapped_mnt(): 256c8aed2b42 (6.2); before, bd303368b776 (5.17) and a6435940b62f */
	if (reader->f->idmap.there ? idmap.v != reader->nop_idmap.v :
	    reader->f->userns.there && userns.v != reader->init_user_ns.v &&
	    userns.v != sb_userns.v)
		ret |= MOUNT_IDMAPPED;
	return ret;
}

static uint32_t super_flags_of(uint64_t s_flags)
{
	static const struct {
		uint32_t theirs, ours;
	} flags[] = {
		{ 1, SUPER_READONLY }, { 16, SUPER_SYNC }, { 64, SUPER_MANDLOCK },
		{ 128, SUPER_DIRSYNC }, { 1u << 25, SUPER_LAZYTIME },
	};
	uint32_t ret = 0;

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		if (s_flags & flags[i].theirs)
			ret |= flags[i].ours;
	return ret;
}

/* Numbers and flags; @sb receives the superblock. */
static int read_numbers(struct mount_reader *reader, struct mount *mount, gva sb,
			struct err *err)
{
	const struct mount_fields *f = reader->f;
	const struct object *object = &reader->object;
	uint32_t mnt_flags = object_u32(object, &f->flags);
	uint64_t number, dev, sb_flags;
	gva master = object_ptr(object, &f->master), sb_userns;
	bool shared = mnt_flags & MNT_FLAG_SHARED;
	int r;

	mount->unbindable = mnt_flags & MNT_FLAG_UNBINDABLE;
	if (f->prop.there) {
		shared = object_uint(object, &f->prop) & T_FLAG_SHARED;
		mount->unbindable = object_uint(object, &f->prop) & T_FLAG_UNBINDABLE;
	}
	mount->shared = shared ? object_u32(object, &f->group) : 0;

	r = field_ptr(reader->view, sb, &f->sb_userns, &sb_userns, err);
	if (r >= 0)
		r = field_read(reader->view, sb, &f->dev, &dev, err);
	if (r >= 0)
		r = field_read(reader->view, sb, &f->sb_flags, &sb_flags, err);
	if (r < 0)
		return wrap(err, r, "file system of a mount");
	mount->dev = (uint32_t)dev;
	mount->super_flags = super_flags_of(sb_flags);
	mount->flags = flags_of(reader, mnt_flags, sb_userns);

	if (master.v) {
		r = field_read(reader->view, master, &f->group, &number, err);
		if (r < 0)
			return wrap(err, r, "master of a mount");
		mount->master = (uint32_t)number;
	}
	r = field_read(reader->view, object_ptr(object, &f->parent), &f->id, &number, err);
	if (r >= 0)
		mount->parent = (uint32_t)number;
	return r < 0 ? wrap(err, r, "parent of a mount") : 0;
}

/* What a namespace's file is called when it is mounted (fs/nsfs.c: nsfs_show_path()). */
static int read_namespace(struct mount_reader *reader, gva root, gva parent, char **ret,
			  struct err *err)
{
	int r;

	r = path_print_at(reader->kernel, reader->view, root, field_at(parent, &reader->f->mnt),
			  gva_of(0), reader->path, sizeof(reader->path), err);
	return r < 0 ? r : keep(reader, reader->path, ret, err);
}

static int read_names(struct mount_reader *reader, struct mount *mount, gva sb, struct err *err)
{
	const struct mount_fields *f = reader->f;
	gva parent = object_ptr(&reader->object, &f->parent);
	gva point = object_ptr(&reader->object, &f->point);
	gva root = object_ptr(&reader->object, &f->root);
	gva devname = object_ptr(&reader->object, &f->devname);
	struct partial partial = partial_of(reader->view);
	int r;

	r = partial_add(&partial, read_type(reader, sb, &mount->type, err), err);
	if (r >= 0)
		r = partial_add(&partial, read_source(reader, devname, &mount->source, err), err);
	if (r >= 0) {
		r = read_point(reader, parent, point, mount->at, &mount->point, err);
		r = partial_add(&partial, r, err);
	}
	if (r >= 0) {
		r = mount->type && !strcmp(mount->type, "nsfs") ?
			read_namespace(reader, root, parent, &mount->root, err) :
			read_root(reader, root, &mount->root, err);
		r = partial_add(&partial, r, err);
	}
	return partial_end(&partial, r, err);
}

int mount_read(struct mount_reader *reader, gva at, struct mount *ret, struct err *err)
{
	const struct mount_fields *f = reader->f;
	struct partial partial = partial_of(reader->view);
	char **names[] = { &ret->root, &ret->point, &ret->type, &ret->source };
	gva sb;
	int r;

	r = object_read(reader->view, at, &f->mount, &reader->object, err);
	if (r < 0)
		return wrap(err, r, "mount");
	if (object_uint(&reader->object, &f->flags) & MNT_FLAG_CURSOR)
		return 1;
	ret->at = at;
	ret->id = object_u32(&reader->object, &f->id);
	ret->unique = object_uint(&reader->object, &f->unique);
	sb = object_ptr(&reader->object, &f->sb);

	r = partial_add(&partial, read_numbers(reader, ret, sb, err), err);
	if (r >= 0)
		r = partial_add(&partial, read_names(reader, ret, sb, err), err);
	for (size_t i = 0; r >= 0 && i < sizeof(names) / sizeof(names[0]); i++)
		if (!*names[i])
			r = keep(reader, "?", names[i], err);
	if (r < 0) {
		mount_free(ret);
		*ret = (struct mount){ 0 };
	}
	r = partial_end(&partial, r, err);
	return r < 0 ? wrap(err, r, "mount %u", ret->id) : 0;
}
