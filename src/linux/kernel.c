/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/kernel.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/limits.h"
#include "base/notes.h"
#include "guest/paging.h"
#include "linux/anchor.h"

#define KERNEL_MAP	0xffffffff80000000ull	/* __START_KERNEL_map */
#define NOTES_MAX	4096u
#define CHUNK_BYTES	(4u << 20)
#define HUGE_BYTES	(2u << 20)

struct boot_fields {
	struct field release, canary, children, sibling, start;
};

static const struct member boot_members[] = {
	MEMBER(struct boot_fields, release, "uts_namespace.name.release"),
	MEMBER_OPTIONAL(struct boot_fields, canary, "task_struct.stack_canary"),
	MEMBER(struct boot_fields, children, "task_struct.children.next"),
	MEMBER(struct boot_fields, sibling, "task_struct.sibling"),
	/* start_boottime from cf25e24db61c (5.5), real_start_time before. */
	MEMBER(struct boot_fields, start,
	       "task_struct.start_boottime|task_struct.real_start_time"),
};
LAYOUT(boot_layout, struct boot_fields, boot_members);

/* What the search for an anchor works on. */
struct search {
	struct view *view;
	struct kernel *kernel;		/* made from the first candidate that holds */
	int code;			/* why the others did not; 0: there was none */
	struct err err;
};

/* A part of the image by symbols; NULL where it is not inside. */
static const uint8_t *image_part(const struct kernel *kernel, const uint8_t *image, size_t size,
				 gva start, uint64_t bytes)
{
	if (start.v < kernel->text.v || start.v - kernel->text.v > size ||
	    bytes > size - (start.v - kernel->text.v))
		return NULL;
	return image + (start.v - kernel->text.v);
}

static gpa image_phys(const struct kernel *kernel, gva at)
{
	return gpa_add(kernel->image, at.v - kernel->text.v);
}

/* Room for an image; in huge pages where the host has them: to fault in 4 KiB ones takes long. */
static uint8_t *image_alloc(size_t bytes)
{
	void *image;

	if (posix_memalign(&image, HUGE_BYTES, bytes))
		return NULL;
	(void)madvise(image, bytes, MADV_HUGEPAGE);
	return image;
}

static bool has_page(struct view *view, gpa at)
{
	return ram_has(view_ram(view), at, GUEST_PAGE_SIZE);
}

/*
 * The image by physical address: under PTI the kernel unmaps parts of the high mapping
 * that it freed, and those are holes that a translation would stumble over.
 */
static int read_image(struct view *view, const struct anchor *anchor, uint8_t **ret, size_t *size,
		      struct err *err)
{
	cleanup(freep) uint8_t *image = image_alloc(anchor->size_bytes);
	size_t have = 0, chunk = CHUNK_BYTES;
	int r = -ENOMEM;

	while (image && have < anchor->size_bytes) {
		size_t n = anchor->size_bytes - have;

		if (n > chunk)
			n = chunk;
		r = view_read_phys(view, gpa_add(anchor->image, have), image + have, n, err);
		if (r == -EFAULT && chunk > GUEST_PAGE_SIZE) {
			chunk /= 2;
			continue;
		}
		/* Up to where RAM ends: that may hold all that is needed. */
		if (r == -EFAULT && have && !has_page(view, gpa_add(anchor->image, have)))
			break;
		/* Init memory that was freed, and then given back to the hypervisor. */
		if (r == -EFAULT && have) {
			memset(image + have, 0, n);
			r = 0;
		}
		if (r < 0)
			return r;
		have += n;
		chunk = chunk < CHUNK_BYTES / 2 ? 2 * chunk : CHUNK_BYTES;
	}
	if (!image)
		return r;
	*size = have;
	*ret = take_ptr(&image);
	return 0;
}

