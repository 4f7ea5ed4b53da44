/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "guest/list.h"
#include "linux/hook.h"
#include "linux/object.h"

/*
 * /sys and the control groups: trees of struct kernfs_node (fs/kernfs). A file in /sys stands for
 * an attribute, a directory for a kobject whose type says what its attributes are
 * (fs/sysfs/file.c); a file of a control group stands for a cftype (kernel/cgroup/cgroup.c).
 * There are ten thousands of nodes and some thousands of attributes: each node is read once,
 * each attribute is looked at once.
 */
#define NODE_KIND      0x000fu		/* kernfs_node.flags: enum kernfs_node_type */
#define NODE_DIRECTORY 0x0001u
#define NODE_FILE      0x0002u

struct node_fields {
	struct field size, link, parent, name, left, right, flags, priv, children, ops, root_node;
	struct field type, type_ops;
	struct field cgroup_list, cgroup_root;
};

static const struct member node_members[] = {
	MEMBER(struct node_fields, size, "kernfs_node"),
	MEMBER(struct node_fields, link, "kernfs_node.rb"),
	MEMBER(struct node_fields, parent, "kernfs_node.__parent|kernfs_node.parent"),
	MEMBER(struct node_fields, name, "kernfs_node.name"),
	MEMBER(struct node_fields, left, "kernfs_node.rb.rb_left"),
	MEMBER(struct node_fields, right, "kernfs_node.rb.rb_right"),
	MEMBER(struct node_fields, flags, "kernfs_node.flags"),
	MEMBER(struct node_fields, priv, "kernfs_node.priv"),
	MEMBER(struct node_fields, children, "kernfs_node.dir.children.rb_node"),
	MEMBER(struct node_fields, ops, "kernfs_node.attr.ops"),
	MEMBER(struct node_fields, root_node, "kernfs_root.kn"),
	MEMBER(struct node_fields, type, "kobject.ktype"),
	MEMBER(struct node_fields, type_ops, "kobj_type.sysfs_ops"),
	MEMBER_OPTIONAL(struct node_fields, cgroup_list, "cgroup_root.root_list"),
	MEMBER_OPTIONAL(struct node_fields, cgroup_root, "cgroup_root.kf_root"),
};
LAYOUT(node_layout, struct node_fields, node_members);

/*
 * What an attribute is part of, by the operations of its kobject's type: these take it for that
 * without asking. Others lead to attributes of whoever made the type.
 */
static const struct container {
	const char *ops;
	const char *type;
	const char *attr, *show, *store;
} containers[] = {
#define CONTAINER(ops, type) { ops, type, type ".attr", type ".show", type ".store" }
	CONTAINER("kobj_sysfs_ops", "kobj_attribute"),
	CONTAINER("dev_sysfs_ops", "device_attribute"),
	CONTAINER("bus_sysfs_ops", "bus_attribute"),
	CONTAINER("driver_sysfs_ops", "driver_attribute"),
	CONTAINER("class_sysfs_ops", "class_attribute"),
	CONTAINER("module_sysfs_ops", "module_attribute"),
	CONTAINER("slab_sysfs_ops", "slab_attribute"),
	CONTAINER("queue_sysfs_ops", "queue_sysfs_entry"),
	CONTAINER("elv_sysfs_ops", "elv_fs_entry"),
	CONTAINER("rx_queue_sysfs_ops", "rx_queue_attribute"),
	CONTAINER("netdev_queue_sysfs_ops", "netdev_queue_attribute"),
#undef CONTAINER
};

#define CONTAINERS (sizeof(containers) / sizeof(*containers))
#define NO_CONTAINER CONTAINERS

struct known {
	gva ops;		/* 0: this kernel has none */
	struct field attr, show, store;
};

/* A subtree that is to be visited. */
struct todo {
	gva at;
	uint32_t container;	/* of the attributes in this directory */
};

struct trees {
	struct hook_walk *walk;
	const struct node_fields *f;
	struct known known[CONTAINERS];
	struct map types;	/* kobj_type → its container */
	struct map attributes;
	gva looked_at[16];	/* tables of operations that were, by their addresses */
	VEC(struct todo) todo;
	const char *top;	/* "/sys" */
	bool is_sysfs;
	gva binary[4];		/* operations of binary attributes */
	struct object node;
};

static void print_path(const struct hook_object *object, char *buf, size_t size)
{
	const struct trees *trees = object->ctx;
	struct view *view = trees->walk->view;
	char path[512], name[128];
	size_t at = sizeof(path) - 1;
	gva node = object->at, parent, text;

	path[at] = '\0';
	for (unsigned depth = 0; depth < PATH_DEPTH_MAX; depth++) {
		size_t n;

		if (field_ptr(view, node, &trees->f->parent, &parent, NULL) < 0 || !parent.v ||
		    field_ptr(view, node, &trees->f->name, &text, NULL) < 0 ||
		    view_string(view, text, name, sizeof(name), NULL) < 0)
			break;
		n = strlen(name);
		if (n + 1 > at)
			break;
		at -= n;
		memcpy(path + at, name, n);
		path[--at] = '/';
		node = parent;
	}
	snprintf(buf, size, "%s%s", trees->top, path + at);
}

