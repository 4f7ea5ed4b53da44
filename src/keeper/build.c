/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/build.h"

#include <dirent.h>
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/format.h"
#include "base/addr.h"
#include "base/cleanup.h"
#include "base/limits.h"
#include "reference/elf.h"

#define NOTE_HEAD	16u		/* Elf64_Nhdr and "GNU" */
#define ADDRESS_MAX	(1ull << 46)	/* nothing is linked above: sums below cannot wrap */

const char *build_kind_name(enum build_kind kind)
{
	static const char *const names[] = {
		"constants", "code", "relocated constants", "data",
	};

	return names[kind];
}

static uint64_t page_down(uint64_t at)
{
	return at & ~GUEST_PAGE_MASK;
}

static uint64_t page_up(uint64_t at)
{
	return (at + GUEST_PAGE_MASK) & ~GUEST_PAGE_MASK;
}

static void elf_drop(struct elf_file *elf)
{
	elf_free(elf);
}

void build_free(struct build **build)
{
	if (!*build)
		return;
	free((*build)->path);
	blob_free(&(*build)->file);
	vec_free(&(*build)->ranges);
	vec_free(&(*build)->relocations);
	free(*build);
	*build = NULL;
}

static int add_range(struct build *build, enum build_kind kind, uint64_t start, uint64_t end,
		     const struct elf_segment *segment, uint64_t offset)
{
	uint64_t first = page_down(segment->at), file_end = segment->at + segment->file_bytes;
	struct build_range *range;

	if (start >= end)
		return 0;
	range = vec_add(&build->ranges);
	if (!range)
		return -ENOMEM;
	/* A page that is not written to has the file's bytes behind the segment's end, too. */
	if (kind == BUILD_CONST || kind == BUILD_CODE)
		file_end = page_up(file_end);
	*range = (struct build_range){
		.kind = kind, .start = start, .end = end, .offset = offset + (start - first),
		.file_bytes = file_end <= start ? 0 : file_end < end ? file_end - start :
								      end - start,
	};
	return 0;
}

/* A writable segment begins with what becomes read-only. */
static int add_segment(struct build *build, const struct elf_file *elf,
		       const struct elf_segment *segment, struct err *err)
{
	uint64_t offset = (uint64_t)(segment->bytes - elf->data), relro;
	uint64_t start = page_down(segment->at), end;
	int r;

	if (segment->at > ADDRESS_MAX || segment->size_bytes > ADDRESS_MAX ||
	    elf->relro_at > ADDRESS_MAX || elf->relro_bytes > ADDRESS_MAX ||
	    (segment->at & GUEST_PAGE_MASK) != (offset & GUEST_PAGE_MASK) ||
	    (segment->flags & PF_W && segment->flags & PF_X) ||
	    (!(segment->flags & PF_W) && segment->file_bytes != segment->size_bytes))
		return err_set(err, -EBADMSG, "a segment that cannot be mapped as it is");
	end = page_up(segment->at + segment->size_bytes);
	if (build->ranges.n && start < build->ranges.v[build->ranges.n - 1].end)
		return err_set(err, -EBADMSG, "segments that overlap, or out of order");
	offset = page_down(offset);
	if (!(segment->flags & PF_W))
		return add_range(build, segment->flags & PF_X ? BUILD_CODE : BUILD_CONST, start,
				 end, segment, offset);
	/* mprotect(2) takes whole pages: the last part of one stays writable. */
	relro = page_down(elf->relro_at + elf->relro_bytes);
	if (!elf->relro_bytes || page_down(elf->relro_at) != start || relro > end)
		relro = start;
	r = add_range(build, BUILD_RELRO, start, relro, segment, offset);
	return r < 0 ? r : add_range(build, BUILD_DATA, relro, end, segment, offset);
}

static const struct build_range *range_at(const struct build *build, uint64_t at)
{
	for (size_t i = 0; i < build->ranges.n; i++)
		if (at >= build->ranges.v[i].start && at < build->ranges.v[i].end)
			return &build->ranges.v[i];
	return NULL;
}

