// SPDX-License-Identifier: GPL-2.0
/*
 * Turn a protection of the CPUs off, past the kernel's own functions, which would not let it go.
 * Nothing makes use of it; unloading turns it on again.
 */
#include <linux/smp.h>
#include <asm/processor-flags.h>
#include <asm/special_insns.h>

#include "lab.h"

static char *how = "wp";
module_param(how, charp, 0444);
MODULE_PARM_DESC(how, "wp, smep, smap");

static uint times;
module_param(times, uint, 0444);
MODULE_PARM_DESC(times, "wp: so often off and on, and then on");

static void set_wp(void *on)
{
	unsigned long cr0 = read_cr0();

	cr0 = on ? cr0 | X86_CR0_WP : cr0 & ~X86_CR0_WP;
	asm volatile("mov %0, %%cr0" : : "r" (cr0) : "memory");
}

static unsigned long bit(void)
{
	return strcmp(how, "smep") ? X86_CR4_SMAP : X86_CR4_SMEP;
}

static void (*update_cr4)(unsigned long set, unsigned long clear);

static void set_cr4(void *on)
{
	update_cr4(on ? bit() : 0, on ? 0 : bit());
}

/* The kernel writes CR4 anew whenever it flushes all of the TLB, and with it what it holds on to. */
static int hold(bool on)
{
	unsigned long *pinned = lab_symbol("cr4_pinned_bits"), bits;

	if (!pinned)
		return -ENOENT;
	bits = on ? *pinned | bit() : *pinned & ~bit();
	return lab_poke(pinned, &bits, sizeof(bits));
}

static int set_all(bool on)
{
	int r = 0;

	if (strcmp(how, "wp"))
		r = hold(on);
	if (!r)
		on_each_cpu(strcmp(how, "wp") ? set_cr4 : set_wp, (void *)(unsigned long)on, 1);
	return r;
}

static int __init control_init(void)
{
	int r = lab_init();
	uint i;

	if (r)
		return r;
	update_cr4 = lab_symbol("cr4_update_irqsoff");
	for (i = 0; i < times; i++) {
		set_wp(NULL);
		set_wp((void *)1);
	}
	if (times)
		return 0;
	return update_cr4 ? set_all(false) : -ENOENT;
}

static void __exit control_exit(void)
{
	if (set_all(true))
		pr_err("control_register: it stays off\n");
}

module_init(control_init);
module_exit(control_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("hvsm test: protection of the CPU turned off");
