/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "guest/list.h"
#include "linux/object.h"
#include "linux/partial.h"
#include "linux/tracing.h"

#define GRAPH_USERS_MAX	64u	/* FTRACE_GRAPH_ARRAY_SIZE is 16 (kernel/trace/fgraph.c) */
#define FPROBE_HEADS_MAX 4096u	/* FPROBE_TABLE_SIZE is 16 (kernel/trace/fprobe.c) */
#define HASH_BITS_MAX	16u	/* FTRACE_HASH_MAX_BITS is 12 (kernel/trace/ftrace.c) */

struct ftrace_fields {
	struct field size, next, func, saved, direct;
	struct field fprobe, fprobe_ops, entry, exit, fprobe_link, fprobe_of;
	struct field graph, graph_entry, graph_ret, graph_saved;
};

static const struct member ftrace_members[] = {
	MEMBER(struct ftrace_fields, size, "ftrace_ops"),
	MEMBER(struct ftrace_fields, next, "ftrace_ops.next"),
	MEMBER(struct ftrace_fields, func, "ftrace_ops.func"),
	MEMBER_OPTIONAL(struct ftrace_fields, saved, "ftrace_ops.saved_func"),
	MEMBER_OPTIONAL(struct ftrace_fields, direct, "ftrace_ops.direct_call"),
	/* Each an ftrace_ops up to 6.13, then in a table of their own. */
	MEMBER_OPTIONAL(struct ftrace_fields, fprobe, "fprobe"),
	MEMBER_OPTIONAL(struct ftrace_fields, fprobe_ops, "fprobe.ops"),
	MEMBER_OPTIONAL(struct ftrace_fields, entry, "fprobe.entry_handler"),
	MEMBER_OPTIONAL(struct ftrace_fields, exit, "fprobe.exit_handler"),
	MEMBER_OPTIONAL(struct ftrace_fields, fprobe_link, "fprobe_hlist.hlist"),
	MEMBER_OPTIONAL(struct ftrace_fields, fprobe_of, "fprobe_hlist.fp"),
	MEMBER_OPTIONAL(struct ftrace_fields, graph, "fgraph_ops"),
	MEMBER_OPTIONAL(struct ftrace_fields, graph_entry, "fgraph_ops.entryfunc"),
	MEMBER_OPTIONAL(struct ftrace_fields, graph_ret, "fgraph_ops.retfunc"),
	MEMBER_OPTIONAL(struct ftrace_fields, graph_saved, "fgraph_ops.saved_func"),
};
LAYOUT(ftrace_layout, struct ftrace_fields, ftrace_members);

struct walk {
	const struct kernel *kernel;
	struct view *view;
	const struct ftrace_fields *f;
	callback_fn *visit;
	void *ctx;
	uint64_t *seen;
	struct partial partial;
};

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

static int tell_fprobe(struct walk *walk, gva at, struct err *err)
{
	struct callback callback = { .kind = "fprobe", .object = at };
	const struct ftrace_fields *f = walk->f;
	struct object object;
	int r;

	r = object_read(walk->view, at, &f->fprobe, &object, err);
	if (r >= 0)
		r = tell(walk, &callback, &object, &f->entry, "entry_handler", err);
	if (r >= 0)
		r = tell(walk, &callback, &object, &f->exit, "exit_handler", err);
	return r;
}

