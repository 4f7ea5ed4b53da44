/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/roots.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "guest/list.h"
#include "linux/partial.h"

struct root_fields {
	struct field pgd, page, link, link_mm, loaded, header;
};

static const struct member root_members[] = {
	MEMBER(struct root_fields, pgd, "mm_struct.pgd"),
	MEMBER(struct root_fields, page, "page"),
	/* bd0f8b9a1d1b (6.6): struct ptdesc lies over struct page. */
	MEMBER(struct root_fields, link, "ptdesc.pt_list|page.lru"),
	MEMBER(struct root_fields, link_mm, "ptdesc.pt_mm|page.pt_mm"),
	MEMBER(struct root_fields, loaded, "tlb_state.loaded_mm"),
	MEMBER(struct root_fields, header, "real_mode_header.trampoline_pgd"),
};
LAYOUT(root_layout, struct root_fields, root_members);

struct reader {
	const struct kernel *kernel;
	struct view *view;
	const struct root_fields *f;
	struct roots *roots;
	struct partial partial;
	gva pages;		/* struct page of physical page 0 */
};

static struct root *add(struct reader *reader, enum root_kind kind, gpa at, gva mm)
{
	struct roots *roots = reader->roots;
	struct root *root;
	uint32_t i;

	if (map_get(&roots->index, at.v + 1, &i))
		return &roots->list.v[i];
	root = vec_add(&roots->list);
	if (!root)
		return NULL;
	if (map_put(&roots->index, at.v + 1, (uint32_t)(roots->list.n - 1)) < 0) {
		roots->list.n--;
		return NULL;
	}
	root->kind = kind;
	root->space = (struct space){ at, reader->kernel->space.levels };
	root->mm = mm;
	return root;
}

static int add_task(struct reader *reader, const struct task *task, struct err *err)
{
	struct root *root;

	if (!task->mm.v)
		return 0;
	if (!task->space.root.v)
		return fail(err, -EFAULT, task->mm, "page table of PID %d", task->pid);
	root = add(reader, ROOT_PROCESS, task->space.root, task->mm);
	if (!root)
		return -ENOMEM;
	if (!root->processes++) {
		root->pid = task->pid;
		memcpy(root->comm, task->comm, sizeof(root->comm));
	}
	return 0;
}

static int add_tasks(struct reader *reader, struct err *err)
{
	struct tasks tasks = { 0 };
	int r = task_list(reader->kernel, reader->view, &tasks, err);

	r = partial_add(&reader->partial, r, err);
	for (size_t i = 0; i < tasks.n && r >= 0; i++)
		r = partial_add(&reader->partial, add_task(reader, &tasks.v[i], err), err);
	tasks_free(&tasks);
	return r;
}

/* The address of its page table, as the kernel has it: in the direct map or the image. */
static int add_mm(struct reader *reader, enum root_kind kind, gva mm, struct err *err)
{
	struct mapping to;
	gva pgd;
	int r = field_ptr(reader->view, mm, &reader->f->pgd, &pgd, err);

	/* Until it is first needed, efi_mm has none. */
	if (r >= 0 && !pgd.v)
		return 0;
	if (r >= 0)
		r = view_translate(reader->view, reader->kernel->space, pgd, &to, err);
	if (r < 0)
		return wrap(err, r, "page table of the mm_struct at %#" PRIx64, mm.v);
	to.at.v &= ~GUEST_PAGE_MASK;
	if (to.at.v == reader->kernel->space.root.v)
		return 0;
	return add(reader, kind, to.at, mm) ? 0 : -ENOMEM;
}

static int visit_page(gva link, void *ctx, struct err *err)
{
	struct reader *reader = ctx;
	gva page = field_object(link, &reader->f->link), mm;
	uint64_t number = (page.v - reader->pages.v) / reader->f->page.size_bytes;
	int r;

	if (page.v < reader->pages.v || number >> 40)
		return fail(err, -EBADMSG, page, "no page of a page table");
	r = field_ptr(reader->view, page, &reader->f->link_mm, &mm, err);
	if (r < 0)
		return r;
	return add(reader, ROOT_PROCESS, gpa_of(number << GUEST_PAGE_SHIFT), mm) ? 0 : -ENOMEM;
}

