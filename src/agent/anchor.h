/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_AGENT_ANCHOR_H
#define HVSM_AGENT_ANCHOR_H

#include "agent/format.h"
#include "base/err.h"

/* What the outside reads first; see format.h. Alone on its page, where the ELF file says it is. */
union anchor_page {
	struct agent_anchor anchor;
	uint8_t page[AGENT_PAGE_BYTES];
};

extern union anchor_page agent_anchor_page;
static struct agent_anchor *const our_anchor = &agent_anchor_page.anchor;

/* All but the regions; the magic comes last, by anchor_publish(). */
nodiscard int anchor_start(uint32_t period_ms, struct err *err);

/* From here on the outside may use what it says. */
void anchor_publish(void);

void anchor_set_state(enum agent_state state);

/* @period_ns: from the begin of a round of all processes to that of the next. */
void anchor_set_round(uint64_t period_ns);

/* All that ran at @begun_ns (CLOCK_BOOTTIME) is measured. */
void anchor_set_complete(uint64_t begun_ns);

/* Once a period at least: it lives. */
void anchor_beat(void);

/* The agent's build ID (GNU note); returns its length, 0 where it has none. */
uint32_t anchor_build_id(uint8_t id[32]);

#endif
