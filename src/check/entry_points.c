/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "check/check.h"
#include "linux/cpu_entry.h"
#include "linux/partial.h"
#include "linux/task.h"

/* arch/x86/include/asm/segment.h */
#define GDT_ENTRIES   16u
#define GDT_FIXED     8u	/* set when the kernel is built, and never again */
#define GDT_TSS	      8u
#define GDT_LDT	      10u
#define GDT_OPEN      12u	/* TLS, and the number of the CPU: data of programs */
#define ACCESSED      (1ull << 40)
#define CODE_OR_DATA  (1ull << 44)
#define PROGRAMS      (3ull << 45)
#define PRESENT	      (1ull << 47)
#define TYPE_TSS      9u
#define TYPE_TSS_BUSY 11u
#define TYPE_LDT      2u
#define TSS_LIMIT_MIN 0x67u	/* sizeof(struct x86_hw_tss) - 1 */
#define LDT_MAX	      8192u	/* LDT_ENTRIES */

/*
 * arch/x86/kernel/cpu/common.c, gdt_page: the kernel's code for 32 and 64 bits, its data, a
 * program's 32-bit code, data, and code. The bit that says "accessed" is set in all.
 */
static const uint64_t fixed[GDT_FIXED] = {
	0, 0x00cf9b000000ffff, 0x00af9b000000ffff, 0x00cf93000000ffff,
	0x00cffb000000ffff, 0x00cff3000000ffff, 0x00affb000000ffff, 0,
};

struct tss_fields {
	struct field hardware, sp0, ist, io_base, io, bitmap, all;
	struct field df, nmi, db, mce, vc;
	struct field ldt, entries, count;	/* of a process's local descriptors */
};

static const struct member tss_members[] = {
	MEMBER(struct tss_fields, hardware, "tss_struct.x86_tss"),
	MEMBER(struct tss_fields, sp0, "tss_struct.x86_tss.sp0"),
	MEMBER(struct tss_fields, ist, "tss_struct.x86_tss.ist"),
	MEMBER(struct tss_fields, io_base, "tss_struct.x86_tss.io_bitmap_base"),
	MEMBER_OPTIONAL(struct tss_fields, io, "tss_struct.io_bitmap"),
	MEMBER_OPTIONAL(struct tss_fields, bitmap, "tss_struct.io_bitmap.bitmap"),
	MEMBER_OPTIONAL(struct tss_fields, all, "tss_struct.io_bitmap.mapall"),
	MEMBER(struct tss_fields, df, "cea_exception_stacks.DF_stack"),
	MEMBER(struct tss_fields, nmi, "cea_exception_stacks.NMI_stack"),
	MEMBER(struct tss_fields, db, "cea_exception_stacks.DB_stack"),
	MEMBER(struct tss_fields, mce, "cea_exception_stacks.MCE_stack"),
	MEMBER_OPTIONAL(struct tss_fields, vc, "cea_exception_stacks.VC_stack"),
	MEMBER_OPTIONAL(struct tss_fields, ldt, "mm_struct.context.ldt"),
	MEMBER_OPTIONAL(struct tss_fields, entries, "ldt_struct.entries"),
	MEMBER_OPTIONAL(struct tss_fields, count, "ldt_struct.nr_entries"),
};
LAYOUT(tss_layout, struct tss_fields, tss_members);

struct entry {
	struct check_run *run;
	const struct kernel *kernel;
	struct view *view;
	const struct cpu_entry_fields *area_fields;
	const struct tss_fields *f;
	uint32_t cpu;
	gva area;		/* of this CPU */
	bool is_pv;		/* Xen's CPUs have tables of Xen's */
};

static struct finding *entry_finding(struct entry *entry, gva at, const char *what,
				     const char *title)
{
	struct finding *finding = check_finding(entry->run, SEVERITY_CRITICAL, "cpu", at,
						"CPU %u %s", entry->cpu, what);

	finding_title(finding, "%s", title);
	return finding;
}

static void wrong_number(struct entry *entry, gva at, const char *what, const char *title,
			 uint64_t expected, uint64_t found)
{
	struct finding *finding = entry_finding(entry, at, what, title);
	char texts[2][32];

	snprintf(texts[0], sizeof(texts[0]), "%#" PRIx64, expected);
	snprintf(texts[1], sizeof(texts[1]), "%#" PRIx64, found);
	finding_evidence(finding, what, at, NULL, texts[0], texts[1]);
}

/* --- the global descriptor table --- */

/* A descriptor of 16 bytes: its base. */
static uint64_t system_base(const uint64_t *descriptor)
{
	return (descriptor[0] >> 16 & 0xffffff) | (descriptor[0] >> 56) << 24 |
	       descriptor[1] << 32;
}

