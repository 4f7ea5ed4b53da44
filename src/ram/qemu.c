/* SPDX-License-Identifier: Apache-2.0 */
#include "ram/qemu.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "ram/layout.h"
#include "ram/maps.h"
#include "ram/place.h"
#include "ram/qmp.h"

/* /proc/PID/pagemap: one u64 a page (Documentation/admin-guide/mm/pagemap.rst). */
#define PAGEMAP_PRESENT	(1ull << 63)
#define PAGEMAP_SWAPPED	(1ull << 62)
#define PAGEMAP_BATCH	512u	/* entries a read: 2 MiB of memory */

/*
 * From here on process_vm_readv() is worth it: it copies once, /proc/PID/mem twice (35 and
 * 15 GB/s). Below, /proc/PID/mem costs the same and needs no permission after its open, and
 * it cannot meet another process that has the same PID.
 */
#define BULK_BYTES	(64u << 10)

/* A piece of the guest's RAM, and how to get at it. */
struct segment {
	uint64_t start, size_bytes;	/* guest-physical */
	uint64_t host;			/* host-virtual, in the process */
	uint64_t file_offset;		/* of @start */
	int fd;				/* of the file behind it; -1: anonymous */
	bool shared;			/* all of it is in the file */
};

struct qemu {
	struct ram ram;
	struct proc proc;
	int mem, pagemap;
	bool no_bulk;			/* process_vm_readv() is not permitted */
	VEC(struct segment) segments;	/* ascending */
};

/* The segment that holds guest-physical @at: there is one for all of a range. */
static const struct segment *segment_at(const struct qemu *qemu, uint64_t at)
{
	size_t low = 0, high = qemu->segments.n;

	while (high - low > 1) {
		size_t mid = low + (high - low) / 2;

		if (qemu->segments.v[mid].start <= at)
			low = mid;
		else
			high = mid;
	}
	return &qemu->segments.v[low];
}

static int gone_or(const struct qemu *qemu, int code, const char *what, struct err *err)
{
	if (proc_alive(&qemu->proc, err) < 0)
		return -ESRCH;
	return err_set(err, code, "%s of process %d cannot be read", what, (int)qemu->proc.pid);
}

