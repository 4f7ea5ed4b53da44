/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/profile.h"

#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "make/btf.h"
#include "make/kallsyms.h"

#define TEXT	0xffffffff81000000ull
#define MOVED	0x1400000ull		/* KASLR of the guest */
#define IMAGE	(512u << 10)
#define TABLE	0x3000u
#define BTF_AT	0x60000u
#define SYMBOLS 5000u	/* no kernel has much less */
#define CODE	4900u	/* so many of them are functions */

/* A kernel of one segment, in which its symbols and types lie. */
struct made {
	Elf64_Ehdr head;
	Elf64_Phdr segment;
	uint8_t image[IMAGE];
};

struct kernel_made {
	struct made made;
	struct symbol_in symbols[SYMBOLS];
	char names[SYMBOLS][16];
	size_t btf_bytes;
	struct blob profile;
};

static void make(struct kernel_made *k, const char *member)
{
	struct btf b = {0};
	uint32_t u32 = btf_int(&b, "int", 4);
	cleanup(freep) uint8_t *blob = NULL;

	btf_type(&b, "task_struct", BTF_STRUCT, 2, false, 64);
	btf_member(&b, "pid", u32, 0);
	btf_member(&b, member, u32, 32);
	btf_type(&b, "pid_t", BTF_TYPEDEF, 0, false, u32);
	btf_type(&b, "state", BTF_ENUM, 1, false, 4);
	btf_u32(&b, btf_name(&b, "RUNNING"));
	btf_u32(&b, 7);
	btf_type(&b, "some_function", BTF_FUNC, 0, false,
		 btf_type(&b, "", BTF_FUNC_PROTO, 0, false, u32));
	blob = btf_make(&b, &k->btf_bytes);
	btf_free(&b);
	memset(k->made.image, 0, sizeof(k->made.image));
	memcpy(k->made.image + BTF_AT, blob, k->btf_bytes);
	k->symbols[CODE + 1].at = TEXT + BTF_AT + k->btf_bytes;
	kallsyms_make(k->made.image, IMAGE, TABLE, TEXT, k->symbols, SYMBOLS, NEW, 0);
}

static int start(void **state)
{
	struct kernel_made *k = calloc(1, sizeof(*k));
	struct made *m = &k->made;

	memcpy(m->head.e_ident, ELFMAG, SELFMAG);
	m->head.e_ident[EI_CLASS] = ELFCLASS64;
	m->head.e_ident[EI_DATA] = ELFDATA2LSB;
	m->head.e_ident[EI_VERSION] = EV_CURRENT;
	m->head.e_type = ET_EXEC;
	m->head.e_machine = EM_X86_64;
	m->head.e_version = EV_CURRENT;
	m->head.e_ehsize = sizeof(m->head);
	m->head.e_phoff = offsetof(struct made, segment);
	m->head.e_phentsize = sizeof(Elf64_Phdr);
	m->head.e_phnum = 1;
	m->segment = (Elf64_Phdr){
		.p_type = PT_LOAD, .p_vaddr = TEXT, .p_paddr = 0x1000000, .p_filesz = IMAGE,
		.p_memsz = IMAGE, .p_offset = offsetof(struct made, image),
	};
	for (uint32_t i = 0; i < SYMBOLS; i++) {
		snprintf(k->names[i], sizeof(k->names[i]), "function_%u", i);
		k->symbols[i] = (struct symbol_in){
			k->names[i], 't', i < CODE ? TEXT + 64 * i : TEXT + BTF_AT + 0x1000 + 16 * i,
		};
	}
	k->symbols[0] = (struct symbol_in){ "_text", 'T', TEXT };
	k->symbols[CODE] = (struct symbol_in){ "__start_BTF", 'R', TEXT + BTF_AT };
	k->symbols[CODE + 1] = (struct symbol_in){ "__stop_BTF", 'R', 0 };
	k->symbols[SYMBOLS - 1] = (struct symbol_in){ "_end", 'B', TEXT + IMAGE };
	make(k, "tgid");
	*state = k;
	return 0;
}

static int end(void **state)
{
	struct kernel_made *k = *state;

	blob_free(&k->profile);
	free(k);
	return 0;
}

