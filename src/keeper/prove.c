/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "guest/paging.h"
#include "keeper/look.h"
#include "linux/cpu.h"
#include "linux/task_ns.h"

/*
 * Is a process the agent, and nothing besides? Its program is static, so all code that it has is
 * in one file of which the host has a copy: every page of its code and constants is there, for
 * it locks its memory, and equal to that copy. Nothing else in its address space may be executed
 * but the vDSO, which has a check of its own.
 */

#define VMA_LOCKED	0x2000u		/* VM_LOCKED: include/linux/mm.h */
#define AREAS_MAX	4096u		/* an agent has some 40 */

struct proof_fields {
	struct field inode, fs, mount, dentry;
};

static const struct member proof_members[] = {
	MEMBER(struct proof_fields, inode, "file.f_inode"),
	MEMBER(struct proof_fields, fs, "task_struct.fs"),
	MEMBER(struct proof_fields, mount, "fs_struct.root.mnt"),
	MEMBER(struct proof_fields, dentry, "fs_struct.root.dentry"),
};
LAYOUT(proof_layout, struct proof_fields, proof_members);

struct proof {
	struct look *look;
	const struct claim *claim;
	const struct proof_fields *f;
	struct space tables;		/* those that its own code runs with */
	bool no_execute;		/* page tables can say that something is no code */
	struct vma_space space;
	gva exe;			/* inode of the program */
	VEC(struct vma) areas;
	uint8_t page[GUEST_PAGE_SIZE];
};

/* @fmt: what was found. All problems here are of the code. */
static void printf_like(7, 8) tell(struct proof *proof, const char *object, const char *title,
				   uint64_t at, const char *what, const char *expected,
				   const char *fmt, ...)
{
	const struct told told = {
		.topic = KEEPER_CODE, .weight = KEEPER_HIGH, .at.v = at,
		.object = object, .title = title, .what = what, .expected = expected,
	};
	va_list ap;

	va_start(ap, fmt);
	look_vtell(proof->look, &told, fmt, ap);
	va_end(ap);
}

/* --- who it is --- */

struct root { gva mount, dentry; };

static int root_of(const struct proof *proof, gva task, struct root *ret, struct err *err)
{
	struct view *view = proof->look->view;
	gva fs;
	int r = field_ptr(view, task, &proof->f->fs, &fs, err);

	if (r >= 0 && !fs.v)
		return err_set(err, -ESTALE, "a process without a root: it ends");
	if (r >= 0)
		r = field_ptr(view, fs, &proof->f->mount, &ret->mount, err);
	return r < 0 ? r : field_ptr(view, fs, &proof->f->dentry, &ret->dentry, err);
}

/* In a root of its own it would take for /proc what somebody put there. */
static int prove_root(struct proof *proof, struct err *err)
{
	gva task = proof->claim->task.at;
	struct root own = {0}, init = {0};
	int r;

	r = root_of(proof, task, &own, err);
	if (r >= 0)
		r = root_of(proof, proof->look->kernel->boot.first_task, &init, err);
	if (r >= 0 && (own.mount.v != init.mount.v || own.dentry.v != init.dentry.v))
		tell(proof, "root", "Agent does not have the root of all", task.v,
		     "root directory", "that of PID 1", "another one: chroot(2)");
	return r;
}

static int prove_identity(struct proof *proof, struct err *err)
{
	const struct look *look = proof->look;
	const struct task *task = &proof->claim->task;
	struct task first = { .at = look->kernel->boot.first_task, .pid = 1 };
	struct task_ns own = {0}, init = {0};
	int r;

	if (task->uid || task->euid)
		tell(proof, "user", "Agent does not run as root", task->at.v, "credentials",
		     "UID 0, EUID 0", "UID %u, EUID %u", task->uid, task->euid);
	r = task_namespaces(look->kernel, look->view, task, &own, err);
	if (r >= 0)
		r = task_namespaces(look->kernel, look->view, &first, &init, err);
	if (r < 0)
		return r;

	const struct {
		const char *name;
		uint32_t own, init;
	} all[] = {
		{ "user", own.user, init.user },
		{ "PID", own.pid, init.pid },
		{ "network", own.net, init.net },
		{ "mount", own.mnt, init.mnt },
	};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if (all[i].own != all[i].init)
			tell(proof, "namespace", "Agent does not run in the initial namespaces",
			     task->at.v, "namespaces", "those of PID 1",
			     "%s namespace %u, PID 1 is in %u", all[i].name, all[i].own,
			     all[i].init);
	return 0;
}

/* --- what it has mapped --- */

static int add_area(const struct vma *vma, void *ctx, struct err *err)
{
	struct proof *proof = ctx;
	struct vma *slot;

	if (proof->areas.n == AREAS_MAX)
		return err_set(err, -EBADMSG, "an agent with over %u areas of memory", AREAS_MAX);
	slot = vec_add(&proof->areas);
	if (!slot)
		return -ENOMEM;
	*slot = *vma;
	return 0;
}

