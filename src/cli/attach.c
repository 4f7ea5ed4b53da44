/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/attach.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/now.h"
#include "cli/progress.h"
#include "cli/say.h"

/* The guest's memory, and who it is. */
static int open_target(const char *target, struct attached *attached, struct err *err)
{
	struct guest *guest = &attached->guest;
	int r = guests_resolve(target, guest, &attached->ram, err);

	if (r < 0)
		return r;
	attached->identity = (struct identity){
		.name = guest->name,
		.uuid = guest->uuid,
		.target = guest->target,
		.hypervisor = guest->hypervisor,
	};
	return 0;
}

static int open_kernel(struct attached *attached, struct err *err)
{
	int r = view_open(attached->ram, VIEW_FUEL_ATTACH, &attached->view);

	if (r < 0)
		return err_set(err, r, "no memory for a view");
	return kernel_open(attached->view, &attached->kernel, err);
}

int attach(const char *target, struct attached **ret)
{
	cleanup(attached_free) struct attached *attached = calloc(1, sizeof(*attached));
	cleanup(progress_end) struct progress *progress = NULL;
	uint64_t started = now_ns(CLOCK_MONOTONIC);
	const char *advice = NULL;
	struct err err = {0};
	char what[256];
	int r;

	if (!attached)
		return -ENOMEM;
	snprintf(what, sizeof(what), "attaching to %s", target);
	progress = progress_begin(what);
	r = open_target(target, attached, &err);
	if (r >= 0) {
		r = open_kernel(attached, &err);
		if (r == -ENOENT)
			advice = attached->guest.pid ?
				"if it is still starting, try again in a moment" :
				"is it an image of all of a Linux guest's memory?";
	}
	progress_end(&progress);
	if (r < 0) {
		say_failed(r, &err, advice, "cannot attach to '%s'", target);
		return r;
	}
	attached->duration_ns = now_ns(CLOCK_MONOTONIC) - started;
	attached->stats = view_stats(attached->view);
	*ret = take_ptr(&attached);
	return 0;
}

void attached_free(struct attached **attached)
{
	if (!*attached)
		return;
	kernel_close(&(*attached)->kernel);
	view_close(&(*attached)->view);
	ram_close(&(*attached)->ram);
	guest_free(&(*attached)->guest);
	free(*attached);
	*attached = NULL;
}

void attached_fresh(struct attached *attached)
{
	view_set_kernel(attached->view, attached->kernel->space);
	view_refresh(attached->view);
	view_refuel(attached->view, VIEW_FUEL_SWEEP);
}
