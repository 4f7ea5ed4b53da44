/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/map.h"
#include "check/check.h"
#include "guest/list.h"
#include "linux/mount_read.h"
#include "linux/partial.h"
#include "linux/peek.h"
#include "linux/rbtree.h"

/*
 * The kernel finds a mount on its way through a path by the table of mounts, and by its file
 * system; /proc/mounts is made from what its namespace lists. What the first two have and the
 * third has not works on and is not shown.
 *
 * No finding, by rule: mounts that the kernel made for itself (kern_mount(), layers of an
 * overlay: their namespace is an error code), and those that were unmounted while in use
 * (no namespace, and neither has their parent). Mounts of a file descriptor (fsmount(2),
 * open_tree(2)) are in a namespace of their own, which lists them.
 */

#define ERR_FIRST	0xfffffffffffff000ull	/* IS_ERR_VALUE() */
#define HEADS_MAX	(1u << 24)	/* mhash_entries=; one for 512 KiB of RAM */
#define PIECE_HEADS	512u
#define SUPERS_MAX	65536u

struct fields {
	struct field hash, parent, ns, instance, next;
	struct field list, list_link, tree, tree_link, inum;
	struct field supers, mounts, head;
};

static const struct member members[] = {
	MEMBER(struct fields, hash, "mount.mnt_hash"),
	MEMBER(struct fields, parent, "mount.mnt_parent"),
	MEMBER(struct fields, ns, "mount.mnt_ns"),
	/* A plain list of pointers instead of a list_head from 6.18. */
	MEMBER_OPTIONAL(struct fields, instance, "mount.mnt_instance"),
	MEMBER_OPTIONAL(struct fields, next, "mount.mnt_next_for_sb"),
	MEMBER_OPTIONAL(struct fields, list, "mnt_namespace.list"),
	MEMBER(struct fields, list_link, "mount.mnt_list"),
	MEMBER_OPTIONAL(struct fields, tree, "mnt_namespace.mounts.rb_node"),
	MEMBER_OPTIONAL(struct fields, tree_link, "mount.mnt_node"),
	MEMBER(struct fields, inum, "mnt_namespace.ns.inum"),
	MEMBER(struct fields, supers, "super_block.s_list"),
	MEMBER(struct fields, mounts, "super_block.s_mounts"),
	MEMBER(struct fields, head, "hlist_head"),
};
LAYOUT(layout, struct fields, members);

enum {
	FOUND_HASH = 1,		/* a path leads to it */
	FOUND_SUPER = 2,	/* its file system has it */
};

struct place {
	gva at;			/* struct mount */
	unsigned found;
};

struct hunt {
	struct check_run *run;
	const struct kernel *kernel;
	struct view *view;
	const struct fields *f;
	struct partial partial;
	struct map index;	/* struct mount → place in @places */
	VEC(struct place) places;
	struct map listed;	/* struct mount → number of the namespace that lists it */
	struct map namespaces;	/* struct mnt_namespace → its number; 0: cannot be walked */
	uint32_t namespaces_n;
	uint32_t walked;	/* number of the namespace that is being walked */
	uint32_t reports;
};

static int add_place(struct hunt *hunt, gva at, unsigned way, struct err *err)
{
	struct place *place;
	uint32_t i;
	int r;

	if (!gva_is_kernel(at))
		return fail(err, -EBADMSG, at, "no place for a mount");
	if (map_get(&hunt->index, at.v, &i)) {
		if (hunt->places.v[i].found & way)
			return fail(err, -EBADMSG, at, "mount that is in one place twice");
		hunt->places.v[i].found |= way;
		return 0;
	}
	if (hunt->places.n == MOUNTS_MAX)
		return err_set(err, -ELOOP, "over %u mounts", MOUNTS_MAX);
	r = map_put(&hunt->index, at.v, (uint32_t)hunt->places.n);
	if (r < 0)
		return r;
	place = vec_add(&hunt->places);
	if (!place)
		return -ENOMEM;
	*place = (struct place){ at, way };
	return 0;
}

/* --- where mounts are found --- */

static int add_hashed(gva link, void *ctx, struct err *err)
{
	struct hunt *hunt = ctx;

	return add_place(hunt, field_object(link, &hunt->f->hash), FOUND_HASH, err);
}

static int walk_heads(struct hunt *hunt, gva at, uint32_t n, struct err *err)
{
	uint64_t heads[PIECE_HEADS];
	int r;

	r = view_read(hunt->view, at, heads, n * sizeof(*heads), err);
	for (uint32_t i = 0; r >= 0 && i < n; i++)
		if (heads[i])
			r = partial_add(&hunt->partial,
					hlist_walk(hunt->view, gva_add(at, i * sizeof(*heads)),
						   MOUNTS_MAX, add_hashed, hunt, err), err);
	return partial_add(&hunt->partial, r, err);
}