static int inode_of(const struct proof *proof, gva file, gva *ret, struct err *err)
{
	*ret = gva_of(0);
	return file.v ? field_ptr(proof->look->view, file, &proof->f->inode, ret, err) : 0;
}

/* Does an area map this range, of the program's own file, at its place? */
static int maps_range(const struct proof *proof, const struct build_range *range,
		      const struct vma *vma, struct err *err)
{
	uint64_t start = proof->claim->bias + range->start, end = proof->claim->bias + range->end;
	gva inode;
	int r;

	if (vma->start < start || vma->end > end)
		return 0;
	r = inode_of(proof, vma->file, &inode, err);
	if (r < 0)
		return r;
	return inode.v == proof->exe.v &&
	       vma->page == (range->offset + (vma->start - start)) / GUEST_PAGE_SIZE;
}

static bool has_rights(enum build_kind kind, uint64_t flags)
{
	uint64_t want = VMA_READ | (kind == BUILD_CODE ? VMA_EXEC : 0u);

	return (flags & (VMA_READ | VMA_WRITE | VMA_EXEC)) == want;
}

/* All of a range must be mapped, and as it was linked. */
static int prove_range(struct proof *proof, const struct build_range *range, struct err *err)
{
	uint64_t at = proof->claim->bias + range->start, end = proof->claim->bias + range->end;
	char area[VMA_TEXT_BYTES];

	for (size_t i = 0; i < proof->areas.n && at < end; i++) {
		const struct vma *vma = &proof->areas.v[i];
		int r;

		if (vma->end <= at)
			continue;
		r = maps_range(proof, range, vma, err);
		if (r < 0)
			return r;
		if (!r || vma->start != at)
			break;
		if (!has_rights(range->kind, vma->flags))
			tell(proof, "rights", "Agent's code can be written to, or is not code",
			     vma->start, build_kind_name(range->kind),
			     range->kind == BUILD_CODE ? "r-x" : "r--", "%s",
			     vma_print(vma, area));
		if (!(vma->flags & VMA_LOCKED))
			tell(proof, "lock", "Agent's memory is not locked", vma->start,
			     build_kind_name(range->kind), "VM_LOCKED", "%s",
			     vma_print(vma, area));
		at = vma->end;
	}
	if (at < end)
		tell(proof, "mapping", "Agent's program is not mapped as it was linked", at,
		     build_kind_name(range->kind), "its file, up to the end of the segment",
		     "something else from %#" PRIx64 " on", at);
	return 0;
}

/* Nothing but its own code may be executed. */
static int prove_foreign(struct proof *proof, const struct vma *vma, struct err *err)
{
	const struct build *build = proof->claim->build;
	char area[VMA_TEXT_BYTES];
	int r = 0;

	if (!(vma->flags & VMA_EXEC) || vma_is_special(proof->look->kernel, vma))
		return 0;
	for (size_t i = 0; i < build->ranges.n && !r; i++)
		if (build->ranges.v[i].kind == BUILD_CODE)
			r = maps_range(proof, &build->ranges.v[i], vma, err);
	if (!r)
		tell(proof, "foreign code", "Agent has code mapped that is not its own",
		     vma->start, "executable memory", "its own code and the vDSO", "%s, %s",
		     vma_print(vma, area), vma_kind(vma, &proof->space));
	return r < 0 ? r : 0;
}

static int prove_areas(struct proof *proof, struct err *err)
{
	const struct build *build = proof->claim->build;
	int r;

	r = vma_space(proof->look->kernel, proof->look->view, proof->claim->task.mm,
		      &proof->space, err);
	if (r >= 0)
		r = inode_of(proof, proof->space.exe, &proof->exe, err);
	if (r >= 0)
		r = vma_walk(proof->look->kernel, proof->look->view, proof->claim->task.mm,
			     add_area, proof, err);
	for (size_t i = 0; i < build->ranges.n && r >= 0; i++)
		if (build->ranges.v[i].kind != BUILD_DATA)
			r = prove_range(proof, &build->ranges.v[i], err);
	for (size_t i = 0; i < proof->areas.n && r >= 0; i++)
		r = prove_foreign(proof, &proof->areas.v[i], err);
	return r;
}

/* --- what the pages hold --- */

static void tell_page(struct proof *proof, const struct build_range *range, uint64_t at,
		      uint64_t linked, uint32_t where)
{
	const struct build *build = proof->claim->build;
	uint64_t offset = range->offset + (linked - range->start);
	char expected[3 * 8 + 1] = "", found[3 * 8 + 1] = "", what[64];
	uint32_t first = where & ~7u;

	for (uint32_t i = 0; i < 8; i++) {
		uint8_t byte = offset + first + i < build->file.size ?
			       build->file.data[offset + first + i] : 0;

		sprintf(expected + 3 * i, "%02x ", byte);
		sprintf(found + 3 * i, "%02x ", proof->page[first + i]);
	}
	snprintf(what, sizeof(what), "%s at %#" PRIx64 " of the program",
		 build_kind_name(range->kind), linked + first);
	tell(proof, build_kind_name(range->kind),
	     range->kind == BUILD_CODE ? "Agent's code was modified" :
					 "Agent's constants were modified",
	     at + first, what, range->kind == BUILD_RELRO ? "as relocated" : expected, "%s", found);
}

