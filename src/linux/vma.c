/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/vma.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/limits.h"
#include "linux/maple.h"
#include "linux/object.h"
#include "linux/rbtree.h"

#define ZERO_ENTRY	0x406u	/* XA_ZERO_ENTRY: a place that is kept (6.8, d24062914837) */

/*
 * A process that maps and unmaps all the time (each posix_spawn(3) of glibc does) has a new tree
 * some thousand times a second. The view's pages are of different moments, and a root and a leaf
 * that never were of one tree may lack any area: that there is none is said only by looks at pages
 * that were read anew for each, which takes microseconds.
 */
#define FRESH_TRIES	6u

struct vma_fields {
	struct field size, start, end, mm, flags, page, file, anon, ops, next, node;
	struct field list, tree, maple;
	struct field mm_size, count, code_start, code_end, heap_start, heap_end, stack;
	struct field env_start, env_end, exe;
};

static const struct member vma_members[] = {
	MEMBER(struct vma_fields, size, "vm_area_struct"),
	MEMBER(struct vma_fields, start, "vm_area_struct.vm_start"),
	MEMBER(struct vma_fields, end, "vm_area_struct.vm_end"),
	MEMBER(struct vma_fields, mm, "vm_area_struct.vm_mm"),
	MEMBER(struct vma_fields, flags, "vm_area_struct.vm_flags"),
	MEMBER(struct vma_fields, page, "vm_area_struct.vm_pgoff"),
	MEMBER(struct vma_fields, file, "vm_area_struct.vm_file"),
	MEMBER(struct vma_fields, anon, "vm_area_struct.anon_vma"),
	MEMBER(struct vma_fields, ops, "vm_area_struct.vm_ops"),
	MEMBER_OPTIONAL(struct vma_fields, next, "vm_area_struct.vm_next"),
	MEMBER_OPTIONAL(struct vma_fields, node, "vm_area_struct.vm_rb"),
	MEMBER_OPTIONAL(struct vma_fields, list, "mm_struct.mmap"),
	MEMBER_OPTIONAL(struct vma_fields, tree, "mm_struct.mm_rb"),
	MEMBER_OPTIONAL(struct vma_fields, maple, "mm_struct.mm_mt"),
	MEMBER(struct vma_fields, mm_size, "mm_struct"),
	MEMBER(struct vma_fields, count, "mm_struct.map_count"),
	MEMBER(struct vma_fields, code_start, "mm_struct.start_code"),
	MEMBER(struct vma_fields, code_end, "mm_struct.end_code"),
	MEMBER(struct vma_fields, heap_start, "mm_struct.start_brk"),
	MEMBER(struct vma_fields, heap_end, "mm_struct.brk"),
	MEMBER(struct vma_fields, stack, "mm_struct.start_stack"),
	MEMBER(struct vma_fields, env_start, "mm_struct.env_start"),
	MEMBER(struct vma_fields, env_end, "mm_struct.env_end"),
	MEMBER(struct vma_fields, exe, "mm_struct.exe_file"),
};
LAYOUT(vma_layout, struct vma_fields, vma_members);

int vma_space(const struct kernel *kernel, struct view *view, gva mm, struct vma_space *ret,
	      struct err *err)
{
	const struct vma_fields *f;
	struct object object;
	int r;

	r = types_layout(kernel->types, &vma_layout, (const void **)&f, err);
	if (r >= 0)
		r = object_read(view, mm, &f->mm_size, &object, err);
	if (r < 0)
		return wrap(err, r, "mm_struct");
	*ret = (struct vma_space){
		.at = mm,
		.code_start = object_uint(&object, &f->code_start),
		.code_end = object_uint(&object, &f->code_end),
		.heap_start = object_uint(&object, &f->heap_start),
		.heap_end = object_uint(&object, &f->heap_end),
		.stack_start = object_uint(&object, &f->stack),
		.env_start = object_uint(&object, &f->env_start),
		.env_end = object_uint(&object, &f->env_end),
		.exe = object_ptr(&object, &f->exe),
	};
	return 0;
}

