/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/tracing.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "guest/list.h"
#include "linux/kprobe.h"
#include "linux/object.h"
#include "linux/partial.h"
#include "linux/rbtree.h"

struct walk {
	const struct kernel *kernel;
	struct view *view;
	const void *fields;
	callback_fn *visit;
	void *ctx;
	uint64_t *seen;
	struct partial partial;
};

static struct walk walk_of(const struct kernel *kernel, struct view *view, callback_fn *visit,
			   void *ctx, uint64_t *seen)
{
	*seen = 0;
	return (struct walk){
		.kernel = kernel, .view = view, .visit = visit, .ctx = ctx, .seen = seen,
		.partial = partial_of(view),
	};
}

/* The pointer @field of an object that was copied, where it is there and set. */
static int tell(struct walk *walk, struct callback *callback, const struct object *object,
		const struct field *field, const char *what, struct err *err)
{
	gva target = object_ptr(object, field);

	if (!field->there || !target.v)
		return 0;
	callback->what = what;
	callback->slot = object_at(object, field);
	callback->target = target;
	return walk->visit(callback, walk->ctx, err);
}

/* --- kprobes --- */

struct kprobe_fields {
	struct field size, list, address, pre, post, fault;
	struct field kretprobe, kp, handler, entry;
};

static const struct member kprobe_members[] = {
	MEMBER(struct kprobe_fields, size, "kprobe"),
	MEMBER(struct kprobe_fields, list, "kprobe.list"),
	MEMBER(struct kprobe_fields, address, "kprobe.addr"),
	MEMBER(struct kprobe_fields, pre, "kprobe.pre_handler"),
	MEMBER(struct kprobe_fields, post, "kprobe.post_handler"),
	MEMBER_OPTIONAL(struct kprobe_fields, fault, "kprobe.fault_handler"), /* ≤ 5.13 */
	MEMBER_OPTIONAL(struct kprobe_fields, kretprobe, "kretprobe"),
	MEMBER_OPTIONAL(struct kprobe_fields, kp, "kretprobe.kp"),
	MEMBER_OPTIONAL(struct kprobe_fields, handler, "kretprobe.handler"),
	MEMBER_OPTIONAL(struct kprobe_fields, entry, "kretprobe.entry_handler"),
};
LAYOUT(kprobe_layout, struct kprobe_fields, kprobe_members);

/* Is @target the kernel's function @name? */
static bool leads_to(const struct walk *walk, gva target, const char *name)
{
	return target.v && target.v == symbols_lookup(walk->kernel->symbols, name).v;
}

static int tell_kretprobe(struct walk *walk, gva kprobe, gva address, struct err *err)
{
	const struct kprobe_fields *f = walk->fields;
	struct callback callback = { .kind = "kretprobe", .at = address };
	struct object object;
	int r;

	if (!f->kp.there)
		return 0;
	callback.object = field_object(kprobe, &f->kp);
	r = object_read(walk->view, callback.object, &f->kretprobe, &object, err);
	if (r >= 0)
		r = tell(walk, &callback, &object, &f->handler, "handler", err);
	if (r >= 0)
		r = tell(walk, &callback, &object, &f->entry, "entry_handler", err);
	return r;
}

static int tell_kprobe(struct walk *walk, gva at, gva *pre, struct err *err)
{
	const struct kprobe_fields *f = walk->fields;
	struct callback callback = { .kind = "kprobe", .object = at };
	struct object object;
	int r;

	r = object_read(walk->view, at, &f->size, &object, err);
	if (r < 0)
		return r;
	++*walk->seen;
	callback.at = object_ptr(&object, &f->address);
	*pre = object_ptr(&object, &f->pre);
	r = tell(walk, &callback, &object, &f->pre, "pre_handler", err);
	if (r >= 0)
		r = tell(walk, &callback, &object, &f->post, "post_handler", err);
	if (r >= 0)
		r = tell(walk, &callback, &object, &f->fault, "fault_handler", err);
	if (r >= 0 && leads_to(walk, *pre, "pre_handler_kretprobe"))
		r = tell_kretprobe(walk, at, callback.at, err);
	return r;
}

/* One of several at the same instruction. */
static int visit_shared(gva link, void *ctx, struct err *err)
{
	struct walk *walk = ctx;
	const struct kprobe_fields *f = walk->fields;
	gva pre;

	return tell_kprobe(walk, field_object(link, &f->list), &pre, err);
}

