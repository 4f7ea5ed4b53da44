/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "guest/list.h"
#include "linux/bpf_set.h"
#include "linux/net.h"
#include "linux/object.h"
#include "linux/tracing.h"

/* BPF programs by where they are attached. */

/* --- trampolines (kernel/bpf/trampoline.c) --- */

#define HEADS_MAX 4096u		/* TRAMPOLINE_TABLE_SIZE is 1024 */
#define USERS_MAX 4096u		/* of one trampoline: BPF_MAX_TRAMP_LINKS is 38 */
#define LISTS_MAX 16u		/* BPF_TRAMP_MAX is 4, 6 in 7.x */

struct tramp_fields {
	struct field hash, address, extension, lists;
	struct field program, node, node_link, tramp_link, aux, aux_program;
};

static const struct member tramp_members[] = {
	MEMBER(struct tramp_fields, hash, "bpf_trampoline.hlist_key|bpf_trampoline.hlist"),
	MEMBER(struct tramp_fields, address, "bpf_trampoline.func.addr"),
	MEMBER(struct tramp_fields, extension, "bpf_trampoline.extension_prog"),
	MEMBER(struct tramp_fields, lists, "bpf_trampoline.progs_hlist"),
	MEMBER_OPTIONAL(struct tramp_fields, program, "bpf_link.prog"),
	/* What is in the lists: a program's aux (5.10), a bpf_tramp_link (6.0), a node (7.x). */
	MEMBER_OPTIONAL(struct tramp_fields, node, "bpf_tramp_node.tramp_hlist"),
	MEMBER_OPTIONAL(struct tramp_fields, node_link, "bpf_tramp_node.link"),
	MEMBER_OPTIONAL(struct tramp_fields, tramp_link, "bpf_tramp_link.tramp_hlist"),
	MEMBER_OPTIONAL(struct tramp_fields, aux, "bpf_prog_aux.tramp_hlist"),
	MEMBER(struct tramp_fields, aux_program, "bpf_prog_aux.prog"),
};
LAYOUT(tramp_layout, struct tramp_fields, tramp_members);

struct tramp_walk {
	struct bpf_walk *walk;
	const struct tramp_fields *f;
	char where[96];
};

static int visit_user(gva link, void *ctx, struct err *err)
{
	struct tramp_walk *tramp = ctx;
	const struct tramp_fields *f = tramp->f;
	struct view *view = tramp->walk->view;
	gva at, program;
	int r = 0;

	if (f->node.there)
		r = field_ptr(view, field_object(link, &f->node), &f->node_link, &at, err);
	else
		at = field_object(link, f->tramp_link.there ? &f->tramp_link : &f->aux);
	if (r >= 0)
		r = field_ptr(view, at, f->node.there || f->tramp_link.there ?
			      &f->program : &f->aux_program, &program, err);
	return r < 0 ? r : bpf_attached(tramp->walk, program, err, "%s", tramp->where);
}

static int visit_tramp(gva link, void *ctx, struct err *err)
{
	struct tramp_walk *tramp = ctx;
	const struct tramp_fields *f = tramp->f;
	struct bpf_walk *walk = tramp->walk;
	gva at = field_object(link, &f->hash), address, extension;
	int r;

	r = field_ptr(walk->view, at, &f->address, &address, err);
	if (r >= 0)
		r = field_ptr(walk->view, at, &f->extension, &extension, err);
	if (r < 0)
		return partial_add(&walk->partial, r, err);
	symbols_print(walk->kernel->symbols, address, tramp->where, sizeof(tramp->where));
	r = bpf_attached(walk, extension, err, "%s", tramp->where);
	for (uint32_t i = 0; i < LISTS_MAX && i < f->lists.size_bytes / 8 && r >= 0; i++)
		r = hlist_walk(walk->view, gva_add(field_at(at, &f->lists), i * 8), USERS_MAX,
			       visit_user, tramp, err);
	return partial_add(&walk->partial, r, err);
}

int bpf_by_trampoline(struct bpf_walk *walk, struct err *err)
{
	const struct symbols *symbols = walk->kernel->symbols;
	struct tramp_walk tramp = { .walk = walk };
	struct symbol symbol;
	uint64_t bytes;
	gva table;
	int r;

	table = symbols_lookup(symbols, "trampoline_key_table");
	if (!table.v)
		table = symbols_lookup(symbols, "trampoline_table");
	if (!table.v || symbols_at(symbols, table, &symbol, &bytes) < 0)
		return err_set(err, -ENOENT, "no trampoline_table");
	r = types_layout(walk->kernel->types, &tramp_layout, (const void **)&tramp.f, err);
	if (r >= 0 && !tramp.f->node.there && !tramp.f->tramp_link.there && !tramp.f->aux.there)
		return err_set(err, -ENOENT, "users of BPF trampolines: no such type");
	for (uint64_t i = 0; r >= 0 && i < HEADS_MAX && i < bytes / 8; i++)
		r = hlist_walk(walk->view, gva_add(table, i * 8), BPF_IMAGES_MAX, visit_tramp,
			       &tramp, err);
	return r;
}

