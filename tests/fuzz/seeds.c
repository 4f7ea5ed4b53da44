/* SPDX-License-Identifier: Apache-2.0 */

/*
 * seeds CORPUS - write the seeds of those harnesses whose inputs nobody writes by hand
 *
 * What is written is the same each time; `ninja seeds && tests/fuzz/seeds DIRECTORY` after a
 * change of what the guests are made of.
 */
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "guest/paging.h"
#include "make/agent_build.h"
#include "make/agent_log.h"
#include "make/btf.h"
#include "make/kernel.h"
#include "make/object.h"
#include "make/package.h"
#include "make/patching.h"

#define RWX (PTE_PRESENT | PTE_WRITE | PTE_USER)

static const char *corpus;

static void save(const char *harness, const char *name, const void *data, size_t size)
{
	cleanup(file_close) FILE *file = NULL;
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s", corpus, harness);
	mkdir(path, 0777);
	snprintf(path, sizeof(path), "%s/%s/%s", corpus, harness, name);
	file = fopen(path, "wb");
	if (!file || fwrite(data, 1, size, file) != size) {
		perror(path);
		exit(1);
	}
}

static void save_memory(const char *harness, const char *name, const struct memory *m,
			const void *head, size_t head_bytes)
{
	cleanup(freep) uint8_t *data = NULL, *all = NULL;
	size_t size;

	data = memory_save(m, &size);
	all = malloc(head_bytes + size + 1);
	if (!data || !all)
		exit(1);
	if (head_bytes)
		memcpy(all, head, head_bytes);
	memcpy(all + head_bytes, data, size);
	save(harness, name, all, head_bytes + size);
}

/* All sizes of pages, rights that differ, a hole, a reserved bit, tables that lead back. */
static void save_paging(uint8_t levels)
{
	struct space space = { gpa_of(0x1000), levels };
	struct memory m = { .next_table = 0x2000 };
	uint8_t head[26] = {0};

	memory_map(&m, space, 0x1000, 0x9000, 1, RWX);
	memory_map(&m, space, 0x2000, 0x5000, 1, RWX | PTE_NX);
	memory_map(&m, space, 0x400000, 0xc00000, 2, PTE_PRESENT);
	memory_map(&m, space, 0x600000, 0xc02000, 2, RWX);
	memory_map(&m, space, 0x40000000, 0x80000000, 3, RWX);
	memory_map(&m, space, 0xffffffff81000000, 0x1000000, 2, PTE_PRESENT);
	memory_u64(&m, 0x1000 + 8 * 300, 0x1000 | RWX);
	memory_u64(&m, 0x1000 + 8 * 301, 0xdead000 | RWX);
	memset(head + 8, 0xff, 8);
	head[17] = 0x10;
	head[24] = levels;
	save_memory("guest_paging", levels == 4 ? "four-levels" : "five-levels", &m, head,
		    sizeof(head));
	memory_free(&m);
}

/* Two roots with shared and own tables, and one that leads back to itself. */
static void save_compare(uint8_t levels)
{
	const struct space a = { gpa_of(0x1000), levels }, b = { gpa_of(0x2000), levels };
	struct memory m = { .next_table = 0x3000 };
	uint64_t ends[2] = { 0, UINT64_MAX }, roots[2] = { a.root.v, b.root.v };
	uint8_t head[33];

	memory_map(&m, a, 0x1000, 0x9000, 1, RWX);
	memory_map(&m, b, 0x1000, 0x9000, 1, RWX);
	memory_map(&m, b, 0x2000, 0x5000, 1, RWX | PTE_NX);
	memory_map(&m, a, 0x400000, 0xc00000, 2, PTE_PRESENT);
	memory_map(&m, b, 0x401000, 0xc01000, 1, PTE_PRESENT);
	memory_map(&m, a, 0x40000000, 0x80000000, 3, RWX);
	memory_map(&m, b, 0xffffffff81000000, 0x1000000, 2, PTE_PRESENT);
	memory_u64(&m, 0x1000 + 8 * 300, 0x1000 | RWX);
	memory_u64(&m, 0x2000 + 8 * 301, 0xdead000 | RWX);
	memcpy(head, ends, sizeof(ends));
	memcpy(head + 16, roots, sizeof(roots));
	head[32] = levels;
	save_memory("guest_compare", levels == 4 ? "four-levels" : "five-levels", &m, head,
		    sizeof(head));
	memory_free(&m);
}