struct walk {
	const struct kernel *kernel;
	struct view *view;
	const struct vma_fields *f;
	gva mm;
	uint64_t end;		/* of the area before */
	uint32_t n;		/* areas so far */
	vma_fn *visit;
	void *ctx;
	struct object object;
};

static int walk_open(const struct kernel *kernel, struct view *view, gva mm, struct walk *walk,
		     struct err *err)
{
	walk->kernel = kernel;
	walk->view = view;
	walk->mm = mm;
	walk->end = 0;
	walk->n = 0;
	return types_layout(kernel->types, &vma_layout, (const void **)&walk->f, err);
}

static int read_vma(struct walk *walk, gva at, struct vma *ret, struct err *err)
{
	const struct vma_fields *f = walk->f;
	const struct object *object = &walk->object;
	int r;

	r = object_read(walk->view, at, &f->size, &walk->object, err);
	if (r < 0)
		return wrap(err, r, "memory area");
	*ret = (struct vma){
		.at = at,
		.start = object_uint(object, &f->start),
		.end = object_uint(object, &f->end),
		.flags = object_uint(object, &f->flags),
		.page = object_uint(object, &f->page),
		.file = object_ptr(object, &f->file),
		.anon = object_ptr(object, &f->anon),
		.ops = object_ptr(object, &f->ops),
	};
	if (object_ptr(object, &f->mm).v != walk->mm.v || ret->start >= ret->end)
		return fail(err, -EBADMSG, at, "memory area of another process, or of none");
	if (ret->file.v && !gva_is_kernel(ret->file))
		return fail(err, -EBADMSG, at, "memory area of a file that cannot be");
	return 0;
}

static int visit_vma(struct walk *walk, const struct vma *vma, struct err *err)
{
	if (vma->start < walk->end)
		return fail(err, -EBADMSG, vma->at, "memory areas out of order");
	walk->end = vma->end;
	walk->n++;
	return walk->visit(vma, walk->ctx, err);
}

static int visit_range(const struct maple_range *range, void *ctx, struct err *err)
{
	struct walk *walk = ctx;
	struct vma vma;
	int r;

	if (range->entry == ZERO_ENTRY)
		return 0;
	r = read_vma(walk, gva_of(range->entry), &vma, err);
	if (r < 0)
		return r;
	if (vma.start != range->first || vma.end - 1 != range->last)
		return fail(err, -EBADMSG, vma.at, "memory area is not where its tree has it");
	return visit_vma(walk, &vma, err);
}

static int walk_list(struct walk *walk, struct err *err)
{
	const struct vma_fields *f = walk->f;
	struct vma vma;
	gva at;
	int r;

	r = field_ptr(walk->view, walk->mm, &f->list, &at, err);
	for (uint32_t n = 0; r >= 0 && at.v; n++) {
		if (n == VMAS_MAX)
			return fail(err, -ELOOP, at, "over %u memory areas", VMAS_MAX);
		r = read_vma(walk, at, &vma, err);
		if (r >= 0) {
			at = object_ptr(&walk->object, &f->next);
			r = visit_vma(walk, &vma, err);
		}
	}
	return r;
}

int vma_walk(const struct kernel *kernel, struct view *view, gva mm, vma_fn *visit, void *ctx,
	     struct err *err)
{
	struct walk walk;
	uint64_t count;
	int r;

