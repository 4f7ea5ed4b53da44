/* SPDX-License-Identifier: Apache-2.0 */
#include "make/tasks.h"

#include <string.h>

#include "base/cleanup.h"

#define TASK_BYTES   2048u
#define RQ_BYTES     4096u
#define CPU_OFFSET   0x40u
#define CSS_BUCKETS  128u
#define LINK	     0, 0, 0

static const struct made_struct types[] = {
	{ "list_head", 16, { { "next", 0, "ptr", LINK }, { "prev", 8, "ptr", LINK } } },
	{ "hlist_head", 8, { { "first", 0, "ptr", LINK } } },
	{ "hlist_node", 16, { { "next", 0, "ptr", LINK }, { "pprev", 8, "ptr", LINK } } },
	{ "rb_node", 24, { { "__rb_parent_color", 0, "u64", LINK },
			   { "rb_right", 8, "ptr", LINK }, { "rb_left", 16, "ptr", LINK } } },
	{ "rb_root", 8, { { "rb_node", 0, "ptr", LINK } } },
	{ "rb_root_cached", 16, { { "rb_root", 0, "rb_root", LINK } } },
	{ "sched_entity", 128, { { "run_node", 0, "rb_node", LINK },
				 { "group_node", 24, "list_head", LINK },
				 { "sum_exec_runtime", 40, "u64", LINK },
				 { "my_q", 48, "ptr", LINK } } },
	{ "sched_rt_entity", 32, { { "run_list", 0, "list_head", LINK } } },
	{ "sched_dl_entity", 64, { { "rb_node", 0, "rb_node", LINK } } },
	{ "seccomp", 16, { { "mode", 0, "u32", LINK }, { "filter_count", 4, "u32", LINK },
			   { "filter", 8, "ptr", LINK } } },
	{ "seccomp_filter", 64, { { "prev", 8, "ptr", LINK } } },
	{ "thread_info", 16, { { "flags", 0, "u64", LINK }, { "syscall_work", 8, "u64", LINK } } },
	{ "task_rights", 64, { { "cred", 0, "ptr", LINK }, { "parent_exec_id", 8, "u64", LINK },
			       { "self_exec_id", 16, "u64", LINK },
			       { "seccomp", 24, "seccomp", LINK },
			       { "exit_code", 40, "u32", LINK } } },
	{ "ns_common", 16, { { "inum", 8, "u32", LINK } } },
	{ "uts_namespace", 64, { { "ns", 0, "ns_common", LINK } } },
	{ "nsproxy", 64, { { "uts_ns", 8, "ptr", LINK }, { "ipc_ns", 16, "ptr", LINK },
			   { "mnt_ns", 24, "ptr", LINK }, { "net_ns", 32, "ptr", LINK } } },
	{ "task_struct", TASK_BYTES, {
		{ "thread_info", 0, "thread_info", LINK }, { "", 640, "task_rights", LINK },
		{ "__state", 16, "u32", LINK }, { "flags", 20, "u32", LINK },
		{ "on_rq", 24, "u32", LINK }, { "sched_class", 32, "ptr", LINK },
		{ "se", 64, "sched_entity", LINK }, { "rt", 192, "sched_rt_entity", LINK },
		{ "dl", 256, "sched_dl_entity", LINK }, { "tasks", 320, "list_head", LINK },
		{ "mm", 336, "ptr", LINK }, { "exit_state", 344, "u32", LINK },
		{ "pid", 352, "u32", LINK }, { "tgid", 356, "u32", LINK },
		{ "real_parent", 360, "ptr", LINK }, { "children", 368, "list_head", LINK },
		{ "sibling", 384, "list_head", LINK }, { "group_leader", 400, "ptr", LINK },
		{ "thread_pid", 408, "ptr", LINK }, { "pid_links", 416, "hlist_node", 4, 0, 0 },
		{ "thread_node", 480, "list_head", LINK }, { "start_boottime", 496, "u64", LINK },
		{ "real_cred", 504, "ptr", LINK }, { "comm", 512, "u8", 16, 0, 0 },
		{ "fs", 528, "ptr", LINK }, { "files", 536, "ptr", LINK },
		{ "nsproxy", 544, "ptr", LINK }, { "signal", 552, "ptr", LINK },
		{ "cgroups", 560, "ptr", LINK }, { "cg_list", 568, "list_head", LINK } } },
	{ "signal_struct", 128, { { "nr_threads", 8, "u32", LINK },
				  { "thread_head", 16, "list_head", LINK },
				  { "sum_sched_runtime", 32, "u64", LINK },
				  { "is_child_subreaper", 40, "u32", LINK },
				  { "flags", 44, "u32", LINK } } },
	{ "user_struct", 64, { { "uid", 8, "u32", LINK } } },
	{ "ucounts", 64, { { "ns", 16, "ptr", LINK }, { "uid", 24, "u32", LINK } } },
	{ "cred", 128, {
		{ "user", 88, "ptr", LINK }, { "user_ns", 96, "ptr", LINK },
		{ "ucounts", 104, "ptr", LINK }, { "group_info", 112, "ptr", LINK },
		{ "uid", 8, "u32", LINK }, { "gid", 12, "u32", LINK },
		{ "suid", 16, "u32", LINK }, { "sgid", 20, "u32", LINK },
		{ "euid", 24, "u32", LINK }, { "egid", 28, "u32", LINK },
		{ "fsuid", 32, "u32", LINK }, { "fsgid", 36, "u32", LINK },
		{ "cap_inheritable", 48, "u64", LINK }, { "cap_permitted", 56, "u64", LINK },
		{ "cap_effective", 64, "u64", LINK }, { "cap_bset", 72, "u64", LINK },
		{ "cap_ambient", 80, "u64", LINK } } },
	{ "inode", 64, { { "i_size", 8, "u64", LINK } } },
	{ "file", 64, { { "f_inode", 8, "ptr", LINK } } },
	{ "mm_context_t", 16, { { "vdso", 0, "ptr", LINK }, { "vdso_image", 8, "ptr", LINK } } },
	{ "vdso_image", 32, { { "data", 0, "ptr", LINK }, { "size", 8, "u64", LINK },
			      { "alt", 16, "u64", LINK }, { "alt_len", 24, "u64", LINK } } },
	{ "mm_struct", 128, {
		{ "flags", 64, "u64", LINK },
		{ "context", 48, "mm_context_t", LINK },
		{ "pgd", 0, "ptr", LINK }, { "exe_file", 8, "ptr", LINK },
		{ "arg_start", 16, "u64", LINK }, { "arg_end", 24, "u64", LINK },
		{ "env_start", 32, "u64", LINK }, { "env_end", 40, "u64", LINK } } },
	{ "xarray", 16, { { "xa_head", 8, "ptr", LINK } } },
	{ "xa_node", 576, { { "shift", 0, "u8", LINK }, { "offset", 1, "u8", LINK },
			    { "parent", 8, "ptr", LINK }, { "slots", 40, "ptr", 64, 0, 0 } } },
	{ "idr", 24, { { "idr_rt", 0, "xarray", LINK } } },
	{ "pid_namespace", 128, { { "idr", 0, "idr", LINK }, { "level", 64, "u32", LINK },
				  { "ns", 80, "ns_common", LINK } } },
	{ "upid", 16, { { "nr", 0, "u32", LINK }, { "ns", 8, "ptr", LINK } } },
	{ "pid", 128, { { "level", 4, "u32", LINK }, { "tasks", 16, "hlist_head", 4, 0, 0 },
			{ "numbers", 64, "upid", 2, 0, 0 } } },
	{ "enum pid_type", 4, { { "PIDTYPE_PID", 0, "", LINK }, { "PIDTYPE_TGID", 1, "", LINK },
				{ "PIDTYPE_PGID", 2, "", LINK }, { "PIDTYPE_SID", 3, "", LINK } } },
	{ "css_set", 128, { { "tasks", 0, "list_head", LINK }, { "mg_tasks", 16, "list_head", LINK },
			    { "dying_tasks", 32, "list_head", LINK },
			    { "hlist", 48, "hlist_node", LINK } } },
	{ "rt_prio_array", 1616, { { "queue", 16, "list_head", 100, 0, 0 } } },
	{ "rt_rq", 1616, { { "active", 0, "rt_prio_array", LINK } } },
	{ "cfs_rq", 128, { { "tasks_timeline", 0, "rb_root_cached", LINK },
			   { "curr", 16, "ptr", LINK } } },
	{ "dl_rq", 64, { { "root", 0, "rb_root_cached", LINK } } },
	{ "rq", RQ_BYTES, {
		{ "curr", 0, "ptr", LINK }, { "idle", 8, "ptr", LINK }, { "stop", 16, "ptr", LINK },
		{ "cfs_tasks", 32, "list_head", LINK }, { "cfs", 64, "cfs_rq", LINK },
		{ "dl", 192, "dl_rq", LINK }, { "rt", 256, "rt_rq", LINK } } },
	{ "page", 64, { { "lru", 8, "list_head", LINK }, { "pt_mm", 32, "ptr", LINK } } },
	{ "tlb_state", 64, { { "loaded_mm", 0, "ptr", LINK }, { "cr4", 24, "u64", LINK } } },
	{ "cpu_entry_area", 0x3b000, {
		{ "gdt", 0, "u8", 4096, 0, 0 }, { "entry_stack_page", 0x1000, "u8", 4096, 0, 0 },
		{ "tss", 0x2000, "u8", 0x5000, 0, 0 }, { "estacks", 0x7000, "u8", 0x13000, 0, 0 } } },
	{ "real_mode_header", 64, { { "trampoline_pgd", 24, "u32", LINK } } },
	{ "cpuinfo_x86", 256, { { "x86_capability", 40, "u32", 24, 0, 0 } } },
};