/* Three links behind a head at 0, good; and with an end that is not NULL. */
static void save_list(void)
{
	const uint64_t map = 0xffff888000000000, at[] = { 0, 0x40, 0x1000, 0x80, 0 };
	struct memory m = {0};

	for (unsigned i = 0; i < 4; i++) {
		memory_u64(&m, at[i], map + at[i + 1]);
		memory_u64(&m, at[i + 1] + 8, map + at[i]);
	}
	save_memory("guest_list", "circle", &m, NULL, 0);
	memory_u64(&m, at[3], 0);
	save_memory("guest_list", "chain", &m, NULL, 0);
	memory_u64(&m, at[3], 77);
	save_memory("guest_list", "chain-with-nulls", &m, NULL, 0);
	memory_free(&m);
}

static void save_kernel(enum kallsyms_layout layout, uint8_t levels, bool no_trampoline,
			const char *name)
{
	struct kernel_in in = kernel_in_default();
	struct memory m = {0};

	in.layout = layout;
	in.levels = levels;
	in.page_offset = levels == 5 ? 0xff11000000000000 : in.page_offset;
	in.no_trampoline = no_trampoline;
	kernel_make(&m, &in);
	save_memory("linux_kernel", name, &m, NULL, 0);
	/* Without the image, but for its page tables. */
	for (uint64_t at = KERNEL_BANNER; at < KERNEL_END; at += GUEST_PAGE_SIZE)
		memory_drop(&m, in.image + at);
	save_memory("linux_anchor", name, &m, NULL, 0);
	memory_free(&m);
}

static void save_kallsyms(enum kallsyms_layout layout, int percpu, const char *name)
{
	enum { N = 4200, SIZE = 96 << 10 };
	static struct symbol_in symbols[N];
	static char names[N][8];
	static uint8_t image[SIZE];
	const uint64_t text = 0xffffffffa1200000;
	struct kallsyms_parts parts;

	for (unsigned i = 0; i < N; i++) {
		snprintf(names[i], sizeof(names[i]), "s_%u", i);
		symbols[i] = (struct symbol_in){ names[i], i % 5 ? 't' : 'T', text + 16 * i };
		if (percpu && i < 50)
			symbols[i].at = 64 * i;
	}
	symbols[percpu ? 50 : 0] = (struct symbol_in){ "_text", 'T', text };
	memset(image, 0, sizeof(image));
	parts = kallsyms_make(image, SIZE, 64, text, symbols, N, layout, percpu);
	save("linux_kallsyms", name, image, parts.end);
}

static void save_types(void)
{
	static const char *const paths[] = {
		"task_struct.in.a", "task_struct.array[2].b|none", "enum state.RUNNING",
		"task_struct.flag", "alias.b",
	};
	struct btf b = {0};
	uint32_t u32 = btf_int(&b, "int", 4), u64 = btf_int(&b, "long", 8), inner, named, array;
	cleanup(freep) uint8_t *blob = NULL;
	size_t size;

	inner = btf_type(&b, "", BTF_UNION, 2, false, 8);
	btf_member(&b, "a", u32, 0);
	btf_member(&b, "b", u64, 0);
	named = btf_type(&b, "inner", BTF_STRUCT, 1, false, 8);
	btf_member(&b, "", inner, 0);
	btf_type(&b, "alias", BTF_TYPEDEF, 0, false, btf_type(&b, "", BTF_CONST, 0, false, named));
	array = btf_array(&b, named, 3);
	btf_type(&b, "task_struct", BTF_STRUCT, 4, true, 64);
	btf_bitfield(&b, "flag", u32, 0, 3);
	btf_member(&b, "in", named, 64);
	btf_member(&b, "array", array, 128);
	btf_member(&b, "next", named, 320);
	btf_type(&b, "state", BTF_ENUM, 1, false, 4);
	btf_u32(&b, btf_name(&b, "RUNNING"));
	btf_u32(&b, 7);
	blob = btf_make(&b, &size);
	btf_free(&b);
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		size_t n = strlen(paths[i]) + 1;
		cleanup(freep) uint8_t *all = malloc(n + size);
		char name[16];

		memcpy(all, paths[i], n);
		memcpy(all + n, blob, size);
		snprintf(name, sizeof(name), "path-%zu", i);
		save("linux_types", name, all, n + size);
	}
}

static void save_blob(const char *harness, const char *name, struct blob blob)
{
	save(harness, name, blob.data, blob.size);
	blob_free(&blob);
}

