/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>

#include "base/limits.h"
#include "check/process.h"
#include "linux/object.h"
#include "linux/peek.h"
#include "linux/vma.h"

/*
 * Where a sleeping thread was when it called the kernel: its registers stand at the top of its
 * kernel stack (arch/x86/include/asm/processor.h: task_pt_regs()). A stack may be anywhere in
 * anonymous or shared memory (threads, coroutines, signal stacks), but not among the data of a
 * file, in code, or nowhere; and the call comes from code.
 */

#define FUEL_MAX	(VIEW_FUEL_SWEEP / 2)
#define USER_CS		0x33u		/* arch/x86/include/asm/segment.h */
#define USER32_CS	0x23u
#define USER_SS		0x2bu
#define FRED_PADDING	16u		/* TOP_OF_KERNEL_STACK_PADDING with CONFIG_X86_FRED */
#define VSYSCALL	0xffffffffff600000ull
#define STACK_BYTES_MAX	(64u << 10)	/* THREAD_SIZE: 16 KiB, 32 with KASAN */
#define STACK_GAP_MAX	(1u << 20)	/* how far below its area a stack may grow at once */

struct stack_fields {
	struct field stack, on_cpu, regs, ip, cs, sp, ss, orig_ax;
};

static const struct member stack_members[] = {
	MEMBER(struct stack_fields, stack, "task_struct.stack"),
	MEMBER_OPTIONAL(struct stack_fields, on_cpu, "task_struct.on_cpu"),
	MEMBER(struct stack_fields, regs, "pt_regs"),
	MEMBER(struct stack_fields, ip, "pt_regs.ip"),
	MEMBER(struct stack_fields, cs, "pt_regs.cs"),
	MEMBER(struct stack_fields, sp, "pt_regs.sp"),
	MEMBER(struct stack_fields, ss, "pt_regs.ss"),
	MEMBER(struct stack_fields, orig_ax, "pt_regs.orig_ax"),
};
LAYOUT(stack_layout, struct stack_fields, stack_members);

struct stack_counts {
	uint64_t stack_bytes;	/* of each thread in the kernel: THREAD_SIZE */
	uint64_t threads, elsewhere, running, compiled;
};

struct stack_look {
	struct process_walk *walk;
	const struct task *task;
	struct vma_space space;
	uint64_t ip, sp;
	struct stack_counts *counts;
};

/* 1: @look has the registers of a system call; 0: the thread came into the kernel otherwise. */
static int read_registers(struct stack_look *look, const struct stack_fields *f,
			  struct err *err)
{
	struct object regs;
	gva stack;
	int r;

	r = field_ptr(look->walk->view, look->task->at, &f->stack, &stack, err);
	for (unsigned padding = 0; r >= 0 && padding <= FRED_PADDING; padding += FRED_PADDING) {
		uint64_t cs;

		r = object_read(look->walk->view,
				gva_of(stack.v + look->counts->stack_bytes - padding -
				       f->regs.size_bytes), &f->regs, &regs, err);
		cs = r < 0 ? 0 : object_uint(&regs, &f->cs) & 0xffff;
		if ((cs != USER_CS && cs != USER32_CS) ||
		    (object_uint(&regs, &f->ss) & 0xffff) != USER_SS)
			continue;
		look->ip = object_uint(&regs, &f->ip);
		look->sp = object_uint(&regs, &f->sp);
		return (int64_t)object_uint(&regs, &f->orig_ax) >= 0;
	}
	return r < 0 ? wrap(err, r, "kernel stack") : 0;
}

static void report(struct stack_look *look, const char *what, const char *title,
		   const struct vma *vma, uint64_t address, const char *expected)
{
	const struct program *program;
	char area[VMA_TEXT_BYTES], text[PATH_BYTES_MAX + 128];
	struct finding *finding;

	finding = process_finding(look->walk, SEVERITY_HIGH, look->task, what);
	finding_title(finding, "%s", title);
	if (!vma)
		snprintf(text, sizeof(text), "%#" PRIx64 " in no memory area", address);
	else if (vma->file.v && programs_get(&look->walk->programs, vma->file, &program, NULL) >= 0)
		snprintf(text, sizeof(text), "%#" PRIx64 " in %s of %s", address,
			 vma_print(vma, area), program->path);
	else
		snprintf(text, sizeof(text), "%#" PRIx64 " in %s, %s", address,
			 vma_print(vma, area), vma_kind(vma, &look->space));
	finding_evidence(finding, what, vma ? vma->at : gva_of(0), NULL, expected, text);
}

/* Has the process been given an executable stack? process-memory tells of that. */
static bool has_exec_stack(const struct stack_look *look)
{
	struct vma vma;

	return vma_find(look->walk->kernel, look->walk->view, look->task->mm,
			look->space.stack_start, &vma, NULL) >= 0 && vma.flags & VMA_EXEC;
}

/* The first thread's stack grows when it is used, which may be after the call. */
static bool is_growing(const struct stack_look *look)
{
	struct vma vma;

	return vma_find(look->walk->kernel, look->walk->view, look->task->mm,
			look->space.stack_start, &vma, NULL) >= 0 &&
	       vma.flags & VMA_GROWSDOWN && look->sp < vma.start &&
	       vma.start - look->sp <= STACK_GAP_MAX;
}