/* --- raw tracepoints: kernel/trace/bpf_trace.c, bpf_probe_register() --- */

struct raw_fields {
	struct field program, cookie;
};

static const struct member raw_members[] = {
	MEMBER_OPTIONAL(struct raw_fields, program, "bpf_link.prog"),
	/* A probe is called with its link where that has a cookie (6.10), else with the program. */
	MEMBER_OPTIONAL(struct raw_fields, cookie, "bpf_raw_tp_link.cookie"),
};
LAYOUT(raw_layout, struct raw_fields, raw_members);

static int visit_probe(const struct callback *callback, void *ctx, struct err *err)
{
	struct bpf_walk *walk = ctx;
	const struct raw_fields *f = walk->fields;
	gva program = callback->data;
	struct symbol symbol;
	int r = 0;

	if (strcmp(callback->what, "probe") ||
	    symbols_at(walk->kernel->symbols, callback->target, &symbol, NULL) < 0 ||
	    symbol.at.v != callback->target.v || strncmp(symbol.name, "__bpf_trace_", 12))
		return 0;
	if (f->cookie.there && f->program.there)
		r = field_ptr(walk->view, callback->data, &f->program, &program, err);
	if (r >= 0)
		r = bpf_attached(walk, program, err, "%s", callback->name);
	return partial_add(&walk->partial, r, err);
}

int bpf_by_tracepoint(struct bpf_walk *walk, struct err *err)
{
	uint64_t seen;
	int r;

	r = types_layout(walk->kernel->types, &raw_layout, &walk->fields, err);
	return r < 0 ? r : tracepoint_callbacks(walk->kernel, walk->view, NULL, visit_probe, walk,
						&seen, err);
}

/* --- events of tracing: each may have an array of programs --- */

#define EVENTS_MAX 65536u	/* Debian's kernels have some 2,000 */

struct event_fields {
	struct field size, list, array, name;
};

static const struct member event_members[] = {
	MEMBER(struct event_fields, size, "trace_event_call"),
	MEMBER(struct event_fields, list, "trace_event_call.list"),
	MEMBER(struct event_fields, array, "trace_event_call.prog_array"),
	MEMBER(struct event_fields, name, "trace_event_call.name"),
};
LAYOUT(event_layout, struct event_fields, event_members);

/* The name, or the tracepoint that has it. */
static void event_name(struct bpf_walk *walk, gva name, char *buf, size_t size)
{
	struct symbol symbol;

	if (symbols_at(walk->kernel->symbols, name, &symbol, NULL) >= 0 &&
	    symbol.at.v == name.v && !strncmp(symbol.name, "__tracepoint_", 13))
		snprintf(buf, size, "%s", symbol.name + 13);
	else if (view_string(walk->view, name, buf, size, NULL) < 0)
		snprintf(buf, size, "event");
}

static int visit_event(gva link, void *ctx, struct err *err)
{
	struct bpf_walk *walk = ctx;
	const struct event_fields *f = walk->fields;
	gva call = field_object(link, &f->list), array, name;
	char where[96];
	int r;

	r = field_ptr(walk->view, call, &f->array, &array, err);
	if (r >= 0 && !array.v)
		return 0;
	if (r >= 0)
		r = field_ptr(walk->view, call, &f->name, &name, err);
	if (r >= 0) {
		event_name(walk, name, where, sizeof(where));
		r = bpf_array(walk, array, where, err);
	}
	return partial_add(&walk->partial, r, err);
}

int bpf_by_event(struct bpf_walk *walk, struct err *err)
{
	gva head = symbols_lookup(walk->kernel->symbols, "ftrace_events");
	int r;

	if (!head.v)
		return err_set(err, -ENOENT, "no ftrace_events");
	r = types_layout(walk->kernel->types, &event_layout, &walk->fields, err);
	return r < 0 ? r : list_walk(walk->view, head, EVENTS_MAX, visit_event, walk, err);
}

/* --- control groups: what is in force in each, its own and its parents' --- */

#define TYPES_MAX   128u	/* MAX_CGROUP_BPF_ATTACH_TYPE is 38 */

struct cgroup_fields {
	struct field self, children, sibling, effective, node, name;
};

