/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "guest/list.h"
#include "linux/hook.h"

/*
 * Hooks of security modules (security/security.c). Up to 6.11 each hook has a list of struct
 * security_hook_list; from 6.12 (417c5643cd67) a few static calls, each with the
 * struct security_hook_list that it stands for, and the function in its key.
 */
struct lsm_fields {
	struct field list, hook, hl, key, call, func;
};

static const struct member lsm_members[] = {
	MEMBER(struct lsm_fields, hook, "security_hook_list.hook"),
	MEMBER_OPTIONAL(struct lsm_fields, list, "security_hook_list.list"),
	MEMBER_OPTIONAL(struct lsm_fields, call, "lsm_static_call"),
	MEMBER_OPTIONAL(struct lsm_fields, hl, "lsm_static_call.hl"),
	MEMBER_OPTIONAL(struct lsm_fields, key, "lsm_static_call.key"),
	MEMBER_OPTIONAL(struct lsm_fields, func, "static_call_key.func"),
};
LAYOUT(lsm_layout, struct lsm_fields, lsm_members);

/* What a hook takes: the member of its name of union security_list_options. */
struct option {
	const char *name;
	uint32_t prototype;
};

struct lsm {
	struct hook_walk *walk;
	const struct lsm_fields *f;
	gva head;		/* of all hooks */
	const char *name;	/* of the hook */
	uint32_t prototype;
	VEC(struct option) options;
	size_t next;		/* of the options: the likeliest for the next hook */
};

static int add_option(const struct type_member *member, void *ctx, struct err *err)
{
	struct lsm *lsm = ctx;
	struct option *option;

	(void)err;
	if (member->kind != TYPE_FUNCTION)
		return 0;
	option = vec_add(&lsm->options);
	if (!option)
		return -ENOMEM;
	*option = (struct option){ member->name, member->type };
	return 0;
}

/* There is one macro for all hooks, so that they have one order everywhere. */
static uint32_t prototype_of(struct lsm *lsm, const char *name)
{
	for (size_t i = 0; i < lsm->options.n; i++) {
		size_t at = (lsm->next + i) % lsm->options.n;

		if (strcmp(lsm->options.v[at].name, name) != 0)
			continue;
		lsm->next = at + 1;
		return lsm->options.v[at].prototype;
	}
	return 0;
}

static int visit_function(struct lsm *lsm, gva at, gva table, const struct field *field,
			  struct err *err)
{
	char text[96];
	struct hook_object object = {
		.mechanism = "security hook",
		.at = at,
		.text = text,
	};
	struct hook hook = {
		.object = &object,
		.at = field_at(at, field),
		.table = table,
		.type = "security_hook_list",
		.member = lsm->name,
		.prototype = lsm->prototype,
	};
	int r = view_ptr(lsm->walk->view, hook.at, &hook.target, err);

	if (r < 0)
		return partial_add(&lsm->walk->partial, r, err);
	if (!hook.target.v)
		return 0;
	snprintf(text, sizeof(text), "security hook %s", lsm->name);
	lsm->walk->objects++;
	lsm->walk->pointers++;
	return lsm->walk->visit(&hook, lsm->walk->ctx, err);
}

/* Who hooks is built in: the table of a module is not in the kernel's image. */
static int visit_listed(gva link, void *ctx, struct err *err)
{
	struct lsm *lsm = ctx;
	gva at = field_object(link, &lsm->f->list);

	return visit_function(lsm, at, lsm->head, &lsm->f->hook, err);
}

static int visit_call(struct lsm *lsm, gva call, struct err *err)
{
	struct view *view = lsm->walk->view;
	gva hl, key;
	int r = field_ptr(view, call, &lsm->f->hl, &hl, err);

	if (r >= 0)
		r = field_ptr(view, call, &lsm->f->key, &key, err);
	if (r < 0)
		return partial_add(&lsm->walk->partial, r, err);
	r = hl.v ? visit_function(lsm, hl, lsm->head, &lsm->f->hook, err) : 0;
	if (r >= 0 && key.v)
		r = visit_function(lsm, key, lsm->head, &lsm->f->func, err);
	return r;
}

static int visit_hook(const struct type_member *member, void *ctx, struct err *err)
{
	struct lsm *lsm = ctx;
	gva at = gva_add(lsm->head, member->at);
	int r = 0;

	if (member->kind != TYPE_STRUCT)
		return 0;
	lsm->name = member->name;
	lsm->prototype = prototype_of(lsm, member->name);
	if (lsm->f->list.there)
		return partial_add(&lsm->walk->partial,
				   hlist_walk(lsm->walk->view, at, REGISTERED_MAX, visit_listed,
					      lsm, err), err);
	for (uint32_t i = 0; i < member->count && r >= 0; i++)
		r = visit_call(lsm, gva_add(at, (uint64_t)i * lsm->f->call.size_bytes), err);
	return r;
}

static int walk_lsm(struct hook_walk *walk, struct err *err)
{
	const struct kernel *kernel = walk->kernel;
	struct lsm lsm = { .walk = walk };
	bool is_list;
	int r = types_layout(kernel->types, &lsm_layout, (const void **)&lsm.f, err);

	if (r < 0)
		return r;
	is_list = lsm.f->list.there;
	if (!is_list && !(lsm.f->call.there && lsm.f->hl.there && lsm.f->key.there &&
			  lsm.f->func.there))
		return err_set(err, -ENOENT, "no hooks of security modules");
	r = kernel_symbol(kernel, is_list ? "security_hook_heads" : "static_calls_table",
			  &lsm.head, err);
	if (r < 0)
		return r;
	r = types_members(kernel->types, lsm.f->hook.type, add_option, &lsm, err);
	if (r >= 0)
		r = types_members(kernel->types,
				  types_find(kernel->types, is_list ? "security_hook_heads" :
							    "lsm_static_calls_table"),
				  visit_hook, &lsm, err);
	vec_free(&lsm.options);
	return r;
}

const struct hook_source hooks_lsm = { .id = "lsm", .walk = walk_lsm };
