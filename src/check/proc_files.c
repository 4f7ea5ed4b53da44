/* SPDX-License-Identifier: Apache-2.0 */
#include "check/hooked.h"

static int proc_files_run(struct check_run *run, struct err *err)
{
	static const struct hook_source *const sources[] = { &hooks_proc, NULL };

	return hooked_run(run, sources, "files in /proc", NULL, err);
}

CHECK(proc_files,
	.id = "proc-files",
	.group = GROUP_POINTERS,
	.title = "A file in /proc leads to foreign code",
	.proves = "Each operation of each file and directory in /proc, in every network "
		  "namespace, is a function of the kernel or of a listed module, and one that "
		  "may be called so.",
	.techniques = TECHNIQUES("T1014", "T1564"),
	.fuel_max = 60000,
	.run = proc_files_run);