static int add_list(struct reader *reader, struct err *err)
{
	gva head, base;
	int r;

	r = kernel_symbol(reader->kernel, "pgd_list", &head, err);
	if (r >= 0)
		r = kernel_symbol(reader->kernel, "vmemmap_base", &base, err);
	if (r >= 0)
		r = view_ptr(reader->view, base, &reader->pages, err);
	if (r >= 0)
		r = list_walk(reader->view, head, TASKS_MAX, visit_page, reader, err);
	return r < 0 ? wrap(err, r, "list of all page tables") : 0;
}

static int add_cpus(struct reader *reader, struct err *err)
{
	gva state, mm;
	int r = kernel_symbol(reader->kernel, "cpu_tlbstate", &state, err);

	for (uint32_t cpu = 0; cpu < reader->kernel->cpus && r >= 0; cpu++) {
		gva at = kernel_per_cpu(reader->kernel, state, cpu);

		r = field_ptr(reader->view, at, &reader->f->loaded, &mm, err);
		/* LOADED_MM_SWITCHING is 1; a CPU that never ran has 0. */
		if (r >= 0 && gva_is_kernel(mm))
			r = add_mm(reader, ROOT_PROCESS, mm, err);
		r = partial_add(&reader->partial, r, err);
	}
	return r;
}

static int add_trampoline(struct reader *reader, struct err *err)
{
	gva at = symbols_lookup(reader->kernel->symbols, "real_mode_header"), header;
	uint64_t root;
	int r;

	if (!at.v)
		return 0;
	r = view_ptr(reader->view, at, &header, err);
	if (r >= 0 && !header.v)
		return 0;
	if (r >= 0)
		r = field_read(reader->view, header, &reader->f->header, &root, err);
	if (r < 0)
		return wrap(err, r, "page table of the trampoline");
	return add(reader, ROOT_TRAMPOLINE, gpa_of(root & ~GUEST_PAGE_MASK), gva_of(0)) ? 0 :
		-ENOMEM;
}

static int add_known(struct reader *reader, struct err *err)
{
	static const struct { const char *name; enum root_kind kind; } known[] = {
		{ "efi_mm", ROOT_EFI },
		{ "init_mm", ROOT_PROCESS },
		/* Code is patched through it; a variable, or (58ffa1b41369, 5.0) a pointer. */
		{ "poking_mm", ROOT_PROCESS },
		{ "text_poke_mm", ROOT_PROCESS },
	};
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(known) && r >= 0; i++) {
		gva mm = symbols_lookup(reader->kernel->symbols, known[i].name);

		if (mm.v && i >= 2)
			r = view_ptr(reader->view, mm, &mm, err);
		if (r >= 0 && gva_is_kernel(mm))
			r = add_mm(reader, known[i].kind, mm, err);
		r = partial_add(&reader->partial, r, err);
	}
	return r < 0 ? r : partial_add(&reader->partial, add_trampoline(reader, err), err);
}

int roots_read(const struct kernel *kernel, struct view *view, struct roots *ret, struct err *err)
{
	struct reader reader = { .kernel = kernel, .view = view, .roots = ret };
	int r;

	reader.partial = partial_of(view);
	r = types_layout(kernel->types, &root_layout, (const void **)&reader.f, err);
	if (r >= 0 && !reader.f->page.size_bytes)
		r = err_set(err, -EBADMSG, "a struct page of no bytes");
	if (r < 0)
		return r;
	r = add_known(&reader, err);
	if (r >= 0)
		r = add_tasks(&reader, err);
	if (r >= 0)
		r = partial_add(&reader.partial, add_list(&reader, err), err);
	if (r >= 0)
		r = add_cpus(&reader, err);
	return partial_end(&reader.partial, r, err);
}

void roots_free(struct roots *roots)
{
	vec_free(&roots->list);
	map_free(&roots->index);
}

const struct root *roots_find(const struct roots *roots, gpa at)
{
	uint32_t i;

	return map_get(&roots->index, at.v + 1, &i) ? &roots->list.v[i] : NULL;
}

const char *root_name(const struct root *root, char *buf, size_t size)
{
	if (root->kind == ROOT_EFI)
		snprintf(buf, size, "EFI");
	else if (root->kind == ROOT_TRAMPOLINE)
		snprintf(buf, size, "the start of CPUs");
	else if (root->pid)
		snprintf(buf, size, "%d %s", root->pid, root->comm);
	else
		snprintf(buf, size, "physical %#" PRIx64, root->space.root.v);
	return buf;
}
