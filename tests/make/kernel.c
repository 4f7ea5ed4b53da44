/* SPDX-License-Identifier: Apache-2.0 */
#include "make/kernel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "guest/paging.h"
#include "make/btf.h"

#define SYMBOLS	  4200u		/* the parser takes fewer for no kernel */
#define PMD_BYTES (2ull << 20)
#define PMDS	  10u
#define RWX	  (PTE_PRESENT | PTE_WRITE)
#define FIXMAP	  0xffffffffff000000ull

/* What kernel.c asks of the kernel's types. */
enum { CANARY = 0, CHILDREN = 8, SIBLING = 24, START = 40, RELEASE = 65 };

struct kernel_in kernel_in_default(void)
{
	return (struct kernel_in){
		.text = 0xffffffff9a400000,
		.image = 0x1200000,
		.page_offset = 0xffff9c0000000000,
		.levels = 4,
		.layout = NEW,
		.cpus = 4,
		.canary = 0x1122334455667700,
		.banner = "Linux version 6.12.0-made (nobody@nowhere) #1 SMP\n",
	};
}

static size_t make_types(uint8_t *image)
{
	cleanup(freep) uint8_t *blob = NULL;
	struct btf b = {0};
	uint32_t u8 = btf_int(&b, "char", 1), u32 = btf_int(&b, "int", 4);
	uint32_t u64 = btf_int(&b, "long", 8);
	uint32_t pointer = btf_pointer(&b, 0), list, text, release;
	size_t size;

	text = btf_array(&b, u8, 65);
	list = btf_type(&b, "list_head", BTF_STRUCT, 2, false, 16);
	btf_member(&b, "next", pointer, 0);
	btf_member(&b, "prev", pointer, 64);
	release = btf_type(&b, "new_utsname", BTF_STRUCT, 1, false, 2 * RELEASE);
	btf_member(&b, "release", text, 8 * RELEASE);
	btf_type(&b, "uts_namespace", BTF_STRUCT, 1, false, 2 * RELEASE);
	btf_member(&b, "name", release, 0);
	btf_type(&b, "task_struct", BTF_STRUCT, 4, false, 64);
	btf_member(&b, "stack_canary", u64, 8 * CANARY);
	btf_member(&b, "children", list, 8 * CHILDREN);
	btf_member(&b, "sibling", list, 8 * SIBLING);
	btf_member(&b, "start_boottime", u64, 8 * START);
	btf_type(&b, "system_states", BTF_ENUM, 2, false, 4);
	btf_u32(&b, btf_name(&b, "SYSTEM_BOOTING"));
	btf_u32(&b, 0);
	btf_u32(&b, btf_name(&b, "SYSTEM_RUNNING"));
	btf_u32(&b, 3);
	btf_type(&b, "number", BTF_TYPEDEF, 0, false, u32);
	blob = btf_make(&b, &size);
	btf_free(&b);
	if (size > KERNEL_KALLSYMS - KERNEL_BTF)
		abort();
	memcpy(image + KERNEL_BTF, blob, size);
	return size;
}

static int by_address(const void *a, const void *b)
{
	const struct symbol_in *x = a, *y = b;

	return (x->at > y->at) - (x->at < y->at);
}

