/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "guest/list.h"
#include "linux/owner_table.h"
#include "linux/vmap.h"

/*
 * Executable memory that is neither the kernel's image nor a module's, each kind by the list
 * that the kernel itself keeps of it. A kernel without such a list has no such memory.
 */

#define PACK_BYTES_MAX	(1u << 30)	/* 2 MiB per memory node (kernel/bpf/core.c) */
#define REAL_MODE_END	0x100000u	/* it must run in real mode: below 1 MiB */
#define REAL_MODE_MAX	(64u << 10)
#define TRAMPOLINE_MAX	(64u << 10)	/* an ftrace trampoline has some 400 bytes */

struct walk {
	struct owners *owners;
	const void *fields;
};

/*
 * Was the memory at @at asked for by those who claim it? Their lists can be forged; the account
 * of areas then contradicts them, unless it was forged as well. What a common allocator asked
 * for, or what has no account, is taken as claimed.
 */
static bool allocated_for(const struct owners *owners, gva at, const char *who)
{
	static const char *const common[] = { "execmem_", "module_alloc" };
	struct vmap_area area;
	struct symbol caller;

	if (vmap_at(owners->kernel, owners->view, at, &area, NULL) < 0 || !area.caller.v ||
	    symbols_at(owners->kernel->symbols, area.caller, &caller, NULL) < 0)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(common); i++)
		if (!strncmp(caller.name, common[i], strlen(common[i])))
			return true;
	return strstr(caller.name, who) != NULL;
}

/* --- BPF: named programs and trampolines, and the packs that they live in --- */

struct bpf_fields {
	struct field link, start, end;
};

static const struct member bpf_members[] = {
	MEMBER(struct bpf_fields, link, "bpf_ksym.lnode"),
	MEMBER(struct bpf_fields, start, "bpf_ksym.start"),
	MEMBER(struct bpf_fields, end, "bpf_ksym.end"),
};
LAYOUT(bpf_layout, struct bpf_fields, bpf_members);

static int visit_bpf(gva link, void *ctx, struct err *err)
{
	const struct walk *walk = ctx;
	const struct bpf_fields *f = walk->fields;
	struct view *view = walk->owners->view;
	gva ksym = field_object(link, &f->link), start, end;
	int r;

	r = field_ptr(view, ksym, &f->start, &start, err);
	if (r >= 0)
		r = field_ptr(view, ksym, &f->end, &end, err);
	if (r < 0)
		return r;
	if (end.v < start.v || end.v - start.v > MODULE_AREA_MAX)
		return fail(err, -EBADMSG, ksym, "BPF program that ends before it begins");
	if (!allocated_for(walk->owners, start, "bpf"))
		return 0;
	return pieces_add(&walk->owners->code, OWNER_BPF, start, end.v - start.v, ksym);
}

static int collect_bpf(struct owners *owners, struct err *err)
{
	gva head = symbols_lookup(owners->kernel->symbols, "bpf_kallsyms");
	const struct bpf_fields *f;
	struct walk walk;
	int r;

	if (!head.v)
		return 0;
	r = types_layout(owners->kernel->types, &bpf_layout, (const void **)&f, err);
	if (r < 0)
		return r;
	walk = (struct walk){ owners, f };
	return list_walk(owners->view, head, BPF_IMAGES_MAX, visit_bpf, &walk, err);
}

struct pack_fields {
	struct field link, at;
};

static const struct member pack_members[] = {
	MEMBER(struct pack_fields, link, "bpf_prog_pack.list"),
	MEMBER(struct pack_fields, at, "bpf_prog_pack.ptr"),
};
LAYOUT(pack_layout, struct pack_fields, pack_members);

