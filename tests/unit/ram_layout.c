/* SPDX-License-Identifier: Apache-2.0 */
#include "ram/layout.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "ram/fake.h"

#define M (1ull << 20)
#define G (1ull << 30)

/* QEMU's own examples (pc_init1() of hw/i386/pc_piix.c), and what QEMU 7.2 was seen to do. */
static void machines_split_their_ram(void **state)
{
	static const struct {
		const char *type;
		uint64_t ram, max_below_4g, below;
	} machines[] = {
		{ "pc", 512 * M, 0, 512 * M },
		{ "pc", 3583 * M, 0, 3583 * M },
		{ "pc", 3584 * M, 0, 3 * G },
		{ "pc", 4 * G, 0, 3 * G },
		{ NULL, 5 * G, 0, 3 * G },
		{ "pc-i440fx-7.2", 5 * G, 0, 3 * G },
		{ "pc-i440fx-2.0", 4 * G, 0, 3 * G },
		{ "pc-i440fx-rhel7.6.0", 4 * G, 0, 3 * G },
		{ "pc-i440fx-focal", 4 * G, 0, 3 * G },
		{ "ubuntu", 4 * G, 0, 3 * G },
		{ "pc-i440fx-1.7", 4 * G, 0, 3584 * M },
		{ "pc-1.3", 4 * G, 0, 3584 * M },
		{ "pc-0.15", 4 * G, 0, 3584 * M },
		{ "isapc", 4 * G, 0, 3584 * M },
		{ "pc", 4 * G, 2 * G, 2 * G },
		{ "pc", 3968 * M, 4 * G, 3968 * M },
		{ "pc", 1 * G, 512 * M, 512 * M },
		{ "q35", 512 * M, 0, 512 * M },
		{ "q35", 2815 * M, 0, 2815 * M },
		{ "q35", 2816 * M, 0, 2 * G },
		{ "q35", 5 * G, 0, 2 * G },
		{ "pc-q35-7.2", 5 * G, 0, 2 * G },
		{ "pc-q35-10.0", 5 * G, 0, 2 * G },
		{ "pc-q35-rhel9.0.0", 5 * G, 0, 2 * G },
		{ "pc-q35-noble", 5 * G, 0, 2 * G },
		{ "pc-q35-1.6", 5 * G, 0, 2816 * M },
		{ "q35", 5 * G, 1 * G, 1 * G },
		{ "q35", 5 * G, 4 * G, 2 * G },
		{ "microvm", 3 * G, 0, 3 * G },
		{ "microvm", 5 * G, 0, 3 * G },
		/* Too little to be split by any: then the type need not be known. */
		{ "something-else", 1 * G, 0, 1 * G },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(machines); i++) {
		uint64_t above = machines[i].ram - machines[i].below;
		struct ram_range ranges[2];
		bool split;

		assert_int_equal(layout_of_machine(machines[i].type, machines[i].ram,
						   machines[i].max_below_4g, ranges, &split, NULL),
				 above ? 2 : 1);
		assert_int_equal(ranges[0].start.v, 0);
		assert_int_equal(ranges[0].size_bytes, machines[i].below);
		assert_int_equal(ranges[1].start.v, 4 * G);
		assert_int_equal(ranges[1].size_bytes, above);
	}
}

static void machines_that_nobody_knows_are_no_guess(void **state)
{
	static const char *const types[] = {
		"xenfv", "x-remote", "pc-i440fx-rhel7.0.0", "pc-q35-rhel6.5.0", "none", "",
		"nitro-enclave",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		struct ram_range ranges[2];
		struct err err = { 0 };
		bool split;

		assert_int_equal(layout_of_machine(types[i], 5 * G, 0, ranges, &split, &err),
				 -ENOTSUP);
		assert_int_equal(err.code, -ENOTSUP);
	}
}

static void assert_piece(const struct ram_layout *layout, size_t i, uint64_t start,
			 uint64_t size, const char *block, uint64_t offset)
{
	assert_true(i < layout->pieces.n);
	assert_int_equal(layout->pieces.v[i].start, start);
	assert_int_equal(layout->pieces.v[i].size_bytes, size);
	assert_string_equal(layout->pieces.v[i].block, block);
	assert_int_equal(layout->pieces.v[i].offset, offset);
}

