/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_AGENT_AGENT_H
#define HVSM_AGENT_AGENT_H

#include "agent/anchor.h"
#include "agent/log.h"
#include "base/loop.h"
#include "agent/memory.h"
#include "base/err.h"

#define AGENT_PERIOD_MS	 1000u
#define AGENT_RUN_DIR	 "/run/hvsm-agent"
#define AGENT_SOCKET	 AGENT_RUN_DIR "/control"
#define AGENT_WILL	 AGENT_RUN_DIR "/ended"

/* A running agent. There is one; its parts (see run.c) hang into its loop. */
struct agent {
	struct loop loop;
	struct log log;
	struct memory events;	/* struct agent_event [AGENT_EVENTS] */
	struct memory inside;	/* two of AGENT_INSIDE_MAX */
};

/* One line on stderr: what happened, for who reads the service's journal. */
void agent_say(const char *fmt, ...) printf_like(1, 2);

/* A subcommand: @argv without its name. Returns the exit status. */
typedef int agent_command_fn(int argc, char **argv);

agent_command_fn run_command, status_command, log_command;

#endif
