/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "check/hooked.h"

/*
 * Memory and misc devices are built in (drivers/char/mem.c, misc.c), so nothing that their
 * numbers lead to is a module's; nor is what a misc device in the kernel's own data does.
 */
static const char *doubt(struct hooked *hooked, const struct hook *hook)
{
	const struct kernel *kernel = hooked->walk.kernel;
	const struct hook_object *object = hook->object;
	unsigned major;

	if (hook->target.v >= kernel->text.v && hook->target.v < kernel->end.v)
		return NULL;
	if (!strcmp(object->mechanism, "misc device") && object->at.v >= kernel->text.v &&
	    object->at.v < kernel->end.v)
		return "a function of the kernel, whose device it is";
	if (!strcmp(object->mechanism, "character device") && object->text &&
	    sscanf(object->text, "character device %u:", &major) == 1 &&
	    (major == 1 || major == 10) && strcmp(hook->type, "probe"))
		return "a function of the kernel, whose device it is";
	return NULL;
}

static int device_operations_run(struct check_run *run, struct err *err)
{
	static const struct hook_source *const sources[] = { &hooks_device, &hooks_tty, NULL };

	return hooked_run(run, sources, "devices", doubt, err);
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
