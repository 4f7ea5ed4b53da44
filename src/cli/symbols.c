/* SPDX-License-Identifier: Apache-2.0 */

/* hvsm symbols - the kernel symbols of a guest. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/escape.h"
#include "base/limits.h"
#include "cli/attach.h"
#include "cli/command.h"
#include "cli/say.h"
#include "report/encode.h"
#include "report/envelope.h"
#include "report/verdict.h"

/* Was it asked for? Without names, every symbol was. */
static bool asked(const struct arguments *args, const char *name)
{
	if (args->operands_n == 1)
		return true;
	for (size_t i = 1; i < args->operands_n; i++)
		if (!strcmp(args->operands[i], name))
			return true;
	return false;
}

/* Names that no symbol has: each is said on stderr. Returns how many that are. */
static size_t say_missing(const struct arguments *args, const struct symbols *symbols)
{
	size_t missing = 0;

	for (size_t i = 1; i < args->operands_n; i++) {
		gva at;

		if (symbols_find(symbols, args->operands[i], &at, NULL) == 0)
			continue;
		say("no symbol '%s' in the kernel of '%s'; `hvsm symbols %s` lists all",
		    args->operands[i], args->operands[0], args->operands[0]);
		missing++;
	}
	return missing;
}

static json_t *symbol_json(const struct symbol *symbol)
{
	const char type[] = { symbol->type, '\0' };

	return json_pack("{s:o, s:o, s:o}",
			 "name", encode_text(symbol->name),
			 "type", encode_text(type),
			 "address", encode_address(symbol->at));
}

static int print_json(const struct attached *guest, const struct arguments *args,
		      struct err *err)
{
	const struct symbols *symbols = guest->kernel->symbols;
	json_t *items = json_array();

	for (size_t i = 0; i < symbols_count(symbols); i++) {
		struct symbol symbol = symbols_get(symbols, i);

		if (asked(args, symbol.name))
			encode_append(&items, symbol_json(&symbol));
	}
	return encode_print(envelope("hvsm.symbols/1", &guest->identity, guest->kernel, NULL,
				     items), stdout, err);
}

static void print_text(const struct attached *guest, const struct arguments *args)
{
	const struct symbols *symbols = guest->kernel->symbols;
	char name[ESCAPED_MAX(SYMBOL_NAME_MAX)];

	for (size_t i = 0; i < symbols_count(symbols); i++) {
		struct symbol symbol = symbols_get(symbols, i);

		if (!asked(args, symbol.name))
			continue;
		escape(symbol.name, strlen(symbol.name), name, sizeof(name));
		printf("%016" PRIx64 " %c %s\n", symbol.at.v, symbol.type, name);
	}
}

static int symbols_run(const struct arguments *args)
{
	cleanup(attached_free) struct attached *guest = NULL;
	enum exit_status status = attach(args->operands[0], NULL, &guest);
	struct err err = {0};
	int r = 0;

	if (!guest)
		return (int)status;
	if (args->json)
		r = print_json(guest, args, &err);
	else
		print_text(guest, args);
	if (r < 0) {
		say_failed(r, &err, NULL, "cannot print the symbols of '%s'", args->operands[0]);
		return EXIT_UNSCANNED;
	}
	return say_missing(args, guest->kernel->symbols) ? EXIT_UNSCANNED : EXIT_CLEAN;
}

const struct command symbols_command = {
	.name = "symbols",
	.operands = "TARGET [NAME...]",
	.operands_min = 1,
	.operands_max = SIZE_MAX,
	.options = OPTION_JSON,
	.summary = "the kernel symbols of a guest",
	.about =
		"Print the symbol table that the guest's kernel carries in its own memory, all\n"
		"of it or the given names, in the form of nm(1) and /proc/kallsyms. Names that do\n"
		"not exist end the command with status 2.",
	.example = "  hvsm symbols web1 sys_call_table init_task",
	.run = symbols_run,
};
