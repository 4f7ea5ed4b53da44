/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cores of Xen domains, as `xl dump-core` and ram_dump() write them (Xen's
 * docs/misc/dump-core-format.txt): ELF without program headers. What is of interest lies in
 * sections: .xen_pages, one page after the other; .xen_p2m of PV guests, the guest's and the
 * machine's frame of each of them; .xen_pfn of others, the guest's alone; .xen_prstatus, a
 * context of each vCPU.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "ram/image_map.h"
#include "ram/machine.h"
#include "ram/xen_context.h"

#define ENTRIES_BATCH	512u
#define FRAME_NONE	UINT64_MAX		/* XC_CORE_INVALID_PFN: it could not be read */
#define FRAME_END	(1ull << 40)

/* A name in the format has less. */
#define NAME_MAX_BYTES	24u

enum { PAGES, P2M, PFN, STATUS, SECTIONS };

struct core {
	const struct image_source *source;
	struct image_map *map;
	Elf64_Shdr section[SECTIONS];		/* sh_type 0: it is not there */
	uint64_t pages_n;
};

/* An entry of .xen_p2m; one of .xen_pfn is the first half of it. */
struct entry {
	uint64_t guest, machine;
};

static int find_sections(struct core *core, const Elf64_Ehdr *header, struct err *err)
{
	static const char *const names[SECTIONS] = {
		".xen_pages", ".xen_p2m", ".xen_pfn", ".xen_prstatus",
	};
	Elf64_Shdr sections[IMAGE_SECTIONS_MAX];
	int r;

	if (header->e_shnum > IMAGE_SECTIONS_MAX || header->e_shstrndx >= header->e_shnum ||
	    header->e_shentsize != sizeof(*sections))
		return err_set(err, -EBADMSG, "an ELF core of %u sections, and no memory",
			       header->e_shnum);
	r = image_source_read(core->source, header->e_shoff, sections,
			      header->e_shnum * sizeof(*sections), err);
	for (unsigned i = 0; i < header->e_shnum && r >= 0; i++) {
		uint64_t table = sections[header->e_shstrndx].sh_offset, at;
		char name[NAME_MAX_BYTES] = "";

		/* A name may be the last thing in the file. */
		if (__builtin_add_overflow(table, sections[i].sh_name, &at))
			continue;
		for (size_t n = 0; n < sizeof(name) - 1; n++)
			if (image_source_read(core->source, at + n, name + n, 1, NULL) < 0 ||
			    !name[n])
				break;
		for (size_t n = 0; n < SECTIONS; n++)
			if (!strncmp(name, names[n], sizeof(name)) && sections[i].sh_type)
				core->section[n] = sections[i];
	}
	return r < 0 ? wrap(err, -EBADMSG, "section headers") : 0;
}

static bool is_pv(const struct core *core)
{
	return core->section[P2M].sh_type;
}

static uint64_t entry_bytes(const struct core *core)
{
	return is_pv(core) ? sizeof(struct entry) : sizeof(uint64_t);
}

static const Elf64_Shdr *entries_of(const struct core *core)
{
	return &core->section[is_pv(core) ? P2M : PFN];
}

static int check_sections(struct core *core, struct err *err)
{
	const Elf64_Shdr *pages = &core->section[PAGES], *entries = entries_of(core);

	if (!pages->sh_type || !entries->sh_type)
		return err_set(err, -EBADMSG, "an ELF core without memory in it");
	core->pages_n = entries->sh_size / entry_bytes(core);
	if (pages->sh_offset > INT64_MAX || pages->sh_size > INT64_MAX - pages->sh_offset ||
	    entries->sh_offset > INT64_MAX ||
	    pages->sh_size / GUEST_PAGE_SIZE < core->pages_n)
		return err_set(err, -EBADMSG, "a core of Xen with %" PRIu64 " frames in %" PRIu64
			       " bytes", core->pages_n, pages->sh_size);
	return 0;
}

/* Entries from @first on; those that are beyond the file are an error. */
static int read_entries(const struct core *core, uint64_t first, uint32_t n, struct entry *to,
			struct err *err)
{
	uint64_t guest[ENTRIES_BATCH], at = entries_of(core)->sh_offset;
	int r;

