/* SPDX-License-Identifier: Apache-2.0 */
#include "ram/heap.h"

#include <malloc.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/limits.h"

#define G (1ull << 30)

/* struct RAMBlock of QEMU 7.2, as far as its name. */
struct block {
	uint64_t rcu[2], mr, host, colo_cache, offset, used_length, max_length, resized;
	uint32_t flags;
	char idstr[256];
};

struct __attribute__((packed)) e820 {
	uint64_t address, length;
	uint32_t type;
};

/* What the other process has in its heap. */
struct content {
	struct block blocks[3];
	size_t blocks_n;
	struct e820 tables[2][3];
	size_t tables_n;
};

/* Into the heap proper, wherever malloc() takes its memory from (under sanitizers, elsewhere). */
static void add(const void *data, size_t n, size_t room)
{
	void *to = sbrk((intptr_t)room);

	if (to == (void *)-1)
		_exit(1);
	memcpy(to, data, n);
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
		/* Far apart, so that one lies behind the first chunk. */
		for (size_t i = 0; i < content->blocks_n; i++)
			add(&content->blocks[i], sizeof(content->blocks[i]), 1300000);
		for (size_t i = 0; i < content->tables_n; i++)
			add(content->tables[i], sizeof(content->tables[i]), 64);
		(void)!write(ready[1], "", 1);
		for (;;)
			pause();
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
	close(ready[1]);
	return pid;
}