static uint64_t system_limit(uint64_t descriptor)
{
	return (descriptor & 0xffff) | (descriptor >> 32 & 0xf0000);
}

static unsigned system_type(uint64_t descriptor)
{
	return descriptor >> 40 & 0x1f;
}

static bool is_closed_system(uint64_t descriptor)
{
	return descriptor & PRESENT && !(descriptor & PROGRAMS);
}

static void check_system(struct entry *entry, gva table, const uint64_t *gdt)
{
	gva tss = field_at(entry->area, &entry->area_fields->tss);
	unsigned type = system_type(gdt[GDT_TSS]);

	if (!is_closed_system(gdt[GDT_TSS]) || (type != TYPE_TSS && type != TYPE_TSS_BUSY) ||
	    system_limit(gdt[GDT_TSS]) < TSS_LIMIT_MIN)
		wrong_number(entry, gva_add(table, 8 * GDT_TSS), "GDT[8]",
			     "The CPU's task state is described otherwise", TYPE_TSS,
			     gdt[GDT_TSS]);
	else if (system_base(gdt + GDT_TSS) != tss.v)
		wrong_number(entry, gva_add(table, 8 * GDT_TSS), "GDT[8]",
			     "The CPU's task state is described elsewhere", tss.v,
			     system_base(gdt + GDT_TSS));
	if ((gdt[GDT_LDT] || gdt[GDT_LDT + 1]) &&
	    (!is_closed_system(gdt[GDT_LDT]) || system_type(gdt[GDT_LDT]) != TYPE_LDT))
		wrong_number(entry, gva_add(table, 8 * GDT_LDT), "GDT[10]",
			     "A gate stands where the local descriptors are described", TYPE_LDT,
			     gdt[GDT_LDT]);
}

/* What programs may set are segments of their own: no gates. */
static bool is_of_programs(uint64_t descriptor)
{
	return !descriptor || (descriptor & CODE_OR_DATA && (descriptor & PROGRAMS) == PROGRAMS);
}

static void check_descriptors(struct entry *entry, gva table, const uint64_t *gdt)
{
	/* The kernel of a PV guest runs in ring 3: Xen changes the segments that it is given. */
	const uint64_t may = entry->is_pv ? ACCESSED | PROGRAMS : ACCESSED;
	char name[16];

	for (unsigned i = 0; i < GDT_ENTRIES; i++) {
		snprintf(name, sizeof(name), "GDT[%u]", i);
		if (i < GDT_FIXED && (fixed[i] ? gdt[i] | may : gdt[i]) !=
				     (fixed[i] ? fixed[i] | may : 0))
			wrong_number(entry, gva_add(table, 8 * i), name,
				     "A segment of the CPU is not the kernel's", fixed[i], gdt[i]);
		if (i >= GDT_OPEN && !is_of_programs(gdt[i]))
			wrong_number(entry, gva_add(table, 8 * i), name,
				     "A descriptor for programs gives more than programs have",
				     0, gdt[i]);
	}
	if (!entry->is_pv)
		check_system(entry, table, gdt);
	check_covered(entry->run, "descriptors", GDT_ENTRIES);
}

static int check_gdt(struct entry *entry, struct err *err)
{
	uint64_t gdt[GDT_ENTRIES];
	gva symbol, table;
	int r = kernel_symbol(entry->kernel, "gdt_page", &symbol, err);

	if (r < 0)
		return r;
	table = kernel_per_cpu(entry->kernel, symbol, entry->cpu);
	r = view_read(entry->view, table, gdt, sizeof(gdt), err);
	if (r < 0)
		return wrap(err, r, "descriptors of CPU %u", entry->cpu);
	/* A CPU that never started has no task state yet; that of PV is Xen's. */
	if (gdt[GDT_TSS] || entry->is_pv)
		check_descriptors(entry, table, gdt);
	return 0;
}

/* --- local descriptors --- */

static void check_ldt(struct entry *entry, const struct task *task, gva table,
		      const uint64_t *ldt, uint64_t n)
{
	char name[48], found[32], what[24];

	for (uint64_t i = 0; i < n; i++) {
		struct finding *finding;

		if (is_of_programs(ldt[i]))
			continue;
		finding = check_finding(entry->run, SEVERITY_CRITICAL, "task", table, "LDT of %s",
					task_name(task, name, sizeof(name)));
		finding_title(finding, "A descriptor of a process gives more than programs have");
		snprintf(what, sizeof(what), "LDT[%" PRIu64 "]", i);
		snprintf(found, sizeof(found), "%#" PRIx64, ldt[i]);
		finding_evidence(finding, what, gva_add(table, 8 * i), NULL,
				 "a segment of ring 3", found);
		return;
	}
}

