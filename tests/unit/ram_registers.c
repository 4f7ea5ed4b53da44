/* SPDX-License-Identifier: Apache-2.0 */
#include "ram/registers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/limits.h"

/* As QEMU 7.2 prints it, shortened. */
#define BLOCK                                                                   \
	"CPU#%u\n"                                                              \
	"RIP=ffffffffac217a0b RFL=00000246 [---Z-P-] CPL=0 II=0 A20=1 HLT=1\n" \
	"CS =0010 0000000000000000 ffffffff 00af9b00 DPL=0 CS64 [-RA]\n"       \
	"TR =0040 fffffe000003e000 00004087 00008900 DPL=0 TSS64-avl\n"        \
	"GDT=     fffffe000003c000 0000007f\n"                                 \
	"IDT=     fffffe0000000000 00000fff\n"                                 \
	"CR0=80050033 CR2=0000000000464560 CR3=000000000f8be000 CR4=00750ea0\n" \
	"EFER=0000000000000d01\n\n"

static void registers_of_two_cpus(void **state)
{
	registers_list cpus = { 0 };
	char text[4096];
	int n = snprintf(text, sizeof(text), BLOCK, 0u);

	(void)state;
	snprintf(text + n, sizeof(text) - (size_t)n, BLOCK, 1u);
	assert_int_equal(registers_parse(text, &cpus, NULL), 0);
	assert_int_equal(cpus.n, 2);
	for (size_t i = 0; i < 2; i++) {
		const struct registers *cpu = &cpus.v[i];

		assert_int_equal(cpu->have, REGISTERS_CONTROL | REGISTERS_TABLES | REGISTERS_CODE |
						    REGISTERS_EFER);
		assert_int_equal(cpu->cr0, 0x80050033);
		assert_int_equal(cpu->cr3, 0xf8be000);
		assert_int_equal(cpu->cr4, 0x750ea0);
		assert_int_equal(cpu->efer, 0xd01);
		assert_int_equal(cpu->gdt, 0xfffffe000003c000);
		assert_int_equal(cpu->gdt_limit, 0x7f);
		assert_int_equal(cpu->idt, 0xfffffe0000000000);
		assert_int_equal(cpu->idt_limit, 0xfff);
		assert_int_equal(cpu->tr, 0xfffffe000003e000);
		assert_int_equal(cpu->cs, 0x10);
		assert_int_equal(cpu->rip, 0xffffffffac217a0b);
	}
	vec_free(&cpus);
}

static void what_is_missing_of_one_is_not_taken_from_the_next(void **state)
{
	registers_list cpus = { 0 };
	char text[4096] = "CPU#0\nCR0=80050033 CR3=1000 CR4=20\n";

	(void)state;
	snprintf(text + strlen(text), sizeof(text) - strlen(text), BLOCK, 1u);
	assert_int_equal(registers_parse(text, &cpus, NULL), 0);
	assert_int_equal(cpus.n, 2);
	assert_int_equal(cpus.v[0].have, REGISTERS_CONTROL);
	assert_int_equal(cpus.v[0].cr4, 0x20);
	vec_free(&cpus);
}

static void answers_that_are_none(void **state)
{
	static const char *const texts[] = {
		"", "unknown command: 'info registers -a'\r\n", "CPU#0\n", "CPU#0\nCR0=zz",
		"CPU#0\nCR0=1 CR3=", "CPU#0\nCR0=80050033 CR3=1000 CR4=20\nCPU#1\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		registers_list cpus = { 0 };

		assert_int_equal(registers_parse(texts[i], &cpus, NULL), -EBADMSG);
		vec_free(&cpus);
	}
}

static void more_cpus_than_there_can_be(void **state)
{
	static const char block[] = "CPU#0 CR0=1 CR3=1 CR4=1\n";
	registers_list cpus = { 0 };
	size_t bytes = sizeof(block) - 1;
	char *text = malloc((CPUS_MAX + 1) * bytes + 1);

	(void)state;
	assert_non_null(text);
	for (size_t i = 0; i <= CPUS_MAX; i++)
		memcpy(text + i * bytes, block, bytes + 1);
	assert_int_equal(registers_parse(text, &cpus, NULL), -ELOOP);
	vec_free(&cpus);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(registers_of_two_cpus),
		cmocka_unit_test(what_is_missing_of_one_is_not_taken_from_the_next),
		cmocka_unit_test(answers_that_are_none),
		cmocka_unit_test(more_cpus_than_there_can_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
