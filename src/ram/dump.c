/* SPDX-License-Identifier: Apache-2.0 */
#include "ram/dump.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xen/elfnote.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/vec.h"
#include "ram/machine.h"
#include "ram/xen_context.h"

/* What is read and written at a time. */
#define CHUNK_BYTES (64 * GUEST_PAGE_SIZE)

/* target/i386/arch_dump.c of QEMU. */
struct segment {
	uint32_t selector, limit, flags, padding;
	uint64_t base;
};

struct cpu_state {
	uint32_t version, size;
	uint64_t general[16];
	uint64_t rip, rflags;
	struct segment cs, ds, es, fs, gs, ss, ldt, tr, gdt, idt;
	uint64_t cr[5];
	uint64_t kernel_gs_base;
};

_Static_assert(sizeof(struct cpu_state) == 440, "as QEMU writes it");

struct note {
	Elf64_Nhdr head;
	char name[8];		/* its length is padded to 4 */
};

struct dump {
	int fd;
	uint64_t at;			/* where the file ends */
	VEC(Elf64_Phdr) headers;
	uint8_t *frames;		/* of PV: one bit for each that is in the file */
	uint64_t pages_n;
	_Alignas(8) uint8_t chunk[CHUNK_BYTES];
};

static int write_at(const struct dump *dump, const void *data, size_t n, uint64_t at,
		    struct err *err)
{
	const uint8_t *bytes = data;

	while (n) {
		ssize_t done = pwrite(dump->fd, bytes, n, (off_t)at);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return err_set(err, done < 0 ? -errno : -EIO, "writing the dump: %s",
				       strerror(done < 0 ? errno : EIO));
		bytes += done;
		at += (uint64_t)done;
		n -= (size_t)done;
	}
	return 0;
}

static int append(struct dump *dump, const void *data, size_t n, struct err *err)
{
	int r = write_at(dump, data, n, dump->at, err);

	if (r == 0)
		dump->at += n;
	return r;
}

/* What was read of @at on: to the last run, where it goes on there. */
static int add(struct dump *dump, uint64_t at, size_t n, struct err *err)
{
	Elf64_Phdr *last = dump->headers.n ? &dump->headers.v[dump->headers.n - 1] : NULL;

	dump->pages_n += n / GUEST_PAGE_SIZE;
	if (dump->frames) {
		for (size_t i = 0; i < n / GUEST_PAGE_SIZE; i++) {
			uint64_t frame = (at >> GUEST_PAGE_SHIFT) + i;

			dump->frames[frame / 8] |= (uint8_t)(1u << frame % 8);
		}
		return append(dump, dump->chunk, n, err);
	}
	if (!last || last->p_type != PT_LOAD || last->p_paddr + last->p_filesz != at) {
		/* The notes' header is among them. */
		if (dump->headers.n >= IMAGE_HEADERS_MAX - 1)
			return err_set(err, -ELOOP, "memory in over %u pieces",
				       IMAGE_HEADERS_MAX - 1);
		last = vec_add(&dump->headers);
		if (!last)
			return err_set(err, -ENOMEM, "no memory for a dump");
		*last = (Elf64_Phdr){ .p_type = PT_LOAD, .p_offset = dump->at, .p_paddr = at };
	}
	last->p_filesz += n;
	last->p_memsz += n;
	return append(dump, dump->chunk, n, err);
}

/* Where not all of a chunk can be read, each page for itself. */
static int copy(struct dump *dump, struct ram *ram, uint64_t at, size_t n, struct err *err)
{
	int r = ram_read(ram, gpa_of(at), dump->chunk, n, err);

	if (r == 0)
		return add(dump, at, n, err);
	for (size_t done = 0; done < n && (r == 0 || r == -EFAULT); done += GUEST_PAGE_SIZE) {
		r = ram_read(ram, gpa_of(at + done), dump->chunk, GUEST_PAGE_SIZE, err);
		if (r == 0)
			r = add(dump, at + done, GUEST_PAGE_SIZE, err);
	}
	return r == -EFAULT ? 0 : r;
}

static int copy_all(struct dump *dump, struct ram *ram, struct err *err)
{
	uint64_t at = 0, left;
	gpa start;
	int r;

	while ((r = ram_populated(ram, gpa_of(at), &start, &left, err)) == 0) {
		for (at = start.v; left && r == 0;) {
			size_t n = left < CHUNK_BYTES ? (size_t)left : CHUNK_BYTES;

			r = copy(dump, ram, at, n, err);
			at += n;
			left -= n;
		}
		if (r < 0)
			return r;
	}
	return r == -ENOENT ? 0 : r;
}