int kprobe_callbacks(const struct kernel *kernel, struct view *view, callback_fn *visit,
		     void *ctx, uint64_t *seen, struct err *err)
{
	struct walk walk = walk_of(kernel, view, visit, ctx, seen);
	const struct kprobe_fields *f;
	struct kprobes kprobes = { 0 };
	int r;

	if (!symbols_lookup(kernel->symbols, "kprobe_table").v)
		return 0;
	r = types_layout(kernel->types, &kprobe_layout, (const void **)&f, err);
	if (r < 0)
		return r;
	walk.fields = f;
	r = partial_add(&walk.partial, kprobes_read(kernel, view, &kprobes, err), err);
	for (size_t i = 0; i < kprobes.list.n && r >= 0; i++) {
		gva at = kprobes.list.v[i].at, pre = { 0 };

		r = tell_kprobe(&walk, at, &pre, err);
		if (r >= 0 && leads_to(&walk, pre, "aggr_pre_handler"))
			r = list_walk(view, field_at(at, &f->list), KPROBES_MAX, visit_shared,
				      &walk, err);
		r = partial_add(&walk.partial, r, err);
	}
	kprobes_free(&kprobes);
	return partial_end(&walk.partial, r, err);
}

/* --- tracepoints --- */

#define PROBES_MAX 1024u	/* on one tracepoint: a tracer has one */
#define TRACEPOINTS_MAX 65536u	/* of the kernel, or of one module: Debian's has 900 */

struct tracepoint_fields {
	struct field size, name, key, funcs, iterator, call_key, regfunc, unregfunc;
	struct field ext, ext_size, ext_regfunc, ext_unregfunc;
	struct field probe, func, data, key_func;
	struct field module_ptrs, module_n;
};

static const struct member tracepoint_members[] = {
	MEMBER(struct tracepoint_fields, size, "tracepoint"),
	MEMBER(struct tracepoint_fields, name, "tracepoint.name"),
	MEMBER(struct tracepoint_fields, funcs, "tracepoint.funcs"),
	MEMBER_OPTIONAL(struct tracepoint_fields, iterator, "tracepoint.iterator"),
	MEMBER_OPTIONAL(struct tracepoint_fields, call_key, "tracepoint.static_call_key"),
	MEMBER_OPTIONAL(struct tracepoint_fields, regfunc, "tracepoint.regfunc"),
	MEMBER_OPTIONAL(struct tracepoint_fields, unregfunc, "tracepoint.unregfunc"),
	/* From 6.13 on the two are in a struct of their own. */
	MEMBER_OPTIONAL(struct tracepoint_fields, ext, "tracepoint.ext"),
	MEMBER_OPTIONAL(struct tracepoint_fields, ext_size, "tracepoint_ext"),
	MEMBER_OPTIONAL(struct tracepoint_fields, ext_regfunc, "tracepoint_ext.regfunc"),
	MEMBER_OPTIONAL(struct tracepoint_fields, ext_unregfunc, "tracepoint_ext.unregfunc"),
	MEMBER(struct tracepoint_fields, probe, "tracepoint_func"),
	MEMBER(struct tracepoint_fields, func, "tracepoint_func.func"),
	MEMBER(struct tracepoint_fields, data, "tracepoint_func.data"),
	MEMBER_OPTIONAL(struct tracepoint_fields, key_func, "static_call_key.func"),
	MEMBER_OPTIONAL(struct tracepoint_fields, module_ptrs, "module.tracepoints_ptrs"),
	MEMBER_OPTIONAL(struct tracepoint_fields, module_n, "module.num_tracepoints"),
};
LAYOUT(tracepoint_layout, struct tracepoint_fields, tracepoint_members);

/* An array that ends with a probe without a function. */
static int tell_probes(struct walk *walk, struct callback *callback, gva funcs, struct err *err)
{
	const struct tracepoint_fields *f = walk->fields;
	struct object probe;
	int r;

	for (uint32_t i = 0; i < PROBES_MAX; i++) {
		r = object_read(walk->view, gva_add(funcs, i * (uint64_t)f->probe.size_bytes),
				&f->probe, &probe, err);
		if (r < 0 || !object_ptr(&probe, &f->func).v)
			return r;
		callback->data = object_ptr(&probe, &f->data);
		r = tell(walk, callback, &probe, &f->func, "probe", err);
		callback->data = gva_of(0);
		if (r < 0)
			return r;
	}
	return fail(err, -ELOOP, funcs, "over %u probes on a tracepoint", PROBES_MAX);
}

static int tell_ext(struct walk *walk, struct callback *callback, gva ext, struct err *err)
{
	const struct tracepoint_fields *f = walk->fields;
	struct object object;
	int r;

	r = object_read(walk->view, ext, &f->ext_size, &object, err);
	if (r >= 0)
		r = tell(walk, callback, &object, &f->ext_regfunc, "regfunc", err);
	if (r >= 0)
		r = tell(walk, callback, &object, &f->ext_unregfunc, "unregfunc", err);
	return r;
}

