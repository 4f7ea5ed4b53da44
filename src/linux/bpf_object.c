/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "linux/bpf_set.h"
#include "linux/object.h"
#include "linux/peek.h"

/* What a BPF object says of itself (include/linux/bpf.h, struct bpf_prog, bpf_map, bpf_link). */

#define INSNS_MAX 1000000u	/* BPF_COMPLEXITY_LIMIT_INSNS; what is loaded has no more */
#define INSN_BYTES 8u		/* struct bpf_insn */
#define CALLS_MAX 4096u		/* there are some 220 helpers, and hundreds of kfuncs */
#define MAPS_MAX 64u		/* MAX_USED_MAPS (include/linux/bpf_verifier.h) */

#define OP_CALL	   0x85u	/* BPF_JMP | BPF_CALL */
#define CALL_HELPER 0u
#define CALL_KFUNC 2u		/* BPF_PSEUDO_KFUNC_CALL; 1 calls a function of the program */

struct object_fields {
	struct field prog, type, attach, len, jited_len, tag, func, jited, part, aux, insns;
	struct field id, refs, start, end, user, uid, loaded, name, maps, maps_n, attach_to;
	struct field index;
	struct field map, map_id, map_refs, map_type, map_name, key, value, entries;
	struct field link, link_id, link_refs, link_type, link_prog;
};

static const struct member object_members[] = {
	MEMBER(struct object_fields, prog, "bpf_prog"),
	MEMBER(struct object_fields, type, "bpf_prog.type"),
	MEMBER(struct object_fields, attach, "bpf_prog.expected_attach_type"),
	MEMBER(struct object_fields, len, "bpf_prog.len"),
	MEMBER(struct object_fields, jited_len, "bpf_prog.jited_len"),
	MEMBER(struct object_fields, tag, "bpf_prog.tag"),
	MEMBER(struct object_fields, func, "bpf_prog.bpf_func"),
	MEMBER(struct object_fields, jited, "bpf_prog.jited"),
	MEMBER(struct object_fields, part, "bpf_prog.is_func"),
	MEMBER(struct object_fields, aux, "bpf_prog.aux"),
	MEMBER(struct object_fields, insns, "bpf_prog.insnsi"),
	MEMBER(struct object_fields, id, "bpf_prog_aux.id"),
	MEMBER(struct object_fields, refs, "bpf_prog_aux.refcnt.counter"),
	MEMBER(struct object_fields, start, "bpf_prog_aux.ksym.start"),
	MEMBER(struct object_fields, end, "bpf_prog_aux.ksym.end"),
	MEMBER(struct object_fields, user, "bpf_prog_aux.user"),
	MEMBER(struct object_fields, uid, "user_struct.uid.val"),
	MEMBER(struct object_fields, loaded, "bpf_prog_aux.load_time"),
	MEMBER(struct object_fields, name, "bpf_prog_aux.name"),
	MEMBER(struct object_fields, maps, "bpf_prog_aux.used_maps"),
	MEMBER(struct object_fields, maps_n, "bpf_prog_aux.used_map_cnt"),
	MEMBER_OPTIONAL(struct object_fields, attach_to, "bpf_prog_aux.attach_func_name"),
	MEMBER(struct object_fields, index, "bpf_prog_aux.func_idx"),
	MEMBER(struct object_fields, map, "bpf_map"),
	MEMBER(struct object_fields, map_id, "bpf_map.id"),
	MEMBER(struct object_fields, map_refs, "bpf_map.refcnt.counter"),
	MEMBER(struct object_fields, map_type, "bpf_map.map_type"),
	MEMBER(struct object_fields, map_name, "bpf_map.name"),
	MEMBER(struct object_fields, key, "bpf_map.key_size"),
	MEMBER(struct object_fields, value, "bpf_map.value_size"),
	MEMBER(struct object_fields, entries, "bpf_map.max_entries"),
	MEMBER_OPTIONAL(struct object_fields, link, "bpf_link"),
	MEMBER_OPTIONAL(struct object_fields, link_id, "bpf_link.id"),
	MEMBER_OPTIONAL(struct object_fields, link_refs, "bpf_link.refcnt.counter"),
	MEMBER_OPTIONAL(struct object_fields, link_type, "bpf_link.type"),
	MEMBER_OPTIONAL(struct object_fields, link_prog, "bpf_link.prog"),
};
LAYOUT(object_layout, struct object_fields, object_members);

