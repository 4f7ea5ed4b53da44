/* SPDX-License-Identifier: Apache-2.0 */
#include "ram/xen_p2m.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <xenctrl.h>

#include "base/cleanup.h"
#include "ram/machine.h"

#define ENTRIES	 512u
#define PAGES	 64u
#define SHARED	 900u
#define ROOT	 901u
#define LIST	 0xffffc90000000000ull
#define SIZE	 1500u		/* frames: three pages of the list */

/* Machine frames 900 to 964 of a guest. */
static struct {
	uint64_t page[PAGES][ENTRIES];
	unsigned reads;
	unsigned fail_at;	/* read that ends it; 0: none */
	bool restless;		/* the generation changes with each look */
	struct shared_info *shared;
} guest;

static uint64_t *page(uint64_t frame)
{
	return guest.page[frame - SHARED];
}

static int read_frames(void *ctx, const uint64_t *numbers, uint32_t n, uint8_t *pages, bool *there,
		       struct err *err)
{
	assert_ptr_equal(ctx, &guest);
	assert_in_range(n, 1, P2M_BATCH);
	if (++guest.reads == guest.fail_at)
		return err_set(err, -EIO, "on purpose");
	for (uint32_t i = 0; i < n; i++) {
		there[i] = numbers[i] >= SHARED && numbers[i] < SHARED + PAGES;
		if (there[i] && numbers[i] == SHARED && guest.restless)
			guest.shared->arch.p2m_generation += 2;
		if (there[i])
			memcpy(pages + i * GUEST_PAGE_SIZE, page(numbers[i]), GUEST_PAGE_SIZE);
	}
	return 0;
}

static const struct p2m_source source = { read_frames, &guest };

static int start(void **state)
{
	(void)state;
	memset(&guest, 0, sizeof(guest));
	guest.shared = (struct shared_info *)page(SHARED);
	guest.shared->arch.max_pfn = SIZE;
	guest.shared->arch.p2m_generation = 4;
	/* The list itself: frames 905, 906 and 908. */
	for (uint32_t i = 0; i < SIZE; i++)
		page(i < 512 ? 905 : i < 1024 ? 906 : 908)[i % ENTRIES] = 10000 + 3 * i;
	return 0;
}

/* At an address in the guest's page tables. */
static void linear(void)
{
	guest.shared->arch.pfn_to_mfn_frame_list_list = UINT64_MAX;
	guest.shared->arch.p2m_cr3 = (uint64_t)ROOT << GUEST_PAGE_SHIFT;
	guest.shared->arch.p2m_vaddr = LIST;
	page(ROOT)[LIST >> 39 & 511] = 902ull << GUEST_PAGE_SHIFT | 0x67;
	page(902)[LIST >> 30 & 511] = 903ull << GUEST_PAGE_SHIFT | 0x67;
	page(903)[LIST >> 21 & 511] = 904ull << GUEST_PAGE_SHIFT | 0x67;
	page(904)[0] = 905ull << GUEST_PAGE_SHIFT | 0x8010000000000067;
	page(904)[1] = 906ull << GUEST_PAGE_SHIFT | 0x67;
	page(904)[2] = 908ull << GUEST_PAGE_SHIFT | 0x67;
}

/* By the table of three levels. */
static void listed(void)
{
	guest.shared->arch.pfn_to_mfn_frame_list_list = 910;
	page(910)[0] = 911;
	page(911)[0] = 905;
	page(911)[1] = 906;
	page(911)[2] = 908;
}

static int look(uint32_t *to, uint32_t n)
{
	memset(to, 0x55, n * sizeof(*to));
	return p2m_read(&source, SHARED, to, n, NULL);
}

static void expect_all(const uint32_t *to, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(to[i], 10000 + 3 * i);
}

static void both_ways_lead_to_all_of_it(void **state)
{
	uint32_t to[SIZE];
	uint64_t size;

	(void)state;
	linear();
	assert_int_equal(p2m_size(&source, SHARED, &size, NULL), 0);
	assert_int_equal(size, SIZE);
	assert_int_equal(look(to, SIZE), 0);
	expect_all(to, SIZE);
	/* Less than there is. */
	assert_int_equal(look(to, 600), 0);
	expect_all(to, 600);

	start(state);
	listed();
	assert_int_equal(look(to, SIZE), 0);
	expect_all(to, SIZE);
}

static void what_is_not_its_own_is_none(void **state)
{
	static const uint64_t odd[] = {
		UINT64_MAX,			/* nothing is there */
		1ull << 63 | 77,		/* granted by another */
		1ull << 62 | 78,		/* a device's */
		UINT32_MAX, 1ull << 40,		/* beyond all machines */
	};
	uint32_t to[SIZE];

	(void)state;
	linear();
	memcpy(page(906), odd, sizeof(odd));
	assert_int_equal(look(to, SIZE), 0);
	expect_all(to, 512);
	for (size_t i = 0; i < ARRAY_SIZE(odd); i++)
		assert_int_equal(to[512 + i], MACHINE_NONE);
	assert_int_equal(to[512 + ARRAY_SIZE(odd)], 10000 + 3 * (512 + ARRAY_SIZE(odd)));
}

