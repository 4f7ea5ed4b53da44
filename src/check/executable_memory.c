/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "check/check.h"
#include "check/code.h"
#include "linux/bpf_pack.h"
#include "linux/exec.h"
#include "linux/module_scan.h"

/* Of each kind: ranges that are told one by one. */
#define TOLD_MAX 64u

/* Pieces of physical memory that hold code: a BPF pack may be in 512 of them. */
#define GUARDED_MAX (1u << 18)

/* Physical memory that is to stay as it is, and the address that it is known by. */
struct guarded {
	uint64_t at;
	uint64_t size_bytes;
	gva code;
};

struct memory {
	struct check_run *run;
	const struct kernel *kernel;
	struct view *view;
	struct owners *owners;
	struct exec_ranges exec;
	unsigned told;
	bool unprotected;	/* booted with rodata=off */
	gva half;		/* where the kernel's half begins */
	VEC(struct guarded) guarded;
};

static struct finding *range_finding(struct memory *memory, enum severity severity,
				     const struct exec_range *range, const char *title)
{
	struct finding *finding;
	struct owner owner;

	if (memory->told++ >= TOLD_MAX) {
		check_inconclusive(memory->run, "more memory is not as it should be than is told");
		return NULL;
	}
	exec_describe(memory->owners, range, &owner);
	finding = check_finding(memory->run, severity, "memory", range->start,
				"memory at %#" PRIx64, range->start.v);
	finding_title(finding, "%s", title);
	finding_owner(finding, "%s", owner.text);
	return finding;
}

static void show_range(struct memory *memory, struct finding *finding,
		       const struct exec_range *range, const char *expected)
{
	char found[96];

	snprintf(found, sizeof(found), "%" PRIu64 " KiB, executable%s%s", range->size_bytes >> 10,
		 range->rights & MAP_WRITE ? ", writable" : "",
		 range->rights & MAP_USER ? ", open to programs" : "");
	finding_evidence(finding, "mapping", range->start, NULL, expected, found);
	code_evidence_bytes(memory->run, memory->owners, finding, "code there", range->start);
}

/* Up to 5.17 the kernel itself maps the trampolines of BPF programs so. */
static bool may_be_writable(const struct memory *memory, const struct exec_range *range)
{
	return range->kind == OWNER_BPF &&
	       !symbols_lookup(memory->kernel->symbols, "pack_list").v;
}

/*
 * rodata=off leaves the image executable and all code writable (arch/x86/mm/init_64.c,
 * mark_rodata_ro()): one weakness, which somebody chose, and not one for each page.
 */
static int check_protection(struct memory *memory, struct err *err)
{
	gva at = symbols_lookup(memory->kernel->symbols, "rodata_enabled");
	struct finding *finding;
	uint8_t enabled = 1;
	int r = at.v ? view_u8(memory->view, at, &enabled, err) : 0;

	if (r < 0 || enabled)
		return r;
	memory->unprotected = true;
	finding = check_finding(memory->run, SEVERITY_MEDIUM, "memory", memory->kernel->text,
				"kernel image");
	finding_title(finding, "The kernel's code and constants are not protected (rodata=off)");
	finding_owner(finding, "kernel");
	finding_evidence(finding, "protection", at, "rodata_enabled", "on", "off");
	return 0;
}

/* The image, up to where its last large page ends. */
static bool in_image(const struct kernel *kernel, gva at)
{
	return at.v >= kernel->text.v && !module_space_has(kernel, at);
}

static void check_range(struct memory *memory, const struct exec_range *range)
{
	struct finding *finding;

	if (memory->unprotected && in_image(memory->kernel, range->start))
		return;
	/* What no one owns in the module space is told by hidden-module, as a module. */
	if (range->kind == OWNER_NONE && !exec_is_unsure(&memory->exec) &&
	    !module_space_has(memory->kernel, range->start)) {
		finding = range_finding(memory, SEVERITY_CRITICAL, range,
					"Executable memory of the kernel that no one owns");
		if (finding)
			show_range(memory, finding, range, "an owner");
	} else if (range->rights & MAP_USER) {
		finding = range_finding(memory, SEVERITY_HIGH, range,
					"Memory of the kernel that programs may execute");
		if (finding)
			show_range(memory, finding, range, "closed to programs");
	} else if (range->rights & MAP_WRITE && !memory->unprotected &&
		   !may_be_writable(memory, range)) {
		finding = range_finding(memory, SEVERITY_HIGH, range,
					"Code of the kernel that is writable");
		if (finding)
			show_range(memory, finding, range, "read-only");
	}
}

