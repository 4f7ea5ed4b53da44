/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_LINUX_HOOK_NET_H
#define HVSM_LINUX_HOOK_NET_H

#include "linux/hook.h"

/*
 * Where the kernel keeps what was registered with it: a list, an array or a pointer, under a
 * symbol or in an object. For sources whose objects are found so, which is most of them.
 */
enum hook_way {
	HOOK_LIST,		/* list_head */
	HOOK_LISTS,		/* array of list_head */
	HOOK_CHAIN,		/* pointer to the first; each leads to the next */
	HOOK_POINTER,		/* pointer to the only one */
	HOOK_POINTERS,		/* array of pointers */
	HOOK_POINTERS_FAR,	/* pointer to such an array */
};

struct hook_net {
	const char *mechanism;	/* "packet handler" */
	enum hook_way way;

	/*
	 * Where it begins: a symbol, or what else it is called in other kernels: a member
	 * of a struct that is a variable ("net_hotdata.offload_base"). Without a symbol: a member
	 * of the object that hook_net_walk() is given.
	 */
	const char *symbol;
	const char *member;

	const char *type;	/* of each object: "packet_type" */
	const char *link;	/* in it, for lists and chains: "packet_type.list" */

	/*
	 * In it, what tells it from others: a text, a pointer to one, or a number. NULL: its
	 * index in the array, or nothing.
	 */
	const char *name;

	/*
	 * Not all that its type tells of, but a table of operations, set up once by whoever has
	 * the memory that it is in (hook.table).
	 */
	bool table;
	bool network_order;	/* the name is a number in network byte order */
	bool registered;	/* as in struct hook_object */
	uint32_t count;		/* elements of an array whose size the types do not tell */
};

/**
 * hook_net_walk - visit the objects of some registries
 * @entries, @n: what this kernel does not have is passed over
 * @object:      for those that lie in an object; 0 otherwise
 * @where:       what stands before each name: "net:[4026532008] eth0"; NULL: nothing
 *
 * Return: 0, or what must end the whole. What could not be read is in @walk->partial.
 */
nodiscard int hook_net_walk(struct hook_walk *walk, const struct hook_net *entries,
				 size_t n, gva object, const char *where, struct err *err);

/* Every network namespace, and every device of one: visited one after the other. */
typedef int hook_net_fn(struct hook_walk *walk, gva at, const char *where, void *ctx,
			struct err *err);

/**
 * hook_net_namespaces - every network namespace
 * @visit: gets its struct net, and "" for the initial one, "net:[4026532008]" for others
 *
 * Return: 0, or what must end the whole. What could not be read is in @walk->partial.
 */
nodiscard int hook_net_namespaces(struct hook_walk *walk, hook_net_fn *visit, void *ctx,
			     struct err *err);

/* Every network device: its struct net_device, and "eth0" or "net:[4026532008] eth0". */
nodiscard int hook_net_devices(struct hook_walk *walk, hook_net_fn *visit, void *ctx,
				struct err *err);

#endif
