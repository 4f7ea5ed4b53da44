/* SPDX-License-Identifier: Apache-2.0 */
#include "ram/heap.h"

#include <malloc.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/limits.h"

#define M	 (1ull << 20)
#define G	 (1ull << 30)
#define RAM_HOST 0x7d0000000000ull
#define DIMM	 0x7d1000000000ull
#define OTHER	 0x7d2000000000ull
#define REGIONS	 0x7c0000000000ull

/* struct RAMBlock of QEMU 7.2, as far as its sizes. */
struct block {
	uint64_t rcu[2], region, host, colo_cache, offset, used_length, max_length;
};

/* struct FlatRange, as far as its size. */
struct mapping {
	uint64_t region, offset, start, start_high, size, size_high;
};

/* What the other process has in its heap. */
struct content {
	struct block blocks[4];
	struct mapping mappings[6];
};

static void add(const void *data, size_t n)
{
	void *to = sbrk((intptr_t)((n + 15) / 16 * 16));

	if (to == (void *)-1)
		_exit(1);
	memcpy(to, data, n);
}

static void map(uint64_t at, uint64_t size)
{
	if (mmap((void *)(uintptr_t)at, size, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0) !=
	    (void *)(uintptr_t)at)
		_exit(2);
}

static pid_t start(const struct content *content)
{
	int ready[2];
	pid_t pid;
	char c;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		map(RAM_HOST, 512 * M);
		map(DIMM, 256 * M);
		map(OTHER, 128 * M);
		map(REGIONS, M);
		sbrk((intptr_t)(-(uintptr_t)sbrk(0) & 15));
		for (size_t i = 0; i < ARRAY_SIZE(content->blocks); i++)
			add(&content->blocks[i], sizeof(content->blocks[i]));
		for (size_t i = 0; i < ARRAY_SIZE(content->mappings); i++)
			add(&content->mappings[i], sizeof(content->mappings[i]));
		(void)!write(ready[1], "", 1);
		for (;;)
			pause();
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
	return pid;
}

/* What is found beside 512 MiB of RAM at 0, in 4 to 8 GiB. */
static int find(const struct content *content, struct ram_layout *layout)
{
	cleanup(remote_deinit) struct remote remote = REMOTE_NONE;
	cleanup(maps_free) struct maps maps = { 0 };
	const struct ram_range room = { gpa_of(4 * G), 4 * G };
	pid_t pid = start(content);
	struct piece *piece;
	struct proc proc;
	char *text;
	size_t len;
	int r;

	*layout = (struct ram_layout){ 0 };
	piece = vec_add(&layout->pieces);
	assert_non_null(piece);
	*piece = (struct piece){ .size_bytes = 512 * M, .host = RAM_HOST };
	assert_int_equal(proc_init(&proc, pid, NULL), 0);
	assert_int_equal(remote_init(&remote, &proc, NULL), 0);
	assert_int_equal(proc_read(&remote.proc, "maps", MAPS_BYTES_MAX, &text, &len, NULL), 0);
	assert_int_equal(maps_parse(text, len, &maps, NULL), 0);
	r = heap_find_devices(&remote, &maps, &room, layout, NULL);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return r;
}

#define REGION(i)		   (REGIONS + 0x1000 * (i))
#define BLOCK(i, at, bytes)	   { { 0 }, REGION(i), at, 0, 0, bytes, bytes }
#define MAPPING(i, from, at, size) { REGION(i), from, at, 0, size, 0 }
#define MACHINE_BLOCK		   BLOCK(1, RAM_HOST, 512 * M)
#define MACHINE_MAPPING		   MAPPING(1, 0, 0, 0xa0000)

static void expect(const struct content *content, int all, size_t pieces, uint64_t start,
		   uint64_t host)
{
	struct ram_layout layout;

	assert_int_equal(find(content, &layout), all);
	assert_int_equal(layout.pieces.n, pieces);
	if (pieces > 1) {
		assert_int_equal(layout.pieces.v[1].start, start);
		assert_int_equal(layout.pieces.v[1].host, host);
	}
	layout_free(&layout);
}

static void what_is_plugged_in_is_found(void **state)
{
	const struct content content = {
		.blocks = { MACHINE_BLOCK, BLOCK(2, DIMM, 256 * M), BLOCK(3, OTHER, 128 * M) },
		.mappings = { MACHINE_MAPPING, MAPPING(3, 0, 5 * G, 128 * M),
			      MAPPING(2, 0, 4 * G, 256 * M) },
	};
	struct ram_layout layout;

	(void)state;
	assert_int_equal(find(&content, &layout), 1);
	assert_int_equal(layout.pieces.n, 3);
	assert_int_equal(layout.pieces.v[1].start, 4 * G);
	assert_int_equal(layout.pieces.v[1].size_bytes, 256 * M);
	assert_int_equal(layout.pieces.v[1].host, DIMM);
	assert_int_equal(layout.pieces.v[2].start, 5 * G);
	assert_int_equal(layout.pieces.v[2].host, OTHER);
	layout_free(&layout);
}

