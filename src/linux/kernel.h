/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_LINUX_KERNEL_H
#define HVSM_LINUX_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "guest/view.h"
#include "linux/symbols.h"
#include "linux/types.h"

/* What no two boots of a guest share. */
struct kernel_boot {
	uint64_t canary;	/* random, drawn at start; 0: this kernel has none */
	gva first_task;		/* task_struct of PID 1; 0: none was made yet */
	uint64_t first_task_ns;	/* when it was made, since boot */
};

/*
 * A running Linux kernel, as its own memory describes it. Made once when hvsm attaches to a
 * guest and kept over sweeps; what can change between sweeps is read through a view instead.
 */
struct kernel {
	struct space space;	/* init_top_pgt: the kernel's address space */
	gva text;		/* _text */
	gva end;		/* _end */
	gpa image;		/* physical address of _text; the image is contiguous up to _end */
	gva page_offset;	/* start of the direct map of all physical memory */

	struct symbols *symbols;
	struct types *types;

	char banner[512];	/* linux_banner, newline cut off; guest text: escape it */
	char release[65];	/* init_uts_ns.name.release: "6.1.0-32-amd64" */
	char build_id[41];	/* the GNU build ID note in hex; "" where there is none */

	uint32_t cpus;		/* possible CPUs */
	uint64_t *cpu_offset;	/* __per_cpu_offset[0..cpus) */

	const char *found_by;	/* "low-memory trampoline", "page-table scan" */
	struct kernel_boot boot;	/* which boot of it this is */
};

/**
 * kernel_open - find the kernel in a guest's memory and read its own description of itself
 * @view: fuelled with VIEW_FUEL_ATTACH; afterwards set to the kernel's address space
 *
 * Return: 0, -ENOENT (no kernel yet: firmware, boot loader, another system; the text says
 *         what was seen), -EBADMSG (a kernel whose tables contradict themselves), -ENOTSUP
 *         (built without what hvsm needs: kallsyms, BTF), -ELOOP, -ESRCH, -ENOMEM.
 */
nodiscard int kernel_open(struct view *view, struct kernel **ret, struct err *err);

/* *@kernel becomes NULL. NULL is fine. */
void kernel_close(struct kernel **kernel);

/**
 * kernel_check - is the kernel that was opened still the one that runs?
 * To be called before and after a sweep.
 *
 * Return: 0, -ESTALE (rebooted, another kernel by kexec, or no kernel at all: open it
 *         again), or an error of the read.
 */
nodiscard int kernel_check(const struct kernel *kernel, struct view *view, struct err *err);

/**
 * kernel_read_image - bytes of the image, wherever they are mapped
 * @at: address of the first; all lie in the image
 *
 * By physical address: that the image is mapped to itself is for page-tables to tell, and parts
 * of it need not be mapped. Not so of a PV guest of Xen, which says by itself where its physical
 * addresses lead: there it is what the page table leads to, and, where there is nothing, what
 * lies there.
 *
 * Return: as view_read_phys().
 */
nodiscard int kernel_read_image(const struct kernel *kernel, struct view *view, gva at, void *buf,
				size_t len, struct err *err);

/* The address of a per-CPU variable on one CPU; @cpu < kernel->cpus. */
gva kernel_per_cpu(const struct kernel *kernel, gva symbol, uint32_t cpu);

/* Is there such a CPU, with per-CPU variables of its own? @cpu < kernel->cpus. */
bool kernel_has_cpu(const struct kernel *kernel, uint32_t cpu);

/**
 * kernel_symbol - the address of a symbol that a view needs
 * As symbols_find().
 */
nodiscard int kernel_symbol(const struct kernel *kernel, const char *name, gva *ret,
			    struct err *err);

/**
 * field_read - a member of an object in guest memory, as a number
 * @object: address of the struct
 * @field:  from types_layout(); a bitfield is shifted and masked
 *
 * Return: 0, -ENOENT (this kernel has no such member), -EINVAL (larger than 8 bytes),
 *         or an error as view_read().
 */
nodiscard int field_read(struct view *view, gva object, const struct field *field,
			 uint64_t *ret, struct err *err);

/* As field_read(), for members that are pointers. */
nodiscard int field_ptr(struct view *view, gva object, const struct field *field, gva *ret,
			struct err *err);

/* The address of a member. */
static inline gva field_at(gva object, const struct field *field)
{
	return gva_add(object, field->at);
}

/* container_of(): the object whose member lies at @member. */
static inline gva field_object(gva member, const struct field *field)
{
	return gva_sub(member, field->at);
}

#endif
