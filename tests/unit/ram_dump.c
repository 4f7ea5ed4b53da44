/* SPDX-License-Identifier: Apache-2.0 */
#include "ram/dump.h"

#include <elf.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "ram/fake.h"
#include "ram/image.h"
#include "ram/machine.h"

#define PAGE GUEST_PAGE_SIZE
#define LOW  (70 * PAGE)	/* over one chunk */
#define HIGH 0x100000000ull

static int file(void)
{
	int fd = memfd_create("dump", MFD_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static struct ram *reopen(int fd)
{
	struct ram *ram = NULL;
	struct err err = {0};
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (image_open(path, &ram, &err) < 0)
		fail_msg("%s", err.text);
	return ram;
}

static struct ram *guest(void *low, void *high)
{
	const struct ram_range ranges[] = {
		{ gpa_of(0), LOW }, { gpa_of(0x200000), PAGE }, { gpa_of(HIGH), 2 * PAGE },
	};
	struct ram *ram = NULL;

	assert_int_equal(fake_open(ranges, (void *[]){ low, NULL, high }, 3, &ram, NULL), 0);
	return ram;
}

static void what_is_there_is_in_it_and_no_more(void **state)
{
	static uint8_t low[LOW], high[2 * PAGE], read[LOW];
	const struct registers cpu = {
		.have = REGISTERS_CONTROL | REGISTERS_TABLES | REGISTERS_CODE | REGISTERS_EFER,
		.cr0 = 0x80050033, .cr3 = 0x1234000, .cr4 = 0x6f0, .idt = 0xfffffe0000000000,
		.idt_limit = 0xfff, .gdt = 0xfffffe0000001000, .gdt_limit = 0x7f, .tr = 0x55,
		.rip = 0xffffffff81000000, .cs = 0x10, .efer = 0xd01,
	}, other = { .have = REGISTERS_EFER, .efer = 1 };
	const struct registers cpus[] = { cpu, other };
	cleanup(ram_close) struct ram *ram = NULL, *image = NULL;
	cleanup(fd_close) int fd = file();
	struct registers seen = cpu;

	(void)state;
	for (size_t i = 0; i < sizeof(low); i++)
		low[i] = (uint8_t)(i * 7 + i / PAGE);
	memset(high, 0xab, sizeof(high));
	ram = guest(low, high);
	assert_int_equal(ram_set_registers(ram, cpus, 2, NULL), 0);
	assert_int_equal(ram_dump(ram, fd, NULL), 0);

	image = reopen(fd);
	assert_int_equal(ram_bytes(image), LOW + 2 * PAGE);
	assert_int_equal(ram_read(image, gpa_of(0), read, LOW, NULL), 0);
	assert_memory_equal(read, low, LOW);
	assert_int_equal(ram_read(image, gpa_of(HIGH), read, 2 * PAGE, NULL), 0);
	assert_memory_equal(read, high, 2 * PAGE);
	/* It could not be read, so it is not said to be zeros. */
	assert_int_equal(ram_read(image, gpa_of(0x200000), read, 1, NULL), -EFAULT);
	/* One is known well enough; there is no room for EFER. */
	assert_int_equal(image->cpus_n, 1);
	seen.have &= ~(unsigned)REGISTERS_EFER;
	seen.efer = 0;
	assert_memory_equal(&image->cpus[0], &seen, sizeof(seen));
}

static void what_fails_leaves_no_core(void **state)
{
	static uint8_t low[LOW], high[2 * PAGE];
	cleanup(ram_close) struct ram *ram = guest(low, high);
	cleanup(fd_close) int fd = file(), full = open("/dev/full", O_RDWR | O_CLOEXEC);
	uint8_t head[4] = {0};

	(void)state;
	fake_fail_after(ram, 1);
	assert_int_equal(ram_dump(ram, fd, NULL), -ENOENT);
	fake_fail_after(ram, 0);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(ram_dump(ram, full, NULL), -ENOSPC);
	assert_int_equal(pread(fd, head, sizeof(head), 0), 0);
}

/* A guest of which every second page is there: more pieces than a 16-bit number has. */
static int striped_read(struct ram *ram, size_t range, uint64_t offset, void *buf, size_t len,
			struct err *err)
{
	(void)ram;
	(void)range;
	if (len != PAGE || offset / PAGE % 2)
		return err_set(err, -EFAULT, "a hole");
	memset(buf, 1 + (uint8_t)(offset / PAGE / 2 % 255), len);
	return 0;
}

static void striped_close(struct ram *ram)
{
	free(ram);
}

static void it_may_be_in_many_pieces(void **state)
{
	static const struct ram_ops ops = {
		.name = "striped", .read = striped_read, .close = striped_close,
	};
	const unsigned pieces = PN_XNUM + 7;
	const struct ram_range range = { gpa_of(0), 2ull * pieces * PAGE };
	cleanup(ram_close) struct ram *ram = calloc(1, sizeof(*ram));
	cleanup(fd_close) int fd = file();
	Elf64_Ehdr header;
	Elf64_Shdr section;
	Elf64_Phdr last;
	uint8_t byte;

	(void)state;
	ram->ops = &ops;
	assert_int_equal(ram_set_ranges(ram, &range, 1, NULL), 0);
	assert_int_equal(ram_dump(ram, fd, NULL), 0);
	assert_int_equal(pread(fd, &header, sizeof(header), 0), sizeof(header));
	assert_memory_equal(header.e_ident, ELFMAG, SELFMAG);
	assert_int_equal(header.e_phnum, PN_XNUM);
	assert_int_equal(pread(fd, &section, sizeof(section), (off_t)header.e_shoff),
			 sizeof(section));
	assert_int_equal(section.sh_info, pieces);
	assert_int_equal(pread(fd, &last, sizeof(last),
			       (off_t)(header.e_phoff + (pieces - 1) * sizeof(last))),
			 sizeof(last));
	assert_int_equal(last.p_paddr, 2ull * (pieces - 1) * PAGE);
	assert_int_equal(last.p_filesz, PAGE);
	assert_int_equal(pread(fd, &byte, 1, (off_t)last.p_offset), 1);
	assert_int_equal(byte, 1 + (pieces - 1) % 255);
}

#define PV_PAGES 200u
#define PV_HOLE	 150u

/* Frame i is machine frame 7000 - i, and full of its own number. */
static struct ram *pv_guest(uint8_t *memory)
{
	const struct ram_range range = { gpa_of(0), PV_PAGES * PAGE };
	uint32_t frames[PV_PAGES];
	struct ram *ram = NULL;
	void *bytes = memory;

	for (uint32_t i = 0; i < PV_PAGES; i++) {
		memset(memory + i * PAGE, (int)i + 1, PAGE);
		frames[i] = 7000 - i;
	}
	assert_int_equal(fake_open(&range, &bytes, 1, &ram, NULL), 0);
	assert_int_equal(machine_new(PV_PAGES, &ram->machine, NULL), 0);
	machine_set(ram->machine, frames);
	return ram;
}

static void a_pv_guest_is_dumped_with_its_machine_frames(void **state)
{
	static uint8_t memory[PV_PAGES * PAGE];
	struct registers cpus[2] = {
		{ .have = REGISTERS_CALLBACKS | REGISTERS_CODE, .rip = 0xffffffff81000010,
		  .cs = 0xe033, .event = 0xffffffff81000100, .failsafe = 0xffffffff81000200,
		  .syscall = 0xffffffff81000300,
		  .traps = { [14] = { 0xffffffff81000400, 0xe033, 4 } } },
		{ .have = 0 },
	};
	cleanup(ram_close) struct ram *ram = pv_guest(memory), *image = NULL;
	cleanup(fd_close) int fd = file();
	uint8_t page[PAGE];
	Elf64_Ehdr header;

	(void)state;
	assert_int_equal(ram_set_registers(ram, cpus, 2, NULL), 0);
	assert_int_equal(ram_dump(ram, fd, NULL), 0);
	assert_int_equal(pread(fd, &header, sizeof(header), 0), sizeof(header));
	assert_int_equal(header.e_phnum, 0);

	image = reopen(fd);
	assert_true(ram_is_pv(image));
	assert_int_equal(ram_bytes(image), PV_PAGES * PAGE);
	for (uint32_t i = 0; i < PV_PAGES; i++) {
		gpa at = ram_of_table(image, (7000ull - i) << GUEST_PAGE_SHIFT | 8);

		assert_int_equal(at.v, (uint64_t)i * PAGE | 8);
		assert_int_equal(ram_read(image, gpa_of((uint64_t)i * PAGE), page, PAGE, NULL), 0);
		assert_memory_equal(page, memory + i * PAGE, PAGE);
	}
	assert_true(ram_of_table(image, 7001ull << GUEST_PAGE_SHIFT).v & MACHINE_FOREIGN);
	assert_int_equal(image->cpus_n, 1);
	assert_memory_equal(&image->cpus[0], &cpus[0], sizeof(cpus[0]));
}

static int holed_read(struct ram *ram, size_t range, uint64_t offset, void *buf, size_t len,
		      struct err *err)
{
	(void)ram;
	(void)range;
	if (offset / PAGE <= PV_HOLE && (offset + len - 1) / PAGE >= PV_HOLE)
		return err_set(err, -EFAULT, "a hole");
	memset(buf, 0x5a, len);
	return 0;
}

/* What the balloon has taken is in no core, and no page table leads to it. */
static void what_a_pv_guest_has_not_is_not_in_it(void **state)
{
	static const struct ram_ops ops = {
		.name = "holed", .read = holed_read, .close = striped_close,
	};
	const struct ram_range range = { gpa_of(0), PV_PAGES * PAGE };
	cleanup(ram_close) struct ram *ram = calloc(1, sizeof(*ram)), *image = NULL;
	cleanup(fd_close) int fd = file();
	uint32_t frames[PV_PAGES];
	uint8_t byte;

	(void)state;
	for (uint32_t i = 0; i < PV_PAGES; i++)
		frames[i] = 100 + i;
	ram->ops = &ops;
	assert_int_equal(ram_set_ranges(ram, &range, 1, NULL), 0);
	assert_int_equal(machine_new(PV_PAGES, &ram->machine, NULL), 0);
	machine_set(ram->machine, frames);
	assert_int_equal(ram_dump(ram, fd, NULL), 0);

	image = reopen(fd);
	assert_int_equal(ram_bytes(image), (PV_PAGES - 1) * PAGE);
	assert_int_equal(ram_read(image, gpa_of(PV_HOLE * PAGE), &byte, 1, NULL), -EFAULT);
	assert_int_equal(ram_read(image, gpa_of((PV_HOLE + 1) * PAGE), &byte, 1, NULL), 0);
	assert_true(ram_of_table(image, (100ull + PV_HOLE) << GUEST_PAGE_SHIFT).v &
		    MACHINE_FOREIGN);
	assert_int_equal(ram_of_table(image, (101ull + PV_HOLE) << GUEST_PAGE_SHIFT).v,
			 (PV_HOLE + 1) * PAGE);
	assert_int_equal(image->cpus_n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_there_is_in_it_and_no_more),
		cmocka_unit_test(what_fails_leaves_no_core),
		cmocka_unit_test(it_may_be_in_many_pieces),
		cmocka_unit_test(a_pv_guest_is_dumped_with_its_machine_frames),
		cmocka_unit_test(what_a_pv_guest_has_not_is_not_in_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
