/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/patch_inside.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define STUB 32u
#define IRET (23u * STUB)

static uint8_t page[HYPERCALL_PAGE_BYTES], live[HYPERCALL_PAGE_BYTES];

/* Each 32 bytes: a return, and int3. */
static int start(void **state)
{
	(void)state;
	memset(page, 0xcc, sizeof(page));
	for (size_t at = 0; at < sizeof(page); at += STUB)
		page[at] = 0xc3;
	memcpy(live, page, sizeof(live));
	return 0;
}

/* What Xen 4.17 was seen to write on AMD; @rest stays as it was where it is not 0xcc. */
static void fill(uint8_t vendor, bool padded)
{
	for (unsigned i = 0; i < sizeof(live) / STUB; i++) {
		uint8_t code[] = { 0xb8, (uint8_t)i, 0, 0, 0, 0x0f, 0x01, vendor, 0xc3 };

		if (padded)
			memset(live + i * STUB, 0xcc, STUB);
		memcpy(live + i * STUB, code, sizeof(code));
		if (i * STUB != IRET)
			continue;
		memcpy(live + IRET, page + IRET, STUB);
		if (padded)
			memset(live + IRET, 0xcc, STUB);
		memcpy(live + IRET, "\x0f\x0b", 2);
	}
}

static void stubs_of_intel_and_amd_are_predicted(void **state)
{
	(void)state;
	for (unsigned way = 0; way < 4; way++) {
		start(state);
		/* What was there before shows behind a stub of an old Xen. */
		page[31] = page[IRET + 5] = 0x90;
		fill(way & 1 ? 0xc1 : 0xd9, way & 2);
		if (!(way & 2))
			live[31] = 0x90;
		hypercalls_predict(page, live);
		assert_memory_equal(page, live, sizeof(page));
	}
}

static void a_stub_that_was_changed_differs(void **state)
{
	uint8_t want[sizeof(live)];

	(void)state;
	fill(0xd9, true);
	memcpy(want, live, sizeof(want));
	memcpy(live + 17 * STUB, "\xe9\x00\x10\x00\x00", 5);
	live[5 * STUB + 20] = 0x90;
	hypercalls_predict(page, live);
	assert_memory_equal(page, want, sizeof(want));
	assert_memory_not_equal(page, live, sizeof(live));
}

static void a_page_that_is_not_xens_stays_as_shipped(void **state)
{
	uint8_t shipped[sizeof(page)];

	(void)state;
	memcpy(shipped, page, sizeof(shipped));
	hypercalls_predict(page, live);
	assert_memory_equal(page, shipped, sizeof(page));

	/* Half of the stubs are not most of them. */
	fill(0xc1, true);
	memcpy(live, shipped, sizeof(live) / 2);
	hypercalls_predict(page, live);
	assert_memory_equal(page, shipped, sizeof(page));

	/* Another call's number in each. */
	fill(0xc1, true);
	memmove(live, live + STUB, sizeof(live) - STUB);
	hypercalls_predict(page, live);
	assert_memory_equal(page, shipped, sizeof(page));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(stubs_of_intel_and_amd_are_predicted, start),
		cmocka_unit_test_setup(a_stub_that_was_changed_differs, start),
		cmocka_unit_test_setup(a_page_that_is_not_xens_stays_as_shipped, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
