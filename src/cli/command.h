/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_CLI_COMMAND_H
#define HVSM_CLI_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "base/vec.h"

/*
 * A subcommand is one constant in a file of its own, and one line in the table of main.c:
 * dispatch, usage, `hvsm help` and `--help` all come from it.
 */

/* The options that there are; arguments.c has their names. */
enum {
	OPTION_JSON  = 1 << 0,
	OPTION_ONLY  = 1 << 1,
	OPTION_SKIP  = 1 << 2,
	OPTION_FLAT  = 1 << 3,
	OPTION_LONG  = 1 << 4,
	OPTION_REFERENCE = 1 << 5,
	OPTION_STORE = 1 << 6,
	OPTION_REGISTERS = 1 << 7,
	OPTION_AGENT = 1 << 8,
	OPTION_KINDS = 1 << 9,	/* --only, with kinds of events */
	OPTION_PERIOD = 1 << 10,
	OPTION_COUNT = 1 << 11,
	OPTION_FOR   = 1 << 12,
	OPTION_LEDGER = 1 << 13,
	OPTION_SINCE = 1 << 14,
	OPTION_OPEN  = 1 << 15,
	OPTION_FORMAT = 1 << 16,
	OPTION_KEY   = 1 << 17,
	OPTION_HEAD  = 1 << 18,
	OPTION_LIMIT = 1 << 19,
	OPTION_BEFORE = 1 << 20,
};

struct listing;

typedef VEC(char *) words;

/* What was given on the command line; every subcommand reads those that it takes. */
struct arguments {
	bool json;
	bool flat;
	bool wide;	/* --long */
	bool registers;
	bool open;
	words only;	/* split at commas, over all times that the option was given */
	words skip;
	words reference;	/* paths, not split */
	words agent;		/* paths of the agent's copies, not split */
	words period, count, seconds;	/* --period, --count, --for: the last one counts */
	words store;		/* one, or none; sources_store() knows the default */
	words ledger;		/* as all that follow: the last one counts */
	words since;
	words format;
	words key;
	words head;
	words limit;
	words before;
	char *const *operands;
	size_t operands_n;
};

struct command {
	const char *name;
	const char *operands;	/* as usage shows them: "TARGET [NAME...]"; "": none */
	size_t operands_min;
	size_t operands_max;	/* SIZE_MAX: any number */
	unsigned options;	/* OPTION_*, besides --help */
	const char *summary;	/* one line */
	const char *about;	/* paragraphs for --help, as wide as they are */
	const char *example;	/* one or more lines, indented by two */

	/*
	 * What it does: list objects of a guest (listing.h), or else whatever run() does,
	 * which returns the exit status (verdict.h).
	 */
	const struct listing *listing;
	int (*run)(const struct arguments *args);
};

extern const struct command list_command;
extern const struct command info_command;
extern const struct command scan_command;
extern const struct command reference_command;
extern const struct command trust_command;
extern const struct command report_command;
extern const struct command ps_command;
extern const struct command modules_command;
extern const struct command sockets_command;
extern const struct command files_command;
extern const struct command mounts_command;
extern const struct command hooks_command;
extern const struct command bpf_command;
extern const struct command log_command;
extern const struct command symbols_command;
extern const struct command watch_command;
extern const struct command checks_command;
extern const struct command status_command;

#endif