const struct build_range *build_range(const struct build *build, enum build_kind kind)
{
	for (size_t i = 0; i < build->ranges.n; i++)
		if (build->ranges.v[i].kind == kind)
			return &build->ranges.v[i];
	return NULL;
}

static int add_relocation(struct build *build, const Elf64_Rela *raw, struct err *err)
{
	const struct build_range *range = range_at(build, raw->r_offset);
	struct build_relocation *relocation;
	uint32_t type = ELF64_R_TYPE(raw->r_info);

	if (type == R_X86_64_NONE)
		return 0;
	if (!range || range->kind == BUILD_CONST || range->kind == BUILD_CODE ||
	    (raw->r_offset & GUEST_PAGE_MASK) > GUEST_PAGE_SIZE - sizeof(uint64_t))
		return err_set(err, -EBADMSG, "a relocation of what is not written to");
	if (type != R_X86_64_RELATIVE && type != R_X86_64_IRELATIVE && type != R_X86_64_TPOFF64 &&
	    type != R_X86_64_DTPMOD64)
		return err_set(err, -EBADMSG, "a relocation of type %u: it is not static", type);
	if (range->kind == BUILD_DATA ||
	    (type != R_X86_64_RELATIVE && type != R_X86_64_IRELATIVE))
		return 0;
	if (build->relocations.n == KO_RELOCATIONS_MAX)
		return err_set(err, -ELOOP, "over %u relocations", KO_RELOCATIONS_MAX);
	relocation = vec_add(&build->relocations);
	if (!relocation)
		return -ENOMEM;
	*relocation = (struct build_relocation){
		.at = raw->r_offset, .addend = (uint64_t)raw->r_addend,
		.indirect = type == R_X86_64_IRELATIVE,
	};
	return 0;
}

static int by_address(const void *a, const void *b)
{
	const struct build_relocation *x = a, *y = b;

	return x->at < y->at ? -1 : x->at > y->at;
}

static int read_relocations(struct build *build, const struct elf_file *elf, struct err *err)
{
	for (size_t i = 1; i < elf->sections.n; i++) {
		const struct elf_section *section = &elf->sections.v[i];

		if (!(section->flags & SHF_ALLOC))
			continue;
		if (section->type == SHT_REL || section->type == 19 /* SHT_RELR */)
			return err_set(err, -EBADMSG, "relocations of another kind than RELA");
		if (section->type != SHT_RELA || !section->bytes)
			continue;
		for (uint64_t at = 0; section->size_bytes - at >= sizeof(Elf64_Rela);
		     at += sizeof(Elf64_Rela)) {
			Elf64_Rela raw;
			int r;

			memcpy(&raw, section->bytes + at, sizeof(raw));
			r = add_relocation(build, &raw, err);
			if (r < 0)
				return r;
		}
	}
	if (build->relocations.n)
		qsort(build->relocations.v, build->relocations.n,
		      sizeof(*build->relocations.v), by_address);
	return 0;
}

/* Where the running program has its build ID. */
static int read_id(struct build *build, const struct elf_file *elf, struct err *err)
{
	const struct elf_section *note = elf_find(elf, ".note.gnu.build-id");
	const struct build_range *range;

	if (!note || !note->bytes || note->size_bytes <= NOTE_HEAD ||
	    note->size_bytes - NOTE_HEAD > sizeof(build->id_bytes) ||
	    elf_build_id(elf, build->id) < 0)
		return err_set(err, -EBADMSG, "it has no build ID");
	build->id_size = (uint32_t)(note->size_bytes - NOTE_HEAD);
	memcpy(build->id_bytes, note->bytes + NOTE_HEAD, build->id_size);
	build->id_at = note->at + NOTE_HEAD;
	range = range_at(build, build->id_at);
	if (!range || range->kind != BUILD_CONST ||
	    (build->id_at & GUEST_PAGE_MASK) + build->id_size > GUEST_PAGE_SIZE)
		return err_set(err, -EBADMSG, "its build ID is not where it is mapped");
	return 0;
}

