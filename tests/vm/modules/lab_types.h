/* SPDX-License-Identifier: GPL-2.0 */
/* Where members lie of structs that no header for modules shows, from the kernel's own BTF. */
#ifndef LAB_TYPES_H
#define LAB_TYPES_H

#include <linux/bpf.h>
#include <linux/btf.h>

#include "lab.h"

struct lab_btf {
	const struct btf *btf;
	const struct btf_type *(*by_id)(const struct btf *btf, u32 id);
	const char *(*name)(const struct btf *btf, u32 offset);
};

/* In bytes, also within unnamed structs and unions one level down; < 0: there is none. */
static int lab_member_of(const struct lab_btf *lab, const struct btf_type *type, const char *name,
			 int depth)
{
	const struct btf_member *member = (const struct btf_member *)(type + 1);

	for (u32 i = 0; i < BTF_INFO_VLEN(type->info); i++, member++) {
		u32 bits = BTF_INFO_KFLAG(type->info) ? BTF_MEMBER_BIT_OFFSET(member->offset) :
							member->offset;
		const char *its = lab->name(lab->btf, member->name_off);
		int at;

		if (its && *its) {
			if (!strcmp(its, name))
				return bits / 8;
			continue;
		}
		at = depth ? lab_member_of(lab, lab->by_id(lab->btf, member->type), name,
					   depth - 1) : -ENOENT;
		if (at >= 0)
			return bits / 8 + at;
	}
	return -ENOENT;
}

/* lab_init() comes first. */
static int __maybe_unused lab_member(const char *type, const char *member)
{
	struct btf *(*get)(void) = lab_symbol("bpf_get_btf_vmlinux");
	s32 (*find)(const struct btf *btf, const char *name, u8 kind) =
		lab_symbol("btf_find_by_name_kind");
	struct lab_btf lab = {
		.by_id = lab_symbol("btf_type_by_id"),
		.name = lab_symbol("btf_name_by_offset"),
	};
	s32 id;

	if (!get || !find || !lab.by_id || !lab.name)
		return -ENOENT;
	lab.btf = get();
	if (IS_ERR_OR_NULL(lab.btf))
		return -ENOENT;
	id = find(lab.btf, type, BTF_KIND_STRUCT);
	return id < 0 ? id : lab_member_of(&lab, lab.by_id(lab.btf, id), member, 1);
}

#endif
