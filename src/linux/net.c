/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/net.h"

#include <stdlib.h>

#include "base/limits.h"
#include "guest/list.h"

struct net_fields {
	struct field list, inode;
};

static const struct member net_members[] = {
	MEMBER(struct net_fields, list, "net.list"),
	MEMBER(struct net_fields, inode, "net.ns.inum"),
};
LAYOUT(net_layout, struct net_fields, net_members);

struct reading {
	struct view *view;
	const struct net_fields *f;
	struct nets *ret;
};

static int add_net(gva link, void *ctx, struct err *err)
{
	struct reading *reading = ctx;
	gva at = field_object(link, &reading->f->list);
	struct net *net;
	uint64_t inode;
	int r = field_read(reading->view, at, &reading->f->inode, &inode, err);

	if (r < 0)
		return r;
	net = vec_add(&reading->ret->list);
	if (!net)
		return -ENOMEM;
	*net = (struct net){ at, (uint32_t)inode };
	return 0;
}

int nets_read(const struct kernel *kernel, struct view *view, struct nets *ret, struct err *err)
{
	struct reading reading = { .view = view, .ret = ret };
	gva head = symbols_lookup(kernel->symbols, "net_namespace_list");
	int r = types_layout(kernel->types, &net_layout, (const void **)&reading.f, err);

	if (r >= 0 && !head.v)
		return err_set(err, -ENOENT, "no network namespaces");
	if (r >= 0)
		r = list_walk(view, head, NETS_MAX, add_net, &reading, err);
	return wrap(err, r, "network namespaces");
}

void nets_free(struct nets *nets)
{
	vec_free(&nets->list);
}
