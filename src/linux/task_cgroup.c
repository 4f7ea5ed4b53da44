/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/task_cgroup.h"

#include <string.h>

#include "base/limits.h"
#include "guest/list.h"

#define CGROUP_NAME_MAX	    255u	/* NAME_MAX */
#define CGROUP_HIERARCHIES_MAX 64u	/* one per controller, and named ones: a dozen at most */
#define ROOT_NAME_BYTES	    64u		/* MAX_CGROUP_ROOT_NAMELEN */

struct cgroup_fields {
	struct field task_set, unified, links, link, link_cgroup, node, root, root_name;
	struct field parent, name;
};

static const struct member cgroup_members[] = {
	MEMBER(struct cgroup_fields, task_set, "task_struct.cgroups"),
	MEMBER(struct cgroup_fields, unified, "css_set.dfl_cgrp"),
	MEMBER(struct cgroup_fields, links, "css_set.cgrp_links"),
	MEMBER(struct cgroup_fields, link, "cgrp_cset_link.cgrp_link"),
	MEMBER(struct cgroup_fields, link_cgroup, "cgrp_cset_link.cgrp"),
	MEMBER(struct cgroup_fields, node, "cgroup.kn"),
	MEMBER(struct cgroup_fields, root, "cgroup.root"),
	MEMBER(struct cgroup_fields, root_name, "cgroup_root.name"),
	MEMBER(struct cgroup_fields, parent, "kernfs_node.__parent|kernfs_node.parent"),
	MEMBER(struct cgroup_fields, name, "kernfs_node.name"),
};
LAYOUT(cgroup_layout, struct cgroup_fields, cgroup_members);

/*
 * The path of a control group, by the names of its kernfs nodes: from its end to its start at
 * the end of @buf, then moved to the front. The root has no parent; its name does not count.
 */
static int print_path(struct view *view, const struct cgroup_fields *f, gva cgroup, char *buf,
		      size_t size, struct err *err)
{
	char name[CGROUP_NAME_MAX + 1];
	size_t at = size - 1;
	gva node, parent, text;
	int r;

	buf[at] = '\0';
	r = field_ptr(view, cgroup, &f->node, &node, err);
	for (unsigned n = 0; r >= 0; n++) {
		r = field_ptr(view, node, &f->parent, &parent, err);
		if (r < 0 || !parent.v)
			break;
		if (n == PATH_DEPTH_MAX)
			return fail(err, -ELOOP, node, "control groups nested over %u deep", n);
		r = field_ptr(view, node, &f->name, &text, err);
		if (r >= 0)
			r = view_string(view, text, name, sizeof(name), err);
		if (r < 0)
			break;
		if (!r || strchr(name, '/'))
			return fail(err, -EBADMSG, node, "control group without a proper name");
		if ((size_t)r + 1 > at)
			return fail(err, -ELOOP, node, "path of over %zu bytes", size - 1);
		at -= (size_t)r + 1;
		buf[at] = '/';
		memcpy(buf + at + 1, name, (size_t)r);
		node = parent;
	}
	if (r < 0)
		return r;
	if (at == size - 1 && at)
		buf[--at] = '/';
	memmove(buf, buf + at, size - at);
	return (int)(size - 1 - at);
}

/* The search for a v1 hierarchy that tells more than the root of the unified one. */
struct search {
	struct view *view;
	const struct cgroup_fields *f;
	char *buf;
	size_t size;
	int len;	/* of what is in @buf; 0: nothing yet */
};

/* Return: -ECANCELED (found in "systemd", the best there is), 0 (go on), or an error. */
static int look_at(gva link, void *ctx, struct err *err)
{
	struct search *search = ctx;
	const struct cgroup_fields *f = search->f;
	char name[ROOT_NAME_BYTES], path[PATH_BYTES_MAX];
	gva object = field_object(link, &f->link), cgroup, root;
	int r;

	r = field_ptr(search->view, object, &f->link_cgroup, &cgroup, err);
	if (r >= 0)
		r = field_ptr(search->view, cgroup, &f->root, &root, err);
	if (r >= 0)
		r = view_string(search->view, field_at(root, &f->root_name), name, sizeof(name),
				err);
	if (r < 0 || (search->len && strcmp(name, "systemd")))
		return r < 0 ? r : 0;
	r = print_path(search->view, f, cgroup, path, sizeof(path), err);
	if (r <= 1)
		return r < 0 ? r : 0;
	if ((size_t)r >= search->size)
		return fail(err, -ELOOP, cgroup, "path of over %zu bytes", search->size - 1);
	memcpy(search->buf, path, (size_t)r + 1);
	search->len = r;
	return strcmp(name, "systemd") ? 0 : -ECANCELED;
}

/* Return: the length of the path that is in @buf now, or an error. */
static int search_v1(struct view *view, const struct cgroup_fields *f, gva set, char *buf,
		     size_t size, struct err *err)
{
	struct search search = { view, f, buf, size, 0 };
	int r;

	r = list_walk(view, field_at(set, &f->links), CGROUP_HIERARCHIES_MAX, look_at, &search,
		      err);
	if (r < 0 && r != -ECANCELED)
		return r;
	return search.len ? search.len : (int)strlen(buf);
}

int task_cgroup(const struct kernel *kernel, struct view *view, const struct task *task,
		char *buf, size_t size, struct err *err)
{
	const struct cgroup_fields *f;
	gva set, cgroup;
	int r;

	buf[0] = '\0';
	r = types_layout(kernel->types, &cgroup_layout, (const void **)&f, err);
	if (r >= 0)
		r = field_ptr(view, task->at, &f->task_set, &set, err);
	if (r >= 0 && !set.v)
		return err_set(err, -ENOENT, "PID %d is in no control group", task->pid);
	if (r >= 0)
		r = field_ptr(view, set, &f->unified, &cgroup, err);
	if (r >= 0)
		r = print_path(view, f, cgroup, buf, size, err);
	if (r == 1)
		r = search_v1(view, f, set, buf, size, err);
	if (r < 0) {
		buf[0] = '\0';
		return wrap(err, r, "control group of PID %d", task->pid);
	}
	return r;
}
