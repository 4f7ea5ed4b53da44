/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "check/check.h"
#include "check/code.h"
#include "guest/compare.h"
#include "linux/cpu.h"
#include "linux/roots.h"
#include "ram/machine.h"

/* arch/x86/include/asm/pgtable_64_types.h, and Documentation/arch/x86/x86_64/mm.rst */
#define LDT_ENTRY_4	 272u
#define LDT_ENTRY_5	 400u
#define EFI_START	 0xffffffef00000000ull	/* EFI_VA_END … */
#define EFI_LAST	 0xfffffffeffffffffull	/* … EFI_VA_START: it grows downwards */
#define VSYSCALL	 0xffffffffff600000ull

/* Differences of one page table: those that are shown, and how many are looked at. */
#define SHOWN_MAX	 4u
#define UNLIKE_MAX	 256u

/* Findings that are told one by one. */
#define TOLD_MAX	 64u

/* Of PV guests of Xen. */
struct pv_fields { struct field page, root; };

static const struct member pv_members[] = {
	MEMBER(struct pv_fields, page, "page"),
	MEMBER(struct pv_fields, root, "page.private"),
};
LAYOUT(pv_layout, struct pv_fields, pv_members);

struct tables {
	struct check_run *run;
	const struct kernel *kernel;
	struct view *view;
	struct owners *owners;		/* opened for the first finding */
	gva half;			/* where the kernel's half begins */
	gva etext, direct_end;
	bool isolated;			/* page-table isolation: roots in pairs */
	const struct pv_fields *pv;	/* NULL: it is none */
	gva pages;			/* of PV: struct page of physical page 0 */
	unsigned told;
};

/* One page table that is compared with what it should be. */
struct looked {
	struct tables *tables;
	const struct root *root;
	struct space space;		/* of it, or of the user half of the pair */
	const char *suffix;
	bool tell;			/* make a finding; else only say that there is something */
	unsigned n;
	struct finding *finding;
};

static struct space user_half(struct space space)
{
	space.root.v += GUEST_PAGE_SIZE;
	return space;
}

static struct finding *new_finding(struct tables *tables, enum severity severity,
				   const char *kind, gva at, const char *name)
{
	struct err why = { 0 };

	if (!tables->owners &&
	    check_owners(tables->run, &tables->owners, &why) < 0)
		check_inconclusive(tables->run, "owners of code: %s", why.text);
	if (tables->told++ < TOLD_MAX)
		return check_finding(tables->run, severity, kind, at, "%s", name);
	check_inconclusive(tables->run, "more page tables are not as they should be than is told");
	return NULL;
}

static const char *mapping_text(bool there, gpa at, unsigned rights, char *buf, size_t size)
{
	if (!there)
		snprintf(buf, size, "not mapped");
	else
		snprintf(buf, size, "physical %#" PRIx64 "%s%s%s", at.v,
			 rights & MAP_EXEC ? ", executable" : "",
			 rights & MAP_WRITE ? ", writable" : "",
			 rights & MAP_USER ? ", open to programs" : "");
	return buf;
}

static bool in_slot(const struct looked *looked, gva at)
{
	unsigned levels = looked->space.levels;
	unsigned entry = levels == 5 ? LDT_ENTRY_5 : LDT_ENTRY_4;

	return (at.v >> (GUEST_PAGE_SHIFT + 9 * (levels - 1)) & 511) == entry;
}

/* What a page table may have for itself. */
static bool is_its_own(const struct looked *looked, const struct unlike *unlike)
{
	/* Less than the kernel's own can mislead nobody. */
	if (unlike->in_a && unlike->a.v == unlike->b.v &&
	    !(unlike->rights_b & ~unlike->rights_a))
		return true;
	/* arch/x86/kernel/ldt.c, map_ldt_struct(): under isolation only */
	if (looked->root->kind == ROOT_PROCESS && looked->tables->isolated &&
	    in_slot(looked, unlike->start))
		return !unlike->in_a && !unlike->rights_b;
	/* arch/x86/platform/efi/efi_64.c: the firmware's own code and data */
	return looked->root->kind == ROOT_EFI && !unlike->in_a &&
	       unlike->start.v >= EFI_START &&
	       unlike->start.v + (unlike->size_bytes - 1) <= EFI_LAST;
}

static struct finding *root_finding(struct looked *looked, const struct unlike *unlike)
{
	bool code = (unlike->rights_a | unlike->rights_b) & MAP_EXEC;
	char name[64], object[96];
	struct finding *finding;

