/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/insn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#define AT 0xffffffff81000000ull

static struct insns decode(const void *code, size_t n)
{
	struct insns insns = { 0 };

	assert_int_equal(insns_decode(code, n, gva_of(AT), &insns), 0);
	return insns;
}

static void expect(const void *code, size_t n, enum insn_flow flow, uint64_t target)
{
	struct insns insns = decode(code, n);

	assert_int_equal(insns.list.n, 1);
	assert_int_equal(insns.list.v[0].flow, flow);
	assert_int_equal(insns.list.v[0].target.v, target);
	assert_int_equal(insns.list.v[0].size_bytes, n);
	insns_free(&insns);
}

static void branches_lead_where_they_lead(void **state)
{
	(void)state;
	expect("\xe9\xfb\x0f\x00\x00", 5, INSN_JUMP, AT + 0x1000);
	expect("\xeb\xfe", 2, INSN_JUMP, AT);
	expect("\xe8\xfb\xff\xff\xff", 5, INSN_CALL, AT);
	expect("\x0f\x84\xfa\x00\x00\x00", 6, INSN_BRANCH, AT + 0x100);
	expect("\x77\x10", 2, INSN_BRANCH, AT + 0x12);
	expect("\xe3\x10", 2, INSN_BRANCH, AT + 0x12);		/* jrcxz */
	expect("\xff\xe0", 2, INSN_JUMP_INDIRECT, 0);
	expect("\xff\x15\x00\x00\x00\x00", 6, INSN_CALL_INDIRECT, 0);
	expect("\x2e\xff\xe0", 3, INSN_JUMP_INDIRECT, 0);	/* what retpolines become */
	expect("\xc3", 1, INSN_RETURN, 0);
	expect("\x48\xcf", 2, INSN_RETURN, 0);
	expect("\x48\x0f\x07", 3, INSN_RETURN, 0);		/* sysretq */
	expect("\xcc", 1, INSN_TRAP, 0);
	expect("\x0f\x0b", 2, INSN_STOP, 0);
	expect("\xf3\x0f\x1e\xfa", 4, INSN_NEXT, 0);
	expect("\xcd\x80", 2, INSN_NEXT, 0);
}

static void operands_are_taken(void **state)
{
	/* mov rax, [rax*8 - 0x7e3ffd20]; cmp esi, 0x27 */
	struct insns insns = decode("\x48\x8b\x04\xc5\xe0\x02\xc0\x81\x83\xfe\x27", 11);
	const struct insn_operand *from = &insns.list.v[0].operand[1];

	(void)state;
	assert_int_equal(insns.list.n, 2);
	assert_int_equal(from->type, INSN_MEMORY);
	assert_int_equal(from->scale, 8);
	assert_int_equal((uint64_t)from->value, 0xffffffff81c002e0ull);
	assert_int_equal(from->size_bytes, 8);
	assert_int_equal(insns.list.v[1].operand[1].type, INSN_IMMEDIATE);
	assert_int_equal(insns.list.v[1].operand[1].value, 0x27);
	assert_ptr_equal(insns_find(&insns, gva_of(AT + 8)), &insns.list.v[1]);
	assert_null(insns_find(&insns, gva_of(AT + 1)));
	assert_null(insns_find(&insns, gva_of(AT + 11)));
	insns_free(&insns);
}

static void what_is_no_instruction_ends_it(void **state)
{
	struct insns insns = decode("\x90\x06\x90", 3);		/* push es: not in 64-bit code */

	(void)state;
	assert_int_equal(insns.list.n, 1);
	assert_int_equal(insns.bytes, 1);
	insns_free(&insns);
	insns = decode("\x90\xe9\x00\x00", 4);			/* cut short */
	assert_int_equal(insns.bytes, 1);
	insns_free(&insns);
	insns = decode("", 0);
	assert_int_equal(insns.list.n, 0);
	assert_null(insns_find(&insns, gva_of(AT)));
	insns_free(&insns);
}

static void all_bytes_of_any_kind_are_survived(void **state)
{
	uint8_t code[64];

	(void)state;
	for (unsigned seed = 0; seed < 4096; seed++) {
		struct insns insns;

		for (size_t i = 0; i < sizeof(code); i++)
			code[i] = (uint8_t)((seed * 2654435761u + i * i * 40503u) >> 11);
		insns = decode(code, sizeof(code));
		assert_true(insns.bytes <= sizeof(code));
		insns_free(&insns);
	}
}

static void code_is_printed(void **state)
{
	char text[64];

	(void)state;
	assert_string_equal(insn_print((const uint8_t *)"\x55\x48\x89\xe5\xc3", 5, gva_of(AT), 2,
				       text, sizeof(text)),
			    "push rbp; mov rbp, rsp");
	assert_string_equal(insn_print((const uint8_t *)"\x06", 1, gva_of(AT), 2, text,
				       sizeof(text)),
			    "(no instruction)");
	insn_print((const uint8_t *)"\x55\x48\x89\xe5\xc3", 5, gva_of(AT), 3, text, 10);
	assert_int_equal(strlen(text), 9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(branches_lead_where_they_lead),
		cmocka_unit_test(operands_are_taken),
		cmocka_unit_test(what_is_no_instruction_ends_it),
		cmocka_unit_test(all_bytes_of_any_kind_are_survived),
		cmocka_unit_test(code_is_printed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
