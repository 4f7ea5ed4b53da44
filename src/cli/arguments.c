/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/arguments.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/say.h"

/* Help fits these; what does not fit on the line of the usage goes on here. */
#define HELP_COLUMNS 80
#define HELP_INDENT  12

/* Every option of every subcommand. */
static const struct option_entry {
	unsigned option;	/* OPTION_*; 0: all subcommands have it */
	const char *name;
	const char *value;	/* what it takes; NULL: it is a flag */
	size_t slot;		/* in struct arguments: a bool for a flag, else words */
	const char *help;
} options[] = {
	{ OPTION_ONLY, "only", "CHECK,...", offsetof(struct arguments, only),
	  "run only these checks" },
	{ OPTION_KINDS, "only", "KIND,...", offsetof(struct arguments, only),
	  "tell only these kinds of events" },
	{ OPTION_PERIOD, "period", "MS", offsetof(struct arguments, period),
	  "time from one look to the next: 100 unless given" },
	{ OPTION_COUNT, "count", "N", offsetof(struct arguments, count),
	  "end after so many events" },
	{ OPTION_FOR, "for", "SECONDS", offsetof(struct arguments, seconds),
	  "end after this time" },
	{ OPTION_SKIP, "skip", "CHECK,...", offsetof(struct arguments, skip),
	  "leave these checks out" },
	{ OPTION_REFERENCE, "reference", "PATH", offsetof(struct arguments, reference),
	  "compare with this kernel package or file; again for more" },
	{ OPTION_STORE, "store", "DIR", offsetof(struct arguments, store),
	  "where known kernels are kept: not /var/lib/hvsm" },
	{ OPTION_AGENT, "agent", "PATH", offsetof(struct arguments, agent),
	  "the agent's program, or a directory of its builds" },
	{ OPTION_LEDGER, "ledger", "DIR", offsetof(struct arguments, ledger),
	  "where reports are kept: not /var/lib/hvsm/reports" },
	{ OPTION_SINCE, "since", "TIME", offsetof(struct arguments, since),
	  "no older ones: 2025-03-01, '2025-03-01 14:02', 12h, 7d" },
	{ OPTION_LIMIT, "limit", "N", offsetof(struct arguments, limit),
	  "so many at most, the newest first" },
	{ OPTION_BEFORE, "before", "PLACE", offsetof(struct arguments, before),
	  "older ones than these; the last page says which" },
	{ OPTION_FORMAT, "format", "FORMAT", offsetof(struct arguments, format),
	  "json (reports), ocsf or syslog (findings)" },
	{ OPTION_KEY, "key", "HEX", offsetof(struct arguments, key),
	  "the public key that was noted elsewhere" },
	{ OPTION_HEAD, "head", "HEX", offsetof(struct arguments, head),
	  "a head of the chain that was noted elsewhere" },
	{ OPTION_OPEN, "open", NULL, offsetof(struct arguments, open),
	  "findings that are not closed" },
	{ OPTION_REGISTERS, "registers", NULL, offsetof(struct arguments, registers),
	  "read the vCPUs' registers: stops each for a moment" },
	{ OPTION_FLAT, "flat", NULL, offsetof(struct arguments, flat),
	  "by PID instead of as a tree" },
	{ OPTION_LONG, "long", NULL, offsetof(struct arguments, wide),
	  "everything that is known of each" },
	{ OPTION_JSON, "json", NULL, offsetof(struct arguments, json),
	  "one JSON document per line instead of text" },
	{ 0, "help", NULL, 0, "this text" },
};

static bool taken(const struct command *command, const struct option_entry *entry)
{
	return !entry->option || command->options & entry->option;
}

/* The values of an option, parted by commas unless one of them is a path. */
static int split(const char *list, const char *parting, words *to)
{
	while (*list) {
		size_t n = strcspn(list, parting);
		char **word;

		if (n) {
			word = vec_add(to);
			if (!word || !(*word = strndup(list, n)))
				return -ENOMEM;
		}
		list += n + (list[n] != '\0');
	}
	return 0;
}

