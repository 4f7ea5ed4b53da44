/* SPDX-License-Identifier: Apache-2.0 */
#include "ram/xen_context.h"

#include <string.h>

bool xen_context_read(const struct vcpu_guest_context *context, bool pv, struct registers *ret)
{
	struct registers registers = {
		.have = REGISTERS_CODE,
		.rip = context->user_regs.rip, .cs = (uint16_t)context->user_regs.cs,
	};

	if (!(context->flags & VGCF_online))
		return false;
	if (!pv) {
		registers.have |= REGISTERS_CONTROL;
		registers.cr0 = context->ctrlreg[0];
		registers.cr3 = context->ctrlreg[3];
		registers.cr4 = context->ctrlreg[4];
		*ret = registers;
		return true;
	}
	registers.have |= REGISTERS_CALLBACKS;
	registers.event = context->event_callback_eip;
	registers.failsafe = context->failsafe_callback_eip;
	registers.syscall = context->syscall_callback_eip;
	for (unsigned i = 0; i < TRAPS; i++)
		registers.traps[i] = (struct trap){
			context->trap_ctxt[i].address, context->trap_ctxt[i].cs,
			context->trap_ctxt[i].flags,
		};
	*ret = registers;
	return true;
}

void xen_context_write(const struct registers *registers, struct vcpu_guest_context *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->flags = VGCF_online;
	ret->user_regs.rip = registers->rip;
	ret->user_regs.cs = registers->cs;
	ret->event_callback_eip = registers->event;
	ret->failsafe_callback_eip = registers->failsafe;
	ret->syscall_callback_eip = registers->syscall;
	for (unsigned i = 0; i < TRAPS; i++) {
		ret->trap_ctxt[i].vector = (uint8_t)i;
		ret->trap_ctxt[i].address = registers->traps[i].at;
		ret->trap_ctxt[i].cs = registers->traps[i].cs;
		ret->trap_ctxt[i].flags = registers->traps[i].flags;
	}
}
