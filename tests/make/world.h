/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_TESTS_MAKE_WORLD_H
#define HVSM_TESTS_MAKE_WORLD_H

#include <stdint.h>

#include "linux/kernel.h"

/*
 * A made-up guest: memory, page tables, types and symbols out of a description, so that a view
 * can be shown structures that no kernel would build.
 *
 *	static const struct made_struct types[] = {
 *		{ "list_head", 16, { { "next", 0, "ptr" }, { "prev", 8, "ptr" } } },
 *		…
 *	};
 *	struct world *world = world_new();
 *	gva head = world_symbol(world, "modules", 16);
 *	world_start(world, types, ARRAY_SIZE(types));
 *	gva object = world_alloc(world, 64);
 *	world_set(world, object, "list_head.next", head.v);
 *	… module_list(world_kernel(world), world_view(world), …) …
 *	world_end(&world);
 *
 * Whatever cannot be done ends the test program: it is the test that is wrong then.
 */
struct world;

struct made_member {
	const char *name;	/* NULL: no more; "": of an anonymous struct or union */
	uint32_t at;		/* byte offset */
	/*
	 * u8 u16 u32 u64 ptr, function (a pointer to one), or a struct that stands before this
	 * one; "*name": a pointer to such a struct.
	 */
	const char *type;
	uint32_t count;		/* elements of an array; 0: it is none */
	uint8_t bit_at, bits;	/* bitfields */
};

struct made_struct {
	const char *name;	/* "enum x": its members' values stand in their @at */
	uint32_t size;
	struct made_member members[32];
};

struct world *world_new(void);

/* A variable of the kernel, zeroed; before world_start(). */
gva world_symbol(struct world *world, const char *name, uint32_t bytes);

/* The same for a function. */
gva world_function(struct world *world, const char *name, uint32_t bytes);

/* From now on there are a kernel and a view. Types that stand twice: the first counts. */
void world_start(struct world *world, const struct made_struct *types, size_t n);

/* An object, zeroed, aligned to 64 bytes, in the direct map. */
gva world_alloc(struct world *world, uint32_t bytes);

/* The host's pointer to it; what it writes is seen after view_refresh(). */
void *world_at(struct world *world, gva at, uint32_t bytes);

/* Write a member: "sock.sk_type"; or read it. */
void world_set(struct world *world, gva object, const char *path, uint64_t value);
uint64_t world_get(struct world *world, gva object, const char *path);

/* Write a number of 8 bytes; bytes. */
void world_put(struct world *world, gva at, uint64_t value);
void world_copy(struct world *world, gva at, const void *bytes, uint32_t n);

/* The address of a member; an object and its text, terminated. */
gva world_member(struct world *world, gva object, const char *path);
gva world_text(struct world *world, const char *text);

/* Put a link into a circular list, before @head; into a hash chain, behind @head. */
void world_list_add(struct world *world, gva head, gva link);
void world_hlist_add(struct world *world, gva head, gva link);

/* An address that is in the kernel's half and nowhere mapped. */
gva world_nowhere(void);

const struct kernel *world_kernel(struct world *world);

/* Fresh, and with fuel for a sweep. */
struct view *world_view(struct world *world);

void world_end(struct world **world);

#endif
