/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_GUEST_GATE_H
#define HVSM_GUEST_GATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"

/* Gates of the interrupt descriptor table (Intel SDM vol. 3A, 6.14.1). */
#define GATES	   256u
#define GATE_BYTES 16u

enum gate_type {
	GATE_INTERRUPT = 0xe,	/* interrupts are off in the handler */
	GATE_TRAP = 0xf,
};

struct gate {
	gva handler;
	uint16_t selector;	/* code segment of the handler */
	uint8_t ist;		/* interrupt stack table, 1..7; 0: the stack as it is */
	uint8_t type;		/* enum gate_type, or something else */
	uint8_t dpl;		/* who may come here by an instruction: 3 is everyone */
	bool present;
	bool odd;		/* bits are set that must be 0 */
};

/* Decode the GATE_BYTES at @bytes. */
struct gate gate_decode(const uint8_t bytes[GATE_BYTES]);

#endif
