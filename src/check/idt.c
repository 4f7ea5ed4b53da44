/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "check/check.h"
#include "check/code.h"
#include "guest/gate.h"

#define KERNEL_CS	 0x10u		/* arch/x86/include/asm/segment.h */
#define VECTOR_INT3	 3u
#define VECTOR_OVERFLOW	 4u
#define VECTOR_EXTERNAL	 32u		/* the first that is no exception */
#define VECTOR_SYSCALL	 0x80u

/*
 * Which handler belongs to which exception (arch/x86/include/asm/idtentry.h, from the
 * rewrite of 5.8 on). "maybe": set only on machines that can raise it; others keep the stub
 * that was there while booting.
 */
struct exception {
	const char *handler;
	bool maybe;
};

static const struct exception exceptions[VECTOR_EXTERNAL] = {
	[0] = { "asm_exc_divide_error", false },
	[1] = { "asm_exc_debug", false },
	[2] = { "asm_exc_nmi", false },
	[3] = { "asm_exc_int3", false },
	[4] = { "asm_exc_overflow", false },
	[5] = { "asm_exc_bounds", false },
	[6] = { "asm_exc_invalid_op", false },
	[7] = { "asm_exc_device_not_available", false },
	[8] = { "asm_exc_double_fault", false },
	[9] = { "asm_exc_coproc_segment_overrun", false },
	[10] = { "asm_exc_invalid_tss", false },
	[11] = { "asm_exc_segment_not_present", false },
	[12] = { "asm_exc_stack_segment", false },
	[13] = { "asm_exc_general_protection", false },
	[14] = { "asm_exc_page_fault", false },
	[15] = { "asm_exc_spurious_interrupt_bug", true },
	[16] = { "asm_exc_coprocessor_error", false },
	[17] = { "asm_exc_alignment_check", false },
	[18] = { "asm_exc_machine_check", true },
	[19] = { "asm_exc_simd_coprocessor_error", false },
	[20] = { "asm_exc_virtualization_exception", true },
	[21] = { "asm_exc_control_protection", true },
	[22 ... 28] = { NULL, true },
	[29] = { "asm_exc_vmm_communication", true },
	[30 ... 31] = { NULL, true },
};

struct idt {
	const struct kernel *kernel;
	struct check_run *run;
	struct owners *owners;		/* opened for the first finding */
	gva table;
	gva early;			/* early_idt_handler_array; 0: none */
	gva stubs;			/* irq_entries_start */
	uint64_t stride;		/* of the stubs; 0: not known */
};

/* One stub per external vector; the later ones have a symbol of their own. */
static void find_stubs(struct idt *idt)
{
	gva spurious = symbols_lookup(idt->kernel->symbols, "spurious_entries_start");

	idt->stubs = symbols_lookup(idt->kernel->symbols, "irq_entries_start");
	if (!idt->stubs.v || spurious.v <= idt->stubs.v)
		return;
	/* IDT_ALIGN: 8, or 16 with CONFIG_X86_KERNEL_IBT; system vectors begin about 0xec. */
	for (uint64_t stride = 8; stride <= 16; stride *= 2) {
		uint64_t vectors = (spurious.v - idt->stubs.v) / stride;

		if ((spurious.v - idt->stubs.v) % stride == 0 &&
		    vectors >= 0xe0 - VECTOR_EXTERNAL && vectors < GATES - VECTOR_EXTERNAL)
			idt->stride = stride;
	}
}

/*
 * What is left of the boot: freed memory, which is not executable. A stub has 9 bytes, or 13
 * with an ENDBR (EARLY_IDT_HANDLER_SIZE).
 */
static bool is_early(const struct idt *idt, unsigned vector, gva handler)
{
	return idt->early.v && vector < VECTOR_EXTERNAL &&
	       (handler.v == idt->early.v + vector * 9ull ||
		handler.v == idt->early.v + vector * 13ull);
}

