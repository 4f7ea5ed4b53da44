/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_LINUX_TYPES_H
#define HVSM_LINUX_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct bytes;
struct writer;

/*
 * The kernel's types, from its BTF (Documentation/bpf/btf.rst). One blob is checked as a
 * whole when it is parsed and trusted afterwards: no lookup can leave it, however it was
 * forged; what it *says* may still be wrong.
 */
struct types;

/* Where a member lies. Offsets are from the start of the outermost struct of the path. */
struct field {
	bool there;		/* false: this kernel has no such member */
	uint32_t at;		/* byte offset; for an enumerator: its value */
	uint32_t size_bytes;	/* of the member; of one bitfield's containing bytes */
	uint32_t element_bytes;	/* of an array: one element; otherwise 0 */
	uint8_t bit_at;		/* bitfields: first bit within the number at @at */
	uint8_t bits;		/* bitfields: width; otherwise 0 */
	uint32_t type;		/* BTF id of the member's type, qualifiers stripped */
};

/**
 * types_parse - index a copy of the kernel's BTF
 * @data: the blob; copied
 * @size: of @data; may be larger than the blob
 *
 * Return: 0, -EBADMSG (not BTF, or it contradicts itself), -ENOTSUP (an unknown kind),
 *         -ELOOP (limits), -ENOMEM.
 */
nodiscard int types_parse(const void *data, size_t size, struct types **ret, struct err *err);

/* Of one that was shared, the last one frees it. *@types becomes NULL. NULL is fine. */
void types_free(struct types **types);

/* One more user of it, who calls types_free() as well. Return: @types. */
struct types *types_share(struct types *types);

/* Would types_parse() make the same of this? */
bool types_is_of(const struct types *types, const void *data, size_t size);

/*
 * All as bytes that types_read() can use as they are; with the names of functions, for which there
 * may be no memory: 0, -ENOMEM.
 */
nodiscard int types_write(struct types *types, struct writer *w);
size_t types_written_max(const struct types *types);

/**
 * types_read - types where they lie
 * @b: aligned to eight bytes; must outlive @ret, and does not change
 *
 * Return: 0, -EBADMSG (no such types; all that they lead to is inside of them), -ENOTSUP, -ELOOP,
 *         -ENOMEM.
 */
nodiscard int types_read(struct bytes *b, struct types **ret, struct err *err);

/* Number of types, the void type not counted. */
uint32_t types_count(const struct types *types);

/* Bytes of the blob: header, types and strings. */
size_t types_bytes(const struct types *types);

/* Do two blobs say the same, byte for byte? */
bool types_equal(const struct types *a, const struct types *b);

/**
 * types_field - where a member lies
 * @path: "task_struct.se.group_node", members of anonymous structs and unions included;
 *        "task_struct" alone gives its size (at 0); "enum pid_type.PIDTYPE_TGID" the value
 *        of an enumerator; alternatives are tried from left to right:
 *        "task_struct.__state|task_struct.state". Typedefs may start a path. An array
 *        member may be indexed: "idr.idr_rt", "upid.numbers[1].nr".
 *
 * Return: 0, -ENOENT (text says which part is missing), -EINVAL (no such path can be), -EBADMSG
 *         or -ELOOP (types that cannot be).
 */
nodiscard int types_field(const struct types *types, const char *path, struct field *ret,
			  struct err *err);

/*
 * Tables of members: a view names once what it needs, and gets all offsets in one step.
 *
 *	struct task_fields { struct field size, tasks, pid, state; };
 *
 *	static const struct member task_members[] = {
 *		MEMBER(struct task_fields, size,  "task_struct"),
 *		MEMBER(struct task_fields, tasks, "task_struct.tasks"),
 *		MEMBER(struct task_fields, state, "task_struct.__state|task_struct.state"),
 *		MEMBER_OPTIONAL(struct task_fields, …),
 *	};
 *	LAYOUT(task_layout, struct task_fields, task_members);
 *
 *	const struct task_fields *f;
 *	r = types_layout(types, &task_layout, (const void **)&f, err);
 */
struct member {
	const char *path;
	size_t slot;		/* offset of its struct field in the table's struct */
	bool optional;
};

struct layout {
	size_t bytes;		/* of the table's struct */
	const struct member *members;
	size_t members_n;
};

#define MEMBER(fields, name, what) { (what), offsetof(fields, name), false }
#define MEMBER_OPTIONAL(fields, name, what) { (what), offsetof(fields, name), true }
#define LAYOUT(name, fields, table)             \
	static const struct layout name = {     \
		sizeof(fields), (table), sizeof(table) / sizeof((table)[0]) }

/**
 * types_layout - resolve a table of members, or give back what was resolved before
 * @ret: the table's struct; owned by @types, as long as it lives
 *
 * Return: 0, -ENOENT (a member that is not optional is missing; the text names it), -ENOMEM,
 *         or as types_field().
 */
nodiscard int types_layout(struct types *types, const struct layout *layout, const void **ret,
			   struct err *err);

/*
 * What was made of the types, and maybe of the symbols of the same kernel, for the next sweep:
 * it is as true then. As keep_get() and keep_put(), until types_free().
 */
void *types_kept(const struct types *types, const void *key);
nodiscard int types_keep(struct types *types, const void *key, void *object,
			 void (*release)(void *object));

/* The name of a type by BTF id; "" where it has none or there is no such id. */
const char *types_name(const struct types *types, uint32_t type);

/* The BTF id of a struct, union or typedef by name, typedefs followed; 0: there is none. */
uint32_t types_find(const struct types *types, const char *name);

/* The first enumerator of enum @name with this value; NULL where there is none. */
const char *types_enumerator(const struct types *types, const char *name, uint32_t value);

/* What a member is, for those who look at all of them. */
enum type_kind {
	TYPE_OTHER,		/* number, pointer to data, … */
	TYPE_STRUCT,
	TYPE_UNION,
	TYPE_FUNCTION,		/* pointer to a function */
	TYPE_STRUCT_POINTER,	/* pointer to a struct */
};

struct type_member {
	const char *name;	/* "" where it is anonymous; lives as long as the types */
	uint32_t at;		/* byte offset */
	uint32_t count;		/* elements of an array; otherwise 1 */
	enum type_kind kind;	/* of the member, or of one element */
	uint32_t type;		/* BTF id of the struct, union or FUNC_PROTO that it is, leads to */
};

/**
 * types_members - the members of a struct or union, as they are declared
 * @type:  BTF id of it
 * @visit: called for each but bitfields; a negative return ends it
 *
 * Return: 0, -ENOENT (@type is none), or what @visit returned.
 */
typedef int type_member_fn(const struct type_member *member, void *ctx, struct err *err);
nodiscard int types_members(const struct types *types, uint32_t type, type_member_fn *visit,
			    void *ctx, struct err *err);

/* The FUNC_PROTO of a function by name; 0: unknown, or several functions have this name. */
uint32_t types_function(struct types *types, const char *name);

/* The FUNC_PROTO that a member leads to; 0: it is no pointer to a function. */
uint32_t types_prototype(const struct types *types, const struct field *field);

/**
 * types_alike - may a pointer to functions of prototype @a lead to one of prototype @b?
 * Yes where each parameter is passed alike: numbers of the same size, pointers to the same
 * struct. What is pointed to matters only where both sides say so: void * leads anywhere.
 */
bool types_alike(const struct types *types, uint32_t a, uint32_t b);

#endif
