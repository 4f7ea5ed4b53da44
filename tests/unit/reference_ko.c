/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/ko.h"

#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "make/object.h"
#include "make/torture.h"

#define TEXT   0xffffffffc0100000ull
#define DATA   0xffffffffc0200000ull
#define RODATA 0xffffffffc0300000ull
#define FREED  0xffffffffc0400000ull
#define IMPORT 0xffffffff81234560ull
#define PERCPU 0x30000ull

#define CODE  (SHF_ALLOC | SHF_EXECINSTR)
#define CONST SHF_ALLOC
#define VAR   (SHF_ALLOC | SHF_WRITE)

/* A module of four sections, and what the guest says of it. */
struct made {
	struct object object;
	unsigned text, rodata, data, init;
	unsigned import, local;
	struct module_info module;
	struct module_sections sections;
	struct ko_place place;
	struct blob file;
	struct ko *ko;
	struct shipped shipped;
	struct err err;
};

static void list(struct made *m, const char *name, uint64_t at)
{
	struct module_section *section = vec_add(&m->sections.list);

	strcpy(section->name, name);
	section->at = gva_of(at);
}

static int start(void **state)
{
	static const uint8_t code[64];
	struct made *m = calloc(1, sizeof(*m));

	m->text = object_section(&m->object, ".text", CODE, 16, code, sizeof(code));
	m->rodata = object_section(&m->object, ".rodata", CONST, 8, code, 32);
	m->data = object_section(&m->object, ".data", VAR, 8, code, 32);
	m->init = object_section(&m->object, ".init.text", CODE, 16, code, 32);
	m->import = object_symbol(&m->object, "printk", SHN_UNDEF, 0, STB_GLOBAL);
	m->local = object_symbol(&m->object, "here", m->data, 8, STB_LOCAL);
	m->module.area[MODULE_TEXT] = (struct module_area){ gva_of(TEXT), 4096 };
	m->module.area[MODULE_RODATA] = (struct module_area){ gva_of(RODATA), 4096 };
	m->module.area[MODULE_DATA] = (struct module_area){ gva_of(DATA), 4096 };
	list(m, ".text", TEXT + 0x40);
	list(m, ".rodata", RODATA);
	list(m, ".data", DATA + 0x100);
	list(m, ".init.text", FREED);
	m->place = (struct ko_place){ .module = &m->module, .sections = &m->sections,
				      .percpu = gva_of(PERCPU) };
	*state = m;
	return 0;
}

static int end(void **state)
{
	struct made *m = *state;

	ko_close(&m->ko);
	blob_free(&m->file);
	shipped_free(&m->shipped);
	vec_free(&m->sections.list);
	free(m);
	return 0;
}

static int resolve(const char *name, gva *ret, void *ctx, struct err *err)
{
	(void)ctx;
	if (strcmp(name, "printk"))
		return err_set(err, -ENOENT, "no one has %s", name);
	*ret = gva_of(IMPORT);
	return 0;
}

static int open_made(struct made *m)
{
	m->file = object_make(&m->object);
	return ko_open(&m->file, &m->ko, &m->err);
}

static int place_made(struct made *m)
{
	assert_int_equal(open_made(m), 0);
	return ko_place(m->ko, &m->place, &m->err);
}

static int load_made(struct made *m)
{
	assert_int_equal(place_made(m), 0);
	return ko_load(m->ko, resolve, NULL, &m->shipped, &m->err);
}

static uint64_t number(struct made *m, uint64_t at, unsigned n)
{
	const uint8_t *bytes = shipped_at(&m->shipped, gva_of(at), n);
	uint64_t value = 0;

	assert_non_null(bytes);
	memcpy(&value, bytes, n);
	return value;
}

