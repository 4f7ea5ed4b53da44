/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/hook_net.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "guest/list.h"
#include "linux/net.h"

#define NAME_BYTES_MAX 64u

struct hook_net_at {
	struct hook_walk *walk;
	const struct hook_net *entry;
	const char *where;
	struct field link, name;
	gva base;		/* of an array: where it begins */
	uint64_t index;		/* of the element that is looked at */
	bool array;
};

/* Text within the object, or what a pointer in it leads to. */
static bool name_text(const struct hook_net_at *r, gva at, char *buf, size_t size)
{
	gva from = field_at(at, &r->name);

	if (r->name.size_bytes == sizeof(from.v) && !r->name.element_bytes) {
		if (field_ptr(r->walk->view, at, &r->name, &from, NULL) < 0)
			return false;
	} else if (r->name.size_bytes < size) {
		size = r->name.size_bytes ? r->name.size_bytes : size;
	}
	return view_string(r->walk->view, from, buf, size, NULL) >= 0 && buf[0];
}

/* Whose memory the object is in: that tells more than an address, and stays the same. */
static void print_home(const struct hook_net_at *r, gva at, char *buf, size_t size)
{
	const struct kernel *kernel = r->walk->kernel;
	const struct modules *modules;

	if (at.v >= kernel->text.v && at.v < kernel->end.v) {
		symbols_print(kernel->symbols, at, buf, size);
		return;
	}
	modules = r->walk->owners ? owners_modules(r->walk->owners) : NULL;
	for (size_t i = 0; modules && i < modules->list.n; i++)
		if (module_has(&modules->list.v[i], at, NULL)) {
			snprintf(buf, size, "[%s]", modules->list.v[i].name);
			return;
		}
}

static void print_number(const struct hook_net_at *r, uint64_t number, char *buf, size_t size)
{
	if (r->entry->network_order)
		snprintf(buf, size, "0x%04x", __builtin_bswap16((uint16_t)number));
	else
		snprintf(buf, size, "%" PRIu64, number);
}

static void print_name(const struct hook_object *object, char *buf, size_t size)
{
	const struct hook_net_at *r = object->ctx;
	char name[NAME_BYTES_MAX] = "", home[160] = "";
	uint64_t number;

	if (r->array)
		snprintf(name, sizeof(name), " %" PRIu64, r->index);
	if (r->name.there && (r->name.size_bytes >= sizeof(gva) || r->name.element_bytes))
		name_text(r, object->at, name + 1, sizeof(name) - 1);
	else if (r->name.there &&
		 field_read(r->walk->view, object->at, &r->name, &number, NULL) >= 0)
		print_number(r, number, name + 1, sizeof(name) - 1);
	if (name[1])
		name[0] = ' ';
	else
		print_home(r, object->at, home, sizeof(home));
	snprintf(buf, size, "%s%s%s%s%s%s", r->where, r->where[0] ? " " : "", r->entry->mechanism,
		 name, home[0] ? " " : "", home);
}

static int visit_object(struct hook_net_at *r, gva at, struct err *err)
{
	struct hook_object object = {
		.mechanism = r->entry->mechanism,
		.at = at,
		.print = print_name,
		.ctx = r,
		.registered = r->entry->registered,
	};

	if (!r->entry->table)
		return hook_members(r->walk, &object, r->entry->type, err);
	r->walk->objects++;
	return hook_table(r->walk, &object, r->entry->type, at, err);
}

static int visit_link(gva link, void *ctx, struct err *err)
{
	struct hook_net_at *r = ctx;

	return visit_object(r, field_object(link, &r->link), err);
}

static int walk_chain(struct hook_net_at *r, gva at, struct err *err)
{
	int result = view_ptr(r->walk->view, at, &at, err);

	for (uint32_t n = 0; result >= 0 && at.v; n++) {
		if (n == HOOK_OBJECTS_MAX)
			return fail(err, -ELOOP, at, "over %u in a chain", HOOK_OBJECTS_MAX);
		if (!gva_is_kernel(at))
			return fail(err, -EBADMSG, at, "chain leads to no kernel address");
		result = visit_object(r, at, err);
		if (result >= 0)
			result = field_ptr(r->walk->view, at, &r->link, &at, err);
	}
	return result;
}

static int walk_array(struct hook_net_at *r, gva at, uint64_t count, struct err *err)
{
	uint32_t stride = r->entry->way == HOOK_LISTS ? 16 : 8;
	int result = 0;

	r->array = true;
	for (r->index = 0; r->index < count && result >= 0; r->index++) {
		gva here = gva_add(at, r->index * stride), target;

		if (r->entry->way == HOOK_LISTS) {
			result = list_walk(r->walk->view, here, HOOK_OBJECTS_MAX, visit_link, r,
					   err);
		} else {
			result = view_ptr(r->walk->view, here, &target, err);
			if (result >= 0 && target.v)
				result = visit_object(r, target, err);
		}
		result = partial_add(&r->walk->partial, result, err);
	}
	return result;
}

/* How many there are: as the types say, or by the room up to the next symbol. */
static uint64_t count_of(const struct hook_net_at *r, gva at, const struct field *member)
{
	uint32_t stride = r->entry->way == HOOK_LISTS ? 16 : 8;
	uint64_t bytes = member->there ? member->size_bytes : 0;
	struct symbol symbol;

	if (r->entry->count)
		return r->entry->count;
	if (!bytes && symbols_at(r->walk->kernel->symbols, at, &symbol, &bytes) < 0)
		return 0;
	bytes /= stride;
	return bytes < HOOK_ARRAY_MAX ? bytes : HOOK_ARRAY_MAX;
}

