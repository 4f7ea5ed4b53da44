/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/uprobe.h"

#include <stdlib.h>

#include "base/limits.h"
#include "linux/partial.h"
#include "linux/rbtree.h"

struct uprobe_fields {
	struct field node, inode, offset, insn;
};

static const struct member uprobe_members[] = {
	MEMBER(struct uprobe_fields, node, "uprobe.rb_node"),
	MEMBER(struct uprobe_fields, inode, "uprobe.inode"),
	MEMBER(struct uprobe_fields, offset, "uprobe.offset"),
	MEMBER(struct uprobe_fields, insn, "uprobe.arch.insn"),
};
LAYOUT(uprobe_layout, struct uprobe_fields, uprobe_members);

struct walk {
	struct view *view;
	const struct uprobe_fields *f;
	struct uprobes *ret;
	struct partial partial;
};

static int visit(gva node, void *ctx, struct err *err)
{
	struct walk *walk = ctx;
	const struct uprobe_fields *f = walk->f;
	gva at = field_object(node, &f->node);
	struct uprobe *uprobe = vec_add(&walk->ret->all);
	int r;

	if (!uprobe)
		return -ENOMEM;
	r = field_ptr(walk->view, at, &f->inode, &uprobe->inode, err);
	if (r >= 0)
		r = field_read(walk->view, at, &f->offset, &uprobe->offset, err);
	if (r >= 0)
		r = view_read(walk->view, field_at(at, &f->insn), uprobe->insn, UPROBE_INSN_BYTES,
			      err);
	for (unsigned i = 0; r >= 0 && i < UPROBE_INSN_BYTES; i++)
		uprobe->insn_bytes |= uprobe->insn[i] ? UPROBE_INSN_BYTES : 0;
	if (r < 0)
		walk->ret->all.n--;
	return partial_add(&walk->partial, r, err);
}

int uprobes_read(const struct kernel *kernel, struct view *view, struct uprobes *ret,
		 struct err *err)
{
	gva root = symbols_lookup(kernel->symbols, "uprobes_tree");
	struct walk walk = { .view = view, .ret = ret, .partial = partial_of(view) };
	int r;

	if (!root.v)
		return 0;
	r = types_layout(kernel->types, &uprobe_layout, (const void **)&walk.f, err);
	if (r < 0)
		return r;
	if (walk.f->insn.size_bytes < UPROBE_INSN_BYTES)
		return err_set(err, -EBADMSG, "uprobes of %u bytes", walk.f->insn.size_bytes);
	r = rbtree_walk(kernel, view, root, KPROBES_MAX, visit, &walk, err);
	return partial_end(&walk.partial, r, err);
}

void uprobes_free(struct uprobes *uprobes)
{
	vec_free(&uprobes->all);
}