	at += first * entry_bytes(core);
	if (is_pv(core)) {
		r = image_source_read(core->source, at, to, n * sizeof(*to), err);
	} else {
		r = image_source_read(core->source, at, guest, n * sizeof(*guest), err);
		for (uint32_t i = 0; i < n && r >= 0; i++)
			to[i] = (struct entry){ .guest = guest[i] };
	}
	return r < 0 ? wrap(err, r == -EFAULT ? -EBADMSG : r, "which frames the core has") : 0;
}

static int add_page(const struct core *core, uint64_t i, const struct entry *entry,
		    struct err *err)
{
	const uint64_t most = is_pv(core) ? MACHINE_FRAMES_MAX : FRAME_END;

	if (entry->guest == FRAME_NONE)
		return 0;
	if (entry->guest >= most)
		return err_set(err, -EBADMSG, "a core of Xen with frame %#" PRIx64, entry->guest);
	if (core->map->parts.n >= IMAGE_HEADERS_MAX)
		return err_set(err, -ELOOP, "a core of Xen in over %u pieces", IMAGE_HEADERS_MAX);
	if (is_pv(core) && entry->guest >= core->map->frames_n)
		core->map->frames_n = (uint32_t)entry->guest + 1;
	return image_map_add(core->map, core->source, entry->guest << GUEST_PAGE_SHIFT,
			     (entry->guest + 1) << GUEST_PAGE_SHIFT,
			     core->section[PAGES].sh_offset + (i << GUEST_PAGE_SHIFT), err);
}

/* What page tables lead to: only where the page is said to be in the core. */
static void add_frame(const struct core *core, const struct entry *entry)
{
	if (entry->guest < core->map->frames_n && entry->machine < MACHINE_NONE)
		core->map->frames[entry->guest] = (uint32_t)entry->machine;
}

static int add_memory(struct core *core, struct err *err)
{
	struct image_map *map = core->map;
	struct entry entries[ENTRIES_BATCH];
	int r = 0;

	for (unsigned pass = 0; pass < 2 && r >= 0; pass++) {
		if (pass && !map->frames_n)
			break;
		if (pass) {
			map->frames = malloc(map->frames_n * sizeof(*map->frames));
			if (!map->frames)
				return err_set(err, -ENOMEM, "no memory for machine frames");
			memset(map->frames, 0xff, map->frames_n * sizeof(*map->frames));
		}
		for (uint64_t i = 0; i < core->pages_n && r >= 0; i += ENTRIES_BATCH) {
			uint32_t n = core->pages_n - i < ENTRIES_BATCH ?
					     (uint32_t)(core->pages_n - i) : ENTRIES_BATCH;

			r = read_entries(core, i, n, entries, err);
			for (uint32_t j = 0; j < n && r >= 0; j++) {
				if (pass)
					add_frame(core, &entries[j]);
				else
					r = add_page(core, i + j, &entries[j], err);
			}
		}
	}
	return r;
}

/* What makes no sense is passed over: memory is worth reading without. */
static int add_cpus(struct core *core, struct err *err)
{
	const Elf64_Shdr *status = &core->section[STATUS];
	cleanup(freep) struct vcpu_guest_context *context = NULL;
	uint64_t n = status->sh_size / sizeof(*context);

	if (!status->sh_type || status->sh_size % sizeof(*context) || n > CPUS_MAX ||
	    status->sh_offset > INT64_MAX)
		return 0;
	context = malloc(sizeof(*context));
	if (!context)
		return err_set(err, -ENOMEM, "no memory for registers");
	for (uint64_t i = 0; i < n; i++) {
		struct registers registers, *slot;

		if (image_source_read(core->source, status->sh_offset + i * sizeof(*context),
				      context, sizeof(*context), NULL) < 0)
			return 0;
		if (!xen_context_read(context, is_pv(core), &registers))
			continue;
		slot = vec_add(&core->map->cpus);
		if (!slot)
			return err_set(err, -ENOMEM, "no memory for registers");
		*slot = registers;
	}
	return 0;
}

int image_xen(const struct image_source *source, const Elf64_Ehdr *header, struct image_map *map,
	      struct err *err)
{
	struct core core = { .source = source, .map = map };
	int r = find_sections(&core, header, err);

	map->format = "Xen core";
	if (r >= 0)
		r = check_sections(&core, err);
	if (r >= 0)
		r = add_memory(&core, err);
	return r < 0 ? r : add_cpus(&core, err);
}
