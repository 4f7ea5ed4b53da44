/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/keeper.h"

const char *keeper_state_name(enum keeper_state state)
{
	static const char *const names[] = {
		"absent", "starting", "trusted", "stalled", "tampered", "replaced", "gone",
	};

	return names[state];
}