static void set(struct made_tasks *t, gva object, const char *path, uint64_t value)
{
	world_set(t->world, object, path, value);
}

static gva member(struct made_tasks *t, gva object, const char *path)
{
	return world_member(t->world, object, path);
}

static void empty_list(struct made_tasks *t, gva head)
{
	world_put(t->world, head, head.v);
	world_put(t->world, gva_add(head, 8), head.v);
}

static void make_queue(struct made_tasks *t)
{
	gva queue = member(t, t->rq, "rq.rt.active.queue");

	set(t, t->rq, "rq.curr", t->init_task.v);
	set(t, t->rq, "rq.idle", t->init_task.v);
	world_put(t->world, t->current, t->init_task.v);
	world_put(t->world, t->idle_threads, t->init_task.v);
	empty_list(t, member(t, t->rq, "rq.cfs_tasks"));
	for (unsigned i = 0; i < 100; i++)
		empty_list(t, gva_add(queue, 16 * i));
}

static void make_init(struct made_tasks *t)
{
	gva signal = world_alloc(t->world, 128);

	empty_list(t, member(t, t->init_task, "task_struct.tasks"));
	empty_list(t, member(t, t->init_task, "task_struct.children"));
	empty_list(t, member(t, signal, "signal_struct.thread_head"));
	world_list_add(t->world, member(t, signal, "signal_struct.thread_head"),
		       member(t, t->init_task, "task_struct.thread_node"));
	set(t, t->init_task, "task_struct.signal", signal.v);
	set(t, t->init_task, "task_struct.group_leader", t->init_task.v);
	set(t, t->init_task, "task_struct.real_parent", t->init_task.v);
	set(t, t->init_task, "task_struct.sched_class", t->idle_class.v);
}