static int check_pack(struct memory *memory, const struct exec_range *range, struct err *err)
{
	struct exec_range bad = *range;
	struct bpf_slack slack;
	struct finding *finding;
	uint64_t unused;
	int r;

	r = bpf_pack_check(memory->kernel, memory->view, range->object, range->start,
			   range->size_bytes, &slack, &unused, err);
	check_covered(memory->run, "KiB of unused BPF memory", unused >> 10);
	if (r <= 0)
		return r;
	bad.start = slack.start;
	bad.size_bytes = slack.size_bytes;
	finding = range_finding(memory, SEVERITY_CRITICAL, &bad,
				"Code in memory that BPF does not use");
	if (finding)
		show_range(memory, finding, &bad, "nothing but int3");
	return 0;
}

/*
 * Behind a trampoline of ftrace its page has nothing: zeros, or int3 where it comes out of memory
 * that is kept executable (6.13). What was in a page before is left there only where the kernel
 * was told not to clear pages (init_on_alloc=0).
 */
static int check_tail(struct memory *memory, const struct exec_range *range, struct err *err)
{
	uint8_t page[GUEST_PAGE_SIZE];
	struct exec_range tail = *range;
	struct finding *finding;
	struct owner owner;
	size_t used, end;
	int r = exec_is_cleared(memory->kernel, memory->view, err);

	if (r <= 0)
		return r;
	r = owner_of(memory->owners, range->start, &owner, err);
	if (r < 0 || owner.kind != OWNER_FTRACE || owner.start.v != range->start.v ||
	    owner.size_bytes >= range->size_bytes ||
	    range->size_bytes - owner.size_bytes >= GUEST_PAGE_SIZE)
		return r;
	used = owner.size_bytes & GUEST_PAGE_MASK;
	tail.start = gva_add(range->start, owner.size_bytes);
	r = view_read(memory->view, gva_sub(tail.start, used), page, sizeof(page), err);
	if (r < 0)
		return r;
	check_covered(memory->run, "trampolines", 1);
	for (end = used + 1; end < sizeof(page) && page[end] == page[used]; end++)
		;
	if (end == sizeof(page) && (page[used] == 0 || page[used] == 0xcc))
		return 0;
	tail.size_bytes = sizeof(page) - used;
	finding = range_finding(memory, SEVERITY_CRITICAL, &tail,
				"Code behind a trampoline of ftrace");
	if (finding)
		show_range(memory, finding, &tail, "nothing");
	return 0;
}

/* Memory that no address may make writable: that of code, and of constants. */
static int add_guarded(const struct frames *frames, void *ctx, struct err *err)
{
	struct memory *memory = ctx;
	struct guarded *guarded;

	/* What is writable where it is executed is told of there. */
	if (frames->rights & MAP_WRITE)
		return 0;
	/* … and by page-tables, where the image leads to other memory than its own. */
	if (in_image(memory->kernel, frames->start) &&
	    frames->at.v != memory->kernel->image.v + (frames->start.v - memory->kernel->text.v))
		return 0;
	if (memory->guarded.n == GUARDED_MAX)
		return err_set(err, -ELOOP, "code in over %u pieces", GUARDED_MAX);
	guarded = vec_add(&memory->guarded);
	if (!guarded)
		return -ENOMEM;
	*guarded = (struct guarded){ frames->at.v, frames->size_bytes, frames->start };
	return 0;
}

static int by_frame(const void *a, const void *b)
{
	const struct guarded *x = a, *y = b;

	return (x->at > y->at) - (x->at < y->at);
}

/* The first piece that ends behind @at. */
static const struct guarded *guarded_from(const struct memory *memory, uint64_t at)
{
	size_t low = 0, high = memory->guarded.n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct guarded *guarded = &memory->guarded.v[middle];

		if (guarded->at + (guarded->size_bytes - 1) < at)
			low = middle + 1;
		else
			high = middle;
	}
	return low < memory->guarded.n ? &memory->guarded.v[low] : NULL;
}

