/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/actions.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/say.h"
#include "report/verdict.h"

static const struct action *find(const struct action *actions, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(name, actions[i].name))
			return &actions[i];
	return NULL;
}

static void say_unknown(const char *command, const struct action *actions, size_t n,
			const char *name)
{
	char names[128] = "";

	for (size_t i = 0; i < n; i++)
		snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s%s",
			 i ? " " : "", actions[i].name);
	say("%s: no such action '%s' (there are: %s); see `hvsm %s --help`", command, name, names,
	    command);
}

/* Options that not all actions of a command take, and whether they were given. */
static unsigned options_given(const struct arguments *args)
{
	return (args->json ? OPTION_JSON : 0) | (args->wide ? OPTION_LONG : 0) |
	       (args->open ? OPTION_OPEN : 0) | (args->since.n ? OPTION_SINCE : 0) |
	       (args->format.n ? OPTION_FORMAT : 0) | (args->key.n ? OPTION_KEY : 0) |
	       (args->head.n ? OPTION_HEAD : 0) | (args->limit.n ? OPTION_LIMIT : 0) |
	       (args->before.n ? OPTION_BEFORE : 0);
}

static const char *option_name(unsigned options)
{
	static const struct {
		unsigned option;
		const char *name;
	} names[] = {
		{ OPTION_JSON, "--json" }, { OPTION_LONG, "--long" }, { OPTION_OPEN, "--open" },
		{ OPTION_SINCE, "--since" }, { OPTION_FORMAT, "--format" },
		{ OPTION_KEY, "--key" }, { OPTION_HEAD, "--head" },
		{ OPTION_LIMIT, "--limit" }, { OPTION_BEFORE, "--before" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (options & names[i].option)
			return names[i].name;
	return "such option";
}

int actions_run(const char *command, const struct action *actions, size_t n,
		const struct arguments *args)
{
	const struct action *action = find(actions, n, args->operands[0]);
	const size_t operands_n = args->operands_n - 1;
	unsigned given = options_given(args);

	if (!action) {
		say_unknown(command, actions, n, args->operands[0]);
		return EXIT_UNSCANNED;
	}
	if (operands_n < action->min || operands_n > action->max) {
		say("%s: %s takes %s; see `hvsm %s --help`", command, action->name,
		    *action->operands ? action->operands : "no operand", command);
		return EXIT_UNSCANNED;
	}
	given &= ~action->options;
	if (given) {
		say("%s: %s takes no %s; see `hvsm %s --help`", command, action->name,
		    option_name(given), command);
		return EXIT_UNSCANNED;
	}
	return action->run(args, args->operands + 1, operands_n);
}
