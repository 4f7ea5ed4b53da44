/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/map.h"
#include "guest/list.h"
#include "linux/mount.h"
#include "linux/peek.h"
#include "monitor/behaviour_part.h"
#include "report/encode.h"

/*
 * Mounts. A mount namespace counts its changes (mnt_namespace.event): while the counts of all
 * that processes are in stay, the mounts are not read. Those of a namespace that is new are
 * copies of another one's, and with a namespace all of its mounts go: neither is told.
 */

struct count_fields {
	struct field tasks, proxy, ns, event;
};

static const struct member count_members[] = {
	MEMBER(struct count_fields, tasks, "task_struct.tasks"),
	MEMBER(struct count_fields, proxy, "task_struct.nsproxy"),
	MEMBER(struct count_fields, ns, "nsproxy.mnt_ns"),
	MEMBER(struct count_fields, event, "mnt_namespace.event"),
};
LAYOUT(count_layout, struct count_fields, count_members);

struct count {
	uint64_t ns, event;
};

struct counts {
	VEC(struct count) v;
	struct map by_ns;
	gva last;		/* the namespace that was met last: most are in the same */
	struct view *view;
	const struct count_fields *f;
};

struct part_mounts {
	struct mounts was, now;
	struct counts counts, counts_was;
};

static void counts_free(struct counts *counts)
{
	vec_free(&counts->v);
	map_free(&counts->by_ns);
	*counts = (struct counts){0};
}

static void *mounts_open(void)
{
	return calloc(1, sizeof(struct part_mounts));
}

static void mounts_forget(void *ctx)
{
	struct part_mounts *part = ctx;

	mounts_free(&part->was);
	mounts_free(&part->now);
	counts_free(&part->counts);
	counts_free(&part->counts_was);
}

static void mounts_close(void *ctx)
{
	mounts_forget(ctx);
	free(ctx);
}

static size_t mounts_count(const void *ctx)
{
	const struct part_mounts *part = ctx;

	return part->was.all.n;
}

static int add_count(gva link, void *ctx, struct err *err)
{
	struct counts *counts = ctx;
	struct peek peek = peek_at(counts->view, err);
	gva proxy = peek_object(&peek, field_object(link, &counts->f->tasks), &counts->f->proxy);
	gva ns = proxy.v ? peek_object(&peek, proxy, &counts->f->ns) : gva_of(0);
	struct count *count;
	int r;

	if (peek.first < 0 || !ns.v || ns.v == counts->last.v)
		return peek.first;
	counts->last = ns;
	r = map_put(&counts->by_ns, ns.v, 1);
	if (r)
		return r < 0 ? r : 0;
	count = vec_add(&counts->v);
	if (!count)
		return -ENOMEM;
	count->ns = ns.v;
	count->event = peek_u64(&peek, ns, &counts->f->event);
	return peek.first;
}

static int by_ns(const void *a, const void *b)
{
	const struct count *x = a, *y = b;

	return (x->ns > y->ns) - (x->ns < y->ns);
}

static int read_counts(const struct glance *glance, struct counts *counts, struct err *err)
{
	gva init;
	int r;

	counts->view = glance->view;
	r = types_layout(glance->kernel->types, &count_layout, (const void **)&counts->f, err);
	if (r >= 0)
		r = kernel_symbol(glance->kernel, "init_task", &init, err);
	if (r >= 0)
		r = list_walk(glance->view, field_at(init, &counts->f->tasks), BEHAVIOUR_TASKS_MAX,
			      add_count, counts, err);
	if (r >= 0 && counts->v.n)
		qsort(counts->v.v, counts->v.n, sizeof(*counts->v.v), by_ns);
	return r < 0 ? wrap(err, r, "mount namespaces") : 0;
}

static bool counts_equal(const struct counts *a, const struct counts *b)
{
	return a->v.n == b->v.n &&
	       (!a->v.n || !memcmp(a->v.v, b->v.v, a->v.n * sizeof(*a->v.v)));
}