/* A pack does not say how large it is; the area that was reserved for it does. */
static int visit_pack(gva link, void *ctx, struct err *err)
{
	const struct walk *walk = ctx;
	const struct pack_fields *f = walk->fields;
	struct owners *owners = walk->owners;
	gva pack = field_object(link, &f->link), at;
	struct vmap_area area;
	uint64_t bytes;
	int r;

	r = field_ptr(owners->view, pack, &f->at, &at, err);
	if (r >= 0)
		r = vmap_at(owners->kernel, owners->view, at, &area, err);
	if (r < 0)
		return r;
	bytes = area.pages * GUEST_PAGE_SIZE;
	if (area.start.v != at.v || area.pages > PACK_BYTES_MAX / GUEST_PAGE_SIZE ||
	    bytes > area.size_bytes)
		return fail(err, -EBADMSG, pack, "BPF pack outside of its area");
	if (!allocated_for(owners, at, "bpf"))
		return 0;
	return pieces_add(&owners->packs, OWNER_BPF_PACK, at, bytes, pack);
}

static int collect_packs(struct owners *owners, struct err *err)
{
	gva head = symbols_lookup(owners->kernel->symbols, "pack_list");
	const struct pack_fields *f;
	struct walk walk;
	int r;

	if (!head.v)
		return 0;
	r = types_layout(owners->kernel->types, &pack_layout, (const void **)&f, err);
	if (r < 0)
		return r;
	walk = (struct walk){ owners, f };
	return list_walk(owners->view, head, BPF_PACKS_MAX, visit_pack, &walk, err);
}

/* --- ftrace --- */

struct ftrace_fields {
	struct field next, trampoline, size, link;
};

static const struct member ftrace_members[] = {
	MEMBER(struct ftrace_fields, next, "ftrace_ops.next"),
	MEMBER(struct ftrace_fields, trampoline, "ftrace_ops.trampoline"),
	MEMBER(struct ftrace_fields, size, "ftrace_ops.trampoline_size"),
	/* On ftrace_ops_trampoline_list, from fc0ea795f53c (5.9). */
	MEMBER_OPTIONAL(struct ftrace_fields, link, "ftrace_ops.list"),
};
LAYOUT(ftrace_layout, struct ftrace_fields, ftrace_members);

static int add_trampoline(struct owners *owners, const struct ftrace_fields *f, gva ops,
			  struct err *err)
{
	uint64_t size;
	gva at;
	int r;

	r = field_ptr(owners->view, ops, &f->trampoline, &at, err);
	if (r >= 0)
		r = field_read(owners->view, ops, &f->size, &size, err);
	if (r < 0)
		return r;
	/* Those of the kernel's text have no size, and an owner already. */
	if (!at.v || !size)
		return 0;
	if (size > TRAMPOLINE_MAX)
		return fail(err, -EBADMSG, ops, "ftrace trampoline of %#llx bytes",
			    (unsigned long long)size);
	if (!allocated_for(owners, at, "ftrace"))
		return 0;
	return pieces_add(&owners->code, OWNER_FTRACE, at, size, ops);
}

static int visit_ops(gva link, void *ctx, struct err *err)
{
	const struct walk *walk = ctx;
	const struct ftrace_fields *f = walk->fields;

	return add_trampoline(walk->owners, f, field_object(link, &f->link), err);
}

/* The users that are registered: a list of single links up to ftrace_list_end. */
static int walk_ops(struct owners *owners, const struct ftrace_fields *f, struct err *err)
{
	const struct symbols *symbols = owners->kernel->symbols;
	gva head = symbols_lookup(symbols, "ftrace_ops_list");
	gva end = symbols_lookup(symbols, "ftrace_list_end"), at;
	int r;

	if (!head.v || !end.v)
		return 0;
	r = view_ptr(owners->view, head, &at, err);
	for (uint32_t n = 0; r >= 0 && at.v && at.v != end.v; n++) {
		if (n == FTRACE_OPS_MAX)
			return fail(err, -ELOOP, head, "over %u users of ftrace", FTRACE_OPS_MAX);
		if (!gva_is_kernel(at))
			return fail(err, -EBADMSG, head, "ftrace_ops at %#llx",
				    (unsigned long long)at.v);
		r = add_trampoline(owners, f, at, err);
		if (r >= 0)
			r = field_ptr(owners->view, at, &f->next, &at, err);
	}
	return r;
}

