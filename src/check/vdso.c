/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/blob.h"
#include "base/alike.h"
#include "base/cleanup.h"
#include "check/check.h"
#include "check/difference.h"
#include "linux/partial.h"
#include "linux/task.h"
#include "reference/baseline.h"
#include "reference/kernel_image.h"

/* The largest vDSO: 4 pages in 7.2. */
#define VDSO_BYTES_MAX 65536u

#define VSYSCALL       0xffffffffff600000ull
#define VSYSCALL_STEP  1024u

/* Copies of its own that a process may have: told one by one. */
#define TOLD_MAX       64u

struct image_fields {
	struct field data, size, alt, alt_bytes;
	struct field vdso, image;
};

static const struct member image_members[] = {
	MEMBER(struct image_fields, data, "vdso_image.data"),
	MEMBER(struct image_fields, size, "vdso_image.size"),
	MEMBER(struct image_fields, alt, "vdso_image.alt"),
	MEMBER(struct image_fields, alt_bytes, "vdso_image.alt_len"),
	MEMBER(struct image_fields, vdso, "mm_struct.context.vdso"),
	MEMBER_OPTIONAL(struct image_fields, image, "mm_struct.context.vdso_image"),
};
LAYOUT(image_layout, struct image_fields, image_members);

/* Renamed in 6.19; each has the same in another word size. */
static const struct {
	const char *name, *renamed, *item;
} known[] = {
	{ "vdso_image_64", "vdso64_image", "vDSO of 64 bits" },
	{ "vdso_image_32", "vdso32_image", "vDSO of 32 bits" },
	{ "vdso_image_x32", "vdsox32_image", "vDSO of x32" },
};

struct image {
	gva at;			/* struct vdso_image; 0: this kernel has none */
	gva data;
	uint64_t size_bytes;
	uint64_t alt, alt_bytes;
	const char *item;
};

struct vdso {
	struct check_run *run;
	const struct kernel *kernel;
	struct view *view;
	const struct image_fields *f;
	struct owners *owners;		/* opened for the first difference */
	struct image images[ARRAY_SIZE(known)];
	const struct kernel_image *shipped;	/* NULL: no reference */
	unsigned told;
};

static int read_image(struct vdso *vdso, size_t i, struct err *err)
{
	const struct symbols *symbols = vdso->kernel->symbols;
	const struct kernel *kernel = vdso->kernel;
	struct image *image = &vdso->images[i];
	const struct {
		const struct field *field;
		uint64_t *to;
	} numbers[] = {
		{ &vdso->f->data, &image->data.v }, { &vdso->f->size, &image->size_bytes },
		{ &vdso->f->alt, &image->alt }, { &vdso->f->alt_bytes, &image->alt_bytes },
	};
	int r = 0;

	image->item = known[i].item;
	image->at = symbols_lookup(symbols, known[i].name);
	if (!image->at.v)
		image->at = symbols_lookup(symbols, known[i].renamed);
	if (!image->at.v)
		return 0;
	for (size_t n = 0; n < ARRAY_SIZE(numbers) && r >= 0; n++)
		r = field_read(vdso->view, image->at, numbers[n].field, numbers[n].to, err);
	if (r < 0)
		return wrap(err, r, "%s", image->item);
	if (!image->size_bytes || image->size_bytes > VDSO_BYTES_MAX ||
	    image->size_bytes % GUEST_PAGE_SIZE || image->data.v % GUEST_PAGE_SIZE ||
	    image->data.v < kernel->text.v || image->data.v >= kernel->end.v ||
	    image->size_bytes > kernel->end.v - image->data.v ||
	    image->alt > image->size_bytes || image->alt_bytes > image->size_bytes - image->alt)
		return fail(err, -EBADMSG, image->at, "%s of %" PRIu64 " bytes", image->item,
			    image->size_bytes);
	return 0;
}

/* --- what it holds --- */

