/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/dcache.h"

#include <string.h>

#include "base/limits.h"
#include "guest/list.h"

#define NAME_BYTES_MAX 255u	/* NAME_MAX */

struct dcache_fields {
	struct field subdirs, child, children, sibling;
	struct field inode, hash, name, name_len;
};

static const struct member dcache_members[] = {
	/* da549bdd15c2 (6.8) made a list with one pointer in its head of it. */
	MEMBER_OPTIONAL(struct dcache_fields, subdirs, "dentry.d_subdirs"),
	MEMBER_OPTIONAL(struct dcache_fields, child, "dentry.d_child"),
	MEMBER_OPTIONAL(struct dcache_fields, children, "dentry.d_children"),
	MEMBER_OPTIONAL(struct dcache_fields, sibling, "dentry.d_sib"),
	MEMBER(struct dcache_fields, inode, "dentry.d_inode"),
	MEMBER(struct dcache_fields, hash, "dentry.d_hash.pprev"),
	MEMBER(struct dcache_fields, name, "dentry.d_name.name"),
	MEMBER(struct dcache_fields, name_len, "dentry.d_name.len"),
};
LAYOUT(dcache_layout, struct dcache_fields, dcache_members);

struct find {
	struct view *view;
	const struct dcache_fields *f;
	const struct field *link;
	const char *name;
	size_t len;
	gva found;
};

static int visit_child(gva link, void *ctx, struct err *err)
{
	struct find *find = ctx;
	gva dentry = field_object(link, find->link), at, hash, inode;
	char name[NAME_BYTES_MAX];
	uint64_t len;
	int r;

	r = field_read(find->view, dentry, &find->f->name_len, &len, err);
	if (r < 0 || len != find->len)
		return r;
	r = field_ptr(find->view, dentry, &find->f->name, &at, err);
	if (r >= 0)
		r = view_read(find->view, at, name, len, err);
	if (r < 0 || memcmp(name, find->name, len) != 0)
		return r;
	r = field_ptr(find->view, dentry, &find->f->hash, &hash, err);
	if (r >= 0)
		r = field_ptr(find->view, dentry, &find->f->inode, &inode, err);
	if (r < 0 || !hash.v || !inode.v)
		return r;
	find->found = dentry;
	return -ECANCELED;
}

int dcache_find(const struct kernel *kernel, struct view *view, gva directory, const char *name,
		gva *ret, struct err *err)
{
	struct find find = { .view = view, .name = name, .len = strlen(name) };
	int r;

	if (!find.len || find.len > NAME_BYTES_MAX)
		return -ENOENT;
	r = types_layout(kernel->types, &dcache_layout, (const void **)&find.f, err);
	if (r < 0)
		return wrap(err, -EBADMSG, "directory");
	if (find.f->children.there && find.f->sibling.there) {
		find.link = &find.f->sibling;
		r = hlist_walk(view, field_at(directory, &find.f->children), DENTRIES_MAX,
			       visit_child, &find, err);
	} else if (find.f->subdirs.there && find.f->child.there) {
		find.link = &find.f->child;
		r = list_walk(view, field_at(directory, &find.f->subdirs), DENTRIES_MAX,
			      visit_child, &find, err);
	} else {
		return err_set(err, -EBADMSG, "this kernel keeps directories in another way");
	}
	if (r == -ECANCELED) {
		*ret = find.found;
		return 0;
	}
	return r < 0 ? wrap(err, r, "directory") : -ENOENT;
}
