/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alike.h"
#include "base/cleanup.h"
#include "check/check.h"
#include "check/difference.h"
#include "reference/kernel_image.h"

/* 7 pages in 7.2; it has to fit below 1 MiB. */
#define BLOB_BYTES_MAX	 (256u << 10)
#define RELOCATIONS_MAX	 1024u

/*
 * The trampoline on which CPUs start and wake up (arch/x86/realmode): a blob within the kernel's
 * init data, copied below 1 MiB and relocated there. Its code is executable in the direct map.
 */
struct header_fields { struct field text_start, ro_end; };

static const struct member header_members[] = {
	MEMBER(struct header_fields, text_start, "real_mode_header.text_start"),
	MEMBER(struct header_fields, ro_end, "real_mode_header.ro_end"),
};
LAYOUT(header_layout, struct header_fields, header_members);

struct real_mode {
	struct check_run *run;
	const struct kernel *kernel;
	struct view *view;
	const struct kernel_image *image;
	gva base;		/* in the direct map */
	uint32_t phys;
	uint64_t ro_bytes;	/* header, code, constants: in whole pages */
};

static int find_base(struct real_mode *mode, struct err *err)
{
	const struct header_fields *f;
	uint64_t start, end;
	gva header;
	int r = types_layout(mode->kernel->types, &header_layout, (const void **)&f, err);

	if (r >= 0)
		r = kernel_symbol(mode->kernel, "real_mode_header", &header, err);
	if (r >= 0)
		r = view_ptr(mode->view, header, &mode->base, err);
	if (r >= 0)
		r = field_read(mode->view, mode->base, &f->text_start, &start, err);
	if (r >= 0)
		r = field_read(mode->view, mode->base, &f->ro_end, &end, err);
	if (r < 0)
		return wrap(err, r, "the trampoline of CPUs");
	mode->phys = (uint32_t)(mode->base.v - mode->kernel->page_offset.v);
	end = (end + GUEST_PAGE_MASK) & ~GUEST_PAGE_MASK;
	if (mode->base.v - mode->kernel->page_offset.v >= 1u << 20 || mode->phys & 15 ||
	    start < mode->phys || end <= start || end - mode->phys > BLOB_BYTES_MAX)
		return fail(err, -EBADMSG, mode->base, "a trampoline of CPUs from %#" PRIx64
			    " to %#" PRIx64, start, end);
	mode->ro_bytes = end - mode->phys;
	return 0;
}

/* A PV guest of Xen is started in 64-bit mode, and has Xen start its CPUs. */
static bool has_none(const struct real_mode *mode)
{
	gva header = symbols_lookup(mode->kernel->symbols, "real_mode_header"), base;

	return ram_is_pv(view_ram(mode->view)) && header.v &&
	       view_ptr(mode->view, header, &base, NULL) >= 0 && !base.v;
}