static const struct member cgroup_members[] = {
	MEMBER(struct cgroup_fields, self, "cgroup.self"),
	MEMBER(struct cgroup_fields, children, "cgroup_subsys_state.children"),
	MEMBER(struct cgroup_fields, sibling, "cgroup_subsys_state.sibling"),
	MEMBER(struct cgroup_fields, effective, "cgroup.bpf.effective"),
	MEMBER(struct cgroup_fields, node, "cgroup.kn"),
	MEMBER(struct cgroup_fields, name, "kernfs_node.name"),
};
LAYOUT(cgroup_layout, struct cgroup_fields, cgroup_members);

struct cgroup_walk {
	struct bpf_walk *walk;
	const struct cgroup_fields *f;
	VEC(gva) todo;
	struct map seen;	/* arrays, each of which many control groups share */
};

static int add_child(gva link, void *ctx, struct err *err)
{
	struct cgroup_walk *cgroups = ctx;
	gva *slot;

	if (cgroups->todo.n == TASKS_MAX)
		return err_set(err, -ELOOP, "over %u control groups", TASKS_MAX);
	slot = vec_add(&cgroups->todo);
	if (!slot)
		return err_set(err, -ENOMEM, "no memory for control groups");
	*slot = field_object(field_object(link, &cgroups->f->sibling), &cgroups->f->self);
	return 0;
}

static void cgroup_name(struct cgroup_walk *cgroups, gva cgroup, char *buf, size_t size)
{
	struct view *view = cgroups->walk->view;
	gva node, name;

	if (field_ptr(view, cgroup, &cgroups->f->node, &node, NULL) < 0 ||
	    field_ptr(view, node, &cgroups->f->name, &name, NULL) < 0 ||
	    view_string(view, name, buf, size, NULL) < 0)
		snprintf(buf, size, "?");
	else if (!*buf)
		snprintf(buf, size, "/");
}

/* A program that is in force for children as well is told of the first, which is the parent. */
static int visit_arrays(struct cgroup_walk *cgroups, gva cgroup, struct err *err)
{
	gva empty = symbols_lookup(cgroups->walk->kernel->symbols, "bpf_empty_prog_array");
	const struct field *effective = &cgroups->f->effective;
	uint32_t n = effective->size_bytes / 8;
	uint64_t arrays[TYPES_MAX];
	char name[64];
	int r;

	if (n > TYPES_MAX)
		return fail(err, -EBADMSG, cgroup, "%u kinds of BPF of control groups", n);
	r = view_read(cgroups->walk->view, field_at(cgroup, effective), arrays,
		      n * sizeof(arrays[0]), err);
	for (uint32_t i = 0; i < n && r >= 0; i++) {
		if (!arrays[i] || arrays[i] == empty.v || map_get(&cgroups->seen, arrays[i], NULL))
			continue;
		r = map_put(&cgroups->seen, arrays[i], 1);
		cgroup_name(cgroups, cgroup, name, sizeof(name));
		if (r >= 0)
			r = bpf_array(cgroups->walk, gva_of(arrays[i]), name, err);
	}
	return r;
}

int bpf_by_cgroup(struct bpf_walk *walk, struct err *err)
{
	struct cgroup_walk cgroups = { .walk = walk };
	gva root = symbols_lookup(walk->kernel->symbols, "cgrp_dfl_root");
	struct field top;
	gva *first;
	int r;

	if (!root.v)
		return err_set(err, -ENOENT, "no cgrp_dfl_root");
	r = types_layout(walk->kernel->types, &cgroup_layout, (const void **)&cgroups.f, err);
	if (r >= 0)
		r = types_field(walk->kernel->types, "cgroup_root.cgrp", &top, err);
	if (r < 0)
		return r;
	first = vec_add(&cgroups.todo);
	if (!first)
		return -ENOMEM;
	*first = field_at(root, &top);
	for (size_t i = 0; i < cgroups.todo.n && r >= 0; i++) {
		gva cgroup = cgroups.todo.v[i];
		gva self = field_at(cgroup, &cgroups.f->self);

		r = partial_add(&walk->partial, visit_arrays(&cgroups, cgroup, err), err);
		if (r >= 0)
			r = partial_add(&walk->partial,
					list_walk(walk->view, field_at(self, &cgroups.f->children),
						  TASKS_MAX, add_child, &cgroups, err), err);
	}
	vec_free(&cgroups.todo);
	map_free(&cgroups.seen);
	return r;
}

/* --- network devices --- */

#define DEVICES_MAX 65536u	/* of one namespace */
#define MODES_MAX   8u		/* __MAX_XDP_MODE is 3 */
#define MPROG_MAX   64u		/* BPF_MPROG_MAX (include/linux/bpf_mprog.h) */

