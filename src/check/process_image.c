/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "check/process.h"
#include "linux/peek.h"
#include "linux/vma.h"

/*
 * The program that a process was started from (mm->exe_file) is what is mapped where its code
 * begins, and it has a name. A package that is upgraded takes the name away from programs in
 * system directories; a program that was built again has a name under which another stands.
 */

#define FUEL_MAX	(VIEW_FUEL_SWEEP / 2)
#define OVERLAY_MAGIC	0x794c7630u	/* include/uapi/linux/magic.h */
#define NOT_THERE	0		/* no area begins so low */

struct image_fields {
	struct field sb, magic, seals, info_inode;
};

static const struct member image_members[] = {
	MEMBER(struct image_fields, sb, "inode.i_sb"),
	MEMBER(struct image_fields, magic, "super_block.s_magic"),
	MEMBER_OPTIONAL(struct image_fields, seals, "shmem_inode_info.seals"),
	MEMBER_OPTIONAL(struct image_fields, info_inode, "shmem_inode_info.vfs_inode"),
};
LAYOUT(image_layout, struct image_fields, image_members);

struct image_counts {
	uint64_t programs, replaced, sealed, compiled;
};

struct image_look {
	struct process_walk *walk;
	const struct task *task;
	const struct image_fields *f;
	struct vma_space space;
	const struct program *exe;
	struct image_counts *counts;
};

/* --- a program without a name --- */

/*
 * runc runs a sealed copy of itself while it sets a container up (CVE-2019-5736), as the child
 * of what was started from a package.
 */
static int is_sealed_copy(const struct image_look *look, struct err *err)
{
	static const char *const starters[] = {
		"runc", "containerd-shim*", "conmon*", "crun", "dockerd", "containerd", "podman",
		"buildkitd", "kubelet", "crio", "runc_cloned:*", NULL
	};
	const struct task *parent = process_at(look->walk, look->task->parent);
	const struct program *starter;
	struct vma_space space;
	uint64_t seals;
	gva info;
	int r;

	if (strncmp(look->exe->name, "memfd:runc_cloned:", 18) != 0 || !parent || !parent->mm.v ||
	    !look->f->seals.there || !look->f->info_inode.there)
		return 0;
	info = field_object(look->exe->inode, &look->f->info_inode);
	r = field_read(look->walk->view, info, &look->f->seals, &seals, err);
	if (r >= 0)
		r = vma_space(look->walk->kernel, look->walk->view, parent->mm, &space, err);
	if (r < 0 || !space.exe.v || (seals & 0xf) != 0xf)
		return r;
	r = programs_get(&look->walk->programs, space.exe, &starter, err);
	return r < 0 ? r : starter->place == PLACE_SYSTEM && name_matches(starter->name, starters);
}

static void report_file(struct image_look *look, enum severity severity, const char *what,
			const char *title)
{
	struct finding *finding = process_finding(look->walk, severity, look->task, what);

	finding_title(finding, "%s", title);
	finding_evidence(finding, "program's file", look->exe->inode, NULL, "a file with a name",
			 look->exe->path);
}

static int judge_file(struct image_look *look, struct err *err)
{
	int r;

	if (look->exe->memory) {
		r = is_sealed_copy(look, err);
		if (r > 0)
			look->counts->sealed++;
		else if (r == 0)
			report_file(look, SEVERITY_HIGH, "program in memory",
				    "Process runs a program that exists in memory only");
		return r < 0 ? r : 0;
	}
	if (!look->exe->deleted)
		return 0;
	if (look->exe->place == PLACE_TEMP) {
		report_file(look, SEVERITY_HIGH, "deleted program",
			    "Process runs a program that was deleted");
		return 0;
	}
	r = 1;
	if (look->exe->place == PLACE_HOME)
		r = program_is_replaced(&look->walk->programs, look->exe, err);
	if (r > 0)
		look->counts->replaced++;
	else if (r == 0)
		report_file(look, SEVERITY_MEDIUM, "deleted program",
			    "Process runs a program that was deleted");
	return r < 0 ? r : 0;
}

/* --- what is mapped --- */