static int read_all(struct build *build, const struct elf_file *elf, struct err *err)
{
	const struct elf_section *anchor = elf_find(elf, AGENT_ANCHOR_SECTION);
	const struct build_range *range;
	int r = 0;

	if (!anchor)
		return err_set(err, -ENOENT, "it is not an agent: section %s is missing",
			       AGENT_ANCHOR_SECTION);
	if (elf->type != ET_DYN && elf->type != ET_EXEC)
		return err_set(err, -EBADMSG, "it is not a program");
	if (elf_find(elf, ".interp"))
		return err_set(err, -EBADMSG, "it is not static");
	for (size_t i = 0; i < elf->segments.n && r >= 0; i++)
		r = add_segment(build, elf, &elf->segments.v[i], err);
	if (r >= 0)
		r = read_relocations(build, elf, err);
	if (r >= 0)
		r = read_id(build, elf, err);
	if (r < 0)
		return r;
	build->anchor = anchor->at;
	range = range_at(build, anchor->at);
	if (!range || range->kind != BUILD_DATA || anchor->at & GUEST_PAGE_MASK ||
	    anchor->size_bytes < sizeof(struct agent_anchor) ||
	    anchor->size_bytes > range->end - anchor->at)
		return err_set(err, -EBADMSG, "its anchor is of another version");
	if (!build_range(build, BUILD_CODE))
		return err_set(err, -EBADMSG, "it has no code");
	return 0;
}

int build_read(struct blob *file, const char *path, struct build **ret, struct err *err)
{
	cleanup(build_free) struct build *build = calloc(1, sizeof(*build));
	cleanup(elf_drop) struct elf_file elf = {0};
	int r;

	if (build) {
		build->file = *file;
		*file = (struct blob){0};
		build->path = strdup(path);
	}
	if (!build || !build->path) {
		blob_free(file);
		return err_set(err, -ENOMEM, "no memory for a copy of the agent");
	}
	r = elf_read(build->file.data, build->file.size, &elf, err);
	if (r >= 0)
		r = read_all(build, &elf, err);
	if (r < 0)
		return r == -ENOMEM ? err_set(err, r, "no memory for a copy of the agent") : r;
	*ret = take_ptr(&build);
	return 0;
}

/* --- a page of the running program --- */

