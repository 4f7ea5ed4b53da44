/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "check/check.h"
#include "check/code.h"

/*
 * A PV guest of Xen has no IDT and no LSTAR: its kernel tells Xen where to enter it, once for each
 * CPU (arch/x86/xen/enlighten_pv.c, xen_load_idt(); setup.c, xen_pvmmu_arch_setup()).
 */

#define VECTORS_EXCEPTION 32u
#define VECTOR_SYSCALL	  0x80u
#define TRAP_RING	  3u		/* TI_GET_DPL */

/* Selectors without their ring: __KERNEL_CS, and FLAT_RING3_CS64 of Xen's headers. */
#define KERNEL_CS	  0x10u
#define XEN_CS		  0xe030u

struct callbacks {
	struct check_run *run;
	const struct kernel *kernel;
	struct owners *owners;		/* opened for the first finding */
	size_t cpu;
};

/* By vector; the second one is for what has a stack of its own elsewhere (5.8). */
static const struct { const char *own, *of_xen; } exceptions[VECTORS_EXCEPTION] = {
	[0] = { "xen_asm_exc_divide_error" },
	[1] = { "xen_asm_exc_debug", "xen_asm_xenpv_exc_debug" },
	[2] = { "xen_asm_exc_nmi", "xen_asm_xenpv_exc_nmi" },
	[3] = { "xen_asm_exc_int3" },
	[4] = { "xen_asm_exc_overflow" },
	[5] = { "xen_asm_exc_bounds" },
	[6] = { "xen_asm_exc_invalid_op" },
	[7] = { "xen_asm_exc_device_not_available" },
	[8] = { "xen_asm_exc_double_fault", "xen_asm_xenpv_exc_double_fault" },
	[9] = { "xen_asm_exc_coproc_segment_overrun" },
	[10] = { "xen_asm_exc_invalid_tss" },
	[11] = { "xen_asm_exc_segment_not_present" },
	[12] = { "xen_asm_exc_stack_segment" },
	[13] = { "xen_asm_exc_general_protection" },
	[14] = { "xen_asm_exc_page_fault" },
	[15] = { "xen_asm_exc_spurious_interrupt_bug" },
	[16] = { "xen_asm_exc_coprocessor_error" },
	[17] = { "xen_asm_exc_alignment_check" },
	[18] = { "xen_asm_exc_machine_check", "xen_asm_xenpv_exc_machine_check" },
	[19] = { "xen_asm_exc_simd_coprocessor_error" },
	[21] = { "xen_asm_exc_control_protection" },
};

static bool is_symbol(const struct callbacks *callbacks, const char *name, uint64_t at)
{
	gva symbol = symbols_lookup(callbacks->kernel->symbols, name);

	return symbol.v && symbol.v == at && at >= callbacks->kernel->text.v &&
	       at < callbacks->kernel->end.v;
}

static int wrong(struct callbacks *callbacks, const char *what, const char *expected, uint64_t at,
		 struct err *err)
{
	struct finding *finding;
	int r = callbacks->owners ? 0 : check_owners(callbacks->run, &callbacks->owners, err);

	if (r < 0)
		return r;
	finding = check_finding(callbacks->run, SEVERITY_CRITICAL, "cpu", gva_of(0), "vCPU %zu %s",
				callbacks->cpu, what);
	finding_title(finding, "Xen enters the kernel elsewhere than the kernel set it");
	code_evidence(callbacks->run, callbacks->owners, finding, what, gva_of(0), expected,
		      gva_of(at));
	return 0;
}

/* --- what comes of events, system calls, and of an entry that failed --- */

static int check_entries(struct callbacks *callbacks, const struct registers *registers,
			 struct err *err)
{
	const struct {
		const char *what;
		uint64_t at;
		const char *names[2];	/* of 6.x, and before */
	} entries[] = {
		{ "event callback", registers->event,
		  { "xen_asm_exc_xen_hypervisor_callback", "xen_hypervisor_callback" } },
		{ "failsafe callback", registers->failsafe, { "xen_failsafe_callback", "" } },
		{ "syscall callback", registers->syscall,
		  { "xen_entry_SYSCALL_64", "xen_syscall_target" } },
	};
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(entries) && r >= 0; i++) {
		if (!entries[i].at)
			check_inconclusive(callbacks->run, "vCPU %zu has no %s: it boots",
					   callbacks->cpu, entries[i].what);
		else if (!is_symbol(callbacks, entries[i].names[0], entries[i].at) &&
			 !is_symbol(callbacks, entries[i].names[1], entries[i].at))
			r = wrong(callbacks, entries[i].what, entries[i].names[0], entries[i].at,
				  err);
		check_covered(callbacks->run, "callbacks", entries[i].at != 0);
	}
	return r;
}

/* --- traps --- */

/* Where a kernel has nothing for a vector, and Xen still asks for something. */
static bool is_unknown(const struct callbacks *callbacks, uint64_t at)
{
	return is_symbol(callbacks, "xen_asm_exc_xen_unknown_trap", at);
}

/* What was there while booting stays where the machine cannot raise the exception. */
static bool is_early(const struct callbacks *callbacks, unsigned vector, uint64_t at)
{
	gva array = symbols_lookup(callbacks->kernel->symbols, "xen_early_idt_handler_array");

	/* XEN_EARLY_IDT_HANDLER_SIZE: 8, or 12 with an ENDBR. */
	return array.v && vector >= 20 && vector < VECTORS_EXCEPTION &&
	       (at == array.v + vector * 8ull || at == array.v + vector * 12ull);
}

