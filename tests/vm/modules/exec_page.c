// SPDX-License-Identifier: GPL-2.0
/*
 * Make memory executable that has no business to be: a page that is mapped once more, writable
 * and executable, outside of the space of modules. It holds a function that does nothing, and
 * nothing calls it.
 */
#include "lab.h"

static unsigned long address;
module_param(address, ulong, 0444);
MODULE_PARM_DESC(address, "read: where the page is");

static struct page *page;
static void *code;

static int __init exec_init(void)
{
	static const u8 nothing[] = { 0xf3, 0x0f, 0x1e, 0xfa, 0x31, 0xc0, 0xc3 };
	int (*set_executable)(unsigned long, int);
	int r = lab_init();

	if (r)
		return r;
	set_executable = lab_symbol("set_memory_x");
	if (!set_executable)
		return -ENOENT;
	page = alloc_page(GFP_KERNEL | __GFP_ZERO);
	if (!page)
		return -ENOMEM;
	code = vmap(&page, 1, VM_MAP, PAGE_KERNEL);
	if (!code) {
		__free_page(page);
		return -ENOMEM;
	}
	memcpy(code, nothing, sizeof(nothing));
	address = (unsigned long)code;
	r = set_executable(address, 1);
	if (r) {
		vunmap(code);
		__free_page(page);
	}
	return r;
}

static void __exit exec_exit(void)
{
	vunmap(code);
	__free_page(page);
}

module_init(exec_init);
module_exit(exec_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("hvsm test: executable memory that no one owns");
