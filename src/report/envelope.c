/* SPDX-License-Identifier: Apache-2.0 */
#include "report/envelope.h"

#include "report/encode.h"

json_t *envelope(const char *schema, const struct identity *guest, const struct kernel *kernel,
		 const char *reason, json_t *items)
{
	return json_pack("{s:s, s:o, s:{s:s, s:o}, s:b, s:o, s:o}",
			 "schema", schema,
			 "guest", identity_json(guest),
			 "kernel",
				"os", "linux",
				"release", encode_text(kernel->release),
			 "complete", !reason,
			 "reason", encode_text(reason),
			 "items", items);
}
