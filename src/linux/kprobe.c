/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/kprobe.h"

#include <stdlib.h>

#include "base/limits.h"
#include "guest/list.h"

#define BUCKETS 64u	/* KPROBE_TABLE_SIZE: KPROBE_HASH_BITS is 6 (kernel/kprobes.c) */

#define FLAG_OPTIMIZED 4u	/* include/linux/kprobes.h, KPROBE_FLAG_OPTIMIZED */

struct kprobe_fields {
	struct field link, address, opcode, flags;
	struct field optimized, copied;
};

static const struct member kprobe_members[] = {
	MEMBER(struct kprobe_fields, link, "kprobe.hlist"),
	MEMBER(struct kprobe_fields, address, "kprobe.addr"),
	MEMBER(struct kprobe_fields, opcode, "kprobe.opcode"),
	MEMBER(struct kprobe_fields, flags, "kprobe.flags"),
	MEMBER_OPTIONAL(struct kprobe_fields, optimized, "optimized_kprobe.kp"),
	MEMBER_OPTIONAL(struct kprobe_fields, copied, "optimized_kprobe.optinsn.copied_insn"),
};
LAYOUT(kprobe_layout, struct kprobe_fields, kprobe_members);

struct walk {
	struct view *view;
	const struct kprobe_fields *f;
	struct kprobes *ret;
};

static int read_kprobe(struct view *view, const struct kprobe_fields *f, struct kprobe *kprobe,
		       struct err *err)
{
	uint64_t flags, opcode;
	int r;

	r = field_ptr(view, kprobe->at, &f->address, &kprobe->address, err);
	if (r >= 0)
		r = field_read(view, kprobe->at, &f->flags, &flags, err);
	if (r >= 0)
		r = field_read(view, kprobe->at, &f->opcode, &opcode, err);
	if (r < 0)
		return r;
	kprobe->original[0] = (uint8_t)opcode;
	kprobe->optimized = flags & FLAG_OPTIMIZED && f->optimized.there && f->copied.there;
	if (!kprobe->optimized)
		return 0;
	return view_read(view, field_at(field_object(kprobe->at, &f->optimized), &f->copied),
			 kprobe->original + 1, sizeof(kprobe->original) - 1, err);
}

static int visit_kprobe(gva link, void *ctx, struct err *err)
{
	struct walk *walk = ctx;
	struct kprobe *kprobe = vec_add(&walk->ret->list);

	if (!kprobe)
		return -ENOMEM;
	kprobe->at = field_object(link, &walk->f->link);
	return read_kprobe(walk->view, walk->f, kprobe, err);
}

static int by_address(const void *a, const void *b)
{
	const struct kprobe *x = a, *y = b;

	return (x->address.v > y->address.v) - (x->address.v < y->address.v);
}

int kprobes_read(const struct kernel *kernel, struct view *view, struct kprobes *ret,
		 struct err *err)
{
	gva table = symbols_lookup(kernel->symbols, "kprobe_table");
	struct walk walk = { .view = view, .ret = ret };
	int r;

	if (!table.v)
		return 0;
	r = types_layout(kernel->types, &kprobe_layout, (const void **)&walk.f, err);
	for (unsigned i = 0; i < BUCKETS && r >= 0; i++)
		r = hlist_walk(view, gva_add(table, i * sizeof(uint64_t)), KPROBES_MAX,
			       visit_kprobe, &walk, err);
	if (ret->list.n)
		qsort(ret->list.v, ret->list.n, sizeof(*ret->list.v), by_address);
	return r;
}

void kprobes_free(struct kprobes *kprobes)
{
	vec_free(&kprobes->list);
}

const struct kprobe *kprobes_find(const struct kprobes *kprobes, gva address)
{
	size_t low = 0, high = kprobes->list.n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (kprobes->list.v[mid].address.v < address.v)
			low = mid + 1;
		else
			high = mid;
	}
	return low < kprobes->list.n && kprobes->list.v[low].address.v == address.v ?
		       &kprobes->list.v[low] :
		       NULL;
}
