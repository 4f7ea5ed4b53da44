/* SPDX-License-Identifier: Apache-2.0 */
#include "check/text_relocations.h"

#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "linux/page_cache.h"
#include "make/world.h"

#define PAGE_STRUCT 64u
#define DYNAMIC	    0x800u

static const struct made_struct types[] = {
	{ "xarray", 16, { { "xa_flags", 4, "u32", 0, 0, 0 }, { "xa_head", 8, "ptr", 0, 0, 0 } } },
	{ "xa_node", 576, {
		{ "shift", 0, "u8", 0, 0, 0 }, { "offset", 1, "u8", 0, 0, 0 },
		{ "parent", 8, "ptr", 0, 0, 0 }, { "slots", 40, "ptr", 64, 0, 0 } } },
	{ "page", PAGE_STRUCT, { { "flags", 0, "u64", 0, 0, 0 } } },
	{ "address_space", 32, { { "i_pages", 8, "xarray", 0, 0, 0 } } },
	{ "inode", 64, { { "i_mapping", 16, "ptr", 0, 0, 0 } } },
};

static struct world *world;
static gva inode, mapping, page, vmemmap;

/* A file of one page, which is in memory. */
static int start(void **state)
{
	gva base;

	(void)state;
	world = world_new();
	base = world_symbol(world, "vmemmap_base", 8);
	world_start(world, types, ARRAY_SIZE(types));
	inode = world_alloc(world, 64);
	mapping = world_alloc(world, 32);
	page = world_alloc(world, 2 * GUEST_PAGE_SIZE);
	page = gva_of((page.v + GUEST_PAGE_MASK) & ~GUEST_PAGE_MASK);
	vmemmap = gva_of(0xffffea0000000000);
	world_put(world, base, vmemmap.v);
	world_set(world, inode, "inode.i_mapping", mapping.v);
	world_set(world, mapping, "address_space.i_pages.xa_head",
		  vmemmap.v + PAGE_STRUCT * ((page.v - world_kernel(world)->page_offset.v) /
					     GUEST_PAGE_SIZE));
	return 0;
}

static int end(void **state)
{
	(void)state;
	world_end(&world);
	return 0;
}

static uint8_t *bytes(void)
{
	return world_at(world, page, GUEST_PAGE_SIZE);
}

/* An ELF file whose dynamic section has one entry and its end. */
static void make64(int64_t tag, uint64_t value)
{
	Elf64_Ehdr *header = (Elf64_Ehdr *)bytes();
	Elf64_Phdr *segments = (Elf64_Phdr *)(header + 1);
	Elf64_Dyn *dynamic = (Elf64_Dyn *)(bytes() + DYNAMIC);

	memcpy(header->e_ident, ELFMAG, SELFMAG);
	header->e_ident[EI_CLASS] = ELFCLASS64;
	header->e_ident[EI_DATA] = ELFDATA2LSB;
	header->e_phoff = sizeof(*header);
	header->e_phentsize = sizeof(*segments);
	header->e_phnum = 2;
	segments[0].p_type = PT_LOAD;
	segments[1] = (Elf64_Phdr){ .p_type = PT_DYNAMIC, .p_offset = DYNAMIC,
				    .p_filesz = 3 * sizeof(*dynamic) };
	dynamic[0] = (Elf64_Dyn){ DT_NEEDED, { 1 } };
	dynamic[1] = (Elf64_Dyn){ tag, { value } };
	dynamic[2] = (Elf64_Dyn){ DT_NULL, { 0 } };
}

static void make32(int32_t tag, uint32_t value)
{
	Elf32_Ehdr *header = (Elf32_Ehdr *)bytes();
	Elf32_Phdr *segments = (Elf32_Phdr *)(header + 1);
	Elf32_Dyn *dynamic = (Elf32_Dyn *)(bytes() + DYNAMIC);

	memcpy(header->e_ident, ELFMAG, SELFMAG);
	header->e_ident[EI_CLASS] = ELFCLASS32;
	header->e_ident[EI_DATA] = ELFDATA2LSB;
	header->e_phoff = sizeof(*header);
	header->e_phentsize = sizeof(*segments);
	header->e_phnum = 1;
	segments[0] = (Elf32_Phdr){ .p_type = PT_DYNAMIC, .p_offset = DYNAMIC,
				    .p_filesz = 2 * sizeof(*dynamic) };
	dynamic[0] = (Elf32_Dyn){ tag, { value } };
	dynamic[1] = (Elf32_Dyn){ DT_NULL, { 0 } };
}

