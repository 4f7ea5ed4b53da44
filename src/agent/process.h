/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_AGENT_PROCESS_H
#define HVSM_AGENT_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/agent.h"
#include "base/err.h"

/*
 * What processes have mapped executable, and which scripts they run. Each is looked at shortly
 * after it executed something, again when it has come up, and all of them in slow rounds, the
 * first of which finds what ran before the agent did. A thread of its own does that.
 */

/* A part of the agent, after watch_start(). When the first round is done, it is RUNNING. */
nodiscard int process_start(struct agent *agent, struct err *err);

/**
 * process_executed - a process executes something
 * @runs_files: an interpreter: there is a script to be found before the process has ended
 *
 * From any thread; it never waits. The same process more than once costs little.
 */
void process_executed(uint32_t pid, bool runs_files);

/* The kernel says that its exec is done: the best time to see what a script is called. */
void process_exec_done(uint32_t pid);

/* … and it runs a file of a file system that we do not know: what its namespace has mounted? */
void process_unknown(uint32_t pid);

/* Execs were missed: all processes are looked at. From any thread. */
void process_missed(void);

/* There is something new to do: mounts. From any thread. */
void process_wake(void);

#endif
