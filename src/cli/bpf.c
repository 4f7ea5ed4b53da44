/* SPDX-License-Identifier: Apache-2.0 */

/* hvsm bpf - the BPF programs, maps and links of a guest. */

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/listing.h"
#include "cli/output.h"
#include "cli/table.h"
#include "linux/bpf.h"
#include "linux/clock.h"
#include "report/encode.h"

struct data {
	struct bpf bpf;
	struct clock clock;
	bool has_clock;
	const struct symbols *symbols;	/* the kernel's, which outlives this */
};

static int bpf_read_all(const struct attached *guest, const struct arguments *args, void *to,
			struct err *err)
{
	struct data *data = to;

	(void)args;
	data->symbols = guest->kernel->symbols;
	data->has_clock = clock_read(guest->kernel, guest->view, &data->clock, NULL) >= 0;
	return bpf_read(guest->kernel, guest->view, &data->bpf, err);
}

static void bpf_free_all(void *data)
{
	bpf_free(&((struct data *)data)->bpf);
}

static const char *kind_name(enum bpf_kind kind)
{
	static const char *const names[BPF_KINDS] = { "program", "map", "link" };

	return names[kind];
}

/* "BPF_PROG_TYPE_CGROUP_SKB" → "cgroup_skb"; a number where the types have no name. */
static const char *type_text(const struct bpf_object *object, char *buf, size_t size)
{
	static const char *const prefixes[BPF_KINDS] = {
		"BPF_PROG_TYPE_", "BPF_MAP_TYPE_", "BPF_LINK_TYPE_",
	};
	const char *name = object->type_name, *prefix = prefixes[object->kind];

	if (!*name) {
		snprintf(buf, size, "%" PRIu32, object->type);
		return buf;
	}
	snprintf(buf, size, "%s", strncmp(name, prefix, strlen(prefix)) ?
		 name : name + strlen(prefix));
	for (char *at = buf; *at; at++)
		*at = (char)tolower((unsigned char)*at);
	return buf;
}

/* The function of the kernel at @at, or "" where none begins there. */
static const char *call_name(const struct data *data, gva at)
{
	struct symbol symbol;

	return symbols_at(data->symbols, at, &symbol, NULL) >= 0 && symbol.at.v == at.v ?
	       symbol.name : "";
}

/* --- JSON --- */

static json_t *found_by_json(const struct bpf_object *object)
{
	json_t *array = json_array();

	for (enum bpf_way way = 0; way < BPF_WAYS; way++)
		if (object->found_by & 1u << way)
			encode_append(&array, json_string(bpf_way_name(way)));
	return array;
}

static json_t *holders_json(const struct data *data, uint32_t index)
{
	json_t *array = json_array();

	for (size_t i = 0; i < data->bpf.holders.n; i++) {
		const struct bpf_holder *holder = &data->bpf.holders.v[i];

		if (holder->object == index)
			encode_append(&array, json_pack("{s:I, s:I, s:o}",
				"pid", (json_int_t)holder->pid, "fd", (json_int_t)holder->fd,
				"comm", encode_text(holder->comm)));
	}
	return array;
}

static json_t *attachments_json(const struct data *data, uint32_t index)
{
	json_t *array = json_array();

	for (size_t i = 0; i < data->bpf.attachments.n; i++) {
		const struct bpf_attachment *attachment = &data->bpf.attachments.v[i];

		if (attachment->object == index)
			encode_append(&array, json_pack("{s:s, s:o}",
				"kind", bpf_way_name(attachment->way),
				"where", encode_text(attachment->where)));
	}
	return array;
}

static json_t *calls_json(const struct data *data, const struct bpf_object *object)
{
	json_t *array = json_array();

	for (size_t i = 0; i < object->calls.n; i++) {
		const char *name = call_name(data, object->calls.v[i]);

		if (*name)
			encode_append(&array, encode_text(name));
	}
	return array;
}

static json_t *maps_json(const struct data *data, const struct bpf_object *object)
{
	json_t *array = json_array();

	for (size_t i = 0; i < object->maps.n; i++)
		encode_append(&array, encode_count(data->bpf.objects.v[object->maps.v[i]].id));
	return array;
}

