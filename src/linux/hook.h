/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_LINUX_HOOK_H
#define HVSM_LINUX_HOOK_H

#include "base/map.h"
#include "base/vec.h"
#include "linux/kernel.h"
#include "linux/owner.h"
#include "linux/partial.h"

/*
 * Where the kernel lets others put code into its way: pointers to functions in what is
 * registered with it (a notifier, a netfilter hook, a timer), and in the tables of operations
 * that live objects lead to (files in /proc, sockets, terminals).
 *
 * A source is one kind of object and knows how to get at all of them; which of their members
 * are pointers to functions, and which lead to tables of those, is asked of the types. So what
 * a kernel adds to a struct is looked at without a release of ours. What remains by hand is the
 * way to the objects, and members of unions, of which the types do not say which one counts.
 */

/* What pointers are in, as a person knows it. */
struct hook_object {
	const char *mechanism;	/* a literal: "file in /proc", "netfilter hook" */
	gva at;			/* of the object */

	/*
	 * Its name: stable over sweeps, the guest's text. Asked for where something is to be
	 * said of it, since there are ten thousands of some. @text serves where it is NULL.
	 */
	void (*print)(const struct hook_object *object, char *buf, size_t size);
	const void *ctx;	/* for print() */
	const char *text;

	/*
	 * Somebody asked to be called, rather than just being what it is: what `hvsm hooks`
	 * shows though nothing is wrong with it.
	 */
	bool registered;

	/*
	 * What it belongs to: an address in the memory of the kernel or of the module whose
	 * functions alone it has, or those of modules that go with it. 0: may be anyone's.
	 */
	gva home;
};

/* One pointer to a function. */
struct hook {
	const struct hook_object *object;
	gva at;			/* where the pointer lies */
	gva table;		/* table of operations that it lies in; 0: in the object */
	gva target;		/* never 0 */
	const char *type;	/* "file_operations"; lives as long as the types */
	const char *member;	/* "read_iter"; as well */
	uint32_t prototype;	/* BTF id of what it should lead to; 0: unknown */

	/* What should be there, where the source knows that this cannot be right; else NULL. */
	const char *expected;
};

/* A negative return ends the walk. */
typedef int hook_fn(const struct hook *hook, void *ctx, struct err *err);

#define HOOK_NAMED 64u	/* a power of two */

/* One walk over sources, with what has been seen of tables. */
struct hook_walk {
	const struct kernel *kernel;
	struct view *view;
	struct owners *owners;	/* may be NULL where nobody asks */
	hook_fn *visit;
	void *ctx;

	uint64_t objects;	/* that were looked at: hook_members() counts, or the source */
	uint64_t pointers;	/* that were visited */
	struct partial partial;	/* what could not be read: partial_add() */

	/* What is known of types; and which tables of each were visited: each is once. */
	struct hook_shapes *shapes;	/* NULL: not asked for yet */
	VEC(struct map) seen;		/* by the shape's index */

	/* Sources name a type ten thousand times over, by the same literal. */
	struct { const char *name; uint32_t type; } named[HOOK_NAMED];
};

struct hook_source {
	const char *id;		/* "proc" */

	/*
	 * Visit every object. What cannot be read of one goes to partial_add(), and the rest
	 * is looked at all the same; a kernel that has no such thing is -ENOENT.
	 */
	int (*walk)(struct hook_walk *walk, struct err *err);
};

/* Sources, one file each. */
extern const struct hook_source hooks_ftrace;
extern const struct hook_source hooks_kprobes;
extern const struct hook_source hooks_proc;
extern const struct hook_source hooks_tracepoints;
extern const struct hook_source hooks_uprobes;
extern const struct hook_source hooks_types;
extern const struct hook_source hooks_lsm;
extern const struct hook_source hooks_device;
extern const struct hook_source hooks_driver;
extern const struct hook_source hooks_tty;
extern const struct hook_source hooks_file;
extern const struct hook_source hooks_sysfs;
extern const struct hook_source hooks_callback;	/* what is registered with the kernel */
extern const struct hook_source hooks_irq;
extern const struct hook_source hooks_netdev;
extern const struct hook_source hooks_netfilter;
extern const struct hook_source hooks_netlink;
extern const struct hook_source hooks_notifier;
extern const struct hook_source hooks_packet;
extern const struct hook_source hooks_socket;
extern const struct hook_source hooks_softirq;	/* soft interrupts, tasklets, RCU */
extern const struct hook_source hooks_timer;
extern const struct hook_source hooks_work;

