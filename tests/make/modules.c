/* SPDX-License-Identifier: Apache-2.0 */
#include "make/modules.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "guest/paging.h"

#define SPACE	   0xffffffff83000000ull	/* 32 MiB behind _text, in world's own mapping */
#define SPACE_PHYS (32u << 20)
#define DATA_AT	   0x40u	/* of the struct, in the module's page of data */
#define MODULE_PARTS 2u

/* What both ages of kernels share. */
#define COMMON_TYPES                                                                          \
	{ "list_head", 16, { { "next", 0, "ptr" }, { "prev", 8, "ptr" } } },                   \
	{ "rb_node", 24, { { "__rb_parent_color", 0, "u64" }, { "rb_right", 8, "ptr" },         \
		{ "rb_left", 16, "ptr" } } },                                                 \
	{ "rb_root", 8, { { "rb_node", 0, "ptr" } } },                                        \
	{ "latch_tree_node", 48, { { "node", 0, "rb_node", 2 } } },                            \
	{ "latch_tree_root", 24, { { "seq", 0, "u32" }, { "tree", 8, "rb_root", 2 } } },       \
	{ "mod_tree_root", 40, { { "root", 0, "latch_tree_root" } } },                         \
	{ "mod_tree_node", 56, { { "mod", 0, "ptr" }, { "node", 8, "latch_tree_node" } } },    \
	{ "kobject", 64, { { "name", 0, "ptr" }, { "entry", 8, "list_head" } } },              \
	{ "module_kobject", 72, { { "kobj", 0, "kobject" }, { "mod", 64, "ptr" } } },          \
	{ "kset", 16, { { "list", 0, "list_head" } } },                                        \
	{ "counter", 8, { { "counter", 0, "u64" } } },                                         \
	{ "count", 4, { { "counter", 0, "u32" } } },                                           \
	{ "mutex", 32, { { "owner", 0, "counter" } } },                                        \
	{ "work_struct", 32, { { "data", 0, "counter" } } },                                   \
	{ "worker_pool", 64, { { "workers", 0, "list_head" } } },                              \
	{ "worker", 64, { { "current_func", 0, "ptr" }, { "node", 16, "list_head" } } },       \
	{ "module_use", 48, { { "source_list", 0, "list_head" }, { "source", 32, "ptr" } } },  \
	{ "mod_kallsyms", 32, { { "symtab", 0, "ptr" }, { "num_symtab", 8, "u32" },            \
		{ "strtab", 16, "ptr" }, { "typetab", 24, "ptr" } } },                        \
	{ "vm_struct", 64, { { "nr_pages", 0, "u32" }, { "caller", 8, "ptr" } } },             \
	{ "vmap_area", 64, { { "va_start", 0, "u64" }, { "va_end", 8, "u64" },                 \
		{ "rb_node", 16, "rb_node" }, { "vm", 40, "ptr" } } }

#define MODULE_HEAD                                                                           \
	{ "state", 0, "u32" }, { "list", 8, "list_head" }, { "name", 24, "u8", 56 },           \
	{ "mkobj", 80, "module_kobject" }, { "version", 152, "ptr" },                          \
	{ "srcversion", 160, "ptr" }, { "init", 168, "ptr" }, { "exit", 176, "ptr" },          \
	{ "taints", 184, "u64" }, { "refcnt", 192, "count" },                                  \
	{ "source_list", 200, "list_head" }, { "args", 216, "ptr" }, { "kallsyms", 224, "ptr" }

static const struct made_struct types_new[] = {
	COMMON_TYPES,
	{ "module_memory", 72, { { "base", 0, "ptr" }, { "size", 8, "u32" },
		{ "mtn", 16, "mod_tree_node" } } },
	{ "enum mod_mem_type", 4, { { "MOD_TEXT", 0, NULL }, { "MOD_DATA", 1, NULL },
		{ "MOD_RODATA", 2, NULL }, { "MOD_RO_AFTER_INIT", 3, NULL },
		{ "MOD_INIT_TEXT", 4, NULL }, { "MOD_INIT_DATA", 5, NULL },
		{ "MOD_INIT_RODATA", 6, NULL } } },
	{ "module", 768, { MODULE_HEAD, { "mem", 232, "module_memory", 7 } } },
};

static const struct made_struct types_old[] = {
	COMMON_TYPES,
	{ "module_layout", 80, { { "base", 0, "ptr" }, { "size", 8, "u32" },
		{ "text_size", 12, "u32" }, { "ro_size", 16, "u32" },
		{ "ro_after_init_size", 20, "u32" }, { "mtn", 24, "mod_tree_node" } } },
	{ "module", 768, { MODULE_HEAD, { "core_layout", 232, "module_layout" },
		{ "init_layout", 312, "module_layout" } } },
};