static int of_args(const char *words, struct ram_layout *layout)
{
	cleanup(freep) char *text = strdup(words);
	size_t n = strlen(words);
	struct ram_range ranges[2];
	struct qemu_args args;
	bool split;
	int r;

	*layout = (struct ram_layout){ 0 };
	for (size_t i = 0; i < n; i++)
		if (text[i] == '|')
			text[i] = '\0';
	assert_int_equal(qemu_args_parse(text, n + 1, &args, NULL), 0);
	r = layout_of_machine(args.machine, qemu_args_ram_bytes(&args), args.max_below_4g,
			      ranges, &split, NULL);
	if (r > 0)
		r = layout_of_args(&args, ranges, r, layout, NULL);
	qemu_args_free(&args);
	return r;
}

static void one_block_on_both_sides_of_the_hole(void **state)
{
	cleanup(layout_free) struct ram_layout layout;

	(void)state;
	assert_int_equal(of_args("qemu|-M|pc|-m|5G", &layout), 0);
	assert_int_equal(layout.pieces.n, 2);
	assert_piece(&layout, 0, 0, 3 * G, "pc.ram", 0);
	assert_piece(&layout, 1, 4 * G, 2 * G, "pc.ram", 3 * G);
}

static void nodes_are_cut_by_the_hole(void **state)
{
	cleanup(layout_free) struct ram_layout layout;

	(void)state;
	assert_int_equal(of_args("qemu|-M|q35|-m|5G|-object|memory-backend-ram,id=a,size=3G|"
				 "-object|memory-backend-ram,id=b,size=2G|"
				 "-numa|node,memdev=a|-numa|node,memdev=b", &layout), 0);
	assert_int_equal(layout.pieces.n, 3);
	assert_piece(&layout, 0, 0, 2 * G, "a", 0);
	assert_piece(&layout, 1, 4 * G, 1 * G, "a", 2 * G);
	assert_piece(&layout, 2, 5 * G, 2 * G, "b", 0);
}

static void nodes_that_do_not_add_up_are_refused(void **state)
{
	static const char *const lines[] = {
		"qemu|-m|2G|-object|memory-backend-ram,id=a,size=1G|-numa|node,memdev=a",
		"qemu|-m|1G|-object|memory-backend-ram,id=a,size=2G|-numa|node,memdev=a",
		"qemu|-m|1G|-numa|node,memdev=a",
		"qemu|-m|4097b",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		cleanup(layout_free) struct ram_layout layout;

		assert_int_equal(of_args(lines[i], &layout), -EBADMSG);
	}
}

/* QEMU 7.2, q35 with 5 GiB and a DIMM; shortened. */
static const char q35[] =
	"address-space: cpu-memory-0\r\n"
	"address-space: memory\r\n"
	"  0000000000000000-ffffffffffffffff (prio 0, i/o): system\r\n"
	"    0000000000000000-000000007fffffff (prio 0, ram): alias ram-below-4g @pc.ram 0000000000000000-000000007fffffff\r\n"
	"    0000000000000000-ffffffffffffffff (prio -1, i/o): pci\r\n"
	"      00000000000a0000-00000000000bffff (prio 1, i/o): vga-lowmem\r\n"
	"      00000000000c0000-00000000000dffff (prio 1, rom): pc.rom\r\n"
	"    00000000000c0000-00000000000c3fff (prio 1, ram): alias pam-ram @pc.ram 00000000000c0000-00000000000c3fff [disabled]\r\n"
	"    0000000100000000-00000001bfffffff (prio 0, ram): alias ram-above-4g @pc.ram 0000000080000000-000000013fffffff\r\n"
	"    00000001c0000000-00000002ffffffff (prio 0, i/o): device-memory\r\n"
	"      00000001c0000000-00000001ffffffff (prio 0, ram): mm\r\n"
	"\r\n"
	"memory-region: system\r\n"
	"  0000000000000000-ffffffffffffffff (prio 0, i/o): system\r\n"
	"    0000000000000000-000000007fffffff (prio 0, ram): alias ram-below-4g @pc.ram 0000000000000000-000000007fffffff\r\n"
	"    0000000100000000-00000001bfffffff (prio 0, ram): alias ram-above-4g @pc.ram 0000000080000000-000000013fffffff\r\n"
	"    00000001c0000000-00000002ffffffff (prio 0, i/o): device-memory\r\n"
	"      00000001c0000000-00000001ffffffff (prio 0, ram): mm\r\n"
	"\r\n"
	"memory-region: pc.ram\r\n"
	"  0000000000000000-000000013fffffff (prio 0, ram): pc.ram\r\n"
	"\r\n";