static uint32_t get_u32(const uint8_t *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

/* The next number of the list, or 0 and *@left < 0 behind its end. */
static uint32_t next_u32(const uint8_t **at, int64_t *left)
{
	*left -= 4;
	if (*left < 0)
		return 0;
	*at += 4;
	return get_u32(*at - 4);
}

/* setup_real_mode(): 16-bit segments, then 32-bit addresses; each list begins with its length. */
static int relocate(const struct real_mode *mode, uint8_t *blob, uint64_t blob_bytes,
		    const uint8_t *list, uint64_t list_bytes, struct err *err)
{
	const uint16_t segment = (uint16_t)(mode->phys >> 4);
	int64_t left = (int64_t)list_bytes;

	for (unsigned kind = 0; kind < 2; kind++) {
		uint32_t n = next_u32(&list, &left), bytes = kind ? 4 : 2;

		if (n > RELOCATIONS_MAX)
			return err_set(err, -EBADMSG, "%u relocations of the trampoline", n);
		for (uint32_t i = 0; i < n; i++) {
			uint32_t at = next_u32(&list, &left), value;

			if (left < 0 || at > blob_bytes || bytes > blob_bytes - at)
				return err_set(err, -EBADMSG, "a relocation of the trampoline");
			value = get_u32(blob + at) + mode->phys;
			memcpy(blob + at, kind ? (const void *)&value : &segment, bytes);
		}
	}
	return left < 0 ? err_set(err, -EBADMSG, "relocations of the trampoline") : 0;
}

/* What it should hold: as shipped, at the place where this guest has it. */
static int predict(const struct real_mode *mode, struct shipped *ret, struct err *err)
{
	const struct symbols *symbols = kernel_image_symbols(mode->image);
	const struct shipped *vmlinux = &mode->image->shipped;
	gva start = symbols_lookup(symbols, "real_mode_blob");
	gva end = symbols_lookup(symbols, "real_mode_blob_end");
	gva relocations = symbols_lookup(symbols, "real_mode_relocs");
	uint64_t bytes = end.v - start.v, list_bytes;
	const struct shipped_part *of = shipped_part(vmlinux, relocations);
	const uint8_t *list, *blob;
	struct shipped_part *part;

	if (!start.v || end.v < start.v || bytes > BLOB_BYTES_MAX || !of)
		return err_set(err, -EBADMSG, "the reference has no trampoline of CPUs");
	list_bytes = of->at.v + of->size_bytes - relocations.v;
	if (list_bytes > 8 * (RELOCATIONS_MAX + 1))
		list_bytes = 8 * (RELOCATIONS_MAX + 1);
	list = shipped_at(vmlinux, relocations, list_bytes);
	/* The copy goes to the end of the last page, as the original's own does. */
	blob = shipped_at(vmlinux, start, (bytes + GUEST_PAGE_MASK) & ~GUEST_PAGE_MASK);
	if (!list || !blob || mode->ro_bytes > ((bytes + GUEST_PAGE_MASK) & ~GUEST_PAGE_MASK))
		return err_set(err, -EBADMSG, "the reference has another trampoline of CPUs");
	bytes = (bytes + GUEST_PAGE_MASK) & ~GUEST_PAGE_MASK;
	part = shipped_add(ret, "trampoline of CPUs", mode->base, bytes, PART_EXEC);
	if (!part)
		return -ENOMEM;
	memcpy(part->bytes, blob, bytes);
	return relocate(mode, part->bytes, bytes, list, list_bytes, err);
}

static void compare(struct real_mode *mode, struct owners *owners, const struct shipped *shipped,
		    const uint8_t *found)
{
	const struct difference_place place = {
		SEVERITY_CRITICAL, "trampoline", "trampoline of CPUs", shipped,
	};
	const uint8_t *expected = shipped->parts.v[0].bytes;

	for (size_t i = 0, n; i < mode->ro_bytes; i += n) {
		struct difference difference = { .at = gva_add(mode->base, i), .kind = "code" };
		struct finding *finding;

		n = alike_bytes(expected + i, found + i, mode->ro_bytes - i);
		if (n)
			continue;
		while (i + n < mode->ro_bytes && expected[i + n] != found[i + n])
			n++;
		difference.size_bytes = n;
		difference.expected = expected + i;
		difference.found = found + i;
		finding = check_finding(mode->run, place.severity, place.kind, mode->base, "%s",
					place.name);
		difference_evidence(mode->run, owners, &place, &difference, finding);
	}
}

static int compare_all(struct real_mode *mode, struct err *err)
{
	cleanup(freep) uint8_t *found = malloc(mode->ro_bytes);
	cleanup(owners_close) struct owners *owners = NULL;
	struct shipped shipped = { 0 };
	int r = found ? predict(mode, &shipped, err) : -ENOMEM;

	if (r >= 0)
		r = view_read_phys(mode->view, gpa_of(mode->phys), found, mode->ro_bytes, err);
	if (r >= 0)
		r = check_owners(mode->run, &owners, err);
	if (r >= 0) {
		compare(mode, owners, &shipped, found);
		check_covered(mode->run, "bytes", mode->ro_bytes);
		check_stands_on(mode->run, ASSURANCE_REFERENCE);
	}
	shipped_free(&shipped);
	return r;
}

static int real_mode_run(struct check_run *run, struct err *err)
{
	struct real_mode mode = {
		.run = run, .kernel = check_kernel(run), .view = check_view(run),
	};
	int r;

	if (has_none(&mode)) {
		check_note(run, "a PV guest of Xen has none");
		return 0;
	}
	if (!check_reference(run)) {
		check_not_covered(run, "there is no reference of this kernel; see `hvsm reference "
				  "fetch` and `hvsm scan --reference`");
		return 0;
	}
	r = kernel_image_of(check_reference(run), mode.kernel, mode.view, &mode.image, err);
	if (r >= 0)
		r = find_base(&mode, err);
	return r < 0 ? r : compare_all(&mode, err);
}

CHECK(real_mode,
	.id = "real-mode",
	.group = GROUP_CODE,
	.title = "The code on which CPUs start is not what was shipped",
	.proves = "The trampoline below 1 MiB, on which CPUs start and wake up, is that of the "
		  "distribution's own package, relocated: its code, its constants, and the rest "
		  "of their pages.",
	.techniques = TECHNIQUES("T1014", "T1601.001"),
	.fuel_max = 20000,
	.run = real_mode_run);