	root_name(looked->root, name, sizeof(name));
	snprintf(object, sizeof(object), "page table of %s%s", name, looked->suffix);
	finding = new_finding(looked->tables, code ? SEVERITY_CRITICAL : SEVERITY_HIGH,
			      "page-table", unlike->start, object);
	if (!finding)
		return NULL;
	if (looked->root->processes)
		finding_title(finding, "A process sees the kernel otherwise than the kernel does");
	if (looked->root->processes > 1) {
		snprintf(object, sizeof(object), "%u", looked->root->processes);
		finding_evidence(finding, "processes with this page table", looked->root->mm, NULL,
				 NULL, object);
	}
	return finding;
}

/* -ECANCELED: enough was seen of this table. */
static int visit_unlike(const struct unlike *unlike, void *ctx, struct err *err)
{
	struct looked *looked = ctx;
	struct tables *tables = looked->tables;
	char expected[96], found[96], symbol[160];

	if (is_its_own(looked, unlike))
		return 0;
	if (!looked->n++ && looked->tell)
		looked->finding = root_finding(looked, unlike);
	if (!looked->tell || looked->n == UNLIKE_MAX)
		return err_set(err, -ECANCELED, "enough was seen");
	if (!looked->finding || looked->n > SHOWN_MAX)
		return 0;
	mapping_text(unlike->in_a, unlike->a, unlike->rights_a, expected, sizeof(expected));
	mapping_text(true, unlike->b, unlike->rights_b, found, sizeof(found));
	finding_evidence(looked->finding, "mapping", unlike->start,
			 tables->owners ? owner_symbol(tables->owners, unlike->start, symbol,
						       sizeof(symbol)) : NULL, expected, found);
	if (unlike->rights_b & MAP_EXEC && tables->owners)
		code_evidence_space(tables->run, tables->owners, looked->finding, "code there",
				    looked->space, unlike->start);
	return 0;
}

/* Is @space, in its kernel half, as @model? 1: no, and looked->n says how often. */
static int compare(struct looked *looked, struct space model, struct err *err)
{
	struct tables *tables = looked->tables;
	int r = spaces_compare(tables->view, model, looked->space, tables->half,
			       gva_of(UINT64_MAX), visit_unlike, looked, err);

	if (r == -ECANCELED)
		r = 0;
	return r < 0 ? r : looked->n > 0;
}

/*
 * A PV guest of Xen has a second root for each process, on which its own code runs; the page of
 * the first one says where (arch/x86/xen/mmu_pv.c, xen_get_user_pgd()). -ENOENT: there is none.
 */
static int pv_user_root(const struct looked *looked, struct space *ret, struct err *err)
{
	const struct tables *tables = looked->tables;
	uint64_t number = looked->space.root.v >> GUEST_PAGE_SHIFT;
	gva page = gva_add(tables->pages, number * tables->pv->page.size_bytes), root;
	struct mapping to;
	int r = field_ptr(tables->view, page, &tables->pv->root, &root, err);

	if (r >= 0 && !root.v)
		return -ENOENT;
	if (r >= 0)
		r = view_translate(tables->view, tables->kernel->space, root, &to, err);
	if (r < 0)
		return wrap(err, r, "the second page table of physical %#" PRIx64,
			    looked->space.root.v);
	*ret = looked->space;
	ret->root = gpa_of(to.at.v & ~GUEST_PAGE_MASK);
	return 0;
}

/* It has what the first one has of the program, and of the kernel no more. @before: of that one. */
static int check_pv(struct looked *looked, int before, struct err *err)
{
	const struct space first = looked->space;
	int r = pv_user_root(looked, &looked->space, err);

	if (r == -ENOENT)
		return before;
	if (r < 0)
		return r;
	looked->suffix = " while its program runs";
	looked->n = before && !looked->tell;
	r = compare(looked, looked->tables->kernel->space, err);
	if (r < 0)
		return r;
	r = spaces_compare(looked->tables->view, first, looked->space, gva_of(0),
			   gva_of((1ull << 47) - 1), visit_unlike, looked, err);
	if (r == -ECANCELED)
		r = 0;
	check_covered(looked->tables->run, "page tables of programs", 1);
	return r < 0 ? r : looked->n > 0;
}

static int check_root(struct tables *tables, const struct root *root, bool tell, struct err *err)
{
	struct looked looked = {
		.tables = tables, .root = root, .space = root->space, .suffix = "", .tell = tell,
	};
	int r = compare(&looked, tables->kernel->space, err);

	if (r >= 0 && tables->pv && root->kind == ROOT_PROCESS)
		return check_pv(&looked, r, err);
	if (r < 0 || !tables->isolated || root->kind != ROOT_PROCESS)
		return r;
	looked.space = user_half(root->space);
	looked.suffix = " while its program runs";
	looked.n = r && !tell;
	r = compare(&looked, user_half(tables->kernel->space), err);
	return r;
}

