/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_CLI_LISTING_H
#define HVSM_CLI_LISTING_H

#include <jansson.h>

#include "cli/attach.h"
#include "cli/command.h"

/*
 * What all subcommands that list objects of a guest have in common: attach, read (again where
 * an update was in flight), print as text or JSON, and say so where the list was cut short.
 */
struct listing {
	const char *schema;	/* of its JSON: "hvsm.ps/1" */
	size_t bytes;		/* of what read() fills */

	/*
	 * Collect the objects into @data, which is zeroed. A failure may leave a part of them
	 * there; free() is called in any case.
	 */
	int (*read)(const struct attached *guest, const struct arguments *args, void *data,
		    struct err *err);
	void (*free)(void *data);

	/* An array of items; NULL: no memory. */
	json_t *(*json)(const void *data);

	/* On stdout. Return: 0, -ENOMEM. */
	int (*text)(const struct arguments *args, const void *data, struct err *err);
};

/* Return: the exit status: 0, 2, or 3 where the list is not complete. */
int listing_run(const struct listing *listing, const struct arguments *args);

#endif
