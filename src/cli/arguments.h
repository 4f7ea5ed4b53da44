/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_CLI_ARGUMENTS_H
#define HVSM_CLI_ARGUMENTS_H

#include <stdio.h>

#include "cli/command.h"

/**
 * arguments_parse - read the command line of one subcommand
 * @argv: argv[0] is the subcommand's name; options and operands may be mixed
 * @ret:  to be given back with arguments_free()
 *
 * What is wrong is said on stderr.
 *
 * Return: 0, 1 (--help was asked for), -EINVAL (usage), -ENOMEM.
 */
int arguments_parse(const struct command *command, int argc, char **argv,
		    struct arguments *ret);

void arguments_free(struct arguments *args);

/* "usage: hvsm ps TARGET [--json] …", and what the options mean. */
void arguments_help(const struct command *command, FILE *to);

#endif