void made_tasks_open(struct made_tasks *t)
{
	gva table, per_cpu[4];

	memset(t, 0, sizeof(*t));
	t->world = world_new();
	t->init_task = world_symbol(t->world, "init_task", TASK_BYTES);
	t->init_ns = world_symbol(t->world, "init_pid_ns", 128);
	t->zero = world_symbol(t->world, "init_struct_pid", 128);
	t->idle_class = world_symbol(t->world, "idle_sched_class", 64);
	table = world_symbol(t->world, "css_set_table", CSS_BUCKETS * 8);
	per_cpu[0] = world_symbol(t->world, "runqueues", RQ_BYTES + CPU_OFFSET);
	per_cpu[1] = world_symbol(t->world, "current_task", 8 + CPU_OFFSET);
	per_cpu[2] = world_symbol(t->world, "idle_threads", 8 + CPU_OFFSET);
	t->pgd_list = world_symbol(t->world, "pgd_list", 16);
	t->pages = world_symbol(t->world, "vmemmap_base", 8);
	t->direct_end = world_symbol(t->world, "vmalloc_base", 8);
	t->boot_cpu = world_symbol(t->world, "boot_cpu_data", 256);
	per_cpu[3] = world_symbol(t->world, "cpu_tlbstate", 64 + CPU_OFFSET);
	world_symbol(t->world, "suid_dumpable", 8);
	t->forks = world_symbol(t->world, "total_forks", 8);
	t->vdso = world_symbol(t->world, "vdso_image_64", 32);
	t->vsyscall = world_symbol(t->world, "last", 0);
	world_symbol(t->world, "pad", (uint32_t)(-t->vsyscall.v % 4096));
	t->vsyscall = world_symbol(t->world, "__vsyscall_page", 4096);
	t->vdso_data = world_symbol(t->world, "raw_data", 2 * 4096);
	t->online = world_symbol(t->world, "__cpu_online_mask", 8);
	t->entry = world_function(t->world, "entry_SYSCALL_64", 64);
	world_symbol(t->world, "_etext", 64);
	world_start(t->world, types, ARRAY_SIZE(types));
	t->tlb_state = gva_add(per_cpu[3], CPU_OFFSET);
	empty_list(t, t->pgd_list);
	t->rq = gva_add(per_cpu[0], CPU_OFFSET);
	t->current = gva_add(per_cpu[1], CPU_OFFSET);
	t->idle_threads = gva_add(per_cpu[2], CPU_OFFSET);

	t->kernel = *world_kernel(t->world);
	t->cpu_offset[0] = CPU_OFFSET;
	t->kernel.cpu_offset = t->cpu_offset;
	t->kernel.cpus = 1;

	make_init(t);
	make_queue(t);
	t->map = world_alloc(t->world, 576);
	set(t, t->init_ns, "pid_namespace.idr.idr_rt.xa_head", t->map.v + 2);
	set(t, t->zero, "pid.numbers[0].ns", t->init_ns.v);
	t->css_set = world_alloc(t->world, 128);
	empty_list(t, member(t, t->css_set, "css_set.tasks"));
	empty_list(t, member(t, t->css_set, "css_set.mg_tasks"));
	empty_list(t, member(t, t->css_set, "css_set.dying_tasks"));
	world_hlist_add(t->world, gva_add(table, 8 * 77), member(t, t->css_set, "css_set.hlist"));
}