/* The symbols that are asked for, and many that are not. */
static void make_symbols(const struct kernel_in *in, uint8_t *image, size_t btf_bytes)
{
	const struct { const char *name; size_t at; } known[] = {
		{ "_text", 0 }, { "init_top_pgt", KERNEL_ROOT }, { "linux_banner", KERNEL_BANNER },
		{ "phys_base", KERNEL_PHYS_BASE }, { "page_offset_base", KERNEL_PAGE_OFFSET },
		{ "nr_cpu_ids", KERNEL_CPUS }, { "system_state", KERNEL_STATE },
		{ "jiffies_64", KERNEL_JIFFIES }, { "__per_cpu_offset", KERNEL_PER_CPU },
		{ "init_uts_ns", KERNEL_UTS }, { "__start_notes", KERNEL_NOTES },
		{ "__stop_notes", KERNEL_NOTES + 36 }, { "init_task", KERNEL_INIT_TASK },
		{ "__start_BTF", KERNEL_BTF }, { "__stop_BTF", KERNEL_BTF + btf_bytes },
	};
	static struct symbol_in symbols[SYMBOLS];
	static char names[SYMBOLS][8];

	for (unsigned i = 0; i < SYMBOLS; i++) {
		bool is_known = i < ARRAY_SIZE(known);

		snprintf(names[i], sizeof(names[i]), "f%u", i);
		symbols[i].name = is_known ? known[i].name : names[i];
		symbols[i].at = in->text + (is_known ? known[i].at : KERNEL_KALLSYMS + i);
		symbols[i].type = is_known ? 'D' : 't';
		if (in->without && !strcmp(symbols[i].name, in->without))
			symbols[i].name = names[i];
	}
	symbols[SYMBOLS - 1] = (struct symbol_in){ "_end", 'B', in->text + KERNEL_END };
	if (in->without && !strcmp("_end", in->without))
		symbols[SYMBOLS - 1].name = "_fin";
	for (unsigned i = 0; i < SYMBOLS && in->moved; i++)
		if (!strcmp(symbols[i].name, in->moved))
			symbols[i].at = in->moved_to;
	qsort(symbols, SYMBOLS, sizeof(symbols[0]), by_address);
	kallsyms_make(image, KERNEL_END, KERNEL_KALLSYMS, in->text, symbols, SYMBOLS, in->layout,
		      0);
}

static void put(uint8_t *image, size_t at, uint64_t value)
{
	memcpy(image + at, &value, sizeof(value));
}

static void make_variables(const struct kernel_in *in, uint8_t *image)
{
	static const uint8_t note[] = { 4, 0, 0, 0, 20, 0, 0, 0, 3, 0, 0, 0, 'G', 'N', 'U', 0,
		1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20 };
	uint64_t first = in->page_offset + in->image + KERNEL_FIRST_TASK;

	snprintf((char *)image + KERNEL_BANNER, 512, "%s", in->banner);
	strcpy((char *)image + KERNEL_UTS + RELEASE, "6.12.0-made");
	memcpy(image + KERNEL_NOTES, note, sizeof(note));
	put(image, KERNEL_PHYS_BASE, in->image - (in->text - 0xffffffff80000000));
	put(image, KERNEL_PAGE_OFFSET, in->page_offset);
	put(image, KERNEL_CPUS, in->cpus);
	put(image, KERNEL_STATE, 3);
	put(image, KERNEL_JIFFIES, 0x100012345);
	for (unsigned i = 0; i < in->cpus && i < 16; i++)
		put(image, KERNEL_PER_CPU + 8 * i, 0xffff800012340000 + 0x1000 * i);
	put(image, KERNEL_INIT_TASK + CANARY, in->canary);
	put(image, KERNEL_INIT_TASK + CHILDREN, first + SIBLING);
	put(image, KERNEL_FIRST_TASK + START, 374843069);
}

void kernel_make(struct memory *m, const struct kernel_in *in)
{
	struct space space = { gpa_of(in->image + KERNEL_ROOT), in->levels };
	uint8_t *image = calloc(1, KERNEL_END);
	uint64_t top;

	if (!image)
		abort();
	make_symbols(in, image, make_types(image));
	make_variables(in, image);
	memory_write(m, in->image, image, KERNEL_END);
	free(image);

	m->next_table = in->image + KERNEL_END;
	for (unsigned i = 0; i < PMDS; i++) {
		memory_map(m, space, in->text + i * PMD_BYTES, in->image + i * PMD_BYTES, 2, RWX);
		memory_map(m, space, in->page_offset + in->image + i * PMD_BYTES,
			   in->image + i * PMD_BYTES, 2, RWX | PTE_NX);
	}
	memory_map(m, space, FIXMAP, 0, 1, RWX);
	memcpy(&top, (uint8_t *)memory_page(m, space.root.v) + 8 * 511, 8);
	if (!in->no_trampoline)
		memory_u64(m, KERNEL_TRAMPOLINE + 8 * 511, top);
}
