/* SPDX-License-Identifier: Apache-2.0 */
#include "ram/place.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "ram/heap.h"

#define MIB ((uint64_t)1 << 20)

/* Does [@at, @at + @size) lie in one run of areas? */
static bool in_one_run(const struct maps *maps, uint64_t at, uint64_t size)
{
	const struct area *area = maps_find(maps, at);
	size_t first, end;

	if (!area)
		return false;
	first = (size_t)(area - maps->areas.v);
	end = maps_run(maps, first);
	return size <= maps->areas.v[end - 1].end - at;
}

/* "Host virtual address for 0x0 (pc.ram) is 0x7f3e5be00000" */
static int ask_host(struct qmp *qmp, const struct piece *piece, uint64_t *host, struct err *err)
{
	cleanup(freep) char *answer = NULL;
	char command[48], block[sizeof(piece->block) + 4];
	const char *at;
	int r;

	snprintf(command, sizeof(command), "gpa2hva 0x%" PRIx64, piece->start);
	r = qmp_human(qmp, command, &answer, err);
	if (r < 0)
		return r;
	snprintf(block, sizeof(block), " (%s)", piece->block);
	at = strstr(answer, block);
	at = at ? strstr(at, " is 0x") : NULL;
	if (!at)
		return err_set(err, -ENOTSUP, "the monitor does not say where '%s' is",
			       piece->block);
	errno = 0;
	*host = strtoull(at + 4, NULL, 16);
	return errno ? err_set(err, -EBADMSG, "no host address") : 0;
}

int place_by_monitor(struct qmp *qmp, const struct maps *maps, struct ram_layout *layout,
		     struct err *err)
{
	for (size_t i = 0; i < layout->pieces.n; i++) {
		struct piece *piece = &layout->pieces.v[i];
		int r = ask_host(qmp, piece, &piece->host, err);

		if (r < 0)
			return r;
		if (piece->host % GUEST_PAGE_SIZE ||
		    !in_one_run(maps, piece->host, piece->size_bytes))
			return err_set(err, -EBADMSG, "'%s' is not where the monitor says",
				       piece->block);
	}
	return 0;
}

/* What a block is, by the command line. */
struct want {
	const char *name;
	const char *path;	/* of a file; NULL: none */
	uint64_t size_bytes;
	enum qemu_memory kind;
	bool shared;
};

static void want_block(const struct qemu_args *args, const struct ram_layout *layout,
		       const char *name, struct want *want)
{
	const struct qemu_backend *backend = qemu_args_backend(args, name);

	*want = (struct want){ .name = name, .kind = QEMU_MEMORY_RAM };
	if (backend) {
		want->kind = backend->kind;
		want->path = backend->path;
		want->shared = backend->shared;
	} else if (args->mem_path) {
		want->kind = QEMU_MEMORY_FILE;
		want->path = args->mem_path;
	}
	for (size_t i = 0; i < layout->pieces.n; i++)
		if (!strcmp(layout->pieces.v[i].block, name))
			want->size_bytes += layout->pieces.v[i].size_bytes;
}

/* Huge pages: a block ends on a page of its file system. */
static bool size_fits(const struct want *want, uint64_t size)
{
	static const uint64_t pages[] = { GUEST_PAGE_SIZE, 2 * MIB, 1024 * MIB };

	for (size_t i = 0; i < ARRAY_SIZE(pages); i++)
		if (size == (want->size_bytes + pages[i] - 1) / pages[i] * pages[i] &&
		    (!i || want->kind != QEMU_MEMORY_RAM))
			return true;
	return false;
}

static bool kind_fits(const struct want *want, const struct area *area)
{
	bool memfd = !strncmp(area->path, "/memfd:", 7);

	if (!area->read || area->shared != want->shared || (!area->write && !want->shared))
		return false;
	switch (want->kind) {
	case QEMU_MEMORY_RAM:
		if (want->shared)
			return area->inode;
		return !area->inode && strcmp(area->path, "[heap]") != 0;
	case QEMU_MEMORY_MEMFD:
		return area->inode;
	default:
		return area->inode && !memfd;
	}
}

