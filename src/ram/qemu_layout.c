/* SPDX-License-Identifier: Apache-2.0 */
#include "ram/qemu_layout.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "ram/heap.h"
#include "ram/place.h"

#define GIB ((uint64_t)1 << 30)

/* Everything that one talk with the monitor gives. */
static int ask_monitor(struct qmp *qmp, const struct maps *maps, struct ram_layout *layout,
		       struct err *err)
{
	cleanup(freep) char *tree = NULL;
	int r = qmp_human(qmp, "info mtree", &tree, err);

	if (r == 0)
		r = layout_of_mtree(tree, layout, err);
	if (r == 0)
		r = place_by_monitor(qmp, maps, layout, err);
	if (r < 0)
		layout_free(layout);
	return r;
}

/* A QMP socket as the command line names it. */
int qemu_open_monitor(const struct proc *proc, const char *path, int answer_ms, struct qmp **ret,
		      struct err *err)
{
	cleanup(fd_close) int link = proc_path(proc, path, err);
	cleanup(fd_close) int s = -1;

	if (link < 0)
		return link;
	s = qmp_connect(link, err);
	if (s < 0)
		return s;
	/* A command line may name any socket: talk to QEMU itself only. */
	if (qmp_peer(s, NULL) != proc->pid)
		return err_set(err, -ESRCH, "the socket belongs to another process");
	return qmp_open(take_fd(&s), QMP_GREETING_MS, answer_ms, ret, err);
}

static int layout_from_monitors(const struct remote *remote, const struct qemu_args *args,
				const struct maps *maps, struct ram_layout *layout, struct err *err)
{
	int r = -ENOENT;

	for (size_t i = 0; i < args->monitors.list.n && i < QMP_SOCKETS_MAX && r < 0; i++) {
		cleanup(qmp_close) struct qmp *qmp = NULL;

		r = qemu_open_monitor(&remote->proc, args->monitors.list.v[i], QMP_ANSWER_MS, &qmp,
				 err);
		if (r == 0)
			r = ask_monitor(qmp, maps, layout, err);
	}
	return r;
}

/*
 * Where the machine's RAM is, without a monitor: the type of machine tells, and QEMU's table
 * for the guest confirms it, or tells alone where we do not know the type.
 */
static int find_ranges(struct remote *remote, const struct qemu_args *args, const struct maps *maps,
		       struct ram_range ranges[2], bool *verified, struct err *err)
{
	uint64_t ram_bytes = qemu_args_ram_bytes(args);
	struct ram_range found[2] = { 0 };
	bool split;
	int heap, n = layout_of_machine(args->machine, ram_bytes, args->max_below_4g, ranges,
					&split, err);

	if ((n < 0 && n != -ENOTSUP) || (n > 0 && !split))
		return n;
	if (n > 0)
		memcpy(found, ranges, sizeof(found));
	heap = heap_find_split(remote, maps, ram_bytes, found, NULL);
	*verified = heap == 1;
	if (heap != 2)
		return n;
	if (n > 0)
		return err_set(err, -EBADMSG, "machine type '%s' has its low RAM up to %#" PRIx64
			       ", but QEMU says %#" PRIx64 ": give it a QMP socket (-qmp unix:…)",
			       args->machine ? args->machine : "pc", ranges[0].size_bytes,
			       found[0].size_bytes);
	memcpy(ranges, found, sizeof(found));
	*verified = true;
	return found[1].size_bytes ? 2 : 1;
}

static int layout_from_args(struct remote *remote, const struct qemu_args *args,
			    const struct maps *maps, struct ram_layout *layout, bool *verified,
			    struct err *err)
{
	struct ram_range ranges[2];
	int r;

	if (args->readconfig)
		return err_set(err, -ENOTSUP, "its configuration is in a file (-readconfig): give "
			       "QEMU a QMP socket (-qmp unix:…)");
	r = find_ranges(remote, args, maps, ranges, verified, err);
	if (r > 0)
		r = layout_of_args(args, ranges, r, layout, err);
	if (r == 0)
		r = place_by_size(remote, args, maps, layout, err);
	if (r < 0)
		layout_free(layout);
	return r;
}

/*
 * Where memory may be plugged in: behind the machine's own, in a region of its own, which has room
 * for what is missing to the maximum, and to align each device (pc_memory_init() of
 * hw/i386/pc.c). Reads of what there is are no matter, so that it may begin early.
 */
static struct ram_range room_of(const struct qemu_args *args, const struct ram_layout *layout)
{
	uint64_t ram_bytes = qemu_args_ram_bytes(args), end = 4 * GIB, size;

	for (size_t i = 0; i < layout->pieces.n; i++) {
		const struct piece *piece = &layout->pieces.v[i];

		if (piece->start + piece->size_bytes > end)
			end = piece->start + piece->size_bytes;
	}
	if (args->max_bytes <= ram_bytes || args->max_bytes > RAM_ROOM_MAX ||
	    end > RAM_ROOM_MAX)
		return (struct ram_range){ gpa_of(0), 0 };
	size = (end - 4 * GIB + GIB - 1) / GIB * GIB + (args->max_bytes - ram_bytes) +
	       (args->slots < QEMU_SLOTS_MAX ? args->slots : QEMU_SLOTS_MAX) * GIB;
	return (struct ram_range){ gpa_of(4 * GIB), size };
}

/* What is plugged in beside the machine's own RAM, without a monitor. Receives how many. */
static int add_devices(struct remote *remote, const struct maps *maps, struct ram *ram,
		       struct ram_layout *layout, size_t *devices, struct err *err)
{
	size_t own = layout->pieces.n;
	int r = heap_find_devices(remote, maps, &ram->room, layout, NULL);

	if (r == -ENOMEM)
		return err_set(err, r, "no memory for a layout");
	/* What cannot be read now may be there all the same. */
	ram->unsure = r <= 0;
	*devices = layout->pieces.n - own;
	return 0;
}

static int layout_without_monitor(struct remote *remote, const struct qemu_args *args,
				  const struct maps *maps, const struct err *why, struct ram *ram,
				  struct ram_layout *layout, struct err *err)
{
	bool verified = false;
	size_t devices = 0;
	char beside[64] = "";
	int r = layout_from_args(remote, args, maps, layout, &verified, err);

	if (r < 0)
		return r;
	ram->room = room_of(args, layout);
	if (ram->room.size_bytes)
		r = add_devices(remote, maps, ram, layout, &devices, err);
	if (ram->unsure)
		snprintf(beside, sizeof(beside), ", memory beside it unknown");
	else if (devices)
		snprintf(beside, sizeof(beside), ", %zu pieces beside it", devices);
	snprintf(ram->layout, sizeof(ram->layout), "machine type %.24s%s%s%s%.60s",
		 args->machine ? args->machine : "pc (default)", verified ? ", verified" : "",
		 beside, why->code ? "; QMP: " : "", why->code ? why->text : "");
	if (r < 0)
		layout_free(layout);
	return r;
}

int qemu_find_layout(struct remote *remote, const struct qemu_args *args, const struct maps *maps,
		     struct qmp *qmp, struct ram *ram, struct ram_layout *layout, struct err *err)
{
	struct err why = { 0 };
	int r;

	if (qmp)
		r = ask_monitor(qmp, maps, layout, err);
	else
		r = layout_from_monitors(remote, args, maps, layout, &why);
	if (r < 0 && !qmp)
		return layout_without_monitor(remote, args, maps, &why, ram, layout, err);
	if (r < 0)
		return r;
	snprintf(ram->layout, sizeof(ram->layout), "QMP");
	ram->room = room_of(args, layout);
	return 0;
}