void made_tasks_close(struct made_tasks *t)
{
	world_end(&t->world);
}

static gva slot(struct made_tasks *t, gva node, int pid)
{
	return gva_add(member(t, node, "xa_node.slots"), 8 * (uint64_t)pid);
}

/* A number, in the map and on the task. @types: bits of enum pid_type. */
static void make_number(struct made_tasks *t, gva task, int pid, unsigned kinds)
{
	gva number = world_alloc(t->world, 128);

	set(t, number, "pid.numbers[0].nr", (uint32_t)pid);
	set(t, number, "pid.numbers[0].ns", t->init_ns.v);
	world_put(t->world, slot(t, t->map, pid), number.v);
	set(t, task, "task_struct.thread_pid", number.v);
	for (unsigned kind = 0; kind < 4; kind++)
		if (kinds >> kind & 1)
			world_hlist_add(t->world, gva_add(member(t, number, "pid.tasks"), 8 * kind),
					gva_add(member(t, task, "task_struct.pid_links"),
						16 * kind));
}

static gva make_any(struct made_tasks *t, int pid, gva leader, gva signal, gva parent)
{
	gva task = world_alloc(t->world, TASK_BYTES);

	if (!leader.v)
		leader = task;
	set(t, task, "task_struct.pid", (uint32_t)pid);
	set(t, task, "task_struct.tgid", world_get(t->world, leader, "task_struct.pid"));
	set(t, task, "task_struct.group_leader", leader.v);
	set(t, task, "task_struct.signal", signal.v);
	set(t, task, "task_struct.real_parent", parent.v);
	set(t, task, "task_struct.__state", 1);
	set(t, task, "task_struct.fs", 0xffff888000001000);
	set(t, task, "task_struct.files", 0xffff888000001000);
	set(t, task, "task_struct.nsproxy", 0xffff888000001000);
	set(t, task, "task_struct.real_cred", world_alloc(t->world, 128).v);
	set(t, task, "task_struct.mm", world_alloc(t->world, 128).v);
	set(t, signal, "signal_struct.nr_threads",
	    world_get(t->world, signal, "signal_struct.nr_threads") + 1);
	empty_list(t, member(t, task, "task_struct.children"));
	world_list_add(t->world, member(t, signal, "signal_struct.thread_head"),
		       member(t, task, "task_struct.thread_node"));
	world_list_add(t->world, member(t, t->css_set, "css_set.tasks"),
		       member(t, task, "task_struct.cg_list"));
	return task;
}