/* What the code calls at the tracepoint; without probes it is what was called last. */
static int tell_call(struct walk *walk, struct callback *callback, gva key, struct err *err)
{
	const struct tracepoint_fields *f = walk->fields;
	int r;

	if (!key.v || !f->key_func.there)
		return 0;
	r = field_ptr(walk->view, key, &f->key_func, &callback->target, err);
	if (r < 0 || !callback->target.v)
		return r;
	callback->what = "static call";
	callback->slot = field_at(key, &f->key_func);
	return walk->visit(callback, walk->ctx, err);
}

static int tell_tracepoint(struct walk *walk, gva at, struct err *err)
{
	const struct tracepoint_fields *f = walk->fields;
	struct callback callback = { .kind = "tracepoint", .object = at };
	struct object object;
	gva funcs, ext;
	int r;

	r = object_read(walk->view, at, &f->size, &object, err);
	if (r >= 0)
		r = view_string(walk->view, object_ptr(&object, &f->name), callback.name,
				sizeof(callback.name), err);
	if (r < 0)
		return r;
	++*walk->seen;
	funcs = object_ptr(&object, &f->funcs);
	ext = object_ptr(&object, &f->ext);
	r = tell(walk, &callback, &object, &f->iterator, "iterator", err);
	if (r >= 0)
		r = tell(walk, &callback, &object, &f->regfunc, "regfunc", err);
	if (r >= 0)
		r = tell(walk, &callback, &object, &f->unregfunc, "unregfunc", err);
	if (r >= 0 && ext.v)
		r = tell_ext(walk, &callback, ext, err);
	if (r >= 0 && funcs.v)
		r = tell_probes(walk, &callback, funcs, err);
	if (r >= 0 && funcs.v)
		r = tell_call(walk, &callback, object_ptr(&object, &f->call_key), err);
	return r;
}

/* Each entry is the distance from itself to a tracepoint (CONFIG_HAVE_ARCH_PREL32_RELOCATIONS). */
static int tell_table(struct walk *walk, gva table, uint64_t n, struct err *err)
{
	cleanup(freep) int32_t *entries = NULL;
	int r = 0;

	if (!n)
		return 0;
	if (n > TRACEPOINTS_MAX)
		return fail(err, -EBADMSG, table, "%llu tracepoints", (unsigned long long)n);
	entries = malloc(n * sizeof(*entries));
	if (!entries)
		return err_set(err, -ENOMEM, "no memory for tracepoints");
	r = view_read(walk->view, table, entries, n * sizeof(*entries), err);
	for (uint64_t i = 0; i < n && r >= 0; i++) {
		gva at = gva_add(table, i * sizeof(*entries) + (uint64_t)(int64_t)entries[i]);

		r = partial_add(&walk->partial, tell_tracepoint(walk, at, err), err);
	}
	return r;
}

static int tell_module(struct walk *walk, const struct module_info *module, struct err *err)
{
	const struct tracepoint_fields *f = walk->fields;
	uint64_t n;
	gva table;
	int r;

	r = field_read(walk->view, module->at, &f->module_n, &n, err);
	if (r >= 0)
		r = field_ptr(walk->view, module->at, &f->module_ptrs, &table, err);
	return r < 0 || !n ? r : tell_table(walk, table, n, err);
}

int tracepoint_callbacks(const struct kernel *kernel, struct view *view,
			 const struct modules *modules, callback_fn *visit, void *ctx,
			 uint64_t *seen, struct err *err)
{
	gva start = symbols_lookup(kernel->symbols, "__start___tracepoints_ptrs");
	gva stop = symbols_lookup(kernel->symbols, "__stop___tracepoints_ptrs");
	struct walk walk = walk_of(kernel, view, visit, ctx, seen);
	const struct tracepoint_fields *f;
	int r;

	if (!start.v || stop.v <= start.v)
		return 0;
	r = types_layout(kernel->types, &tracepoint_layout, (const void **)&f, err);
	if (r < 0)
		return r;
	walk.fields = f;
	r = partial_add(&walk.partial, tell_table(&walk, start, (stop.v - start.v) / 4, err), err);
	for (size_t i = 0; modules && f->module_n.there && i < modules->list.n && r >= 0; i++)
		if (modules->list.v[i].found_by & MODULE_BY_LIST &&
		    modules->list.v[i].state != MODULE_UNFORMED)
			r = partial_add(&walk.partial,
					tell_module(&walk, &modules->list.v[i], err), err);
	return partial_end(&walk.partial, r, err);
}

