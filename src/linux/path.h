/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_LINUX_PATH_H
#define HVSM_LINUX_PATH_H

#include <stddef.h>

#include "linux/kernel.h"

/*
 * Names of files, as the kernel's d_path() makes them (fs/d_path.c): from the entry up to its
 * root, across mount points. They are guest text, as it is: escape it at output.
 *
 *	/usr/bin/sleep			a file
 *	/tmp/x (deleted)		one without a name by now
 *	/memfd:x (deleted)		memory of memfd_create()
 *	pipe:[123] socket:[123]		by inode number, as in /proc/PID/fd
 *	anon_inode:[eventpoll]		and other files that never had a name
 *	mnt:[4026531841]		a namespace
 *
 * All functions here:
 * @buf:  receives the name, always terminated. On failure what is known of it, behind "?/"
 * @size: of @buf, > 0; PATH_BYTES_MAX holds everything
 *
 * Return: the length of the name, -EBADMSG (the entries contradict themselves: a cycle, a
 *         wild pointer), -ELOOP (limits, or a name longer than @size), or an error as
 *         view_read().
 */

/**
 * path_print - the name of a struct path
 * @path: guest address of the struct path
 * @root: guest address of the struct path of the root that the name ends at, such as
 *        fs_struct.root of a process; 0: the root of all
 *
 * A path that does not lead to @root is named up to the root of its mount tree.
 */
nodiscard int path_print(const struct kernel *kernel, struct view *view, gva path, gva root,
			 char *buf, size_t size, struct err *err);

/**
 * path_print_at - the name of an entry of a mount
 * As path_print(), for a caller that has both already.
 * @dentry: guest address of the struct dentry
 * @mnt:    guest address of its struct vfsmount (not of the struct mount around it)
 */
nodiscard int path_print_at(const struct kernel *kernel, struct view *view, gva dentry,
			    gva mnt, gva root, char *buf, size_t size, struct err *err);

/**
 * path_print_file - the name of an open file
 * As path_print(), of the struct file at @file.
 */
nodiscard int path_print_file(const struct kernel *kernel, struct view *view, gva file,
			      gva root, char *buf, size_t size, struct err *err);

#endif
