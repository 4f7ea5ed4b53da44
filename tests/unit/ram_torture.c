/* SPDX-License-Identifier: Apache-2.0 */
#include "ram/guests.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "make/torture.h"
#include "ram/handover.h"
#include "ram/image.h"
#include "ram/layout.h"
#include "ram/maps.h"
#include "ram/qmp.h"
#include "ram/served.h"

/*
 * Memory runs out at every single allocation, one after the other: each time the end is an
 * error, and (under AddressSanitizer) nothing is lost.
 */
static int command_line(void)
{
	static const char words[] =
		"/usr/bin/qemu-system-x86_64\0-name\0guest=web,debug-threads=on\0-machine\0"
		"pc-q35-7.2,accel=kvm:tcg,max-ram-below-4g=1G\0-m\0002G\0-object\0"
		"{\"qom-type\":\"memory-backend-memfd\",\"id\":\"a\",\"size\":1073741824}\0-object\0"
		"memory-backend-file,id=b,size=1G,mem-path=/x,share=on\0-numa\0node,memdev=a\0"
		"-numa\0node,memdev=b\0-uuid\0u\0-cpu\0host\0-chardev\0socket,id=c,path=/q\0-mon\0"
		"chardev=c,mode=control\0-qmp\0unix:/r\0-mem-path\0/y\0-readconfig\0/z\0-object\0"
		"sev-guest,id=s";
	struct ram_layout layout = { 0 };
	struct ram_range ranges[2];
	struct qemu_args args;
	bool split;
	int r = qemu_args_parse(words, sizeof(words), &args, NULL);

	if (r == 0)
		r = layout_of_machine(args.machine, args.ram_bytes, args.max_below_4g, ranges,
				      &split, NULL);
	if (r > 0)
		r = layout_of_args(&args, ranges, r, &layout, NULL);
	layout_free(&layout);
	qemu_args_free(&args);
	return r;
}

static int memory_tree(void)
{
	static const char tree[] =
		"    0000000000000000-00000000bfffffff (prio 0, i/o): alias ram-below-4g @pc.ram 0000000000000000-00000000bfffffff\n"
		"    0000000100000000-000000017fffffff (prio 0, i/o): alias ram-above-4g @pc.ram 00000000c0000000-000000013fffffff\n"
		"memory-region: pc.ram\n"
		"  0000000000000000-000000013fffffff (prio 0, i/o): pc.ram\n"
		"    0000000000000000-000000007fffffff (prio 0, ram): n0\n"
		"    0000000080000000-000000013fffffff (prio 0, ram): n1\n";
	struct ram_layout layout;
	int r = layout_of_mtree(tree, &layout, NULL);

	layout_free(&layout);
	return r;
}

static int areas(void)
{
	static const char text[] = "1000-2000 rw-p 00000000 00:00 0 \n"
				   "2000-3000 rw-s 00000000 00:01 7 /memfd:x (deleted)\n";
	struct maps maps = { 0 };
	char *copy = strdup(text);
	int r = copy ? maps_parse(copy, sizeof(text) - 1, &maps, NULL) : -ENOMEM;

	if (r < 0)
		free(copy);
	else
		maps_free(&maps);
	return r;
}

static int monitor(void)
{
	static const char says[] = "{\"QMP\": {}}{\"return\": {}}{\"return\": \"text\"}";
	cleanup(qmp_close) struct qmp *qmp = NULL;
	cleanup(freep) char *answer = NULL;
	int fds[2], r;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(send(fds[1], says, sizeof(says) - 1, 0), sizeof(says) - 1);
	r = qmp_open(fds[0], 1000, 1000, &qmp, NULL);
	if (r == 0)
		r = qmp_human(qmp, "info mtree", &answer, NULL);
	close(fds[1]);
	return r;
}

