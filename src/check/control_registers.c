/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "check/check.h"
#include "linux/cpu.h"
#include "linux/cpu_entry.h"
#include "linux/roots.h"

/* Intel SDM vol. 3A, 2.5 and 2.2.1 */
#define CR0_WP	  (1ull << 16)
#define CR0_PG	  (1ull << 31)
#define CR4_UMIP  (1ull << 11)
#define CR4_SMEP  (1ull << 20)
#define CR4_SMAP  (1ull << 21)
#define EFER_NXE  (1ull << 11)
#define CR3_FRAME UINT64_C(0x000ffffffffff000)
#define RING(cs)  ((cs) & 3)

struct control {
	struct check_run *run;
	const struct kernel *kernel;
	struct view *view;
	struct cpu_features features;
	struct roots roots;
	bool isolated;
	uint64_t cr4;		/* bits that have to be set */
};

static const struct {
	enum cpu_feature feature;
	uint64_t bit;
	const char *name, *what;
} guards[] = {
	{ CPU_SMEP, CR4_SMEP, "SMEP", "the kernel may execute memory of programs" },
	{ CPU_SMAP, CR4_SMAP, "SMAP", "the kernel may use memory of programs at any time" },
	{ CPU_UMIP, CR4_UMIP, "UMIP", "programs may ask where the kernel's tables are" },
};

static void bit_finding(struct control *control, const char *cpu, const char *name,
			const char *what, enum severity severity, uint64_t value)
{
	struct finding *finding = check_finding(control->run, severity, "cpu", gva_of(0), "%s %s",
						cpu, name);
	char found[32];

	finding_title(finding, "%s is off: %s", name, what);
	snprintf(found, sizeof(found), "%#" PRIx64, value);
	finding_evidence(finding, cpu, gva_of(0), NULL, "set", found);
}

static void check_bits(struct control *control, const char *cpu, const struct registers *registers)
{
	if (!(registers->cr0 & CR0_WP))
		bit_finding(control, cpu, "CR0.WP", "the kernel may write what is read-only",
			    SEVERITY_CRITICAL, registers->cr0);
	for (size_t i = 0; i < ARRAY_SIZE(guards); i++) {
		char name[16];

		if (registers->cr4 & guards[i].bit || !(control->cr4 & guards[i].bit))
			continue;
		snprintf(name, sizeof(name), "CR4.%s", guards[i].name);
		bit_finding(control, cpu, name, guards[i].what, SEVERITY_HIGH, registers->cr4);
	}
	if (!(registers->have & REGISTERS_EFER) || !cpu_has(&control->features, CPU_NX))
		return;
	if (!(registers->efer & EFER_NXE))
		bit_finding(control, cpu, "EFER.NXE", "all memory may be executed",
			    SEVERITY_CRITICAL, registers->efer);
	check_covered(control->run, "EFER registers", 1);
}

static void base_finding(struct control *control, const char *cpu, const char *name,
			 const char *expected, uint64_t base, uint32_t limit)
{
	struct finding *finding = check_finding(control->run, SEVERITY_CRITICAL, "cpu",
						gva_of(base), "%s %s", cpu, name);
	char found[64];

	finding_title(finding, "%s leads elsewhere than the kernel set it", name);
	snprintf(found, sizeof(found), "%#" PRIx64 ", limit %#x", base, limit);
	finding_evidence(finding, cpu, gva_of(0), NULL, expected, found);
}

/* Is @base where some CPU has its own? The hypervisor's numbers need not be the kernel's. */
static int is_of_a_cpu(const struct control *control, uint64_t base, const char *variable,
		       const struct field *part, struct err *err)
{
	gva symbol = symbols_lookup(control->kernel->symbols, variable), area;

	for (uint32_t cpu = 0; cpu < control->kernel->cpus; cpu++) {
		int r;

		if (symbol.v && kernel_per_cpu(control->kernel, symbol, cpu).v == base)
			return 1;
		r = cpu_entry_area(control->kernel, control->view, cpu, &area, err);
		if (r < 0)
			return r;
		if (field_at(area, part).v == base)
			return 1;
	}
	return 0;
}

