/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_MONITOR_BEHAVIOUR_H
#define HVSM_MONITOR_BEHAVIOUR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "linux/kernel.h"
#include "monitor/event.h"

/*
 * What a guest does, without traps: it is looked at again and again, and what differs from the
 * last look has happened in between. Nothing is opened, printed or waited for here, so that it
 * also works where a process may do nothing but read the guest.
 *
 *	behaviour_open(EVENTS_ALL, &behaviour);
 *	for (;;) {
 *		r = behaviour_look(behaviour, kernel, view, tell, ctx, &err);
 *		if (r == -ESTALE)
 *			… kernel_open() the next one, behaviour_reboot() …
 *		… pause …
 *	}
 *
 * What a look has found is told once the guest's clock was seen to move on after it: after a
 * reset the old kernel's memory lies there, and is overwritten piece by piece; its clock
 * stands still. So events come with the next look, or with behaviour_settle() before it.
 */
struct behaviour;

/* Called once per event, in the order of what is looked at; @event is the caller's. */
typedef void event_fn(const struct event *event, void *ctx);

/**
 * behaviour_open - begin to watch
 * @kinds: EVENT_BIT() of those that are wanted: what only others need is not looked at
 *
 * Return: 0, -ENOMEM.
 */
nodiscard int behaviour_open(unsigned kinds, struct behaviour **ret);

/* *@behaviour becomes NULL. NULL is fine. */
void behaviour_close(struct behaviour **behaviour);

/**
 * behaviour_look - look at the guest, and tell what was found before
 * @view: is refreshed and refuelled
 *
 * The first look tells EVENT_WATCH only: what is there is where watching begins. Where a view
 * was not seen to its end, what it did not show does not count as gone.
 *
 * Return: 0, 1 (there are events that the clock has not confirmed yet), -ESTALE (another
 *         kernel runs now, or none: open it, then behaviour_reboot()), -ESRCH (the guest has
 *         ended, which was told), -ENOMEM.
 */
nodiscard int behaviour_look(struct behaviour *behaviour, const struct kernel *kernel,
			     struct view *view, event_fn *tell, void *ctx, struct err *err);

/**
 * behaviour_settle - tell what the last look has found, if the clock has moved since
 * As behaviour_look(), without a look.
 */
nodiscard int behaviour_settle(struct behaviour *behaviour, const struct kernel *kernel,
			       struct view *view, event_fn *tell, void *ctx, struct err *err);

/* For how long the guest's clock has stood still, host time; 0: it moves, or was not read yet. */
uint64_t behaviour_still_ns(const struct behaviour *behaviour);

/**
 * behaviour_reboot - another boot runs in the guest
 * @was:  release of the kernel before
 * @now:  that of the one that runs now
 *
 * EVENT_REBOOT is told; what was known is forgotten, as nobody saw it end.
 */
void behaviour_reboot(struct behaviour *behaviour, const char *was, const char *now,
		      event_fn *tell, void *ctx);

#endif
