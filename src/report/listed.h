/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_REPORT_LISTED_H
#define HVSM_REPORT_LISTED_H

#include <jansson.h>

#include "report/cursor.h"
#include "report/ledger.h"

/*
 * Records and findings of the ledger as items of a list: hvsm.reports/1 and hvsm.findings/1, of
 * the command line and of the daemon. A new reference; NULL: no memory.
 *
 * @allowed: by the daemon's policy, when it was reported last
 */
json_t *listed_record(const struct ledger_record *record);
json_t *listed_finding(const struct ledger_finding *finding, bool allowed);

/* "next": where the next page begins; NULL: this is the last one. A number where that is all. */
json_t *listed_next(const struct cursor *next);

#endif
