/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/gate.h"

#include "base/bytes.h"

#define IST_MASK     0x07u
#define TYPE_MASK    0x0fu
#define SYSTEM_BIT   0x10u	/* 0: a system descriptor, which a gate is */
#define DPL_SHIFT    5u
#define PRESENT_BIT  0x80u

struct gate gate_decode(const uint8_t bytes[GATE_BYTES])
{
	struct bytes b = bytes_of(bytes, GATE_BYTES);
	uint64_t low = bytes_u16(&b), middle, high;
	struct gate gate = { .selector = bytes_u16(&b) };
	uint8_t ist = bytes_u8(&b), access = bytes_u8(&b);

	middle = bytes_u16(&b);
	high = bytes_u32(&b);
	gate.handler = gva_of(low | middle << 16 | high << 32);
	gate.ist = ist & IST_MASK;
	gate.type = access & TYPE_MASK;
	gate.dpl = access >> DPL_SHIFT & 3;
	gate.present = access & PRESENT_BIT;
	gate.odd = (ist & ~IST_MASK) || (access & SYSTEM_BIT) || bytes_u32(&b);
	return gate;
}