static int judge_sp(struct stack_look *look, struct err *err)
{
	static const char title[] = "Thread's stack pointer is not in a stack";
	static const char expected[] = "in anonymous or shared memory";
	const struct program *program;
	struct vma vma;
	int r;

	r = vma_find(look->walk->kernel, look->walk->view, look->task->mm, look->sp, &vma, err);
	if (r == -ENOENT) {
		if (!is_growing(look))
			report(look, "stack pointer", title, NULL, look->sp, expected);
		return 0;
	}
	if (r < 0)
		return r;
	if (vma.file.v && !(vma.flags & VMA_SHARED)) {
		r = programs_get(&look->walk->programs, vma.file, &program, err);
		if (r < 0)
			return r;
		if (!program->memory && program_is_regular(program)) {
			report(look, "stack pointer", title, &vma, look->sp, expected);
			return 0;
		}
	}
	if (vma.flags & VMA_EXEC && !vma_is_stack(&vma, &look->space) && !has_exec_stack(look))
		report(look, "stack pointer", title, &vma, look->sp, expected);
	return 0;
}

/* Where no file is behind the code, a compiler may be: see process_memory.c. */
static int judge_ip(struct stack_look *look, struct err *err)
{
	static const char title[] = "Thread called the kernel from what is no code of a file";
	static const char expected[] = "in the code of a file";
	const struct program *program = NULL;
	unsigned runtime;
	struct vma vma;
	int r;

	if ((look->ip & ~GUEST_PAGE_MASK) == VSYSCALL)
		return 0;
	r = vma_find(look->walk->kernel, look->walk->view, look->task->mm, look->ip, &vma, err);
	if (r == -ENOENT) {
		report(look, "instruction pointer", title, NULL, look->ip, expected);
		return 0;
	}
	if (r >= 0 && vma.file.v)
		r = programs_get(&look->walk->programs, vma.file, &program, err);
	if (r < 0)
		return r;
	if (vma.flags & VMA_EXEC && (program ? !program->memory :
					       vma_is_special(look->walk->kernel, &vma)))
		return 0;
	if (vma.flags & VMA_EXEC) {
		r = process_runtime(look->walk, look->task, &runtime, err);
		if (r < 0)
			return r;
		if (runtime & RUNTIME_ANY) {
			look->counts->compiled++;
			return 0;
		}
	}
	report(look, "instruction pointer", title, &vma, look->ip, expected);
	return 0;
}

static int visit_thread(struct process_walk *walk, const struct task *task, void *ctx,
			struct err *err)
{
	struct stack_look look = { .walk = walk, .task = task, .counts = ctx };
	const struct stack_fields *f;
	uint64_t on_cpu = 0;
	int r;

	if (!task->mm.v || task->kernel_thread)
		return 0;
	r = types_layout(walk->kernel->types, &stack_layout, (const void **)&f, err);
	if (r >= 0 && f->on_cpu.there)
		r = field_read(walk->view, task->at, &f->on_cpu, &on_cpu, err);
	if (r < 0)
		return r;
	if (on_cpu || (task->state != 'S' && task->state != 'D' && task->state != 'T')) {
		look.counts->running++;
		return 0;
	}
	r = read_registers(&look, f, err);
	if (r <= 0) {
		look.counts->elsewhere += r == 0;
		return r;
	}
	r = vma_space(walk->kernel, walk->view, task->mm, &look.space, err);
	/* 0: a program is being started, and the registers are still of the one before. */
	if (r < 0 || !look.space.code_start)
		return r;
	look.counts->threads++;
	r = judge_sp(&look, err);
	return r < 0 ? r : judge_ip(&look, err);
}

/* No type tells; but the first of all stacks has symbols (arch/x86/kernel/vmlinux.lds.S). */
static int read_stack_size(const struct kernel *kernel, uint64_t *ret, struct err *err)
{
	gva start = symbols_lookup(kernel->symbols, "init_stack");
	gva end = symbols_lookup(kernel->symbols, "__end_init_stack");

	/* Up to 6.7. */
	if (!end.v)
		end = symbols_lookup(kernel->symbols, "__end_init_task");
	if (!start.v || end.v <= start.v || end.v - start.v > STACK_BYTES_MAX ||
	    (end.v - start.v) % GUEST_PAGE_SIZE)
		return err_set(err, -ENOENT, "no symbols tell how large a kernel stack is");
	*ret = end.v - start.v;
	return 0;
}

static int process_stack_run(struct check_run *run, struct err *err)
{
	struct stack_counts counts = { 0 };
	int r = read_stack_size(check_kernel(run), &counts.stack_bytes, err);

	if (r >= 0)
		r = process_each_thread(run, visit_thread, &counts, err);
	check_covered(run, "sleeping threads", counts.threads);
	check_covered(run, "threads that sleep elsewhere", counts.elsewhere);
	check_covered(run, "threads that run", counts.running);
	check_covered(run, "in code of known compilers", counts.compiled);
	return r;
}

CHECK(process_stack,
	.id = "process-stack",
	.group = GROUP_PROCESSES,
	.title = "Thread's stack or code is where neither belongs",
	.proves = "Every thread that sleeps in a system call has its stack pointer in anonymous or "
		  "shared memory that is no code, and made the call from code of a file, of the "
		  "vDSO, or of a known compiler (docs/processes.md).",
	.techniques = TECHNIQUES("T1055", "T1055.012"),
	.fuel_max = FUEL_MAX,
	.run = process_stack_run);
