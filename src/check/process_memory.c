/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/map.h"
#include "check/process.h"
#include "guest/paging.h"
#include "linux/cpu.h"
#include "linux/page_cache.h"
#include "linux/vma.h"

/*
 * Code in a process's memory comes from a file that has a name. The exceptions are compilers
 * at run time, known by the files from system directories that are mapped as code next to it
 * (program.c); the main thread's stack and the heap are never one. Nor is there code that no
 * area has: a page that only the page tables know of, which /proc does not show.
 */

#define FUEL_MAX	(VIEW_FUEL_SWEEP / 2)
#define SLJIT_CHUNK	(64u << 10)	/* CHUNK_SIZE of sljitExecAllocator.c */
#define FFI_MAX		(16u << 20)	/* of one area: 300,000 closures */
#define SUSPECTS_MAX	4096u		/* areas of one process that are judged */

struct lock_fields {
	struct field count;
};

static const struct member lock_members[] = {
	MEMBER(struct lock_fields, count, "mm_struct.mmap_lock.count.counter"),
};
LAYOUT(lock_layout, struct lock_fields, lock_members);

struct memory_counts {
	uint64_t processes, areas, code, compiled, replaced, tables;
};

/* What the processor can do, of all processes. */
struct memory_look {
	struct memory_counts counts;
	struct map spaces;		/* page tables that were walked */
	bool no_execute, isolated;
};

struct code_range {
	uint64_t start, end;
};

/* One process while its areas are looked at. */
struct space_look {
	struct process_walk *walk;
	const struct task *task;
	struct vma_space space;
	unsigned runtime;		/* of all that is mapped as code */
	VEC(struct vma) suspects;
	VEC(struct code_range) code;	/* areas of code, in ascending order */
	struct code_range outside;	/* the first executable page in none of them, and … */
	uint64_t outside_n;		/* … how many there are */
	struct memory_counts *counts;
};

static int visit_vma(const struct vma *vma, void *ctx, struct err *err)
{
	struct space_look *look = ctx;
	const struct program *program;
	struct code_range *code;
	struct vma *suspect;
	int r;

	look->counts->areas++;
	if (!(vma->flags & VMA_EXEC))
		return 0;
	code = vec_add(&look->code);
	if (!code)
		return -ENOMEM;
	*code = (struct code_range){ vma->start, vma->end };
	if (vma_is_special(look->walk->kernel, vma))
		return 0;
	look->counts->code++;
	if (vma->file.v) {
		r = programs_get(&look->walk->programs, vma->file, &program, err);
		if (r < 0)
			return r;
		look->runtime |= program->runtime;
		if (!program->memory && !program->deleted && !(vma->flags & VMA_WRITE))
			return 0;
	}
	if (look->suspects.n == SUSPECTS_MAX) {
		check_inconclusive(look->walk->run, "PID %d has over %u areas of code that is in "
				   "no file", look->task->pid, SUSPECTS_MAX);
		return 0;
	}
	suspect = vec_add(&look->suspects);
	if (!suspect)
		return -ENOMEM;
	*suspect = *vma;
	return 0;
}

/*
 * Is it what a runtime that is mapped would have made? PCRE's are writable and of whole chunks;
 * libffi's may be of a file without a name where anonymous code is forbidden.
 */
static bool is_compiled(unsigned runtime, const struct vma *vma, const struct program *program)
{
	uint64_t size = vma->end - vma->start;

	if (runtime & RUNTIME_ANY)
		return true;
	if (runtime & RUNTIME_FFI && size <= FFI_MAX)
		return true;
	return runtime & RUNTIME_SLJIT && !program && vma->flags & VMA_WRITE &&
	       size % SLJIT_CHUNK == 0;
}

static void report(struct space_look *look, enum severity severity, const struct vma *vma,
		   const char *what, const char *title, const char *found)
{
	char text[VMA_TEXT_BYTES + 64], area[VMA_TEXT_BYTES];
	struct finding *finding;

	finding = process_finding(look->walk, severity, look->task, what);
	finding_title(finding, "%s", title);
	snprintf(text, sizeof(text), "%s, %s", vma_print(vma, area),
		 vma_kind(vma, &look->space));
	finding_evidence(finding, "memory area", vma->at, NULL, NULL, text);
	finding_evidence(finding, "file of the area", gva_of(0), NULL,
			 "a file with a name, mapped without the right to write", found);
}

