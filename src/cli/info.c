/* SPDX-License-Identifier: Apache-2.0 */

/* hvsm info - what a guest is: its kernel, its memory, and how hvsm got there. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "cli/attach.h"
#include "cli/command.h"
#include "cli/say.h"
#include "linux/e820.h"
#include "report/encode.h"
#include "report/human.h"
#include "report/report.h"
#include "report/text.h"
#include "report/verdict.h"

#define LABEL_COLUMNS 12

static json_t *ranges_json(const struct ram *ram)
{
	json_t *array = json_array();

	for (size_t i = 0; i < ram->ranges_n; i++)
		encode_append(&array, json_pack("{s:o, s:o}",
			"start", encode_hex(ram->ranges[i].start.v),
			"size_bytes", encode_count(ram->ranges[i].size_bytes)));
	return array;
}

/*
 * Does the guest see its RAM where hvsm reads it? 1: yes; 0: no, @why says where; -1: it keeps
 * no map that tells.
 */
static int confirm_layout(struct attached *guest, struct err *why)
{
	int r;

	attached_fresh(guest);
	r = e820_check(guest->kernel, guest->view, why);
	return r == 0 ? 1 : r == -EBADMSG ? 0 : -1;
}

static json_t *memory_json(struct attached *guest)
{
	const struct ram *ram = guest->ram;
	int confirmed = confirm_layout(guest, NULL);

	return json_pack("{s:o, s:s, s:o, s:o, s:o}",
			 "size_bytes", encode_count(ram_bytes(ram)),
			 "backend", ram->ops->name,
			 "layout", encode_text(ram->layout),
			 "confirmed", confirmed < 0 ? json_null() : json_boolean(confirmed),
			 "ranges", ranges_json(ram));
}

static json_t *layout_json(const struct kernel *kernel)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}",
			 "text_end", encode_address(kernel->end),
			 "image", encode_hex(kernel->image.v),
			 "direct_map", encode_address(kernel->page_offset),
			 "cpus", encode_count(kernel->cpus),
			 "symbols", encode_count(symbols_count(kernel->symbols)),
			 "types", encode_count(types_count(kernel->types)));
}

static json_t *info_json(struct attached *guest)
{
	return json_pack("{s:s, s:o, s:o, s:o, s:o, s:{s:s, s:o, s:o, s:o}}",
			 "schema", "hvsm.info/1",
			 "guest", identity_json(&guest->identity),
			 "kernel", report_kernel_json(guest->kernel),
			 "layout", layout_json(guest->kernel),
			 "memory", memory_json(guest),
			 "attach",
				"found_by", guest->kernel->found_by,
				"duration_us", encode_count(guest->duration_ns / 1000),
				"pages_read", encode_count(guest->stats.pages),
				"bytes_read", encode_count(guest->stats.bytes));
}

#define PUT(label, ...) text_labelled(stdout, 0, LABEL_COLUMNS, label, __VA_ARGS__)

static void print_kernel(const struct kernel *kernel)
{
	PUT("kernel", "Linux %s", kernel->release);
	PUT("banner", "%s", kernel->banner);
	if (*kernel->build_id)
		PUT("build ID", "%s", kernel->build_id);
	PUT("text", "%#" PRIx64 "..%#" PRIx64 " (physical %#" PRIx64 ")",
	    kernel->text.v, kernel->end.v, kernel->image.v);
	PUT("direct map", "%#" PRIx64, kernel->page_offset.v);
	PUT("paging", "%u levels", kernel->space.levels);
	PUT("CPUs", "%" PRIu32 " possible", kernel->cpus);
	PUT("symbols", "kallsyms in its memory: %s", symbols_layout(kernel->symbols));
	PUT("types", "BTF in its memory: %" PRIu32 " types", types_count(kernel->types));
}

static void print_text(struct attached *guest)
{
	const struct identity *identity = &guest->identity;
	char size[HUMAN_MAX], duration[HUMAN_MAX], bytes[HUMAN_MAX];
	struct err why = {0};
	int confirmed;

	PUT("guest", "%s", identity_name(identity));
	if (identity->uuid && *identity->uuid)
		PUT("UUID", "%s", identity->uuid);
	PUT("target", "%s", identity->target);
	PUT("hypervisor", "%s", identity->hypervisor);
	PUT("memory", "%s in %zu range%s (%s)",
	    human_bytes(ram_bytes(guest->ram), size, sizeof(size)), guest->ram->ranges_n,
	    guest->ram->ranges_n == 1 ? "" : "s", guest->ram->layout);
	confirmed = confirm_layout(guest, &why);
	if (confirmed >= 0)
		PUT("", "%s", confirmed ? "as the guest's own memory map has it" : why.text);
	print_kernel(guest->kernel);
	PUT("attached", "in %s by %s: %" PRIu64 " pages, %s read",
	    human_duration(guest->duration_ns, duration, sizeof(duration)),
	    guest->kernel->found_by, guest->stats.pages,
	    human_bytes(guest->stats.bytes, bytes, sizeof(bytes)));
}

static int info_run(const struct arguments *args)
{
	cleanup(attached_free) struct attached *guest = NULL;
	enum exit_status status = attach(args->operands[0], NULL, &guest);
	struct err err = {0};
	int r;

	if (!guest)
		return (int)status;
	if (!args->json) {
		print_text(guest);
		return EXIT_CLEAN;
	}
	r = encode_print(info_json(guest), stdout, &err);
	if (r < 0)
		say_failed(r, &err, NULL, "cannot print what '%s' is", args->operands[0]);
	return r < 0 ? EXIT_UNSCANNED : EXIT_CLEAN;
}

const struct command info_command = {
	.name = "info",
	.operands = "TARGET",
	.operands_min = 1,
	.operands_max = 1,
	.options = OPTION_JSON,
	.summary = "kernel, layout, symbols of a guest, and time to attach",
	.about =
		"Attach to a guest and print what it is: its kernel and where that lies, where\n"
		"symbols and types come from, its memory, and what attaching cost.",
	.example = "  hvsm info web1",
	.run = info_run,
};