static int find_types(struct kernel *kernel, const uint8_t *image, size_t size, struct err *err)
{
	gva start, stop;
	const uint8_t *blob;

	if (symbols_find(kernel->symbols, "__start_BTF", &start, err) < 0 ||
	    symbols_find(kernel->symbols, "__stop_BTF", &stop, err) < 0)
		return err_set(err, -ENOTSUP,
			       "this kernel was built without CONFIG_DEBUG_INFO_BTF, which "
			       "hvsm needs");
	blob = stop.v > start.v ?
		image_part(kernel, image, size, start, stop.v - start.v) : NULL;
	if (!blob)
		return err_set(err, -EBADMSG, "the kernel's types are outside of its image");
	return types_parse(blob, stop.v - start.v, &kernel->types, err);
}

/* The note that the linker left: GNU build ID (notes: ELF gABI, "Note Section"). */
static void find_build_id(struct kernel *kernel, const uint8_t *image, size_t size)
{
	gva start = symbols_lookup(kernel->symbols, "__start_notes");
	gva stop = symbols_lookup(kernel->symbols, "__stop_notes");
	const uint8_t *part;

	if (!start.v || stop.v <= start.v || stop.v - start.v > NOTES_MAX)
		return;
	part = image_part(kernel, image, size, start, stop.v - start.v);
	if (part)
		notes_build_id(bytes_of(part, stop.v - start.v), kernel->build_id);
}

/*
 * The kernel's page table must lead back to the image that names it, and its own idea of
 * where it lies must be ours: this is what tells a kernel from the remains of one.
 */
static int check_space(struct kernel *kernel, struct view *view, struct err *err)
{
	struct mapping to;
	gva at;
	uint64_t base;
	int r;

	r = symbols_find(kernel->symbols, "init_top_pgt", &at, err);
	if (r < 0)
		return r;
	kernel->space.root = image_phys(kernel, at);
	r = view_translate(view, kernel->space, kernel->text, &to, err);
	if (r < 0)
		return wrap(err, r, "page table of the kernel");
	if (to.at.v != kernel->image.v)
		return err_set(err, -EBADMSG, "the kernel's page table maps _text to %#" PRIx64
			       ", not to %#" PRIx64, to.at.v, kernel->image.v);
	view_set_kernel(view, kernel->space);

	r = symbols_find(kernel->symbols, "phys_base", &at, err);
	if (r >= 0)
		r = view_u64(view, at, &base, err);
	if (r < 0)
		return r;
	if (base != kernel->image.v - (kernel->text.v - KERNEL_MAP))
		return err_set(err, -EBADMSG, "the kernel believes to lie elsewhere: phys_base %#"
			       PRIx64, base);
	r = symbols_find(kernel->symbols, "_end", &kernel->end, err);
	if (r >= 0 && (kernel->end.v <= kernel->text.v ||
		       kernel->end.v - kernel->text.v > KERNEL_IMAGE_MAX))
		return err_set(err, -EBADMSG, "the kernel's image ends at %#" PRIx64,
			       kernel->end.v);
	return r;
}

static int find_direct_map(struct kernel *kernel, struct view *view, struct err *err)
{
	struct mapping to;
	gva at;
	int r;

	r = symbols_find(kernel->symbols, "page_offset_base", &at, err);
	if (r >= 0)
		r = view_ptr(view, at, &kernel->page_offset, err);
	if (r < 0)
		return r;
	r = view_translate(view, kernel->space, gva_add(kernel->page_offset, kernel->image.v), &to,
			   err);
	if (r < 0)
		return wrap(err, r, "direct map at %#" PRIx64, kernel->page_offset.v);
	if (to.at.v != kernel->image.v)
		return err_set(err, -EBADMSG, "the direct map does not map the kernel");
	return 0;
}

