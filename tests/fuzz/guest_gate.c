/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/gate.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A gate that is not odd has its every bit in what was decoded. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	for (; size >= GATE_BYTES; data += GATE_BYTES, size -= GATE_BYTES) {
		struct gate gate = gate_decode(data);
		uint8_t access = (uint8_t)(gate.type | gate.dpl << 5 | (gate.present ? 0x80 : 0));

		if (gate.odd)
			continue;
		if ((uint8_t)gate.handler.v != data[0] || gate.selector >> 8 != data[3] ||
		    gate.ist != data[4] || access != data[5] ||
		    (uint8_t)(gate.handler.v >> 56) != data[11])
			abort();
	}
	return 0;
}