static int mounts_read(void *ctx, const struct glance *glance, struct err *err)
{
	struct part_mounts *part = ctx;
	struct tasks tasks = {0};
	int r;

	counts_free(&part->counts);
	mounts_free(&part->now);
	r = read_counts(glance, &part->counts, err);
	if (r >= 0 && !glance->first && counts_equal(&part->counts, &part->counts_was))
		return READ_SAME;
	if (r >= 0)
		r = task_list(glance->kernel, glance->view, &tasks, err);
	if (r >= 0)
		r = mount_list(glance->kernel, glance->view, &tasks, &part->now, err);
	tasks_free(&tasks);
	return r < 0 ? r : READ_ALL;
}

static const struct mount_ns *find_ns(const struct mounts *mounts, const struct mount_ns *ns)
{
	for (size_t i = 0; i < mounts->namespaces.n; i++)
		if (mounts->namespaces.v[i].at.v == ns->at.v &&
		    mounts->namespaces.v[i].inode == ns->inode)
			return &mounts->namespaces.v[i];
	return NULL;
}

/* Paths do not count: a directory above may have got another name. */
static bool same(const struct mount *a, const struct mount *b)
{
	if (a->unique || b->unique)
		return a->unique == b->unique;
	return a->at.v == b->at.v && a->id == b->id && a->dev == b->dev &&
	       !strcmp(a->source ? a->source : "", b->source ? b->source : "");
}

static void tell_mount(const struct glance *glance, enum event_kind kind, const struct mount *mount)
{
	char flags[128];

	if (!glance_wants(glance, kind))
		return;
	glance_tell(glance, kind,
		  json_pack("{s:o, s:o, s:o, s:o, s:o, s:s, s:o}",
			    "id", encode_count(mount->id),
			    "source", encode_text(mount->source),
			    "root", encode_text(mount->root),
			    "point", encode_text(mount->point),
			    "type", encode_text(mount->type),
			    "flags", mount_print_flags(mount, flags, sizeof(flags)),
			    "ns", encode_count(mount->ns)));
}

/* Those of @all that @others, of the same namespace, has not. */
static int tell_others(const struct glance *glance, enum event_kind kind, const struct mounts *all,
		       const struct mount_ns *ns, const struct mounts *others,
		       const struct mount_ns *other)
{
	struct map known = {0};
	uint32_t place;
	int r = 0;

	for (uint32_t i = 0; i < other->mounts_n && r >= 0; i++)
		r = map_put(&known, others->all.v[other->mounts_at + i].at.v,
			    other->mounts_at + i);
	for (uint32_t i = 0; i < ns->mounts_n && r >= 0; i++) {
		const struct mount *mount = &all->all.v[ns->mounts_at + i];

		if (!map_get(&known, mount->at.v, &place) || !same(mount, &others->all.v[place]))
			tell_mount(glance, kind, mount);
	}
	map_free(&known);
	return r < 0 ? -ENOMEM : 0;
}

static int mounts_compare(void *ctx, const struct glance *glance, bool complete, struct err *err)
{
	struct part_mounts *part = ctx;
	int r = 0;

	(void)err;
	if (!complete)
		return 0;	/* the counts stay as they were: the next look reads again */
	for (size_t i = 0; i < part->was.namespaces.n && r >= 0; i++) {
		const struct mount_ns *was = &part->was.namespaces.v[i];
		const struct mount_ns *now = find_ns(&part->now, was);

		if (!now)
			continue;
		r = tell_others(glance, EVENT_UMOUNT, &part->was, was, &part->now, now);
		if (r >= 0)
			r = tell_others(glance, EVENT_MOUNT, &part->now, now, &part->was, was);
	}
	if (r < 0)
		return r;
	mounts_free(&part->was);
	counts_free(&part->counts_was);
	part->was = part->now;
	part->counts_was = part->counts;
	part->now = (struct mounts){0};
	part->counts = (struct counts){0};
	return 0;
}

const struct part behaviour_mounts = {
	.name = "mounts",
	.kinds = EVENT_BIT(EVENT_MOUNT) | EVENT_BIT(EVENT_UMOUNT),
	.open = mounts_open,
	.close = mounts_close,
	.read = mounts_read,
	.compare = mounts_compare,
	.forget = mounts_forget,
	.count_name = "mounts",
	.count = mounts_count,
};