static int add_note(struct dump *dump, const struct registers *cpu, struct err *err)
{
	static const struct note note = {
		.head = { .n_namesz = sizeof("QEMU"), .n_descsz = sizeof(struct cpu_state) },
		.name = "QEMU",
	};
	const struct cpu_state state = {
		.version = 1, .size = sizeof(state), .rip = cpu->rip, .cs.selector = cpu->cs,
		.tr.base = cpu->tr,
		.gdt = { .base = cpu->gdt, .limit = cpu->gdt_limit },
		.idt = { .base = cpu->idt, .limit = cpu->idt_limit },
		.cr = { [0] = cpu->cr0, [3] = cpu->cr3, [4] = cpu->cr4 },
	};
	int r = append(dump, &note, sizeof(note), err);

	return r < 0 ? r : append(dump, &state, sizeof(state), err);
}

/* A CPU of which not all of that is known has none: zeros would be taken for its registers. */
static int add_notes(struct dump *dump, const struct ram *ram, struct err *err)
{
	const unsigned needed = REGISTERS_CONTROL | REGISTERS_TABLES | REGISTERS_CODE;
	Elf64_Phdr *header;
	uint64_t from = dump->at;
	int r = 0;

	for (size_t i = 0; i < ram->cpus_n && r == 0; i++)
		if ((ram->cpus[i].have & needed) == needed)
			r = add_note(dump, &ram->cpus[i], err);
	if (r < 0 || dump->at == from)
		return r;
	header = vec_add(&dump->headers);
	if (!header)
		return err_set(err, -ENOMEM, "no memory for a dump");
	*header = (Elf64_Phdr){
		.p_type = PT_NOTE, .p_offset = from, .p_filesz = dump->at - from,
	};
	return 0;
}

/* Last, so that what is cut short is no core. */
static int add_header(struct dump *dump, struct err *err)
{
	Elf64_Ehdr header = {
		.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
			     EV_CURRENT },
		.e_type = ET_CORE, .e_machine = EM_X86_64, .e_version = EV_CURRENT,
		.e_phoff = dump->at, .e_ehsize = sizeof(Elf64_Ehdr),
		.e_phentsize = sizeof(Elf64_Phdr), .e_phnum = (Elf64_Half)dump->headers.n,
	};
	/* elf(5): the number of program headers, where e_phnum has no room for it. */
	Elf64_Shdr section = { .sh_info = (Elf64_Word)dump->headers.n };
	int r = append(dump, dump->headers.v, dump->headers.n * sizeof(*dump->headers.v), err);

	if (r == 0 && dump->headers.n >= PN_XNUM) {
		header.e_phnum = PN_XNUM;
		header.e_shoff = dump->at;
		header.e_shentsize = sizeof(section);
		header.e_shnum = 1;
		r = append(dump, &section, sizeof(section), err);
	}
	return r < 0 ? r : write_at(dump, &header, sizeof(header), 0, err);
}

/* --- a PV guest of Xen: see image_xen.c --- */

enum { XEN_NONE, XEN_NAMES, XEN_NOTES, XEN_STATUS, XEN_P2M, XEN_PAGES, XEN_SECTIONS };

/* XC_CORE_MAGIC, XEN_DUMPCORE_FORMAT_VERSION(0, 1): xenctrl_dom.h and xg_core.h of libxenguest. */
#define XEN_CORE_MAGIC	 0xf00febedull
#define XEN_CORE_VERSION 1ull

struct xen_entry {
	uint64_t guest, machine;
};

/* What has been appended since @from. */
static Elf64_Shdr section(const struct dump *dump, uint32_t type, uint64_t from,
			  uint64_t entry_bytes)
{
	return (Elf64_Shdr){
		.sh_type = type, .sh_offset = from, .sh_size = dump->at - from,
		.sh_entsize = entry_bytes,
	};
}

static int xen_note(struct dump *dump, uint32_t type, const uint64_t *numbers, uint32_t n,
		    struct err *err)
{
	const struct {
		Elf64_Nhdr head;
		char name[4];
	} note = { { sizeof("Xen"), (uint32_t)(n * sizeof(*numbers)), type }, "Xen" };
	int r = append(dump, &note, sizeof(note), err);

	return r < 0 || !n ? r : append(dump, numbers, n * sizeof(*numbers), err);
}

static int xen_notes(struct dump *dump, uint64_t cpus_n, struct err *err)
{
	const uint64_t head[] = { XEN_CORE_MAGIC, cpus_n, dump->pages_n, GUEST_PAGE_SIZE };
	const uint64_t version[] = { XEN_CORE_VERSION };
	int r = xen_note(dump, XEN_ELFNOTE_DUMPCORE_NONE, NULL, 0, err);

	if (r >= 0)
		r = xen_note(dump, XEN_ELFNOTE_DUMPCORE_HEADER, head, ARRAY_SIZE(head), err);
	if (r >= 0)
		r = xen_note(dump, XEN_ELFNOTE_DUMPCORE_FORMAT_VERSION, version,
			     ARRAY_SIZE(version), err);
	return r;
}

static int xen_status(struct dump *dump, const struct ram *ram, uint64_t *cpus_n,
		      struct err *err)
{
	cleanup(freep) struct vcpu_guest_context *context = malloc(sizeof(*context));
	int r = 0;

