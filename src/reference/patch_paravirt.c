/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <string.h>

#include "base/cleanup.h"
#include "reference/patch_inside.h"

/*
 * Calls through pv_ops, up to 6.7 (arch/x86/kernel/paravirt.c, apply_paravirt()): each becomes
 * a direct call of the operation, nothing where the operation does nothing, or, up to 5.11, the
 * instruction itself where the operation is one (paravirt_patch.c).
 */

/* struct paravirt_patch_site: { u8 *instr; u8 type; u8 len; }, aligned to 8. */
#define SITE_BYTES 16u
#define SITE_USED  10u	/* the last one is not padded */

static const struct {
	const char *op, *code;
	uint8_t code_bytes;
} native[] = {
	{ "paravirt_patch_template.irq.restore_fl", "\x57\x9d", 2 },	/* push rdi; popfq */
	{ "paravirt_patch_template.irq.save_fl", "\x9c\x58", 2 },	/* pushfq; pop rax */
	{ "paravirt_patch_template.irq.irq_enable", "\xfb", 1 },
	{ "paravirt_patch_template.irq.irq_disable", "\xfa", 1 },
	{ "paravirt_patch_template.mmu.read_cr2", "\x0f\x20\xd0", 3 },
	{ "paravirt_patch_template.mmu.read_cr3", "\x0f\x20\xd8", 3 },
	{ "paravirt_patch_template.mmu.write_cr3", "\x0f\x22\xdf", 3 },
	{ "paravirt_patch_template.cpu.wbinvd", "\x0f\x09", 2 },
	{ "paravirt_patch_template.cpu.usergs_sysret64", "\x0f\x01\xf8\x48\x0f\x07", 6 },
	{ "paravirt_patch_template.cpu.swapgs", "\x0f\x01\xf8", 3 },
	{ "paravirt_patch_template.lock.queued_spin_unlock", "\xc6\x07\x00", 3 },
	{ "paravirt_patch_template.lock.vcpu_is_preempted", "\x31\xc0", 2 },
};
_Static_assert(ARRAY_SIZE(native) == NATIVE_OPS, "a slot for each");

/*
 * A PV guest of Xen has none of its own instructions put in place (xen_init_ops.patch is
 * paravirt_patch_default()); what it leaves the kernel by is jumped to.
 */
int choose_paravirt(struct patcher *p, struct view *view, struct err *err)
{
	bool is_pv = ram_is_pv(view_ram(view));
	struct field field;

	(void)err;
	p->pv_iret = UINT32_MAX;
	p->pv_sysret = UINT32_MAX;
	if (!patcher_symbol(p, "native_patch").v)
		return 0;
	p->pv_ident = true;
	if (types_field(p->types, "paravirt_patch_template.cpu.iret", &field, NULL) >= 0)
		p->pv_iret = field.at / 8;
	if (types_field(p->types, "paravirt_patch_template.cpu.usergs_sysret64", &field,
			NULL) >= 0)
		p->pv_sysret = field.at / 8;
	for (size_t i = 0; i < ARRAY_SIZE(native) && !is_pv; i++) {
		if (types_field(p->types, native[i].op, &field, NULL) < 0)
			continue;
		p->native[p->native_n++] = (struct native_op){
			field.at / 8, native[i].code, native[i].code_bytes,
		};
	}
	return 0;
}

/*
 * An operation that nobody has is never called: its calls are calls of a BUG() (5.18 to 6.7), or
 * one themselves. A kernel on Xen has none for the fifth level of page tables.
 */
static void encode_none(const struct patcher *p, gva at, uint8_t *code, size_t n)
{
	gva bug = patcher_symbol(p, "paravirt_BUG");
	size_t used = 2;

	if (bug.v && n >= JUMP_BYTES) {
		branch_encode(code, OP_CALL, at, bug);
		used = JUMP_BYTES;
	} else if (n >= used) {
		memcpy(code, "\x0f\x0b", used);
	} else {
		return;
	}
	fill_nops(p, code + used, n - used);
}

static const struct native_op *native_of(const struct patcher *p, uint32_t type)
{
	for (size_t i = 0; i < p->native_n; i++)
		if (p->native[i].type == type)
			return &p->native[i];
	return NULL;
}

/*
 * Spin locks of a hypervisor are called; only the kernel's own are put in place
 * (pv_is_native_spin_unlock(), pv_is_native_vcpu_is_preempted()).
 */
static bool is_native(const struct patcher *p, const struct native_op *op, gva target)
{
	static const struct { const char *code, *function; } own[] = {
		{ "\xc6\x07", "__raw_callee_save___native_queued_spin_unlock" },
		{ "\x31\xc0", "__raw_callee_save___native_vcpu_is_preempted" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(own); i++)
		if (!memcmp(op->code, own[i].code, 2))
			return target.v == patcher_symbol(p, own[i].function).v;
	return true;
}

static void encode(const struct patcher *p, uint32_t type, gva at, gva target, uint8_t *code,
		   size_t n)
{
	const struct native_op *op = native_of(p, type);
	size_t used = 0;

	if (op && op->code_bytes <= n && is_native(p, op, target)) {
		memcpy(code, op->code, op->code_bytes);
		used = op->code_bytes;
	} else if (p->pv_ident && n >= 3 &&
		   target.v == patcher_symbol(p, "_paravirt_ident_64").v) {
		memcpy(code, "\x48\x89\xf8", 3);	/* mov %rdi, %rax */
		used = 3;
	} else if (target.v != patcher_symbol(p, "_paravirt_nop").v &&
		   target.v != patcher_symbol(p, "paravirt_nop").v && n >= JUMP_BYTES) {
		bool leaves = type == p->pv_iret || type == p->pv_sysret;

		branch_encode(code, leaves ? OP_JMP : OP_CALL, at, target);
		used = JUMP_BYTES;
	}
	fill_nops(p, code + used, n - used);
}

int paravirt_operation(const struct patcher *p, struct view *view, gva at, gva *ret,
		       struct err *err)
{
	int r = view_ptr(view, at, ret, err);
	gva own;

	if (r >= 0 && ret->v && !patcher_is_function(p, *ret) &&
	    shipped_copy(p->vmlinux, at, (uint8_t *)&own.v, 8))
		*ret = own;
	return r < 0 ? wrap(err, r, "pv_ops") : 0;
}

int patch_paravirt(struct patcher *p, struct view *view, struct shipped *shipped,
		   struct sites *sites, struct err *err)
{
	struct shipped_range table = shipped->table[TABLE_PARAVIRT];
	const uint8_t *entries = table.size_bytes ? shipped_at(shipped, table.at, table.size_bytes)
						  : NULL;

	for (uint64_t i = 0; entries && i + SITE_USED <= table.size_bytes; i += SITE_BYTES) {
		uint8_t type = entries[i + 8], n = entries[i + 9], *code;
		gva at, target;
		int r;

		memcpy(&at.v, entries + i, 8);
		code = shipped_at(shipped, at, n);
		if (!code || !n)
			continue;
		r = paravirt_operation(p, view, gva_add(p->pv_ops, type * 8ull), &target, err);
		if (r < 0)
			return r;
		if (!target.v)
			encode_none(p, at, code, n);
		else if (patcher_is_function(p, target))
			encode(p, type, at, target, code, n);
		if (sites_add(sites, at, n, TABLE_PARAVIRT, (uint32_t)i) < 0)
			return err_set(err, -ENOMEM, "no memory for sites");
	}
	return 0;
}