static json_t *tag_json(const struct bpf_object *object)
{
	char text[2 * BPF_TAG_BYTES + 1];

	for (size_t i = 0; i < BPF_TAG_BYTES; i++)
		snprintf(text + 2 * i, 3, "%02x", object->tag[i]);
	return json_string(text);
}

static json_t *loaded_json(const struct data *data, const struct bpf_object *object)
{
	return data->has_clock && object->loaded_ns ?
	       encode_time(clock_wall_ns(&data->clock, object->loaded_ns)) : json_null();
}

static json_t *program_json(const struct data *data, const struct bpf_object *object)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:b, s:b, s:o, s:o, s:o, s:o, s:o}",
			 "tag", tag_json(object),
			 "uid", encode_count(object->uid),
			 "loaded", loaded_json(data, object),
			 "attach_type", encode_text_or_null(object->attach_name),
			 "attach_to", encode_text_or_null(object->attach_to),
			 "jited", object->jited,
			 "part", object->part,
			 "code", encode_address(object->code),
			 "code_bytes", encode_count(object->code_bytes),
			 "instructions", encode_count(object->insns),
			 "calls", calls_json(data, object),
			 "maps", maps_json(data, object));
}

static json_t *map_json(const struct bpf_object *object)
{
	return json_pack("{s:o, s:o, s:o}",
			 "key_bytes", encode_count(object->key_bytes),
			 "value_bytes", encode_count(object->value_bytes),
			 "entries", encode_count(object->entries));
}

static json_t *link_json(const struct data *data, const struct bpf_object *object)
{
	return json_pack("{s:o}", "program", object->program < 0 ? json_null() :
			 encode_count(data->bpf.objects.v[object->program].id));
}

static json_t *object_json(const struct data *data, uint32_t index)
{
	const struct bpf_object *object = &data->bpf.objects.v[index];
	char type[64];
	json_t *item = json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:o}",
		"kind", kind_name(object->kind),
		"id", object->id ? encode_count(object->id) : json_null(),
		"type", encode_text(type_text(object, type, sizeof(type))),
		"name", encode_text_or_null(object->name),
		"found_by", found_by_json(object),
		"attached", attachments_json(data, index),
		"held_by", holders_json(data, index),
		"partial", object->error != 0,
		"address", encode_address(object->at));

	encode_set(&item, "program", object->kind == BPF_PROGRAM ? program_json(data, object) :
		   json_null());
	encode_set(&item, "map", object->kind == BPF_MAP ? map_json(object) : json_null());
	encode_set(&item, "link", object->kind == BPF_LINK ? link_json(data, object) :
		   json_null());
	return item;
}

static json_t *bpf_json(const void *of)
{
	const struct data *data = of;
	json_t *items = json_array();

	for (uint32_t i = 0; i < data->bpf.objects.n; i++)
		encode_append(&items, object_json(data, i));
	return items;
}

/* --- text --- */

/* "a, b": words one behind the other, cut to fit; the JSON has them all. */
struct cell {
	char text[256];
	size_t used;
};

static void printf_like(2, 3) add_word(struct cell *cell, const char *fmt, ...)
{
	va_list args;

	if (cell->used && cell->used + 2 < sizeof(cell->text)) {
		memcpy(cell->text + cell->used, ", ", 3);
		cell->used += 2;
	}
	va_start(args, fmt);
	vsnprintf(cell->text + cell->used, sizeof(cell->text) - cell->used, fmt, args);
	va_end(args);
	cell->used += strlen(cell->text + cell->used);
}

static void attached_text(const struct data *data, uint32_t index, struct cell *cell)
{
	const struct bpf_object *object = &data->bpf.objects.v[index];

	for (size_t i = 0; i < data->bpf.attachments.n; i++)
		if (data->bpf.attachments.v[i].object == index)
			add_word(cell, "%s", data->bpf.attachments.v[i].where);
	if (object->kind == BPF_LINK && object->program >= 0)
		add_word(cell, "program %" PRIu32, data->bpf.objects.v[object->program].id);
	if (object->found_by & 1u << BPF_BY_PIN)
		add_word(cell, "pinned");
}