static int walk_at(struct hook_net_at *r, gva at, const struct field *member, struct err *err)
{
	gva target;
	int result;

	switch (r->entry->way) {
	case HOOK_LIST:
		return list_walk(r->walk->view, at, HOOK_OBJECTS_MAX, visit_link, r, err);
	case HOOK_CHAIN:
		return walk_chain(r, at, err);
	case HOOK_LISTS:
	case HOOK_POINTERS:
		return walk_array(r, at, count_of(r, at, member), err);
	case HOOK_POINTERS_FAR:
	case HOOK_POINTER:
		result = view_ptr(r->walk->view, at, &target, err);
		if (result < 0 || !target.v)
			return result;
		return r->entry->way == HOOK_POINTER ?
			visit_object(r, target, err) :
			walk_array(r, target, count_of(r, target, member), err);
	}
	return 0;
}

/* Where a registry begins; false: this kernel has none. */
static bool find(const struct hook_net_at *r, gva object, gva *at, struct field *member)
{
	const struct kernel *kernel = r->walk->kernel;
	char variable[64];
	size_t n;

	*member = (struct field){0};
	if (r->entry->symbol) {
		*at = symbols_lookup(kernel->symbols, r->entry->symbol);
		if (at->v)
			return true;
	}
	if (!r->entry->member ||
	    types_field(kernel->types, r->entry->member, member, NULL) < 0)
		return false;
	n = strcspn(r->entry->member, ".");
	if (!object.v && n < sizeof(variable)) {
		memcpy(variable, r->entry->member, n);
		variable[n] = '\0';
		object = symbols_lookup(kernel->symbols, variable);
	}
	*at = field_at(object, member);
	return object.v != 0;
}

int hook_net_walk(struct hook_walk *walk, const struct hook_net *entries, size_t n,
		       gva object, const char *where, struct err *err)
{
	const struct types *types = walk->kernel->types;
	int result = 0;

	for (size_t i = 0; i < n && result >= 0; i++) {
		struct hook_net_at r = {
			.walk = walk,
			.entry = &entries[i],
			.where = where ? where : "",
		};
		struct field member;
		gva at;

		if (!types_find(types, entries[i].type) || !find(&r, object, &at, &member) ||
		    (entries[i].link && types_field(types, entries[i].link, &r.link, NULL) < 0))
			continue;
		if (entries[i].name && types_field(types, entries[i].name, &r.name, NULL) < 0)
			r.name.there = false;
		result = partial_add(&walk->partial, walk_at(&r, at, &member, err), err);
	}
	return result;
}

/* --- namespaces and their devices --- */

int hook_net_namespaces(struct hook_walk *walk, hook_net_fn *visit, void *ctx, struct err *err)
{
	struct nets nets = {0};
	int r = partial_add(&walk->partial, nets_read(walk->kernel, walk->view, &nets, err), err);

	for (size_t i = 0; i < nets.list.n && r >= 0; i++) {
		char where[32] = "";

		if (i)
			snprintf(where, sizeof(where), "net:[%u]", nets.list.v[i].inode);
		r = partial_add(&walk->partial, visit(walk, nets.list.v[i].at, where, ctx, err),
				err);
	}
	nets_free(&nets);
	return r;
}

struct device_fields {
	struct field devices, link, name;
};

static const struct member device_members[] = {
	MEMBER(struct device_fields, devices, "net.dev_base_head"),
	MEMBER(struct device_fields, link, "net_device.dev_list"),
	MEMBER(struct device_fields, name, "net_device.name"),
};
LAYOUT(device_layout, struct device_fields, device_members);

struct device_walk {
	struct hook_walk *walk;
	const struct device_fields *f;
	hook_net_fn *visit;
	void *ctx;
	const char *where;
};

static int visit_device(gva link, void *ctx, struct err *err)
{
	struct device_walk *devices = ctx;
	gva at = field_object(link, &devices->f->link);
	char name[16] = "?", where[64];

	if (view_string(devices->walk->view, field_at(at, &devices->f->name), name, sizeof(name),
			NULL) <= 0)
		snprintf(name, sizeof(name), "?");
	snprintf(where, sizeof(where), "%s%s%s", devices->where,
		 devices->where[0] ? " " : "", name);
	return partial_add(&devices->walk->partial,
			   devices->visit(devices->walk, at, where, devices->ctx, err), err);
}

static int walk_devices(struct hook_walk *walk, gva net, const char *where, void *ctx,
			struct err *err)
{
	struct device_walk *devices = ctx;

	devices->where = where;
	return list_walk(walk->view, field_at(net, &devices->f->devices), HOOK_OBJECTS_MAX,
			 visit_device, devices, err);
}

int hook_net_devices(struct hook_walk *walk, hook_net_fn *visit, void *ctx, struct err *err)
{
	struct device_walk devices = { .walk = walk, .visit = visit, .ctx = ctx };
	int r = types_layout(walk->kernel->types, &device_layout, (const void **)&devices.f, err);

	return r < 0 ? r : hook_net_namespaces(walk, walk_devices, &devices, err);
}