static void every_kind_of_relocation(void **state)
{
	struct made *m = *state;

	object_rela(&m->object, m->text, 0, m->import, R_X86_64_PLT32, -4);
	object_rela(&m->object, m->text, 4, m->local, R_X86_64_PC32, 2);
	object_rela(&m->object, m->text, 8, m->local, R_X86_64_32S, 0);
	object_rela(&m->object, m->text, 16, m->local, R_X86_64_64, -1);
	object_rela(&m->object, m->text, 24, m->import, R_X86_64_PC64, 0);
	object_rela(&m->object, m->text, 32, 0, R_X86_64_32, 0x1234);
	object_rela(&m->object, m->text, 36, m->local, R_X86_64_NONE, 0);
	assert_int_equal(load_made(m), 0);
	assert_int_equal(number(m, TEXT + 0x40, 4), (uint32_t)(IMPORT - 4 - (TEXT + 0x40)));
	assert_int_equal(number(m, TEXT + 0x44, 4), (uint32_t)(DATA + 0x10a - (TEXT + 0x44)));
	assert_int_equal(number(m, TEXT + 0x48, 4), (uint32_t)(DATA + 0x108));
	assert_int_equal(number(m, TEXT + 0x50, 8), DATA + 0x107);
	assert_int_equal(number(m, TEXT + 0x58, 8), IMPORT - (TEXT + 0x58));
	assert_int_equal(number(m, TEXT + 0x60, 8), 0x1234);
}

static void parts_say_what_they_are(void **state)
{
	struct made *m = *state;

	assert_int_equal(load_made(m), 0);
	assert_int_equal(m->shipped.parts.n, 4);
	assert_int_equal(shipped_part(&m->shipped, gva_of(TEXT + 0x40))->flags, PART_EXEC);
	assert_int_equal(shipped_part(&m->shipped, gva_of(RODATA))->flags, 0);
	assert_int_equal(shipped_part(&m->shipped, gva_of(DATA + 0x100))->flags, PART_WRITE);
	assert_int_equal(shipped_part(&m->shipped, gva_of(FREED))->flags, PART_EXEC | PART_GONE);
}

static void tables_of_patch_sites_are_noted(void **state)
{
	struct made *m = *state;

	object_section(&m->object, "__jump_table", VAR, 8, NULL, 16);
	list(m, "__jump_table", DATA + 0x200);
	assert_int_equal(load_made(m), 0);
	assert_int_equal(m->shipped.table[TABLE_JUMPS].at.v, DATA + 0x200);
	assert_int_equal(m->shipped.table[TABLE_JUMPS].size_bytes, 16);
	assert_int_equal(m->shipped.table[TABLE_LOCKS].size_bytes, 0);
}

static void a_table_that_stands_twice(void **state)
{
	struct made *m = *state;

	object_section(&m->object, "__jump_table", VAR, 8, NULL, 16);
	object_section(&m->object, "__jump_table", VAR, 8, NULL, 16);
	list(m, "__jump_table", DATA + 0x200);
	list(m, "__jump_table", DATA + 0x300);
	assert_int_equal(load_made(m), -EBADMSG);
}

static void an_import_that_no_one_has(void **state)
{
	struct made *m = *state;
	unsigned symbol = object_symbol(&m->object, "gone", SHN_UNDEF, 0, STB_GLOBAL);

	object_rela(&m->object, m->text, 0, symbol, R_X86_64_PC32, 0);
	assert_int_equal(load_made(m), -ENOENT);
	assert_non_null(strstr(m->err.text, "gone"));
}

static void a_weak_import_that_no_one_has_is_zero(void **state)
{
	struct made *m = *state;
	unsigned symbol = object_symbol(&m->object, "gone", SHN_UNDEF, 0, STB_WEAK);

	object_rela(&m->object, m->rodata, 0, symbol, R_X86_64_64, 5);
	assert_int_equal(load_made(m), 0);
	assert_int_equal(number(m, RODATA, 8), 5);
}

static void per_cpu_variables_have_a_place_of_their_own(void **state)
{
	struct made *m = *state;
	unsigned section = object_section(&m->object, ".data..percpu", VAR, 8, NULL, 16);
	unsigned symbol = object_symbol(&m->object, "mine", section, 8, STB_GLOBAL);

	object_rela(&m->object, m->text, 0, symbol, R_X86_64_32S, 0);
	assert_int_equal(load_made(m), 0);
	assert_int_equal(number(m, TEXT + 0x40, 4), PERCPU + 8);
}

static void a_symbol_in_a_section_without_bytes(void **state)
{
	struct made *m = *state;
	unsigned section = object_section(&m->object, ".bss", VAR, 32, NULL, 0);
	unsigned symbol = object_symbol(&m->object, ".bss", section, 0, STB_LOCAL);

	object_rela(&m->object, m->rodata, 0, symbol, R_X86_64_64, 0);
	assert_int_equal(load_made(m), 0);
	/* Behind .data, which by the kernel's rules begins where the data does. */
	assert_int_equal(number(m, RODATA, 8), DATA + 32);
}