static int relocations(void)
{
	enum text_relocations ret = 99;
	int r = text_relocations_of(world_kernel(world), world_view(world), inode, &ret, NULL);

	return r < 0 ? r : (int)ret;
}

static void the_dynamic_section_says_so(void **state)
{
	(void)state;
	make64(DT_TEXTREL, 0);
	assert_int_equal(relocations(), TEXT_RELOCATIONS_YES);
	make64(DT_FLAGS, DF_TEXTREL | DF_BIND_NOW);
	assert_int_equal(relocations(), TEXT_RELOCATIONS_YES);
	make64(DT_FLAGS, DF_BIND_NOW);
	assert_int_equal(relocations(), TEXT_RELOCATIONS_NO);
	make64(DT_NULL, 0);
	assert_int_equal(relocations(), TEXT_RELOCATIONS_NO);
}

static void files_of_32_bits_as_well(void **state)
{
	(void)state;
	make32(DT_TEXTREL, 0);
	assert_int_equal(relocations(), TEXT_RELOCATIONS_YES);
	make32(DT_FLAGS, DF_TEXTREL);
	assert_int_equal(relocations(), TEXT_RELOCATIONS_YES);
	make32(DT_HASH, 0);
	assert_int_equal(relocations(), TEXT_RELOCATIONS_NO);
}

static void a_static_program_has_none(void **state)
{
	(void)state;
	make64(DT_TEXTREL, 0);
	((Elf64_Ehdr *)bytes())->e_phnum = 1;
	assert_int_equal(relocations(), TEXT_RELOCATIONS_NO);
}

static void what_is_no_elf_file_is_told(void **state)
{
	(void)state;
	memcpy(bytes(), "MZ", 2);
	assert_int_equal(relocations(), TEXT_RELOCATIONS_NO_ELF);
}

static void what_is_not_in_memory_is_not_known(void **state)
{
	Elf64_Phdr *segments;

	(void)state;
	make64(DT_TEXTREL, 0);
	segments = (Elf64_Phdr *)(bytes() + sizeof(Elf64_Ehdr));
	segments[1].p_offset = 5 * GUEST_PAGE_SIZE;
	assert_int_equal(relocations(), TEXT_RELOCATIONS_UNLIKELY);
	segments[1].p_offset = UINT64_MAX;
	assert_int_equal(relocations(), TEXT_RELOCATIONS_UNLIKELY);
	segments[1].p_offset = GUEST_PAGE_SIZE - 16;	/* and goes on in the next page */
	assert_int_equal(relocations(), TEXT_RELOCATIONS_UNLIKELY);
	((Elf64_Ehdr *)bytes())->e_phnum = UINT16_MAX;
	segments[1].p_type = PT_LOAD;
	assert_int_equal(relocations(), TEXT_RELOCATIONS_UNKNOWN);
	world_set(world, mapping, "address_space.i_pages.xa_head", 0);
	assert_int_equal(relocations(), TEXT_RELOCATIONS_UNKNOWN);
	world_set(world, mapping, "address_space.i_pages.xa_head", 0x1235);	/* swapped out */
	assert_int_equal(relocations(), TEXT_RELOCATIONS_UNKNOWN);
}

static void of_32_bits_it_is_likely(void **state)
{
	(void)state;
	make32(DT_TEXTREL, 0);
	((Elf32_Phdr *)(bytes() + sizeof(Elf32_Ehdr)))->p_offset = 5 * GUEST_PAGE_SIZE;
	assert_int_equal(relocations(), TEXT_RELOCATIONS_UNKNOWN);
}

static void no_page_is_where_the_cache_cannot_have_one(void **state)
{
	uint8_t buf[GUEST_PAGE_SIZE];

	(void)state;
	bytes()[100] = 7;
	assert_int_equal(page_cache_read(world_kernel(world), world_view(world), inode, 0, buf,
					 NULL), 0);
	assert_int_equal(buf[100], 7);
	assert_int_equal(page_cache_read(world_kernel(world), world_view(world), inode, 1, buf,
					 NULL), -ENOENT);
	world_set(world, mapping, "address_space.i_pages.xa_head", vmemmap.v + 8);
	assert_int_equal(relocations(), -EBADMSG);
	world_set(world, mapping, "address_space.i_pages.xa_head", vmemmap.v - PAGE_STRUCT);
	assert_int_equal(relocations(), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)
		TEST(the_dynamic_section_says_so),
		TEST(files_of_32_bits_as_well),
		TEST(a_static_program_has_none),
		TEST(what_is_no_elf_file_is_told),
		TEST(what_is_not_in_memory_is_not_known),
		TEST(of_32_bits_it_is_likely),
		TEST(no_page_is_where_the_cache_cannot_have_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