gva made_task(struct made_tasks *t, int pid, const char *comm, gva parent)
{
	gva signal = world_alloc(t->world, 128), task;

	empty_list(t, member(t, signal, "signal_struct.thread_head"));
	task = make_any(t, pid, gva_of(0), signal, parent);
	world_copy(t->world, member(t, task, "task_struct.comm"), comm,
		   (uint32_t)strlen(comm) + 1);
	world_list_add(t->world, member(t, t->init_task, "task_struct.tasks"),
		       member(t, task, "task_struct.tasks"));
	world_list_add(t->world, member(t, parent, "task_struct.children"),
		       member(t, task, "task_struct.sibling"));
	make_number(t, task, pid, 0xf);
	return task;
}

gva made_thread(struct made_tasks *t, int pid, gva leader)
{
	gva signal = gva_of(world_get(t->world, leader, "task_struct.signal"));
	gva parent = gva_of(world_get(t->world, leader, "task_struct.real_parent"));
	gva task = make_any(t, pid, leader, signal, parent);

	world_copy(t->world, member(t, task, "task_struct.comm"), "thread", 7);
	make_number(t, task, pid, 1);
	return task;
}

void made_run(struct made_tasks *t, gva task)
{
	gva node = member(t, task, "task_struct.se.run_node");

	set(t, task, "task_struct.__state", 0);
	set(t, task, "task_struct.on_rq", 1);
	world_list_add(t->world, member(t, t->rq, "rq.cfs_tasks"),
		       member(t, task, "task_struct.se.group_node"));
	world_put(t->world, node, t->running.v);
	if (t->running.v)
		world_put(t->world, gva_add(t->running, 8), node.v);
	else
		set(t, t->rq, "rq.cfs.tasks_timeline.rb_root.rb_node", node.v);
	t->running = node;
}

gva made_namespace(struct made_tasks *t)
{
	gva ns = world_alloc(t->world, 128), node = world_alloc(t->world, 576);

	set(t, ns, "pid_namespace.level", 1);
	set(t, ns, "pid_namespace.idr.idr_rt.xa_head", node.v + 2);
	return ns;
}

void made_inside(struct made_tasks *t, gva task, gva ns, int pid)
{
	gva number = gva_of(world_get(t->world, task, "task_struct.thread_pid"));
	gva node = gva_of(world_get(t->world, ns, "pid_namespace.idr.idr_rt.xa_head") - 2);

	set(t, number, "pid.level", 1);
	set(t, number, "pid.numbers[1].nr", (uint32_t)pid);
	set(t, number, "pid.numbers[1].ns", ns.v);
	world_put(t->world, slot(t, node, pid), number.v);
}

static uint64_t peek(struct made_tasks *t, gva at)
{
	uint64_t value;

	memcpy(&value, world_at(t->world, at, sizeof(value)), sizeof(value));
	return value;
}

void made_unlink(struct made_tasks *t, gva link)
{
	gva next = gva_of(peek(t, link)), prev = gva_of(peek(t, gva_add(link, 8)));

	world_put(t->world, prev, next.v);
	world_put(t->world, gva_add(next, 8), prev.v);
	empty_list(t, link);
}

void made_hunlink(struct made_tasks *t, gva node)
{
	gva next = gva_of(peek(t, node)), pprev = gva_of(peek(t, gva_add(node, 8)));

	if (!pprev.v)
		return;
	world_put(t->world, pprev, next.v);
	if (next.v)
		world_put(t->world, gva_add(next, 8), pprev.v);
	world_put(t->world, node, 0);
	world_put(t->world, gva_add(node, 8), 0);
}

void made_forget(struct made_tasks *t, int pid)
{
	world_put(t->world, slot(t, t->map, pid), 0);
}

void made_hide(struct made_tasks *t, gva task)
{
	gva links = member(t, task, "task_struct.pid_links");

	made_unlink(t, member(t, task, "task_struct.tasks"));
	made_unlink(t, member(t, task, "task_struct.sibling"));
	made_unlink(t, member(t, task, "task_struct.thread_node"));
	made_unlink(t, member(t, task, "task_struct.cg_list"));
	for (unsigned kind = 0; kind < 4; kind++)
		made_hunlink(t, gva_add(links, 16 * kind));
	made_forget(t, (int)world_get(t->world, task, "task_struct.pid"));
}
