/* SPDX-License-Identifier: Apache-2.0 */

/* hvsm-agent - measure what a guest runs, for the monitor outside to read. */

#include <stdio.h>
#include <string.h>

#include "agent/agent.h"
#include "base/cleanup.h"

static int version_command(int argc, char **argv)
{
	uint8_t id[32];
	uint32_t n = anchor_build_id(id);

	(void)argc;
	(void)argv;
	printf("hvsm-agent %s, build ID ", HVSM_VERSION);
	for (uint32_t i = 0; i < n; i++)
		printf("%02x", id[i]);
	puts(n ? "" : "none");
	return 0;
}

static agent_command_fn help_command;

/* Dispatch and help come from this table. */
static const struct {
	const char *name, *usage, *does;
	agent_command_fn *fn;
} subcommands[] = {
	{ "run", "run [--period MS]", "measure what is executed, until it is stopped",
	  run_command },
	{ "status", "status [--json]", "what the running agent does", status_command },
	{ "log", "log [--ima | --json]", "what it has measured", log_command },
	{ "version", "version", "version and build ID", version_command },
	{ "help", "help", "this list", help_command },
};

static int help_command(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	puts("usage: hvsm-agent COMMAND\n");
	for (size_t i = 0; i < ARRAY_SIZE(subcommands); i++)
		printf("  %-22s%s\n", subcommands[i].usage, subcommands[i].does);
	return 0;
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";

	if (!strcmp(name, "--help") || !strcmp(name, "-h"))
		name = "help";
	else if (!strcmp(name, "--version"))
		name = "version";
	for (size_t i = 0; i < ARRAY_SIZE(subcommands); i++) {
		if (strcmp(subcommands[i].name, name) != 0)
			continue;
		if (argc > 2 && !strcmp(argv[2], "--help")) {
			printf("usage: hvsm-agent %s\n%s\n", subcommands[i].usage,
			       subcommands[i].does);
			return 0;
		}
		return subcommands[i].fn(argc - 2, argv + 2);
	}
	agent_say(*name ? "no command '%s'; `hvsm-agent help` lists them" :
		  "which command? `hvsm-agent help` lists them%s", name);
	return 2;
}
