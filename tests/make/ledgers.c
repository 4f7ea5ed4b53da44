/* SPDX-License-Identifier: Apache-2.0 */

/*
 * ledgers DIRECTORY - store reports as hvsmd would
 *
 * Reads hvsm.report/1, one on each line, from the standard input. Says for each what became of
 * it: "7 new", "8 same 7", or what was wrong.
 */
#include <stdio.h>
#include <stdlib.h>

#include "report/ledger.h"

int main(int argc, char **argv)
{
	struct ledger *ledger = NULL;
	struct ledger_added added;
	struct err err = {0};
	char *line = NULL;
	size_t room = 0;
	int status = 0;
	ssize_t n;

	if (argc != 2 || ledger_open(argv[1], true, &ledger, &err) < 0) {
		fprintf(stderr, "usage: %s DIRECTORY <REPORTS\n%s\n", argv[0], err.text);
		return 2;
	}
	while ((n = getline(&line, &room, stdin)) > 0) {
		if (ledger_add(ledger, NULL, line, (size_t)n, &added, &err) < 0) {
			printf("%s\n", err.text);
			status = 1;
		} else if (added.same_as) {
			printf("%llu same %llu\n", (unsigned long long)added.seq,
			       (unsigned long long)added.same_as);
		} else {
			printf("%llu new\n", (unsigned long long)added.seq);
		}
		fflush(stdout);
	}
	free(line);
	ledger_close(&ledger);
	return status;
}
