/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/booted.h"

#include <stdio.h>

#include "base/cleanup.h"
#include "ram/qemu.h"

void booted_find(pid_t pid, struct booted *booted)
{
	struct err err = { 0 };

	if (!pid || proc_init(&booted->proc, pid, &err) < 0)
		return;
	if (qemu_describe(&booted->proc, &booted->args, &err) < 0 || !booted->args.kernel)
		return;
	booted->fd = proc_path(&booted->proc, booted->args.kernel, &err);
	if (booted->fd >= 0)
		snprintf(booted->path, sizeof(booted->path), "/proc/self/fd/%d", booted->fd);
}

void booted_free(struct booted *booted)
{
	fd_close(&booted->fd);
	qemu_args_free(&booted->args);
	proc_deinit(&booted->proc);
}
