/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/look.h"

int prove_watch(struct look *look, const struct claim *claim, const struct agent_anchor *anchor,
		struct err *err)
{
	(void)look; (void)claim; (void)anchor; (void)err;
	return 0;
}