/* The table of getopt_long() for what @command takes; @to has a place more than options[]. */
static void getopt_table(const struct command *command, struct option *to)
{
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (taken(command, &options[i]))
			*to++ = (struct option){
				.name = options[i].name,
				.has_arg = options[i].value ? required_argument : no_argument,
				.val = 256 + (int)i,
			};
	*to = (struct option){0};
}

static int usage_error(const struct command *command, const char *what, const char *which)
{
	say("%s: %s%s%s%s; see `hvsm %s --help`", command->name, what, which ? " '" : "",
	    which ? which : "", which ? "'" : "", command->name);
	return -EINVAL;
}

/* One option as getopt_long() found it. As arguments_parse(). */
static int option_set(const struct command *command, int found, char **argv,
		      struct arguments *args)
{
	const char letter[] = { '-', (char)optopt, '\0' };
	const struct option_entry *entry;
	void *slot;

	if (found == '?')	/* optopt: 0 for an unknown long option, 256 and on for a known */
		return usage_error(command, "no such option",
				   optopt && optopt < 256 ? letter : argv[optind - 1]);
	if (found == ':')
		return usage_error(command, "a value is missing after", argv[optind - 1]);
	if (found == 'h')
		return 1;

	entry = &options[found - 256];
	if (!entry->option)
		return 1;
	slot = (char *)args + entry->slot;
	if (entry->value)
		return split(optarg, strchr(entry->value, ',') ? "," : "", slot);
	*(bool *)slot = true;
	return 0;
}

static int operands_check(const struct command *command, const struct arguments *args)
{
	if (args->operands_n < command->operands_min)
		return usage_error(command, "an operand is missing:", command->operands);
	if (args->operands_n > command->operands_max)
		return usage_error(command, "one operand too many:",
				   args->operands[command->operands_max]);
	return 0;
}

int arguments_parse(const struct command *command, int argc, char **argv,
		    struct arguments *ret)
{
	struct option table[ARRAY_SIZE(options) + 1];
	struct arguments args = {0};
	int found, r = 0;

	getopt_table(command, table);
	opterr = 0;	/* its messages say nothing of what to do */
	while (!r && (found = getopt_long(argc, argv, ":h", table, NULL)) != -1)
		r = option_set(command, found, argv, &args);

	args.operands = argv + optind;
	args.operands_n = (size_t)(argc - optind);
	if (!r)
		r = operands_check(command, &args);
	if (r) {
		arguments_free(&args);
		return r;
	}
	*ret = args;
	return 0;
}

static void words_free(words *w)
{
	for (size_t i = 0; i < w->n; i++)
		free(w->v[i]);
	vec_free(w);
}

void arguments_free(struct arguments *args)
{
	words_free(&args->only);
	words_free(&args->skip);
	words_free(&args->reference);
	words_free(&args->store);
	words_free(&args->agent);
	words_free(&args->period);
	words_free(&args->count);
	words_free(&args->seconds);
	words_free(&args->ledger);
	words_free(&args->since);
	words_free(&args->format);
	words_free(&args->key);
	words_free(&args->head);
	words_free(&args->limit);
	words_free(&args->before);
}

void arguments_help(const struct command *command, FILE *to)
{
	int column = fprintf(to, "usage: hvsm %s%s%s", command->name,
			     *command->operands ? " " : "", command->operands);

	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		const char *value = options[i].value ? options[i].value : "";
		int columns = (int)(strlen(options[i].name) + strlen(value)) + 6;

		if (!options[i].option || !taken(command, &options[i]))
			continue;
		if (column + columns > HELP_COLUMNS)
			column = fprintf(to, "\n%*s", HELP_INDENT, "") - 1;
		column += fprintf(to, " [--%s%s%s]", options[i].name, *value ? " " : "", value);
	}
	fprintf(to, "\n\n%s\n\n", command->about);

	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (taken(command, &options[i]))
			fprintf(to, "  --%-9s %-9s %s\n", options[i].name,
				options[i].value ? options[i].value : "", options[i].help);
	fprintf(to, "\nexample:\n%s\n", command->example);
}