static int profile_of(struct kernel_made *k)
{
	struct blob file = { (uint8_t *)&k->made, sizeof(k->made) };

	blob_free(&k->profile);
	return profile_make(&file, &k->profile, NULL);
}

/* A guest that has booted the kernel as it is made now. */
static void boot(const struct kernel_made *k, struct kernel *guest)
{
	static struct symbol_in symbols[SYMBOLS];
	cleanup(freep) uint8_t *image = calloc(1, IMAGE);
	struct err err = {0};

	for (size_t i = 0; i < SYMBOLS; i++) {
		symbols[i] = k->symbols[i];
		symbols[i].at += MOVED;
	}
	guest->text = gva_of(TEXT + MOVED);
	kallsyms_make(image, IMAGE, TABLE, guest->text.v, symbols, SYMBOLS, OLD, 0);
	if (symbols_parse(image, IMAGE, guest->text, &guest->symbols, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(types_parse(k->made.image + BTF_AT, k->btf_bytes, &guest->types, NULL),
			 0);
}

static void shut_down(struct kernel *guest)
{
	symbols_free(&guest->symbols);
	types_free(&guest->types);
}

static void says_what_the_kernel_says(void **state)
{
	cleanup(profile_free) struct profile profile = {0};
	struct kernel_made *k = *state;
	struct kernel guest = {0};
	struct symbol symbol;
	struct field field;

	assert_int_equal(profile_of(k), 0);
	assert_int_equal(profile_read(k->profile.data, k->profile.size, &profile, NULL), 0);
	boot(k, &guest);
	assert_int_equal(profile.text.v, TEXT);
	assert_int_equal(symbols_count(profile.symbols), SYMBOLS);
	for (size_t i = 0; i < SYMBOLS; i++) {
		symbol = symbols_get(profile.symbols, i);
		assert_string_equal(symbol.name, k->symbols[i].name);
		assert_int_equal(symbol.type, k->symbols[i].type);
		assert_int_equal(symbol.at.v, k->symbols[i].at);
		assert_int_equal(symbols_lookup(profile.symbols, symbol.name).v, symbol.at.v);
		assert_int_equal(symbols_at(profile.symbols, gva_add(symbol.at, 3), &symbol,
					    NULL), 0);
	}
	assert_true(types_equal(profile.types, guest.types));
	assert_int_equal(types_field(profile.types, "task_struct.tgid", &field, NULL), 0);
	assert_int_equal(field.at, 4);
	assert_int_equal(types_field(profile.types, "enum state.RUNNING", &field, NULL), 0);
	assert_int_equal(field.at, 7);
	assert_int_equal(types_find(profile.types, "pid_t"), 1);
	assert_int_equal(types_function(profile.types, "some_function"),
			 types_function(guest.types, "some_function"));
	assert_int_not_equal(types_function(profile.types, "some_function"), 0);
	assert_int_equal(types_function(profile.types, "function_7"), 0);
	shut_down(&guest);
}

/* The guest's own are given up only for the very same. */
static void adopted_where_the_guest_has_the_same(void **state)
{
	cleanup(profile_free) struct profile profile = {0};
	struct kernel_made *k = *state;
	struct kernel guest = {0};

	assert_int_equal(profile_of(k), 0);
	assert_int_equal(profile_read(k->profile.data, k->profile.size, &profile, NULL), 0);
	boot(k, &guest);
	assert_int_equal(profile_adopt(&profile, &guest), 0);
	assert_ptr_equal(guest.types, profile.types);
	assert_int_equal(symbols_lookup(guest.symbols, "_text").v, TEXT + MOVED);
	assert_int_equal(symbols_lookup(guest.symbols, "function_9").v, TEXT + MOVED + 64 * 9);
	/* Of the profile: the name lies in its bytes. */
	assert_true((const uint8_t *)symbols_get(guest.symbols, 9).name > k->profile.data);
	assert_true((const uint8_t *)symbols_get(guest.symbols, 9).name <
		    k->profile.data + k->profile.size);
	shut_down(&guest);
}

static void forged_symbols_stay_the_guests(void **state)
{
	cleanup(profile_free) struct profile profile = {0};
	struct kernel_made *k = *state;
	struct kernel guest = {0};

	assert_int_equal(profile_of(k), 0);
	assert_int_equal(profile_read(k->profile.data, k->profile.size, &profile, NULL), 0);
	k->symbols[9].at += 1;
	boot(k, &guest);
	k->symbols[9].at -= 1;
	assert_int_equal(profile_adopt(&profile, &guest), 0);
	assert_ptr_equal(guest.types, profile.types);
	assert_int_equal(symbols_lookup(guest.symbols, "function_9").v, TEXT + MOVED + 64 * 9 + 1);
	shut_down(&guest);
}

static void forged_types_stay_the_guests(void **state)
{
	cleanup(profile_free) struct profile profile = {0};
	struct kernel_made *k = *state;
	struct kernel guest = {0};
	struct types *own;

	assert_int_equal(profile_of(k), 0);
	assert_int_equal(profile_read(k->profile.data, k->profile.size, &profile, NULL), 0);
	make(k, "tgie");
	boot(k, &guest);
	own = guest.types;
	assert_int_equal(profile_adopt(&profile, &guest), 0);
	assert_ptr_equal(guest.types, own);
	assert_int_equal(types_field(guest.types, "task_struct.tgid", &(struct field){0}, NULL),
			 -ENOENT);
	shut_down(&guest);
}

static void kernel_without_types_has_none(void **state)
{
	struct kernel_made *k = *state;

	memset(k->made.image + BTF_AT, 0, 16);
	assert_true(profile_of(k) < 0);
	assert_null(k->profile.data);
}

static int read_copy(const uint8_t *data, size_t n)
{
	cleanup(profile_free) struct profile profile = {0};
	uint8_t *copy = malloc(n ? n : 1);
	struct err err = {0};
	int r;

	memcpy(copy, data, n);
	r = profile_read(copy, n, &profile, &err);
	if (r < 0) {
		assert_int_equal(err.code, r);
		assert_null(profile.symbols);
		assert_null(profile.types);
	} else {	/* what it has can be used, whatever it says */
		for (size_t i = 0; i < symbols_count(profile.symbols); i++) {
			struct symbol symbol = symbols_get(profile.symbols, i);

			symbols_lookup(profile.symbols, symbol.name);
			if (symbols_at(profile.symbols, symbol.at, &symbol, NULL) >= 0)
				assert_non_null(symbol.name);
		}
		for (uint32_t i = 0; i <= types_count(profile.types); i++)
			types_find(profile.types, types_name(profile.types, i));
		types_function(profile.types, "some_function");
	}
	profile_free(&profile);
	free(copy);
	return r;
}

static void truncated_anywhere_is_none(void **state)
{
	struct kernel_made *k = *state;

	assert_int_equal(profile_of(k), 0);
	for (size_t n = 0; n < k->profile.size; n += n < 200 ? 1 : 1009)
		assert_true(read_copy(k->profile.data, n) < 0);
	assert_int_equal(read_copy(k->profile.data, k->profile.size), 0);
}

/* Words of it are made others: it is refused, or nothing leads out of it. */
static void forged_anywhere_leads_nowhere(void **state)
{
	static const uint32_t forged[] = { 0xffffffff, 0x7fffffff, 0xfffff, 1, 0 };
	struct kernel_made *k = *state;
	unsigned refused = 0;

	assert_int_equal(profile_of(k), 0);
	for (size_t at = 0; at + 4 <= k->profile.size; at += at < 200 ? 4 : 4 * 239) {
		uint32_t own;

		memcpy(&own, k->profile.data + at, 4);
		memcpy(k->profile.data + at, &forged[at / 4 % ARRAY_SIZE(forged)], 4);
		refused += read_copy(k->profile.data, k->profile.size) < 0;
		memcpy(k->profile.data + at, &own, 4);
	}
	assert_true(refused > 100);
}

#define T(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(says_what_the_kernel_says),
		T(adopted_where_the_guest_has_the_same),
		T(forged_symbols_stay_the_guests),
		T(forged_types_stay_the_guests),
		T(kernel_without_types_has_none),
		T(truncated_anywhere_is_none),
		T(forged_anywhere_leads_nowhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
