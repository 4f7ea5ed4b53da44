/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/attach.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/now.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/say.h"
#include "monitor/apart.h"
#include "ram/guests.h"

/* A list of the largest guest takes seconds; without an end in sight it has an end. */
static const struct attach_options usual = { .cpu_s = 1800 };

/* The side with the rights. */
struct starter {
	struct guest guest;
	struct ram *ram;
	struct apart apart;
};

static void starter_free(struct starter **starter)
{
	if (!*starter)
		return;
	apart_end(&(*starter)->apart);
	ram_close(&(*starter)->ram);
	guest_free(&(*starter)->guest);
	free(*starter);
	*starter = NULL;
}

static void failed(int r, const struct err *err, const char *target, bool live)
{
	const char *advice = NULL;

	if (r == -ENOENT)
		advice = live ? "if it is still starting, try again in a moment" :
				"is it an image of all of a Linux guest's memory?";
	say_failed(r, err, advice, "cannot attach to '%s'", target);
}

static struct identity identity_of(const struct guest *guest)
{
	return (struct identity){
		.name = guest->name,
		.uuid = guest->uuid,
		.target = guest->target,
		.hypervisor = guest->hypervisor,
	};
}

/* --- inside the sandbox --- */

static int find_kernel(struct attached *attached, struct err *err)
{
	int r = view_open(attached->ram, VIEW_FUEL_ATTACH, &attached->view);

	if (r < 0)
		return err_set(err, r, "no memory for a view");
	return kernel_open(attached->view, &attached->kernel, err);
}

static enum exit_status go_on(const char *target, struct attached **held, uint64_t started,
			      struct attached **ret)
{
	struct attached *attached = *held;
	struct err err = {0};
	int r = find_kernel(attached, &err);

	if (r < 0) {
		failed(r, &err, target, ram_is_live(attached->ram));
		return EXIT_UNSCANNED;
	}
	attached->duration_ns = now_ns(CLOCK_MONOTONIC) - started;
	attached->stats = view_stats(attached->view);
	*ret = take_ptr(held);
	return EXIT_CLEAN;
}

/* --- outside --- */

static enum exit_status relay(struct starter *starter, const char *target)
{
	cleanup(progress_end) struct progress *progress = NULL;
	struct err err = {0};
	char what[256];
	int r, status;

	snprintf(what, sizeof(what), "attaching to %s", target);
	progress = progress_begin(what);
	r = apart_wait(&starter->apart, &err);
	progress_end(&progress);
	if (r >= 0)
		r = apart_relay(&starter->apart, &status, &err);
	if (r >= 0)
		return (enum exit_status)status;
	if (r == -EPROTO || r == -EPIPE)
		say_failed(r, &err, r == -EPROTO ?
			   "treat the guest as compromised: what read it was taken over" :
			   "if it happens again, treat the guest as compromised",
			   "cannot read '%s'", target);
	else
		output_lost(r);
	return EXIT_UNSCANNED;
}

/* Of nothing that is hostile: that is for the other side. */
static int open_target(const char *target, const struct attach_options *options,
		       struct starter *starter, struct attached *attached, struct err *err)
{
	int r = guests_resolve_unread(target, &starter->guest, &starter->ram, err);

	if (r < 0)
		return r;
	if (options->live && !ram_is_live(starter->ram))
		return err_set(err, -ENOTSUP, "it is an image: nothing happens in it");
	attached->identity = identity_of(&starter->guest);
	starter->apart.colour = output_colour();
	starter->apart.stop = options->stop;
	return apart_begin(&starter->apart, starter->ram, &attached->identity, options->cpu_s,
			   &attached->ram, err);
}

enum exit_status attach(const char *target, const struct attach_options *options,
			struct attached **ret)
{
	cleanup(attached_free) struct attached *attached = calloc(1, sizeof(*attached));
	cleanup(starter_free) struct starter *starter = calloc(1, sizeof(*starter));
	uint64_t started = now_ns(CLOCK_MONOTONIC);
	struct err err = {0};
	int r = -ENOMEM;

	*ret = NULL;
	options = options ? options : &usual;
	if (attached && starter) {
		starter->apart = APART_NONE;
		r = open_target(target, options, starter, attached, &err);
	}
	if (r > 0)
		return relay(starter, target);
	if (r < 0) {
		say_failed(r, &err, NULL, "cannot attach to '%s'", target);
		return EXIT_UNSCANNED;
	}
	/* The starter's side of it is not ours to end; its texts are those of the guest. */
	take_ptr(&starter);
	return go_on(target, &attached, started, ret);
}

void attached_free(struct attached **attached)
{
	if (!*attached)
		return;
	kernel_close(&(*attached)->kernel);
	view_close(&(*attached)->view);
	ram_close(&(*attached)->ram);
	free(*attached);
	*attached = NULL;
}

void attached_fresh(struct attached *attached)
{
	view_set_kernel(attached->view, attached->kernel->space);
	view_refresh(attached->view);
	view_refuel(attached->view, VIEW_FUEL_SWEEP);
}