static int add_call(struct bpf_object *object, struct map *seen, gva target, struct err *err)
{
	gva *slot;
	int r;

	r = target.v ? map_put(seen, target.v, 1) : 1;
	if (r)
		return r < 0 ? r : 0;
	if (object->calls.n == CALLS_MAX)
		return fail(err, -EBADMSG, object->at, "BPF program that calls over %u functions",
			    CALLS_MAX);
	slot = vec_add(&object->calls);
	if (!slot)
		return -ENOMEM;
	*slot = target;
	return 0;
}

/*
 * Calls of the kernel, as the verifier left them: the distance from __bpf_call_base (fixup of
 * kernel/bpf/verifier.c, BPF_CALL_IMM()). Those of the program's other functions are there, too.
 */
static int read_calls(struct bpf_walk *walk, const struct object_fields *f,
		      struct bpf_object *object, struct err *err)
{
	gva base = symbols_lookup(walk->kernel->symbols, "__bpf_call_base");
	gva at = field_at(object->at, &f->insns);
	cleanup(freep) uint8_t *code = NULL;
	cleanup(map_free) struct map seen = { 0 };
	int r;

	if (!base.v || !object->insns)
		return 0;
	if (object->insns > INSNS_MAX)
		return fail(err, -EBADMSG, object->at, "BPF program of %u instructions",
			    object->insns);
	code = malloc((size_t)object->insns * INSN_BYTES);
	if (!code)
		return err_set(err, -ENOMEM, "no memory for a BPF program");
	r = view_read(walk->view, at, code, (size_t)object->insns * INSN_BYTES, err);
	for (uint32_t i = 0; i < object->insns && r >= 0; i++) {
		const uint8_t *insn = code + (size_t)i * INSN_BYTES;
		uint8_t source = insn[1] >> 4;
		int32_t to;

		if (insn[0] != OP_CALL || (source != CALL_HELPER && source != CALL_KFUNC))
			continue;
		memcpy(&to, insn + 4, sizeof(to));
		r = add_call(object, &seen, gva_add(base, (uint64_t)(int64_t)to), err);
	}
	return r;
}

static int read_maps(struct bpf_walk *walk, const struct object_fields *f, uint32_t index,
		     struct err *err)
{
	gva aux = walk->bpf->objects.v[index].aux, table, at;
	uint64_t n;
	int r;

	r = field_read(walk->view, aux, &f->maps_n, &n, err);
	if (r >= 0 && n)
		r = field_ptr(walk->view, aux, &f->maps, &table, err);
	if (r >= 0 && n > MAPS_MAX)
		return fail(err, -EBADMSG, aux, "BPF program with %llu maps",
			    (unsigned long long)n);
	walk->way = BPF_BY_PROGRAM;
	for (uint64_t i = 0; i < n && r >= 0; i++) {
		uint32_t map, *slot;

		r = view_ptr(walk->view, gva_add(table, i * sizeof(at.v)), &at, err);
		if (r < 0 || !at.v)
			continue;
		r = bpf_found(walk, BPF_MAP, at, &map, err);
		if (r < 0)
			return r;
		slot = vec_add(&walk->bpf->objects.v[index].maps);
		if (!slot)
			return err_set(err, -ENOMEM, "no memory for maps of BPF");
		*slot = map;
	}
	return r;
}

static const char *enumerator(const struct bpf_walk *walk, const char *name, uint32_t value)
{
	const char *text = types_enumerator(walk->kernel->types, name, value);

	return text ? text : "";
}

static int read_aux(struct bpf_walk *walk, const struct object_fields *f,
		    struct bpf_object *object, struct err *err)
{
	struct peek peek = peek_at(walk->view, err);
	gva aux = object->aux, user = peek_object(&peek, aux, &f->user);
	gva attach_to = peek_object(&peek, aux, &f->attach_to);
	int r;