static void held_text(const struct data *data, uint32_t index, struct cell *cell)
{
	for (size_t i = 0; i < data->bpf.holders.n; i++)
		if (data->bpf.holders.v[i].object == index)
			add_word(cell, "%" PRIu32 " %s", data->bpf.holders.v[i].pid,
				 data->bpf.holders.v[i].comm);
}

static void found_text(const struct bpf_object *object, struct cell *cell)
{
	for (enum bpf_way way = 0; way < BPF_WAYS; way++)
		if (object->found_by & 1u << way)
			add_word(cell, "%s", bpf_way_name(way));
}

static void calls_text(const struct data *data, const struct bpf_object *object,
		       struct cell *cell)
{
	for (size_t i = 0; i < object->calls.n; i++) {
		const char *name = call_name(data, object->calls.v[i]);

		if (*name)
			add_word(cell, "%s", strncmp(name, "bpf_", 4) ? name : name + 4);
	}
}

static void object_text(const struct data *data, uint32_t index, bool wide, struct table *table)
{
	const struct bpf_object *object = &data->bpf.objects.v[index];
	struct cell attached = { .used = 0 }, held = { .used = 0 };
	struct cell found = { .used = 0 }, calls = { .used = 0 };
	char type[64];

	attached_text(data, index, &attached);
	held_text(data, index, &held);
	table_text(table, "%s", kind_name(object->kind));
	if (object->id)
		table_text(table, "%" PRIu32, object->id);
	else
		table_text(table, "-");
	table_text(table, "%s", type_text(object, type, sizeof(type)));
	table_text(table, "%s", object->name);
	if (wide) {
		found_text(object, &found);
		calls_text(data, object, &calls);
		table_text(table, "%s", found.text);
		table_text(table, "%s", calls.text);
	}
	table_text(table, "%s", attached.text);
	table_text(table, "%s", held.text);
}

static int bpf_text(const struct arguments *args, const void *of, struct err *err)
{
	static const struct column columns[] = {
		{ "KIND", false }, { "ID", true }, { "TYPE", false }, { "NAME", false },
		{ "ATTACHED TO", false }, { "HELD BY", false },
	};
	static const struct column wide[] = {
		{ "KIND", false }, { "ID", true }, { "TYPE", false }, { "NAME", false },
		{ "FOUND BY", false }, { "CALLS", false }, { "ATTACHED TO", false },
		{ "HELD BY", false },
	};
	cleanup(table_free) struct table table =
		args->wide ? table_of(wide, ARRAY_SIZE(wide)) :
			     table_of(columns, ARRAY_SIZE(columns));
	const struct data *data = of;

	for (enum bpf_kind kind = 0; kind < BPF_KINDS; kind++)
		for (uint32_t i = 0; i < data->bpf.objects.n; i++)
			if (data->bpf.objects.v[i].kind == kind)
				object_text(data, i, args->wide, &table);
	return table_print(&table, output_columns(), stdout, err);
}

static const struct listing listing = {
	.schema = "hvsm.bpf/1",
	.bytes = sizeof(struct data),
	.read = bpf_read_all,
	.free = bpf_free_all,
	.json = bpf_json,
	.text = bpf_text,
};

const struct command bpf_command = {
	.name = "bpf",
	.operands = "TARGET",
	.operands_min = 1,
	.operands_max = 1,
	.options = OPTION_JSON | OPTION_LONG,
	.summary = "the BPF programs, maps and links of a guest",
	.about =
		"List the BPF objects of the kernel, with where programs are attached and which\n"
		"processes hold a descriptor; not only those that have a number, which bpftool\n"
		"shows, but all that files, links, attachments and code lead to. With --long, by\n"
		"what each was found (one that table is missing from hides), and the functions of\n"
		"the kernel that a program calls.",
	.example = "  hvsm bpf web1\n  hvsm bpf --long web1",
	.listing = &listing,
};