/* Code in a file of no name, or of one that was taken away. */
static int judge_file(struct space_look *look, const struct vma *vma,
		      const struct program *program, struct err *err)
{
	int r = 1;

	if (program->memory) {
		if (is_compiled(look->runtime, vma, program))
			look->counts->compiled++;
		else
			report(look, SEVERITY_HIGH, vma, "code in memory file",
			       "Process runs code of a file that exists in memory only",
			       program->path);
		return 0;
	}
	if (program->deleted && program->place == PLACE_TEMP)
		r = 0;
	else if (program->deleted && program->place == PLACE_HOME)
		r = program_is_replaced(&look->walk->programs, program, err);
	if (r < 0)
		return r;
	if (r == 0 && is_compiled(look->runtime, vma, program))
		look->counts->compiled++;
	else if (r == 0)
		report(look, SEVERITY_HIGH, vma, "code of deleted file",
		       "Process runs code of a file that was deleted", program->path);
	else
		look->counts->replaced += program->deleted;
	if (vma->flags & VMA_WRITE) {
		if (look->runtime & RUNTIME_ANY)
			look->counts->compiled++;
		else
			report(look, SEVERITY_MEDIUM, vma, "writable code",
			       "Process may write to the code of a file that it runs",
			       program->path);
	}
	return 0;
}

/* Program headers say whether the program was built for an executable stack: ELF's gABI. */
struct elf_header {
	uint8_t ident[16];
	uint16_t type, machine;
	uint32_t version;
	uint64_t entry, phoff, shoff;
	uint32_t flags;
	uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};

struct elf_segment {
	uint32_t type, flags;
	uint64_t offset, vaddr, paddr, filesz, memsz, align;
};

#define PT_GNU_STACK 0x6474e551u

/* 1: it was, from a system directory; 0: not, or not known. */
static int wants_exec_stack(struct space_look *look, struct err *err)
{
	uint8_t page[GUEST_PAGE_SIZE];
	const struct program *program;
	struct elf_header header;
	int r;

	if (!look->space.exe.v)
		return 0;
	r = programs_get(&look->walk->programs, look->space.exe, &program, err);
	if (r < 0)
		return r;
	if (program->place != PLACE_SYSTEM || program->memory)
		return 0;
	r = page_cache_read(look->walk->kernel, look->walk->view, program->inode, 0, page, err);
	if (r == -ENOENT) {
		check_inconclusive(look->walk->run, "PID %d has an executable stack, and the "
				   "program's head is not in memory", look->task->pid);
		return 1;
	}
	if (r < 0)
		return r;
	memcpy(&header, page, sizeof(header));
	if (memcmp(header.ident, "\177ELF\2\1", 6) != 0 ||
	    header.phentsize != sizeof(struct elf_segment) || header.phoff > sizeof(page))
		return 0;
	for (unsigned i = 0; i < header.phnum; i++) {
		struct elf_segment segment;
		uint64_t at = header.phoff + i * sizeof(segment);

		if (at > sizeof(page) - sizeof(segment))
			return 0;
		memcpy(&segment, page + at, sizeof(segment));
		if (segment.type == PT_GNU_STACK)
			return segment.flags & 1;
	}
	return 0;
}

static int judge(struct space_look *look, const struct vma *vma, struct err *err)
{
	const struct program *program = NULL;
	int r;

	if (vma->file.v) {
		r = programs_get(&look->walk->programs, vma->file, &program, err);
		return r < 0 ? r : judge_file(look, vma, program, err);
	}
	if (vma_is_stack(vma, &look->space)) {
		r = wants_exec_stack(look, err);
		if (r == 0)
			report(look, SEVERITY_MEDIUM, vma, "executable stack",
			       "Process may run code on its stack", "none: stack");
		return r < 0 ? r : 0;
	}
	if (vma_is_heap(vma, &look->space))
		report(look, SEVERITY_HIGH, vma, "executable heap",
		       "Process may run code on its heap", "none: heap");
	else if (is_compiled(look->runtime, vma, NULL))
		look->counts->compiled++;
	else
		report(look, SEVERITY_HIGH, vma, "anonymous code",
		       "Process runs code that is in no file", "none: anonymous memory");
	return 0;
}

/* --- pages without an area --- */

static int visit_executable(const struct extent *extent, void *ctx, struct err *err)
{
	struct space_look *look = ctx;
	uint64_t at = extent->start.v, end = at + extent->size_bytes;
	size_t low = 0, high = look->code.n;

	(void)err;
	while (low < high) {		/* the first that does not end before it */
		size_t middle = low + (high - low) / 2;

		if (look->code.v[middle].end <= at)
			low = middle + 1;
		else
			high = middle;
	}
	for (; at < end; low++) {
		const struct code_range *code = low < look->code.n ? &look->code.v[low] : NULL;
		uint64_t to = !code || code->start > end ? end : code->start;

		if (at < to) {
			if (!look->outside_n)
				look->outside = (struct code_range){ at, to };
			look->outside_n += (to - at) >> GUEST_PAGE_SHIFT;
		}
		if (!code || code->end >= end)
			break;
		at = code->end > at ? code->end : at;
	}
	return 0;
}