/*
 * On an overlay (containers) what is mapped is the file below: another inode, and from 6.7
 * (def3ae83da02) another name, but of the same size and called the same.
 */
static int is_same_file(const struct image_look *look, const struct program *mapped,
			struct err *err)
{
	uint64_t magic;
	gva sb;
	int r;

	if (mapped->inode.v == look->exe->inode.v || mapped->dentry.v == look->exe->dentry.v)
		return 1;
	r = field_ptr(look->walk->view, look->exe->inode, &look->f->sb, &sb, err);
	if (r >= 0)
		r = field_read(look->walk->view, sb, &look->f->magic, &magic, err);
	if (r < 0)
		return r;
	return magic == OVERLAY_MAGIC && mapped->size_bytes == look->exe->size_bytes &&
	       !strcmp(mapped->name, look->exe->name);
}

static void report_image(struct image_look *look, const struct vma *vma, const char *found)
{
	struct finding *finding;
	char area[VMA_TEXT_BYTES] = "";

	finding = process_finding(look->walk, SEVERITY_HIGH, look->task, "other code");
	finding_title(finding, "Process runs other code than its program's");
	if (vma)
		finding_evidence(finding, "area where the program's code begins", vma->at, NULL,
				 NULL, vma_print(vma, area));
	finding_evidence(finding, "file mapped there", vma ? vma->file : gva_of(0), NULL,
			 look->exe->path, found);
}

static int judge_image(struct image_look *look, struct err *err)
{
	const struct program *mapped;
	struct vma vma;
	int r;

	r = vma_find(look->walk->kernel, look->walk->view, look->task->mm, look->space.code_start,
		     &vma, err);
	if (r == -ENOENT) {
		report_image(look, NULL, "nothing");
		return 0;
	}
	if (r < 0)
		return r;
	if (!vma.file.v && look->exe->runtime & RUNTIME_ANY) {
		look->counts->compiled++;	/* node --use-largepages copies itself */
		return 0;
	}
	if (!vma.file.v) {
		report_image(look, &vma, "none: anonymous memory");
		return 0;
	}
	r = programs_get(&look->walk->programs, vma.file, &mapped, err);
	if (r >= 0)
		r = is_same_file(look, mapped, err);
	if (r == 0)
		report_image(look, &vma, mapped->path);
	return r < 0 ? r : 0;
}

/*
 * A process that is just replacing its program has a new memory, whose code the kernel tells
 * of last (fs/binfmt_elf.c: load_elf_binary()).
 */
static int visit_process(struct process_walk *walk, const struct task *task, void *ctx,
			 struct err *err)
{
	struct image_look look = { .walk = walk, .task = task, .counts = ctx };
	int r;

	if (!task->mm.v || task->kernel_thread)
		return 0;
	r = types_layout(walk->kernel->types, &image_layout, (const void **)&look.f, err);
	if (r >= 0)
		r = vma_space(walk->kernel, walk->view, task->mm, &look.space, err);
	if (r < 0 || !look.space.exe.v)
		return r;
	r = programs_get(&walk->programs, look.space.exe, &look.exe, err);
	if (r < 0)
		return r;
	look.counts->programs++;
	r = judge_file(&look, err);
	if (r >= 0 && look.space.code_start != NOT_THERE)
		r = judge_image(&look, err);
	return r;
}

static int process_image_run(struct check_run *run, struct err *err)
{
	struct image_counts counts = { 0 };
	int r = process_each(run, visit_process, &counts, err);

	check_covered(run, "processes", counts.programs);
	check_covered(run, "programs replaced meanwhile", counts.replaced);
	check_covered(run, "sealed copies of container runtimes", counts.sealed);
	check_covered(run, "programs that moved their own code", counts.compiled);
	return r;
}

CHECK(process_image,
	.id = "process-image",
	.group = GROUP_PROCESSES,
	.title = "Process does not run the program that it was started from",
	.proves = "Every process has its program's file mapped where its code begins, and that "
		  "file has a name, or had one where packages or builds replace programs "
		  "(docs/processes.md).",
	.techniques = TECHNIQUES("T1055.012", "T1620", "T1070.004"),
	.fuel_max = FUEL_MAX,
	.run = process_image_run);
