/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/bpf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "guest/list.h"
#include "linux/bpf_set.h"
#include "linux/xarray.h"

const char *bpf_way_name(enum bpf_way way)
{
	static const char *const names[BPF_WAYS] = {
		[BPF_BY_TABLE] = "table",	    [BPF_BY_FILE] = "file",
		[BPF_BY_PIN] = "pin",		    [BPF_BY_CODE] = "code",
		[BPF_BY_TRAMPOLINE] = "trampoline", [BPF_BY_TRACEPOINT] = "tracepoint",
		[BPF_BY_EVENT] = "event",	    [BPF_BY_CGROUP] = "cgroup",
		[BPF_BY_DEVICE] = "device",	    [BPF_BY_SOCKET] = "socket",
		[BPF_BY_LINK] = "link",		    [BPF_BY_PROGRAM] = "program",
	};

	return names[way];
}

/* --- the set --- */

int bpf_found(struct bpf_walk *walk, enum bpf_kind kind, gva at, uint32_t *index,
	      struct err *err)
{
	struct bpf *bpf = walk->bpf;
	struct bpf_object *object;
	uint32_t i;

	if (!at.v)
		return 0;
	if (!gva_is_kernel(at) || at.v % 8)
		return fail(err, -EBADMSG, at, "no place for a BPF object");
	if (map_get(&bpf->index, at.v, &i)) {
		object = &bpf->objects.v[--i];
		if (object->kind != kind)
			return fail(err, -EBADMSG, at, "two kinds of BPF object at one place");
	} else {
		if (bpf->objects.n == BPF_IMAGES_MAX)
			return err_set(err, -ELOOP, "over %u BPF objects", BPF_IMAGES_MAX);
		i = (uint32_t)bpf->objects.n;
		object = vec_add(&bpf->objects);
		if (!object || map_put(&bpf->index, at.v, i + 1) < 0)
			return err_set(err, -ENOMEM, "no memory for BPF objects");
		*object = (struct bpf_object){
			.kind = kind, .at = at, .type_name = "", .attach_name = "", .program = -1,
		};
	}
	object->found_by |= 1u << walk->way;
	if (index)
		*index = i;
	return 0;
}

int bpf_attached(struct bpf_walk *walk, gva program, struct err *err, const char *fmt, ...)
{
	struct bpf_attachment *attachment;
	uint32_t object;
	va_list args;
	int r;

	/* dummy_bpf_prog stands where one was detached. */
	if (!program.v || program.v == symbols_lookup(walk->kernel->symbols, "dummy_bpf_prog").v)
		return 0;
	r = bpf_found(walk, BPF_PROGRAM, program, &object, err);
	if (r < 0)
		return r;
	if (walk->bpf->attachments.n == BPF_IMAGES_MAX)
		return err_set(err, -ELOOP, "over %u attachments of BPF", BPF_IMAGES_MAX);
	attachment = vec_add(&walk->bpf->attachments);
	if (!attachment)
		return err_set(err, -ENOMEM, "no memory for attachments of BPF");
	attachment->object = object;
	attachment->way = walk->way;
	va_start(args, fmt);
	vsnprintf(attachment->where, sizeof(attachment->where), fmt, args);
	va_end(args);
	return 0;
}

struct array_fields {
	struct field items, item, program;
};

static const struct member array_members[] = {
	MEMBER(struct array_fields, items, "bpf_prog_array.items"),
	MEMBER(struct array_fields, item, "bpf_prog_array_item"),
	MEMBER(struct array_fields, program, "bpf_prog_array_item.prog"),
};
LAYOUT(array_layout, struct array_fields, array_members);

#define ARRAY_MAX 512u	/* BPF_TRACE_MAX_PROGS and BPF_CGROUP_MAX_PROGS are 64 */

int bpf_array(struct bpf_walk *walk, gva array, const char *where, struct err *err)
{
	const struct array_fields *f;
	int r;

	r = types_layout(walk->kernel->types, &array_layout, (const void **)&f, err);
	for (uint32_t i = 0; r >= 0; i++) {
		gva item = gva_add(field_at(array, &f->items),
				   i * (uint64_t)f->item.size_bytes), program;

		if (i == ARRAY_MAX)
			return fail(err, -ELOOP, array, "over %u BPF programs at one place", i);
		r = field_ptr(walk->view, item, &f->program, &program, err);
		if (r < 0 || !program.v)
			return r;
		r = bpf_attached(walk, program, err, "%s", where);
	}
	return r;
}

/* --- the tables --- */

struct table {
	struct bpf_walk *walk;
	enum bpf_kind kind;
};

static int visit_entry(uint64_t index, uint64_t entry, void *ctx, struct err *err)
{
	struct table *table = ctx;

	(void)index;
	return partial_add(&table->walk->partial,
			   bpf_found(table->walk, table->kind, gva_of(entry), NULL, err), err);
}