static bool is_fprobe(const struct walk *walk, gva func)
{
	static const char *const names[] = { "fprobe_handler", "fprobe_kprobe_handler" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (walk->f->fprobe_ops.there && func.v &&
		    func.v == symbols_lookup(walk->kernel->symbols, names[i]).v)
			return true;
	return false;
}

static int tell_ops(struct walk *walk, const struct object *ops, struct err *err)
{
	struct callback callback = { .kind = "ftrace", .object = ops->at };
	const struct ftrace_fields *f = walk->f;
	int r;

	++*walk->seen;
	r = tell(walk, &callback, ops, &f->func, "func", err);
	/* They differ where it is called only for some tasks. */
	if (r >= 0 && object_ptr(ops, &f->saved).v != object_ptr(ops, &f->func).v)
		r = tell(walk, &callback, ops, &f->saved, "saved_func", err);
	if (r >= 0)
		r = tell(walk, &callback, ops, &f->direct, "direct_call", err);
	if (r >= 0 && is_fprobe(walk, object_ptr(ops, &f->func)))
		r = tell_fprobe(walk, field_object(ops->at, &f->fprobe_ops), err);
	return r;
}

/* A list of single links up to ftrace_list_end. */
static int walk_ops(struct walk *walk, struct err *err)
{
	const struct symbols *symbols = walk->kernel->symbols;
	gva head = symbols_lookup(symbols, "ftrace_ops_list");
	gva end = symbols_lookup(symbols, "ftrace_list_end"), at;
	struct object ops;
	int r;

	if (!head.v || !end.v)
		return 0;
	r = view_ptr(walk->view, head, &at, err);
	for (uint32_t n = 0; r >= 0 && at.v != end.v; n++) {
		if (n == FTRACE_OPS_MAX)
			return fail(err, -ELOOP, head, "over %u users of ftrace", FTRACE_OPS_MAX);
		r = object_read(walk->view, at, &walk->f->size, &ops, err);
		if (r < 0)
			return wrap(err, r, "list of the users of ftrace");
		r = partial_add(&walk->partial, tell_ops(walk, &ops, err), err);
		at = object_ptr(&ops, &walk->f->next);
	}
	return r;
}

/* --- the function graph --- */

static int tell_graph(struct walk *walk, gva at, struct err *err)
{
	struct callback callback = { .kind = "function graph", .object = at };
	const struct ftrace_fields *f = walk->f;
	struct object object;
	int r;

	++*walk->seen;
	r = object_read(walk->view, at, &f->graph, &object, err);
	if (r >= 0)
		r = tell(walk, &callback, &object, &f->graph_entry, "entryfunc", err);
	if (r >= 0)
		r = tell(walk, &callback, &object, &f->graph_ret, "retfunc", err);
	if (r >= 0)
		r = tell(walk, &callback, &object, &f->graph_saved, "saved_func", err);
	return r;
}

/* Pointers from a symbol up to the next one, @max at most. */
static uint64_t table_of(const struct walk *walk, const char *name, uint32_t max, gva *at)
{
	struct symbol symbol;
	uint64_t bytes;

	*at = symbols_lookup(walk->kernel->symbols, name);
	if (!at->v || symbols_at(walk->kernel->symbols, *at, &symbol, &bytes) < 0)
		return 0;
	return bytes / sizeof(uint64_t) < max ? bytes / sizeof(uint64_t) : max;
}

static int walk_graph(struct walk *walk, struct err *err)
{
	gva stub = symbols_lookup(walk->kernel->symbols, "fgraph_stub"), at;
	uint64_t n = table_of(walk, "fgraph_array", GRAPH_USERS_MAX, &at);
	int r = 0;

	for (uint64_t i = 0; i < n && walk->f->graph.there && r >= 0; i++) {
		gva user;

		r = view_ptr(walk->view, gva_add(at, i * sizeof(uint64_t)), &user, err);
		/* Behind the array something else may stand that has no symbol. */
		if (r >= 0 && gva_is_kernel(user) && user.v != stub.v)
			r = tell_graph(walk, user, err);
		r = partial_add(&walk->partial, r, err);
	}
	return r;
}

/* --- fprobes --- */

static int visit_fprobe(gva link, void *ctx, struct err *err)
{
	struct walk *walk = ctx;
	gva at;
	int r;

	++*walk->seen;
	r = field_ptr(walk->view, field_object(link, &walk->f->fprobe_link), &walk->f->fprobe_of,
		      &at, err);
	/* One that is being removed has let go of it. */
	return r < 0 || !at.v ? r : tell_fprobe(walk, at, err);
}

static int walk_fprobes(struct walk *walk, struct err *err)
{
	gva at;
	uint64_t n = table_of(walk, "fprobe_table", FPROBE_HEADS_MAX, &at);
	int r = 0;

	for (uint64_t i = 0; i < n && walk->f->fprobe_of.there && r >= 0; i++) {
		r = hlist_walk(walk->view, gva_add(at, i * sizeof(uint64_t)), KPROBES_MAX,
			       visit_fprobe, walk, err);
		r = partial_add(&walk->partial, r, err);
	}
	return r;
}

int ftrace_callbacks(const struct kernel *kernel, struct view *view, callback_fn *visit,
		     void *ctx, uint64_t *seen, struct err *err)
{
	struct walk walk = {
		.kernel = kernel, .view = view, .visit = visit, .ctx = ctx, .seen = seen,
		.partial = partial_of(view),
	};
	int r;

	*seen = 0;
	if (!symbols_lookup(kernel->symbols, "ftrace_ops_list").v)
		return 0;
	r = types_layout(kernel->types, &ftrace_layout, (const void **)&walk.f, err);
	if (r < 0)
		return r;
	r = partial_add(&walk.partial, walk_ops(&walk, err), err);
	if (r >= 0)
		r = walk_graph(&walk, err);
	if (r >= 0)
		r = walk_fprobes(&walk, err);
	return partial_end(&walk.partial, r, err);
}

/* --- what an ftrace_ops is called for --- */

struct hash_fields {
	struct field func_hash, filter, bits, buckets, count, link, ip;
};

static const struct member hash_members[] = {
	MEMBER(struct hash_fields, func_hash, "ftrace_ops.func_hash"),
	MEMBER(struct hash_fields, filter, "ftrace_ops_hash.filter_hash"),
	MEMBER(struct hash_fields, bits, "ftrace_hash.size_bits"),
	MEMBER(struct hash_fields, buckets, "ftrace_hash.buckets"),
	MEMBER(struct hash_fields, count, "ftrace_hash.count"),
	MEMBER(struct hash_fields, link, "ftrace_func_entry.hlist"),
	MEMBER(struct hash_fields, ip, "ftrace_func_entry.ip"),
};
LAYOUT(hash_layout, struct hash_fields, hash_members);

struct hash_walk {
	struct view *view;
	const struct hash_fields *f;
	gva first;
	uint64_t n;
};

static int visit_entry(gva link, void *ctx, struct err *err)
{
	struct hash_walk *walk = ctx;
	gva ip;
	int r;

	r = field_ptr(walk->view, field_object(link, &walk->f->link), &walk->f->ip, &ip, err);
	if (r < 0)
		return r;
	if (!walk->n++ || ip.v < walk->first.v)
		walk->first = ip;
	return 0;
}

int ftrace_ops_first(const struct kernel *kernel, struct view *view, gva ops, gva *at,
		     uint64_t *n, struct err *err)
{
	struct hash_walk walk = { .view = view };
	uint64_t bits, count = 0;
	gva hash, buckets;
	int r;

	r = types_layout(kernel->types, &hash_layout, (const void **)&walk.f, err);
	if (r >= 0)
		r = field_ptr(view, ops, &walk.f->func_hash, &hash, err);
	if (r >= 0)
		r = field_ptr(view, hash, &walk.f->filter, &hash, err);
	if (r >= 0 && hash.v)
		r = field_read(view, hash, &walk.f->count, &count, err);
	if (r >= 0 && count)
		r = field_read(view, hash, &walk.f->bits, &bits, err);
	if (r >= 0 && count)
		r = field_ptr(view, hash, &walk.f->buckets, &buckets, err);
	if (r < 0)
		return r;
	if (count && bits > HASH_BITS_MAX)
		return fail(err, -EBADMSG, hash, "ftrace_hash of 2^%llu buckets",
			    (unsigned long long)bits);
	for (uint64_t i = 0; count && i < 1ull << bits && r >= 0; i++)
		r = hlist_walk(view, gva_add(buckets, i * sizeof(uint64_t)), FTRACE_SITES_MAX,
			       visit_entry, &walk, err);
	if (r < 0)
		return r;
	*at = walk.first;
	*n = walk.n;
	return 0;
}
