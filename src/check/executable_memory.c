/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "check/check.h"
#include "check/code.h"
#include "linux/bpf_pack.h"
#include "linux/exec.h"
#include "linux/module_scan.h"

/* Of each kind: ranges that are told one by one. */
#define TOLD_MAX 64u

struct memory {
	struct check_run *run;
	const struct kernel *kernel;
	struct view *view;
	struct owners *owners;
	struct exec_ranges exec;
	unsigned told;
	bool unprotected;	/* booted with rodata=off */
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

/* Each page of the text through its own address: is it that of the image? */
static int check_frames(struct memory *memory, const struct exec_range *range, struct err *err)
{
	const struct kernel *kernel = memory->kernel;
	struct finding *finding;
	char expected[48], found[48];
	struct mapping to;
	int r = 0;

	for (uint64_t at = 0; at < range->size_bytes; at += to.page_bytes) {
		gva page = gva_add(range->start, at);
		gpa image = gpa_add(kernel->image, page.v - kernel->text.v);

		r = view_translate(memory->view, kernel->space, page, &to, err);
		if (r < 0)
			return r;
		to.page_bytes -= page.v & (to.page_bytes - 1);
		if (to.at.v == image.v)
			continue;
		finding = range_finding(memory, SEVERITY_CRITICAL, range,
					"Code of the kernel is mapped to other memory");
		if (!finding)
			return 0;
		snprintf(expected, sizeof(expected), "physical %#" PRIx64, image.v);
		snprintf(found, sizeof(found), "physical %#" PRIx64, to.at.v);
		finding_evidence(finding, "page of the text", page, NULL, expected, found);
	}
	return 0;
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
		else if (range->kind == OWNER_KERNEL)
			r = check_frames(memory, range, err);
	}
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

	r = owners_open(memory.kernel, memory.view, &memory.owners, err);
	if (r >= 0)
		r = check_ranges(&memory, err);
	exec_free(&memory.exec);
	owners_close(&memory.owners);
	return r;
}

CHECK(executable_memory,
	.id = "executable-memory",
	.group = GROUP_CODE,
	.title = "Executable memory that is not as the kernel has it",
	.proves = "Every page that the kernel's own page table makes executable has an owner, is "
		  "not writable and not open to programs; the kernel's text is mapped to its own "
		  "image; and memory that is kept for BPF but not in use holds no code.",
	.techniques = TECHNIQUES("T1014", "T1055"),
	.fuel_max = 100000,
	.run = executable_memory_run);
