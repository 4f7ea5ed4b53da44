/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/follow.h"

#include <capstone/capstone.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#define AT    0xffffffff81000000ull
#define READ  (AT + 0x100000)	/* outside, as all that follows */
#define WRITE (AT + 0x100010)
#define NONE  (AT + 0x100020)
#define THUNK (AT + 0x200000)	/* jumps to rax */
#define TRACE (AT + 0x300000)	/* comes back */
#define TABLE (AT + 0x400000)

static const uint64_t table[] = { READ, WRITE, AT + 2 };

static bool read_table(void *ctx, gva at, unsigned size_bytes, uint64_t *ret)
{
	(void)ctx;
	if (size_bytes != 8 || at.v < TABLE || at.v >= TABLE + sizeof(table) || at.v % 8)
		return false;
	*ret = table[(at.v - TABLE) / 8];
	return true;
}

static bool is_detour(void *ctx, const struct insn *from, gva target, unsigned *through)
{
	(void)ctx;
	(void)from;
	*through = target.v == THUNK ? X86_REG_RAX : X86_REG_INVALID;
	return target.v == THUNK || target.v == TRACE;
}

static const struct follow_ops ops = { .read = read_table, .is_detour = is_detour };

/* A piece of code that is put together by hand. */
struct code {
	uint8_t bytes[256];
	size_t n;
};

static void put(struct code *code, const void *bytes, size_t n)
{
	memcpy(code->bytes + code->n, bytes, n);
	code->n += n;
}

static void branch(struct code *code, const char *opcode, size_t n, uint64_t target)
{
	int32_t rel;

	put(code, opcode, n);
	rel = (int32_t)(target - (AT + code->n + sizeof(rel)));
	put(code, &rel, sizeof(rel));
}

static struct follow_result follow(const struct code *code, uint64_t value)
{
	struct insns insns = { 0 };
	struct follow_result result;

	assert_int_equal(insns_decode(code->bytes, code->n, gva_of(AT), &insns), 0);
	assert_int_equal(insns.bytes, code->n);
	result = follow_code(&insns, X86_REG_RSI, value, &ops);
	insns_free(&insns);
	return result;
}

static void leaves(const struct code *code, uint64_t value, uint64_t target)
{
	struct follow_result result = follow(code, value);

	assert_int_equal(result.end, FOLLOW_LEAVES);
	assert_int_equal(result.target.v, target);
}

static void unknown(const struct code *code, uint64_t value)
{
	assert_int_equal(follow(code, value).end, FOLLOW_UNKNOWN);
}

/* endbr64; nop; cmp esi, 1; je WRITE; ja NONE; jmp READ */
static void a_tree_of_comparisons(void **state)
{
	struct code code = { 0 };

	(void)state;
	put(&code, "\xf3\x0f\x1e\xfa\x0f\x1f\x44\x00\x00", 9);
	put(&code, "\x83\xfe\x01", 3);
	branch(&code, "\x0f\x84", 2, WRITE);
	branch(&code, "\x0f\x87", 2, NONE);
	branch(&code, "\xe9", 1, READ);
	leaves(&code, 0, READ);
	leaves(&code, 1, WRITE);
	leaves(&code, 2, NONE);
	leaves(&code, UINT32_MAX, NONE);
	/* What is compared is 32 bits wide. */
	leaves(&code, 0x100000001ull, WRITE);
}

/* call TRACE; test esi, esi; je READ; call WRITE; ret */
static void calls_of_the_tracer_are_passed_over(void **state)
{
	struct code code = { 0 };

	(void)state;
	branch(&code, "\xe8", 1, TRACE);
	put(&code, "\x85\xf6", 2);
	branch(&code, "\x0f\x84", 2, READ);
	branch(&code, "\xe8", 1, WRITE);
	put(&code, "\xc3", 1);
	leaves(&code, 0, READ);
	leaves(&code, 7, WRITE);
}

/* mov eax, esi; mov rax, [rax*8 + TABLE]; jmp THUNK */
static void a_table_through_a_thunk(void **state)
{
	struct code code = { 0 };
	uint32_t disp = (uint32_t)TABLE;

	(void)state;
	put(&code, "\x89\xf0", 2);
	put(&code, "\x48\x8b\x04\xc5", 4);
	put(&code, &disp, 4);
	branch(&code, "\xe9", 1, THUNK);
	leaves(&code, 0, READ);
	leaves(&code, 1, WRITE);
	unknown(&code, 3);		/* beyond the table */
	unknown(&code, 2);		/* back inside, for ever */
}

/* lea rcx, [rip + TABLE]; jmp [rcx + rsi*8] */
static void a_table_through_memory(void **state)
{
	struct code code = { 0 };
	int32_t disp = (int32_t)(TABLE - (AT + 7));

	(void)state;
	put(&code, "\x48\x8d\x0d", 3);
	put(&code, &disp, 4);
	put(&code, "\xff\x24\xf1", 3);
	leaves(&code, 1, WRITE);
}

static void what_is_not_known_is_not_guessed(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
	} odd[] = {
		{ "\x48\x87\xc6", 3 },		 /* xchg rsi, rax */
		{ "\x0f\xa2", 2 },		 /* cpuid */
		{ "\x48\x8b\x76\x08", 4 },	 /* mov rsi, [rsi+8] */
		{ "\x65\x48\x8b\x34\x25\x00\x00\x00\x00", 9 },	/* mov rsi, gs:0 */
		{ "\x5e", 1 },			 /* pop rsi */
		{ "\x0f\x05", 2 },		 /* syscall */
		{ "\x40\xb6\x01", 3 },		 /* mov sil, 1 */
		{ "\xf3\xa4", 2 },		 /* rep movsb */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		struct code code = { 0 };

		put(&code, odd[i].bytes, odd[i].n);
		put(&code, "\x85\xf6", 2);
		branch(&code, "\x0f\x84", 2, READ);
		branch(&code, "\xe9", 1, WRITE);
		unknown(&code, 0);
	}
}

static void a_loop_ends(void **state)
{
	struct code code = { 0 };

	(void)state;
	put(&code, "\xeb\xfe", 2);
	unknown(&code, 0);
}

static void code_that_runs_off_its_end_is_unknown(void **state)
{
	struct code code = { 0 };

	(void)state;
	put(&code, "\x90\x90", 2);
	unknown(&code, 0);
	put(&code, "\xc3", 1);
	assert_int_equal(follow(&code, 0).end, FOLLOW_RETURNS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_tree_of_comparisons),
		cmocka_unit_test(calls_of_the_tracer_are_passed_over),
		cmocka_unit_test(a_table_through_a_thunk),
		cmocka_unit_test(a_table_through_memory),
		cmocka_unit_test(what_is_not_known_is_not_guessed),
		cmocka_unit_test(a_loop_ends),
		cmocka_unit_test(code_that_runs_off_its_end_is_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
