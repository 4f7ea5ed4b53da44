/* SPDX-License-Identifier: Apache-2.0 */

/* How long control keeps reports. */

#include <inttypes.h>

#include "base/now.h"
#include "monitor/control.h"
#include "monitor/journal.h"
#include "report/ledger.h"

#define NS_PER_S   1000000000ull
#define NS_PER_DAY (86400 * NS_PER_S)

/* What is a day too old may be an hour older; to look costs a query. */
#define EXPIRE_NS (3600 * NS_PER_S)

/* 0: none is too old. */
static uint64_t oldest_ns(uint32_t days, uint64_t now)
{
	uint64_t age = days * NS_PER_DAY;

	return days && age < now ? now - age : 0;
}

void control_clock(struct control *control, uint64_t real, uint64_t boot)
{
	bool was = steady_is(&control->steady);
	int64_t by = steady_look(&control->steady, real, boot);
	char text[160], jump[80];

	/* What is too old is known from now on. */
	if (!was && steady_is(&control->steady))
		control->expire_next = 0;
	if (!by)
		return;
	snprintf(text, sizeof(text), "%s: no report is removed for its age until it stood for an "
		 "hour", steady_jump_text(by, jump, sizeof(jump)));
	journal(LOG_WARNING, "%s", text);
	control_incident(control, 0, text);
}

void control_expire(struct control *control, uint64_t monotonic, uint64_t now)
{
	const struct config *config = control->config;
	struct ledger_retention keep;
	struct err why = { 0 };
	uint64_t removed = 0;

	if (!config || !control->ledger || monotonic < control->expire_next)
		return;
	control->expire_next = monotonic + EXPIRE_NS;
	keep = (struct ledger_retention){
		.before_ns = steady_is(&control->steady) ?
				     oldest_ns(config->retention_days, now) : 0,
		.bytes_max = (uint64_t)config->retention_mib << 20,
	};
	if (!keep.before_ns && !keep.bytes_max)
		return;
	if (ledger_expire(control->ledger, &keep, now, &removed, &why) < 0) {
		journal(LOG_WARNING, "old reports are not removed: %s", why.text);
		control_incident(control, 0, why.text);
	} else if (removed) {
		journal(LOG_INFO, "%" PRIu64 " old reports were removed", removed);
	}
}