	object->id = peek_u32(&peek, aux, &f->id);
	object->refcount = (int64_t)peek_u64(&peek, aux, &f->refs);
	object->start = peek_ptr(&peek, aux, &f->start);
	object->end = peek_ptr(&peek, aux, &f->end);
	object->loaded_ns = peek_u64(&peek, aux, &f->loaded);
	if (user.v)
		object->uid = peek_u32(&peek, user, &f->uid);
	object->part |= peek_u32(&peek, aux, &f->index) != 0;
	if (peek.first < 0)
		return peek.first;
	r = view_read(walk->view, field_at(aux, &f->name), object->name,
		      sizeof(object->name) - 1, err);
	if (r >= 0 && attach_to.v)
		r = view_string(walk->view, attach_to, object->attach_to,
				sizeof(object->attach_to), err);
	return r;
}

static int describe_program(struct bpf_walk *walk, const struct object_fields *f, uint32_t index,
			    struct err *err)
{
	struct bpf_object *object = &walk->bpf->objects.v[index];
	struct object copy;
	int r;

	r = object_read(walk->view, object->at, &f->prog, &copy, err);
	if (r < 0)
		return r;
	object->type = object_u32(&copy, &f->type);
	object->type_name = enumerator(walk, "bpf_prog_type", object->type);
	object->attach_name = enumerator(walk, "bpf_attach_type", object_u32(&copy, &f->attach));
	object_copy(&copy, &f->tag, object->tag, sizeof(object->tag));
	object->jited = object_uint(&copy, &f->jited);
	object->part = object_uint(&copy, &f->part);
	object->code = object_ptr(&copy, &f->func);
	object->code_bytes = object_u32(&copy, &f->jited_len);
	object->insns = object_u32(&copy, &f->len);
	object->aux = object_ptr(&copy, &f->aux);
	r = read_aux(walk, f, object, err);
	if (r >= 0)
		r = read_calls(walk, f, object, err);
	return r < 0 ? r : read_maps(walk, f, index, err);
}

static int describe_map(struct bpf_walk *walk, const struct object_fields *f,
			struct bpf_object *object, struct err *err)
{
	struct object copy;
	int r;

	r = object_read(walk->view, object->at, &f->map, &copy, err);
	if (r < 0)
		return r;
	object->id = object_u32(&copy, &f->map_id);
	object->refcount = (int64_t)object_uint(&copy, &f->map_refs);
	object->type = object_u32(&copy, &f->map_type);
	object->type_name = enumerator(walk, "bpf_map_type", object->type);
	object->key_bytes = object_u32(&copy, &f->key);
	object->value_bytes = object_u32(&copy, &f->value);
	object->entries = object_u32(&copy, &f->entries);
	object_copy(&copy, &f->map_name, object->name, sizeof(object->name) - 1);
	return 0;
}

static int describe_link(struct bpf_walk *walk, const struct object_fields *f, uint32_t index,
			 struct err *err)
{
	struct bpf_object *object = &walk->bpf->objects.v[index];
	struct object copy;
	uint32_t program;
	gva at;
	int r;

	r = object_read(walk->view, object->at, &f->link, &copy, err);
	if (r < 0)
		return r;
	object->id = object_u32(&copy, &f->link_id);
	object->refcount = (int64_t)object_uint(&copy, &f->link_refs);
	object->type = object_u32(&copy, &f->link_type);
	object->type_name = enumerator(walk, "bpf_link_type", object->type);
	at = object_ptr(&copy, &f->link_prog);
	if (!at.v)
		return 0;
	walk->way = BPF_BY_LINK;
	r = bpf_found(walk, BPF_PROGRAM, at, &program, err);
	if (r >= 0)
		walk->bpf->objects.v[index].program = program;
	return r;
}

int bpf_describe(struct bpf_walk *walk, uint32_t index, struct err *err)
{
	struct bpf_object *object = &walk->bpf->objects.v[index];
	const struct object_fields *f;
	int r;

	r = types_layout(walk->kernel->types, &object_layout, (const void **)&f, err);
	if (r < 0)
		return r;
	switch (object->kind) {
	case BPF_PROGRAM:
		return describe_program(walk, f, index, err);
	case BPF_MAP:
		return describe_map(walk, f, object, err);
	default:
		return describe_link(walk, f, index, err);
	}
}