static int by_table(struct bpf_walk *walk, struct err *err)
{
	static const char *const names[BPF_KINDS] = { "prog_idr", "map_idr", "link_idr" };
	struct field idr;
	int r;

	r = types_field(walk->kernel->types, "idr.idr_rt", &idr, err);
	for (enum bpf_kind kind = 0; kind < BPF_KINDS && r >= 0; kind++) {
		gva at = symbols_lookup(walk->kernel->symbols, names[kind]);
		struct table table = { walk, kind };

		/* Links came with 5.8. */
		if (!at.v && kind != BPF_LINK)
			return err_set(err, -ENOENT, "no %s", names[kind]);
		if (at.v)
			r = xarray_walk(walk->kernel, walk->view, field_at(at, &idr),
					BPF_IMAGES_MAX, visit_entry, &table, err);
	}
	return r;
}

/* --- symbols of code --- */

struct code_fields {
	struct field link, is_program, aux, program;
};

static const struct member code_members[] = {
	MEMBER(struct code_fields, link, "bpf_ksym.lnode"),
	MEMBER(struct code_fields, is_program, "bpf_ksym.prog"),
	MEMBER(struct code_fields, aux, "bpf_prog_aux.ksym"),
	MEMBER(struct code_fields, program, "bpf_prog_aux.prog"),
};
LAYOUT(code_layout, struct code_fields, code_members);

static int visit_symbol(gva link, void *ctx, struct err *err)
{
	struct bpf_walk *walk = ctx;
	const struct code_fields *f = walk->fields;
	gva symbol = field_object(link, &f->link), program;
	uint64_t is_program;
	int r;

	r = field_read(walk->view, symbol, &f->is_program, &is_program, err);
	if (r < 0 || !is_program)
		return r;
	r = field_ptr(walk->view, field_object(symbol, &f->aux), &f->program, &program, err);
	return r < 0 ? r : bpf_found(walk, BPF_PROGRAM, program, NULL, err);
}

static int by_code(struct bpf_walk *walk, struct err *err)
{
	gva head = symbols_lookup(walk->kernel->symbols, "bpf_kallsyms");
	int r;

	if (!head.v)
		return err_set(err, -ENOENT, "no bpf_kallsyms");
	r = types_layout(walk->kernel->types, &code_layout, &walk->fields, err);
	return r < 0 ? r :
		       list_walk(walk->view, head, BPF_IMAGES_MAX, visit_symbol, walk, err);
}

/* --- all --- */

static const struct {
	enum bpf_way way;
	int (*walk)(struct bpf_walk *walk, struct err *err);
} ways[] = {
	{ BPF_BY_FILE, bpf_by_file },
	{ BPF_BY_PIN, bpf_by_pin },
	{ BPF_BY_CODE, by_code },
	{ BPF_BY_TRAMPOLINE, bpf_by_trampoline },
	{ BPF_BY_TRACEPOINT, bpf_by_tracepoint },
	{ BPF_BY_EVENT, bpf_by_event },
	{ BPF_BY_CGROUP, bpf_by_cgroup },
	{ BPF_BY_DEVICE, bpf_by_device },
	{ BPF_BY_TABLE, by_table },
};

/* What is found through what was found: programs of links, maps of programs. */
static int describe_all(struct bpf_walk *walk, struct err *err)
{
	struct bpf *bpf = walk->bpf;
	int r = 0;

	/* It grows meanwhile: by at most what the limit on all objects allows. */
	for (uint32_t i = 0; i < bpf->objects.n; i++) {
		struct err why = { 0 };
		int bad = bpf_describe(walk, i, &why);

		if (bad == -ESRCH || bad == -ENOMEM || bad == -ELOOP) {
			*err = why;
			return bad;
		}
		if (bad < 0 && !r) {
			r = bad;
			*err = why;
		}
		if (bad < 0)
			bpf->objects.v[i].error = bad;
	}
	return r;
}

int bpf_read(const struct kernel *kernel, struct view *view, struct bpf *ret, struct err *err)
{
	struct bpf_walk walk = { .kernel = kernel, .view = view, .bpf = ret };
	struct err ignored;
	int first = 0, r;

	if (!err)
		err = &ignored;
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		enum bpf_way way = ways[i].way;
		struct err why = { 0 };

		walk.way = way;
		walk.partial = partial_of(view);
		r = partial_end(&walk.partial, ways[i].walk(&walk, &why), &why);
		ret->failed[way].code = r < 0 ? r : 0;
		ret->failed[way].err = why;
		if (r >= 0)
			ret->walked |= 1u << way;
		if (r < 0 && r != -ENOENT && !first) {
			first = r;
			*err = why;
		}
		if (r == -ESRCH || r == -ENOMEM)
			return r;
	}
	r = describe_all(&walk, first < 0 ? &ignored : err);
	return first < 0 ? first : r;
}

void bpf_free(struct bpf *bpf)
{
	for (size_t i = 0; i < bpf->objects.n; i++) {
		vec_free(&bpf->objects.v[i].calls);
		vec_free(&bpf->objects.v[i].maps);
	}
	vec_free(&bpf->objects);
	vec_free(&bpf->holders);
	vec_free(&bpf->attachments);
	map_free(&bpf->index);
}
