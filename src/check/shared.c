/* SPDX-License-Identifier: Apache-2.0 */
#include "check/check.h"
#include "check/run.h"
#include "linux/owner.h"

int check_owners(struct check_run *run, struct owners **ret, struct err *err)
{
	struct check_shared *shared = run->result->shared;
	uint64_t refreshes = view_stats(run->view).refreshes;
	int r;

	if (!shared)
		return owners_open(run->kernel, run->view, ret, err);
	if (shared->owners && shared->refreshes != refreshes)
		owners_close(&shared->owners);
	shared->refreshes = refreshes;
	r = shared->owners ? 0 : owners_open(run->kernel, run->view, &shared->owners, err);
	if (r >= 0)
		*ret = owners_share(shared->owners);
	return r;
}

void check_shared_end(struct check_shared *shared)
{
	owners_close(&shared->owners);
}
