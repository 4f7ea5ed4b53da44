/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_LINUX_TRACING_H
#define HVSM_LINUX_TRACING_H

#include "linux/kernel.h"
#include "linux/module.h"

/*
 * What the kernel calls when somebody traces it: kprobes and kretprobes, users of ftrace,
 * fprobes and the function graph, probes on tracepoints, uprobes. Each pointer to a function
 * that was registered is one callback.
 */
struct callback {
	const char *kind;	/* "kprobe", "kretprobe", "ftrace", …: a literal */
	const char *what;	/* the member: "pre_handler"; a literal */
	gva object;		/* struct kprobe, ftrace_ops, tracepoint, … */
	gva slot;		/* where the pointer lies */
	gva target;		/* where it leads; never 0 */
	gva data;		/* of a tracepoint's probe: what it is called with; else 0 */

	/* What is traced, as far as there is one such thing. */
	gva at;			/* a kprobe's instruction; 0: not known */
	char name[64];		/* a tracepoint's name, a uprobe's file and offset; "" */
};

/* A negative return ends the walk. */
typedef int callback_fn(const struct callback *callback, void *ctx, struct err *err);

/*
 * The walks. @seen receives how many objects there were (probes, users, tracepoints).
 *
 * Return: 0 (all were seen; a kernel without them has none), what @visit returned, -EBADMSG,
 *         -EFAULT (what cannot be read was left out; in a running guest it may be an update
 *         in flight), -ELOOP (limits), -ENOENT (types), -ESRCH, -ENOMEM.
 */

/* kprobe_table: the handlers of each kprobe, those behind a shared one, and of kretprobes. */
nodiscard int kprobe_callbacks(const struct kernel *kernel, struct view *view,
			       callback_fn *visit, void *ctx, uint64_t *seen, struct err *err);

/* ftrace_ops_list, fprobes, and the users of the function graph (fgraph_array, 6.11+). */
nodiscard int ftrace_callbacks(const struct kernel *kernel, struct view *view,
			       callback_fn *visit, void *ctx, uint64_t *seen, struct err *err);

/*
 * Every tracepoint of the kernel, and of @modules where that is not NULL: its probes, what
 * calls them (iterator, the key of its static call while it has probes), regfunc, unregfunc.
 */
nodiscard int tracepoint_callbacks(const struct kernel *kernel, struct view *view,
				   const struct modules *modules, callback_fn *visit, void *ctx,
				   uint64_t *seen, struct err *err);

/* uprobes_tree: the handlers and the filter of each consumer. */
nodiscard int uprobe_callbacks(const struct kernel *kernel, struct view *view,
			       callback_fn *visit, void *ctx, uint64_t *seen, struct err *err);

/**
 * ftrace_ops_first - which functions an ftrace_ops is called for
 * @at: receives the lowest address of them; 0: it is called for all functions
 * @n:  receives how many they are; 0: all
 *
 * Return: 0, -EBADMSG, -EFAULT, -ELOOP, -ENOENT (types), -ESRCH.
 */
nodiscard int ftrace_ops_first(const struct kernel *kernel, struct view *view, gva ops, gva *at,
			       uint64_t *n, struct err *err);

#endif
