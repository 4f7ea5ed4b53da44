/* SPDX-License-Identifier: Apache-2.0 */

/* The parent knows the host's clock for each control that it starts. */
#include "monitor/parent.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define S    1000000000ull
#define NOW  (20000 * 86400 * S)
#define BOOT (3 * 86400 * S)

static void it_stands_while_control_ends_again_and_again(void **state)
{
	struct parent parent = { .listen = -1 };
	struct steady controls = { 0 };

	(void)state;
	for (uint64_t s = 0; s <= STEADY_NS / S; s++) {
		/* Each second another one, which begins as parent_control_tend() has it. */
		parent.control_ready = s % 2;
		parent_control_clock(&parent, NOW + s * S, BOOT + s * S);
		controls = parent.clock;
		steady_look(&controls, NOW + s * S, BOOT + s * S);
		assert_true(steady_is(&controls) == (s * S == STEADY_NS));
	}
	parent_control_clock(&parent, NOW, BOOT + STEADY_NS + S);
	assert_false(steady_is(&parent.clock));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_stands_while_control_ends_again_and_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
