/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/listing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "cli/say.h"
#include "report/encode.h"
#include "report/envelope.h"
#include "report/verdict.h"

/* Runs before a list that contradicts itself is believed to, and the first pause between. */
#define READS_MAX     5
#define PAUSE_NS      2000000l

/* In a running guest these may be an update in flight. */
static bool may_pass(int r)
{
	return r == -EBADMSG || r == -EFAULT || r == -ESTALE;
}

/* Is the kernel that was listed the one that was attached to, to the end? */
static int read_once(const struct listing *listing, struct attached *guest,
		     const struct arguments *args, void *data, struct err *err)
{
	int r;

	attached_fresh(guest);
	*err = (struct err){0};
	r = listing->read(guest, args, data, err);
	if (r < 0)
		return r;
	attached_fresh(guest);
	return kernel_check(guest->kernel, guest->view, err);
}

/* @data holds what the last try has found, also where it failed. */
static int read_again(const struct listing *listing, struct attached *guest,
		      const struct arguments *args, void *data, struct err *err)
{
	struct timespec pause = { .tv_nsec = PAUSE_NS };
	int r = read_once(listing, guest, args, data, err);

	for (int n = 1; n < READS_MAX && may_pass(r); n++) {
		nanosleep(&pause, NULL);
		pause.tv_nsec *= 2;
		listing->free(data);
		memset(data, 0, listing->bytes);
		r = read_once(listing, guest, args, data, err);
	}
	return r;
}

static int print(const struct listing *listing, const struct attached *guest,
		 const struct arguments *args, const void *data, const char *reason,
		 struct err *err)
{
	if (!args->json)
		return listing->text(args, data, err);
	return encode_print(envelope(listing->schema, &guest->identity, guest->kernel, reason,
				     listing->json(data)), stdout, err);
}

int listing_run(const struct listing *listing, const struct arguments *args)
{
	cleanup(attached_free) struct attached *guest = NULL;
	cleanup(freep) void *data = calloc(1, listing->bytes);
	struct err cut = {0}, err = {0};
	const char *reason = NULL;
	enum exit_status status;
	int r;

	if (!data) {
		say_failed(-ENOMEM, &err, NULL, "cannot list");
		return EXIT_UNSCANNED;
	}
	status = attach(args->operands[0], NULL, &guest);
	if (!guest)
		return (int)status;

	r = read_again(listing, guest, args, data, &cut);
	if (r < 0)
		reason = cut.code ? cut.text : strerror(-r);
	r = print(listing, guest, args, data, reason, &err);
	listing->free(data);
	if (r < 0) {
		say_failed(r, &err, NULL, "cannot print the list of '%s'", guest->identity.target);
		return EXIT_UNSCANNED;
	}
	if (!reason)
		return EXIT_CLEAN;
	say("the list of '%s' is not complete: %s; try again, and if that stays, scan it",
	    guest->identity.target, reason);
	return EXIT_INCONCLUSIVE;
}
