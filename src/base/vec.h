/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_BASE_VEC_H
#define HVSM_BASE_VEC_H

#include <stddef.h>

#include "base/err.h"

/*
 * A growing array. Declare one with VEC(type), start with {0}, add with vec_add(), give the
 * memory back with vec_free().
 *
 *	VEC(struct task) tasks = {0};
 *	struct task *task = vec_add(&tasks);	// zeroed; NULL: no memory
 *	for (size_t i = 0; i < tasks.n; i++)
 *		use(&tasks.v[i]);
 *	vec_free(&tasks);
 */
#define VEC(type)             \
	struct {              \
		type *v;      \
		size_t n;     \
		size_t room;  \
	}

#define vec_add(vec)                                                           \
	(vec_grow((void **)&(vec)->v, &(vec)->room, (vec)->n, sizeof(*(vec)->v)) < 0 \
		 ? NULL                                                        \
		 : &(vec)->v[(vec)->n++])

#define vec_free(vec)                                   \
	do {                                            \
		free((vec)->v);                         \
		(vec)->v = NULL;                        \
		(vec)->n = (vec)->room = 0;             \
	} while (0)

/* What will not grow any more needs no room for more. Where it cannot be given back it stays. */
#define vec_settle(vec) vec_shrink((void **)&(vec)->v, &(vec)->room, (vec)->n, sizeof(*(vec)->v))

/*
 * Make room for element @n, and zero it. Doubling, so adding is cheap; -ENOMEM leaves the
 * array as it was. vec_add() is what to call.
 */
int vec_grow(void **v, size_t *room, size_t n, size_t element_bytes);

/* As vec_settle(), which is what to call. */
void vec_shrink(void **v, size_t *room, size_t n, size_t element_bytes);

#endif
