/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/hooks_registry.h"

#include <stdio.h>

#include "base/limits.h"
#include "guest/list.h"

struct registry_list {
	struct hook_walk *walk;
	const struct registry *registry;
	struct field link, name;
	gva head;
};

static void print_name(const struct hook_object *object, char *buf, size_t size)
{
	const struct registry_list *list = object->ctx;
	struct view *view = list->walk->view;
	gva at = field_at(object->at, &list->name);
	int r = list->name.there ? 0 : -ENOENT;

	if (r >= 0 && !list->name.element_bytes)
		r = field_ptr(view, object->at, &list->name, &at, NULL);
	if (r >= 0)
		r = view_string(view, at, buf, size, NULL);
	if (r <= 0)
		snprintf(buf, size, "%s", list->registry->mechanism);
}

static int visit_one(struct registry_list *list, gva at, struct err *err)
{
	const struct registry *registry = list->registry;
	struct hook_walk *walk = list->walk;
	struct hook_object object = {
		.mechanism = registry->mechanism,
		.at = at,
		.print = print_name,
		.ctx = list,
		.registered = registry->registered,
	};
	int r;

	/* In the kernel's own data: its functions are the kernel's. */
	if (at.v >= walk->kernel->text.v && at.v < walk->kernel->end.v)
		object.home = at;
	if (registry->is_table) {
		walk->objects++;
		r = hook_table(walk, &object, registry->type, at, err);
	} else {
		r = hook_members(walk, &object, registry->type, err);
	}
	return r >= 0 && registry->more ? registry->more(walk, &object, err) : r;
}

static int visit_link(gva link, void *ctx, struct err *err)
{
	struct registry_list *list = ctx;

	return visit_one(list, field_object(link, &list->link), err);
}

static int walk_chain(struct registry_list *list, gva head, struct err *err)
{
	struct view *view = list->walk->view;
	gva at;
	int r = view_ptr(view, head, &at, err);

	for (uint32_t n = 0; r >= 0 && at.v; n++) {
		if (n == REGISTERED_MAX)
			return err_set(err, -ELOOP, "over %u objects of type '%s'",
				       REGISTERED_MAX, list->registry->type);
		if (!gva_is_kernel(at))
			return fail(err, -EBADMSG, at, "no place for a '%s'",
				    list->registry->type);
		r = visit_one(list, at, err);
		if (r >= 0)
			r = field_ptr(view, at, &list->link, &at, err);
	}
	return r;
}

static int match_head(gva link, void *ctx, struct err *err)
{
	struct registry_list *list = ctx;

	(void)err;
	if (symbols_is_start(list->walk->kernel->symbols, link, list->registry->symbol))
		list->head = link;
	return 0;
}

/* Of several symbols of one name the right one is in the list that @member is in. */
static int find_head(struct registry_list *list, struct err *err)
{
	gva member = symbols_lookup(list->walk->kernel->symbols, list->registry->member);

	if (!member.v)
		return 0;
	return list_walk(list->walk->view, field_at(member, &list->link), REGISTERED_MAX,
			 match_head, list, err);
}

static int walk_list(struct registry_list *list, struct err *err)
{
	struct view *view = list->walk->view;
	int r = list->registry->member ? find_head(list, err) : 0;
	gva head = list->head;

	if (r < 0)
		return wrap(err, r, "%s", list->registry->symbol);

	switch (list->registry->how) {
	case REGISTRY_CHAIN:
		r = walk_chain(list, head, err);
		break;
	case REGISTRY_HLIST:
		r = hlist_walk(view, head, REGISTERED_MAX, visit_link, list, err);
		break;
	case REGISTRY_LIST:
	default:
		r = list_walk(view, head, REGISTERED_MAX, visit_link, list, err);
		break;
	}
	return r < 0 ? wrap(err, r, "%s", list->registry->symbol) : 0;
}

int registry_walk(struct hook_walk *walk, const struct registry *registries, size_t n,
		  struct err *err)
{
	const struct types *types = walk->kernel->types;
	bool found = false;
	int r = 0;

	for (size_t i = 0; i < n && r >= 0; i++) {
		const struct registry *registry = &registries[i];
		struct registry_list list = { .walk = walk, .registry = registry };

		list.head = symbols_lookup(walk->kernel->symbols, registry->symbol);
		if (!list.head.v || types_field(types, registry->link, &list.link, NULL) < 0)
			continue;
		if (!registry->name || types_field(types, registry->name, &list.name, NULL) < 0)
			list.name = (struct field){0};
		found = true;
		r = partial_add(&walk->partial, walk_list(&list, err), err);
	}
	return r >= 0 && !found ? err_set(err, -ENOENT, "no %s", registries[0].symbol) : r;
}
