/* SPDX-License-Identifier: Apache-2.0 */

/* The ledger of control: what is to be done where there is none, or it was taken away. */

#include <string.h>

#include "base/cleanup.h"
#include "base/now.h"
#include "monitor/control.h"
#include "monitor/journal.h"
#include "report/ledger.h"

/* A disk that is full, or read-only, may not be soon. */
#define OPEN_AGAIN_NS 1000000000ull

static int open_all(struct control *control, struct err *err)
{
	int r = ledger_open(control->ledger_path, true, &control->ledger, err);

	if (r >= 0 && control->audits.fd < 0)
		r = audit_log_open(control->ledger_path, &control->audits, err);
	if (r < 0)
		ledger_close(&control->ledger);
	return r;
}

void control_ledger_open(struct control *control)
{
	uint64_t now = now_ns(CLOCK_MONOTONIC);
	struct err why = { 0 };

	/* Nothing may be new for long: it is not only then that this is to be noticed. */
	if (ledger_is_moved(control->ledger)) {
		err_set(&why, -ESTALE, "the ledger's file was removed, or replaced");
		control_trouble(control, NULL, &why);
		control_ledger_lost(control);
	}
	if (control->ledger || !control->ledger_path || now < control->ledger_next)
		return;
	control->ledger_next = now + OPEN_AGAIN_NS;
	if (open_all(control, &why) < 0) {
		wrap(&why, why.code, "reports in '%s'", control->ledger_path);
		control_trouble(control, NULL, &why);
	} else if (*control->trouble) {
		journal(LOG_NOTICE, "the ledger is open");
	}
}

void control_ledger_lost(struct control *control)
{
	ledger_close(&control->ledger);
	audit_log_close(&control->audits);
	control->audits = AUDIT_LOG_NONE;
	control->ledger_next = 0;
	/* In another one there is nothing of what was stored: it is all news again. */
	for (size_t i = 0; i < control->picture.guests.n; i++)
		picture_forget(&control->picture, control->picture.guests.v[i]);
}
