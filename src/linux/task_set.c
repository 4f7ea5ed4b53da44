/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/task_set.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/vec.h"

#define TASK_ALIGN 8u	/* of task_struct at least: it holds pointers */

const char *task_view_name(enum task_view view)
{
	static const char *const names[TASK_VIEWS] = {
		[VIEW_LIST] = "task list",
		[VIEW_THREADS] = "thread group",
		[VIEW_CHILDREN] = "children of a task",
		[VIEW_NUMBERS] = "PID map",
		[VIEW_NESTED] = "PID map of a container",
		[VIEW_GROUPS] = "process groups",
		[VIEW_CGROUPS] = "control groups",
		[VIEW_SCHED_EXT] = "sched_ext list",
		[VIEW_QUEUES] = "run queues",
		[VIEW_STACKS] = "kernel stacks",
	};

	return names[view];
}

int task_set_open(const struct kernel *kernel, struct view *view, struct task_set *ret,
		  struct err *err)
{
	int r;

	*ret = (struct task_set){ .kernel = kernel, .view = view };
	r = kernel_symbol(kernel, "init_task", &ret->init_task, err);
	if (r < 0)
		return r;
	return map_put(&ret->idle, ret->init_task.v, 0);
}

void task_set_close(struct task_set *set)
{
	vec_free(set);
	map_free(&set->index);
	map_free(&set->idle);
}

int task_set_add(struct task_set *set, gva at, enum task_view view, struct task_seen **ret,
		 struct err *err)
{
	struct task_seen *seen;
	uint32_t i;
	int r;

	*ret = NULL;
	if (!gva_is_kernel(at) || at.v % TASK_ALIGN)
		return fail(err, -EBADMSG, at, "%s: no place for a task", task_view_name(view));
	if (map_get(&set->idle, at.v, NULL))
		return 0;
	if (!map_get(&set->index, at.v, &i)) {
		if (set->n == TASKS_MAX)
			return err_set(err, -ELOOP, "over %u tasks", TASKS_MAX);
		i = (uint32_t)set->n;
		seen = vec_add(set);
		if (!seen)
			return -ENOMEM;
		seen->at = at;
		r = map_put(&set->index, at.v, i);
		if (r < 0) {
			set->n--;
			return r;
		}
	}
	set->v[i].views |= 1u << view;
	*ret = &set->v[i];
	return 0;
}

int task_failures_add(struct task_failures *failures, int r, const struct err *err)
{
	if (r < 0 && !failures->first) {
		failures->first = r;
		failures->err = *err;
	}
	return r == -ELOOP || r == -ESRCH || r == -ENOMEM ? r : 0;
}

int task_failures_end(const struct task_failures *failures, enum task_view view,
		      struct err *err)
{
	if (!failures->first)
		return 0;
	if (err)
		*err = failures->err;
	return wrap(err, failures->first, "%s", task_view_name(view));
}

uint64_t task_set_count(const struct task_set *set, enum task_view view)
{
	uint64_t count = 0;

	for (size_t i = 0; i < set->n; i++)
		count += set->v[i].views >> view & 1;
	return count;
}
