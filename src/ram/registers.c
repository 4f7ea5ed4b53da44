/* SPDX-License-Identifier: Apache-2.0 */
#include "ram/registers.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"

/* The number in hex behind @name within the block of one CPU. */
static bool number_after(const char *block, const char *end, const char *name, uint64_t *ret,
			 const char **rest)
{
	const char *at = strstr(block, name);
	char *stop;

	if (!at || at >= end)
		return false;
	at += strlen(name);
	*ret = strtoull(at, &stop, 16);
	if (stop == at || stop > end)
		return false;
	if (rest)
		*rest = stop;
	return true;
}

/* "GDT=     fffffe0000001000 0000007f" */
static bool read_table(const char *block, const char *end, const char *name, uint64_t *base,
		       uint32_t *limit)
{
	const char *rest;
	uint64_t value;
	char *stop;

	if (!number_after(block, end, name, base, &rest))
		return false;
	value = strtoull(rest, &stop, 16);
	if (stop == rest || stop > end)
		return false;
	*limit = (uint32_t)value;
	return true;
}

/* "TR =0040 fffffe0000003000 00004087 00008900 DPL=0 TSS64-busy": the base. */
static bool read_segment(const char *block, const char *end, const char *name, uint16_t *selector,
			 uint64_t *base)
{
	const char *rest;
	uint64_t value;
	char *stop;

	if (!number_after(block, end, name, &value, &rest))
		return false;
	*selector = (uint16_t)value;
	*base = strtoull(rest, &stop, 16);
	return stop != rest && stop <= end;
}

static struct registers read_cpu(const char *block, const char *end)
{
	struct registers cpu = { 0 };
	uint64_t base;
	uint16_t selector;

	if (number_after(block, end, "CR0=", &cpu.cr0, NULL) &&
	    number_after(block, end, "CR3=", &cpu.cr3, NULL) &&
	    number_after(block, end, "CR4=", &cpu.cr4, NULL))
		cpu.have |= REGISTERS_CONTROL;
	if (read_table(block, end, "GDT=", &cpu.gdt, &cpu.gdt_limit) &&
	    read_table(block, end, "IDT=", &cpu.idt, &cpu.idt_limit) &&
	    read_segment(block, end, "TR =", &selector, &cpu.tr))
		cpu.have |= REGISTERS_TABLES;
	if (number_after(block, end, "RIP=", &cpu.rip, NULL) &&
	    read_segment(block, end, "CS =", &cpu.cs, &base))
		cpu.have |= REGISTERS_CODE;
	if (number_after(block, end, "EFER=", &cpu.efer, NULL))
		cpu.have |= REGISTERS_EFER;
	return cpu;
}

int registers_parse(const char *text, registers_list *ret, struct err *err)
{
	static const char mark[] = "CPU#";
	const char *block = strstr(text, mark);

	while (block) {
		const char *next = strstr(block + strlen(mark), mark);
		struct registers *slot;

		if (ret->n == CPUS_MAX)
			return err_set(err, -ELOOP, "registers of over %u CPUs", CPUS_MAX);
		slot = vec_add(ret);
		if (!slot)
			return -ENOMEM;
		*slot = read_cpu(block, next ? next : block + strlen(block));
		if (!(slot->have & REGISTERS_CONTROL))
			return err_set(err, -EBADMSG, "registers without control registers");
		block = next;
	}
	return ret->n ? 0 : err_set(err, -EBADMSG, "no registers in the monitor's answer");
}