static int walk_table(struct hunt *hunt, struct err *err)
{
	uint32_t mask = 0;
	gva table, at;
	int r;

	r = kernel_symbol(hunt->kernel, "mount_hashtable", &table, err);
	if (r >= 0)
		r = kernel_symbol(hunt->kernel, "m_hash_mask", &at, err);
	if (r >= 0)
		r = view_u32(hunt->view, at, &mask, err);
	if (r >= 0)
		r = view_ptr(hunt->view, table, &table, err);
	if (r < 0)
		return r;
	if (mask >= HEADS_MAX || !gva_is_kernel(table))
		return fail(err, -EBADMSG, table, "table of mounts with %u chains", mask);
	for (uint64_t i = 0; r >= 0 && i <= mask; i += PIECE_HEADS) {
		uint64_t left = (uint64_t)mask + 1 - i;

		r = walk_heads(hunt, gva_add(table, i * sizeof(uint64_t)),
			       left < PIECE_HEADS ? (uint32_t)left : PIECE_HEADS, err);
	}
	return r;
}

static int add_instance(gva link, void *ctx, struct err *err)
{
	struct hunt *hunt = ctx;

	return add_place(hunt, field_object(link, &hunt->f->instance), FOUND_SUPER, err);
}

static int walk_plain(struct hunt *hunt, gva super, struct err *err)
{
	gva at;
	int r;

	r = field_ptr(hunt->view, super, &hunt->f->mounts, &at, err);
	for (uint32_t n = 0; r >= 0 && at.v; n++) {
		if (n == MOUNTS_MAX)
			return err_set(err, -ELOOP, "over %u mounts of a file system", n);
		r = add_place(hunt, at, FOUND_SUPER, err);
		if (r >= 0)
			r = field_ptr(hunt->view, at, &hunt->f->next, &at, err);
	}
	return r;
}

static int walk_super(gva link, void *ctx, struct err *err)
{
	struct hunt *hunt = ctx;
	gva super = field_object(link, &hunt->f->supers);
	int r;

	if (hunt->f->instance.there)
		r = list_walk(hunt->view, field_at(super, &hunt->f->mounts), MOUNTS_MAX,
			      add_instance, hunt, err);
	else if (hunt->f->next.there)
		r = walk_plain(hunt, super, err);
	else
		r = fail(err, -ENOENT, super, "mounts of a file system: not known how");
	return partial_add(&hunt->partial, r, err);
}

static int walk_supers(struct hunt *hunt, struct err *err)
{
	gva head;
	int r;

	r = kernel_symbol(hunt->kernel, "super_blocks", &head, err);
	return r < 0 ? r : list_walk(hunt->view, head, SUPERS_MAX, walk_super, hunt, err);
}

/* --- what a namespace lists --- */

/* One that two list could make forged namespaces cost as much as all of them together. */
static int list_one(struct hunt *hunt, gva mount, struct err *err)
{
	int r = map_put(&hunt->listed, mount.v, hunt->walked);

	return r > 0 ? fail(err, -EBADMSG, mount, "mount that two namespaces list") : r;
}

static int add_of_tree(gva link, void *ctx, struct err *err)
{
	struct hunt *hunt = ctx;

	return list_one(hunt, field_object(link, &hunt->f->tree_link), err);
}

static int add_of_list(gva link, void *ctx, struct err *err)
{
	struct hunt *hunt = ctx;

	return list_one(hunt, field_object(link, &hunt->f->list_link), err);
}

/* The number of a namespace, whose mounts are now known; 0: they cannot be. */
static int number_of(struct hunt *hunt, gva ns, uint32_t *number, struct err *err)
{
	const struct fields *f = hunt->f;
	int r;

	if (map_get(&hunt->namespaces, ns.v, number))
		return 0;
	if (hunt->namespaces_n == MOUNT_NAMESPACES_MAX)
		return err_set(err, -ELOOP, "over %u mount namespaces", MOUNT_NAMESPACES_MAX);
	hunt->walked = ++hunt->namespaces_n;
	if (f->tree.there && f->tree_link.there)
		r = rbtree_walk(hunt->kernel, hunt->view, field_at(ns, &f->tree), MOUNTS_MAX,
				add_of_tree, hunt, err);
	else if (f->list.there)
		r = list_walk(hunt->view, field_at(ns, &f->list), MOUNTS_MAX, add_of_list, hunt,
			      err);
	else
		r = err_set(err, -ENOENT, "mount namespaces without a list of mounts");
	*number = r < 0 ? 0 : hunt->walked;
	r = partial_add(&hunt->partial, r < 0 ? wrap(err, r, "mounts of a namespace") : 0, err);
	return r < 0 ? r : map_put(&hunt->namespaces, ns.v, *number);
}