/* Kernels, modules and packages as distributions make them, each packed in every way. */
static void save_packages(void)
{
	static const char *const names[PACKINGS] = {
		"plain", "gzip", "bzip2", "xz", "lzma", "zstd", "lz4", "lz4-legacy",
	};
	struct blob vmlinux = make_vmlinux(0x11, "6.1.0-1-amd64", "Debian 6.1.1-1");
	struct made_file file = { "lib/modules/1-x/a.ko", make_module(0x22, "1-x") };

	save_blob("reference_elf", "module", make_module(0x22, "1-x"));
	save("reference_elf", "vmlinux", vmlinux.data, vmlinux.size);
	for (int i = PACKED_NOT; i < PACKINGS; i++) {
		save_blob("reference_bzimage", names[i], make_bzimage(&vmlinux, (enum packing)i));
		if (i != PACKED_NOT)
			save_blob("reference_unpack", names[i],
				  make_packed((enum packing)i, vmlinux.data, vmlinux.size));
	}
	for (int i = PACKED_NOT; i < PACKED_LZ4; i++) {
		char name[32];

		snprintf(name, sizeof(name), "%s.deb", names[i]);
		save_blob("reference_archive", name, make_deb("p", "1", &file, 1, (enum packing)i));
		snprintf(name, sizeof(name), "%s.rpm", names[i]);
		save_blob("reference_archive", name,
			  make_rpm("p", "1", "2", &file, 1, (enum packing)i));
	}
	blob_free(&file.blob);
	blob_free(&vmlinux);
}

/* A module with a relocation of each kind, an export, per-CPU variables and tables. */
static void save_ko(void)
{
	static const uint8_t code[64] = { 0xf3, 0x0f, 0x1e, 0xfa, 0xe8 };
	struct object o = { 0 };
	unsigned text = object_section(&o, ".text", SHF_ALLOC | SHF_EXECINSTR, 16, code, 64);
	unsigned init = object_section(&o, ".init.text", SHF_ALLOC | SHF_EXECINSTR, 1, code, 16);
	unsigned rodata = object_section(&o, ".rodata", SHF_ALLOC, 8, code, 32);
	unsigned data = object_section(&o, ".data", SHF_ALLOC | SHF_WRITE, 8, code, 32);
	unsigned percpu = object_section(&o, ".data..percpu", SHF_ALLOC | SHF_WRITE, 8, code, 8);
	unsigned jumps = object_section(&o, "__jump_table", SHF_ALLOC | SHF_WRITE, 8, code, 32);
	unsigned printk = object_symbol(&o, "printk", SHN_UNDEF, 0, STB_GLOBAL);
	unsigned weak = object_symbol(&o, "_gone", SHN_UNDEF, 0, STB_WEAK);
	unsigned shown = object_symbol(&o, "shown", text, 16, STB_GLOBAL);
	unsigned own = object_symbol(&o, "own", percpu, 0, STB_LOCAL);
	struct blob file;

	object_symbol(&o, "__ksymtab_shown", rodata, 0, STB_LOCAL);
	object_symbol(&o, "__SCK__call", data, 0, STB_GLOBAL);
	object_symbol(&o, "__SCT__call", text, 32, STB_GLOBAL);
	object_rela(&o, text, 5, printk, R_X86_64_PLT32, -4);
	object_rela(&o, text, 16, own, R_X86_64_32S, 0);
	object_rela(&o, init, 2, shown, R_X86_64_PC32, 0);
	object_rela(&o, rodata, 0, weak, R_X86_64_64, 0);
	object_rela(&o, data, 8, shown, R_X86_64_64, 4);
	object_rela(&o, jumps, 0, shown, R_X86_64_PC32, 0);
	object_rela(&o, jumps, 8, shown, R_X86_64_PC64, 0);
	file = object_make(&o);
	save_blob("reference_ko", "module", file);
}

/* Twice the same numbers, the second time in another order: a table and its sorted copy. */
static void save_tables(void)
{
	uint32_t words[6 * 2 * 24];

	for (uint32_t i = 0; i < ARRAY_SIZE(words); i++)
		words[i] = i / 24 % 2 ? 24 - i % 24 : i % 24;
	save("reference_module_tables", "numbers", words, sizeof(words));
	memset(words, 0xff, sizeof(words));
	save("reference_module_tables", "ones", words, sizeof(words));
}

static const char *const patching_names[] = { "ranges", "folds", "relocates" };

