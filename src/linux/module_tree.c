/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/limits.h"
#include "linux/module.h"
#include "linux/rbtree.h"

/* A node per kind of memory of each module. */
#define NODES_MAX (MODULES_MAX * MODULE_AREAS)

struct tree_fields {
	struct field tree, module, links, node, base, size;
};

static const struct member tree_members[] = {
	MEMBER(struct tree_fields, tree, "mod_tree_root.root.tree"),
	MEMBER(struct tree_fields, module, "mod_tree_node.mod"),
	MEMBER(struct tree_fields, links, "mod_tree_node.node.node"),

	/* What a node lies in, and stands for (kernel/module/tree_lookup.c, __mod_tree_val). */
	MEMBER(struct tree_fields, node, "module_memory.mtn|module_layout.mtn"),
	MEMBER(struct tree_fields, base, "module_memory.base|module_layout.base"),
	MEMBER(struct tree_fields, size, "module_memory.size|module_layout.size"),
};
LAYOUT(tree_layout, struct tree_fields, tree_members);

struct tree_walk {
	const struct tree_fields *f;
	struct view *view;
	struct module_nodes *nodes;
	unsigned copy;
};

static int visit_node(gva link, void *ctx, struct err *err)
{
	struct tree_walk *walk = ctx;
	const struct tree_fields *f = walk->f;
	struct module_node *node = vec_add(&walk->nodes->list);
	gva area;
	int r;

	if (!node)
		return -ENOMEM;
	node->node = gva_sub(link, f->links.at + (uint64_t)walk->copy * f->links.element_bytes);
	node->copies = 1u << walk->copy;
	area = field_object(node->node, &f->node);
	r = field_ptr(walk->view, node->node, &f->module, &node->module, err);
	if (r >= 0)
		r = field_ptr(walk->view, area, &f->base, &node->start, err);
	if (r >= 0)
		r = field_read(walk->view, area, &f->size, &node->size_bytes, err);
	return r;
}

static int by_node(const void *a, const void *b)
{
	const struct module_node *x = a, *y = b;

	return (x->node.v > y->node.v) - (x->node.v < y->node.v);
}

static void merge_copies(struct module_nodes *nodes)
{
	struct module_node *v = nodes->list.v;
	size_t n = 0;

	if (!nodes->list.n)
		return;
	qsort(v, nodes->list.n, sizeof(*v), by_node);
	for (size_t i = 0; i < nodes->list.n; i++) {
		if (n && v[n - 1].node.v == v[i].node.v)
			v[n - 1].copies |= v[i].copies;
		else
			v[n++] = v[i];
	}
	nodes->list.n = n;
}

int module_nodes_read(const struct kernel *kernel, struct view *view, struct module_nodes *ret,
		      struct err *err)
{
	struct tree_walk walk = { .view = view, .nodes = ret };
	gva root = symbols_lookup(kernel->symbols, "mod_tree");
	int r, bad;

	if (!root.v)
		return err_set(err, -ENOENT, "no tree of modules in this kernel");
	r = types_layout(kernel->types, &tree_layout, (const void **)&walk.f, err);
	if (r < 0)
		return r;
	for (walk.copy = 0; walk.copy < 2; walk.copy++) {
		gva tree = gva_add(field_at(root, &walk.f->tree),
				   (uint64_t)walk.copy * walk.f->tree.element_bytes);

		bad = rbtree_walk(kernel, view, tree, NODES_MAX, visit_node, &walk,
				  r < 0 ? NULL : err);
		if (bad < 0 && !r)
			r = bad;
	}
	merge_copies(ret);
	return r;
}

void module_nodes_free(struct module_nodes *nodes)
{
	vec_free(&nodes->list);
}