	r = walk_open(kernel, view, mm, &walk, err);
	if (r < 0)
		return r;
	walk.visit = visit;
	walk.ctx = ctx;
	if (walk.f->maple.there)
		r = maple_walk(kernel, view, field_at(mm, &walk.f->maple), VMAS_MAX, visit_range,
			       &walk, err);
	else if (walk.f->list.there && walk.f->next.there)
		r = walk_list(&walk, err);
	else
		return err_set(err, -ENOENT, "this kernel keeps memory areas in another way");
	if (r >= 0)
		r = field_read(view, mm, &walk.f->count, &count, err);
	/* One that was taken out of the tree still has its pages. */
	if (r >= 0 && (uint32_t)count != walk.n)
		r = fail(err, -EBADMSG, mm, "%u memory areas, but %u are counted", walk.n,
			 (uint32_t)count);
	return r;
}

/* --- one area --- */

struct search {
	struct walk walk;
	uint64_t address;
	struct vma found;
};

static int compare(gva node, void *ctx, int *r, struct err *err)
{
	struct search *search = ctx;

	*r = read_vma(&search->walk, field_object(node, &search->walk.f->node), &search->found,
		      err);
	if (*r < 0)
		return 0;
	if (search->address < search->found.start)
		return -1;
	return search->address >= search->found.end;
}

static int find_once(struct search *search, struct vma *ret, struct err *err)
{
	const struct vma_fields *f = search->walk.f;
	const struct kernel *kernel = search->walk.kernel;
	struct view *view = search->walk.view;
	uint64_t address = search->address;
	gva mm = search->walk.mm;
	struct maple_range range;
	gva node;
	int r;

	if (f->maple.there) {
		r = maple_find(kernel, view, field_at(mm, &f->maple), address, &range, err);
		if (r >= 0 && range.entry == ZERO_ENTRY)
			r = -ENOENT;
		if (r >= 0)
			r = read_vma(&search->walk, gva_of(range.entry), &search->found, err);
	} else if (f->tree.there && f->node.there) {
		r = rbtree_find(kernel, view, field_at(mm, &f->tree), compare, search, &node,
				err);
	} else {
		return err_set(err, -EBADMSG, "this kernel keeps memory areas in another way");
	}
	if (r >= 0 && (address < search->found.start || address >= search->found.end))
		r = fail(err, -EBADMSG, search->found.at,
			 "memory area is not where its tree has it");
	if (r >= 0)
		*ret = search->found;
	return r;
}

int vma_find(const struct kernel *kernel, struct view *view, gva mm, uint64_t address,
	     struct vma *ret, struct err *err)
{
	struct search search = { .address = address };
	int r = walk_open(kernel, view, mm, &search.walk, err);

	if (r < 0)
		return r;
	r = find_once(&search, ret, err);
	for (unsigned int i = 0; i < FRESH_TRIES && ram_is_live(view_ram(view)); i++) {
		if (r != -ENOENT && r != -EBADMSG && r != -EFAULT)
			break;
		view_refresh(view);
		r = find_once(&search, ret, err);
	}
	return r;
}

/* --- what it is --- */

bool vma_is_special(const struct kernel *kernel, const struct vma *vma)
{
	static const char *const names[] = {
		"special_mapping_vmops", "legacy_special_mapping_vmops"
	};
	gva at;

	if (vma->file.v || !vma->ops.v)
		return false;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (symbols_find(kernel->symbols, names[i], &at, NULL) >= 0 && at.v == vma->ops.v)
			return true;
	return false;
}

const char *vma_kind(const struct vma *vma, const struct vma_space *space)
{
	if (vma->file.v)
		return "file";
	if (vma_is_stack(vma, space))
		return "[stack]";
	return vma_is_heap(vma, space) ? "[heap]" : "anonymous";
}

const char *vma_print(const struct vma *vma, char *buf)
{
	snprintf(buf, VMA_TEXT_BYTES, "%" PRIx64 "-%" PRIx64 " %c%c%c%c", vma->start, vma->end,
		 vma->flags & VMA_READ ? 'r' : '-', vma->flags & VMA_WRITE ? 'w' : '-',
		 vma->flags & VMA_EXEC ? 'x' : '-', vma->flags & VMA_SHARED ? 's' : 'p');
	return buf;
}
