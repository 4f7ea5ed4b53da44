// SPDX-License-Identifier: GPL-2.0
/*
 * Replace a gate of the IDT by a stub in this module that jumps to the original handler.
 *
 * Under page-table isolation the user half of the tables maps no module, so there a vector that
 * comes from user space would end in a triple fault: the default (#OF, by "int $4" only) is never
 * raised by a program that does not mean to.
 */
#include <asm/desc.h>

#include "lab.h"

static unsigned int vector = 4;
module_param(vector, uint, 0444);
MODULE_PARM_DESC(vector, "which gate (default: 4, overflow)");
LAB_STUB();

static gate_desc *gate;
static gate_desc original;

static int hooked_get(char *buffer, const struct kernel_param *param)
{
	return sprintf(buffer, "%c\n", gate && gate_offset(gate) == (unsigned long)lab_stub ? 'Y' : 'N');
}

static const struct kernel_param_ops hooked_ops = { .get = hooked_get };
module_param_cb(hooked, &hooked_ops, NULL, 0444);
MODULE_PARM_DESC(hooked, "read: does the gate lead to this module?");

static int __init hook_init(void)
{
	unsigned long stub = (unsigned long)lab_stub;
	struct desc_ptr idtr;
	gate_desc changed;
	int r = lab_init();

	if (r)
		return r;
	asm volatile("sidt %0" : "=m" (idtr));
	if (vector > 255 || (vector + 1) * sizeof(gate_desc) > idtr.size + 1u)
		return -EINVAL;
	gate = (gate_desc *)idtr.address + vector;
	original = *gate;
	lab_target = gate_offset(&original);
	if (!lab_target)
		return -ENOENT;
	changed = original;
	changed.offset_low = (u16)stub;
	changed.offset_middle = (u16)(stub >> 16);
	changed.offset_high = (u32)(stub >> 32);
	return lab_poke(gate, &changed, sizeof(changed));
}

static void __exit hook_exit(void)
{
	if (lab_poke(gate, &original, sizeof(original)))
		pr_err("hook_idt: the gate stays hooked\n");
	lab_drain();
}

module_init(hook_init);
module_exit(hook_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("hvsm test: IDT gate replaced");
