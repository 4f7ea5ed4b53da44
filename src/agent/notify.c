/* SPDX-License-Identifier: Apache-2.0 */

#include "agent/notify.h"

#include "base/notify.h"

int notify_start(struct agent *agent, struct err *err)
{
	(void)agent;
	if (notify_open(err) < 0)
		agent_say("%s", err->text);
	return 0;
}

static int on_period(void *ctx, struct err *err)
{
	(void)ctx;
	(void)err;
	notify_tell("WATCHDOG=1");
	return 0;
}

int notify_ready(struct agent *agent, struct err *err)
{
	notify_tell("READY=1\nSTATUS=measuring what is executed");
	return loop_every(&agent->loop, on_period, NULL, err);
}

void notify_stopping(void)
{
	notify_tell("STOPPING=1");
}