static void attach(pid_t pid, struct remote *remote, struct maps *maps)
{
	struct proc proc;
	char *text;
	size_t len;

	assert_int_equal(proc_init(&proc, pid, NULL), 0);
	assert_int_equal(remote_init(remote, &proc, NULL), 0);
	assert_int_equal(proc_read(&remote->proc, "maps", MAPS_BYTES_MAX, &text, &len, NULL), 0);
	assert_int_equal(maps_parse(text, len, maps, NULL), 0);
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static const uint64_t hosts[] = { 0x7f0000000000, 0x7f1000000000 };

static struct block block(const char *name, uint64_t host, uint64_t size)
{
	struct block block = { .host = host, .used_length = size, .max_length = size };

	strcpy(block.idstr, name);
	return block;
}

static int find_block(const struct content *content, const char *name, uint64_t *host)
{
	cleanup(remote_deinit) struct remote remote = REMOTE_NONE;
	cleanup(maps_free) struct maps maps = { 0 };
	pid_t pid = start(content);
	int r;

	attach(pid, &remote, &maps);
	r = heap_find_block(&remote, &maps, name, G, hosts, ARRAY_SIZE(hosts), host, NULL);
	end(pid);
	return r;
}

static void blocks_are_told_apart_by_name(void **state)
{
	const struct content content = {
		.blocks = { block("ram1", hosts[0], G), block("/objects/ram0", hosts[1], G),
			    block("ram10", 0x7f2000000000, G) },
		.blocks_n = 3,
	};
	uint64_t host;

	(void)state;
	assert_int_equal(find_block(&content, "ram0", &host), 0);
	assert_true(host == hosts[1]);
	assert_int_equal(find_block(&content, "ram1", &host), 0);
	assert_true(host == hosts[0]);
	assert_int_equal(find_block(&content, "ram10", &host), -ENOENT);
	assert_int_equal(find_block(&content, "ram", &host), -ENOENT);
	assert_int_equal(find_block(&content, "am0", &host), -ENOENT);
}

static void a_block_of_another_size_is_another(void **state)
{
	const struct content content = {
		.blocks = { block("ram0", hosts[0], 2 * G) }, .blocks_n = 1,
	};
	uint64_t host;

	(void)state;
	assert_int_equal(find_block(&content, "ram0", &host), -ENOENT);
}

static void a_forged_block_makes_no_answer(void **state)
{
	const struct content content = {
		.blocks = { block("ram0", hosts[0], G), block("ram0", hosts[1], G) },
		.blocks_n = 2,
	};
	uint64_t host;

	(void)state;
	assert_int_equal(find_block(&content, "ram0", &host), -ENOENT);
}

static int find_split(const struct content *content, uint64_t ram_bytes,
		      struct ram_range ranges[2])
{
	cleanup(remote_deinit) struct remote remote = REMOTE_NONE;
	cleanup(maps_free) struct maps maps = { 0 };
	pid_t pid = start(content);
	int r;

	attach(pid, &remote, &maps);
	r = heap_find_split(&remote, &maps, ram_bytes, ranges, NULL);
	end(pid);
	return r;
}

#define RESERVED { 0xfeffc000, 0x4000, 2 }
#define SPLIT(below) { 0, below, 1 }, { 4 * G, 5 * G - (below), 1 }

static void the_table_for_the_guest_confirms(void **state)
{
	const struct content plain = { .tables = { { SPLIT(3 * G), RESERVED } }, .tables_n = 1 };
	const struct content behind = { .tables = { { RESERVED, SPLIT(3 * G) } }, .tables_n = 1 };
	struct ram_range ranges[2] = { { { 0 }, 3 * G }, { { 4 * G }, 2 * G } };

	(void)state;
	assert_int_equal(find_split(&plain, 5 * G, ranges), 1);
	assert_int_equal(find_split(&behind, 5 * G, ranges), 1);
}

static void the_table_for_the_guest_contradicts(void **state)
{
	const struct content content = { .tables = { { SPLIT(2 * G) } }, .tables_n = 1 };
	struct ram_range ranges[2] = { { { 0 }, 3 * G }, { { 4 * G }, 2 * G } };

	(void)state;
	assert_int_equal(find_split(&content, 5 * G, ranges), 2);
	assert_int_equal(ranges[0].size_bytes, 2 * G);
	assert_int_equal(ranges[1].start.v, 4 * G);
	assert_int_equal(ranges[1].size_bytes, 3 * G);
}

static void a_table_without_high_memory(void **state)
{
	const struct content content = {
		.tables = { { { 0, 3 * G, 1 }, RESERVED } }, .tables_n = 1,
	};
	struct ram_range ranges[2] = { { { 0 }, 3 * G }, { { 4 * G }, 0 } };
	struct ram_range other[2] = { { { 0 }, 2 * G }, { { 4 * G }, 1 * G } };

	(void)state;
	assert_int_equal(find_split(&content, 3 * G, ranges), 1);
	assert_int_equal(find_split(&content, 3 * G, other), 2);
	assert_int_equal(other[0].size_bytes, 3 * G);
	assert_int_equal(other[1].size_bytes, 0);
}

static void a_forged_table_beside_the_true_one_changes_nothing(void **state)
{
	const struct content content = {
		.tables = { { SPLIT(2 * G) }, { SPLIT(3 * G) } }, .tables_n = 2,
	};
	struct ram_range ranges[2] = { { { 0 }, 3 * G }, { { 4 * G }, 2 * G } };

	(void)state;
	assert_int_equal(find_split(&content, 5 * G, ranges), 1);
	assert_int_equal(ranges[0].size_bytes, 3 * G);
}

static void two_other_tables_are_no_answer(void **state)
{
	const struct content content = {
		.tables = { { SPLIT(2 * G) }, { SPLIT(1 * G) } }, .tables_n = 2,
	};
	struct ram_range ranges[2] = { { { 0 }, 3 * G }, { { 4 * G }, 2 * G } };

	(void)state;
	assert_int_equal(find_split(&content, 5 * G, ranges), -ENOENT);
	assert_int_equal(ranges[0].size_bytes, 3 * G);
}

static void tables_that_cannot_be_are_passed_over(void **state)
{
	const struct content content = {
		.tables = {
			{ { 0, 3 * G, 1 }, { 4 * G, 1 * G, 1 } },	/* not all RAM */
			{ { 0, 2 * G + 1, 1 }, { 4 * G, 3 * G - 1, 1 } },
		},
		.tables_n = 2,
	};
	struct ram_range ranges[2] = { { { 0 }, 3 * G }, { { 4 * G }, 2 * G } };

	(void)state;
	assert_int_equal(find_split(&content, 5 * G, ranges), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocks_are_told_apart_by_name),
		cmocka_unit_test(a_block_of_another_size_is_another),
		cmocka_unit_test(a_forged_block_makes_no_answer),
		cmocka_unit_test(the_table_for_the_guest_confirms),
		cmocka_unit_test(the_table_for_the_guest_contradicts),
		cmocka_unit_test(a_table_without_high_memory),
		cmocka_unit_test(a_forged_table_beside_the_true_one_changes_nothing),
		cmocka_unit_test(two_other_tables_are_no_answer),
		cmocka_unit_test(tables_that_cannot_be_are_passed_over),
	};

	/* Or what one test read would be in the heap that the next one's process inherits. */
	mallopt(M_MMAP_THRESHOLD, 65536);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
