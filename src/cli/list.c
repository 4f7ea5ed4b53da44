/* SPDX-License-Identifier: Apache-2.0 */

/* hvsm list - the guests on this host. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "cli/command.h"
#include "cli/output.h"
#include "cli/say.h"
#include "cli/table.h"
#include "ram/guests.h"
#include "report/encode.h"
#include "report/human.h"
#include "report/verdict.h"

static json_t *guest_json(const struct guest *guest)
{
	const struct err *why_not = &guest->why_not;

	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:b, s:o}",
			 "name", encode_text(guest->name),
			 "uuid", encode_text(guest->uuid),
			 "target", encode_text(guest->target),
			 "hypervisor", encode_text(guest->hypervisor),
			 "pid", guest->pid ? encode_count((uint64_t)guest->pid) : json_null(),
			 "machine", encode_text(guest->machine),
			 "accelerator", encode_text(guest->accel),
			 "qmp", encode_text(guest->qmp),
			 "memory_bytes", encode_count(guest->memory_bytes),
			 "vcpus", encode_count(guest->vcpus),
			 "stopped", guest->stopped,
			 "attachable", !why_not->code,
			 "why_not", encode_text(why_not->code ? why_not->text : NULL));
}

static int print_json(const struct guests *guests, struct err *err)
{
	json_t *items = json_array();

	for (size_t i = 0; i < guests->list.n; i++)
		encode_append(&items, guest_json(&guests->list.v[i]));
	return encode_print(json_pack("{s:s, s:o}", "schema", "hvsm.list/1", "items", items),
			    stdout, err);
}

static int print_text(const struct guests *guests, struct err *err)
{
	static const struct column columns[] = {
		{ "NAME", false }, { "TARGET", false }, { "MEMORY", true }, { "VCPUS", true },
		{ "ACCEL", false }, { "ATTACH", false }, { "UUID", false },
	};
	cleanup(table_free) struct table table = table_of(columns, ARRAY_SIZE(columns));
	char memory[HUMAN_MAX];

	for (size_t i = 0; i < guests->list.n; i++) {
		const struct guest *guest = &guests->list.v[i];

		table_text(&table, "%s", guest->name);
		table_text(&table, "%s", guest->target);
		table_text(&table, "%s",
			   human_bytes(guest->memory_bytes, memory, sizeof(memory)));
		table_text(&table, "%u", guest->vcpus);
		table_text(&table, "%s", guest->accel ? guest->accel : "-");
		table_text(&table, "%s", guest->why_not.code ? "no" : "yes");
		table_text(&table, "%s", guest->uuid ? guest->uuid : "-");
	}
	return table_print(&table, output_columns(), stdout, err);
}

static void say_why_not(const struct guests *guests)
{
	for (size_t i = 0; i < guests->list.n; i++) {
		const struct guest *guest = &guests->list.v[i];

		if (guest->why_not.code)
			say("%s (%s) cannot be attached: %s", guest->name, guest->target,
			    guest->why_not.text);
	}
}

static int list_run(const struct arguments *args)
{
	struct guests guests = {0};
	struct err err = {0};
	int r = guests_find(&guests, &err);

	if (r < 0) {
		say_failed(r, &err, NULL, "cannot look for guests");
		return EXIT_UNSCANNED;
	}
	if (args->json) {
		r = print_json(&guests, &err);
	} else if (guests.list.n) {
		r = print_text(&guests, &err);
		say_why_not(&guests);
	} else {
		say("no guest runs on this host, or root only may see it");
	}
	if (guests.xen.code)
		say("guests of Xen cannot be looked for: %s", guests.xen.text);
	guests_free(&guests);
	if (r < 0)
		say_failed(r, &err, NULL, "cannot print the guests");
	return r < 0 ? EXIT_UNSCANNED : EXIT_CLEAN;
}

const struct command list_command = {
	.name = "list",
	.operands = "",
	.options = OPTION_JSON,
	.summary = "guests on this host, and how each can be attached",
	.about =
		"List every guest of QEMU and Xen on this host, whoever started it. NAME, TARGET\n"
		"and UUID name it in the other commands. Why one cannot be attached is said on\n"
		"stderr.",
	.example = "  hvsm list",
	.run = list_run,
};
