/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/pids.h"

#include <stdlib.h>

static int by_pid(const void *a, const void *b)
{
	const struct pid_entry *x = a, *y = b;

	return (x->pid > y->pid) - (x->pid < y->pid);
}

int pids_init(const struct tasks *tasks, struct pids *ret, struct err *err)
{
	ret->n = 0;
	ret->v = calloc(tasks->n ? tasks->n : 1, sizeof(*ret->v));
	if (!ret->v)
		return err_set(err, -ENOMEM, "no memory to sort the processes");
	for (; ret->n < tasks->n; ret->n++) {
		ret->v[ret->n].pid = tasks->v[ret->n].tgid;
		ret->v[ret->n].task = ret->n;
	}
	qsort(ret->v, ret->n, sizeof(*ret->v), by_pid);
	return 0;
}

void pids_free(struct pids *pids)
{
	free(pids->v);
	pids->v = NULL;
	pids->n = 0;
}

size_t pids_find(const struct pids *pids, int64_t pid)
{
	size_t low = 0, high = pids->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (pids->v[mid].pid < pid)
			low = mid + 1;
		else
			high = mid;
	}
	return low < pids->n && pids->v[low].pid == pid ? low : PIDS_NONE;
}

const char *pids_comm(const struct pids *pids, const struct tasks *tasks, int64_t pid)
{
	size_t place = pids_find(pids, pid);

	return place == PIDS_NONE ? NULL : tasks->v[pids->v[place].task].comm;
}