/* One of everything that is patched, in each style. */
static void save_patching(enum alternative_style style)
{
	static const uint8_t paravirt_call[] = { 0xff, 0x15, 0, 0, 0, 0 };
	cleanup(freep) uint8_t *data = NULL;
	struct patching m;
	uint8_t site[16] = {0};
	size_t size;
	gva at;

	patching_open(&m);
	m.patcher.style = style;
	patching_feature(&m, 17);
	patching_alternative(&m, patching_code(&m, 0, "\xfb\x90\x90", 3), 3, 17, 0,
			     "\x0f\x01\xca", 3);
	patching_alternative(&m, patching_code(&m, 16, "\x90\x90\x90\x90\x90", 5), 5, 17, 0,
			     "\xe8\x00\x01\x00\x00", 5);
	patching_place(&m, TABLE_RETPOLINES, patching_branch(&m, 32, OP_CALL, m.thunk[0]));
	patching_place(&m, TABLE_RETURNS, patching_branch(
		&m, 48, OP_JMP, symbols_lookup(m.patcher.symbols, "__x86_return_thunk")));
	patching_place(&m, TABLE_CALLS, patching_branch(&m, 64, OP_CALL, m.target[0]));
	patching_place(&m, TABLE_ENDBR, patching_code(&m, 80, "\xf3\x0f\x1e\xfa", 4));
	patching_place(&m, TABLE_LOCKS, patching_code(&m, 96, "\xf0\xff\x00", 3));
	patching_jump(&m, patching_code(&m, 112, "\x66\x90", 2), gva_add(m.code, 120), false);
	patching_jump(&m, patching_branch(&m, 128, OP_JMP, m.code), m.code, true);
	patching_static_call(&m, patching_branch(&m, 144, OP_CALL, m.trampoline), false);
	at = patching_branch(&m, 160, OP_CALL, m.target[1]);
	patching_entry(&m, TABLE_MCOUNT, &at, sizeof(at));
	at = patching_code(&m, 176, paravirt_call, sizeof(paravirt_call));
	memcpy(site, &at, sizeof(at));
	site[9] = sizeof(paravirt_call);
	patching_entry(&m, TABLE_PARAVIRT, site, sizeof(site));
	data = patching_save(&m, &size);
	save("reference_patch", patching_names[style], data, size);
	patching_close(&m);
}

/* A log with a record of each type; the first byte says that it is chained again. */
static void save_log(uint32_t last, const char *name)
{
	static const uint8_t code[3 * AGENT_PAGE_BYTES] = { 0x90, 0xc3 };
	cleanup(freep) uint8_t *all = NULL;
	struct made_log log = { 0 };

	made_log_start(&log);
	made_log_file(&log, &(struct agent_file){ .device = 0x800001, .inode = 7,
		      .reason = AGENT_EXEC }, "/usr/bin/true", code, sizeof(code),
		      (struct agent_segment[]){ { 0, 1 }, { 2, 1 } }, 2);
	made_log_unreadable(&log, 9, "/x", 13);
	made_log_add(&log, AGENT_RECORD_LOST);
	made_log_add(&log, last);
	all = calloc(1, log.size_bytes + 1);
	if (!all)
		exit(1);
	memcpy(all + 1, log.data, log.size_bytes);
	save("keeper_records", name, all, log.size_bytes + 1);
	made_log_free(&log);
}

/* A process, a module with a name, and a mount. */
static void save_inside(void)
{
	struct {
		struct agent_inside head;
		struct agent_item task, module;
		char name[8];
		struct agent_item mount;
	} view = {
		.head = { .sequence = 7, .begun_ns = 1, .ended_ns = 2,
			  .size_bytes = sizeof(view), .items = 3 },
		.task = { sizeof(view.task), AGENT_ITEM_TASK, 0, 42, 0 },
		.module = { sizeof(view.module) + 8, AGENT_ITEM_MODULE, 4, 4096, 0 },
		.name = "ext4",
		.mount = { sizeof(view.mount), AGENT_ITEM_MOUNT, 0, 21, 3 },
	};

	save("keeper_inside", "three", &view, sizeof(view));
}

static void save_build(void)
{
	struct made_build build = made_build();
	cleanup(blob_free) struct blob file = made_build_file(&build);

	save("keeper_build", "made", file.data, file.size);
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: %s CORPUS\n", argv[0]);
		return 2;
	}
	corpus = argv[1];
	save_paging(4);
	save_paging(5);
	save_compare(4);
	save_compare(5);
	save_list();
	save_kernel(OLD, 4, false, "old");
	save_kernel(OLD_SEQS, 4, true, "old-with-order");
	save_kernel(NEW, 5, false, "new-five-levels");
	save_kernel(SELF, 5, true, "self-relative");
	save_kallsyms(OLD, 1, "old-percpu");
	save_kallsyms(OLD_SEQS, 0, "old-with-order");
	save_kallsyms(NEW, 0, "new");
	save_kallsyms(NEW, 1, "new-percpu");
	save_kallsyms(SELF, 0, "self-relative");
	save_types();
	save_log(AGENT_RECORD_FULL, "full");
	save_log(AGENT_RECORD_STOP, "stopped");
	save_inside();
	save_build();
	save_packages();
	save_ko();
	save_tables();
	for (unsigned style = 0; style < ALTERNATIVE_STYLES; style++)
		save_patching(style);
	return 0;
}
