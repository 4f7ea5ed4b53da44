/* SPDX-License-Identifier: Apache-2.0 */
#include "ram/handover.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "ram/fake.h"
#include "ram/guests.h"
#include "ram/image.h"

#define PAGE GUEST_PAGE_SIZE
#define ANONYMOUS INT32_MAX

static char path[] = "/tmp/hvsm-handover-XXXXXX";

static int set_up(void **state)
{
	cleanup(fd_close) int fd = mkstemp(path);
	char page[PAGE];

	(void)state;
	for (char i = 0; i < 4; i++) {
		memset(page, 'a' + i, sizeof(page));
		if (write(fd, page, sizeof(page)) != sizeof(page))
			return -1;
	}
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	return unlink(path);
}

static int open_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* What the other process has: copies of the descriptors. */
static int take(const struct handover *handover, size_t text_bytes, struct ram **ret)
{
	int fds[HANDOVER_FDS_MAX], r;

	for (size_t i = 0; i < handover->fds_n; i++)
		fds[i] = fcntl(handover->fds[i], F_DUPFD_CLOEXEC, 0);
	r = handover_take(handover->text.data, text_bytes, fds, handover->fds_n, NULL, ret, NULL);
	for (size_t i = 0; i < handover->fds_n && r < 0; i++)
		close(fds[i]);
	return r;
}

static void image_is_read_by_who_takes_it(void **state)
{
	cleanup(ram_close) struct ram *ram = NULL, *taken = NULL;
	struct handover handover;
	char byte;
	int before = open_fds();

	(void)state;
	assert_int_equal(image_open_unread(path, &ram, NULL), 0);
	assert_int_equal(ram->ranges_n, 0);
	assert_int_equal(handover_of(ram, &handover, NULL), 0);
	assert_int_equal(take(&handover, handover.text.n, &taken), 0);
	handover_free(&handover);
	ram_close(&ram);
	assert_int_equal(taken->ranges_n, 1);
	assert_false(ram_is_live(taken));
	assert_int_equal(ram_read(taken, gpa_of(3 * PAGE), &byte, 1, NULL), 0);
	assert_int_equal(byte, 'd');
	ram_close(&taken);
	assert_int_equal(open_fds(), before);
}

static void what_is_wrong_with_an_image_is_told_by_who_takes_it(void **state)
{
	static const char magic[16] = "KDUMP   ";
	cleanup(ram_close) struct ram *ram = NULL, *taken = NULL;
	cleanup(fd_close) int fd = open(path, O_WRONLY);
	struct handover handover;
	struct guest guest = { 0 };
	int before = open_fds();

	(void)state;
	assert_int_equal(pwrite(fd, magic, sizeof(magic), 0), sizeof(magic));
	assert_int_equal(guests_resolve(path, &guest, &ram, NULL), -ENOTSUP);
	assert_int_equal(guests_resolve_unread(path, &guest, &ram, NULL), 0);
	guest_free(&guest);
	assert_int_equal(handover_of(ram, &handover, NULL), 0);
	assert_int_equal(take(&handover, handover.text.n, &taken), -ENOTSUP);
	handover_free(&handover);
	ram_close(&ram);
	assert_int_equal(open_fds(), before);
	assert_int_equal(pwrite(fd, "aaaaaaaaaaaaaaaa", 16, 0), 16);
}

/* As qemu.c hands over this process, whose memory is @memory and the file at @path. */
static void hand_over_self(struct handover *handover, const uint8_t *memory)
{
	struct writer *w = &handover->text;

	*handover = (struct handover){ .text = writer_of(malloc(HANDOVER_BYTES_MAX),
							 HANDOVER_BYTES_MAX) };
	assert_int_equal(handover_add(handover, open("/proc/self/mem", O_RDONLY), NULL), 0);
	assert_int_equal(handover_add(handover, open("/proc/self/pagemap", O_RDONLY), NULL), 1);
	assert_int_equal(handover_add(handover, pidfd_open(getpid(), 0), NULL), 2);
	assert_int_equal(handover_add(handover, open(path, O_RDONLY), NULL), 3);
	write_u8(w, HANDOVER_QEMU);
	write_u32(w, (uint32_t)getpid());
	write_text(w, "a test");
	write_u32(w, 2);
	write_u64(w, 0);		/* range */
	write_u64(w, 3 * PAGE);
	write_u64(w, 1ull << 32);
	write_u64(w, PAGE);
	write_u64(w, 2ull << 32);	/* room for more */
	write_u64(w, 8 * PAGE);
	write_u8(w, true);
	write_u32(w, 3);
	write_u64(w, 0);		/* segment: private memory */
	write_u64(w, 2 * PAGE);
	write_u64(w, (uintptr_t)memory);
	write_u64(w, 0);
	write_u32(w, ANONYMOUS);
	write_u8(w, 0);
	for (unsigned i = 0; i < 2; i++) {	/* two in one file */
		write_u64(w, i ? 1ull << 32 : 2 * PAGE);
		write_u64(w, PAGE);
		write_u64(w, 0);
		write_u64(w, (i + 1) * PAGE);
		write_u32(w, 0);
		write_u8(w, 1);
	}
	assert_true(writer_ok(w));
}