static int read_cpus(struct kernel *kernel, struct view *view, struct err *err)
{
	gva at;
	int r;

	r = symbols_find(kernel->symbols, "nr_cpu_ids", &at, err);
	if (r >= 0)
		r = view_u32(view, at, &kernel->cpus, err);
	if (r < 0)
		return r;
	if (!kernel->cpus || kernel->cpus > CPUS_MAX)
		return err_set(err, -EBADMSG, "a kernel with %u CPUs", kernel->cpus);

	kernel->cpu_offset = calloc(kernel->cpus, sizeof(*kernel->cpu_offset));
	if (!kernel->cpu_offset)
		return -ENOMEM;
	r = symbols_find(kernel->symbols, "__per_cpu_offset", &at, err);
	if (r < 0)
		return r;
	return view_read(view, at, kernel->cpu_offset,
			 kernel->cpus * sizeof(*kernel->cpu_offset), err);
}

static int read_banner(const struct kernel *kernel, struct view *view, char *buf, size_t size,
		       struct err *err)
{
	gva at;
	int r;

	r = symbols_find(kernel->symbols, "linux_banner", &at, err);
	if (r >= 0)
		r = view_string(view, at, buf, size, err);
	if (r < 0)
		return wrap(err, r, "banner of the kernel");
	buf[strcspn(buf, "\n")] = '\0';
	if (strncmp(buf, "Linux version ", strlen("Linux version ")))
		return err_set(err, -EBADMSG, "the kernel's banner is not Linux'");
	return 0;
}

/*
 * What no two boots share: a random number that was drawn at start, and the first process,
 * by its place and the time at which it was made.
 */
static int read_boot(const struct kernel *kernel, struct view *view, struct kernel_boot *boot,
		     struct err *err)
{
	const struct boot_fields *f;
	gva init_task, child;
	int r;

	memset(boot, 0, sizeof(*boot));
	r = types_layout(kernel->types, &boot_layout, (const void **)&f, err);
	if (r >= 0)
		r = symbols_find(kernel->symbols, "init_task", &init_task, err);
	if (r >= 0 && f->canary.there)
		r = field_read(view, init_task, &f->canary, &boot->canary, err);
	if (r >= 0)
		r = field_ptr(view, init_task, &f->children, &child, err);
	if (r < 0)
		return r;
	if (child.v == field_at(init_task, &f->children).v)
		return 0;	/* too early: no process was made yet */
	child = field_object(child, &f->sibling);
	r = field_read(view, child, &f->start, &boot->first_task_ns, err);
	if (r >= 0)
		boot->first_task = child;
	/* A wild link must not keep us out: then the canary alone tells one boot from the next. */
	return r == -EFAULT || r == -EBADMSG ? 0 : r;
}

static int describe(struct kernel *kernel, struct view *view, struct err *err)
{
	const struct boot_fields *f;
	gva uts;
	int r;

	r = read_banner(kernel, view, kernel->banner, sizeof(kernel->banner), err);
	if (r >= 0)
		r = types_layout(kernel->types, &boot_layout, (const void **)&f, err);
	if (r >= 0)
		r = symbols_find(kernel->symbols, "init_uts_ns", &uts, err);
	if (r >= 0)
		r = view_string(view, field_at(uts, &f->release), kernel->release,
				sizeof(kernel->release), err);
	if (r >= 0)
		r = read_boot(kernel, view, &kernel->boot, err);
	return r < 0 ? r : 0;
}

static int kernel_at(struct view *view, const struct anchor *anchor, struct kernel **ret,
		     struct err *err)
{
	cleanup(kernel_close) struct kernel *kernel = calloc(1, sizeof(*kernel));
	cleanup(freep) uint8_t *image = NULL;
	size_t size = 0;
	int r;

	if (!kernel)
		return -ENOMEM;
	kernel->text = anchor->text;
	kernel->image = anchor->image;
	kernel->space.levels = anchor->levels;
	kernel->found_by = anchor->found_by;