/*
 * Between the list of processes and its page table, a process may have gone and its memory
 * may be another's: what looks wrong is looked at once more, if the process is still there.
 */
static int check_again(struct tables *tables, const struct roots *doubtful, struct err *err)
{
	struct roots now = { 0 };
	int r;

	view_refresh(tables->view);
	r = roots_read(tables->kernel, tables->view, &now, err);
	for (size_t i = 0; i < doubtful->list.n && r >= 0; i++) {
		const struct root *was = &doubtful->list.v[i];
		const struct root *root = roots_find(&now, was->space.root);
		struct err why = { 0 };

		if (!root || root->mm.v != was->mm.v)
			continue;
		r = check_root(tables, root, true, &why);
		if (r == -EFAULT || r == -EBADMSG) {
			check_inconclusive(tables->run, "%s", why.text);
			r = 0;
		} else if (r < 0 && err) {
			*err = why;
		}
	}
	roots_free(&now);
	return r < 0 ? r : 0;
}

static int check_roots(struct tables *tables, struct err *err)
{
	struct roots roots = { 0 }, doubtful = { 0 };
	struct err why = { 0 };
	int r = roots_read(tables->kernel, tables->view, &roots, &why);

	if (r == -EFAULT || r == -EBADMSG) {
		check_inconclusive(tables->run, "%s", why.text);
		r = 0;
	}
	for (size_t i = 0; i < roots.list.n && r >= 0; i++) {
		r = check_root(tables, &roots.list.v[i], false, &why);
		if (r == -EFAULT || r == -EBADMSG || r > 0) {
			struct root *root = vec_add(&doubtful.list);

			r = root ? 0 : -ENOMEM;
			if (root)
				*root = roots.list.v[i];
		}
	}
	if (r < 0 && err)
		*err = why;
	if (r >= 0 && doubtful.list.n)
		r = check_again(tables, &doubtful, err);
	if (r >= 0)
		check_covered(tables->run, "page tables", roots.list.n + 1);
	roots_free(&roots);
	roots_free(&doubtful);
	return r;
}

/* What a program's page table has of the kernel: less than the kernel's own, never more. */
static int check_isolation(struct tables *tables, struct err *err)
{
	const struct root own = { .space = tables->kernel->space };
	struct looked looked = {
		.tables = tables, .root = &own, .space = user_half(own.space),
		.suffix = " while a program runs", .tell = true,
	};

	return compare(&looked, own.space, err);
}

/* A run of the kernel's own page table that is not as it has to be. */
static void own_finding(struct tables *tables, const struct frames *frames, const char *title,
			const char *expected)
{
	enum severity severity = frames->rights & MAP_EXEC ? SEVERITY_CRITICAL : SEVERITY_HIGH;
	char name[48], found[96], symbol[160];
	struct finding *finding;

	snprintf(name, sizeof(name), "memory at %#" PRIx64, frames->start.v);
	finding = new_finding(tables, severity, "memory", frames->start, name);
	if (!finding)
		return;
	finding_title(finding, "%s", title);
	mapping_text(true, frames->at, frames->rights, found, sizeof(found));
	finding_evidence(finding, "mapping", frames->start,
			 tables->owners ? owner_symbol(tables->owners, frames->start, symbol,
						       sizeof(symbol)) : NULL, expected, found);
	if (frames->rights & MAP_EXEC && tables->owners)
		code_evidence_bytes(tables->run, tables->owners, finding, "code there",
				    frames->start);
}

static int visit_program(const struct frames *frames, void *ctx, struct err *err)
{
	(void)err;
	own_finding(ctx, frames, "The kernel's own page table has memory of a program",
		    "not mapped");
	return 0;
}

/*
 * vsyscall=emulate lets programs read one page (arch/x86/entry/vsyscall/vsyscall_64.c). What
 * they may execute is told by executable-memory.
 */
static int visit_open(const struct frames *frames, void *ctx, struct err *err)
{
	(void)err;
	if (frames->rights & MAP_EXEC)
		return 0;
	if (frames->start.v != VSYSCALL || frames->size_bytes != GUEST_PAGE_SIZE ||
	    frames->rights != MAP_USER)
		own_finding(ctx, frames, "Memory of the kernel that is open to programs",
			    "closed to programs");
	return 0;
}

