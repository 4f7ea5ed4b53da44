/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_REPORT_EXPORT_H
#define HVSM_REPORT_EXPORT_H

#include <jansson.h>
#include <stdio.h>

#include "report/ledger.h"

/*
 * Findings as other programs want them: what they have become by now.
 *
 * @finding: as ledger_each_finding() gives it; its texts are escaped already
 * @details: the finding in the last report that had it; NULL: that is there no longer
 * @since_ns: what opened before is told as an update
 */

/**
 * export_ocsf - an OCSF Detection Finding
 *
 * class_uid 2004 of OCSF 1.1.0 (https://schema.ocsf.io/1.1.0/classes/detection_finding):
 * activity 1 (create), 2 (update), 3 (close); finding_info.uid is guest, boot and id.
 *
 * Return: a new reference; NULL: no memory.
 */
json_t *export_ocsf(const struct ledger_finding *finding, const json_t *details,
		    uint64_t since_ns);

/**
 * export_syslog - a line of syslog, RFC 5424, with structured data
 * @host: who says so; "" : nobody
 *
 * Facility 13 (log audit). Errors of writing are those of @to: ask ferror().
 */
void export_syslog(const struct ledger_finding *finding, const json_t *details, const char *host,
		   FILE *to);

#endif
