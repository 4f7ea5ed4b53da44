/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_REPORT_PROCESSES_H
#define HVSM_REPORT_PROCESSES_H

#include <jansson.h>
#include <stdio.h>

#include "check/sweep.h"

/* What outside and inside together say of each process (check/joined.h). */

/* processes[] of hvsm.report/1; null where no agent was there to ask. NULL: no memory. */
json_t *processes_json(const struct sweep *sweep);

/* How many are of which result, and which are not known; nothing without an agent. */
void processes_text(const struct sweep *sweep, FILE *to);

#endif
