/* SPDX-License-Identifier: Apache-2.0 */

/* hvsm checks - what hvsm checks, and what that proves. */

#include <stdio.h>

#include "check/check.h"
#include "cli/command.h"
#include "cli/say.h"
#include "report/encode.h"
#include "report/text.h"
#include "report/verdict.h"

#define INDENT 8

static json_t *check_json(const struct check *check)
{
	json_t *techniques = json_array();

	for (size_t i = 0; check->techniques[i]; i++)
		encode_append(&techniques, json_string(check->techniques[i]));
	return json_pack("{s:s, s:s, s:s, s:s, s:o}",
			 "id", check->id,
			 "group", group_name(check->group),
			 "title", check->title,
			 "proves", check->proves,
			 "techniques", techniques);
}

static int print_json(void)
{
	json_t *items = json_array();
	struct err err = {0};
	size_t n;
	const struct check *const *checks = checks_all(&n);
	int r;

	for (size_t i = 0; i < n; i++)
		encode_append(&items, check_json(checks[i]));
	r = encode_print(json_pack("{s:s, s:o}", "schema", "hvsm.checks/1", "items", items),
			 stdout, &err);
	if (r < 0)
		say_failed(r, &err, NULL, "cannot print the checks");
	return r < 0 ? EXIT_UNSCANNED : EXIT_CLEAN;
}

static void print_check(const struct check *check)
{
	printf("%s (%s", check->id, group_name(check->group));
	for (size_t i = 0; check->techniques[i]; i++)
		printf("%s%s", i ? ", " : "; ATT&CK ", check->techniques[i]);
	printf(")\n%*s", INDENT, "");
	text_wrap(stdout, INDENT, INDENT, "%s", check->proves);
}

static int checks_run(const struct arguments *args)
{
	size_t n;
	const struct check *const *checks = checks_all(&n);

	if (args->json)
		return print_json();
	for (size_t i = 0; i < n; i++)
		print_check(checks[i]);
	return EXIT_CLEAN;
}

const struct command checks_command = {
	.name = "checks",
	.operands = "",
	.options = OPTION_JSON,
	.summary = "every check, what it proves, its ATT&CK technique",
	.about =
		"Print the checks that `hvsm scan` runs: the id that --only and --skip take, its\n"
		"group, the techniques of MITRE ATT&CK that it is about, and what it proves where\n"
		"it ends clean.",
	.example = "  hvsm checks",
	.run = checks_run,
};