uint64_t *made_entry(struct made_modules *m, gva at, unsigned level)
{
	const struct kernel *kernel = world_kernel(m->world);
	uint64_t table = kernel->space.root.v, *entry;

	for (unsigned now = 4;; now--) {
		entry = world_at(m->world, gva_add(kernel->page_offset,
						   table + 8 * paging_index(at, now)), 8);
		if (now == level)
			return entry;
		table = *entry & PTE_ADDRESS;
	}
}

/* Nothing is executable but the kernel's first 2 MiB; the module space is in small pages. */
static void make_space(struct made_modules *m)
{
	const struct kernel *kernel = world_kernel(m->world);
	gva pages = world_alloc(m->world, 2 * GUEST_PAGE_SIZE);
	uint64_t *entry, table;

	table = ((pages.v - kernel->page_offset.v) + GUEST_PAGE_MASK) & ~GUEST_PAGE_MASK;
	*made_entry(m, kernel->page_offset, 4) |= PTE_NX;
	for (uint64_t at = kernel->text.v + (2u << 20); at < kernel->text.v + (64u << 20);
	     at += 2u << 20)
		*made_entry(m, gva_of(at), 2) |= PTE_NX;
	entry = made_entry(m, m->space, 2);
	*entry = table | PTE_PRESENT | PTE_WRITE;
	for (unsigned i = 0; i < TABLE_ENTRIES; i++)
		*made_entry(m, gva_add(m->space, i * GUEST_PAGE_SIZE), 1) = 0;
}

void made_protect(struct made_modules *m, gva page, bool executable, bool writable)
{
	*made_entry(m, page, 1) = (SPACE_PHYS + (page.v - SPACE)) | PTE_PRESENT |
				   (executable ? 0 : PTE_NX) | (writable ? PTE_WRITE : 0);
}

gva made_pages(struct made_modules *m, uint32_t n, bool executable)
{
	gva at = gva_add(m->space, (uint64_t)m->pages * GUEST_PAGE_SIZE);

	/* A page behind each is left out, as the guard page of an area is. */
	for (uint32_t i = 0; i < n; i++)
		made_protect(m, gva_add(at, i * GUEST_PAGE_SIZE), executable, !executable);
	m->pages += n + 1;
	return at;
}

void made_modules_open(struct made_modules *m, bool blocks, const struct made_symbol *more,
		       size_t n)
{
	const struct made_symbol own[] = {
		{ "modules", 16, &m->list },	     { "mod_tree", 40, &m->tree },
		{ "module_kset", 8, &m->kset },	     { "module_mutex", 32, &m->mutex },
		{ "init_free_list", 8, &m->init_list },
	};
	gva set;

	memset(m, 0, sizeof(*m));
	m->world = world_new();
	m->blocks = blocks;
	m->space = gva_of(SPACE);
	for (size_t i = 0; i < n; i++)
		*more[i].at = more[i].function ?
				      world_function(m->world, more[i].name, more[i].bytes) :
				      world_symbol(m->world, more[i].name, more[i].bytes);
	/* Text ends where pages stop to be executable: 2 MiB behind _text. */
	set = world_symbol(m->world, "last_text", 0);
	world_symbol(m->world, "pad", (uint32_t)(0xffffffff81200000ull - set.v));
	world_symbol(m->world, "_etext", 64);
	for (size_t i = 0; i < ARRAY_SIZE(own); i++)
		*own[i].at = world_symbol(m->world, own[i].name, own[i].bytes);
	world_start(m->world, blocks ? types_old : types_new,
		    blocks ? ARRAY_SIZE(types_old) : ARRAY_SIZE(types_new));
	make_space(m);
	world_put(m->world, m->list, m->list.v);
	world_put(m->world, gva_add(m->list, 8), m->list.v);
	set = world_alloc(m->world, 16);
	world_put(m->world, m->kset, set.v);
	m->kset = set;
	world_put(m->world, set, set.v);
	world_put(m->world, gva_add(set, 8), set.v);
}

void made_modules_close(struct made_modules *m)
{
	world_end(&m->world);
}

/* The member that says where part @i of a module is: text, then data. */
static const char *part_path(const struct made_modules *m, unsigned i, const char *name,
			     char *buf, size_t size)
{
	if (m->blocks)
		snprintf(buf, size, "module.core_layout.%s", name);
	else
		snprintf(buf, size, "module.mem[%u].%s", i, name);
	return buf;
}

