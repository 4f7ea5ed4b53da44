/* SPDX-License-Identifier: Apache-2.0 */

/* The kernel fails those who read guests: what is read is right, or it is an error that says so. */
#include "ram/guests.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "make/faults.h"
#include "ram/remote.h"

#define PAGES 64u	/* more than what process_vm_readv() is used from */

static const int codes[] = { EIO, EINTR, EFAULT, ESRCH, EPERM, FAULT_SHORT };

static uint8_t *memory;

static int next_fd(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

/* Each call of @work fails in each way. Return: how many calls there are. */
static unsigned torture(int (*work)(struct err *err))
{
	unsigned calls = 0;

	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		unsigned nth = 1;

		do {
			const int first = next_fd();
			struct err err = { 0 };
			int r;

			fault_set(nth, codes[i]);
			r = work(&err);
			calls = fault_end(NULL);
			if (r < 0 && (!*err.text || codes[i] == EINTR || codes[i] == FAULT_SHORT))
				fail_msg("call %u, %d: %d, %s", nth, codes[i], r, err.text);
			assert_int_equal(next_fd(), first);
		} while (nth++ <= calls);
	}
	return calls;
}

static bool is_right(const uint8_t *read, size_t first, size_t pages)
{
	return !memcmp(read, memory + first * GUEST_PAGE_SIZE, pages * GUEST_PAGE_SIZE);
}

/* Another process's memory: this one's, which is read in the same way. */
static int read_remote(struct err *err)
{
	static uint8_t to[PAGES * GUEST_PAGE_SIZE];
	struct remote remote = REMOTE_NONE;
	struct proc proc = PROC_NONE;
	uint64_t start = 4711, len = 4712;
	int r = proc_init(&proc, getpid(), err);

	if (r < 0)
		return r;
	r = remote_init(&remote, &proc, err);
	if (r < 0) {
		proc_deinit(&proc);
		return r;
	}
	memset(to, 0xee, sizeof(to));
	r = remote_read(&remote, (uintptr_t)memory, to, sizeof(to), NULL, NULL, err);
	assert_true(r < 0 || is_right(to, 0, PAGES));
	if (r >= 0)
		r = remote_read(&remote, (uintptr_t)memory + GUEST_PAGE_SIZE, to, GUEST_PAGE_SIZE,
				NULL, NULL, err);
	assert_true(r < 0 || is_right(to, 1, 1));
	if (r >= 0) {
		r = remote_next(&remote, (uintptr_t)memory,
				(uintptr_t)memory + PAGES * GUEST_PAGE_SIZE, &start, &len, err);
		assert_true(r < 0 ? start == 4711 && len == 4712 :
				    start == (uintptr_t)memory && len);
	}
	remote_deinit(&remote);
	return r;
}

static void memory_of_a_process(void **state)
{
	(void)state;
	assert_in_range(torture(read_remote), 8, 200);
}

static char image[] = "/tmp/hvsm-faults-XXXXXX";

static int read_image(struct err *err)
{
	static uint8_t to[PAGES * GUEST_PAGE_SIZE];
	cleanup(guest_free) struct guest guest = { 0 };
	cleanup(ram_close) struct ram *ram = NULL;
	char target[64];
	int r;

	snprintf(target, sizeof(target), "image:%s", image);
	r = guests_resolve(target, &guest, &ram, err);
	if (r < 0) {
		assert_null(ram);
		return r;
	}
	memset(to, 0xee, sizeof(to));
	r = ram_read(ram, gpa_of(0), to, sizeof(to), err);
	assert_true(r < 0 || is_right(to, 0, PAGES));
	return r;
}

static void memory_of_an_image(void **state)
{
	cleanup(fd_close) int fd = mkstemp(image);

	(void)state;
	assert_int_equal(write(fd, memory, PAGES * GUEST_PAGE_SIZE), PAGES * GUEST_PAGE_SIZE);
	assert_in_range(torture(read_image), 3, 200);
	unlink(image);
}

static int set_up(void **state)
{
	(void)state;
	memory = mmap(NULL, PAGES * GUEST_PAGE_SIZE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return -1;
	for (size_t i = 0; i < PAGES; i++)
		memset(memory + i * GUEST_PAGE_SIZE, (int)i + 1, GUEST_PAGE_SIZE);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	return munmap(memory, PAGES * GUEST_PAGE_SIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_of_a_process),
		cmocka_unit_test(memory_of_an_image),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