	r = read_image(view, anchor, &image, &size, err);
	if (r >= 0)
		r = symbols_parse(image, size, anchor->text, &kernel->symbols, err);
	if (r >= 0)
		r = check_space(kernel, view, err);
	if (r < 0)
		return r;
	r = find_types(kernel, image, size, err);
	if (r >= 0)
		r = find_direct_map(kernel, view, err);
	if (r >= 0)
		r = read_cpus(kernel, view, err);
	if (r >= 0)
		r = describe(kernel, view, err);
	if (r == -ENOENT && err)
		err->code = -ENOTSUP;
	if (r == -ENOENT)	/* it is a kernel, but built without what is needed */
		return wrap(err, -ENOTSUP, "a Linux kernel that hvsm cannot read");
	if (r < 0)
		return r;
	find_build_id(kernel, image, size);
	*ret = take_ptr(&kernel);
	return 0;
}

/* Is this what one meets in the remains of a kernel, rather than in one that is odd? */
static bool is_remains(int code)
{
	return code == -EFAULT || code == -ENOENT;
}

static int try_candidate(const struct anchor *anchor, void *ctx, struct err *err)
{
	struct search *search = ctx;
	struct err why = {0};
	int r;

	r = kernel_at(search->view, anchor, &search->kernel, &why);
	if (r >= 0)
		return 1;
	view_set_kernel(search->view, (struct space){0});
	if (r == -ESRCH || r == -ENOMEM) {
		if (err)
			*err = why;
		return r;
	}
	/* The first, as it is the best, unless a later one is more than remains. */
	if (!search->code || (is_remains(search->code) && !is_remains(r))) {
		search->code = r;
		search->err = why;
	}
	return 0;
}

int kernel_open(struct view *view, struct kernel **ret, struct err *err)
{
	struct search search = { .view = view };
	int r;

	r = anchor_search(view, try_candidate, &search, err);
	if (r < 0)
		return err && err->code != r ? err_set(err, r, "%s", strerror(-r)) : r;
	if (r > 0) {
		*ret = search.kernel;
		return 0;
	}
	if (!search.code)
		return err_set(err, -ENOENT, "no Linux kernel found in the guest's memory "
			       "(firmware, boot loader, or another system)");
	if (err)
		*err = search.err;
	if (!is_remains(search.code))
		return search.code;
	if (err)
		err->code = -ENOENT;
	return wrap(err, -ENOENT, "no running Linux kernel, only the remains of one");
}

void kernel_close(struct kernel **kernel)
{
	if (!*kernel)
		return;
	symbols_free(&(*kernel)->symbols);
	types_free(&(*kernel)->types);
	free((*kernel)->cpu_offset);
	free(*kernel);
	*kernel = NULL;
}

/*
 * Text that leads elsewhere, but into no other kernel, is what a rootkit does to it: that is for
 * the checks to tell.
 */
static bool is_remapped(const struct kernel *kernel, struct view *view, gva at, gpa to)
{
	static const char begin[] = "Linux version ";
	gva etext = symbols_lookup(kernel->symbols, "_etext");
	gva banner = symbols_lookup(kernel->symbols, "linux_banner");
	char there[sizeof(begin) - 1];
	gpa other = gpa_of(to.v - (at.v - kernel->text.v) + (banner.v - kernel->text.v));

	return at.v < etext.v &&
	       (view_read_phys(view, other, there, sizeof(there), NULL) < 0 ||
		memcmp(there, begin, sizeof(there)) != 0);
}

/*
 * The image is mapped in one piece, but by way of page tables that were allocated: after a
 * reset the next kernel makes its own in the very same places, and then parts of the old
 * image lead into the new one. One look into each 2 MiB notices.
 */
static int check_image(const struct kernel *kernel, struct view *view, struct err *err)
{
	const uint64_t step = 2u << 20;
	struct mapping to;
	int r;

	for (gva at = gva_add(kernel->text, step / 2); at.v < kernel->end.v; at.v += step) {
		r = view_translate(view, kernel->space, at, &to, err);
		if (r == -EFAULT)
			continue;	/* init memory that was freed */
		if (r < 0)
			return r;
		if (to.at.v != image_phys(kernel, at).v && !is_remapped(kernel, view, at, to.at))
			return -ESTALE;
	}
	return 0;
}

