/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/cleanup.h"
#include "reference/patch_inside.h"

/*
 * The page through which a guest of Xen calls it, in kernels before the fix of XSA-466 (6.13,
 * and stable kernels since December 2024). The kernel ships returns; a PVH or HVM guest that
 * finds itself on Xen has Xen fill it: a stub for each call, and int3 behind it (seen in 4.17)
 * or what was there. All stubs look alike, so what most of them are is what each must be.
 */
#define STUB_BYTES  32u
#define STUB_IRET   23u		/* __HYPERVISOR_iret, which such guests have not: ud2 */
#define STUB_USED   9u
#define STUBS	    (HYPERCALL_PAGE_BYTES / STUB_BYTES)

/* mov $call, %eax; vmcall (Intel) or vmmcall (AMD); ret */
static void stub(uint32_t call, uint8_t vendor, bool padded, uint8_t code[STUB_BYTES])
{
	if (padded)
		memset(code, OP_INT3, STUB_BYTES);
	if (call == STUB_IRET) {
		memcpy(code, "\x0f\x0b", 2);
		return;
	}
	code[0] = 0xb8;
	memcpy(code + 1, &call, sizeof(call));
	memcpy(code + 5, "\x0f\x01", 2);
	code[7] = vendor;
	code[STUB_USED - 1] = OP_RET;
}

void hypercalls_predict(uint8_t *page, const uint8_t *live)
{
	static const struct { uint8_t vendor; bool padded; } ways[] = {
		{ 0xc1, true }, { 0xd9, true }, { 0xc1, false }, { 0xd9, false },
	};
	uint8_t filled[HYPERCALL_PAGE_BYTES], best[HYPERCALL_PAGE_BYTES];
	unsigned votes = STUBS / 2;	/* more than half, or it was not Xen */

	memcpy(best, page, sizeof(best));
	for (size_t way = 0; way < ARRAY_SIZE(ways); way++) {
		unsigned alike = 0;

		memcpy(filled, page, sizeof(filled));
		for (uint32_t call = 0; call < STUBS; call++) {
			size_t at = call * STUB_BYTES;

			stub(call, ways[way].vendor, ways[way].padded, filled + at);
			alike += !memcmp(filled + at, live + at, STUB_BYTES);
		}
		if (alike > votes) {
			votes = alike;
			memcpy(best, filled, sizeof(best));
		}
	}
	memcpy(page, best, sizeof(best));
}

/*
 * A PV kernel starts with its way out of interrupts rewritten, long before anything else is patched
 * (xen_start_kernel(), 8b87d8cec1b3, 5.19): a jump over nothing becomes one to what asks Xen.
 */
void patch_iret(const struct patcher *p, struct view *view, struct shipped *shipped)
{
	gva at = patcher_symbol(p, "early_xen_iret_patch"), iret = patcher_symbol(p, "xen_iret");
	uint8_t *code;

	if (shipped != p->vmlinux || !ram_is_pv(view_ram(view)) || !at.v || !iret.v)
		return;
	code = shipped_at(shipped, at, JUMP_BYTES);
	if (code && code[0] == OP_JMP)
		branch_encode(code, OP_JMP, at, iret);
}

int patch_hypercalls(struct patcher *p, struct view *view, struct shipped *shipped,
		     struct err *err)
{
	gva at = patcher_symbol(p, "hypercall_page");
	uint8_t live[HYPERCALL_PAGE_BYTES], *page = NULL;
	int r;

	if (at.v && at.v % HYPERCALL_PAGE_BYTES == 0 && shipped == p->vmlinux)
		page = shipped_at(shipped, at, HYPERCALL_PAGE_BYTES);
	if (!page)
		return 0;
	r = patcher_live(p, view, at, live, sizeof(live), err);
	if (r >= 0)
		hypercalls_predict(page, live);
	return r;
}