static int collect_ftrace(struct owners *owners, struct err *err)
{
	gva head = symbols_lookup(owners->kernel->symbols, "ftrace_ops_trampoline_list");
	const struct ftrace_fields *f;
	struct walk walk;
	int r;

	if (!symbols_lookup(owners->kernel->symbols, "ftrace_ops_list").v)
		return 0;
	r = types_layout(owners->kernel->types, &ftrace_layout, (const void **)&f, err);
	if (r >= 0)
		r = walk_ops(owners, f, err);
	if (r < 0 || !head.v || !f->link.there)
		return r;
	/* A trampoline outlives its registration until no CPU can be on it any more. */
	walk = (struct walk){ owners, f };
	return list_walk(owners->view, head, FTRACE_OPS_MAX, visit_ops, &walk, err);
}

/* --- kprobes --- */

struct kprobe_fields {
	struct field pages, link, slots;
};

static const struct member kprobe_members[] = {
	MEMBER(struct kprobe_fields, pages, "kprobe_insn_cache.pages"),
	MEMBER(struct kprobe_fields, link, "kprobe_insn_page.list"),
	MEMBER(struct kprobe_fields, slots, "kprobe_insn_page.insns"),
};
LAYOUT(kprobe_layout, struct kprobe_fields, kprobe_members);

static int visit_slots(gva link, void *ctx, struct err *err)
{
	const struct walk *walk = ctx;
	const struct kprobe_fields *f = walk->fields;
	gva page = field_object(link, &f->link), at;
	int r;

	r = field_ptr(walk->owners->view, page, &f->slots, &at, err);
	if (r < 0 || !allocated_for(walk->owners, at, "insn"))
		return r;
	return pieces_add(&walk->owners->code, OWNER_KPROBE, at, GUEST_PAGE_SIZE, page);
}

static int collect_kprobes(struct owners *owners, struct err *err)
{
	static const char *const caches[] = { "kprobe_insn_slots", "kprobe_optinsn_slots" };
	const struct kprobe_fields *f;
	struct walk walk;
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(caches) && r >= 0; i++) {
		gva cache = symbols_lookup(owners->kernel->symbols, caches[i]);

		if (!cache.v)
			continue;
		r = types_layout(owners->kernel->types, &kprobe_layout, (const void **)&f, err);
		if (r < 0)
			return r;
		walk = (struct walk){ owners, f };
		r = list_walk(owners->view, field_at(cache, &f->pages), KPROBE_PAGES_MAX,
			      visit_slots, &walk, err);
	}
	return r;
}

/* --- single places --- */

struct real_mode_fields {
	struct field text, end;
};

static const struct member real_mode_members[] = {
	MEMBER(struct real_mode_fields, text, "real_mode_header.text_start"),
	MEMBER(struct real_mode_fields, end, "real_mode_header.ro_end"),
};
LAYOUT(real_mode_layout, struct real_mode_fields, real_mode_members);

/* arch/x86/realmode/init.c, set_real_mode_permissions(): in the direct map. */
static int collect_real_mode(struct owners *owners, struct err *err)
{
	gva header = symbols_lookup(owners->kernel->symbols, "real_mode_header");
	const struct real_mode_fields *f;
	uint64_t text, end;
	int r;

	if (!header.v)
		return 0;
	r = types_layout(owners->kernel->types, &real_mode_layout, (const void **)&f, err);
	if (r >= 0)
		r = view_ptr(owners->view, header, &header, err);
	if (r < 0 || !header.v)
		return r;
	r = field_read(owners->view, header, &f->text, &text, err);
	if (r >= 0)
		r = field_read(owners->view, header, &f->end, &end, err);
	if (r < 0)
		return r;
	if (text >= end || end > REAL_MODE_END || end - text > REAL_MODE_MAX)
		return fail(err, -EBADMSG, header, "real-mode trampoline at %#llx",
			    (unsigned long long)text);
	return pieces_add(&owners->code, OWNER_REAL_MODE,
			  gva_add(owners->kernel->page_offset, text), end - text, header);
}

