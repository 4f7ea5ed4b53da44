/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_AGENT_WILL_H
#define HVSM_AGENT_WILL_H

#include "agent/agent.h"

/*
 * What an agent that is told to end leaves for the next (struct agent_will): that it was told to,
 * when, and how long its log was. The host, which saw a part of that, has it from the next one's.
 */

/**
 * will_start - take what was left, and say in the log whom this agent follows
 * Nothing can be left twice: the file is empty as long as an agent runs. One that cannot be had, or
 * is none, is no failure.
 */
nodiscard int will_start(struct agent *agent, struct err *err);

/* Leave word for the next: the log's last record is written. */
void will_leave(const struct agent_anchor *anchor);

/**
 * will_read - what a file says
 * @boot_id: of this boot
 * @ret: receives it; .ended is 0 where it says nothing, or nothing of this boot
 */
void will_read(int fd, const uint8_t boot_id[16], struct agent_will *ret);

/* This one ends, after those that @will has. */
void will_add(struct agent_will *will, const struct agent_anchor *anchor, uint64_t ended_ns);

#endif