struct device_fields {
	struct field devices, link, name, xdp, xdp_each, xdp_program, xdp_link, program;
	struct field ingress, egress, items, item, item_program;
};

static const struct member device_members[] = {
	MEMBER(struct device_fields, devices, "net.dev_base_head"),
	MEMBER(struct device_fields, link, "net_device.dev_list"),
	MEMBER(struct device_fields, name, "net_device.name"),
	MEMBER_OPTIONAL(struct device_fields, xdp, "net_device.xdp_state"),
	MEMBER_OPTIONAL(struct device_fields, xdp_each, "bpf_xdp_entity"),
	MEMBER_OPTIONAL(struct device_fields, xdp_program, "bpf_xdp_entity.prog"),
	MEMBER_OPTIONAL(struct device_fields, xdp_link, "bpf_xdp_entity.link"),
	MEMBER_OPTIONAL(struct device_fields, program, "bpf_link.prog"),
	/* tcx, from 6.6 on. */
	MEMBER_OPTIONAL(struct device_fields, ingress, "net_device.tcx_ingress"),
	MEMBER_OPTIONAL(struct device_fields, egress, "net_device.tcx_egress"),
	MEMBER_OPTIONAL(struct device_fields, items, "bpf_mprog_entry.fp_items"),
	MEMBER_OPTIONAL(struct device_fields, item, "bpf_mprog_fp"),
	MEMBER_OPTIONAL(struct device_fields, item_program, "bpf_mprog_fp.prog"),
};
LAYOUT(device_layout, struct device_fields, device_members);

static int visit_xdp(struct bpf_walk *walk, gva device, const char *name, struct err *err)
{
	const struct device_fields *f = walk->fields;
	uint32_t each = f->xdp_each.size_bytes;
	int r = 0;

	if (!f->xdp.there || !f->program.there || !each)
		return 0;
	for (uint32_t i = 0; i < f->xdp.size_bytes / each && i < MODES_MAX && r >= 0; i++) {
		gva entity = gva_add(field_at(device, &f->xdp), i * (uint64_t)each);
		gva program, link;

		r = field_ptr(walk->view, entity, &f->xdp_program, &program, err);
		if (r >= 0)
			r = field_ptr(walk->view, entity, &f->xdp_link, &link, err);
		/* struct bpf_xdp_link begins with its struct bpf_link. */
		if (r >= 0 && link.v)
			r = field_ptr(walk->view, link, &f->program, &program, err);
		if (r >= 0)
			r = bpf_attached(walk, program, err, "%s xdp", name);
	}
	return r;
}

static int visit_tcx(struct bpf_walk *walk, gva device, const struct field *field,
		     const char *name, const char *what, struct err *err)
{
	const struct device_fields *f = walk->fields;
	gva entry, program;
	int r;

	if (!field->there || !f->items.there || !f->item_program.there)
		return 0;
	r = field_ptr(walk->view, device, field, &entry, err);
	for (uint32_t i = 0; r >= 0 && entry.v && i < MPROG_MAX; i++) {
		gva item = gva_add(field_at(entry, &f->items), i * (uint64_t)f->item.size_bytes);

		r = field_ptr(walk->view, item, &f->item_program, &program, err);
		if (r < 0 || !program.v)
			return r;
		r = bpf_attached(walk, program, err, "%s %s", name, what);
	}
	return r;
}

static int visit_device(gva link, void *ctx, struct err *err)
{
	struct bpf_walk *walk = ctx;
	const struct device_fields *f = walk->fields;
	gva device = field_object(link, &f->link);
	char name[17];
	int r;

	r = view_string(walk->view, field_at(device, &f->name), name, sizeof(name), err);
	if (r >= 0)
		r = visit_xdp(walk, device, name, err);
	if (r >= 0)
		r = visit_tcx(walk, device, &f->ingress, name, "tcx ingress", err);
	if (r >= 0)
		r = visit_tcx(walk, device, &f->egress, name, "tcx egress", err);
	return partial_add(&walk->partial, r, err);
}

int bpf_by_device(struct bpf_walk *walk, struct err *err)
{
	const struct device_fields *f;
	struct nets nets = { 0 };
	int r;

	r = types_layout(walk->kernel->types, &device_layout, &walk->fields, err);
	if (r < 0)
		return r;
	f = walk->fields;
	r = partial_add(&walk->partial, nets_read(walk->kernel, walk->view, &nets, err), err);
	for (size_t i = 0; i < nets.list.n && r >= 0; i++)
		r = partial_add(&walk->partial,
				list_walk(walk->view, field_at(nets.list.v[i].at, &f->devices),
					  DEVICES_MAX, visit_device, walk, err), err);
	nets_free(&nets);
	return r;
}
