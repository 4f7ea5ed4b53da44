/* SPDX-License-Identifier: Apache-2.0 */
#include "ram/qemu.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/hash.h"
#include "base/limits.h"
#include "ram/handover.h"
#include "ram/layout.h"
#include "ram/maps.h"
#include "ram/qemu_layout.h"
#include "ram/qmp.h"
#include "ram/remote.h"
#include "ram/window.h"

/* A piece of the guest's RAM, and how to get at it. */
struct segment {
	uint64_t start, size_bytes;	/* guest-physical */
	uint64_t host;			/* host-virtual, in the process */
	uint64_t file_offset;		/* of @start */
	int fd;				/* of the file behind it; -1: anonymous */
	bool borrowed;			/* … which is closed with another segment */
	bool shared;			/* all of it is in the file */
};

struct qemu {
	struct ram ram;
	struct remote remote;
	VEC(struct segment) segments;	/* ascending */
	struct windows windows;		/* on their files */
};

/* The segment that holds guest-physical @at: there is one for all of a range. */
static struct segment *segment_at(const struct qemu *qemu, uint64_t at)
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

/* Bytes of the file; a guest whose file has become shorter does not live for long. */
static int read_file(const struct segment *segment, uint64_t at, uint8_t *buf, size_t len,
		     struct err *err)
{
	while (len) {
		ssize_t n = pread(segment->fd, buf, len, (off_t)(segment->file_offset + at));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_set(err, -EFAULT, "the guest's memory file cannot be read");
		at += (size_t)n;
		buf += n;
		len -= (size_t)n;
	}
	return 0;
}

/* A page of a private file mapping that the process has not got: it is as in the file. */
static int read_below(void *ctx, uint64_t at, void *buf, size_t len, struct err *err)
{
	const struct segment *segment = ctx;

	return read_file(segment, at - segment->host, buf, len, err);
}

static int read_segment(struct qemu *qemu, struct segment *segment, uint64_t at, uint8_t *buf,
			size_t len, struct err *err)
{
	if (segment->shared)
		return read_file(segment, at, buf, len, err);
	return remote_read(&qemu->remote, segment->host + at, buf, len,
			   segment->fd < 0 ? NULL : read_below, segment, err);
}

static int qemu_read(struct ram *ram, size_t range, uint64_t offset, void *buf, size_t len,
		     struct err *err)
{
	struct qemu *qemu = (struct qemu *)ram;
	uint64_t at = ram->ranges[range].start.v + offset;
	uint8_t *to = buf;

	while (len) {
		struct segment *segment = segment_at(qemu, at);
		uint64_t inside = at - segment->start;
		size_t n = len;
		int r;

		if (n > segment->size_bytes - inside)
			n = (size_t)(segment->size_bytes - inside);
		r = read_segment(qemu, segment, inside, to, n, err);
		if (r < 0)
			return r;
		at += n;
		to += n;
		len -= n;
	}
	return 0;
}