/* Nearly no process has any: they are for 16-bit programs. */
static int check_task(struct entry *entry, const struct task *task, struct err *err)
{
	cleanup(freep) uint64_t *ldt = NULL;
	gva object, table;
	uint64_t n;
	int r = task->mm.v ? field_ptr(entry->view, task->mm, &entry->f->ldt, &object, err) : 0;

	if (r < 0 || !task->mm.v || !object.v)
		return r;
	r = field_ptr(entry->view, object, &entry->f->entries, &table, err);
	if (r >= 0)
		r = field_read(entry->view, object, &entry->f->count, &n, err);
	if (r >= 0 && (!n || n > LDT_MAX))
		r = fail(err, -EBADMSG, object, "%" PRIu64 " local descriptors", n);
	if (r < 0)
		return r;
	ldt = calloc(n, sizeof(*ldt));
	if (!ldt)
		return -ENOMEM;
	r = view_read(entry->view, table, ldt, n * sizeof(*ldt), err);
	if (r >= 0)
		check_ldt(entry, task, table, ldt, n);
	check_covered(entry->run, "local tables", 1);
	return r;
}

static int check_tasks(struct entry *entry, struct err *err)
{
	struct partial partial = partial_of(entry->view);
	struct tasks tasks = { 0 };
	int r;

	if (!entry->f->ldt.there)	/* built without CONFIG_MODIFY_LDT_SYSCALL */
		return 0;
	r = partial_add(&partial, task_list(entry->kernel, entry->view, &tasks, err), err);
	for (size_t i = 0; i < tasks.n && r >= 0; i++)
		r = partial_add(&partial, check_task(entry, &tasks.v[i], err), err);
	tasks_free(&tasks);
	return partial_end(&partial, r, err);
}

/* --- the task state --- */

static uint64_t stack_top(const struct entry *entry, const struct field *stack)
{
	gva stacks = field_at(entry->area, &entry->area_fields->stacks);

	return stacks.v + stack->at + stack->size_bytes;
}

static void check_stacks(struct entry *entry, gva tss, const uint64_t *ist)
{
	const struct tss_fields *f = entry->f;
	/* arch/x86/include/asm/page_64_types.h, IST_INDEX_* */
	const struct field *const stacks[7] = { &f->df, &f->nmi, &f->db, &f->mce, &f->vc };

	for (unsigned i = 0; i < ARRAY_SIZE(stacks); i++) {
		uint64_t expected = stacks[i] && stacks[i]->there ? stack_top(entry, stacks[i]) : 0;
		char name[24];

		snprintf(name, sizeof(name), "IST %u", i + 1);
		/* That for #VC moves while one is handled, and is used under SEV only. */
		if (ist[i] != expected && stacks[i] != &f->vc)
			wrong_number(entry, gva_add(field_at(tss, &f->ist), 8 * i), name,
				     "An interrupt stack of the CPU is not the kernel's", expected,
				     ist[i]);
	}
}

static int check_tss(struct entry *entry, struct err *err)
{
	const struct tss_fields *f = entry->f;
	uint64_t sp0, base, ist[7], top, end;
	gva symbol, tss;
	int r = kernel_symbol(entry->kernel, "cpu_tss_rw", &symbol, err);

	if (r < 0)
		return r;
	tss = kernel_per_cpu(entry->kernel, symbol, entry->cpu);
	r = field_read(entry->view, tss, &f->sp0, &sp0, err);
	if (r >= 0)
		r = field_read(entry->view, tss, &f->io_base, &base, err);
	if (r >= 0)
		r = view_read(entry->view, field_at(tss, &f->ist), ist, sizeof(ist), err);
	if (r < 0)
		return wrap(err, r, "task state of CPU %u", entry->cpu);
	/* A CPU that never started. */
	if (!ist[0])
		return 0;
	check_stacks(entry, tss, ist);
	top = field_at(entry->area, &entry->area_fields->entry_stack).v +
	      entry->area_fields->entry_stack.size_bytes;
	/* On PV it is the running task's, and Xen has a copy of its own. */
	if (sp0 != top && !entry->is_pv)
		wrong_number(entry, field_at(tss, &f->sp0), "SP0",
			     "The stack on which the CPU enters the kernel is not the kernel's",
			     top, sp0);
	/* Behind both bitmaps: no program may use ports. */
	end = f->io.there ? f->io.at + f->io.size_bytes : f->hardware.size_bytes;
	if (base < end && !(f->bitmap.there && base == f->bitmap.at) &&
	    !(f->all.there && base == f->all.at))
		wrong_number(entry, field_at(tss, &f->io_base), "I/O bitmap",
			     "The ports that programs may use are told elsewhere",
			     end, base);
	check_covered(entry->run, "task states", 1);
	return 0;
}