static void close_all(struct handover *handover)
{
	for (size_t i = 0; i < handover->fds_n; i++)
		close(handover->fds[i]);
	handover_free(handover);
}

static uint8_t *own_memory(void)
{
	uint8_t *memory = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(memory, MAP_FAILED);
	memory[1] = 'm';	/* the second page is never touched */
	return memory;
}

static void process_is_read_by_who_takes_it(void **state)
{
	uint8_t *memory = own_memory(), bytes[3 * PAGE];
	cleanup(ram_close) struct ram *taken = NULL;
	struct handover handover, again;
	unsigned char there = 1;
	int before = open_fds();

	(void)state;
	hand_over_self(&handover, memory);
	assert_int_equal(take(&handover, handover.text.n, &taken), 0);
	assert_true(ram_is_live(taken));
	assert_int_equal(ram_alive(taken, NULL), 0);
	assert_string_equal(taken->layout, "a test");
	assert_int_equal(taken->room.start.v, 2ull << 32);
	assert_int_equal(taken->room.size_bytes, 8 * PAGE);
	assert_true(taken->unsure);
	assert_int_equal(ram_read(taken, gpa_of(0), bytes, sizeof(bytes), NULL), 0);
	assert_int_equal(bytes[1], 'm');
	assert_int_equal(bytes[PAGE], 0);
	assert_int_equal(bytes[2 * PAGE], 'b');
	assert_int_equal(ram_read(taken, gpa_of(1ull << 32), bytes, PAGE, NULL), 0);
	assert_int_equal(bytes[0], 'c');
	/* Without a trace. */
	assert_int_equal(mincore(memory + PAGE, PAGE, &there), 0);
	assert_false(there & 1);
	/* Who took it could hand it on. */
	assert_int_equal(handover_of(taken, &again, NULL), 0);
	assert_int_equal(again.fds_n, 4);
	assert_int_equal(again.text.n, handover.text.n);
	assert_memory_equal(again.text.data, handover.text.data, handover.text.n);
	handover_free(&again);
	ram_close(&taken);
	close_all(&handover);
	assert_int_equal(open_fds(), before);
	munmap(memory, 2 * PAGE);
}

/* Cut anywhere, or with any one byte of its numbers changed: refused, or sound. */
static void damaged_handover_is_refused(void **state)
{
	uint8_t *memory = own_memory();
	struct handover handover;
	int before = open_fds();

	(void)state;
	hand_over_self(&handover, memory);
	for (size_t n = 0; n < handover.text.n; n++) {
		struct ram *taken = NULL;

		assert_int_equal(take(&handover, n, &taken), -EBADMSG);
	}
	for (size_t n = 0; n < handover.text.n; n++) {
		struct ram *taken = NULL;
		uint8_t byte;

		handover.text.data[n] ^= 0x41;
		if (take(&handover, handover.text.n, &taken) >= 0)
			for (size_t i = 0; i < taken->ranges_n; i++)
				if (ram_read(taken, taken->ranges[i].start, &byte, 1, NULL) < 0)
					break;
		ram_close(&taken);
		handover.text.data[n] ^= 0x41;
	}
	close_all(&handover);
	assert_int_equal(open_fds(), before);
	munmap(memory, 2 * PAGE);
}

static void own_memory_is_not_handed_over(void **state)
{
	static uint8_t page[PAGE];
	const struct ram_range range = { gpa_of(0), PAGE };
	void *const bytes[] = { page };
	cleanup(ram_close) struct ram *ram = NULL;
	struct handover handover;

	(void)state;
	assert_int_equal(fake_open(&range, bytes, 1, &ram, NULL), 0);
	assert_int_equal(handover_of(ram, &handover, NULL), -ENOTSUP);
	handover_free(&handover);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(image_is_read_by_who_takes_it),
		cmocka_unit_test(what_is_wrong_with_an_image_is_told_by_who_takes_it),
		cmocka_unit_test(process_is_read_by_who_takes_it),
		cmocka_unit_test(damaged_handover_is_refused),
		cmocka_unit_test(own_memory_is_not_handed_over),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
