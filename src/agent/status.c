/* SPDX-License-Identifier: Apache-2.0 */

/* hvsm-agent status: what the running agent does. */

#include <stdio.h>
#include <string.h>

#include "agent/agent.h"
#include "agent/client.h"
#include "base/cleanup.h"

static const char *state_name(uint32_t state)
{
	switch (state) {
	case AGENT_STARTING:
		return "starting";
	case AGENT_RUNNING:
		return "running";
	case AGENT_STOPPING:
		return "stopping";
	}
	return "unknown";
}

static void print_head(const struct agent_anchor *anchor)
{
	for (unsigned i = 0; i < sizeof(anchor->log_head); i++)
		printf("%02x", anchor->log_head[i]);
}

static void print_json(const struct agent_anchor *anchor)
{
	printf("{\"state\":\"%s\",\"pid\":%u,\"records\":%llu,\"log_bytes\":%llu,\"log_head\":\"",
	       state_name(anchor->state), anchor->pid, (unsigned long long)anchor->log_records,
	       (unsigned long long)anchor->log_bytes);
	print_head(anchor);
	printf("\",\"heartbeat\":%llu,\"period_ms\":%u,\"marks\":%u,\"lost\":%llu,"
	       "\"inside_views\":%llu,\"events\":%llu,\"round_ms\":%llu,\"complete_ns\":%llu}\n",
	       (unsigned long long)anchor->heartbeat,
	       anchor->period_ms, anchor->marks, (unsigned long long)anchor->lost,
	       (unsigned long long)anchor->inside_sequence,
	       (unsigned long long)anchor->events_next,
	       (unsigned long long)anchor->round_ns / 1000000,
	       (unsigned long long)anchor->complete_ns);
}

static void print_text(const struct agent_anchor *anchor)
{
	printf("state      %s\n", state_name(anchor->state));
	printf("pid        %u\n", anchor->pid);
	printf("records    %llu (%llu bytes)\n", (unsigned long long)anchor->log_records,
	       (unsigned long long)anchor->log_bytes);
	printf("log head   ");
	print_head(anchor);
	printf("\nheartbeat  %llu, every %u ms\n", (unsigned long long)anchor->heartbeat,
	       anchor->period_ms);
	printf("rounds     every %llu ms\n", (unsigned long long)anchor->round_ns / 1000000);
	printf("marks      %u file systems watched\n", anchor->marks);
	printf("lost       %llu events\n", (unsigned long long)anchor->lost);
	printf("views      %llu of the inside\n", (unsigned long long)anchor->inside_sequence);
	printf("events     %llu\n", (unsigned long long)anchor->events_next);
}

int status_command(int argc, char **argv)
{
	cleanup(fd_close) int fd = -1;
	struct agent_anchor anchor;
	struct err err = {0};
	bool json = argc == 1 && !strcmp(argv[0], "--json");

	if (argc && !json) {
		agent_say("status: unknown option '%s'", argv[0]);
		return 2;
	}
	fd = client_connect(&anchor, &err);
	if (fd < 0) {
		agent_say("%s", err.text);
		return 1;
	}
	if (json)
		print_json(&anchor);
	else
		print_text(&anchor);
	return 0;
}