static int check_tables(struct control *control, const char *cpu,
			const struct registers *registers, struct err *err)
{
	gva table = symbols_lookup(control->kernel->symbols, "idt_table");
	const struct cpu_entry_fields *f;
	int r = cpu_entry_fields(control->kernel, &f, err);

	if (r < 0)
		return r;
	if (!cpu_has(&control->features, CPU_FRED) &&
	    ((registers->idt != CPU_ENTRY_IDT && registers->idt != table.v) ||
	     registers->idt_limit != 0xfff))
		base_finding(control, cpu, "IDTR", "0xfffffe0000000000, limit 0xfff",
			     registers->idt, registers->idt_limit);
	r = is_of_a_cpu(control, registers->gdt, "gdt_page", &f->gdt, err);
	if (r >= 0 && (!r || registers->gdt_limit != 0x7f))
		base_finding(control, cpu, "GDTR", "the CPU entry area, limit 0x7f",
			     registers->gdt, registers->gdt_limit);
	if (r >= 0)
		r = is_of_a_cpu(control, registers->tr, "cpu_tss_rw", &f->tss, err);
	if (r == 0)
		base_finding(control, cpu, "TR", "the CPU entry area", registers->tr, 0);
	if (r >= 0)
		check_covered(control->run, "table registers",
			      cpu_has(&control->features, CPU_FRED) ? 2 : 3);
	return r;
}

static void check_entries(struct control *control, const char *cpu,
			  const struct registers *registers)
{
	const struct {
		const char *name, *symbol;
		uint64_t value;
	} entries[] = {
		{ "LSTAR", "entry_SYSCALL_64", registers->lstar },
		{ "SYSENTER_EIP", "entry_SYSENTER_compat", registers->sysenter },
	};

	for (size_t i = 0; i < ARRAY_SIZE(entries); i++) {
		gva at = symbols_lookup(control->kernel->symbols, entries[i].symbol);

		if (!at.v)
			continue;
		if (entries[i].value != at.v)
			base_finding(control, cpu, entries[i].name, entries[i].symbol,
				     entries[i].value, 0);
		check_covered(control->run, "entry registers", 1);
	}
}

/*
 * Which page table does it run on? Only an image tells: in a running guest, what the register
 * held is no more when the processes are looked at.
 */
static const struct root *root_of(const struct control *control, uint64_t cr3)
{
	gpa at = gpa_of(cr3 & CR3_FRAME);
	const struct root *root = roots_find(&control->roots, at);

	if (!root && control->isolated)
		root = roots_find(&control->roots, gpa_of(at.v & ~(uint64_t)GUEST_PAGE_SIZE));
	return root;
}

static bool is_the_kernels(const struct control *control, uint64_t cr3)
{
	uint64_t at = cr3 & CR3_FRAME;

	return at == control->kernel->space.root.v ||
	       (control->isolated && at == control->kernel->space.root.v + GUEST_PAGE_SIZE);
}

/* 1: it runs the kernel or a program; 0: it is not judged. */
static int check_root(struct control *control, const char *cpu, const struct registers *registers)
{
	const struct root *root = root_of(control, registers->cr3);
	struct finding *finding;
	char found[48];

	if (is_the_kernels(control, registers->cr3))
		return 1;
	if (root && root->kind == ROOT_PROCESS)
		return 1;
	if (root)	/* firmware, or a CPU that starts */
		return 0;
	if (ram_is_live(view_ram(control->view)))
		return 1;
	if (!gva_is_kernel(gva_of(registers->rip)) && RING(registers->cs) == 0) {
		check_inconclusive(control->run, "%s runs neither the kernel nor a program", cpu);
		return 0;
	}
	finding = check_finding(control->run, SEVERITY_CRITICAL, "cpu", gva_of(0), "%s CR3", cpu);
	finding_title(finding, "A CPU runs on a page table that the kernel does not know");
	snprintf(found, sizeof(found), "physical %#" PRIx64, registers->cr3 & CR3_FRAME);
	finding_evidence(finding, cpu, gva_of(0), NULL, "the page table of a process", found);
	return 1;
}

static int check_cpu(struct control *control, size_t i, const struct registers *registers,
		     struct err *err)
{
	char cpu[24];
	int r = 0;

	snprintf(cpu, sizeof(cpu), "vCPU %zu", i);
	/* Not started, or the firmware's. */
	if (!(registers->have & REGISTERS_CONTROL) || !(registers->cr0 & CR0_PG) ||
	    !check_root(control, cpu, registers))
		return 0;
	check_bits(control, cpu, registers);
	if (registers->have & REGISTERS_TABLES)
		r = check_tables(control, cpu, registers, err);
	if (registers->have & REGISTERS_ENTRIES)
		check_entries(control, cpu, registers);
	check_covered(control->run, "vCPUs", 1);
	return r;
}