static bool is_right(const struct callbacks *callbacks, unsigned vector, uint64_t at,
		     const char **expected)
{
	*expected = "xen_asm_exc_xen_unknown_trap";
	if (vector == VECTOR_SYSCALL) {
		*expected = "xen_asm_int80_emulation";
		return is_symbol(callbacks, *expected, at) ||
		       is_symbol(callbacks, "xen_entry_INT80_compat", at) ||
		       is_unknown(callbacks, at);
	}
	if (vector >= VECTORS_EXCEPTION || !exceptions[vector].own)
		return is_unknown(callbacks, at) || is_early(callbacks, vector, at);
	*expected = exceptions[vector].of_xen ? exceptions[vector].of_xen : exceptions[vector].own;
	return is_symbol(callbacks, exceptions[vector].own, at) ||
	       is_symbol(callbacks, *expected, at) ||
	       (vector == 21 && (is_unknown(callbacks, at) || is_early(callbacks, vector, at)));
}

/* int3, overflow and the 32-bit system call are for programs; no other is. */
static bool is_open(unsigned vector)
{
	return vector == 3 || vector == 4 || vector == VECTOR_SYSCALL;
}

static void open_finding(struct callbacks *callbacks, unsigned vector, const struct trap *trap)
{
	struct finding *finding = check_finding(callbacks->run, SEVERITY_HIGH, "cpu", gva_of(0),
						"vCPU %zu trap %u", callbacks->cpu, vector);
	char found[32];

	finding_title(finding, "Programs may call a trap of the kernel");
	snprintf(found, sizeof(found), "ring %u", trap->flags & TRAP_RING);
	finding_evidence(finding, "trap", gva_of(trap->at), NULL, "ring 0", found);
}

/*
 * A guest may name any code segment of its own tables, and in one of 32 bits the processor takes
 * half of the address: code of a program.
 */
static bool is_kernel_segment(const struct trap *trap)
{
	uint16_t selector = trap->cs & (uint16_t)~TRAP_RING;

	return selector == KERNEL_CS || selector == XEN_CS;
}

static void segment_finding(struct callbacks *callbacks, unsigned vector, const struct trap *trap)
{
	struct finding *finding = check_finding(callbacks->run, SEVERITY_CRITICAL, "cpu",
						gva_of(0), "vCPU %zu trap %u", callbacks->cpu,
						vector);
	char found[32];

	finding_title(finding, "Xen enters the kernel in a code segment that is not its own");
	snprintf(found, sizeof(found), "selector %#x", trap->cs);
	finding_evidence(finding, "trap", gva_of(trap->at), NULL, "selector 0x10", found);
}

static int check_traps(struct callbacks *callbacks, const struct registers *registers,
		       struct err *err)
{
	uint64_t n = 0;
	int r = 0;

	for (unsigned i = 0; i < TRAPS && r >= 0; i++) {
		const struct trap *trap = &registers->traps[i];
		const char *expected;
		char what[24];

		if (!trap->at)
			continue;
		n++;
		snprintf(what, sizeof(what), "trap %u", i);
		if (!is_right(callbacks, i, trap->at, &expected))
			r = wrong(callbacks, what, expected, trap->at, err);
		else if (!is_kernel_segment(trap))
			segment_finding(callbacks, i, trap);
		else if (trap->flags & TRAP_RING && !is_open(i))
			open_finding(callbacks, i, trap);
	}
	/* Without this one no kernel runs for long. */
	if (!registers->traps[14].at)
		check_inconclusive(callbacks->run, "vCPU %zu has no handler of page faults: it "
				   "boots", callbacks->cpu);
	check_covered(callbacks->run, "traps", n);
	return r;
}

static int xen_callbacks_run(struct check_run *run, struct err *err)
{
	struct callbacks callbacks = { .run = run, .kernel = check_kernel(run) };
	struct ram *ram = view_ram(check_view(run));
	struct err why = { 0 };
	int r;

	if (!ram_is_pv(ram)) {
		check_note(run, "this is not a PV guest of Xen");
		return 0;
	}
	r = ram_read_registers(ram, &why);
	if (r < 0 || !ram->cpus_n) {
		check_inconclusive(run, "what Xen knows of the vCPUs could not be had%s%s",
				   why.text[0] ? ": " : "", why.text);
		return 0;
	}
	for (; callbacks.cpu < ram->cpus_n && r >= 0; callbacks.cpu++) {
		const struct registers *registers = &ram->cpus[callbacks.cpu];

		if (!(registers->have & REGISTERS_CALLBACKS)) {
			check_inconclusive(run, "vCPU %zu: callbacks are not known",
					   callbacks.cpu);
			continue;
		}
		r = check_entries(&callbacks, registers, err);
		if (r >= 0)
			r = check_traps(&callbacks, registers, err);
	}
	owners_close(&callbacks.owners);
	return r;
}

CHECK(xen_callbacks,
	.id = "xen-callbacks",
	.group = GROUP_POINTERS,
	.title = "Xen enters the kernel elsewhere than the kernel set it",
	.proves = "In a PV guest of Xen, which has neither an IDT nor a register for system calls: "
		  "all that Xen was told to enter the kernel at (events, 64-bit system calls, an "
		  "entry that failed, and each trap) is the kernel's own function for that, in the "
		  "kernel's code segment, and programs may call no trap but those that are for "
		  "them. Not seen are the entries of 32-bit system calls by SYSCALL and SYSENTER, "
		  "which Xen does not show.",
	.techniques = TECHNIQUES("T1014", "T1574.013"),
	.fuel_max = 20000,
	.run = xen_callbacks_run);