/* Private memory is in nobody's file. */
static int qemu_read_in_place(struct ram *ram, size_t range, uint64_t offset, size_t len,
			      ram_reader_fn *reader, void *ctx)
{
	struct qemu *qemu = (struct qemu *)ram;
	uint64_t at = ram->ranges[range].start.v + offset;
	const struct segment *segment = segment_at(qemu, at);

	at -= segment->start;
	if (!segment->shared || len > segment->size_bytes - at)
		return -EAGAIN;
	return windows_read(&qemu->windows, segment->fd, segment->file_offset + at, len, reader,
			    ctx);
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

/* The first run of pages at or after page @at that is anything but zeros. */
static int next_in_segment(struct qemu *qemu, const struct segment *segment, uint64_t at,
			   uint64_t *start, uint64_t *len, struct err *err)
{
	uint64_t file_start, file_len;
	int r, file;

	if (segment->shared)
		return next_in_file(segment, at, start, len);
	r = remote_next(&qemu->remote, segment->host + at, segment->host + segment->size_bytes,
			start, len, err);
	if (r == 0)
		*start -= segment->host;
	if (segment->fd < 0 || (r < 0 && r != -ENOENT))
		return r;
	file = next_in_file(segment, at, &file_start, &file_len);
	if (file == 0 && (r < 0 || file_start < *start)) {
		*start = file_start;
		*len = file_len;
	}
	return file == 0 ? 0 : r;
}

static int qemu_populated(struct ram *ram, size_t range, uint64_t offset, uint64_t *start,
			  uint64_t *len, struct err *err)
{
	struct qemu *qemu = (struct qemu *)ram;
	uint64_t base = ram->ranges[range].start.v, end = base + ram->ranges[range].size_bytes;
	uint64_t at = base + offset;

	while (at < end) {
		const struct segment *segment = segment_at(qemu, at);
		uint64_t inside = at - segment->start, first, n;
		int r = next_in_segment(qemu, segment, inside & ~GUEST_PAGE_MASK, &first, &n, err);

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
	return proc_alive(&((const struct qemu *)ram)->remote.proc, err);
}

static void qemu_close(struct ram *ram)
{
	struct qemu *qemu = (struct qemu *)ram;

	windows_close(&qemu->windows);
	for (size_t i = 0; i < qemu->segments.n; i++)
		if (!qemu->segments.v[i].borrowed)
			fd_close(&qemu->segments.v[i].fd);
	vec_free(&qemu->segments);
	remote_deinit(&qemu->remote);
	free(qemu);
}

/* Behind the process's memory, its page map and its pidfd come the files. */
#define HANDED_FIRST 3

/* Several segments may lie in one file, and each has opened it. */
static int hand_over_file(const struct qemu *qemu, size_t segment, struct handover *to,
			  const int *places, struct err *err)
{
	struct stat status, other;
	int r;

	if (qemu->segments.v[segment].fd < 0)
		return INT32_MAX;
	if (fstat(qemu->segments.v[segment].fd, &status) < 0)
		return err_set(err, -errno, "the guest's memory file: %s", strerror(errno));
	for (size_t i = 0; i < segment; i++)
		if (qemu->segments.v[i].fd >= 0 &&
		    fstat(qemu->segments.v[i].fd, &other) == 0 &&
		    other.st_dev == status.st_dev && other.st_ino == status.st_ino)
			return places[i];
	r = handover_add(to, qemu->segments.v[segment].fd, err);
	return r < 0 ? r : r - HANDED_FIRST;
}

static int qemu_hand_over(struct ram *ram, struct handover *to, struct err *err)
{
	const struct qemu *qemu = (const struct qemu *)ram;
	cleanup(freep) int *places = calloc(qemu->segments.n + 1, sizeof(*places));
	struct writer *w = &to->text;
	int r = places ? 0 : -ENOMEM;

	if (r == 0)
		r = handover_add(to, qemu->remote.mem, err);
	if (r >= 0)
		r = handover_add(to, qemu->remote.pagemap, err);
	if (r >= 0)
		r = handover_add(to, qemu->remote.proc.pidfd, err);
	if (r < 0)
		return r;
	write_u8(w, HANDOVER_QEMU);
	write_u32(w, (uint32_t)qemu->remote.proc.pid);
	write_text(w, ram->layout);
	write_u32(w, (uint32_t)ram->ranges_n);
	for (size_t i = 0; i < ram->ranges_n; i++) {
		write_u64(w, ram->ranges[i].start.v);
		write_u64(w, ram->ranges[i].size_bytes);
	}
	write_u64(w, ram->room.start.v);
	write_u64(w, ram->room.size_bytes);
	write_u8(w, ram->unsure);
	write_u32(w, (uint32_t)qemu->segments.n);
	for (size_t i = 0; i < qemu->segments.n; i++) {
		const struct segment *segment = &qemu->segments.v[i];

		places[i] = hand_over_file(qemu, i, to, places, err);
		if (places[i] < 0)
			return places[i];
		write_u64(w, segment->start);
		write_u64(w, segment->size_bytes);
		write_u64(w, segment->host);
		write_u64(w, segment->file_offset);
		write_u32(w, (uint32_t)places[i]);
		write_u8(w, segment->shared);
	}
	return 0;
}

static const struct ram_ops qemu_ops = {
	.name = "qemu",
	.read = qemu_read,
	.read_in_place = qemu_read_in_place,
	.populated = qemu_populated,
	.alive = qemu_alive,
	.hand_over = qemu_hand_over,
	.close = qemu_close,
};

static struct qemu *qemu_new(void)
{
	struct qemu *qemu = calloc(1, sizeof(*qemu));

	if (qemu) {
		qemu->ram.ops = &qemu_ops;
		qemu->remote = REMOTE_NONE;
	}
	return qemu;
}

static int take_ranges(struct qemu *qemu, struct bytes *b, struct err *err)
{
	uint32_t n = bytes_u32(b);
	cleanup(freep) struct ram_range *ranges = NULL;

	if (!bytes_ok(b) || n > RAM_RANGES_MAX)
		return -EBADMSG;
	ranges = calloc((size_t)n + 1, sizeof(*ranges));
	if (!ranges)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++) {
		ranges[i].start = gpa_of(bytes_u64(b));
		ranges[i].size_bytes = bytes_u64(b);
	}
	qemu->ram.room.start = gpa_of(bytes_u64(b));
	qemu->ram.room.size_bytes = bytes_u64(b);
	qemu->ram.unsure = bytes_u8(b);
	return bytes_ok(b) ? ram_set_ranges(&qemu->ram, ranges, n, err) : -EBADMSG;
}

static int take_segments(struct qemu *qemu, struct bytes *b, const int *fds, size_t fds_n)
{
	uint32_t n = bytes_u32(b);
	uint64_t end = 0;

	if (!bytes_ok(b) || !n || n > RAM_RANGES_MAX)
		return -EBADMSG;
	for (uint32_t i = 0; i < n; i++) {
		struct segment *segment = vec_add(&qemu->segments);
		uint32_t place;

		if (!segment)
			return -ENOMEM;
		segment->fd = -1;
		segment->start = bytes_u64(b);
		segment->size_bytes = bytes_u64(b);
		segment->host = bytes_u64(b);
		segment->file_offset = bytes_u64(b);
		place = bytes_u32(b);
		segment->shared = bytes_u8(b);
		if (!bytes_ok(b) || segment->start < end ||
		    __builtin_add_overflow(segment->start, segment->size_bytes, &end) ||
		    (place >= fds_n && place != INT32_MAX) ||
		    (segment->shared && place == INT32_MAX))
			return -EBADMSG;
		if (place == INT32_MAX)
			continue;
		for (uint32_t j = 0; j < i; j++)
			segment->borrowed |= qemu->segments.v[j].fd == fds[place];
		segment->fd = fds[place];
	}
	return 0;
}

/* Do the segments hold every byte of the ranges? Whoever reads relies on that. */
static bool segments_hold_ranges(const struct qemu *qemu)
{
	for (size_t i = 0; i < qemu->ram.ranges_n; i++) {
		uint64_t at = qemu->ram.ranges[i].start.v;
		uint64_t end = at + qemu->ram.ranges[i].size_bytes;

		while (at < end) {
			const struct segment *segment = segment_at(qemu, at);

			if (at < segment->start || at - segment->start >= segment->size_bytes)
				return false;
			at = segment->start + segment->size_bytes;
		}
	}
	return true;
}

int qemu_take(struct bytes *b, const int *fds, size_t fds_n, struct ram **ret, struct err *err)
{
	struct qemu *qemu = qemu_new();
	struct ram *ram = &qemu->ram;
	const char *layout;
	pid_t pid;
	int r;

	if (!qemu)
		return -ENOMEM;
	pid = (pid_t)bytes_u32(b);
	layout = bytes_text(b);
	r = layout && fds_n >= HANDED_FIRST ? take_ranges(qemu, b, err) : -EBADMSG;
	if (r == 0)
		r = take_segments(qemu, b, fds + HANDED_FIRST, fds_n - HANDED_FIRST);
	if (r == 0 && (!bytes_at_end(b) || !segments_hold_ranges(qemu)))
		r = -EBADMSG;
	if (r < 0) {
		/* The descriptors stay the caller's. */
		for (size_t i = 0; i < qemu->segments.n; i++)
			qemu->segments.v[i].fd = -1;
		ram_close(&ram);
		return err_set(err, r, "no guest was handed over");
	}
	snprintf(ram->layout, sizeof(ram->layout), "%s", layout);
	/* process_vm_readv() asks for rights each time: who takes over has none. */
	qemu->remote = (struct remote){
		.proc = { .pid = pid, .pidfd = fds[2], .dir = -1 },
		.mem = fds[0], .pagemap = fds[1], .no_bulk = true,
	};
	*ret = ram;
	return 0;
}

int qemu_describe(const struct proc *proc, struct qemu_args *args, struct err *err)
{
	cleanup(freep) char *cmdline = NULL;
	enum qemu_binary binary;
	char exe[4096];
	size_t len;
	int r;

	/*
	 * The executable tells best, and without touching the process's memory, as its command
	 * line does: nobody else's process shall be able to make us wait. It may not be ours to
	 * see.
	 */
	r = proc_link(proc, "exe", exe, sizeof(exe));
	binary = r == 0 ? qemu_binary(exe) : QEMU_BINARY_NONE;
	if (r == 0 && binary == QEMU_BINARY_NONE)
		return err_set(err, -ESRCH, "process %d is not QEMU", (int)proc->pid);
	r = proc_read(proc, "cmdline", QEMU_CMDLINE_MAX, &cmdline, &len, err);
	if (r < 0)
		return r;
	if (len && binary == QEMU_BINARY_NONE)
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
		return err_set(err, -ENOTSUP, "the device model of a domain of Xen: "
			       "write xen:NAME");
	return 0;
}

/* Is this the file behind an area? Some file systems (btrfs) have two device numbers. */
static bool is_file_of(int fd, const struct area *area, bool same_device)
{
	struct stat status;

	return fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
	       status.st_ino == area->inode &&
	       (!same_device || status.st_dev == makedev(area->major, area->minor));
}

/*
 * A file of the process, by a link in its /proc directory, for reading only. It is looked at
 * before it is opened: nobody can make us open a device, or a file that is not mapped there
 * and so may not be the process's to read.
 */
static int open_link(const struct proc *proc, const char *link, const struct area *area,
		     bool same_device)
{
	cleanup(fd_close) int path = openat(proc->dir, link, O_PATH | O_CLOEXEC);
	char self[40];
	int fd;

	if (path < 0)
		return -errno;
	if (!is_file_of(path, area, same_device))
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
	r = open_link(proc, link, area, false);
	for (unsigned n = 0; r < 0 && n < QEMU_FDS_MAX; n++) {
		snprintf(link, sizeof(link), "fd/%u", n);
		r = open_link(proc, link, area, true);
	}
	if (r < 0)
		return err_set(err, -EACCES, "the file behind the RAM of process %d cannot be "
			       "opened: run as root", (int)proc->pid);
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
	segment->fd = open_area(&qemu->remote.proc, area, err);
	return segment->fd < 0 ? segment->fd : 0;
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

/*
 * A guest that runs here while its memory still comes from another host (postcopy): what is
 * absent is not zeros, but not here yet. QEMU waits for it by a userfaultfd.
 */
static int check_arrived(const struct proc *proc, const struct qemu_args *args, struct err *err)
{
	if (args->incoming && proc_has_fd(proc, "anon_inode:[userfaultfd]") == 1)
		return err_set(err, -ESTALE, "it is being migrated to this host: its memory is not "
			       "all here yet, try again");
	return 0;
}

/* Of what is read: it changes where something is plugged in, out, or in again. */
static uint64_t places_of(const struct ram_layout *layout)
{
	uint64_t secret = hash_secret(), places = layout->pieces.n;

	for (size_t i = 0; i < layout->pieces.n; i++) {
		const struct piece *piece = &layout->pieces.v[i];
		const uint64_t words[] = { places, piece->start, piece->size_bytes, piece->host };

		places = hash_bytes(words, sizeof(words), secret);
	}
	return places;
}

static int attach(struct qemu *qemu, const struct qemu_args *args, struct qmp *qmp,
		  struct err *err)
{
	cleanup(layout_free) struct ram_layout layout = { 0 };
	cleanup(maps_free) struct maps maps = { 0 };
	int r;

	r = read_maps(&qemu->remote.proc, &maps, err);
	if (r == 0)
		r = qemu_find_layout(&qemu->remote, args, &maps, qmp, &qemu->ram, &layout, err);
	for (size_t i = 0; r == 0 && i < layout.pieces.n; i++)
		r = add_segment(qemu, &maps, &layout.pieces.v[i], err);
	if (r == 0)
		r = layout_set_ranges(&layout, &qemu->ram, err);
	qemu->ram.places = places_of(&layout);
	return r;
}

static int open_pid(pid_t pid, struct qmp *qmp, struct ram **ret, struct err *err)
{
	struct qemu *qemu = qemu_new();
	struct qemu_args args;
	struct proc *proc;
	struct ram *ram;
	int r;

	if (!qemu)
		return -ENOMEM;
	ram = &qemu->ram;
	proc = &qemu->remote.proc;
	r = proc_init(proc, pid, err);
	if (r == 0)
		r = qemu_describe(proc, &args, err);
	if (r == 0) {
		r = qemu_supported(&args, err);
		if (r == 0)
			r = check_arrived(proc, &args, err);
		if (r == 0)
			r = remote_init(&qemu->remote, proc, err);
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

static int ask_registers(const struct proc *proc, const char *path, struct ram *ram,
			 struct err *err)
{
	cleanup(qmp_close) struct qmp *qmp = NULL;
	cleanup(freep) char *text = NULL;
	registers_list cpus = { 0 };
	int r = qemu_open_monitor(proc, path, QMP_ANSWER_MS, &qmp, err);

	if (r == 0)
		r = qmp_human(qmp, "info registers -a", &text, err);
	if (r == 0)
		r = registers_parse(text, &cpus, err);
	if (r == 0)
		r = ram_set_registers(ram, cpus.v, cpus.n, err);
	vec_free(&cpus);
	return r;
}

int qemu_read_registers(pid_t pid, struct ram *ram, struct err *err)
{
	cleanup(proc_deinit) struct proc proc = PROC_NONE;
	struct qemu_args args;
	int r = proc_init(&proc, pid, err);

	if (r == 0)
		r = qemu_describe(&proc, &args, err);
	if (r < 0)
		return r;
	r = err_set(err, -ENOENT, "no QMP socket (-qmp unix:…) to ask for registers");
	for (size_t i = 0; i < args.monitors.list.n && i < QMP_SOCKETS_MAX && r < 0; i++)
		r = ask_registers(&proc, args.monitors.list.v[i], ram, err);
	qemu_args_free(&args);
	return r;
}

int qemu_monitor(pid_t pid, const char *uuid, int answer_ms, struct qmp **ret, struct err *err)
{
	cleanup(proc_deinit) struct proc proc = PROC_NONE;
	struct qemu_args args;
	int r = proc_init(&proc, pid, err);

	if (r == 0)
		r = qemu_describe(&proc, &args, err);
	if (r < 0)
		return r;
	if (!uuid != !args.uuid || (uuid && strcasecmp(uuid, args.uuid) != 0)) {
		r = err_set(err, -ESRCH, "process %d is not that guest's any more", pid);
	} else {
		r = err_set(err, -ENOENT, "it has no QMP socket (-qmp unix:…)");
		for (size_t i = 0; i < args.monitors.list.n && i < QMP_SOCKETS_MAX && r < 0; i++)
			r = qemu_open_monitor(&proc, args.monitors.list.v[i], answer_ms, ret, err);
	}
	qemu_args_free(&args);
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

/* Stacks of threads are smaller, and most of their heaps; more is no harm. */
#define AREA_BYTES_MIN (16ull << 20)

int qemu_areas(pid_t pid, uint64_t *ret, struct err *err)
{
	cleanup(proc_deinit) struct proc proc = PROC_NONE;
	cleanup(maps_free) struct maps maps = { 0 };
	uint64_t secret = hash_secret(), areas = 0;
	int r = proc_init(&proc, pid, err);

	if (r == 0)
		r = read_maps(&proc, &maps, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < maps.areas.n; i++) {
		const struct area *area = &maps.areas.v[i];
		const uint64_t words[] = { areas, area->start, area->end, area->inode };

		if (area->write && area->end - area->start >= AREA_BYTES_MIN)
			areas = hash_bytes(words, sizeof(words), secret);
	}
	*ret = areas;
	return 0;
}