	if (!context)
		return err_set(err, -ENOMEM, "no memory for a dump");
	for (size_t i = 0; i < ram->cpus_n && r >= 0; i++) {
		if (!(ram->cpus[i].have & REGISTERS_CALLBACKS))
			continue;
		xen_context_write(&ram->cpus[i], context);
		r = append(dump, context, sizeof(*context), err);
		++*cpus_n;
	}
	return r;
}

static int xen_p2m(struct dump *dump, const struct ram *ram, struct err *err)
{
	struct xen_entry *entries = (struct xen_entry *)(void *)dump->chunk;
	size_t n = 0;
	int r = 0;

	for (uint32_t i = 0; i < machine_frames_n(ram->machine) && r >= 0; i++) {
		if (!(dump->frames[i / 8] >> i % 8 & 1))
			continue;
		entries[n++] = (struct xen_entry){ i, machine_of(ram->machine, i) };
		if (n == CHUNK_BYTES / sizeof(*entries)) {
			r = append(dump, entries, CHUNK_BYTES, err);
			n = 0;
		}
	}
	return r < 0 || !n ? r : append(dump, entries, n * sizeof(*entries), err);
}

static const char xen_names[] = "\0.shstrtab\0.note.Xen\0.xen_prstatus\0.xen_p2m\0.xen_pages";

static int xen_header(struct dump *dump, Elf64_Shdr *sections, struct err *err)
{
	const Elf64_Ehdr header = {
		.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
			     EV_CURRENT },
		.e_type = ET_CORE, .e_machine = EM_X86_64, .e_version = EV_CURRENT,
		.e_shoff = dump->at, .e_ehsize = sizeof(Elf64_Ehdr),
		.e_shentsize = sizeof(Elf64_Shdr), .e_shnum = XEN_SECTIONS,
		.e_shstrndx = XEN_NAMES,
	};
	uint32_t name = 0;
	int r;

	for (unsigned i = XEN_NONE; i < XEN_SECTIONS; i++) {
		sections[i].sh_name = name;
		name += (uint32_t)strlen(xen_names + name) + 1;
	}
	r = append(dump, sections, XEN_SECTIONS * sizeof(*sections), err);
	return r < 0 ? r : write_at(dump, &header, sizeof(header), 0, err);
}

static int dump_xen(struct dump *dump, struct ram *ram, struct err *err)
{
	Elf64_Shdr sections[XEN_SECTIONS] = { 0 };
	uint64_t from = dump->at, cpus_n = 0;
	int r = copy_all(dump, ram, err);

	if (r >= 0 && !dump->pages_n)
		r = err_set(err, -ENOENT, "none of its memory can be read");
	sections[XEN_PAGES] = section(dump, SHT_PROGBITS, from, GUEST_PAGE_SIZE);
	from = dump->at;
	if (r >= 0)
		r = xen_p2m(dump, ram, err);
	sections[XEN_P2M] = section(dump, SHT_PROGBITS, from, sizeof(struct xen_entry));
	from = dump->at;
	if (r >= 0)
		r = xen_status(dump, ram, &cpus_n, err);
	sections[XEN_STATUS] = section(dump, SHT_PROGBITS, from,
				       sizeof(struct vcpu_guest_context));
	from = dump->at;
	if (r >= 0)
		r = xen_notes(dump, cpus_n, err);
	sections[XEN_NOTES] = section(dump, SHT_NOTE, from, 0);
	from = dump->at;
	if (r >= 0)
		r = append(dump, xen_names, sizeof(xen_names), err);
	sections[XEN_NAMES] = section(dump, SHT_STRTAB, from, 0);
	return r < 0 ? r : xen_header(dump, sections, err);
}

static void dump_free(struct dump **dump)
{
	if (*dump) {
		vec_free(&(*dump)->headers);
		free((*dump)->frames);
	}
	free(*dump);
}

int ram_dump(struct ram *ram, int fd, struct err *err)
{
	cleanup(dump_free) struct dump *dump = calloc(1, sizeof(*dump));
	int r;

	if (!dump)
		return err_set(err, -ENOMEM, "no memory for a dump");
	dump->fd = fd;
	/* Pages of the file are pages of memory. */
	dump->at = GUEST_PAGE_SIZE;
	if (ram_is_pv(ram)) {
		dump->frames = calloc(1, machine_frames_n(ram->machine) / 8 + 1);
		if (!dump->frames)
			return err_set(err, -ENOMEM, "no memory for a dump");
		return dump_xen(dump, ram, err);
	}
	r = copy_all(dump, ram, err);
	if (r == 0 && !dump->headers.n)
		r = err_set(err, -ENOENT, "none of its memory can be read");
	if (r == 0)
		r = add_notes(dump, ram, err);
	return r < 0 ? r : add_header(dump, err);
}
