/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_LINUX_HOOKS_REGISTRY_H
#define HVSM_LINUX_HOOKS_REGISTRY_H

#include "linux/hook.h"

/*
 * What the kernel keeps in one list under one symbol: drivers, types, formats. A source that
 * has nothing but such lists is a table of these.
 */
enum registry_how {
	REGISTRY_LIST,		/* struct list_head */
	REGISTRY_HLIST,		/* struct hlist_head */
	REGISTRY_CHAIN,		/* a pointer to the first, each has one to the next */
};

struct registry {
	const char *mechanism;	/* "key type" */
	const char *symbol;	/* of the head */
	const char *member;	/* one that is always there, where several symbols are called so */
	enum registry_how how;
	const char *type;	/* "key_type" */
	const char *link;	/* its link: "key_type.link" */
	const char *name;	/* an array of char, or a pointer to it; NULL: its symbol */

	/*
	 * It is a constant of whoever registers it, as a table of operations is: its functions
	 * are those of its owner.
	 */
	bool is_table;
	bool registered;	/* struct hook_object */

	/* What its types do not tell of; may be NULL. */
	int (*more)(struct hook_walk *walk, const struct hook_object *object, struct err *err);
};

/**
 * registry_walk - visit all in some lists
 * Lists that a kernel does not have, or not with this link, are passed over. Return: 0, -ENOENT
 *         (it has none of them), or what ended the walk.
 */
nodiscard int registry_walk(struct hook_walk *walk, const struct registry *registries, size_t n,
			    struct err *err);

#endif