/* The executable range that holds @at, or NULL. */
static const struct exec_range *range_at(const struct memory *memory, gva at)
{
	size_t low = 0, high = memory->exec.list.n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct exec_range *range = &memory->exec.list.v[middle];

		if (at.v - range->start.v < range->size_bytes)
			return range;
		if (range->start.v < at.v)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static int check_alias(const struct frames *frames, void *ctx, struct err *err)
{
	struct memory *memory = ctx;
	const struct guarded *guarded = guarded_from(memory, frames->at.v);
	const struct exec_range *executable;
	uint64_t in_alias, in_code;
	struct exec_range range;
	struct finding *finding;
	char found[96];
	gva code;

	(void)err;
	if (!guarded || guarded->at > frames->at.v + (frames->size_bytes - 1))
		return 0;
	in_alias = guarded->at > frames->at.v ? guarded->at - frames->at.v : 0;
	in_code = guarded->at > frames->at.v ? 0 : frames->at.v - guarded->at;
	code = gva_add(guarded->code, in_code);
	executable = range_at(memory, code);
	/* That no one owns it is told already. */
	if (executable && executable->kind == OWNER_NONE)
		return 0;
	range = executable ? *executable : (struct exec_range){ .kind = OWNER_KERNEL };
	range.start = code;
	finding = range_finding(memory, SEVERITY_HIGH, &range,
				"Code or constants of the kernel that are writable elsewhere");
	if (!finding)
		return 0;
	snprintf(found, sizeof(found), "physical %#" PRIx64 ", writable",
		 frames->at.v + in_alias);
	finding_evidence(finding, "another mapping of it", gva_add(frames->start, in_alias), NULL,
			 "none that is writable", found);
	return 0;
}

/*
 * A page may be read-only where it is executed and writable elsewhere. No kernel leaves it so:
 * rights are changed for all of its addresses (arch/x86/mm/pat/set_memory.c,
 * cpa_process_alias()).
 */
static int check_aliases(struct memory *memory, struct err *err)
{
	const struct symbols *symbols = memory->kernel->symbols;
	gva start = symbols_lookup(symbols, "__start_rodata");
	gva end = symbols_lookup(symbols, "__end_rodata");
	gpa all = gpa_of(UINT64_MAX);
	int r;

	if (memory->unprotected)
		return 0;
	r = view_walk_frames(memory->view, memory->kernel->space, memory->half,
			     gva_of(UINT64_MAX), MAP_EXEC, gpa_of(0), all, add_guarded, memory,
			     err);
	if (r >= 0 && start.v && end.v > start.v)
		r = view_walk_frames(memory->view, memory->kernel->space, start,
				     gva_sub(end, 1), 0, gpa_of(0), all, add_guarded, memory, err);
	if (r < 0 || !memory->guarded.n)
		return r;
	qsort(memory->guarded.v, memory->guarded.n, sizeof(*memory->guarded.v), by_frame);
	return view_walk_frames(memory->view, memory->kernel->space, memory->half,
				gva_of(UINT64_MAX), MAP_WRITE, gpa_of(0), all, check_alias, memory,
				err);
}

static int check_ranges(struct memory *memory, struct err *err)
{
	int r;

	r = exec_read(memory->kernel, memory->view, memory->owners, &memory->exec, err);
	if (r >= 0)
		r = check_protection(memory, err);
	if (r >= 0 && memory->exec.owners_error)
		check_inconclusive(memory->run, "owners of code: %s", memory->exec.why.text);
	for (size_t i = 0; i < memory->exec.list.n && r >= 0; i++) {
		const struct exec_range *range = &memory->exec.list.v[i];

		check_range(memory, range);
		if (range->kind == OWNER_BPF_PACK)
			r = check_pack(memory, range, err);
		else if (range->kind == OWNER_FTRACE)
			r = check_tail(memory, range, err);
	}
	if (r >= 0)
		r = check_aliases(memory, err);
	if (r >= 0) {
		check_covered(memory->run, "ranges", memory->exec.list.n);
		check_covered(memory->run, "KiB", memory->exec.bytes >> 10);
	}
	return r;
}

static int executable_memory_run(struct check_run *run, struct err *err)
{
	struct memory memory = {
		.run = run, .kernel = check_kernel(run), .view = check_view(run),
	};
	int r;

	memory.half = space_upper_half(memory.kernel->space);

	r = check_owners(run, &memory.owners, err);
	if (r >= 0)
		r = check_ranges(&memory, err);
	vec_free(&memory.guarded);
	exec_free(&memory.exec);
	owners_close(&memory.owners);
	return r;
}

CHECK(executable_memory,
	.id = "executable-memory",
	.group = GROUP_CODE,
	.title = "Executable memory that is not as the kernel has it",
	.proves = "Every page that the kernel's own page table makes executable has an owner, is "
		  "not open to programs and not writable, at its own address or any other, nor are "
		  "the kernel's constants; and memory that is kept for BPF but not in use, or left "
		  "behind a trampoline of ftrace, holds no code.",
	.techniques = TECHNIQUES("T1014", "T1055"),
	.fuel_max = 100000,
	.run = executable_memory_run);