static void a_memory_tree(void **state)
{
	cleanup(layout_free) struct ram_layout layout;

	(void)state;
	assert_int_equal(layout_of_mtree(q35, &layout, NULL), 0);
	assert_int_equal(layout.pieces.n, 3);
	assert_piece(&layout, 0, 0, 2 * G, "pc.ram", 0);
	assert_piece(&layout, 1, 4 * G, 3 * G, "pc.ram", 2 * G);
	assert_piece(&layout, 2, 7 * G, 1 * G, "mm", 0);
}

#define BELOW "    0000000000000000-00000000bfffffff (prio 0, i/o): alias ram-below-4g @pc.ram 0000000000000000-00000000bfffffff\n"
#define ABOVE "    0000000100000000-000000017fffffff (prio 0, i/o): alias ram-above-4g @pc.ram 00000000c0000000-000000013fffffff\n"
#define REGION "memory-region: pc.ram\n  0000000000000000-000000013fffffff (prio 0, i/o): pc.ram\n"

static void a_memory_tree_of_nodes(void **state)
{
	static const char tree[] = BELOW ABOVE REGION
		"    0000000000000000-000000007fffffff (prio 0, ram): n0\n"
		"    0000000080000000-000000013fffffff (prio 0, nv-ram): n1\n";
	cleanup(layout_free) struct ram_layout layout;

	(void)state;
	assert_int_equal(layout_of_mtree(tree, &layout, NULL), 0);
	assert_int_equal(layout.pieces.n, 3);
	assert_piece(&layout, 0, 0, 2 * G, "n0", 0);
	assert_piece(&layout, 1, 2 * G, 1 * G, "n1", 0);
	assert_piece(&layout, 2, 4 * G, 2 * G, "n1", 1 * G);
}

static void a_device_that_shows_a_part_of_a_block(void **state)
{
	static const char tree[] =
		BELOW ABOVE
		"    0000000200000000-00000002ffffffff (prio 0, i/o): device-memory\n"
		"      0000000200000000-000000023fffffff (prio 0, i/o): virtio-mem\n"
		"        0000000200000000-000000020fffffff (prio 0, ram): alias slot0 @vm 0000000010000000-000000001fffffff\n"
		"    0000000300000000-000000033fffffff (prio 0, ram): not-below-it\n"
		"memory-region: pc.ram\n  0000000000000000-000000013fffffff (prio 0, ram): pc.ram\n";
	cleanup(layout_free) struct ram_layout layout;

	(void)state;
	assert_int_equal(layout_of_mtree(tree, &layout, NULL), 0);
	assert_int_equal(layout.pieces.n, 3);
	assert_piece(&layout, 2, 8 * G, 256 * M, "vm", 256 * M);
}

