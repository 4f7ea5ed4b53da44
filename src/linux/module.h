/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_LINUX_MODULE_H
#define HVSM_LINUX_MODULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/vec.h"
#include "linux/kernel.h"

/*
 * Loaded kernel modules, by each way that the kernel itself knows them: the list `modules`
 * (which /proc/modules and lsmod show), the address tree `mod_tree` (by which a fault or a
 * stack trace finds the module of an address), and the set `module_kset` (/sys/module).
 * Sources: kernel/module/{main,procfs,tree_lookup,sysfs}.c, include/linux/module.h.
 */

/* The ways a module was found by. */
enum {
	MODULE_BY_LIST	= 1 << 0,	/* modules */
	MODULE_BY_TREE	= 1 << 1,	/* mod_tree, either copy of the latched tree */
	MODULE_BY_SYSFS = 1 << 2,	/* module_kset */

	MODULE_BY_ALL	= MODULE_BY_LIST | MODULE_BY_TREE | MODULE_BY_SYSFS,

	/* For modules_read(): version, arguments and users as well. */
	MODULE_DETAILS	= 1 << 8,
};

/* enum module_state; a value that is none of these is MODULE_ODD. */
enum module_state {
	MODULE_LIVE,
	MODULE_COMING,		/* its init function runs */
	MODULE_GOING,		/* its exit function runs */
	MODULE_UNFORMED,	/* being set up or torn down; /proc/modules leaves it out */
	MODULE_ODD,
};

/* "Live", "Loading", "Unloading", as /proc/modules says it; "Unformed"; "Odd". */
const char *module_state_name(enum module_state state);

/* What a part of a module's memory holds; the order is that of enum mod_mem_type. */
enum module_area_kind {
	MODULE_TEXT,
	MODULE_DATA,
	MODULE_RODATA,
	MODULE_RO_AFTER_INIT,
	MODULE_INIT_TEXT,	/* the init ones are freed once the init function ended */
	MODULE_INIT_DATA,
	MODULE_INIT_RODATA,
	MODULE_AREAS,
};

/* "text", "data", "rodata", "ro_after_init", "init text", … */
const char *module_area_name(enum module_area_kind kind);

struct module_area {
	gva at;
	uint64_t size_bytes;	/* 0: the module has none of this kind */
};

#define MODULE_NAME_MAX	   56u	/* MODULE_NAME_LEN with its terminator */
#define MODULE_TAINT_MAX   32u
#define MODULE_VERSION_MAX 64u
#define MODULE_ARGS_MAX	   256u

/* One module. All text is the guest's: escape it at output. */
struct module_info {
	gva at;				/* its struct module */
	unsigned found_by;		/* MODULE_BY_* */
	char name[MODULE_NAME_MAX];
	enum module_state state;

	/*
	 * Its memory. Up to 6.3 (struct module_layout) one block holds text, rodata,
	 * ro_after_init and data one behind the other, and a second one the init parts;
	 * from 6.4 (ac3b43283923) each kind is a block of its own.
	 */
	struct module_area area[MODULE_AREAS];
	uint64_t size_bytes;		/* of all of it, as /proc/modules says */
	struct module_area block[2];	/* ≤ 6.3: the two blocks; none otherwise */

	uint64_t taints;		/* bit numbers TAINT_* */
	char taint[MODULE_TAINT_MAX];	/* "OE"; "" where there is none */
	int64_t refcount;		/* as /proc/modules says it; -1: being unloaded */
	bool permanent;			/* has an init but no exit function: cannot be unloaded */

	/* Only with MODULE_DETAILS: */
	char version[MODULE_VERSION_MAX];	/* "" where it has none */
	char srcversion[MODULE_VERSION_MAX];	/* "" where it has none */
	char args[MODULE_ARGS_MAX];	/* given to insmod; cut to fit, cut up once it was parsed */
	VEC(gva) used_by;		/* struct module of those that use it; guest's order */

	int error;			/* the first that the reading of it met; 0: all is there */
};

struct modules {
	VEC(struct module_info) list;	/* as the guest lists them: newest first */
	uint32_t *by_address;		/* their indices by address of the struct module */
	unsigned walked;		/* MODULE_BY_*: ways that were walked to their end */
};

/**
 * modules_read - the modules of a guest
 * @by:  MODULE_BY_*: which ways to take; a module that several lead to is given once, with
 *       all of them in its found_by. With or without MODULE_DETAILS.
 * @ret: on the caller's stack, zeroed; give it to modules_free() whatever came back
 *
 * A module whose struct cannot be read is given nevertheless, with its error. A kernel
 * without the tree (CONFIG_MODULES_TREE_LOOKUP) or without sysfs has no such way, which is
 * then not among those walked, and no error.
 *
 * Return: 0 (every way was walked to its end), or the first error, and @ret then holds what
 *         was found nevertheless: -EBADMSG, -ELOOP (a list that lies), -EFAULT, -ENOENT (this
 *         kernel has no such member), -ESRCH, -ENOMEM.
 */
nodiscard int modules_read(const struct kernel *kernel, struct view *view, unsigned by,
			   struct modules *ret, struct err *err);

void modules_free(struct modules *modules);

/* The module whose struct lies at @at, or NULL. */
const struct module_info *modules_find(const struct modules *modules, gva at);

/* Is @at in a part of the module? @kind may be NULL. */
bool module_has(const struct module_info *module, gva at, enum module_area_kind *kind);

/**
 * module_read - one module, from its struct
 * @details: as MODULE_DETAILS
 * @ret:     on the caller's stack, zeroed; give it to module_free() whatever came back
 *
 * Areas that cannot be (outside the kernel half, over MODULE_AREA_MAX bytes) are left out,
 * which is an error (-EBADMSG).
 *
 * Return: 0, or the first error, as modules_read(); @ret holds what could be read.
 */
nodiscard int module_read(const struct kernel *kernel, struct view *view, gva at, bool details,
			  struct module_info *ret, struct err *err);

/* Frees what module_read() allocated, not the struct. */
void module_free(struct module_info *module);

/* One entry of the address tree. */
struct module_node {
	gva module;		/* what it says it belongs to */
	gva node;		/* its struct mod_tree_node */
	gva start;		/* of the memory that the kernel takes it to stand for */
	uint64_t size_bytes;
	unsigned copies;	/* bit 0: in the first of the two trees, bit 1: in the second */
};

struct module_nodes {
	VEC(struct module_node) list;	/* by address of the node */
};

/**
 * module_nodes_read - mod_tree as it is: one node for the core and one for the init memory
 * (≤ 6.3), or one per kind of memory (6.4+)
 * Return: 0, -ENOENT (a kernel without the tree), or as modules_read(), @ret as there. A
 *         lookup may run while the tree changes: the kernel then uses the other copy
 *         (include/linux/rbtree_latch.h), so one of them may be inconsistent for a moment.
 */
nodiscard int module_nodes_read(const struct kernel *kernel, struct view *view,
				struct module_nodes *ret, struct err *err);

void module_nodes_free(struct module_nodes *nodes);

#endif