static void tell_difference(struct vdso *vdso, const struct image *image,
			    const struct shipped *shipped, const struct difference *difference)
{
	const struct difference_place place = {
		SEVERITY_CRITICAL, "vDSO", image->item, shipped,
	};
	struct finding *finding = check_finding(vdso->run, place.severity, place.kind,
						image->data, "%s", image->item);
	struct err why = { 0 };

	if (!vdso->owners &&
	    check_owners(vdso->run, &vdso->owners, &why) < 0) {
		check_inconclusive(vdso->run, "owners of code: %s", why.text);
		return;
	}
	difference_evidence(vdso->run, vdso->owners, &place, difference, finding);
}

static void compare_bytes(struct vdso *vdso, const struct image *image,
			  const struct shipped *shipped, const uint8_t *expected,
			  const uint8_t *found)
{
	for (size_t i = 0, n; i < image->size_bytes; i += n) {
		struct difference difference = { .kind = "code" };

		n = alike_bytes(expected + i, found + i, image->size_bytes - i);
		if (n)
			continue;
		while (i + n < image->size_bytes && expected[i + n] != found[i + n])
			n++;
		difference.at = gva_add(image->data, i);
		difference.size_bytes = n;
		difference.expected = expected + i;
		difference.found = found + i;
		tell_difference(vdso, image, shipped, &difference);
	}
}

/* As shipped, with its own alternatives chosen as the kernel does (init_vdso_image()). */
static int compare_shipped(struct vdso *vdso, const struct image *image, const uint8_t *found,
			   struct err *err)
{
	const uint8_t *bytes = shipped_at(&vdso->shipped->shipped, image->data,
					  image->size_bytes);
	struct shipped_part *part;
	struct shipped shipped = { 0 };
	struct sites sites = { 0 };
	int r = 0;

	if (!bytes)
		return err_set(err, -EBADMSG, "the reference has no %s", image->item);
	part = shipped_add(&shipped, "vDSO", image->data, image->size_bytes, PART_EXEC);
	if (!part)
		return -ENOMEM;
	memcpy(part->bytes, bytes, image->size_bytes);
	shipped.table[TABLE_ALTERNATIVES] = (struct shipped_range){
		gva_add(image->data, image->alt), image->alt_bytes,
	};
	r = patch_all(vdso->shipped->patcher, vdso->view, &shipped, &sites, err);
	if (r >= 0)
		compare_bytes(vdso, image, &shipped, shipped.parts.v[0].bytes, found);
	sites_free(&sites);
	shipped_free(&shipped);
	return r;
}

/* Without a reference: as it was when it was first seen in this boot. */
static int compare_recorded(struct vdso *vdso, const struct image *image, const uint8_t *found,
			    struct err *err)
{
	struct finding *finding;
	int r;

	r = baseline_compare(check_baseline(vdso->run), image->item, found, image->size_bytes,
			     NULL, err);
	if (r != BASELINE_DIFFERS)
		return r;
	finding = check_finding(vdso->run, SEVERITY_CRITICAL, "vDSO", image->data, "%s",
				image->item);
	finding_title(finding, "Code that the kernel gives to programs has changed");
	finding_evidence(finding, image->item, image->data, NULL, "as in the first sweep", NULL);
	return 0;
}

static int check_image(struct vdso *vdso, const struct image *image, struct err *err)
{
	cleanup(freep) uint8_t *found = malloc(image->size_bytes);
	int r;

	if (!found)
		return -ENOMEM;
	r = kernel_read_image(vdso->kernel, vdso->view, image->data, found, image->size_bytes,
			      err);
	if (r < 0)
		return wrap(err, r, "%s", image->item);
	if (vdso->shipped) {
		r = compare_shipped(vdso, image, found, err);
		check_stands_on(vdso->run, ASSURANCE_REFERENCE);
	} else if (check_baseline(vdso->run)) {
		r = compare_recorded(vdso, image, found, err);
		check_stands_on(vdso->run, ASSURANCE_BASELINE);
	} else {
		check_stands_on(vdso->run, ASSURANCE_NONE);
	}
	if (r >= 0)
		check_covered(vdso->run, "bytes", image->size_bytes);
	return r;
}

/* --- what processes have of it --- */

