/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The notes of an ELF core: for each vCPU QEMU writes its registers (target/i386/arch_dump.c,
 * struct QEMUCPUState). What makes no sense is passed over: memory is worth reading without.
 */
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/limits.h"
#include "ram/image_map.h"

#define STATE_VERSION 1u
#define STATE_BYTES   432u	/* without kernel_gs_base, which came later */

struct segment {
	uint32_t selector;
	uint32_t limit;
	uint64_t base;
};

static struct segment read_segment(struct bytes *b)
{
	struct segment segment = { .selector = bytes_u32(b), .limit = bytes_u32(b) };

	bytes_u64(b);	/* flags */
	segment.base = bytes_u64(b);
	return segment;
}

static int add_state(struct image_map *map, struct bytes b, struct err *err)
{
	struct registers registers = {
		.have = REGISTERS_CONTROL | REGISTERS_TABLES | REGISTERS_CODE,
	};
	struct registers *slot;
	struct segment segment[10];	/* CS DS ES FS GS SS LDT TR GDT IDT */

	if (bytes_u32(&b) != STATE_VERSION || bytes_u32(&b) < STATE_BYTES)
		return 0;
	bytes_take(&b, 16 * sizeof(uint64_t));	/* RAX … R15 */
	registers.rip = bytes_u64(&b);
	bytes_u64(&b);				/* RFLAGS */
	for (size_t i = 0; i < ARRAY_SIZE(segment); i++)
		segment[i] = read_segment(&b);
	registers.cs = (uint16_t)segment[0].selector;
	registers.tr = segment[7].base;
	registers.gdt = segment[8].base;
	registers.gdt_limit = segment[8].limit;
	registers.idt = segment[9].base;
	registers.idt_limit = segment[9].limit;
	registers.cr0 = bytes_u64(&b);
	bytes_take(&b, 2 * sizeof(uint64_t));	/* CR1, CR2 */
	registers.cr3 = bytes_u64(&b);
	registers.cr4 = bytes_u64(&b);
	if (!bytes_ok(&b))
		return 0;
	if (map->cpus.n == CPUS_MAX)
		return err_set(err, -ELOOP, "an ELF core with over %u CPUs", CPUS_MAX);
	slot = vec_add(&map->cpus);
	if (!slot)
		return -ENOMEM;
	*slot = registers;
	return 0;
}

static size_t padded(uint32_t n)
{
	return ((size_t)n + 3) & ~(size_t)3;
}

int image_notes(const struct image_source *source, uint64_t at, uint64_t size_bytes,
		struct image_map *map, struct err *err)
{
	cleanup(freep) uint8_t *notes = NULL;
	struct bytes b;
	int r = 0;

	if (!size_bytes || size_bytes > IMAGE_NOTES_MAX)
		return 0;
	notes = malloc(size_bytes);
	if (!notes)
		return -ENOMEM;
	if (image_source_read(source, at, notes, size_bytes, NULL) < 0)
		return 0;
	b = bytes_of(notes, size_bytes);
	while (r == 0 && b.left >= sizeof(Elf64_Nhdr)) {
		uint32_t name_bytes = bytes_u32(&b), data_bytes = bytes_u32(&b);
		uint32_t type = bytes_u32(&b);
		const uint8_t *name = bytes_take(&b, padded(name_bytes));
		const uint8_t *data = bytes_take(&b, padded(data_bytes));

		if (!bytes_ok(&b))
			break;
		if (type == 0 && name_bytes == sizeof("QEMU") &&
		    !memcmp(name, "QEMU", sizeof("QEMU")))
			r = add_state(map, bytes_of(data, data_bytes), err);
	}
	return r;
}