/* Is the area of this very file? Names of huge page files are made by QEMU in a directory. */
static bool path_fits(const struct want *want, const struct area *area)
{
	size_t n = want->path ? strlen(want->path) : 0;

	return n && !strncmp(area->path, want->path, n) &&
	       (!area->path[n] || area->path[n] == ' ' || area->path[n] == '/');
}

/* Areas, or runs of them, that may be a block. */
struct found {
	uint64_t hosts[QEMU_BACKENDS_MAX];
	size_t n;
};

static void consider(const struct maps *maps, const struct want *want, size_t first, size_t end,
		     bool by_path, struct found *found)
{
	const struct area *area = &maps->areas.v[first];

	if (!size_fits(want, maps->areas.v[end - 1].end - area->start) ||
	    !kind_fits(want, area) || (by_path && !path_fits(want, area)))
		return;
	if (found->n < ARRAY_SIZE(found->hosts))
		found->hosts[found->n++] = area->start;
}

static void search(const struct maps *maps, const struct want *want, bool by_path,
		   struct found *found)
{
	size_t end;

	found->n = 0;
	for (size_t i = 0; i < maps->areas.n; i++)
		consider(maps, want, i, i + 1, by_path, found);
	for (size_t i = 0; !found->n && i < maps->areas.n; i = end) {
		end = maps_run(maps, i);
		consider(maps, want, i, end, by_path, found);
	}
}

static int place_block(struct remote *remote, const struct maps *maps, const struct want *want,
		       uint64_t *host, struct err *err)
{
	struct found found;
	int r;

	search(maps, want, false, &found);
	if (found.n > 1 && want->path)
		search(maps, want, true, &found);
	if (!found.n)
		return err_set(err, -ENOENT, "no area of %" PRIu64 " MiB in it that would be '%s': "
			       "has it just been started?", want->size_bytes / MIB, want->name);
	*host = found.hosts[0];
	if (found.n == 1)
		return 0;
	r = heap_find_block(remote, maps, want->name, want->size_bytes, found.hosts, found.n,
			    host, err);
	if (r == -ENOENT)
		r = err_set(err, -EBADMSG, "%zu areas of %" PRIu64 " MiB, and which one is '%s' "
			    "cannot be told: give QEMU a QMP socket (-qmp unix:…)", found.n,
			    want->size_bytes / MIB, want->name);
	return r;
}

/* Two blocks in one place: one of them is another area than it seems. */
static int check_distinct(const struct ram_layout *layout, struct err *err)
{
	for (size_t i = 0; i < layout->pieces.n; i++) {
		const struct piece *a = &layout->pieces.v[i];

		for (size_t j = 0; j < i; j++) {
			const struct piece *b = &layout->pieces.v[j];

			if (a->host - b->host < b->size_bytes || b->host - a->host < a->size_bytes)
				return err_set(err, -EBADMSG, "'%s' and '%s' lie in one place",
					       a->block, b->block);
		}
	}
	return 0;
}

int place_by_size(struct remote *remote, const struct qemu_args *args, const struct maps *maps,
		  struct ram_layout *layout, struct err *err)
{
	for (size_t i = 0; i < layout->pieces.n; i++) {
		struct piece *piece = &layout->pieces.v[i];
		struct want want;
		uint64_t host = 0;
		int r;

		want_block(args, layout, piece->block, &want);
		r = place_block(remote, maps, &want, &host, err);
		if (r < 0)
			return r;
		if (!in_one_run(maps, host + piece->offset, piece->size_bytes))
			return err_set(err, -EBADMSG, "'%s' lies in several areas", piece->block);
		piece->host = host + piece->offset;
	}
	return check_distinct(layout, err);
}