static const struct image *image_at(const struct vdso *vdso, gva at)
{
	for (size_t i = 0; i < ARRAY_SIZE(vdso->images); i++)
		if (vdso->images[i].at.v && vdso->images[i].at.v == at.v)
			return &vdso->images[i];
	return NULL;
}

static struct finding *task_finding(struct vdso *vdso, const struct task *task, gva at,
				    enum severity severity, const char *title)
{
	char name[48];
	struct finding *finding;

	if (vdso->told++ >= TOLD_MAX) {
		check_inconclusive(vdso->run, "more processes have their own vDSO than are told");
		return NULL;
	}
	finding = check_finding(vdso->run, severity, "task", at, "vDSO of %s",
				task_name(task, name, sizeof(name)));
	finding_title(finding, "%s", title);
	return finding;
}

/* A debugger may have made a page its own, to set a breakpoint there. */
static int check_page(struct vdso *vdso, const struct task *task, const struct image *image,
		      gva at, uint64_t offset, struct err *err)
{
	gpa shared = gpa_add(vdso->kernel->image,
			     image->data.v + offset - vdso->kernel->text.v);
	struct finding *finding;
	struct mapping to;
	char expected[48], found[64];
	int r = view_translate(vdso->view, task->space, gva_add(at, offset), &to, err);

	/* Not used yet, or no more. */
	if (r == -EFAULT)
		return 0;
	if (r < 0)
		return r;
	check_covered(vdso->run, "pages of processes", 1);
	if (to.at.v == shared.v && !(to.rights & MAP_WRITE))
		return 0;
	finding = task_finding(vdso, task, gva_add(at, offset), SEVERITY_MEDIUM,
			       to.at.v == shared.v ?
			       "A process may write the code that the kernel gives to all" :
			       "A process has its own copy of what the kernel gives to all");
	if (!finding)
		return 0;
	snprintf(expected, sizeof(expected), "physical %#" PRIx64 ", read-only", shared.v);
	snprintf(found, sizeof(found), "physical %#" PRIx64 "%s", to.at.v,
		 to.rights & MAP_WRITE ? ", writable" : "");
	finding_evidence(finding, "page of the vDSO", gva_add(at, offset), NULL, expected, found);
	return 0;
}

static int check_task(struct vdso *vdso, const struct task *task, struct err *err)
{
	const struct image *image;
	struct finding *finding;
	gva at, of = { 0 };
	char found[32];
	int r;

	if (!task->mm.v)
		return 0;
	if (!task->space.root.v)
		return fail(err, -EFAULT, task->mm, "page table of PID %d", task->pid);
	r = field_ptr(vdso->view, task->mm, &vdso->f->vdso, &at, err);

	if (r >= 0 && at.v && vdso->f->image.there)
		r = field_ptr(vdso->view, task->mm, &vdso->f->image, &of, err);
	if (r < 0 || !at.v || !of.v)
		return r;
	image = image_at(vdso, of);
	if (!image) {
		finding = task_finding(vdso, task, of, SEVERITY_HIGH,
				       "A process has a vDSO that is none of the kernel's");
		snprintf(found, sizeof(found), "%#" PRIx64, of.v);
		if (finding)
			finding_evidence(finding, "vdso_image", field_at(task->mm,
									 &vdso->f->image),
					 NULL, "one of the kernel's", found);
		return 0;
	}
	for (uint64_t n = 0; n < image->size_bytes && r >= 0; n += GUEST_PAGE_SIZE)
		r = check_page(vdso, task, image, at, n, err);
	return r;
}

static int check_tasks(struct vdso *vdso, struct err *err)
{
	struct partial partial = partial_of(vdso->view);
	struct tasks tasks = { 0 };
	int r = partial_add(&partial, task_list(vdso->kernel, vdso->view, &tasks, err), err);

	for (size_t i = 0; i < tasks.n && r >= 0; i++)
		r = partial_add(&partial, check_task(vdso, &tasks.v[i], err), err);
	tasks_free(&tasks);
	return partial_end(&partial, r, err);
}