/* Areas and pages change under one lock: where somebody has it, they may differ. */
static int report_outside(struct space_look *look, struct err *err)
{
	const struct lock_fields *f;
	struct finding *finding;
	uint64_t count;
	char text[96];
	int r;

	r = types_layout(look->walk->kernel->types, &lock_layout, (const void **)&f, err);
	if (r >= 0)
		r = field_read(look->walk->view, look->task->mm, &f->count, &count, err);
	if (r < 0)
		return r;
	if (count) {
		check_inconclusive(look->walk->run, "PID %d has executable pages in none of its "
				   "areas of code, while its memory is changed", look->task->pid);
		return 0;
	}
	snprintf(text, sizeof(text), "%" PRIu64 " pages; the first from %#" PRIx64 " to %#" PRIx64,
		 look->outside_n, look->outside.start, look->outside.end);
	finding = process_finding(look->walk, SEVERITY_HIGH, look->task, "hidden code");
	finding_title(finding, "Process may execute pages that none of its areas of code has");
	finding_evidence(finding, "page tables", gva_of(look->outside.start), NULL,
			 "executable pages in areas of code only", text);
	return 0;
}

static int look_at_tables(struct space_look *look, const struct memory_look *memory,
			  struct err *err)
{
	struct space space = cpu_user_space(look->task->space, memory->isolated);
	uint64_t last = (space.levels == 5 ? 1ull << 56 : 1ull << 47) - 1;
	int r;

	r = view_walk(look->walk->view, space, gva_of(0), gva_of(last), MAP_EXEC | MAP_USER,
		      visit_executable, look, err);
	if (r < 0)
		return r;
	look->counts->tables++;
	return look->outside_n ? report_outside(look, err) : 0;
}

/* Threads that are processes of their own (vfork(2), CLONE_VM) share one. */
static int is_new(struct memory_look *memory, const struct task *task)
{
	int r = map_put(&memory->spaces, task->space.root.v, 1);

	return r < 0 ? r : !r;
}

static int look_at_space(struct space_look *look, struct memory_look *memory, struct err *err)
{
	int r = vma_space(look->walk->kernel, look->walk->view, look->task->mm, &look->space, err);

	if (r >= 0)
		r = vma_walk(look->walk->kernel, look->walk->view, look->task->mm, visit_vma, look,
			     err);
	for (size_t i = 0; r >= 0 && i < look->suspects.n; i++)
		r = judge(look, &look->suspects.v[i], err);
	if (r < 0 || !memory->no_execute || !look->task->space.root.v)
		return r;
	r = is_new(memory, look->task);
	return r > 0 ? look_at_tables(look, memory, err) : r;
}

static int visit_process(struct process_walk *walk, const struct task *task, void *ctx,
			 struct err *err)
{
	struct memory_look *memory = ctx;
	struct space_look look = { .walk = walk, .task = task, .counts = &memory->counts };
	int r;

	if (!task->mm.v || task->kernel_thread)
		return 0;
	look.counts->processes++;
	r = look_at_space(&look, memory, err);
	vec_free(&look.suspects);
	vec_free(&look.code);
	return r;
}

static int process_memory_run(struct check_run *run, struct err *err)
{
	struct memory_look memory = { 0 };
	struct cpu_features features;
	int r = cpu_features_read(check_kernel(run), check_view(run), &features, err);

	if (r < 0)
		return r;
	memory.no_execute = cpu_has(&features, CPU_NX);
	memory.isolated = cpu_has(&features, CPU_PTI);
	r = process_each(run, visit_process, &memory, err);
	check_covered(run, "processes", memory.counts.processes);
	check_covered(run, "page tables", memory.counts.tables);
	check_covered(run, "memory areas", memory.counts.areas);
	check_covered(run, "areas of code", memory.counts.code);
	check_covered(run, "made by known compilers", memory.counts.compiled);
	check_covered(run, "of files replaced meanwhile", memory.counts.replaced);
	if (!memory.no_execute)
		check_note(run, "a processor that can execute all that it can read");
	map_free(&memory.spaces);
	return r;
}

CHECK(process_memory,
	.id = "process-memory",
	.group = GROUP_PROCESSES,
	.title = "Process has code that comes from no file",
	.proves = "Every area of a process's memory that may be executed is of a file that has a "
		  "name, or had one in a system directory, and is not writable; or is what a "
		  "known compiler at run time makes, whose library from a system directory is "
		  "mapped next to it (docs/processes.md). No page outside of these areas may be "
		  "executed, by the page tables.",
	.techniques = TECHNIQUES("T1055", "T1620", "T1055.009"),
	.fuel_max = FUEL_MAX,
	.run = process_memory_run);