/* --- and what is reported --- */

static bool is_namespace(gva ns)
{
	return ns.v && ns.v < ERR_FIRST;
}

static void report(struct hunt *hunt, const struct place *place, gva ns)
{
	struct mounts mounts = { 0 };
	struct mount_reader reader;
	struct mount mount = { 0 };
	struct finding *finding;
	uint64_t inum = 0;
	char text[256];
	int r;

	r = mount_reader_init(&reader, hunt->kernel, hunt->view, &mounts, NULL);
	if (r >= 0)
		r = mount_read(&reader, place->at, &mount, NULL);
	if (field_read(hunt->view, ns, &hunt->f->inum, &inum, NULL) < 0)
		inum = 0;
	finding = check_finding(hunt->run, SEVERITY_HIGH, "mount", place->at, "%s",
				mount.point ? mount.point : "?");
	finding_title(finding, "Mount that its namespace does not list: /proc/mounts lacks it");
	snprintf(text, sizeof(text), "%s from %s, ID %u", mount.type ? mount.type : "?",
		 mount.source ? mount.source : "?", mount.id);
	finding_evidence(finding, "struct mount", place->at, NULL, NULL, text);
	snprintf(text, sizeof(text), "it is not in mount namespace %llu",
		 (unsigned long long)inum);
	finding_evidence(finding, "mounts of the namespace", ns, NULL, "it is there", text);
	if (place->found & FOUND_HASH)
		finding_evidence(finding, "table of mounts", gva_of(0), NULL, NULL,
				 "it is there: paths lead to it");
	if (place->found & FOUND_SUPER)
		finding_evidence(finding, "mounts of its file system", gva_of(0), NULL, NULL,
				 "it is there");
	mount_free(&mount);
}

/* Where a path leads to a mount, it is in the namespace of the one that it is mounted on. */
static int judge(struct hunt *hunt, const struct place *place, struct err *err)
{
	struct peek peek = peek_at(hunt->view, err);
	gva ns = peek_ptr(&peek, place->at, &hunt->f->ns);
	gva parent = peek_object(&peek, place->at, &hunt->f->parent);
	uint32_t number, lists = 0;
	int r;

	if (place->found & FOUND_HASH && parent.v && parent.v != place->at.v) {
		gva above = peek_ptr(&peek, parent, &hunt->f->ns);

		if (is_namespace(above))
			ns = above;
	}
	if (peek.first < 0)
		return wrap(err, peek.first, "mount");
	if (!is_namespace(ns))
		return 0;
	if (!gva_is_kernel(ns))
		return fail(err, -EBADMSG, place->at, "no place for a mount namespace");
	r = number_of(hunt, ns, &number, err);
	if (r < 0 || !number)
		return r;
	if (map_get(&hunt->listed, place->at.v, &lists) && lists == number)
		return 0;
	if (hunt->reports++ == FINDINGS_MAX)
		return err_set(err, -ELOOP, "over %u hidden mounts", FINDINGS_MAX);
	report(hunt, place, ns);
	return 0;
}

static int hunt_all(struct hunt *hunt, struct err *err)
{
	int r;

	r = types_layout(hunt->kernel->types, &layout, (const void **)&hunt->f, err);
	if (r < 0)
		return r;
	r = partial_add(&hunt->partial, walk_table(hunt, err), err);
	if (r >= 0)
		r = partial_add(&hunt->partial, walk_supers(hunt, err), err);
	for (size_t i = 0; r >= 0 && i < hunt->places.n; i++)
		r = partial_add(&hunt->partial, judge(hunt, &hunt->places.v[i], err), err);
	check_covered(hunt->run, "mounts", hunt->places.n);
	check_covered(hunt->run, "mount namespaces", hunt->namespaces_n);
	return partial_end(&hunt->partial, r, err);
}

static int hidden_mount_run(struct check_run *run, struct err *err)
{
	struct hunt hunt = {
		.run = run, .kernel = check_kernel(run), .view = check_view(run),
	};
	int r;

	hunt.partial = partial_of(hunt.view);
	r = hunt_all(&hunt, err);
	map_free(&hunt.index);
	map_free(&hunt.listed);
	map_free(&hunt.namespaces);
	vec_free(&hunt.places);
	return r;
}

CHECK(hidden_mount,
	.id = "hidden-mount",
	.group = GROUP_HIDDEN,
	.title = "Mount that is hidden from /proc/mounts",
	.proves = "Every mount that a path leads to, or that a file system has in a mount "
		  "namespace, is among those that its namespace lists.",
	.techniques = TECHNIQUES("T1014", "T1564"),
	.fuel_max = 60000,
	.run = hidden_mount_run);
