/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/inode.h"

#include "base/cleanup.h"

#define NS_PER_S 1000000000ull

/* Above the nanoseconds newer kernels note that somebody asked for them (4e40eff0b573). */
#define NS_MASK 0x3fffffffull

struct inode_fields {
	struct field number, size, sb, device;
	struct field mtime_s, mtime_ns, ctime_s, ctime_ns;
};

static const struct member inode_members[] = {
	MEMBER(struct inode_fields, number, "inode.i_ino"),
	MEMBER(struct inode_fields, size, "inode.i_size"),
	MEMBER(struct inode_fields, sb, "inode.i_sb"),
	MEMBER(struct inode_fields, device, "super_block.s_dev"),
	/* Renamed in 6.6 and 6.7, numbers of their own since 6.11 (3aa63a569c64). */
	MEMBER(struct inode_fields, mtime_s,
	       "inode.i_mtime_sec|inode.__i_mtime.tv_sec|inode.i_mtime.tv_sec"),
	MEMBER(struct inode_fields, mtime_ns,
	       "inode.i_mtime_nsec|inode.__i_mtime.tv_nsec|inode.i_mtime.tv_nsec"),
	MEMBER(struct inode_fields, ctime_s,
	       "inode.i_ctime_sec|inode.__i_ctime.tv_sec|inode.i_ctime.tv_sec"),
	MEMBER(struct inode_fields, ctime_ns,
	       "inode.i_ctime_nsec|inode.__i_ctime.tv_nsec|inode.i_ctime.tv_nsec"),
};
LAYOUT(inode_layout, struct inode_fields, inode_members);

int inode_read(const struct kernel *kernel, struct view *view, gva inode, struct inode_info *ret,
	       struct err *err)
{
	const struct inode_fields *f;
	struct inode_info info;
	uint64_t mtime_s, mtime_ns, ctime_s, ctime_ns;
	gva sb;
	int r;

	r = types_layout(kernel->types, &inode_layout, (const void **)&f, err);
	if (r < 0)
		return r;
	if (!gva_is_kernel(inode))
		return fail(err, -EBADMSG, inode, "no inode can be there");
	const struct {
		const struct field *field;
		uint64_t *to;
	} numbers[] = {
		{ &f->number, &info.number },	{ &f->size, &info.size_bytes },
		{ &f->sb, &sb.v },
		{ &f->mtime_s, &mtime_s },	{ &f->mtime_ns, &mtime_ns },
		{ &f->ctime_s, &ctime_s },	{ &f->ctime_ns, &ctime_ns },
	};

	for (size_t i = 0; i < ARRAY_SIZE(numbers) && r >= 0; i++)
		r = field_read(view, inode, numbers[i].field, numbers[i].to, err);
	if (r >= 0)
		r = field_read(view, sb, &f->device, &info.device, err);
	if (r < 0)
		return wrap(err, r, "inode");
	info.mtime_ns = mtime_s * NS_PER_S + (mtime_ns & NS_MASK);
	info.ctime_ns = ctime_s * NS_PER_S + (ctime_ns & NS_MASK);
	*ret = info;
	return 0;
}
