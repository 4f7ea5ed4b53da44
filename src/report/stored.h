/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_REPORT_STORED_H
#define HVSM_REPORT_STORED_H

#include <jansson.h>
#include <stdio.h>

#include "report/ledger.h"

/**
 * stored_text - print a report that was stored, for a person
 * @record: what is known of it
 * @report: hvsm.report/1, as ledger_report() gives it
 *
 * Its strings are escaped already. Errors of writing are those of @to: ask ferror().
 */
void stored_text(const struct ledger_record *record, const json_t *report, FILE *to);

#endif
