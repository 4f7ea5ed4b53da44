/* SPDX-License-Identifier: Apache-2.0 */

/* hvsm - watch virtual machines from outside. */

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/listing.h"
#include "cli/nearest.h"
#include "cli/output.h"
#include "cli/say.h"
#include "monitor/apart.h"
#include "monitor/scanner.h"
#include "monitor/spawn.h"
#include "report/verdict.h"

/* One sweep of the worst guest takes some minutes; without an end in sight it has an end. */
#define SCANNER_CPU_S 1800u

static const struct command help_command;
static const struct command version_command;

/* Dispatch, `hvsm help` and completion all come from this table. */
static const struct command *const subcommands[] = {
	&list_command,
	&info_command,
	&scan_command,
	&watch_command,
	&ps_command,
	&modules_command,
	&sockets_command,
	&files_command,
	&mounts_command,
	&hooks_command,
	&bpf_command,
	&log_command,
	&symbols_command,
	&checks_command,
	&reference_command,
	&trust_command,
	&report_command,
	&status_command,
	&version_command,
	&help_command,
};

static const struct command *command_by_name(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(subcommands); i++)
		if (!strcmp(subcommands[i]->name, name))
			return subcommands[i];
	return NULL;
}

static const char *command_name(size_t i, const void *ctx)
{
	(void)ctx;
	return subcommands[i]->name;
}

static int unknown_command(const char *name)
{
	char near[128];

	nearest(name, command_name, ARRAY_SIZE(subcommands), NULL, near, sizeof(near));
	say("no command '%s'%s%s%s; `hvsm help` lists them", name, *near ? " (did you mean " : "",
	    near, *near ? "?)" : "");
	return EXIT_UNSCANNED;
}

static int overview(void)
{
	fputs("usage: hvsm COMMAND [OPTION...] [TARGET...]\n\n"
	      "Watch virtual machines from outside: read a guest's memory through the\n"
	      "hypervisor, list what its kernel does, and check that nothing has been tampered\n"
	      "with or hidden.\n\n",
	      stdout);
	for (size_t i = 0; i < ARRAY_SIZE(subcommands); i++)
		printf("  %-10s %s\n", subcommands[i]->name, subcommands[i]->summary);
	fputs("\nTARGET is a name or UUID of `hvsm list`, qemu:PID, qmp:SOCKET, libvirt:NAME,\n"
	      "xen:NAME, image:FILE, or a path.\n"
	      "`hvsm COMMAND --help` says more of each; the whole manual is hvsm(1).\n", stdout);
	return EXIT_CLEAN;
}

static int help_run(const struct arguments *args)
{
	const struct command *command;

	if (!args->operands_n)
		return overview();
	command = command_by_name(args->operands[0]);
	if (!command)
		return unknown_command(args->operands[0]);
	arguments_help(command, stdout);
	return EXIT_CLEAN;
}

static int version_run(const struct arguments *args)
{
	(void)args;
	puts("hvsm " HVSM_VERSION);
	return EXIT_CLEAN;
}

static const struct command help_command = {
	.name = "help",
	.operands = "[COMMAND]",
	.operands_max = 1,
	.summary = "this list, or more about one command",
	.about = "Print what commands there are, or how one of them is used.",
	.example = "  hvsm help scan",
	.run = help_run,
};

static const struct command version_command = {
	.name = "version",
	.operands = "",
	.summary = "the version of hvsm",
	.about = "Print the version of this program.",
	.example = "  hvsm version",
	.run = version_run,
};

static int run(const struct command *command, int argc, char **argv)
{
	struct arguments args;
	int status, r;

	r = arguments_parse(command, argc, argv, &args);
	if (r == 1) {
		arguments_help(command, stdout);
		return EXIT_CLEAN;
	}
	if (r < 0)
		return EXIT_UNSCANNED;
	status = command->listing ? listing_run(command->listing, &args) : command->run(&args);
	arguments_free(&args);
	return status;
}

/* Options in the place of a command, as every program has them. */
static const char *command_for_option(const char *word)
{
	if (!strcmp(word, "--help") || !strcmp(word, "-h"))
		return "help";
	if (!strcmp(word, "--version") || !strcmp(word, "-V"))
		return "version";
	return word;
}

static int dispatch(int argc, char **argv)
{
	const struct command *command;
	const char *name;

	if (argc < 2) {
		say("no command was given; `hvsm help` lists them");
		return EXIT_UNSCANNED;
	}
	name = command_for_option(argv[1]);
	command = command_by_name(name);
	if (!command)
		return unknown_command(name);
	return run(command, argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
	const char *role = spawn_role_of(argc, argv);
	int status;

	output_init();
	/* Without the exit handlers of libraries: they need what a sandbox has not. */
	if (role && !strcmp(role, SCANNER_ROLE))
		_exit(scanner_main(SCANNER_CPU_S));
	status = output_finish(dispatch(argc, argv));
	if (apart_is_inside())
		_exit(status);
	return status;
}