/* A tree without branches: what the test is about is its links. */
static void add_node(struct made_modules *m, gva module, unsigned part)
{
	char path[64];
	gva node = world_member(m->world, module, part_path(m, part, "mtn", path, sizeof(path)));

	world_set(m->world, node, "mod_tree_node.mod", module.v);
	for (unsigned copy = 0; copy < 2; copy++) {
		gva link = gva_add(node, 8 + 24ull * copy);

		world_set(m->world, link, "rb_node.__rb_parent_color", m->last_node[copy].v | 1);
		if (m->last_node[copy].v)
			world_set(m->world, m->last_node[copy], "rb_node.rb_right", link.v);
		else
			world_put(m->world, gva_add(m->tree, 8 + 8ull * copy), link.v);
		m->last_node[copy] = link;
	}
}

static void set_part(struct made_modules *m, gva module, unsigned part, gva at, uint32_t bytes)
{
	char path[64];

	world_set(m->world, module, part_path(m, part, "base", path, sizeof(path)), at.v);
	world_set(m->world, module, part_path(m, part, "size", path, sizeof(path)), bytes);
	add_node(m, module, part);
}

gva made_module(struct made_modules *m, const char *name)
{
	gva text = made_pages(m, 2, true), data = gva_add(text, GUEST_PAGE_SIZE);
	gva module = gva_add(data, DATA_AT), users;

	made_protect(m, data, false, true);
	world_copy(m->world, world_member(m->world, module, "module.name"), name,
		   (uint32_t)strlen(name) + 1);
	world_set(m->world, module, "module.refcnt.counter", 1);
	users = world_member(m->world, module, "module.source_list");
	world_put(m->world, users, users.v);
	world_put(m->world, gva_add(users, 8), users.v);
	if (m->blocks) {
		set_part(m, module, 0, text, 2 * GUEST_PAGE_SIZE);
		world_set(m->world, module, "module.core_layout.text_size", GUEST_PAGE_SIZE);
		world_set(m->world, module, "module.core_layout.ro_size", GUEST_PAGE_SIZE);
		world_set(m->world, module, "module.core_layout.ro_after_init_size",
			  GUEST_PAGE_SIZE);
	} else {
		set_part(m, module, 0, text, GUEST_PAGE_SIZE);
		set_part(m, module, 1, data, GUEST_PAGE_SIZE);
	}
	world_list_add(m->world, m->list, world_member(m->world, module, "module.list"));
	world_list_add(m->world, m->kset,
		       world_member(m->world, module, "module.mkobj.kobj.entry"));
	world_set(m->world, module, "module.mkobj.mod", module.v);
	world_set(m->world, module, "module.mkobj.kobj.name", world_text(m->world, name).v);
	return module;
}

gva made_text(struct made_modules *m, gva module)
{
	char path[64];

	return gva_of(world_get(m->world, module, part_path(m, 0, "base", path, sizeof(path))));
}

static uint64_t peek(struct made_modules *m, gva at)
{
	uint64_t value;

	memcpy(&value, world_at(m->world, at, sizeof(value)), sizeof(value));
	return value;
}

static void unlink_from(struct made_modules *m, gva link)
{
	gva next = gva_of(peek(m, link)), prev = gva_of(peek(m, gva_add(link, 8)));

	world_put(m->world, prev, next.v);
	world_put(m->world, gva_add(next, 8), prev.v);
	world_put(m->world, gva_add(link, 8), 0xdead000000000122ull);	/* LIST_POISON2 */
}

void made_off_list(struct made_modules *m, gva module)
{
	unlink_from(m, world_member(m->world, module, "module.list"));
}

void made_off_sysfs(struct made_modules *m, gva module)
{
	unlink_from(m, world_member(m->world, module, "module.mkobj.kobj.entry"));
}

void made_off_tree(struct made_modules *m, gva module)
{
	for (unsigned part = 0; part < (m->blocks ? 1 : MODULE_PARTS); part++) {
		char path[64];
		gva node = world_member(m->world, module,
					part_path(m, part, "mtn", path, sizeof(path)));

		for (unsigned copy = 0; copy < 2; copy++) {
			gva link = gva_add(node, 8 + 24ull * copy);
			gva parent = gva_of(peek(m, link) & ~3ull);
			gva child = gva_of(peek(m, gva_add(link, 8)));

			if (parent.v)
				world_set(m->world, parent, "rb_node.rb_right", child.v);
			else
				world_put(m->world, gva_add(m->tree, 8 + 8ull * copy), child.v);
			if (child.v)
				world_set(m->world, child, "rb_node.__rb_parent_color",
					  parent.v | 1);
			if (m->last_node[copy].v == link.v)
				m->last_node[copy] = parent;
		}
	}
}