static int visit_image(const struct frames *frames, void *ctx, struct err *err)
{
	const struct tables *tables = ctx;
	gpa image = gpa_add(tables->kernel->image, frames->start.v - tables->kernel->text.v);
	char expected[48];

	(void)err;
	snprintf(expected, sizeof(expected), "physical %#" PRIx64, image.v);
	if (frames->at.v != image.v)
		own_finding(ctx, frames, frames->start.v < tables->etext.v ?
			    "Code of the kernel is mapped to other memory" :
			    "Data of the kernel is mapped to other memory", expected);
	return 0;
}

static int visit_direct(const struct frames *frames, void *ctx, struct err *err)
{
	struct tables *tables = ctx;
	uint64_t offset = frames->start.v - tables->kernel->page_offset.v;
	char expected[48];

	(void)err;
	/* A PV guest has there what others grant it, in place of memory that it gave back. */
	if (frames->at.v & MACHINE_FOREIGN && ram_is_pv(view_ram(tables->view)) &&
	    !(frames->rights & MAP_EXEC)) {
		check_covered(tables->run, "pages of others",
			      frames->size_bytes >> GUEST_PAGE_SHIFT);
		return 0;
	}
	snprintf(expected, sizeof(expected), "physical %#" PRIx64, offset);
	if (frames->at.v != offset)
		own_finding(tables, frames, "The map of all memory leads to other memory",
			    expected);
	return 0;
}

/* The kernel's own page table, where it is known what leads where. */
static int check_own(struct tables *tables, struct err *err)
{
	const struct kernel *kernel = tables->kernel;
	/* The lower half ends at bit 46 or 55 (Intel SDM vol. 1, 3.3.7.1). */
	gva low = gva_of(kernel->space.levels == 5 ? (1ull << 56) - 1 : (1ull << 47) - 1);
	const struct {
		gva from, to;
		unsigned want;
		frames_fn *visit;
	} parts[] = {
		{ gva_of(0), low, 0, visit_program },
		{ tables->half, gva_of(UINT64_MAX), MAP_USER, visit_open },
		{ kernel->text, gva_sub(kernel->end, 1), 0, visit_image },
		{ kernel->page_offset, tables->direct_end, 0, visit_direct },
	};
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(parts) && r >= 0; i++)
		r = view_walk_frames(tables->view, kernel->space, parts[i].from, parts[i].to,
				     parts[i].want, gpa_of(0), gpa_of(UINT64_MAX),
				     parts[i].visit, tables, err);
	return r;
}

static int open_tables(struct tables *tables, struct err *err)
{
	const struct kernel *kernel = tables->kernel;
	struct cpu_features features;
	uint64_t end;
	gva at;
	int r;

	tables->half = space_upper_half(kernel->space);
	r = kernel_symbol(kernel, "_etext", &tables->etext, err);
	if (r >= 0)
		r = kernel_symbol(kernel, "vmalloc_base", &at, err);
	if (r >= 0)
		r = view_u64(tables->view, at, &end, err);
	if (r >= 0 && end <= kernel->page_offset.v)
		r = fail(err, -EBADMSG, at, "vmalloc_base is %#" PRIx64, end);
	if (r >= 0)
		r = cpu_features_read(kernel, tables->view, &features, err);
	if (r < 0)
		return r;
	tables->direct_end = gva_of(end - 1);
	if (ram_is_pv(view_ram(tables->view))) {
		r = types_layout(kernel->types, &pv_layout, (const void **)&tables->pv, err);
		if (r >= 0)
			r = kernel_symbol(kernel, "vmemmap_base", &at, err);
		if (r >= 0)
			r = view_ptr(tables->view, at, &tables->pages, err);
		if (r < 0)
			return r;
	}
	tables->isolated = cpu_has(&features, CPU_PTI);
	return 0;
}

static int page_tables_run(struct check_run *run, struct err *err)
{
	struct tables tables = {
		.run = run, .kernel = check_kernel(run), .view = check_view(run),
	};
	int r = open_tables(&tables, err);

	if (r >= 0)
		r = check_own(&tables, err);
	if (r >= 0 && tables.isolated)
		r = check_isolation(&tables, err);
	if (r >= 0)
		r = check_roots(&tables, err);
	owners_close(&tables.owners);
	return r < 0 ? r : 0;
}

CHECK(page_tables,
	.id = "page-tables",
	.group = GROUP_CODE,
	.title = "Page table that is not as the kernel has it",
	.proves = "In every page table that a CPU may run on, the kernel's half is that of the "
		  "kernel's own: no process, nor any other list of page tables, sees other code "
		  "or data there. In the kernel's own, its image and the map of all memory lead "
		  "to themselves, and no data is open to programs; with page-table isolation, "
		  "what a program's table has of the kernel is never more.",
	.techniques = TECHNIQUES("T1014", "T1055"),
	.fuel_max = 100000,
	.run = page_tables_run);