static void holes_of_the_list_are_nothing(void **state)
{
	uint32_t to[SIZE];

	(void)state;
	linear();
	page(904)[1] = 0;					/* not mapped */
	page(904)[2] = 5000ull << GUEST_PAGE_SHIFT | 0x67;	/* another guest's */
	assert_int_equal(look(to, SIZE), 0);
	expect_all(to, 512);
	for (uint32_t i = 512; i < SIZE; i++)
		assert_int_equal(to[i], MACHINE_NONE);

	page(903)[LIST >> 21 & 511] = 5000ull << GUEST_PAGE_SHIFT | 0x67;
	assert_int_equal(look(to, SIZE), 0);
	for (uint32_t i = 0; i < SIZE; i++)
		assert_int_equal(to[i], MACHINE_NONE);

	start(state);
	listed();
	page(911)[0] = 0;
	assert_int_equal(look(to, SIZE), 0);
	assert_int_equal(to[0], MACHINE_NONE);
	assert_int_equal(to[512], 10000 + 3 * 512);
}

/* All levels are one page, which leads to itself: the list is what that page holds. */
static void a_table_that_leads_to_itself_ends(void **state)
{
	uint32_t *to = calloc(1u << 20, sizeof(*to));

	(void)state;
	guest.shared->arch.p2m_cr3 = (uint64_t)ROOT << GUEST_PAGE_SHIFT;
	guest.shared->arch.p2m_vaddr = LIST;
	for (unsigned i = 0; i < ENTRIES; i++)
		page(ROOT)[i] = (uint64_t)ROOT << GUEST_PAGE_SHIFT | 0x67;
	assert_int_equal(look(to, 1u << 20), 0);
	/* 2048 pages in batches, and the way to each 512 of them. */
	assert_in_range(guest.reads, 1, 64);
	assert_int_equal(to[5], (uint64_t)ROOT << GUEST_PAGE_SHIFT | 0x67);
	free(to);

	start(state);
	guest.shared->arch.pfn_to_mfn_frame_list_list = 910;
	for (unsigned i = 0; i < ENTRIES; i++)
		page(910)[i] = 910;
	to = calloc(SIZE, sizeof(*to));
	assert_int_equal(look(to, SIZE), 0);
	assert_int_equal(to[SIZE - 1], 910);
	free(to);
}

static void addresses_that_cannot_be_are_refused(void **state)
{
	static const uint64_t wild[] = { LIST + 8, UINT64_MAX & ~0xfffull, 0xfffffffffffff001 };
	uint32_t to[SIZE];

	(void)state;
	linear();
	for (size_t i = 0; i < ARRAY_SIZE(wild); i++) {
		guest.shared->arch.p2m_vaddr = wild[i];
		assert_int_equal(look(to, SIZE), -EBADMSG);
	}
}

static void a_guest_that_boots_has_none_yet(void **state)
{
	uint32_t to[SIZE];
	uint64_t size = 7;

	(void)state;
	assert_int_equal(look(to, SIZE), -EAGAIN);
	guest.shared->arch.pfn_to_mfn_frame_list_list = UINT64_MAX;
	assert_int_equal(p2m_size(&source, SHARED, &size, NULL), -EAGAIN);
	linear();
	guest.shared->arch.max_pfn = 0;
	assert_int_equal(p2m_size(&source, SHARED, &size, NULL), -EAGAIN);
	assert_int_equal(size, 7);
	assert_int_equal(p2m_read(&source, 3, to, SIZE, NULL), -EFAULT);
}

static void one_that_never_stands_still_is_said_to_be(void **state)
{
	uint32_t to[SIZE];

	(void)state;
	linear();
	guest.restless = true;
	assert_int_equal(look(to, SIZE), -ESTALE);
	guest.restless = false;
	guest.shared->arch.p2m_generation = 5;	/* always in the middle of a change */
	assert_int_equal(look(to, SIZE), -ESTALE);
	assert_in_range(guest.reads, 1, 200);
}

static void every_read_that_fails_is_an_error(void **state)
{
	uint32_t to[SIZE];
	unsigned n;

	(void)state;
	linear();
	assert_int_equal(look(to, SIZE), 0);
	n = guest.reads;
	for (unsigned i = 1; i <= n; i++) {
		guest.reads = 0;
		guest.fail_at = i;
		assert_int_equal(look(to, SIZE), -EIO);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(both_ways_lead_to_all_of_it, start),
		cmocka_unit_test_setup(what_is_not_its_own_is_none, start),
		cmocka_unit_test_setup(holes_of_the_list_are_nothing, start),
		cmocka_unit_test_setup(a_table_that_leads_to_itself_ends, start),
		cmocka_unit_test_setup(addresses_that_cannot_be_are_refused, start),
		cmocka_unit_test_setup(a_guest_that_boots_has_none_yet, start),
		cmocka_unit_test_setup(one_that_never_stands_still_is_said_to_be, start),
		cmocka_unit_test_setup(every_read_that_fails_is_an_error, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
