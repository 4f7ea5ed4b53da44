/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/opened.h"

#include <stdio.h>

#include "base/cleanup.h"
#include "cli/progress.h"
#include "cli/say.h"

void opened_end(struct opened *opened)
{
	session_end(&opened->session);
	ram_close(&opened->ram);
	guest_free(&opened->guest);
}

void opened_remark(const char *text)
{
	say("%s", text);
}

/* Who cannot be told from a scanner's end: it is of the guest's making, or a bug of ours. */
const char *opened_advice(int code)
{
	if (code == -EPROTO)
		return "treat the guest as compromised: its scanner was taken over";
	return code == -EPIPE ? "if it happens again, treat the guest as compromised" : NULL;
}

/* The guest's memory, who it is, and what it runs. */
static int open_target(const char *target, struct opened *opened, bool *found, struct err *err)
{
	struct guest *guest = &opened->guest;
	int r = guests_resolve_unread(target, guest, &opened->ram, err);

	if (r < 0)
		return r;
	*found = true;
	opened->identity = (struct identity){
		.name = guest->name,
		.uuid = guest->uuid,
		.target = guest->target,
		.hypervisor = guest->hypervisor,
	};
	r = session_start(&opened->session, err);
	if (r >= 0)
		r = session_open(&opened->session, opened->ram, &opened->identity, err);
	return r < 0 ? r : session_wait(&opened->session, NEWS_READY, opened_remark, err);
}

int opened_start(const char *target, struct opened *opened)
{
	cleanup(progress_end) struct progress *progress = NULL;
	const char *advice;
	struct err err = {0};
	bool found = false;
	char what[256];
	int r;

	snprintf(what, sizeof(what), "attaching to %s", target);
	progress = progress_begin(what);
	r = open_target(target, opened, &found, &err);
	progress_end(&progress);
	if (r >= 0)
		return r;
	advice = opened_advice(r);
	if (r == -ENOENT && found)
		advice = ram_is_live(opened->ram) ?
				 "if it is still starting, try again in a moment" :
				 "is it an image of all of a Linux guest's memory?";
	say_failed(r, &err, advice, "cannot attach to '%s'", target);
	return r;
}