int kernel_check(const struct kernel *kernel, struct view *view, struct err *err)
{
	char banner[sizeof(kernel->banner)];
	struct kernel_boot boot;
	struct mapping to;
	int r;

	r = view_translate(view, kernel->space, kernel->text, &to, err);
	if (r >= 0 && to.at.v != kernel->image.v)
		r = -ESTALE;
	if (r >= 0)
		r = check_image(kernel, view, err);
	if (r >= 0)
		r = read_banner(kernel, view, banner, sizeof(banner), err);
	if (r >= 0 && strcmp(banner, kernel->banner))
		r = -ESTALE;
	if (r >= 0)
		r = read_boot(kernel, view, &boot, err);
	if (r >= 0 && (boot.canary != kernel->boot.canary ||
		       (kernel->boot.first_task.v &&
			(boot.first_task.v != kernel->boot.first_task.v ||
			 boot.first_task_ns != kernel->boot.first_task_ns))))
		r = -ESTALE;
	if (r == -ESRCH || r == -ELOOP)
		return r;
	if (r < 0)
		return err_set(err, -ESTALE, "the guest rebooted or runs another kernel now");
	return 0;
}

int kernel_read_image(const struct kernel *kernel, struct view *view, gva at, void *buf,
		      size_t len, struct err *err)
{
	uint8_t *to = buf;
	int r;

	if (!ram_is_pv(view_ram(view)))
		return view_read_phys(view, image_phys(kernel, at), buf, len, err);
	r = view_read_space(view, kernel->space, at, buf, len, NULL);
	if (r != -EFAULT)
		return r < 0 ? view_read_space(view, kernel->space, at, buf, len, err) : r;
	for (size_t n, have = 0; have < len; have += n) {
		gva page = gva_add(at, have);

		n = GUEST_PAGE_SIZE - (page.v & GUEST_PAGE_MASK);
		n = n < len - have ? n : len - have;
		r = view_read_space(view, kernel->space, page, to + have, n, NULL);
		if (r < 0)
			r = view_read_phys(view, image_phys(kernel, page), to + have, n, err);
		if (r < 0)
			return r;
	}
	return 0;
}

gva kernel_per_cpu(const struct kernel *kernel, gva symbol, uint32_t cpu)
{
	return gva_add(symbol, kernel->cpu_offset[cpu]);
}

/*
 * A number that no CPU has keeps the offset that the kernel is linked with: 0, or
 * __per_cpu_load (arch/x86/kernel/setup_percpu.c: BOOT_PERCPU_OFFSET).
 */
bool kernel_has_cpu(const struct kernel *kernel, uint32_t cpu)
{
	uint64_t offset = kernel->cpu_offset[cpu];

	return offset && offset != symbols_lookup(kernel->symbols, "__per_cpu_load").v;
}

int kernel_symbol(const struct kernel *kernel, const char *name, gva *ret, struct err *err)
{
	return symbols_find(kernel->symbols, name, ret, err);
}

int field_read(struct view *view, gva object, const struct field *field, uint64_t *ret,
	       struct err *err)
{
	uint64_t value = 0;
	int r;

	if (!field->there)
		return err_set(err, -ENOENT, "this kernel has no such member");
	if (!field->size_bytes || field->size_bytes > sizeof(value))
		return err_set(err, -EINVAL, "no number has %u bytes", field->size_bytes);
	r = view_read(view, field_at(object, field), &value, field->size_bytes, err);
	if (r < 0)
		return r;
	if (field->bits && field->bits < 64)
		value = value >> field->bit_at & ((1ull << field->bits) - 1);
	*ret = value;
	return 0;
}

int field_ptr(struct view *view, gva object, const struct field *field, gva *ret, struct err *err)
{
	return field_read(view, object, field, &ret->v, err);
}