/* All of them, NULL at the end. */
extern const struct hook_source *const hook_sources[];

/**
 * hook_walk_open - begin
 * @ret: on the caller's stack; filled in. Give it to hook_walk_close() whatever came back
 */
void hook_walk_open(const struct kernel *kernel, struct view *view, struct owners *owners,
		    hook_fn *visit, void *ctx, struct hook_walk *ret);

void hook_walk_close(struct hook_walk *walk);

/**
 * hook_walk_source - visit what one source knows
 * Return: 0 (all of it), -ENOENT (this kernel has no such thing), -EBADMSG or -EFAULT
 *         (something could not be read; the rest was visited), what visit() returned, -ELOOP,
 *         -ESRCH, -ENOMEM.
 */
nodiscard int hook_walk_source(struct hook_walk *walk, const struct hook_source *source,
			       struct err *err);

/* --- for sources --- */

/*
 * hook_members - all pointers of an object that its type tells of
 * Members that are pointers to functions; those in structs within it, but for what is not
 * always set (work, timers, RCU heads); and the tables of operations that members point to, to
 * three levels. Unions are passed over: hook_table() and hook_pointer() are for these.
 *
 * @type: "net_device"; a literal
 *
 * Return: 0, -ENOENT (no such type), or what visit() returned. What could not be read is in
 *         @walk->partial.
 */
nodiscard int hook_members(struct hook_walk *walk, const struct hook_object *object,
			   const char *type, struct err *err);

/**
 * hook_table - all pointers of a table of operations, and of tables that it leads to
 * @type:  "file_operations"; a literal
 * @table: where it lies; 0: none, which is fine
 *
 * A table that was seen already in this walk is passed over. Return: as hook_members().
 */
nodiscard int hook_table(struct hook_walk *walk, const struct hook_object *object,
			 const char *type, gva table, struct err *err);

/**
 * hook_pointer - one pointer
 * @type:   "proc_dir_entry"
 * @member: "single_show"
 * @at:     where it lies
 * @target: what stands there; 0: none, which is fine
 *
 * Return: 0, or what visit() returned.
 */
nodiscard int hook_pointer(struct hook_walk *walk, const struct hook_object *object,
			   const char *type, const char *member, gva at, gva target,
			   struct err *err);

/**
 * hook_wrong - a pointer that cannot be right, wherever it leads
 * @expected: what should be there, a literal
 * As hook_pointer().
 */
nodiscard int hook_wrong(struct hook_walk *walk, const struct hook_object *object,
			 const char *type, const char *member, gva at, gva target,
			 const char *expected, struct err *err);

/* As hook_pointer(), of a member whose place is known; read from the guest. */
nodiscard int hook_field(struct hook_walk *walk, const struct hook_object *object,
			 const char *type, const char *member, const struct field *field,
			 struct err *err);

/*
 * The usual print() of objects: "clocksource tsc" where a member leads to a name, else what it
 * calls: "timer that calls process_timeout". To be @ctx of the object.
 */
struct hook_label {
	const struct hook_walk *walk;
	const char *what;		/* "timer" */
	const struct field *name;	/* pointer to text; NULL: has none */
	const struct field *function;	/* NULL: not told by it */
};

void hook_print_label(const struct hook_object *object, char *buf, size_t size);

/* --- for those who visit --- */

/* The object's name. @buf is returned. */
const char *hook_object_name(const struct hook_object *object, char *buf, size_t size);

/*
 * Which pointer it is: "/proc/net/tcp: seq_operations.show", or, of a table that has a symbol,
 * "tcp4_seq_ops.show". @buf is returned.
 */
const char *hook_name(const struct hook_walk *walk, const struct hook *hook, char *buf,
		      size_t size);

#endif
