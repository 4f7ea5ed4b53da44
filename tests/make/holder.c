/* SPDX-License-Identifier: Apache-2.0 */
#include "make/holder.h"

#include <stdlib.h>

#include "base/vec.h"

static gva new_task(struct world *world, uint32_t pid, uint32_t tgid, gva signal)
{
	gva task = world_alloc(world, 512);

	world_set(world, task, "task_struct.pid", pid);
	world_set(world, task, "task_struct.tgid", tgid);
	world_set(world, task, "task_struct.real_cred", world_alloc(world, 192).v);
	world_set(world, task, "task_struct.signal", signal.v);
	world_list_add(world, world_member(world, signal, "signal_struct.thread_head"),
		       world_member(world, task, "task_struct.thread_node"));
	world_set(world, signal, "signal_struct.nr_threads",
		  world_get(world, signal, "signal_struct.nr_threads") + 1);
	return task;
}

gva holder_task(struct world *world, struct tasks *tasks, uint32_t pid)
{
	gva at = new_task(world, pid, pid, world_alloc(world, 64));
	struct task *task = vec_add(tasks);

	if (!task)
		abort();
	task->at = task->leader = at;
	task->pid = task->tgid = (int32_t)pid;
	task->threads = 1;
	world_set(world, at, "task_struct.group_leader", at.v);
	return at;
}

gva holder_thread(struct world *world, struct tasks *tasks, uint32_t tid)
{
	struct task *leader = &tasks->v[tasks->n - 1];
	gva signal = gva_of(world_get(world, leader->at, "task_struct.signal"));
	gva at = new_task(world, tid, (uint32_t)leader->tgid, signal);

	leader->threads++;
	world_set(world, at, "task_struct.group_leader", leader->at.v);
	return at;
}

gva holder_files(struct world *world, gva task, uint32_t room)
{
	gva files = world_alloc(world, 64), fdt = world_alloc(world, 32);

	world_set(world, task, "task_struct.files", files.v);
	world_set(world, files, "files_struct.fdt", fdt.v);
	world_set(world, fdt, "fdtable.max_fds", room);
	world_set(world, fdt, "fdtable.fd", world_alloc(world, room * 8).v);
	world_set(world, fdt, "fdtable.close_on_exec", world_alloc(world, (room + 63) / 64 * 8).v);
	return files;
}

void holder_open(struct world *world, gva files, uint32_t fd, gva file, bool cloexec)
{
	gva fdt = gva_of(world_get(world, files, "files_struct.fdt"));
	gva slots = gva_of(world_get(world, fdt, "fdtable.fd"));
	uint8_t *bits = world_at(world, gva_of(world_get(world, fdt, "fdtable.close_on_exec")),
				 fd / 8 + 1);

	world_put(world, gva_add(slots, fd * 8ull), file.v);
	if (cloexec)
		bits[fd / 8] |= (uint8_t)(1u << fd % 8);
}
