/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_LINUX_MOUNT_READ_H
#define HVSM_LINUX_MOUNT_READ_H

#include "linux/mount.h"
#include "linux/object.h"

/* One struct mount (fs/mount.h) and what it refers to. */
struct mount_fields {
	struct field mount, mnt, parent, point, devname, id, unique, group, master, prop;
	struct field root, sb, flags, idmap, userns;
	struct field dev, sb_flags, type, subtype, sb_root, sb_userns, type_name;
	struct field dentry_parent, dentry_hash, dentry_name, dentry_len;
};

/* What all mounts of one call share. */
struct mount_reader {
	const struct kernel *kernel;
	struct view *view;
	const struct mount_fields *f;
	struct mounts *mounts;
	gva nop_idmap, init_user_ns;	/* 0: not this kernel's way */
	struct object object;
	char path[4096];		/* PATH_BYTES_MAX */
};

nodiscard int mount_reader_init(struct mount_reader *reader, const struct kernel *kernel,
				struct view *view, struct mounts *mounts, struct err *err);

/**
 * mount_read - what one mount is
 * @at:  struct mount
 * @ret: {0} before; its strings are given in any case, "?" where unreadable
 *
 * Return: 1 (no mount but the place of a reader of mountinfo), 0, or as mount_list().
 */
nodiscard int mount_read(struct mount_reader *reader, gva at, struct mount *ret,
			 struct err *err);

void mount_free(struct mount *mount);

#endif