/* --- uprobes --- */

struct uprobe_fields {
	struct field node, inode, offset, consumers, consumer, next, handler, ret, filter, number;
};

static const struct member uprobe_members[] = {
	MEMBER(struct uprobe_fields, node, "uprobe.rb_node"),
	MEMBER(struct uprobe_fields, inode, "uprobe.inode"),
	MEMBER(struct uprobe_fields, offset, "uprobe.offset"),
	MEMBER(struct uprobe_fields, consumers, "uprobe.consumers"),
	MEMBER(struct uprobe_fields, consumer, "uprobe_consumer"),
	/* A list from 6.12 on (cc01bd044e6a), single links before. */
	MEMBER(struct uprobe_fields, next, "uprobe_consumer.cons_node|uprobe_consumer.next"),
	MEMBER(struct uprobe_fields, handler, "uprobe_consumer.handler"),
	MEMBER(struct uprobe_fields, ret, "uprobe_consumer.ret_handler"),
	MEMBER(struct uprobe_fields, filter, "uprobe_consumer.filter"),
	MEMBER(struct uprobe_fields, number, "inode.i_ino"),
};
LAYOUT(uprobe_layout, struct uprobe_fields, uprobe_members);

struct uprobe_walk {
	struct walk *walk;
	struct callback callback;
};

static int tell_consumer(struct uprobe_walk *uprobe, gva at, struct err *err)
{
	const struct uprobe_fields *f = uprobe->walk->fields;
	struct callback *callback = &uprobe->callback;
	struct object object;
	int r;

	r = object_read(uprobe->walk->view, at, &f->consumer, &object, err);
	if (r < 0)
		return r;
	callback->object = at;
	r = tell(uprobe->walk, callback, &object, &f->handler, "handler", err);
	if (r >= 0)
		r = tell(uprobe->walk, callback, &object, &f->ret, "ret_handler", err);
	if (r >= 0)
		r = tell(uprobe->walk, callback, &object, &f->filter, "filter", err);
	return r;
}

static int visit_consumer(gva link, void *ctx, struct err *err)
{
	struct uprobe_walk *uprobe = ctx;
	const struct uprobe_fields *f = uprobe->walk->fields;

	return tell_consumer(uprobe, field_object(link, &f->next), err);
}

static int tell_consumers(struct uprobe_walk *uprobe, gva head, struct err *err)
{
	const struct uprobe_fields *f = uprobe->walk->fields;
	struct view *view = uprobe->walk->view;
	gva at;
	int r;

	if (f->consumers.size_bytes > sizeof(at.v))
		return list_walk(view, head, KPROBES_MAX, visit_consumer, uprobe, err);
	r = view_ptr(view, head, &at, err);
	for (uint32_t n = 0; r >= 0 && at.v; n++) {
		if (n == KPROBES_MAX)
			return fail(err, -ELOOP, head, "over %u users of a uprobe", n);
		r = tell_consumer(uprobe, at, err);
		if (r >= 0)
			r = field_ptr(view, at, &f->next, &at, err);
	}
	return r;
}

static int visit_uprobe(gva node, void *ctx, struct err *err)
{
	struct walk *walk = ctx;
	const struct uprobe_fields *f = walk->fields;
	gva at = field_object(node, &f->node), inode;
	struct uprobe_walk uprobe = { walk, { .kind = "uprobe" } };
	uint64_t offset, number;
	int r;

	++*walk->seen;
	r = field_ptr(walk->view, at, &f->inode, &inode, err);
	if (r >= 0)
		r = field_read(walk->view, inode, &f->number, &number, err);
	if (r >= 0)
		r = field_read(walk->view, at, &f->offset, &offset, err);
	if (r >= 0) {
		snprintf(uprobe.callback.name, sizeof(uprobe.callback.name),
			 "inode %llu+%#llx", (unsigned long long)number,
			 (unsigned long long)offset);
		r = tell_consumers(&uprobe, field_at(at, &f->consumers), err);
	}
	return partial_add(&walk->partial, r, err);
}

int uprobe_callbacks(const struct kernel *kernel, struct view *view, callback_fn *visit,
		     void *ctx, uint64_t *seen, struct err *err)
{
	gva root = symbols_lookup(kernel->symbols, "uprobes_tree");
	struct walk walk = walk_of(kernel, view, visit, ctx, seen);
	int r;

	if (!root.v)
		return 0;
	r = types_layout(kernel->types, &uprobe_layout, &walk.fields, err);
	if (r < 0)
		return r;
	r = rbtree_walk(kernel, view, root, KPROBES_MAX, visit_uprobe, &walk, err);
	return partial_end(&walk.partial, r, err);
}
