/* SPDX-License-Identifier: Apache-2.0 */
#include "check/hooked.h"

static int device_operations_run(struct check_run *run, struct err *err)
{
	static const struct hook_source *const sources[] = {
		&hooks_device, &hooks_tty, &hooks_driver, NULL
	};

	return hooked_run(run, sources, "devices", NULL, err);
}

CHECK(device_operations,
	.id = "device-operations",
	.group = GROUP_POINTERS,
	.title = "A device or terminal leads to foreign code",
	.proves = "Each operation of character and misc devices, input devices and those who "
		  "listen to them, consoles, terminals and their line disciplines is a function "
		  "of the kernel or of a listed module, and one that may be called so.",
	.techniques = TECHNIQUES("T1014", "T1056.001"),
	.fuel_max = 20000,
	.run = device_operations_run);
