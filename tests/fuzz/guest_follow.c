/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/follow.h"

#include <capstone/capstone.h>
#include <stdlib.h>

#define AT 0xffffffff81000000ull

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool read_any(void *ctx, gva at, unsigned size_bytes, uint64_t *ret)
{
	(void)ctx;
	*ret = AT + at.v % 64 * size_bytes;
	return at.v % 3;
}

static bool detour_any(void *ctx, const struct insn *from, gva target, unsigned *through)
{
	(void)ctx;
	(void)from;
	*through = target.v % 2 ? X86_REG_RAX : X86_REG_INVALID;
	return target.v % 4 < 2;
}

/* Whatever the code is, following it ends, and instructions lie in it one behind the other. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct follow_ops ops = { .read = read_any, .is_detour = detour_any };
	struct insns insns = { 0 };

	if (insns_decode(data, size, gva_of(AT), &insns) < 0 || insns.bytes > size)
		abort();
	for (size_t i = 0; i < insns.list.n; i++)
		if (insns_find(&insns, insns.list.v[i].at) != &insns.list.v[i])
			abort();
	for (uint64_t value = 0; value < 4; value++)
		follow_code(&insns, X86_REG_RSI, value, &ops);
	insns_free(&insns);
	return 0;
}
