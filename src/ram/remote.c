/* SPDX-License-Identifier: Apache-2.0 */
#include "ram/remote.h"

#include <fcntl.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/cleanup.h"

/* /proc/PID/pagemap: one u64 a page (Documentation/admin-guide/mm/pagemap.rst). */
#define PAGEMAP_PRESENT	(1ull << 63)
#define PAGEMAP_SWAPPED	(1ull << 62)
#define PAGEMAP_BATCH	512u	/* entries a read: 2 MiB of memory */

/*
 * From here on process_vm_readv() is worth it: it copies once, /proc/PID/mem twice (35 and
 * 15 GB/s). Below, /proc/PID/mem costs the same, needs no permission after its open, and
 * cannot meet another process that has got the same PID.
 */
#define BULK_BYTES	(64u << 10)

int remote_init(struct remote *remote, const struct proc *proc, struct err *err)
{
	struct remote new = { .proc = *proc, .mem = -1, .pagemap = -1 };

	new.mem = proc_openat(proc, "mem", O_RDONLY, err);
	if (new.mem < 0)
		return new.mem;
	new.pagemap = proc_openat(proc, "pagemap", O_RDONLY, err);
	if (new.pagemap < 0) {
		fd_close(&new.mem);
		return new.pagemap;
	}
	*remote = new;
	return 0;
}

void remote_deinit(struct remote *remote)
{
	fd_close(&remote->mem);
	fd_close(&remote->pagemap);
	proc_deinit(&remote->proc);
	*remote = REMOTE_NONE;
}

/*
 * Nothing is read, even of the first page, and that is no error, where the memory itself is gone
 * (pagemap_read() in fs/proc/task_mmu.c): who is killed gives it up some time before he ends.
 */
static bool memory_is_gone(const struct remote *remote)
{
	uint64_t entry;

	return pread(remote->pagemap, &entry, sizeof(entry), 0) == 0;
}

static int gone_or(const struct remote *remote, const char *what, struct err *err)
{
	if (proc_alive(&remote->proc, err) < 0)
		return -ESRCH;
	if (memory_is_gone(remote))
		return err_set(err, -ESRCH, "process %d ended: it has no memory any more",
			       (int)remote->proc.pid);
	return err_set(err, -EFAULT, "%s of process %d cannot be read", what,
		       (int)remote->proc.pid);
}

/* As much as goes by process_vm_readv(); what is left is for /proc/PID/mem. */
static int read_bulk(struct remote *remote, uint64_t *at, uint8_t **to, size_t *len,
		     struct err *err)
{
	while (*len >= BULK_BYTES && !remote->no_bulk) {
		struct iovec local = { *to, *len };
		struct iovec there = { (void *)(uintptr_t)*at, *len };
		ssize_t n = process_vm_readv(remote->proc.pid, &local, 1, &there, 1, 0);

		if (n <= 0) {
			remote->no_bulk = n < 0 && (errno == EPERM || errno == ENOSYS);
			return 0;
		}
		/* Still that process: so it was while we read. */
		if (proc_alive(&remote->proc, err) < 0)
			return -ESRCH;
		*at += (size_t)n;
		*to += n;
		*len -= (size_t)n;
	}
	return 0;
}

static int read_present(struct remote *remote, uint64_t at, uint8_t *to, size_t len,
			struct err *err)
{
	int r = read_bulk(remote, &at, &to, &len, err);

	while (r == 0 && len) {
		ssize_t n = pread(remote->mem, to, len, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return gone_or(remote, "a page", err);
		at += (size_t)n;
		to += n;
		len -= (size_t)n;
	}
	return r;
}

static int read_pagemap(const struct remote *remote, uint64_t at, uint64_t *entries, size_t n,
			struct err *err)
{
	uint64_t from = at / GUEST_PAGE_SIZE * sizeof(*entries);
	size_t left = n * sizeof(*entries);
	uint8_t *to = (uint8_t *)entries;

	while (left) {
		ssize_t got = pread(remote->pagemap, to, left, (off_t)from);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return gone_or(remote, "the page map", err);
		from += (size_t)got;
		to += got;
		left -= (size_t)got;
	}
	return 0;
}

static bool is_there(uint64_t entry)
{
	return entry & (PAGEMAP_PRESENT | PAGEMAP_SWAPPED);
}

int remote_read(struct remote *remote, uint64_t at, void *buf, size_t len,
		remote_absent_fn *absent, void *ctx, struct err *err)
{
	uint64_t entries[PAGEMAP_BATCH];
	uint8_t *to = buf;
	int r = 0;

	while (len && r == 0) {
		size_t skew = at % GUEST_PAGE_SIZE;
		size_t n = (skew + len + GUEST_PAGE_SIZE - 1) / GUEST_PAGE_SIZE;

		n = n < PAGEMAP_BATCH ? n : PAGEMAP_BATCH;
		r = read_pagemap(remote, at, entries, n, err);
		for (size_t i = 0, end; i < n && r == 0; i = end) {
			bool there = is_there(entries[i]);
			size_t bytes;

			for (end = i + 1; end < n && is_there(entries[end]) == there; end++)
				;
			bytes = (end - i) * GUEST_PAGE_SIZE - skew;
			bytes = bytes < len ? bytes : len;
			skew = 0;
			if (there)
				r = read_present(remote, at, to, bytes, err);
			else if (absent)
				r = absent(ctx, at, to, bytes, err);
			else
				memset(to, 0, bytes);
			at += bytes;
			to += bytes;
			len -= bytes;
		}
	}
	return r;
}

int remote_next(struct remote *remote, uint64_t at, uint64_t end, uint64_t *start, uint64_t *len,
		struct err *err)
{
	uint64_t entries[PAGEMAP_BATCH];

	while (at < end) {
		size_t n = (end - at) / GUEST_PAGE_SIZE, first, last;
		int r;

		n = n < PAGEMAP_BATCH ? n : PAGEMAP_BATCH;
		r = read_pagemap(remote, at, entries, n, err);
		if (r < 0)
			return r;
		for (first = 0; first < n && !is_there(entries[first]); first++)
			;
		for (last = first; last < n && is_there(entries[last]); last++)
			;
		if (last > first) {
			*start = at + first * GUEST_PAGE_SIZE;
			*len = (last - first) * GUEST_PAGE_SIZE;
			return 0;
		}
		at += n * GUEST_PAGE_SIZE;
	}
	return -ENOENT;
}