static int image(void)
{
	cleanup(guest_free) struct guest guest = { 0 };
	cleanup(ram_close) struct ram *ram = NULL;
	char path[] = "/tmp/hvsm-torture-XXXXXX";
	int fd = mkstemp(path), r;
	char target[64];

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 1 << 20), 0);
	close(fd);
	snprintf(target, sizeof(target), "image:%s", path);
	r = guests_resolve(target, &guest, &ram, NULL);
	unlink(path);
	return r;
}

static int fetch_zeros(struct ram *ram, uint64_t first, uint32_t n, uint8_t *to, uint64_t *there,
		       struct err *err)
{
	(void)ram;
	(void)first;
	(void)err;
	memset(to, 0, (size_t)n * GUEST_PAGE_SIZE);
	*there = UINT64_MAX;
	return 0;
}

static void close_nothing(struct ram *ram)
{
	(void)ram;
}

static int ask(void *ctx, uint64_t first, uint32_t n, uint64_t *there, struct err *err)
{
	return ram_fetch(ctx, first, n, there, err);
}

/* From the process that may read it to the one that may not, and one page. */
static int served(void)
{
	static const struct ram_ops ops = {
		.name = "test", .fetch = fetch_zeros, .close = close_nothing,
	};
	const struct ram_range range = { gpa_of(0), 16 * GUEST_PAGE_SIZE };
	cleanup(handover_free) struct handover handover = { 0 };
	struct ram held = { .ops = &ops }, *ram = &held;
	const struct memory_elsewhere starter = { ask, ram };
	cleanup(ram_close) struct ram *taken = NULL;
	uint64_t value;
	int fd = -1, r = ram_set_ranges(ram, &range, 1, NULL);

	if (r >= 0)
		r = handover_of(ram, &handover, NULL);
	if (r >= 0)
		r = fd = fcntl(handover.fds[0], F_DUPFD_CLOEXEC, 0);
	if (r >= 0)
		r = handover_take(handover.text.data, handover.text.n, &fd, 1, &starter, &taken,
				  NULL);
	if (r >= 0)
		r = ram_read(taken, gpa_of(0), &value, sizeof(value), NULL);
	else
		fd_close(&fd);
	ram_close(&ram);
	return r;
}

static int all_guests(void)
{
	struct guests guests = { 0 };
	int r = guests_find(&guests, NULL);

	guests_free(&guests);
	return r;
}

static int run(int (*work)(void), uint64_t nth)
{
	torture_allocation(nth);
	return work();
}

/* Run @work as often as it has allocations, and let another one fail each time. */
static void torture(int (*work)(void))
{
	uint64_t n = 1, count;
	int r;

	for (;; n++) {
		r = run(work, n);
		count = torture_allocations();
		torture_allocation(0);
		if (count < n)
			break;
		assert_true(r < 0);
	}
	assert_int_equal(r, 0);
	assert_in_range(n, 2, 100000);
}

#define TORTURE(name, work)                     \
	static void name(void **state)          \
	{                                       \
		(void)state;                    \
		torture(work);                  \
	}

TORTURE(reading_a_command_line, command_line)
TORTURE(reading_a_memory_tree, memory_tree)
TORTURE(reading_areas, areas)
TORTURE(talking_to_a_monitor, monitor)
TORTURE(opening_an_image, image)
TORTURE(serving_a_guest, served)

/* Most processes are no guest and need no memory; one that cannot be looked at ends the list. */
static void listing_all_guests(void **state)
{
	(void)state;
	for (uint64_t n = 1; n < 50; n++) {
		int r = run(all_guests, n);

		torture_allocation(0);
		assert_true(r == 0 || r == -ENOMEM);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reading_a_command_line),
		cmocka_unit_test(reading_a_memory_tree),
		cmocka_unit_test(reading_areas),
		cmocka_unit_test(talking_to_a_monitor),
		cmocka_unit_test(opening_an_image),
		cmocka_unit_test(serving_a_guest),
		cmocka_unit_test(listing_all_guests),
	};

	json_set_alloc_funcs(malloc, free);	/* the wrapped ones */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