static void without_a_list_the_kernels_rules_apply(void **state)
{
	struct made *m = *state;
	unsigned section = object_section(&m->object, ".text.unlikely", CODE, 32, NULL, 8);

	m->place.sections = NULL;
	object_rela(&m->object, m->rodata, 0, object_symbol(&m->object, "f", section, 0, 0),
		    R_X86_64_64, 0);
	m->object.sections[m->text - 1].size = 60;
	assert_int_equal(load_made(m), 0);
	assert_int_equal(number(m, RODATA, 8), TEXT + 64);
	assert_non_null(shipped_at(&m->shipped, gva_of(TEXT), 60));
	assert_non_null(shipped_at(&m->shipped, gva_of(DATA), 32));
	for (size_t i = 0; i < m->shipped.parts.n; i++)
		if (m->shipped.parts.v[i].flags & PART_GONE)
			assert_false(module_has(&m->module, m->shipped.parts.v[i].at, NULL));
}

static void without_a_list_it_must_fit_nevertheless(void **state)
{
	struct made *m = *state;

	m->place.sections = NULL;
	object_section(&m->object, ".text.unlikely", CODE, 16, NULL, 4096);
	assert_int_equal(place_made(m), -EBADMSG);
}

static void exports_lead_to_where_they_lie(void **state)
{
	struct made *m = *state;
	gva at;

	object_symbol(&m->object, "__ksymtab_shown", m->rodata, 0, STB_LOCAL);
	object_symbol(&m->object, "shown", m->text, 4, STB_LOCAL);
	object_symbol(&m->object, "shown", m->text, 8, STB_GLOBAL);
	object_symbol(&m->object, "other", m->text, 12, STB_GLOBAL);
	object_symbol(&m->object, "__ksymtab_gone", m->rodata, 0, STB_LOCAL);
	assert_int_equal(place_made(m), 0);
	assert_int_equal(ko_export(m->ko, "shown", &at), 0);
	assert_int_equal(at.v, TEXT + 0x48);
	assert_int_equal(ko_export(m->ko, "other", &at), -ENOENT);
	assert_int_equal(ko_export(m->ko, "gone", &at), -ENOENT);
	assert_int_equal(ko_export(m->ko, "", &at), -ENOENT);
}

static void a_place_outside_of_the_modules_memory(void **state)
{
	static const uint64_t bad[] = {
		TEXT + 4096 - 63 + 15, TEXT - 64, RODATA, 0, 0x1000, TEXT + 8, UINT64_MAX - 15,
		0x7fffffffffff0000ull,
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct made *m;
		void *again;

		start(&again);
		m = again;
		m->sections.list.v[0].at = gva_of(bad[i]);
		assert_int_equal(place_made(m), -EBADMSG);
		end(&again);
	}
	(void)state;
}

static void code_among_the_data(void **state)
{
	struct made *m = *state;

	m->sections.list.v[0].at = gva_of(DATA);
	assert_int_equal(place_made(m), -EBADMSG);
}

static void a_freed_section_over_one_that_is_there(void **state)
{
	struct made *m = *state;

	m->sections.list.v[3].at = gva_of(TEXT + 0x80);
	assert_int_equal(place_made(m), -EBADMSG);
}

static void sections_that_overlap(void **state)
{
	struct made *m = *state;

	object_section(&m->object, ".exit.text", CODE, 16, NULL, 32);
	list(m, ".exit.text", TEXT + 0x60);
	assert_int_equal(load_made(m), -EBADMSG);
}

static void a_section_that_the_guest_lacks(void **state)
{
	struct made *m = *state;

	object_section(&m->object, ".exit.text", CODE, 16, NULL, 32);
	assert_int_equal(place_made(m), -EBADMSG);
	assert_non_null(strstr(m->err.text, ".exit.text"));
}

static void a_section_that_the_guest_has_more(void **state)
{
	struct made *m = *state;

	list(m, ".symtab", FREED + 0x1000);
	list(m, ".strtab", FREED + 0x2000);
	list(m, ".evil", TEXT + 0x80);
	assert_int_equal(place_made(m), -EBADMSG);
	assert_non_null(strstr(m->err.text, ".evil"));
}