/* Bytes that are in the process's memory. */
static int read_memory(struct qemu *qemu, uint64_t host, uint8_t *buf, size_t len,
		       struct err *err)
{
	while (len && len >= BULK_BYTES && !qemu->no_bulk) {
		struct iovec to = { buf, len }, from = { (void *)(uintptr_t)host, len };
		ssize_t n = process_vm_readv(qemu->proc.pid, &to, 1, &from, 1, 0);

		if (n <= 0) {
			qemu->no_bulk = n < 0 && (errno == EPERM || errno == ENOSYS);
			break;
		}
		/* Still that process: so it was while we read. */
		if (proc_alive(&qemu->proc, err) < 0)
			return -ESRCH;
		host += (size_t)n;
		buf += n;
		len -= (size_t)n;
	}
	while (len) {
		ssize_t n = pread(qemu->mem, buf, len, (off_t)host);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return gone_or(qemu, -EFAULT, "a page", err);
		host += (size_t)n;
		buf += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Bytes of the file; beyond its end there are none for private memory, and faults for shared. */
static int read_file(const struct qemu *qemu, const struct segment *segment, uint64_t at,
		     uint8_t *buf, size_t len, struct err *err)
{
	while (len) {
		ssize_t n = pread(segment->fd, buf, len, (off_t)(segment->file_offset + at));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return gone_or(qemu, -EFAULT, "the memory file", err);
		at += (size_t)n;
		buf += n;
		len -= (size_t)n;
	}
	return 0;
}

static int read_pagemap(const struct qemu *qemu, uint64_t host, uint64_t *entries, size_t n,
			struct err *err)
{
	ssize_t got = pread(qemu->pagemap, entries, n * sizeof(*entries),
			    (off_t)(host / GUEST_PAGE_SIZE * sizeof(*entries)));

	if (got == (ssize_t)(n * sizeof(*entries)))
		return 0;
	return gone_or(qemu, -EFAULT, "the page map", err);
}

static bool is_there(uint64_t entry)
{
	return entry & (PAGEMAP_PRESENT | PAGEMAP_SWAPPED);
}

/* What is not in memory: in the file, or never touched. */
static int read_absent(const struct qemu *qemu, const struct segment *segment, uint64_t at,
		       uint8_t *buf, size_t len, struct err *err)
{
	if (segment->fd >= 0)
		return read_file(qemu, segment, at, buf, len, err);
	memset(buf, 0, len);
	return 0;
}

static int read_private(struct qemu *qemu, const struct segment *segment, uint64_t at,
			uint8_t *buf, size_t len, struct err *err)
{
	uint64_t entries[PAGEMAP_BATCH];

	while (len) {
		uint64_t host = segment->host + at;
		size_t skew = host % GUEST_PAGE_SIZE;
		size_t n = (skew + len + GUEST_PAGE_SIZE - 1) / GUEST_PAGE_SIZE;
		int r;

		n = n < PAGEMAP_BATCH ? n : PAGEMAP_BATCH;
		r = read_pagemap(qemu, host, entries, n, err);
		for (size_t i = 0, end; i < n && r == 0; i = end) {
			bool there = is_there(entries[i]);
			size_t bytes;

			for (end = i + 1; end < n && is_there(entries[end]) == there; end++)
				;
			bytes = (end - i) * GUEST_PAGE_SIZE - skew;
			bytes = bytes < len ? bytes : len;
			skew = 0;
			if (there)
				r = read_memory(qemu, segment->host + at, buf, bytes, err);
			else
				r = read_absent(qemu, segment, at, buf, bytes, err);
			at += bytes;
			buf += bytes;
			len -= bytes;
		}
		if (r < 0)
			return r;
	}
	return 0;
}

static int qemu_read(struct ram *ram, size_t range, uint64_t offset, void *buf, size_t len,
		     struct err *err)
{
	struct qemu *qemu = (struct qemu *)ram;
	uint64_t at = ram->ranges[range].start.v + offset;
	uint8_t *to = buf;

	while (len) {
		const struct segment *segment = segment_at(qemu, at);
		uint64_t inside = at - segment->start;
		size_t n = len;
		int r;

		if (n > segment->size_bytes - inside)
			n = (size_t)(segment->size_bytes - inside);
		if (segment->shared)
			r = read_file(qemu, segment, inside, to, n, err);
		else
			r = read_private(qemu, segment, inside, to, n, err);
		if (r < 0)
			return r;
		at += n;
		to += n;
		len -= n;
	}
	return 0;
}

/* The first run of bytes at or after @at that the file has. 0, -ENOENT or an errno. */
static int next_in_file(const struct segment *segment, uint64_t at, uint64_t *start,
			uint64_t *len)
{
	off_t from = (off_t)(segment->file_offset + at);
	off_t data = lseek(segment->fd, from, SEEK_DATA), hole;
	uint64_t first, end;

	if (data < 0 && errno == ENXIO)
		return -ENOENT;
	if (data < from)	/* a file system without holes */
		data = from;
	hole = lseek(segment->fd, data, SEEK_HOLE);
	first = ((uint64_t)data & ~GUEST_PAGE_MASK) - segment->file_offset;
	first = first > at ? first : at;
	if (first >= segment->size_bytes)
		return -ENOENT;
	end = hole > data ? (uint64_t)hole - segment->file_offset : segment->size_bytes;
	*start = first;
	*len = (end < segment->size_bytes ? end : segment->size_bytes) - first;
	return 0;
}

/* The first run of pages at or after @at that the process has; runs may be cut. */
static int next_in_memory(const struct qemu *qemu, const struct segment *segment, uint64_t at,
			  uint64_t *start, uint64_t *len, struct err *err)
{
	uint64_t entries[PAGEMAP_BATCH];

	at &= ~GUEST_PAGE_MASK;
	while (at < segment->size_bytes) {
		size_t n = (segment->size_bytes - at) / GUEST_PAGE_SIZE, i, end;
		int r;

		n = n < PAGEMAP_BATCH ? n : PAGEMAP_BATCH;
		r = read_pagemap(qemu, segment->host + at, entries, n, err);
		if (r < 0)
			return r;
		for (i = 0; i < n && !is_there(entries[i]); i++)
			;
		for (end = i; end < n && is_there(entries[end]); end++)
			;
		if (end > i) {
			*start = at + i * GUEST_PAGE_SIZE;
			*len = (end - i) * GUEST_PAGE_SIZE;
			return 0;
		}
		at += n * GUEST_PAGE_SIZE;
	}
	return -ENOENT;
}

static int next_in_segment(const struct qemu *qemu, const struct segment *segment, uint64_t at,
			   uint64_t *start, uint64_t *len, struct err *err)
{
	uint64_t file_start, file_len;
	int r, file;

	if (segment->shared)
		return next_in_file(segment, at, start, len);
	r = next_in_memory(qemu, segment, at, start, len, err);
	if (segment->fd < 0 || (r < 0 && r != -ENOENT))
		return r;
	file = next_in_file(segment, at, &file_start, &file_len);
	if (file == 0 && (r < 0 || file_start < *start)) {
		*start = file_start;
		*len = file_len;
		return 0;
	}
	return r;
}

static int qemu_populated(struct ram *ram, size_t range, uint64_t offset, uint64_t *start,
			  uint64_t *len, struct err *err)
{
	const struct qemu *qemu = (const struct qemu *)ram;
	uint64_t base = ram->ranges[range].start.v, end = base + ram->ranges[range].size_bytes;
	uint64_t at = base + offset;

	while (at < end) {
		const struct segment *segment = segment_at(qemu, at);
		uint64_t inside = at - segment->start, first, n;
		int r = next_in_segment(qemu, segment, inside, &first, &n, err);

		if (r == 0) {
			if (first < inside) {	/* the page that holds @offset */
				n -= inside - first;
				first = inside;
			}
			*start = segment->start + first - base;
			*len = n;
			return 0;
		}
		if (r != -ENOENT)
			return r;
		at = segment->start + segment->size_bytes;
	}
	return -ENOENT;
}

static int qemu_alive(struct ram *ram, struct err *err)
{
	return proc_alive(&((const struct qemu *)ram)->proc, err);
}

static void qemu_close(struct ram *ram)
{
	struct qemu *qemu = (struct qemu *)ram;

	for (size_t i = 0; i < qemu->segments.n; i++)
		fd_close(&qemu->segments.v[i].fd);
	vec_free(&qemu->segments);
	fd_close(&qemu->mem);
	fd_close(&qemu->pagemap);
	proc_deinit(&qemu->proc);
	free(qemu);
}

static const struct ram_ops qemu_ops = {
	.name = "qemu",
	.read = qemu_read,
	.populated = qemu_populated,
	.alive = qemu_alive,
	.close = qemu_close,
};

static struct qemu *qemu_new(void)
{
	struct qemu *qemu = calloc(1, sizeof(*qemu));

	if (qemu) {
		qemu->ram.ops = &qemu_ops;
		qemu->proc = PROC_NONE;
		qemu->mem = qemu->pagemap = -1;
	}
	return qemu;
}

int qemu_describe(const struct proc *proc, struct qemu_args *args, struct err *err)
{
	cleanup(freep) char *cmdline = NULL;
	enum qemu_binary binary = QEMU_BINARY_NONE;
	char exe[4096];
	size_t len;
	int r;

	r = proc_read(proc, "cmdline", QEMU_CMDLINE_MAX, &cmdline, &len, err);
	if (r < 0)
		return r;
	/* The executable tells best; it may not be ours to see. */
	if (proc_link(proc, "exe", exe, sizeof(exe)) == 0)
		binary = qemu_binary(exe);
	else if (len)
		binary = qemu_binary(cmdline);
	if (!len || binary == QEMU_BINARY_NONE)
		return err_set(err, -ESRCH, "process %d is not QEMU", (int)proc->pid);
	if (binary == QEMU_BINARY_OTHER)
		return err_set(err, -ENOTSUP, "process %d: not an x86-64 guest", (int)proc->pid);
	r = qemu_args_parse(cmdline, len, args, err);
	if (r < 0)
		qemu_args_free(args);
	return r < 0 ? wrap(err, r, "command line of process %d", (int)proc->pid) : 0;
}

int qemu_supported(const struct qemu_args *args, struct err *err)
{
	if (args->confidential)
		return err_set(err, -ENOTSUP, "a confidential guest (%s): its memory is encrypted, "
			       "nobody outside can read it", args->confidential);
	if (args->accel && !strcmp(args->accel, "xen"))
		return err_set(err, -ENOTSUP, "a guest of Xen: not supported by this build");
	return 0;
}

/* A file of the process, by the link of an area or of a descriptor, for reading only. */
static int open_link(const struct proc *proc, const char *link, const struct area *area)
{
	cleanup(fd_close) int path = openat(proc->dir, link, O_PATH | O_CLOEXEC);
	struct stat status;
	char self[40];
	int fd;

	if (path < 0)
		return -errno;
	/* Nobody can make us open a device, or another file. */
	if (fstat(path, &status) < 0 || !S_ISREG(status.st_mode) ||
	    status.st_ino != area->inode)
		return -ENOENT;
	snprintf(self, sizeof(self), "/proc/self/fd/%d", path);
	fd = open(self, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	return fd < 0 ? -errno : fd;
}

/* The file behind an area. map_files wants CAP_CHECKPOINT_RESTORE, fd only ptrace rights. */
static int open_area(const struct proc *proc, const struct area *area, struct err *err)
{
	char link[64];
	int r;

	snprintf(link, sizeof(link), "map_files/%" PRIx64 "-%" PRIx64, area->start, area->end);
	r = open_link(proc, link, area);
	for (unsigned n = 0; r < 0 && n < 1024; n++) {
		snprintf(link, sizeof(link), "fd/%u", n);
		r = open_link(proc, link, area);
	}
	if (r < 0)
		return err_set(err, -EACCES,
			       "the file behind the RAM of process %d cannot be opened: run as "
			       "root", (int)proc->pid);
	return r;
}

static int add_segment(struct qemu *qemu, const struct maps *maps, const struct piece *piece,
		       struct err *err)
{
	const struct area *area = maps_find(maps, piece->host);
	struct segment *segment = vec_add(&qemu->segments);

	if (!segment)
		return -ENOMEM;
	*segment = (struct segment){
		.start = piece->start, .size_bytes = piece->size_bytes, .host = piece->host,
		.fd = -1, .shared = area->shared,
		.file_offset = area->offset + (piece->host - area->start),
	};
	if (!area->inode)
		return 0;
	segment->fd = open_area(&qemu->proc, area, err);
	return segment->fd < 0 ? segment->fd : 0;
}

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
static int open_monitor(const struct proc *proc, const char *path, struct qmp **ret,
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
	return qmp_open(take_fd(&s), QMP_GREETING_MS, QMP_ANSWER_MS, ret, err);
}

static int layout_from_monitors(const struct qemu *qemu, const struct qemu_args *args,
				const struct maps *maps, struct ram_layout *layout, struct err *err)
{
	int r = -ENOENT;

	for (size_t i = 0; i < args->monitors.list.n && i < QMP_SOCKETS_MAX && r < 0; i++) {
		cleanup(qmp_close) struct qmp *qmp = NULL;

		r = open_monitor(&qemu->proc, args->monitors.list.v[i], &qmp, err);
		if (r == 0)
			r = ask_monitor(qmp, maps, layout, err);
	}
	return r;
}

static int layout_from_args(const struct qemu_args *args, const struct maps *maps,
			    struct ram_layout *layout, struct err *err)
{
	int r;

	if (args->readconfig)
		return err_set(err, -ENOTSUP, "its configuration is in a file (-readconfig): give "
			       "QEMU a QMP socket (-qmp unix:…)");
	r = layout_of_args(args, layout, err);
	if (r == 0)
		r = place_by_size(args, maps, layout, err);
	if (r < 0)
		layout_free(layout);
	return r;
}

static int find_layout(struct qemu *qemu, const struct qemu_args *args, const struct maps *maps,
		       struct qmp *qmp, struct ram_layout *layout, struct err *err)
{
	struct err why = { 0 };
	int r;

	if (qmp)
		r = ask_monitor(qmp, maps, layout, err);
	else
		r = layout_from_monitors(qemu, args, maps, layout, &why);
	if (r == 0 || qmp) {
		snprintf(qemu->ram.layout, sizeof(qemu->ram.layout), "QMP");
		return r;
	}
	snprintf(qemu->ram.layout, sizeof(qemu->ram.layout), "machine type %.24s%s%s%.48s",
		 args->machine ? args->machine : "pc (default)",
		 args->memory_devices ? ", without its memory devices" : "",
		 why.code ? "; QMP: " : "", why.code ? why.text : "");
	return layout_from_args(args, maps, layout, err);
}

static int read_maps(const struct proc *proc, struct maps *maps, struct err *err)
{
	char *text;
	size_t len;
	int r = proc_read(proc, "maps", MAPS_BYTES_MAX, &text, &len, err);

	if (r < 0)
		return r;
	r = maps_parse(text, len, maps, err);
	if (r < 0)
		free(text);
	return r;
}

static int attach(struct qemu *qemu, const struct qemu_args *args, struct qmp *qmp,
		  struct err *err)
{
	cleanup(layout_free) struct ram_layout layout = { 0 };
	cleanup(maps_free) struct maps maps = { 0 };
	int r;

	qemu->mem = proc_openat(&qemu->proc, "mem", O_RDONLY, err);
	if (qemu->mem < 0)
		return qemu->mem;
	qemu->pagemap = proc_openat(&qemu->proc, "pagemap", O_RDONLY, err);
	if (qemu->pagemap < 0)
		return qemu->pagemap;
	r = read_maps(&qemu->proc, &maps, err);
	if (r == 0)
		r = find_layout(qemu, args, &maps, qmp, &layout, err);
	for (size_t i = 0; r == 0 && i < layout.pieces.n; i++)
		r = add_segment(qemu, &maps, &layout.pieces.v[i], err);
	if (r == 0)
		r = layout_set_ranges(&layout, &qemu->ram, err);
	return r;
}

static int open_pid(pid_t pid, struct qmp *qmp, struct ram **ret, struct err *err)
{
	struct qemu *qemu = qemu_new();
	struct qemu_args args;
	struct ram *ram;
	int r;

	if (!qemu)
		return -ENOMEM;
	ram = &qemu->ram;
	r = proc_init(&qemu->proc, pid, err);
	if (r == 0)
		r = qemu_describe(&qemu->proc, &args, err);
	if (r == 0) {
		r = qemu_supported(&args, err);
		if (r == 0)
			r = attach(qemu, &args, qmp, err);
		qemu_args_free(&args);
		if (r < 0 && r != -EACCES && r != -ESRCH)
			wrap(err, r, "guest of process %d", (int)pid);
	}
	if (r < 0)
		ram_close(&ram);
	else
		*ret = ram;
	return r;
}

int qemu_open(pid_t pid, struct ram **ret, struct err *err)
{
	return open_pid(pid, NULL, ret, err);
}

int qemu_open_qmp(const char *path, struct ram **ret, pid_t *pid, struct err *err)
{
	cleanup(qmp_close) struct qmp *qmp = NULL;
	cleanup(fd_close) int link = -1, s = -1;
	pid_t peer;
	int r;

	link = open(path, O_PATH | O_CLOEXEC);
	if (link < 0)
		return err_set(err, -errno, "QMP socket '%s': %s", path, strerror(errno));
	s = qmp_connect(link, err);
	if (s < 0)
		return wrap(err, s, "QMP socket '%s'", path);
	peer = qmp_peer(s, err);
	if (peer < 0)
		return wrap(err, peer, "QMP socket '%s'", path);
	r = qmp_open(take_fd(&s), QMP_GREETING_MS, QMP_ANSWER_MS, &qmp, err);
	if (r < 0)
		return wrap(err, r, "QMP socket '%s'", path);
	r = open_pid(peer, qmp, ret, err);
	if (r == 0 && pid)
		*pid = peer;
	return r;
}
