/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_CLI_ACTIONS_H
#define HVSM_CLI_ACTIONS_H

#include <stddef.h>

#include "cli/command.h"

/* A subcommand that has actions of its own: `hvsm trust add|list|remove`. */
struct action {
	const char *name;
	const char *operands;	/* as messages show them; "": none */
	size_t min, max;
	unsigned options;	/* those of the command that only some of its actions take */
	int (*run)(const struct arguments *args, char *const *operands, size_t n);
};

/**
 * actions_run - what the first operand names, with the others
 * @command: its name, for messages
 *
 * Return: the action's exit status; EXIT_UNSCANNED, said why, where it is none of @actions, or
 *         takes other operands or options.
 */
int actions_run(const char *command, const struct action *actions, size_t n,
		const struct arguments *args);

#endif
