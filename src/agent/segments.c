/* SPDX-License-Identifier: Apache-2.0 */

#include "agent/segments.h"

#include <elf.h>
#include <string.h>
#include <unistd.h>

/* The kernel refuses more program headers than fit in 64 KiB (load_elf_phdrs, fs/binfmt_elf.c). */
#define PHDRS_MAX   (65536u / sizeof(Elf32_Phdr))
#define PHDRS_CHUNK 64u

struct load {
	uint64_t offset, size_bytes;
	bool executable;
};

static uint64_t pages_of(uint64_t bytes)
{
	return bytes / AGENT_PAGE_BYTES + (bytes % AGENT_PAGE_BYTES != 0);
}

int segments_all(uint64_t size_bytes, struct segments *segments)
{
	uint64_t pages = pages_of(size_bytes);

	if (pages > UINT32_MAX)
		return -EFBIG;
	*segments = (struct segments){ .n = pages > 0, .pages = (uint32_t)pages };
	segments->v[0].pages = pages;
	return 0;
}

/* 1: all of it is there, 0: the file ends before. */
static int read_at(int fd, void *buf, size_t n, uint64_t offset)
{
	size_t done = 0;

	if (offset > INT64_MAX - n)
		return 0;
	while (done < n) {
		ssize_t got = pread(fd, (uint8_t *)buf + done, n - done, (off_t)(offset + done));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			return 0;
		done += (size_t)got;
	}
	return 1;
}

/* Put [first, end) in its place, and join it with those that it touches. False: no room. */
static bool segments_add(struct segments *segments, uint64_t first, uint64_t end)
{
	uint32_t i = 0, gone = 0;

	while (i < segments->n && segments->v[i].first_page + segments->v[i].pages < first)
		i++;
	while (i + gone < segments->n && segments->v[i + gone].first_page <= end) {
		const struct agent_segment *old = &segments->v[i + gone];

		if (old->first_page < first)
			first = old->first_page;
		if (old->first_page + old->pages > end)
			end = old->first_page + old->pages;
		gone++;
	}
	if (segments->n - gone == SEGMENTS_MAX)
		return false;
	memmove(&segments->v[i + 1], &segments->v[i + gone],
		(segments->n - i - gone) * sizeof(segments->v[0]));
	segments->v[i] = (struct agent_segment){ first, end - first };
	segments->n = segments->n - gone + 1;
	return true;
}

static struct load load_of(const uint8_t *at, bool wide)
{
	Elf64_Phdr phdr64;
	Elf32_Phdr phdr32;

	if (wide) {
		memcpy(&phdr64, at, sizeof(phdr64));
		return (struct load){ phdr64.p_offset, phdr64.p_filesz,
				      phdr64.p_type == PT_LOAD && (phdr64.p_flags & PF_X) };
	}
	memcpy(&phdr32, at, sizeof(phdr32));
	return (struct load){ phdr32.p_offset, phdr32.p_filesz,
			      phdr32.p_type == PT_LOAD && (phdr32.p_flags & PF_X) };
}

/* The part of it that is in the file; false: there are too many. */
static bool add_load(struct segments *segments, const struct load *load, uint64_t size_bytes)
{
	uint64_t end;

	if (!load->executable || !load->size_bytes || load->offset >= size_bytes)
		return true;
	end = load->size_bytes > size_bytes - load->offset ? size_bytes :
	      load->offset + load->size_bytes;
	return segments_add(segments, load->offset / AGENT_PAGE_BYTES, pages_of(end));
}

/* 1: @segments are those of an ELF file; 0: it is none that the kernel would load. */
static int read_elf(int fd, uint64_t size_bytes, struct segments *segments)
{
	uint8_t chunk[PHDRS_CHUNK * sizeof(Elf64_Phdr)];
	union {
		uint8_t ident[EI_NIDENT];
		Elf32_Ehdr e32;
		Elf64_Ehdr e64;
	} header = {0};
	uint64_t at, phdr_bytes;
	uint32_t n;
	bool wide;
	int r;

	r = read_at(fd, &header, sizeof(header.e32), 0);
	if (r > 0 && header.ident[EI_CLASS] == ELFCLASS64)
		r = read_at(fd, &header, sizeof(header.e64), 0);
	if (r <= 0)
		return r;
	wide = header.ident[EI_CLASS] == ELFCLASS64;
	if (memcmp(header.ident, ELFMAG, SELFMAG) != 0 || header.ident[EI_DATA] != ELFDATA2LSB ||
	    (!wide && header.ident[EI_CLASS] != ELFCLASS32))
		return 0;
	/* The kernel goes by the machine (elf_check_arch()), whatever the class says. */
	if (header.e32.e_machine == EM_X86_64 ? !wide :
	    wide && (header.e32.e_machine == EM_386 || header.e32.e_machine == EM_IAMCU))
		return 0;
	phdr_bytes = wide ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
	n = wide ? header.e64.e_phnum : header.e32.e_phnum;
	at = wide ? header.e64.e_phoff : header.e32.e_phoff;
	if ((wide ? header.e64.e_phentsize : header.e32.e_phentsize) != phdr_bytes ||
	    n > PHDRS_MAX)
		return 0;

	for (uint32_t done = 0; done < n; done += PHDRS_CHUNK) {
		uint32_t now = n - done < PHDRS_CHUNK ? n - done : PHDRS_CHUNK;

		r = read_at(fd, chunk, now * phdr_bytes, at + done * phdr_bytes);
		if (r <= 0)
			return r;
		for (uint32_t i = 0; i < now; i++) {
			struct load load = load_of(chunk + i * phdr_bytes, wide);

			if (!add_load(segments, &load, size_bytes))
				return 0;
		}
	}
	return 1;
}

int segments_read(int fd, uint64_t size_bytes, struct segments *segments)
{
	struct segments found = { .elf = true };
	uint64_t pages = 0;
	int r;

	if (pages_of(size_bytes) > UINT32_MAX)
		return -EFBIG;
	r = read_elf(fd, size_bytes, &found);
	if (r < 0)
		return r;
	if (r == 0)
		return segments_all(size_bytes, segments);
	for (uint32_t i = 0; i < found.n; i++)
		pages += found.v[i].pages;
	found.pages = (uint32_t)pages;
	*segments = found;
	return 0;
}