static void a_block_may_be_mapped_in_pieces(void **state)
{
	const struct content content = {
		.blocks = { MACHINE_BLOCK, BLOCK(2, DIMM, 256 * M) },
		.mappings = { MACHINE_MAPPING, MAPPING(2, 0, 4 * G, 64 * M),
			      MAPPING(2, 128 * M, 4 * G + 128 * M, 64 * M) },
	};

	(void)state;
	expect(&content, 1, 3, 4 * G, DIMM);
}

static void nothing_is_plugged_in(void **state)
{
	const struct content content = {
		/* Of a display, of which the guest says where it is; not mapped; too large. */
		.blocks = { MACHINE_BLOCK, BLOCK(2, DIMM, 16 * M), BLOCK(3, OTHER, 128 * M),
			    BLOCK(4, DIMM, 512 * M) },
		.mappings = { MACHINE_MAPPING, MAPPING(2, 0, 0xfd000000, 16 * M),
			      MAPPING(4, 0, 4 * G, 512 * M) },
	};

	(void)state;
	expect(&content, 1, 1, 0, 0);
}

/* A block that waits to be freed, and one that was. */
static void what_was_plugged_out_is_not_found(void **state)
{
	const struct content content = {
		.blocks = { MACHINE_BLOCK, { { 0, 0x1234 }, REGION(2), DIMM, 0, 0, 256 * M,
					     256 * M },
			    { { 0x55, 0 }, REGION(3), OTHER, 0, 0, 128 * M, 128 * M } },
		.mappings = { MACHINE_MAPPING, MAPPING(2, 0, 4 * G, 256 * M),
			      MAPPING(3, 0, 5 * G, 128 * M) },
	};

	(void)state;
	expect(&content, 1, 1, 0, 0);
}

static void two_places_are_none_but_no_certainty(void **state)
{
	const struct content content = {
		.blocks = { MACHINE_BLOCK, BLOCK(2, DIMM, 256 * M), BLOCK(3, OTHER, 128 * M) },
		.mappings = { MACHINE_MAPPING, MAPPING(2, 0, 4 * G, 256 * M),
			      MAPPING(2, 0, 5 * G, 256 * M), MAPPING(3, 0, 7 * G, 128 * M) },
	};

	(void)state;
	expect(&content, 0, 2, 7 * G, OTHER);
}

static void two_blocks_in_one_place_are_no_certainty(void **state)
{
	const struct content content = {
		.blocks = { MACHINE_BLOCK, BLOCK(2, DIMM, 256 * M), BLOCK(3, OTHER, 128 * M) },
		.mappings = { MACHINE_MAPPING, MAPPING(2, 0, 4 * G, 256 * M),
			      MAPPING(3, 0, 4 * G + 128 * M, 128 * M) },
	};

	(void)state;
	expect(&content, 0, 1, 0, 0);
}

/* Tables of another form: the machine's own RAM is not in them as it must be. */
static void tables_that_are_not_understood_say_nothing(void **state)
{
	struct content content = {
		.blocks = { MACHINE_BLOCK, BLOCK(2, DIMM, 256 * M) },
		.mappings = { MAPPING(1, 0x1000, 0, 0xa0000), MAPPING(2, 0, 4 * G, 256 * M) },
	};
	const struct content nothing = { 0 };

	(void)state;
	expect(&content, 0, 1, 0, 0);
	content.mappings[0] = (struct mapping)MACHINE_MAPPING;
	expect(&content, 1, 2, 4 * G, DIMM);
	content.blocks[0].max_length += M;
	expect(&content, 0, 1, 0, 0);
	expect(&nothing, 0, 1, 0, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_plugged_in_is_found),
		cmocka_unit_test(a_block_may_be_mapped_in_pieces),
		cmocka_unit_test(nothing_is_plugged_in),
		cmocka_unit_test(what_was_plugged_out_is_not_found),
		cmocka_unit_test(two_places_are_none_but_no_certainty),
		cmocka_unit_test(two_blocks_in_one_place_are_no_certainty),
		cmocka_unit_test(tables_that_are_not_understood_say_nothing),
	};

	/* Or what one test read would be in the heap that the next one's process inherits. */
	mallopt(M_MMAP_THRESHOLD, 65536);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