static bool is_syscall_gate(const struct kernel *kernel, gva handler)
{
	static const char *const names[] = {
		"entry_INT80_compat", "int80_emulation", "asm_int80_emulation",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (symbols_lookup(kernel->symbols, names[i]).v == handler.v)
			return true;
	return false;
}

/* Does @handler belong to @vector? @expected: what would. */
static bool judge_handler(const struct idt *idt, unsigned vector, gva handler, char *expected,
			  size_t size)
{
	const struct symbols *symbols = idt->kernel->symbols;
	gva stub = gva_add(idt->stubs, (vector - VECTOR_EXTERNAL) * idt->stride);
	bool inside = handler.v >= idt->kernel->text.v && handler.v < idt->kernel->end.v;

	if (vector < VECTOR_EXTERNAL) {
		const struct exception *exception = &exceptions[vector];

		snprintf(expected, size, "%s",
			 exception->handler ? exception->handler : "early_idt_handler_array");
		if (exception->handler &&
		    symbols_lookup(symbols, exception->handler).v == handler.v)
			return inside;
		return inside && exception->maybe && is_early(idt, vector, handler);
	}
	if (vector == VECTOR_SYSCALL) {
		/* Without 32-bit programs it is a vector like any other. */
		snprintf(expected, size, "the entry of int 0x80");
		return inside &&
		       (is_syscall_gate(idt->kernel, handler) || handler.v == stub.v);
	}
	snprintf(expected, size, "irq_entries_start+%#" PRIx64 " or asm_sysvec_*",
		 stub.v - idt->stubs.v);
	return inside &&
	       (handler.v == stub.v || symbols_is_start(symbols, handler, "asm_sysvec_"));
}

static struct finding *gate_finding(struct idt *idt, unsigned vector, enum severity severity)
{
	gva at = gva_add(idt->table, (uint64_t)vector * GATE_BYTES);

	return check_finding(idt->run, severity, "idt-gate", at, "idt_table[%u]", vector);
}

static int need_owners(struct idt *idt, struct err *err)
{
	return idt->owners ? 0 : check_owners(idt->run, &idt->owners, err);
}

/*
 * The interrupt stacks: arch/x86/kernel/idt.c, ISTG and SYSG; IST_INDEX_* + 1. #MC and #VC have
 * theirs where they have a handler.
 */
static bool is_stack_right(const struct idt *idt, unsigned vector, const struct gate *gate)
{
	static const uint8_t stack[VECTOR_EXTERNAL] = {
		[1] = 3, [2] = 2, [8] = 1, [18] = 4, [29] = 5,
	};
	unsigned expected = vector < VECTOR_EXTERNAL ? stack[vector] : 0;

	return gate->ist == expected || (!gate->ist && is_early(idt, vector, gate->handler));
}

/* Everything about a gate but where it leads. */
static const char *judge_form(const struct idt *idt, unsigned vector, const struct gate *gate)
{
	bool open = vector == VECTOR_INT3 || vector == VECTOR_OVERFLOW ||
		    vector == VECTOR_SYSCALL;

	if (gate->odd)
		return "reserved bits are set";
	if (gate->selector != KERNEL_CS)
		return "its code segment is not the kernel's";
	if (gate->type != GATE_INTERRUPT)
		return "it is no interrupt gate";
	if (gate->dpl != 0 && !(gate->dpl == 3 && open))
		return "programs may call it";
	if (!is_stack_right(idt, vector, gate))
		return "its stack is another";
	return NULL;
}

static int check_gate(struct idt *idt, unsigned vector, const uint8_t *bytes, struct err *err)
{
	gva at = gva_add(idt->table, (uint64_t)vector * GATE_BYTES);
	struct gate gate = gate_decode(bytes);
	struct finding *finding;
	const char *form;
	char expected[96], found[96];
	int r;

	if (!gate.present) {
		/* Zeros are also what memory reads as that is not there. */
		if (vector < VECTOR_EXTERNAL && exceptions[vector].handler &&
		    !exceptions[vector].maybe)
			check_inconclusive(idt->run, "idt: vector %u has no gate, as in no kernel "
					   "that runs", vector);
		return 0;
	}
	if (!judge_handler(idt, vector, gate.handler, expected, sizeof(expected))) {
		r = need_owners(idt, err);
		if (r < 0)
			return r;
		finding = gate_finding(idt, vector, SEVERITY_CRITICAL);
		finding_title(finding, "Interrupt vector %u leads to a wrong handler", vector);
		code_evidence(idt->run, idt->owners, finding, "IDT gate", at, expected,
			      gate.handler);
	}
	form = judge_form(idt, vector, &gate);
	if (form) {
		finding = gate_finding(idt, vector, SEVERITY_HIGH);
		snprintf(found, sizeof(found), "selector %#x, type %#x, DPL %u, IST %u",
			 gate.selector, gate.type, gate.dpl, gate.ist);
		finding_evidence(finding, form, at, NULL, "selector 0x10, type 0xe", found);
	}
	return 0;
}

/* A page of the table through some address: does it lead to the frame of the image? */
static int check_frame(struct idt *idt, const char *what, gva at, bool read_only, struct err *err)
{
	gpa image = gpa_add(idt->kernel->image, idt->table.v - idt->kernel->text.v);
	struct finding *finding;
	struct mapping to;
	char expected[48], found[48];
	int r;

	r = view_translate(check_view(idt->run), idt->kernel->space, at, &to, err);
	if (r < 0 && r != -EFAULT)
		return r;
	if (r >= 0 && to.at.v == image.v && !(read_only && to.rights & MAP_WRITE))
		return 0;
	finding = check_finding(idt->run, SEVERITY_CRITICAL, "idt", at, "%s", what);
	finding_title(finding, "The CPUs' interrupt table is not the kernel's");
	snprintf(expected, sizeof(expected), "physical %#" PRIx64 "%s", image.v,
		 read_only ? ", read-only" : "");
	if (r < 0)
		snprintf(found, sizeof(found), "not mapped");
	else
		snprintf(found, sizeof(found), "physical %#" PRIx64 "%s", to.at.v,
			 to.rights & MAP_WRITE ? ", writable" : "");
	finding_evidence(finding, "mapping of the interrupt table", at, NULL, expected, found);
	return 0;
}

/*
 * idt_descr is what every CPU loads: 4096 bytes, through a read-only alias of the table in
 * the CPU entry area once the kernel is up (arch/x86/kernel/idt.c, idt_map_in_cea()).
 */
static int check_descriptor(struct idt *idt, struct err *err)
{
	gva descriptor = symbols_lookup(idt->kernel->symbols, "idt_descr");
	struct finding *finding;
	uint8_t raw[10];
	struct bytes b;
	uint16_t limit;
	gva at;
	char found[64];
	int r;

	r = check_frame(idt, "idt_table", idt->table, false, err);
	if (r < 0 || !descriptor.v)
		return r;
	r = view_read(check_view(idt->run), descriptor, raw, sizeof(raw), err);
	if (r < 0)
		return r;
	b = bytes_of(raw, sizeof(raw));
	limit = bytes_u16(&b);
	at = gva_of(bytes_u64(&b));
	if (limit != GATES * GATE_BYTES - 1) {
		finding = check_finding(idt->run, SEVERITY_HIGH, "idt", descriptor, "idt_descr");
		snprintf(found, sizeof(found), "limit %#x", limit);
		finding_evidence(finding, "descriptor of the table", descriptor, "idt_descr",
				 "limit 0xfff", found);
	}
	check_covered(idt->run, "aliases", 1);
	return at.v == idt->table.v ? 0 : check_frame(idt, "idt_descr", at, true, err);
}

static int check_gates(struct idt *idt, struct err *err)
{
	uint8_t gates[GATES * GATE_BYTES];
	int r;

	r = view_read(check_view(idt->run), idt->table, gates, sizeof(gates), err);
	for (unsigned i = 0; r >= 0 && i < GATES; i++)
		r = check_gate(idt, i, gates + i * GATE_BYTES, err);
	if (r >= 0)
		check_covered(idt->run, "gates", GATES);
	return r;
}

static int idt_run(struct check_run *run, struct err *err)
{
	const struct kernel *kernel = check_kernel(run);
	struct idt idt = { .kernel = kernel, .run = run };
	int r;

	r = kernel_symbol(kernel, "idt_table", &idt.table, err);
	if (r < 0)
		return r;
	if (!symbols_lookup(kernel->symbols, exceptions[0].handler).v)
		return err_set(err, -ENOTSUP, "interrupt handlers of a kernel before 5.8");
	find_stubs(&idt);
	if (!idt.stride)
		return err_set(err, -ENOTSUP,
			       "this kernel's interrupt stubs are laid out otherwise");
	if (ram_is_pv(view_ram(check_view(run))))
		check_note(run, "of a PV guest this is what further CPUs are told to Xen by: "
			   "xen-callbacks looks at what Xen was told");
	idt.early = symbols_lookup(kernel->symbols, "early_idt_handler_array");
	r = check_gates(&idt, err);
	if (r >= 0)
		r = check_descriptor(&idt, err);
	owners_close(&idt.owners);
	return r;
}

CHECK(idt,
	.id = "idt",
	.group = GROUP_POINTERS,
	.title = "Interrupt gate is not as the kernel set it",
	.proves = "Each of the 256 gates has the kernel's code segment, the right type, "
		  "privilege and stack, and leads to the handler of its vector; and what the CPUs "
		  "load is this table.",
	.techniques = TECHNIQUES("T1014", "T1574.013"),
	.fuel_max = 20000,
	.worth = 8,
	.run = idt_run);