/* The first relocation from @at on. */
static size_t relocation_from(const struct build *build, uint64_t at)
{
	size_t low = 0, high = build->relocations.n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (build->relocations.v[middle].at < at)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool is_relocated(const struct build *build, const struct build_relocation *relocation,
			 uint64_t bias, uint64_t value)
{
	const struct build_range *range;

	if (!relocation->indirect)
		return value == bias + relocation->addend;
	range = range_at(build, value - bias);
	return range && range->kind == BUILD_CODE;
}

static bool compare_relro(const struct build *build, uint64_t at, uint64_t bias,
			  const uint8_t *page, uint32_t *where)
{
	for (size_t i = relocation_from(build, at); i < build->relocations.n; i++) {
		const struct build_relocation *relocation = &build->relocations.v[i];
		uint64_t value;

		if (relocation->at >= at + GUEST_PAGE_SIZE)
			break;
		memcpy(&value, page + (relocation->at - at), sizeof(value));
		if (is_relocated(build, relocation, bias, value))
			continue;
		*where = (uint32_t)(relocation->at - at);
		return false;
	}
	return true;
}

bool build_compare(const struct build *build, const struct build_range *range, uint64_t at,
		   uint64_t bias, const uint8_t *page, uint32_t *where)
{
	uint64_t offset = range->offset + (at - range->start), left;
	uint32_t of_file;

	if (range->kind == BUILD_RELRO)
		return compare_relro(build, at, bias, page, where);
	left = offset < build->file.size ? build->file.size - offset : 0;
	of_file = left < GUEST_PAGE_SIZE ? (uint32_t)left : GUEST_PAGE_SIZE;
	if (!memcmp(page, build->file.data + offset, of_file) && of_file == GUEST_PAGE_SIZE)
		return true;
	for (uint32_t i = 0; i < GUEST_PAGE_SIZE; i++) {
		if (page[i] == (i < of_file ? build->file.data[offset + i] : 0))
			continue;
		*where = i;
		return false;
	}
	return true;
}

/* --- what the host has --- */

static int read_file(int dir, const char *name, struct blob *ret, struct err *err)
{
	cleanup(fd_close) int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	cleanup(blob_free) struct blob blob = {0};
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st))
		return err_set(err, -errno, "%s", strerror(errno));
	if (!S_ISREG(st.st_mode))
		return err_set(err, -EBADMSG, "not a regular file");
	if (st.st_size > AGENT_FILE_MAX)
		return err_set(err, -ELOOP, "over %u MiB", AGENT_FILE_MAX >> 20);
	blob.size = (size_t)st.st_size;
	blob.data = malloc(blob.size + 1);
	if (!blob.data)
		return err_set(err, -ENOMEM, "no memory for a copy of the agent");
	for (size_t at = 0; at < blob.size; at += (size_t)n) {
		n = pread(fd, blob.data + at, blob.size - at, (off_t)at);
		if (n <= 0)
			return err_set(err, n ? -errno : -EIO, "it cannot be read");
	}
	*ret = blob;
	blob = (struct blob){0};
	return 0;
}

static int keep(struct builds *builds, struct build **build, struct err *err)
{
	struct build **slot;

	for (size_t i = 0; i < builds->all.n; i++)
		if (!strcmp(builds->all.v[i]->id, (*build)->id))
			return 0;
	if (builds->all.n == AGENT_BUILDS_MAX)
		return err_set(err, -ELOOP, "over %u agents", AGENT_BUILDS_MAX);
	slot = vec_add(&builds->all);
	if (!slot)
		return err_set(err, -ENOMEM, "no memory for a copy of the agent");
	*slot = take_ptr(build);
	return 0;
}

static int add_file(struct builds *builds, int dir, const char *name, const char *path,
		    struct err *err)
{
	cleanup(build_free) struct build *build = NULL;
	struct blob blob = {0};
	int r = read_file(dir, name, &blob, err);

	if (r >= 0)
		r = build_read(&blob, path, &build, err);
	return r < 0 ? r : keep(builds, &build, err);
}

static int add_directory(struct builds *builds, DIR *dir, const char *path, struct err *err)
{
	const struct dirent *entry;
	size_t before = builds->all.n;
	int r;

	while ((entry = readdir(dir))) {
		char text[PATH_BYTES_MAX];
		struct stat st;

		if (entry->d_name[0] == '.' || fstatat(dirfd(dir), entry->d_name, &st, 0) ||
		    !S_ISREG(st.st_mode))
			continue;
		snprintf(text, sizeof(text), "%s/%s", path, entry->d_name);
		r = add_file(builds, dirfd(dir), entry->d_name, text, err);
		if (r < 0 && r != -ENOENT && r != -EBADMSG)
			return wrap(err, r, "agent '%s'", text);
	}
	return builds->all.n > before ? 0 :
	       err_set(err, -ENOENT, "no agent in directory '%s'", path);
}

int builds_add(struct builds *builds, const char *path, struct err *err)
{
	cleanup(dir_close) DIR *dir = opendir(path);
	int r;

	if (dir)
		return add_directory(builds, dir, path, err);
	r = add_file(builds, AT_FDCWD, path, path, err);
	return r < 0 ? wrap(err, r, "agent '%s'", path) : 0;
}

void builds_free(struct builds *builds)
{
	for (size_t i = 0; i < builds->all.n; i++)
		build_free(&builds->all.v[i]);
	vec_free(&builds->all);
}
