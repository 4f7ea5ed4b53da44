/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_REPORT_ENVELOPE_H
#define HVSM_REPORT_ENVELOPE_H

#include <jansson.h>

#include "linux/kernel.h"
#include "report/identity.h"

/**
 * envelope - what the JSON of every view of a guest has in common
 * @schema: "hvsm.ps/1"
 * @reason: why the walk was cut short; NULL: it was seen to its end
 * @items:  an array; the reference is taken; NULL: memory ran out
 *
 * {schema, guest{…}, kernel{os, release}, complete, reason, items[…]}, the schema of which is
 * docs/hvsm.views.1.schema.json.
 *
 * Return: a new reference; NULL: no memory.
 */
json_t *envelope(const char *schema, const struct identity *guest, const struct kernel *kernel,
		 const char *reason, json_t *items);

#endif
