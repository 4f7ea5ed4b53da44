/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_CHECK_RUN_H
#define HVSM_CHECK_RUN_H

#include "check/check.h"

/* One run of one check: for the sweep, not for checks, which see it through check.h. */
struct check_run {
	const struct kernel *kernel;
	struct view *view;
	struct check_result *result;
	bool not_covered;		/* see check_not_covered() */
	struct finding spare;		/* what is written to when there is no room */
	struct process_seen spare_process;
};

/**
 * check_execute - run a check once
 * @result: zeroed by the caller, but for its sources; receives what came out.
 *          check_result_clear() frees it.
 */
void check_execute(const struct check *check, const struct kernel *kernel, struct view *view,
		   struct check_result *result);

/* Give back what the checks of a sweep had in common. */
void check_shared_end(struct check_shared *shared);

/* Free what a result holds and zero it; its check stays named. */
void check_result_clear(struct check_result *result);

#endif
