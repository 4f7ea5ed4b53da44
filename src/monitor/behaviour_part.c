/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/behaviour_part.h"

#include <stdlib.h>
#include <time.h>

#include "base/limits.h"
#include "base/now.h"

bool glance_wants(const struct glance *glance, enum event_kind kind)
{
	struct waiting *waiting = glance->waiting;

	if (glance->first || !(waiting->kinds & EVENT_BIT(kind)))
		return false;
	if (waiting->v.n < EVENTS_WAITING_MAX)
		return true;
	waiting->dropped++;
	return false;
}

void glance_tell(const struct glance *glance, enum event_kind kind, json_t *object)
{
	struct event *event = object ? vec_add(&glance->waiting->v) : NULL;
	const uint64_t now = now_ns(CLOCK_REALTIME);

	if (!event) {
		json_decref(object);
		glance->waiting->dropped++;
		return;
	}
	*event = (struct event){
		.kind = kind,
		.after_ns = now_since_ns(now, glance->after_ns),
		.before_ns = now,
		.object = object,
	};
}