static void relocations_outside_of_their_section(void **state)
{
	static const struct {
		uint64_t offset;
		uint32_t type;
	} bad[] = {
		{ 64, R_X86_64_PC32 }, { 61, R_X86_64_PC32 }, { 60, R_X86_64_64 },
		{ UINT64_MAX, R_X86_64_PC32 }, { UINT64_MAX - 3, R_X86_64_64 },
		{ 64, R_X86_64_NONE }, { 0, R_X86_64_GOTPCREL }, { 0, 0xffffffff },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct made *m;
		void *again;

		start(&again);
		m = again;
		object_rela(&m->object, m->text, bad[i].offset, m->import, bad[i].type, 0);
		assert_int_equal(load_made(m), -EBADMSG);
		end(&again);
	}
	(void)state;
}

static void relocations_that_do_not_fit_into_their_bits(void **state)
{
	struct made *m = *state;

	object_rela(&m->object, m->text, 0, m->import, R_X86_64_32, 0);
	assert_int_equal(load_made(m), -EBADMSG);
}

static void relocations_by_symbols_that_are_none(void **state)
{
	static const unsigned sections[] = { SHN_COMMON, 77, SHN_XINDEX };
	struct made *m = *state;

	object_rela(&m->object, m->text, 0, 1000, R_X86_64_PC32, 0);
	assert_int_equal(load_made(m), -EBADMSG);
	for (size_t i = 0; i < ARRAY_SIZE(sections); i++) {
		struct made *other;
		void *again;
		int r;

		start(&again);
		other = again;
		object_rela(&other->object, other->text, 0,
			    object_symbol(&other->object, "odd", sections[i], 0, STB_GLOBAL),
			    R_X86_64_PC32, 0);
		r = open_made(other);
		if (r >= 0)
			r = ko_place(other->ko, &other->place, NULL);
		if (r >= 0)
			r = ko_load(other->ko, resolve, NULL, &other->shipped, NULL);
		assert_int_equal(r, -EBADMSG);
		end(&again);
	}
}

static void a_symbol_in_a_section_that_is_not_loaded(void **state)
{
	struct made *m = *state;
	unsigned section = object_section(&m->object, ".comment", 0, 1, NULL, 8);

	object_rela(&m->object, m->text, 0,
		    object_symbol(&m->object, "comment", section, 0, STB_GLOBAL), R_X86_64_64, 0);
	assert_int_equal(load_made(m), -EBADMSG);
}

static void relocations_of_what_is_not_loaded_are_left_out(void **state)
{
	struct made *m = *state;
	unsigned section = object_section(&m->object, ".debug_info", 0, 1, NULL, 8);

	object_rela(&m->object, section, 1000, m->import, R_X86_64_64, 0);
	assert_int_equal(load_made(m), 0);
}

static void relocations_of_a_section_without_bytes(void **state)
{
	struct made *m = *state;
	unsigned section = object_section(&m->object, ".text.empty", CODE, 1, NULL, 0);

	object_rela(&m->object, section, 0, m->import, R_X86_64_PC32, 0);
	assert_int_equal(load_made(m), -EBADMSG);
}

static void files_that_are_no_modules(void **state)
{
	struct made *m = *state;

	m->object.type = ET_EXEC;
	assert_int_equal(open_made(m), -EBADMSG);
	m->file.data[0] = 'x';
	assert_int_equal(ko_open(&m->file, &m->ko, NULL), -EBADMSG);
}

static void sections_of_sizes_that_no_module_has(void **state)
{
	struct made *m = *state;

	m->object.sections[m->data - 1].type = SHT_NOBITS;
	m->object.sections[m->data - 1].size = UINT64_MAX;
	assert_int_equal(open_made(m), -ELOOP);
	blob_free(&m->file);
	m->object.sections[m->data - 1].size = KO_BYTES_MAX;
	assert_int_equal(open_made(m), -ELOOP);
	blob_free(&m->file);
	m->object.sections[m->data - 1].size = 8;
	m->object.sections[m->data - 1].align = 1u << 30;
	assert_int_equal(open_made(m), -EBADMSG);
}