static void forged_memory_trees_are_refused(void **state)
{
	static const struct { const char *tree; int code; } trees[] = {
		{ "", -ENOENT },
		{ "unknown command: 'info mtree'\r\n", -ENOENT },
		{ BELOW, -EBADMSG },					/* no region */
		{ BELOW ABOVE REGION, -EBADMSG },			/* no RAM in it */
		{ BELOW ABOVE REGION					/* a gap */
		  "    0000000000000000-000000007fffffff (prio 0, ram): n0\n"
		  "    00000000c0000000-000000013fffffff (prio 0, ram): n1\n", -EBADMSG },
		{ BELOW							/* both at 0 */
		  "    0000000000000000-000000007fffffff (prio 0, i/o): alias ram-above-4g @pc.ram 0000000000000000-000000007fffffff\n"
		  REGION "    0000000000000000-000000013fffffff (prio 0, ram): n\n", -EBADMSG },
		{ BELOW							/* of another region */
		  "    0000000100000000-000000017fffffff (prio 0, i/o): alias ram-above-4g @other 00000000c0000000-000000013fffffff\n"
		  REGION "    0000000000000000-000000013fffffff (prio 0, ram): n\n", -EBADMSG },
		{ "    0000000000000000-ffffffffffffffff (prio 0, i/o): alias ram-below-4g @pc.ram 0000000000000000-ffffffffffffffff\n"
		  REGION "    0000000000000000-ffffffffffffffff (prio 0, ram): n\n", -EBADMSG },
		{ "    0000000000000001-0000000000000fff (prio 0, i/o): alias ram-below-4g @pc.ram 0000000000000000-0000000000000ffe\n"
		  REGION "    0000000000000000-000000013fffffff (prio 0, ram): n\n", -EBADMSG },
		/* A size that differs from the alias's is no alias. */
		{ "    0000000000000000-00000000bfffffff (prio 0, i/o): alias ram-below-4g @pc.ram 0000000000000000-0000000000000fff\n"
		  REGION, -ENOENT },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(trees); i++) {
		cleanup(layout_free) struct ram_layout layout;
		struct err err = { 0 };

		assert_int_equal(layout_of_mtree(trees[i].tree, &layout, &err), trees[i].code);
		assert_int_equal(err.code, trees[i].code);
	}
}

static void trees_without_end_are_bounded(void **state)
{
	cleanup(freep) char *tree = malloc(256 * (RAM_RANGES_MAX + 8));
	cleanup(layout_free) struct ram_layout layout;
	size_t n;

	(void)state;
	n = (size_t)sprintf(tree, "%s    0000000200000000-00000fffffffffff (prio 0, i/o): "
			    "device-memory\n", BELOW);
	for (unsigned i = 0; i <= RAM_RANGES_MAX; i++)
		n += (size_t)sprintf(tree + n, "      %016llx-%016llx (prio 0, ram): d%u\n",
				     (8ull << 30) + i * 0x1000ull,
				     (8ull << 30) + i * 0x1000ull + 0xfff, i);
	strcpy(tree + n, "memory-region: pc.ram\n"
	       "  0000000000000000-00000000bfffffff (prio 0, ram): pc.ram\n");
	assert_int_equal(layout_of_mtree(tree, &layout, NULL), -ELOOP);
}

static void pieces_that_touch_are_one_range(void **state)
{
	static const char tree[] = BELOW ABOVE REGION
		"    0000000000000000-000000007fffffff (prio 0, ram): n0\n"
		"    0000000080000000-000000013fffffff (prio 0, ram): n1\n";
	static const struct ram_range one = { { 0 }, 0x1000 };
	cleanup(layout_free) struct ram_layout layout;
	cleanup(ram_close) struct ram *ram = NULL;
	static uint8_t page[0x1000];
	void *bytes = page;

	(void)state;
	assert_int_equal(fake_open(&one, &bytes, 1, &ram, NULL), 0);
	assert_int_equal(layout_of_mtree(tree, &layout, NULL), 0);
	assert_int_equal(layout_set_ranges(&layout, ram, NULL), 0);
	assert_int_equal(ram->ranges_n, 2);
	assert_int_equal(ram->ranges[0].size_bytes, 3 * G);
	assert_int_equal(ram->ranges[1].start.v, 4 * G);
	assert_int_equal(ram->ranges[1].size_bytes, 2 * G);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(machines_split_their_ram),
		cmocka_unit_test(machines_that_nobody_knows_are_no_guess),
		cmocka_unit_test(one_block_on_both_sides_of_the_hole),
		cmocka_unit_test(nodes_are_cut_by_the_hole),
		cmocka_unit_test(nodes_that_do_not_add_up_are_refused),
		cmocka_unit_test(a_memory_tree),
		cmocka_unit_test(a_memory_tree_of_nodes),
		cmocka_unit_test(a_device_that_shows_a_part_of_a_block),
		cmocka_unit_test(forged_memory_trees_are_refused),
		cmocka_unit_test(trees_without_end_are_bounded),
		cmocka_unit_test(pieces_that_touch_are_one_range),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
