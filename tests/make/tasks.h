/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_TESTS_MAKE_TASKS_H
#define HVSM_TESTS_MAKE_TASKS_H

#include "make/world.h"

/*
 * A guest with tasks, each in all the places that the kernel keeps it in. What a test takes
 * away or forges there is what it is about.
 */
struct made_tasks {
	struct world *world;
	struct kernel kernel;		/* the world's, with a CPU */
	uint64_t cpu_offset[1];
	gva init_task, init_ns, zero;	/* zero: struct pid of number 0 */
	gva rq;				/* run queue of the CPU */
	gva idle_threads, current;	/* per-CPU variables, of the CPU */
	gva idle_class;
	gva map;			/* root node of the PID map: numbers below 64 */
	gva css_set;			/* the only one */
	gva pgd_list, pages;		/* vmemmap_base; the test says what it holds */
	gva direct_end;			/* vmalloc_base: likewise */
	gva boot_cpu;			/* boot_cpu_data */
	gva online;			/* __cpu_online_mask, empty */
	gva entry;			/* entry_SYSCALL_64 */
	gva vdso, vdso_data;		/* vdso_image_64; two pages, which it does not name yet */
	gva vsyscall;			/* a page of zeros */
	gva tlb_state;			/* cpu_tlbstate, of the CPU */
	gva forks;			/* total_forks, 0 */
	gva running;			/* last node of the fair class's tree */
};

/* With init_task, which runs, and nothing else. */
void made_tasks_open(struct made_tasks *t);
void made_tasks_close(struct made_tasks *t);

/* A process that sleeps, of one thread, with memory and files; @pid below 64. */
gva made_task(struct made_tasks *t, int pid, const char *comm, gva parent);

/* A thread of @leader. */
gva made_thread(struct made_tasks *t, int pid, gva leader);

/* Put a task on the CPU's fair queue: the tree and the list. */
void made_run(struct made_tasks *t, gva task);

/* A PID namespace below the initial one, and a number in it for a task; at most one each. */
gva made_namespace(struct made_tasks *t);
void made_inside(struct made_tasks *t, gva task, gva ns, int pid);

/* Take a link out of its list (list_head, hlist_node) as the kernel does. */
void made_unlink(struct made_tasks *t, gva link);
void made_hunlink(struct made_tasks *t, gva node);

/* Take a number out of the PID map. */
void made_forget(struct made_tasks *t, int pid);

/* Out of all places but the run queues. */
void made_hide(struct made_tasks *t, gva task);

#endif