/* 1: the kernel runs on that CPU; 0: it never started, or was taken off. */
static int is_online(const struct control *control, uint32_t cpu, struct err *err)
{
	gva mask = symbols_lookup(control->kernel->symbols, "__cpu_online_mask");
	uint8_t bits;
	int r;

	if (!mask.v)
		return 1;
	r = view_u8(control->view, gva_add(mask, cpu / 8), &bits, err);
	return r < 0 ? r : bits >> cpu % 8 & 1;
}

/*
 * What the kernel itself believes to have set: each CPU's copy of CR4, and the bits that it
 * will not let go (a13b9d0b9721, 5.3). Who writes the register does not change the copy.
 */
static int check_copies(struct control *control, struct err *err)
{
	const struct kernel *kernel = control->kernel;
	gva pinned = symbols_lookup(kernel->symbols, "cr4_pinned_bits");
	gva state = symbols_lookup(kernel->symbols, "cpu_tlbstate");
	struct field cr4;
	uint64_t value;
	int r = 0;

	if (pinned.v) {
		r = view_u64(control->view, pinned, &value, err);
		if (r >= 0 && control->cr4 & ~value)
			bit_finding(control, "cr4_pinned_bits", "CR4",
				    "the kernel does not hold on to its protection",
				    SEVERITY_HIGH, value);
	}
	if (r < 0 || !state.v ||
	    types_field(kernel->types, "tlb_state.cr4", &cr4, NULL) < 0)
		return r;
	for (uint32_t cpu = 0; cpu < kernel->cpus && r >= 0; cpu++) {
		char name[32];

		r = is_online(control, cpu, err);
		if (r <= 0)
			continue;
		r = field_read(control->view, kernel_per_cpu(kernel, state, cpu), &cr4, &value,
			       err);
		if (r < 0)
			continue;
		snprintf(name, sizeof(name), "CPU %u's copy", cpu);
		if (control->cr4 & ~value)
			bit_finding(control, name, "CR4", "the kernel gave up its protection",
				    SEVERITY_HIGH, value);
		check_covered(control->run, "copies of CR4", 1);
	}
	return r;
}

static int check_all(struct control *control, struct err *err)
{
	struct ram *ram = view_ram(control->view);
	struct err why = { 0 };
	int r;

	if (ram_is_pv(ram)) {
		check_not_covered(control->run, "a PV guest's control registers are Xen's, and out "
				  "of its reach");
		return 0;
	}
	r = ram_read_registers(ram, &why);
	if (!ram->cpus_n) {
		check_not_covered(control->run, "registers are not at hand: %s",
				  r < 0 ? why.text :
				  ram_is_live(ram) ? "--registers reads them, and stops the vCPUs"
						     " for a moment" :
						     "this image has none");
		return 0;
	}
	why = (struct err){ 0 };
	r = roots_read(control->kernel, control->view, &control->roots, &why);
	if (r == -EFAULT || r == -EBADMSG) {
		check_inconclusive(control->run, "%s", why.text);
		r = 0;
	} else if (r < 0 && err) {
		*err = why;
	}
	for (size_t i = 0; i < ram->cpus_n && r >= 0; i++)
		r = check_cpu(control, i, &ram->cpus[i], err);
	return r;
}

static int control_registers_run(struct check_run *run, struct err *err)
{
	struct control control = {
		.run = run, .kernel = check_kernel(run), .view = check_view(run),
	};
	int r = cpu_features_read(control.kernel, control.view, &control.features, err);

	if (r < 0)
		return r;
	control.isolated = cpu_has(&control.features, CPU_PTI);
	for (size_t i = 0; i < ARRAY_SIZE(guards); i++)
		if (cpu_has(&control.features, guards[i].feature))
			control.cr4 |= guards[i].bit;
	r = check_copies(&control, err);
	if (r >= 0)
		r = check_all(&control, err);
	roots_free(&control.roots);
	return r < 0 ? r : 0;
}

CHECK(control_registers,
	.id = "control-registers",
	.group = GROUP_CODE,
	.title = "Protection of the CPU that is off",
	.proves = "The kernel holds on to SMEP, SMAP and UMIP where the CPU has them. Where "
		  "registers are at hand (an ELF image's notes, Xen, or `--registers`): each vCPU "
		  "has them on, as well as write protection and NX, its tables are the kernel's, "
		  "and it runs on a page table that the kernel knows.",
	.techniques = TECHNIQUES("T1014", "T1562.001"),
	.fuel_max = 20000,
	.worth = 8,
	.run = control_registers_run);
