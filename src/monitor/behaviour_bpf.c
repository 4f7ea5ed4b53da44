/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/map.h"
#include "base/vec.h"
#include "linux/bpf.h"
#include "linux/peek.h"
#include "linux/xarray.h"
#include "monitor/behaviour_part.h"
#include "report/encode.h"

/*
 * BPF programs, by the table of their numbers (prog_idr): what bpftool lists. A number is not
 * given again before all others were (idr_alloc_cyclic()).
 */

#define TYPE_PREFIX "BPF_PROG_TYPE_"

struct program_fields {
	struct field aux, type, tag, name, user, uid, root;
};

static const struct member program_members[] = {
	MEMBER(struct program_fields, aux, "bpf_prog.aux"),
	MEMBER(struct program_fields, type, "bpf_prog.type"),
	MEMBER(struct program_fields, tag, "bpf_prog.tag"),
	MEMBER(struct program_fields, name, "bpf_prog_aux.name"),
	MEMBER(struct program_fields, user, "bpf_prog_aux.user"),
	MEMBER(struct program_fields, uid, "user_struct.uid.val"),
	MEMBER(struct program_fields, root, "idr.idr_rt"),
};
LAYOUT(program_layout, struct program_fields, program_members);

struct program {
	uint32_t id, type, uid;
	gva at;
	char name[BPF_NAME_BYTES];
	uint8_t tag[BPF_TAG_BYTES];
	const char *type_name;	/* of the kernel's types; "" */
	bool partial;		/* it went while it was read */
};

struct programs {
	VEC(struct program) v;	/* by id */
};

struct part_bpf {
	struct programs was, now;
};

static void *bpf_open(void)
{
	return calloc(1, sizeof(struct part_bpf));
}

static void bpf_forget(void *ctx)
{
	struct part_bpf *part = ctx;

	vec_free(&part->was.v);
	vec_free(&part->now.v);
}

static void bpf_close(void *ctx)
{
	bpf_forget(ctx);
	free(ctx);
}

static size_t bpf_count(const void *ctx)
{
	const struct part_bpf *part = ctx;

	return part->was.v.n;
}

static int add_program(uint64_t index, uint64_t entry, void *ctx, struct err *err)
{
	struct programs *programs = ctx;
	struct program *program;

	if (!gva_is_kernel(gva_of(entry)) || index > UINT32_MAX)
		return fail(err, -EBADMSG, gva_of(entry), "no place for a BPF program");
	program = vec_add(&programs->v);
	if (!program)
		return -ENOMEM;
	program->id = (uint32_t)index;
	program->at = gva_of(entry);
	return 0;
}

static int bpf_read_part(void *ctx, const struct glance *glance, struct err *err)
{
	gva table = symbols_lookup(glance->kernel->symbols, "prog_idr");
	const struct program_fields *f;
	struct part_bpf *part = ctx;
	int r;

	part->now.v.n = 0;
	if (!table.v)
		return READ_ALL;	/* a kernel without BPF */
	r = types_layout(glance->kernel->types, &program_layout, (const void **)&f, err);
	if (r >= 0)
		r = xarray_walk(glance->kernel, glance->view, field_at(table, &f->root),
				BPF_IMAGES_MAX, add_program, &part->now, err);
	return r < 0 ? wrap(err, r, "BPF programs") : READ_ALL;
}

static void read_program(const struct glance *glance, struct program *program)
{
	struct peek peek = peek_at(glance->view, NULL);
	const struct program_fields *f;
	const char *name;
	gva aux, user;

	program->type_name = "";
	program->partial = true;
	if (types_layout(glance->kernel->types, &program_layout, (const void **)&f, NULL) < 0)
		return;
	aux = peek_object(&peek, program->at, &f->aux);
	program->type = peek_u32(&peek, program->at, &f->type);
	if (view_read(glance->view, field_at(program->at, &f->tag), program->tag, BPF_TAG_BYTES,
		      NULL) < 0 || !aux.v)
		return;
	if (view_read(glance->view, field_at(aux, &f->name), program->name,
		      sizeof(program->name) - 1, NULL) < 0)
		return;
	user = peek_object(&peek, aux, &f->user);
	program->uid = user.v ? peek_u32(&peek, user, &f->uid) : 0;
	program->partial = peek.first < 0 || !user.v;
	name = types_enumerator(glance->kernel->types, "bpf_prog_type", program->type);
	if (name)
		program->type_name = name;
}

static json_t *type_json(const struct program *program)
{
	const char *name = program->type_name;

	if (!strncmp(name, TYPE_PREFIX, strlen(TYPE_PREFIX)))
		name += strlen(TYPE_PREFIX);
	return *name ? encode_text(name) : json_sprintf("%" PRIu32, program->type);
}

static json_t *tag_json(const struct program *program)
{
	char text[2 * BPF_TAG_BYTES + 1];

	for (size_t i = 0; i < BPF_TAG_BYTES; i++)
		snprintf(text + 2 * i, 3, "%02x", program->tag[i]);
	return json_string(text);
}

static void tell_program(const struct glance *glance, enum event_kind kind,
			 const struct program *program)
{
	if (!glance_wants(glance, kind))
		return;
	glance_tell(glance, kind,
		  json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}",
			    "id", encode_count(program->id),
			    "at", encode_address(program->at),
			    "name", encode_text_or_null(program->name),
			    "type", type_json(program),
			    "uid", program->partial ? json_null() : encode_count(program->uid),
			    "tag", program->partial ? json_null() : tag_json(program)));
}

static bool same(const struct program *a, const struct program *b)
{
	return a->id == b->id && a->at.v == b->at.v;
}

static int by_id(const void *a, const void *b)
{
	const struct program *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

/* Both are by id, so what is in one of them only is found in one pass. */
static int bpf_compare(void *ctx, const struct glance *glance, bool complete, struct err *err)
{
	struct part_bpf *part = ctx;
	struct programs *was = &part->was, *now = &part->now;
	struct programs old = *was;
	size_t n = now->v.n, i = 0, j = 0;

	(void)err;
	while (i < was->v.n || j < n) {
		struct program *here = j < n ? &now->v.v[j] : NULL;
		const struct program *there = i < was->v.n ? &was->v.v[i] : NULL;

		if (here && there && same(here, there)) {
			*here = *there;
			i++;
			j++;
		} else if (here && (!there || here->id < there->id)) {
			read_program(glance, here);
			tell_program(glance, EVENT_BPF_LOAD, here);
			j++;
		} else {
			struct program *kept = complete ? NULL : vec_add(&now->v);

			if (kept)
				*kept = *there;
			else
				tell_program(glance, EVENT_BPF_UNLOAD, there);
			i++;
		}
	}
	if (now->v.n > n)
		qsort(now->v.v, now->v.n, sizeof(*now->v.v), by_id);
	*was = *now;
	*now = old;
	return 0;
}

const struct part behaviour_bpf = {
	.name = "BPF programs",
	.kinds = EVENT_BIT(EVENT_BPF_LOAD) | EVENT_BIT(EVENT_BPF_UNLOAD),
	.open = bpf_open,
	.close = bpf_close,
	.read = bpf_read_part,
	.compare = bpf_compare,
	.forget = bpf_forget,
	.count_name = "bpf_programs",
	.count = bpf_count,
};