/* arch/x86/hyperv/hv_init.c: one page, where the guest knows that it runs on Hyper-V. */
static int collect_hypercall(struct owners *owners, struct err *err)
{
	gva at = symbols_lookup(owners->kernel->symbols, "hv_hypercall_pg");
	int r;

	if (!at.v)
		return 0;
	r = view_ptr(owners->view, at, &at, err);
	if (r < 0 || !at.v || owners_is_kernel_text(owners, at))
		return r;
	if (at.v & GUEST_PAGE_MASK)
		return fail(err, -EBADMSG, at, "hypercall page that is none");
	return pieces_add(&owners->code, OWNER_HYPERCALL, at, GUEST_PAGE_SIZE, gva_of(0));
}

struct kexec_fields {
	struct field code, page;
};

static const struct member kexec_members[] = {
	MEMBER(struct kexec_fields, code, "kimage.control_code_page"),
	MEMBER(struct kexec_fields, page, "page"),
};
LAYOUT(kexec_layout, struct kexec_fields, kexec_members);

/*
 * arch/x86/kernel/machine_kexec_64.c: from 6.14 on the page that hands over to a loaded
 * kernel is made executable when that is loaded. struct page's index is its frame's.
 */
static int add_kexec(struct owners *owners, const struct kexec_fields *f, gva image, gva map,
		     struct err *err)
{
	uint64_t frame;
	gva page;
	int r;

	r = view_ptr(owners->view, image, &image, err);
	if (r < 0 || !image.v)
		return r;
	r = field_ptr(owners->view, image, &f->code, &page, err);
	if (r < 0)
		return r;
	frame = (page.v - map.v) / (f->page.size_bytes ? f->page.size_bytes : 1);
	if (page.v < map.v || frame >> (52 - GUEST_PAGE_SHIFT))
		return fail(err, -EBADMSG, image, "kexec image without code");
	return pieces_add(&owners->code, OWNER_KEXEC,
			  gva_add(owners->kernel->page_offset, frame << GUEST_PAGE_SHIFT),
			  GUEST_PAGE_SIZE, image);
}

static int collect_kexec(struct owners *owners, struct err *err)
{
	static const char *const images[] = { "kexec_image", "kexec_crash_image" };
	gva map = symbols_lookup(owners->kernel->symbols, "vmemmap_base");
	const struct kexec_fields *f;
	int r;

	if (!map.v || types_layout(owners->kernel->types, &kexec_layout, (const void **)&f,
				   NULL) < 0)
		return 0;
	r = view_ptr(owners->view, map, &map, err);
	for (size_t i = 0; i < ARRAY_SIZE(images) && r >= 0; i++) {
		gva image = symbols_lookup(owners->kernel->symbols, images[i]);

		if (image.v)
			r = add_kexec(owners, f, image, map, err);
	}
	return r;
}

/* include/linux/kernel.h, enum system_states: init text is there until it says "running". */
static int collect_init(struct owners *owners, struct err *err)
{
	const struct symbols *symbols = owners->kernel->symbols;
	gva state = symbols_lookup(symbols, "system_state");
	gva start = symbols_lookup(symbols, "_sinittext");
	gva end = symbols_lookup(symbols, "_einittext");
	struct field running;
	uint32_t now;
	int r;

	if (!state.v || !start.v || end.v <= start.v ||
	    types_field(owners->kernel->types, "enum system_states.SYSTEM_RUNNING", &running,
			NULL) < 0)
		return 0;
	r = view_u32(owners->view, state, &now, err);
	if (r < 0 || now >= running.at)
		return r;
	return pieces_add(&owners->code, OWNER_KERNEL_INIT, start, end.v - start.v, gva_of(0));
}

int owners_collect(struct owners *owners, struct err *err)
{
	static int (*const collectors[])(struct owners *owners, struct err *err) = {
		collect_bpf,	   collect_packs,     collect_ftrace, collect_kprobes,
		collect_real_mode, collect_hypercall, collect_kexec,  collect_init,
	};
	int r = 0, bad;

	for (size_t i = 0; i < ARRAY_SIZE(collectors); i++) {
		bad = collectors[i](owners, r < 0 ? NULL : err);
		if (bad < 0 && !r)
			r = bad;
	}
	return r;
}