/* @link: its struct rb_node; 0: none. */
static int push(struct trees *trees, gva link, uint32_t container)
{
	struct todo *todo;

	if (!link.v)
		return 0;
	todo = vec_add(&trees->todo);
	if (!todo)
		return -ENOMEM;
	*todo = (struct todo){ field_object(link, &trees->f->link), container };
	return 0;
}

/* One function of an attribute, which is a constant of whoever made it. */
static int visit_function(struct trees *trees, const struct hook_object *object, gva attribute,
			  const char *type, const char *member, const struct field *field,
			  struct err *err)
{
	struct hook_walk *walk = trees->walk;
	struct hook hook = {
		.object = object,
		.at = field_at(attribute, field),
		.table = attribute,
		.type = type,
		.member = member,
	};
	int r;

	if (!field->there)
		return 0;
	r = view_ptr(walk->view, hook.at, &hook.target, err);
	if (r < 0)
		return partial_add(&walk->partial, r, err);
	if (!hook.target.v)
		return 0;
	walk->pointers++;
	return walk->visit(&hook, walk->ctx, err);
}

static int visit_attribute(struct trees *trees, const struct hook_object *object, gva attr,
			   uint32_t container, struct err *err)
{
	const struct known *known = &trees->known[container];
	gva at = field_object(attr, &known->attr);
	int r = visit_function(trees, object, at, containers[container].type, "show", &known->show,
			   err);
	return r < 0 ? r : visit_function(trees, object, at, containers[container].type, "store",
					  &known->store, err);
}

static bool is_binary(const struct trees *trees, gva ops)
{
	for (size_t i = 0; i < ARRAY_SIZE(trees->binary); i++)
		if (ops.v && ops.v == trees->binary[i].v)
			return true;
	return false;
}

static int visit_file(struct trees *trees, gva at, gva ops, gva priv, uint32_t container,
		      struct err *err)
{
	struct hook_walk *walk = trees->walk;
	struct hook_object object = {
		.mechanism = trees->is_sysfs ? "file in /sys" : "control group file",
		.at = at,
		.print = print_path,
		.ctx = trees,
	};
	gva *looked_at = &trees->looked_at[ops.v / 64 % ARRAY_SIZE(trees->looked_at)];
	bool binary = is_binary(trees, ops);
	int r = 0;

	/* How files are read is the kernel's own, and so are the controllers. */
	object.home = walk->kernel->text;
	if (looked_at->v != ops.v)
		r = hook_table(walk, &object, "kernfs_ops", ops, err);
	if (r >= 0 && gva_is_kernel(ops))
		*looked_at = ops;
	if (r < 0 || !priv.v)
		return r;
	if (!trees->is_sysfs)
		return hook_table(walk, &object, "cftype", priv, err);
	if (!binary && container == NO_CONTAINER)
		return 0;
	r = map_put(&trees->attributes, priv.v, 1);
	if (r)
		return r < 0 ? r : 0;
	object.home = gva_of(0);
	if (binary)
		return hook_table(walk, &object, "bin_attribute", priv, err);
	return visit_attribute(trees, &object, priv, container, err);
}

/* What the attributes of a kobject are. */
static int visit_kobject(struct trees *trees, gva node, gva kobject, uint32_t *ret,
			 struct err *err)
{
	struct hook_walk *walk = trees->walk;
	struct hook_object object = {
		.mechanism = "directory in /sys",
		.at = node,
		.print = print_path,
		.ctx = trees,
	};
	gva type, ops;
	int r;

	*ret = NO_CONTAINER;
	if (!trees->is_sysfs || !kobject.v)
		return 0;
	r = field_ptr(walk->view, kobject, &trees->f->type, &type, err);
	if (r < 0 || !type.v || map_get(&trees->types, type.v, ret))
		return r;
	r = hook_table(walk, &object, "kobj_type", type, err);
	if (r >= 0)
		r = field_ptr(walk->view, type, &trees->f->type_ops, &ops, err);
	if (r < 0)
		return r;
	for (uint32_t i = 0; i < CONTAINERS && *ret == NO_CONTAINER; i++)
		if (ops.v && ops.v == trees->known[i].ops.v)
			*ret = i;
	return map_put(&trees->types, type.v, *ret);
}