/* The number of sections then stands in the header of the first (ELF gABI, e_shnum). */
static void sections_without_number(void **state)
{
	struct made *m = *state;
	const uint32_t n = 65536;
	Elf64_Ehdr elf;
	Elf64_Shdr *first;

	m->file = object_make(&m->object);
	memcpy(&elf, m->file.data, sizeof(elf));
	m->file.data = realloc(m->file.data, elf.e_shoff + n * sizeof(*first));
	memset(m->file.data + m->file.size, 0, elf.e_shoff + n * sizeof(*first) - m->file.size);
	m->file.size = elf.e_shoff + n * sizeof(*first);
	elf.e_shnum = 0;
	memcpy(m->file.data, &elf, sizeof(elf));
	first = (Elf64_Shdr *)(m->file.data + elf.e_shoff);
	first->sh_size = n;
	assert_int_equal(ko_open(&m->file, &m->ko, &m->err), -EBADMSG);
}

static void every_truncation_ends(void **state)
{
	struct made *m = *state;
	struct blob whole;

	object_rela(&m->object, m->text, 0, m->import, R_X86_64_PC32, 0);
	whole = object_make(&m->object);
	for (size_t n = 0; n < whole.size; n++) {
		struct blob file = { malloc(n + 1), n };

		memcpy(file.data, whole.data, n);
		assert_true(ko_open(&file, &m->ko, NULL) < 0);
		blob_free(&file);
	}
	blob_free(&whole);
}

/* Whichever allocation fails: it is said so, and nothing is leaked or lost. */
static void memory_that_runs_out(void **state)
{
	struct made *m = *state;
	uint64_t count, n = 0;
	struct blob whole;
	gva at;

	object_symbol(&m->object, "__ksymtab_shown", m->rodata, 0, STB_LOCAL);
	object_symbol(&m->object, "shown", m->text, 8, STB_GLOBAL);
	object_symbol(&m->object, "__SCK__call", m->data, 0, STB_GLOBAL);
	object_symbol(&m->object, "__SCT__call", m->text, 16, STB_GLOBAL);
	object_rela(&m->object, m->text, 0, m->import, R_X86_64_PC32, 0);
	whole = object_make(&m->object);
	do {
		struct shipped shipped = { 0 };
		struct blob file = { malloc(whole.size), whole.size };
		struct ko *ko = NULL;
		int r;

		memcpy(file.data, whole.data, whole.size);
		torture_allocation(++n);
		r = ko_open(&file, &ko, NULL);
		if (r >= 0)
			r = ko_place(ko, &m->place, NULL);
		if (r >= 0)
			r = ko_load(ko, resolve, NULL, &shipped, NULL);
		if (r >= 0)
			r = ko_shrink(ko);
		count = torture_allocations();
		torture_allocation(0);
		/* libelf says of its own lack of memory that the file is bad. */
		assert_true(r == 0 || r == -ENOMEM || r == -EBADMSG);
		assert_true(r == 0 || n <= count);
		if (r == 0) {
			assert_int_equal(ko_export(ko, "shown", &at), 0);
			assert_int_equal(shipped.trampolines.n, 1);
		}
		shipped_free(&shipped);
		ko_close(&ko);
		blob_free(&file);
	} while (n <= count);
	assert_in_range(n, 10, 1000);
	blob_free(&whole);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)
		TEST(every_kind_of_relocation),
		TEST(parts_say_what_they_are),
		TEST(tables_of_patch_sites_are_noted),
		TEST(a_table_that_stands_twice),
		TEST(an_import_that_no_one_has),
		TEST(a_weak_import_that_no_one_has_is_zero),
		TEST(per_cpu_variables_have_a_place_of_their_own),
		TEST(a_symbol_in_a_section_without_bytes),
		TEST(without_a_list_the_kernels_rules_apply),
		TEST(without_a_list_it_must_fit_nevertheless),
		TEST(exports_lead_to_where_they_lie),
		TEST(a_place_outside_of_the_modules_memory),
		TEST(code_among_the_data),
		TEST(a_freed_section_over_one_that_is_there),
		TEST(sections_that_overlap),
		TEST(a_section_that_the_guest_lacks),
		TEST(a_section_that_the_guest_has_more),
		TEST(relocations_outside_of_their_section),
		TEST(relocations_that_do_not_fit_into_their_bits),
		TEST(relocations_by_symbols_that_are_none),
		TEST(a_symbol_in_a_section_that_is_not_loaded),
		TEST(relocations_of_what_is_not_loaded_are_left_out),
		TEST(relocations_of_a_section_without_bytes),
		TEST(files_that_are_no_modules),
		TEST(sections_of_sizes_that_no_module_has),
		TEST(sections_without_number),
		TEST(every_truncation_ends),
		TEST(memory_that_runs_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