static int prove_page(struct proof *proof, const struct build_range *range, uint64_t linked,
		      struct err *err)
{
	uint64_t at = proof->claim->bias + linked;
	struct view *view = proof->look->view;
	struct mapping mapping;
	uint32_t where;
	bool is_code;
	int r;

	r = view_translate(view, proof->tables, gva_of(at), &mapping, err);
	if (r >= 0)
		r = view_read_space(view, proof->tables, gva_of(at), proof->page,
				    sizeof(proof->page), err);
	if (r == -EFAULT) {
		tell(proof, "absent page", "Agent's memory is not locked: a page of it is absent",
		     at, build_kind_name(range->kind), "present: mlockall(2)", "absent");
		return 0;
	}
	if (r < 0)
		return r;
	is_code = proof->no_execute ? mapping.rights & MAP_EXEC : range->kind == BUILD_CODE;
	if (mapping.rights & MAP_WRITE || is_code != (range->kind == BUILD_CODE))
		tell(proof, "page rights", "Agent's code can be written to, or is not code", at,
		     build_kind_name(range->kind),
		     range->kind == BUILD_CODE ? "executable, not writable" : "neither",
		     "page table entry: %s, %s",
		     is_code ? "executable" : "not executable",
		     mapping.rights & MAP_WRITE ? "writable" : "not writable");
	if (build_compare(proof->claim->build, range, linked, proof->claim->bias, proof->page,
			  &where))
		proof->look->agent->pages++;
	else
		tell_page(proof, range, at, linked, where);
	return 0;
}

static int prove_pages(struct proof *proof, struct err *err)
{
	const struct build *build = proof->claim->build;
	int r = 0;

	for (size_t i = 0; i < build->ranges.n; i++) {
		const struct build_range *range = &build->ranges.v[i];

		if (range->kind == BUILD_DATA)
			continue;
		for (uint64_t at = range->start; at < range->end && r >= 0; at += GUEST_PAGE_SIZE)
			r = prove_page(proof, range, at, err);
	}
	return r;
}

/* What the page tables let the processor execute, whatever the areas say. */
static int visit_executable(const struct extent *extent, void *ctx, struct err *err)
{
	struct proof *proof = ctx;
	uint64_t at = extent->start.v, end = extent->start.v + extent->size_bytes;

	(void)err;
	for (size_t i = 0; i < proof->areas.n && at < end; i++) {
		const struct vma *vma = &proof->areas.v[i];

		if (vma->flags & VMA_EXEC && vma->start <= at && vma->end > at)
			at = vma->end;
	}
	if (at < end)
		tell(proof, "foreign page", "Agent has executable pages outside of its areas", at,
		     "page tables", "no code beyond its areas", "executable at %#" PRIx64, at);
	return 0;
}

static int prove_tables(struct proof *proof, struct err *err)
{
	uint64_t last = (proof->tables.levels == 5 ? 1ull << 56 : 1ull << 47) - 1;

	if (!proof->no_execute)
		return 0;	/* a processor that can execute whatever it can read */
	return view_walk(proof->look->view, proof->tables, gva_of(0), gva_of(last),
			 MAP_EXEC | MAP_USER, visit_executable, proof, err);
}

/* Which page tables are to be proved. */
static int find_tables(struct proof *proof, struct err *err)
{
	struct space kernels = proof->claim->task.space;
	struct cpu_features features;
	int r = cpu_features_read(proof->look->kernel, proof->look->view, &features, err);

	if (r < 0)
		return r;
	proof->tables = cpu_user_space(kernels, cpu_has(&features, CPU_PTI));
	proof->no_execute = cpu_has(&features, CPU_NX);
	return 0;
}

int prove_code(struct look *look, const struct claim *claim, struct err *err)
{
	cleanup(freep) struct proof *proof = calloc(1, sizeof(*proof));
	static int (*const steps[])(struct proof *proof, struct err *err) = {
		prove_identity, prove_root, prove_areas, prove_pages, prove_tables,
	};
	int r;

	if (!proof)
		return err_set(err, -ENOMEM, "no memory for a keeper");
	proof->look = look;
	proof->claim = claim;
	r = types_layout(look->kernel->types, &proof_layout, (const void **)&proof->f, err);
	if (r >= 0)
		r = find_tables(proof, err);
	if (r < 0)
		return look_partial(look, KEEPER_CODE, r, err);
	for (size_t i = 0; i < ARRAY_SIZE(steps) && r >= 0; i++)
		r = look_partial(look, KEEPER_CODE, steps[i](proof, err), err);
	vec_free(&proof->areas);
	return r;
}
