/* SPDX-License-Identifier: Apache-2.0 */
#include "check/hooked.h"

static int sysfs_files_run(struct check_run *run, struct err *err)
{
	static const struct hook_source *const sources[] = { &hooks_sysfs, NULL };

	return hooked_run(run, sources, "files in /sys", NULL, err);
}

CHECK(sysfs_files,
	.id = "sysfs-files",
	.group = GROUP_POINTERS,
	.title = "A file in /sys leads to foreign code",
	.proves = "Each operation of each file and directory in /sys and of the control groups "
		  "is a function of the kernel or of a listed module, and so is what shows and "
		  "stores attributes of kobjects, devices, drivers, buses, classes and modules.",
	.techniques = TECHNIQUES("T1014", "T1564"),
	.fuel_max = 60000,
	.run = sysfs_files_run);
