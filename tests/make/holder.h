/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_TESTS_MAKE_HOLDER_H
#define HVSM_TESTS_MAKE_HOLDER_H

#include "linux/task.h"
#include "make/world.h"

/*
 * Made-up tasks with files, for views that start from a list of tasks. Put these types in
 * front of a test's own.
 */
#define HOLDER_TYPES                                                                     \
	{ "list_head", 16, { { "next", 0, "ptr" }, { "prev", 8, "ptr" } } },                \
	{ "hlist_node", 16, { { "next", 0, "ptr" }, { "pprev", 8, "ptr" } } },              \
	{ "hlist_head", 8, { { "first", 0, "ptr" } } },                                     \
	{ "hlist_nulls_head", 8, { { "first", 0, "ptr" } } },                               \
	{ "signal_struct", 64, { { "thread_head", 0, "list_head" },                         \
				 { "nr_threads", 16, "u32" } } },                           \
	{ "cred", 192, { { "uid", 0, "u32" }, { "euid", 4, "u32" }, { "suid", 8, "u32" },   \
			 { "fsuid", 12, "u32" }, { "gid", 16, "u32" }, { "egid", 20, "u32" }, \
			 { "sgid", 24, "u32" }, { "fsgid", 28, "u32" },                     \
			 { "cap_effective", 32, "u64" }, { "cap_permitted", 40, "u64" },    \
			 { "cap_inheritable", 48, "u64" }, { "cap_bset", 56, "u64" },       \
			 { "cap_ambient", 64, "u64" }, { "user_ns", 72, "ptr" } } },        \
	{ "mm_struct", 64, { { "pgd", 0, "ptr" } } },                                       \
	{ "task_struct", 512, { { "tasks", 0, "list_head" }, { "thread_node", 16, "list_head" }, \
			{ "pid", 32, "u32" }, { "tgid", 36, "u32" }, { "comm", 40, "u8", 16 }, \
			{ "__state", 56, "u32" }, { "exit_state", 60, "u32" },              \
			{ "flags", 64, "u32" }, { "real_parent", 72, "ptr" },               \
			{ "group_leader", 80, "ptr" }, { "signal", 88, "ptr" },             \
			{ "real_cred", 96, "ptr" }, { "mm", 104, "ptr" },                   \
			{ "start_boottime", 112, "u64" }, { "files", 120, "ptr" },          \
			{ "nsproxy", 128, "ptr" } } },                                      \
	{ "fdtable", 32, { { "max_fds", 0, "u32" }, { "fd", 8, "ptr" },                     \
			   { "close_on_exec", 16, "ptr" } } },                              \
	{ "files_struct", 64, { { "fdt", 0, "ptr" } } }

/* A process of one thread, without files, in a list that the caller frees. */
gva holder_task(struct world *world, struct tasks *tasks, uint32_t pid);

/* Another thread of the last process in the list. */
gva holder_thread(struct world *world, struct tasks *tasks, uint32_t tid);

/* A table of open files with room for @room, empty, given to a task. */
gva holder_files(struct world *world, gva task, uint32_t room);

/* Open @file as @fd. */
void holder_open(struct world *world, gva files, uint32_t fd, gva file, bool cloexec);

#endif
