/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/gate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

/* 14: page fault of a kernel, handler ffffffff81a01280. */
static const uint8_t page_fault[GATE_BYTES] = {
	0x80, 0x12, 0x10, 0x00, 0x00, 0x8e, 0xa0, 0x81, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0,
};

static void a_gate_is_decoded(void **state)
{
	struct gate gate = gate_decode(page_fault);

	(void)state;
	assert_int_equal(gate.handler.v, 0xffffffff81a01280ull);
	assert_int_equal(gate.selector, 0x10);
	assert_int_equal(gate.type, GATE_INTERRUPT);
	assert_int_equal(gate.dpl, 0);
	assert_int_equal(gate.ist, 0);
	assert_true(gate.present);
	assert_false(gate.odd);
}

static void who_may_call_and_which_stack(void **state)
{
	uint8_t bytes[GATE_BYTES] = { 0, 0, 0x10, 0, 0x05, 0xee };
	struct gate gate = gate_decode(bytes);

	(void)state;
	assert_int_equal(gate.dpl, 3);
	assert_int_equal(gate.ist, 5);
	assert_true(gate.present);
	bytes[5] = 0x6f;
	gate = gate_decode(bytes);
	assert_false(gate.present);
	assert_int_equal(gate.type, GATE_TRAP);
}

static void bits_that_must_be_zero_are_told(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 8 * GATE_BYTES; i++) {
		uint8_t bytes[GATE_BYTES] = { 0 };
		bool must = (i >= 35 && i < 40) || i == 44 || i >= 96;

		bytes[i / 8] = (uint8_t)(1u << i % 8);
		assert_int_equal(gate_decode(bytes).odd, must);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_gate_is_decoded),
		cmocka_unit_test(who_may_call_and_which_stack),
		cmocka_unit_test(bits_that_must_be_zero_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
