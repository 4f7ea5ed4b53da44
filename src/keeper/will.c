/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/will.h"

#include <string.h>

#include "guest/paging.h"
#include "linux/dcache.h"
#include "linux/mount.h"
#include "linux/page_cache.h"
#include "linux/task_ns.h"

struct will_fields {
	struct field fs, root, top, inode, size;
};

static const struct member will_members[] = {
	MEMBER(struct will_fields, fs, "task_struct.fs"),
	MEMBER(struct will_fields, root, "fs_struct.root.dentry"),
	MEMBER(struct will_fields, top, "mount.mnt.mnt_root"),
	MEMBER(struct will_fields, inode, "dentry.d_inode"),
	MEMBER(struct will_fields, size, "inode.i_size"),
};
LAYOUT(will_layout, struct will_fields, will_members);

struct search {
	struct look *look;
	const struct will_fields *f;
	uint8_t page[GUEST_PAGE_SIZE];
};

/* The directory /run of init: the root of what is mounted there last, else one of its root's. */
static int find_run(const struct search *search, const struct mounts *mounts, uint32_t ns,
		    gva *ret, struct err *err)
{
	const struct kernel *kernel = search->look->kernel;
	struct view *view = search->look->view;
	gva at = kernel->boot.first_task;
	int r;

	for (size_t i = mounts->all.n; i-- > 0;)
		if (mounts->all.v[i].ns == ns && !strcmp(mounts->all.v[i].point, "/run"))
			return field_ptr(view, mounts->all.v[i].at, &search->f->top, ret, err);
	r = field_ptr(view, at, &search->f->fs, &at, err);
	if (r >= 0)
		r = field_ptr(view, at, &search->f->root, &at, err);
	return r < 0 ? r : dcache_find(kernel, view, at, "run", ret, err);
}

static int find_directory(const struct search *search, gva *ret, struct err *err)
{
	const struct look *look = search->look;
	struct task first = { .at = look->kernel->boot.first_task, .pid = 1 };
	struct tasks one = { .v = &first, .n = 1 };
	struct mounts mounts = {0};
	struct task_ns ns = {0};
	gva run;
	int r;

	r = task_namespaces(look->kernel, look->view, &first, &ns, err);
	if (r >= 0)
		r = mount_list(look->kernel, look->view, &one, &mounts, err);
	if (r >= 0)
		r = find_run(search, &mounts, ns.mnt, &run, err);
	mounts_free(&mounts);
	return r < 0 ? r : dcache_find(look->kernel, look->view, run, "hvsm-agent", ret, err);
}

static int read_will(struct search *search, struct agent_will *ret, struct err *err)
{
	const struct kernel *kernel = search->look->kernel;
	struct view *view = search->look->view;
	uint64_t size = 0;
	gva at, inode;
	int r;

	r = find_directory(search, &at, err);
	if (r >= 0)
		r = dcache_find(kernel, view, at, "ended", &at, err);
	if (r >= 0)
		r = field_ptr(view, at, &search->f->inode, &inode, err);
	if (r >= 0)
		r = field_read(view, inode, &search->f->size, &size, err);
	if (r >= 0 && size < sizeof(*ret))
		return -ENOENT;
	if (r >= 0)
		r = page_cache_read(kernel, view, inode, 0, search->page, err);
	if (r >= 0)
		memcpy(ret, search->page, sizeof(*ret));
	return r;
}

int will_find(struct look *look, const struct memory *before, struct err *err)
{
	struct search search = { .look = look };
	struct agent_will will = {0};
	int r;

	r = types_layout(look->kernel->types, &will_layout, (const void **)&search.f, err);
	if (r >= 0)
		r = read_will(&search, &will, err);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (will.magic != AGENT_WILL_MAGIC || will.ended > AGENT_ANCESTORS_MAX)
		return 0;
	for (uint32_t i = 0; i < will.ended; i++)
		if (succession_fits(before, &will.all[i], UINT64_MAX))
			return 1;
	return 0;
}