static int visit_node(struct trees *trees, const struct todo *todo, struct err *err)
{
	const struct node_fields *f = trees->f;
	const struct object *node = &trees->node;
	uint32_t container, kind;
	gva priv, first;
	int r = object_read(trees->walk->view, todo->at, &f->size, &trees->node, err);

	if (r < 0)
		return r;
	trees->walk->objects++;
	kind = object_u32(node, &f->flags) & NODE_KIND;
	priv = object_ptr(node, &f->priv);
	first = object_ptr(node, &f->children);
	r = push(trees, object_ptr(node, &f->left), todo->container);
	if (r >= 0)
		r = push(trees, object_ptr(node, &f->right), todo->container);
	if (r < 0)
		return r;
	if (kind == NODE_FILE)
		return visit_file(trees, todo->at, object_ptr(node, &f->ops), priv,
				  todo->container, err);
	if (kind != NODE_DIRECTORY)
		return 0;
	r = visit_kobject(trees, todo->at, priv, &container, err);
	return r < 0 ? r : push(trees, first, container);
}

static int walk_tree(struct trees *trees, gva root, struct err *err)
{
	struct hook_walk *walk = trees->walk;
	struct hook_object object = { .mechanism = "kernfs root", .at = root, .text = trees->top };
	uint32_t left = SYSFS_NODES_MAX;
	gva first;
	int r = hook_members(walk, &object, "kernfs_root", err);

	if (r >= 0)
		r = partial_add(&walk->partial,
				field_ptr(walk->view, root, &trees->f->root_node, &first, err),
				err);
	trees->todo.n = 0;
	if (r >= 0)
		r = push(trees, field_at(first, &trees->f->link), NO_CONTAINER);
	while (r >= 0 && trees->todo.n && left--) {
		struct todo todo = trees->todo.v[--trees->todo.n];

		r = partial_add(&walk->partial, visit_node(trees, &todo, err), err);
	}
	if (r >= 0 && trees->todo.n)
		return err_set(err, -ELOOP, "over %u nodes in %s", SYSFS_NODES_MAX, trees->top);
	return r;
}

static int visit_cgroups(gva link, void *ctx, struct err *err)
{
	struct trees *trees = ctx;
	gva root;
	int r = field_ptr(trees->walk->view, field_object(link, &trees->f->cgroup_list),
			  &trees->f->cgroup_root, &root, err);

	if (r < 0 || !root.v)
		return partial_add(&trees->walk->partial, r, err);
	return walk_tree(trees, root, err);
}

static const char *const binaries[] = {
	"sysfs_bin_kfops_ro", "sysfs_bin_kfops_rw", "sysfs_bin_kfops_wo", "sysfs_bin_kfops_mmap",
};

static void know_containers(struct trees *trees)
{
	const struct kernel *kernel = trees->walk->kernel;

	for (size_t i = 0; i < ARRAY_SIZE(trees->binary); i++)
		trees->binary[i] = symbols_lookup(kernel->symbols, binaries[i]);
	for (size_t i = 0; i < CONTAINERS; i++) {
		struct known *known = &trees->known[i];

		if (types_field(kernel->types, containers[i].attr, &known->attr, NULL) < 0)
			continue;
		known->ops = symbols_lookup(kernel->symbols, containers[i].ops);
		if (types_field(kernel->types, containers[i].show, &known->show, NULL) < 0)
			known->show.there = false;
		if (types_field(kernel->types, containers[i].store, &known->store, NULL) < 0)
			known->store.there = false;
	}
}

/* The root of /sys by its node: another symbol is called sysfs_root as well. */
static int find_sysfs(struct trees *trees, gva *ret, struct err *err)
{
	struct field root;
	gva symbol, node;
	int r = types_field(trees->walk->kernel->types, "kernfs_node.dir.root", &root, err);

	if (r >= 0)
		r = kernel_symbol(trees->walk->kernel, "sysfs_root_kn", &symbol, err);
	if (r >= 0)
		r = view_ptr(trees->walk->view, symbol, &node, err);
	return r < 0 ? r : field_ptr(trees->walk->view, node, &root, ret, err);
}

static int walk_sysfs(struct hook_walk *walk, struct err *err)
{
	cleanup(freep) struct trees *trees = calloc(1, sizeof(*trees));
	gva root;
	int r;

	if (!trees)
		return -ENOMEM;
	trees->walk = walk;
	trees->top = "/sys";
	trees->is_sysfs = true;
	r = types_layout(walk->kernel->types, &node_layout, (const void **)&trees->f, err);
	if (r >= 0)
		r = find_sysfs(trees, &root, err);
	if (r >= 0) {
		know_containers(trees);
		r = walk_tree(trees, root, err);
	}
	root = symbols_lookup(walk->kernel->symbols, "cgroup_roots");
	if (r >= 0 && root.v && trees->f->cgroup_list.there && trees->f->cgroup_root.there) {
		trees->top = "cgroup";
		trees->is_sysfs = false;
		r = partial_add(&walk->partial,
				list_walk(walk->view, root, REGISTERED_MAX, visit_cgroups, trees,
					  err), err);
	}
	vec_free(&trees->todo);
	map_free(&trees->types);
	map_free(&trees->attributes);
	return r;
}

const struct hook_source hooks_sysfs = { .id = "sysfs", .walk = walk_sysfs };
