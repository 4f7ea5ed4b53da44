/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_RAM_REGISTERS_H
#define HVSM_RAM_REGISTERS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/vec.h"

/* What is known of one vCPU besides memory: the registers that say how it runs. */
enum {
	REGISTERS_CONTROL = 1,	/* CR0, CR3, CR4 */
	REGISTERS_TABLES  = 2,	/* IDTR, GDTR, TR */
	REGISTERS_CODE	  = 4,	/* RIP, CS */
	REGISTERS_EFER	  = 8,
	REGISTERS_ENTRIES = 16,	/* LSTAR, SYSENTER_EIP */
	REGISTERS_CALLBACKS = 32, /* of a PV guest of Xen: what it has in place of tables */
};

/* Where Xen enters the kernel of a PV guest for one vector, in place of a gate of an IDT. */
struct trap {
	uint64_t at;		/* 0: the guest has set none */
	uint16_t cs;
	uint8_t flags;		/* struct trap_info of Xen's headers: the ring, and bit 2 */
};

#define TRAPS 256u

/* What one vCPU's take at most where they are told to another process. */
#define REGISTERS_BYTES_MAX (160u + TRAPS * 12u)

struct registers {
	unsigned have;		/* REGISTERS_*; all else is 0 */
	uint64_t cr0, cr3, cr4;
	uint64_t idt, gdt, tr;	/* bases */
	uint32_t idt_limit, gdt_limit;
	uint64_t rip;
	uint16_t cs;
	uint64_t efer;
	uint64_t lstar, sysenter;
	uint64_t event, failsafe, syscall;	/* callbacks; 0: the guest has set none */
	struct trap traps[TRAPS];		/* by vector */
};

typedef VEC(struct registers) registers_list;

/**
 * registers_parse - what QEMU's monitor prints: "info registers -a"
 * @ret: receives one for each vCPU, in their order; vec_free() it whatever came back
 *
 * Return: 0, -EBADMSG (something else was printed), -ELOOP (over CPUS_MAX), -ENOMEM.
 */
nodiscard int registers_parse(const char *text, registers_list *ret, struct err *err);

#endif
