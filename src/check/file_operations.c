/* SPDX-License-Identifier: Apache-2.0 */
#include "check/hooked.h"

static int file_operations_run(struct check_run *run, struct err *err)
{
	static const struct hook_source *const sources[] = { &hooks_file, NULL };

	return hooked_run(run, sources, "files and file systems", NULL, err);
}

CHECK(file_operations,
	.id = "file-operations",
	.group = GROUP_POINTERS,
	.title = "A file or file system leads to foreign code",
	.proves = "Each operation of each file system, of its root directory, of open files and "
		  "programs that run, their inodes and the directories above them is a function "
		  "of the kernel or of a listed module; for files and directories, of the module "
		  "whose file system it is.",
	.techniques = TECHNIQUES("T1014", "T1564.001"),
	.fuel_max = 60000,
	.worth = 4,
	.run = file_operations_run);
