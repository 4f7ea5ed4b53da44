/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/protocol.h"

#include "base/cleanup.h"

#define MAX CHANNEL_BODY_MAX

/* Type, name, who says it; bytes of the body; descriptors; what is done. */
const struct channel_rule protocol_rules[] = {
	{ MSG_OPEN, "OPEN", ROLE_STARTER, 16, MAX, 2, CHANNEL_FDS_MAX, scanner_on_open },
	{ MSG_GRANT, "GRANT", ROLE_STARTER, 32, MAX, 0, 2 + AGENT_BUILDS_MAX, scanner_on_grant },
	{ MSG_SWEEP, "SWEEP", ROLE_STARTER, 8, MAX, 0, 1, scanner_on_sweep },
	{ MSG_ANSWER, "ANSWER", ROLE_STARTER, 8, MAX, 0, 1, NULL },
	{ MSG_LOOK, "LOOK", ROLE_STARTER, 5, 5, 0, 0, scanner_on_look },
	{ MSG_PREPARE, "PREPARE", ROLE_STARTER, 0, 0, 1, 1, scanner_on_prepare },
	{ MSG_QUIT, "QUIT", ROLE_STARTER, 0, 0, 0, 0, scanner_on_quit },

	{ MSG_READY, "READY", ROLE_SCANNER, 48, 8192, 0, 0, session_on_ready },
	{ MSG_NEED_MODULE, "NEED_MODULE", ROLE_SCANNER, 8, 256, 0, 0, session_on_need },
	{ MSG_NEED_BASELINE, "NEED_BASELINE", ROLE_SCANNER, 10, 1024 + INLINE_BYTES_MAX, 0, 1,
	  session_on_need },
	{ MSG_NEED_TRUST, "NEED_TRUST", ROLE_SCANNER, 0, 32, 0, 0, session_on_need },
	{ MSG_NEED_MEMORY, "NEED_MEMORY", ROLE_SCANNER, 12, 12, 0, 0, session_on_need_memory },
	{ MSG_PREPARED, "PREPARED", ROLE_SCANNER, 0, 0, 1, 1, session_on_prepared },
	{ MSG_REPORT, "REPORT", ROLE_SCANNER, 16, 16, 1, 1, session_on_report },
	{ MSG_EVENTS, "EVENTS", ROLE_SCANNER, 8, 8, 0, 1, session_on_events },
	{ MSG_SAID, "SAID", ROLE_SCANNER, 5, 1024, 0, 0, session_on_said },
	{ MSG_FAILED, "FAILED", ROLE_SCANNER, 8, 512, 0, 0, session_on_failed },
	{ MSG_FORBIDDEN, "FORBIDDEN", ROLE_SCANNER, 4, 4, 0, 0, session_on_forbidden },
};
const size_t protocol_rules_n = ARRAY_SIZE(protocol_rules);
