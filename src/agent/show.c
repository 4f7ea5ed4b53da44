/* SPDX-License-Identifier: Apache-2.0 */

/* hvsm-agent log: what the running agent has measured. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent.h"
#include "agent/client.h"
#include "base/cleanup.h"
#include "base/escape.h"

static const char *const type_names[] = {
	[AGENT_RECORD_START] = "start", [AGENT_RECORD_FILE] = "file",
	[AGENT_RECORD_UNREADABLE] = "unreadable", [AGENT_RECORD_LOST] = "lost",
	[AGENT_RECORD_FULL] = "full", [AGENT_RECORD_STOP] = "stop",
};

static const char *type_name(uint32_t type)
{
	const char *name = type < ARRAY_SIZE(type_names) ? type_names[type] : NULL;

	return name ? name : "unknown";
}

static int print_record(const struct agent_record *record, void *ctx, struct err *err)
{
	(void)ctx;
	(void)err;
	printf("%llu %s\n", (unsigned long long)record->sequence, type_name(record->type));
	return 0;
}

int log_command(int argc, char **argv)
{
	cleanup(fd_close) int fd = -1;
	struct agent_anchor anchor;
	struct err err = {0};
	int r;

	if (argc) {
		agent_say("log: unknown option '%s'", argv[0]);
		return 2;
	}
	fd = client_connect(&anchor, &err);
	r = fd < 0 ? fd : client_log(fd, &anchor, print_record, NULL, &err);
	if (r < 0) {
		agent_say("%s", err.text);
		return 1;
	}
	return 0;
}