/* --- what the area maps --- */

/* A page of the area leads to the frame of the per-CPU variable behind it. */
static int check_page(struct entry *entry, gva at, gva variable, const char *name, bool read_only,
		      struct err *err)
{
	struct mapping is, should;
	struct finding *finding;
	char expected[48], found[64];
	int r = view_translate(entry->view, entry->kernel->space, variable, &should, err);

	if (r >= 0)
		r = view_translate(entry->view, entry->kernel->space, at, &is, err);
	if (r < 0)
		return wrap(err, r, "%s of CPU %u", name, entry->cpu);
	if (is.at.v == should.at.v && !(is.rights & MAP_WRITE && read_only) &&
	    !(is.rights & (MAP_EXEC | MAP_USER)))
		return 0;
	finding = entry_finding(entry, at, name,
				"What the CPU enters the kernel with is mapped to other memory");
	snprintf(expected, sizeof(expected), "physical %#" PRIx64 "%s", should.at.v,
		 read_only ? ", read-only" : "");
	snprintf(found, sizeof(found), "physical %#" PRIx64 "%s%s%s", is.at.v,
		 is.rights & MAP_WRITE ? ", writable" : "",
		 is.rights & MAP_EXEC ? ", executable" : "",
		 is.rights & MAP_USER ? ", open to programs" : "");
	finding_evidence(finding, "mapping", at, NULL, expected, found);
	return 0;
}

static int check_area(struct entry *entry, struct err *err)
{
	const struct cpu_entry_fields *f = entry->area_fields;
	const struct {
		const char *variable, *name;
		const struct field *part;
		bool read_only;
	} parts[] = {
		{ "gdt_page", "GDT", &f->gdt, true },
		{ "entry_stack_storage", "entry stack", &f->entry_stack, false },
		{ "cpu_tss_rw", "task state", &f->tss, true },
	};
	uint64_t pages = 0;
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(parts) && r >= 0; i++) {
		gva symbol, at = field_at(entry->area, parts[i].part);

		r = kernel_symbol(entry->kernel, parts[i].variable, &symbol, err);
		if (r < 0)
			return r;
		symbol = kernel_per_cpu(entry->kernel, symbol, entry->cpu);
		for (uint64_t n = 0; n < parts[i].part->size_bytes && r >= 0;
		     n += GUEST_PAGE_SIZE, pages++)
			r = check_page(entry, gva_add(at, n), gva_add(symbol, n), parts[i].name,
				       parts[i].read_only, err);
	}
	if (r >= 0)
		check_covered(entry->run, "pages", pages);
	return r;
}

static int entry_points_run(struct check_run *run, struct err *err)
{
	struct entry entry = {
		.run = run, .kernel = check_kernel(run), .view = check_view(run),
		.is_pv = ram_is_pv(view_ram(check_view(run))),
	};
	int r;

	if (entry.is_pv)
		check_note(run, "a PV guest's CPUs have Xen's tables: xen-callbacks looks at where "
			   "Xen enters the kernel");
	r = cpu_entry_fields(entry.kernel, &entry.area_fields, err);
	if (r >= 0)
		r = types_layout(entry.kernel->types, &tss_layout, (const void **)&entry.f, err);
	for (; entry.cpu < entry.kernel->cpus && r >= 0; entry.cpu++) {
		r = cpu_entry_area(entry.kernel, entry.view, entry.cpu, &entry.area, err);
		if (r >= 0)
			r = check_area(&entry, err);
		if (r >= 0)
			r = check_gdt(&entry, err);
		if (r >= 0)
			r = check_tss(&entry, err);
	}
	return r < 0 ? r : check_tasks(&entry, err);
}

CHECK(entry_points,
	.id = "entry-points",
	.group = GROUP_CODE,
	.title = "The CPU enters the kernel otherwise than the kernel set it",
	.proves = "Each CPU's segments are those that the kernel is built with, and no other "
		  "descriptor, of a CPU or of a process, is a gate or gives programs more than "
		  "their own; the stacks that "
		  "it enters the kernel on are the kernel's; and the CPU entry area maps these "
		  "tables and stacks, the tables read-only.",
	.techniques = TECHNIQUES("T1014", "T1574.013"),
	.fuel_max = 20000,
	.worth = 8,
	.run = entry_points_run);