/* --- the page at a fixed address --- */

/* arch/x86/entry/vsyscall/vsyscall_emu_64.S: three calls, and int3 for the rest. */
static void vsyscall_make(uint8_t page[GUEST_PAGE_SIZE])
{
	static const uint8_t calls[][10] = {
		{ 0x48, 0xc7, 0xc0, 0x60, 0, 0, 0, 0x0f, 0x05, 0xc3 },	/* gettimeofday */
		{ 0x48, 0xc7, 0xc0, 0xc9, 0, 0, 0, 0x0f, 0x05, 0xc3 },	/* time */
		{ 0x48, 0xc7, 0xc0, 0x35, 1, 0, 0, 0x0f, 0x05, 0xc3 },	/* getcpu */
	};

	memset(page, 0xcc, GUEST_PAGE_SIZE);
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		memcpy(page + i * VSYSCALL_STEP, calls[i], sizeof(calls[i]));
}

static int check_vsyscall(struct vdso *vdso, struct err *err)
{
	gva symbol = symbols_lookup(vdso->kernel->symbols, "__vsyscall_page");
	uint8_t expected[GUEST_PAGE_SIZE], found[GUEST_PAGE_SIZE];
	struct finding *finding;
	struct mapping to;
	gpa page;
	int r;

	if (!symbol.v)
		return 0;
	page = gpa_add(vdso->kernel->image, symbol.v - vdso->kernel->text.v);
	r = kernel_read_image(vdso->kernel, vdso->view, symbol, found, sizeof(found), err);
	if (r < 0)
		return wrap(err, r, "vsyscall page");
	vsyscall_make(expected);
	if (memcmp(expected, found, sizeof(found)) != 0) {
		finding = check_finding(vdso->run, SEVERITY_CRITICAL, "vsyscall", symbol,
					"content");
		finding_title(finding, "The page of old system calls holds other code");
		finding_evidence(finding, "vsyscall page", symbol, "__vsyscall_page",
				 "three system calls and int3", "other code");
	}
	check_covered(vdso->run, "bytes", sizeof(found));
	r = view_translate(vdso->view, vdso->kernel->space, gva_of(VSYSCALL), &to, err);
	if (r == -EFAULT)
		return 0;
	if (r >= 0 && to.at.v != page.v) {
		finding = check_finding(vdso->run, SEVERITY_CRITICAL, "vsyscall",
					gva_of(VSYSCALL), "mapping");
		finding_title(finding, "The page of old system calls is another");
	}
	return r < 0 ? r : 0;
}

static int vdso_run(struct check_run *run, struct err *err)
{
	struct vdso vdso = { .run = run, .kernel = check_kernel(run), .view = check_view(run) };
	int r = types_layout(vdso.kernel->types, &image_layout, (const void **)&vdso.f, err);

	for (size_t i = 0; i < ARRAY_SIZE(vdso.images) && r >= 0; i++)
		r = read_image(&vdso, i, err);
	if (r >= 0 && check_reference(run))
		r = kernel_image_of(check_reference(run), vdso.kernel, vdso.view, &vdso.shipped,
				    err);
	for (size_t i = 0; i < ARRAY_SIZE(vdso.images) && r >= 0; i++)
		if (vdso.images[i].at.v)
			r = check_image(&vdso, &vdso.images[i], err);
	if (r >= 0)
		r = check_vsyscall(&vdso, err);
	if (r >= 0)
		r = check_tasks(&vdso, err);
	owners_close(&vdso.owners);
	return r < 0 ? r : 0;
}

CHECK(vdso,
	.id = "vdso",
	.group = GROUP_CODE,
	.title = "Code that the kernel gives to programs is not what was shipped",
	.proves = "The vDSO is that of the distribution's own package, with its alternatives "
		  "chosen as the kernel does, or without a reference what it was in the first "
		  "sweep; every process has these very pages, and cannot write them; and the "
		  "vsyscall page holds its three calls.",
	.techniques = TECHNIQUES("T1014", "T1055.014"),
	.fuel_max = 60000,
	.run = vdso_run);
