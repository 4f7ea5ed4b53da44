/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/map.h"
#include "check/code.h"
#include "linux/net.h"
#include "linux/partial.h"
#include "linux/peek.h"
#include "linux/rbtree.h"

/*
 * Each file below /proc/sys is an entry of a table (struct ctl_table) whose proc_handler reads
 * and writes it. Tables hang in a tree of directories; network, user and IPC namespaces have
 * trees of their own beside the kernel's (fs/proc/proc_sysctl.c). A handler is a function of
 * the kernel or of a module that is listed; that of a table in the kernel's image is one of the
 * kernel, since it was built so and nobody changes it.
 */
#define PATH_BYTES	128u
#define TABLE_MAX	4096u		/* of one table: the largest has some 200 */
#define S_IFMT		0170000u
#define S_IFDIR		0040000u
#define S_IFLNK		0120000u	/* leads to the tree of a namespace */

struct sysctl_fields {
	struct field root, header, node, node_header, node_size;
	struct field table, nodes, name, mode, handler, table_size;
	struct field set_dir, set_seen, default_set, lookup, ownership, permissions, header_root;
	struct field net_set, user_set, ipc_set, mq_set;
};

static const struct member sysctl_members[] = {
	MEMBER(struct sysctl_fields, root, "ctl_dir.root"),
	MEMBER(struct sysctl_fields, header, "ctl_dir.header"),
	MEMBER(struct sysctl_fields, node, "ctl_node.node"),
	MEMBER(struct sysctl_fields, node_header, "ctl_node.header"),
	MEMBER(struct sysctl_fields, node_size, "ctl_node"),
	MEMBER(struct sysctl_fields, table, "ctl_table_header.ctl_table"),
	MEMBER(struct sysctl_fields, nodes, "ctl_table_header.node"),
	MEMBER(struct sysctl_fields, name, "ctl_table.procname"),
	MEMBER(struct sysctl_fields, mode, "ctl_table.mode"),
	MEMBER(struct sysctl_fields, handler, "ctl_table.proc_handler"),
	MEMBER(struct sysctl_fields, table_size, "ctl_table"),
	MEMBER(struct sysctl_fields, set_dir, "ctl_table_set.dir"),
	MEMBER(struct sysctl_fields, set_seen, "ctl_table_set.is_seen"),
	MEMBER(struct sysctl_fields, default_set, "ctl_table_root.default_set"),
	MEMBER(struct sysctl_fields, lookup, "ctl_table_root.lookup"),
	MEMBER(struct sysctl_fields, ownership, "ctl_table_root.set_ownership"),
	MEMBER(struct sysctl_fields, permissions, "ctl_table_root.permissions"),
	MEMBER(struct sysctl_fields, header_root, "ctl_table_header.root"),
	MEMBER_OPTIONAL(struct sysctl_fields, net_set, "net.sysctls"),
	MEMBER_OPTIONAL(struct sysctl_fields, user_set, "user_namespace.set"),
	/* 5.19 moved them into sets of their own. */
	MEMBER_OPTIONAL(struct sysctl_fields, ipc_set, "ipc_namespace.ipc_set"),
	MEMBER_OPTIONAL(struct sysctl_fields, mq_set, "ipc_namespace.mq_set"),
};
LAYOUT(sysctl_layout, struct sysctl_fields, sysctl_members);

/* A directory that is still to be looked into. */
struct directory {
	gva at;
	char path[PATH_BYTES];	/* "net/ipv4/", with the namespace before it */
};

struct sysctls {
	struct check_run *run;
	const struct kernel *kernel;
	struct view *view;
	const struct sysctl_fields *f;
	struct owners *owners;
	struct partial partial;
	VEC(struct directory) todo;
	struct directory now;
	struct map seen;	/* directories and roots */
	struct map good;	/* functions of the kernel that were met */
	uint64_t entries;
};

/* May the pointer in an object at @in lead to @target? */
static bool is_good(struct sysctls *s, gva in, gva target)
{
	bool is_image = in.v >= s->kernel->text.v && in.v < s->kernel->end.v;
	int r;

	if (!target.v || map_get(&s->good, target.v, NULL))
		return true;
	if (!owner_is_function(s->owners, target))
		return false;
	if (!owners_is_kernel_text(s->owners, target))
		return !is_image;
	/* Where there is no memory for that, it is asked again. */
	r = map_put(&s->good, target.v, 0);
	(void)r;
	return true;
}

static void judge(struct sysctls *s, const char *name, const char *what, gva in, gva at,
		  gva target)
{
	struct finding *finding;

	if (is_good(s, in, target))
		return;
	finding = check_finding(s->run, SEVERITY_HIGH, "sysctl", at, "%s", name);
	code_evidence(s->run, s->owners, finding, what, at,
		      in.v >= s->kernel->text.v && in.v < s->kernel->end.v ?
			      "a function of the kernel" :
			      "a function of the kernel or of a module",
		      target);
}

/* What all tables of one kind share: the kernel's, those of network namespaces, … */
static int look_at_root(struct sysctls *s, gva root, struct err *err)
{
	const struct sysctl_fields *f = s->f;
	const struct {
		const struct field *field;
		const char *what;
	} all[] = {
		{ &f->lookup, "ctl_table_root.lookup" },
		{ &f->ownership, "ctl_table_root.set_ownership" },
		{ &f->permissions, "ctl_table_root.permissions" },
	};
	struct peek peek = peek_at(s->view, err);
	char symbol[160];

	if (map_get(&s->seen, root.v, NULL))
		return 0;
	if (map_put(&s->seen, root.v, 0) < 0)
		return err_set(err, -ENOMEM, "no memory for sysctls");
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		gva target = peek_ptr(&peek, root, all[i].field);

		judge(s, owner_symbol(s->owners, root, symbol, sizeof(symbol)), all[i].what,
		      root, field_at(root, all[i].field), target);
	}
	return peek.first;
}

static int add_directory(struct sysctls *s, gva at, const char *before, const char *name,
			 struct err *err)
{
	struct directory *directory;

	if (map_get(&s->seen, at.v, NULL))
		return fail(err, -EBADMSG, at, "a directory of sysctls lies in two places");
	if (s->seen.n >= SYSCTLS_MAX)
		return fail(err, -ELOOP, at, "over %u directories of sysctls", SYSCTLS_MAX);
	directory = vec_add(&s->todo);
	if (!directory || map_put(&s->seen, at.v, 0) < 0)
		return err_set(err, -ENOMEM, "no memory for sysctls");
	directory->at = at;
	snprintf(directory->path, sizeof(directory->path), "%s%s/", before, name);
	return 0;
}

static int read_name(struct sysctls *s, gva entry, char *buf, size_t size, struct err *err)
{
	gva name;
	int r = field_ptr(s->view, entry, &s->f->name, &name, err);

	if (r >= 0 && !gva_is_kernel(name))
		r = fail(err, -EBADMSG, entry, "sysctl without a name");
	return r < 0 ? r : view_string(s->view, name, buf, size, err);
}

static int look_at_entry(struct sysctls *s, gva header, gva entry, struct err *err)
{
	struct peek peek = peek_at(s->view, err);
	gva handler = peek_ptr(&peek, entry, &s->f->handler);
	uint32_t mode = peek_u32(&peek, entry, &s->f->mode) & S_IFMT;
	char name[64], path[PATH_BYTES + sizeof(name)];
	int r = peek.first;

	if (r < 0 || mode == S_IFLNK)
		return r;
	if (mode == S_IFDIR) {
		r = read_name(s, entry, name, sizeof(name), err);
		return r < 0 ? r : add_directory(s, field_object(header, &s->f->header),
						 s->now.path, name, err);
	}
	s->entries++;
	if (is_good(s, entry, handler))
		return 0;
	r = read_name(s, entry, name, sizeof(name), err);
	if (r < 0)
		snprintf(name, sizeof(name), "?");
	snprintf(path, sizeof(path), "%s%s", s->now.path, name);
	judge(s, path, "proc_handler", entry, field_at(entry, &s->f->handler), handler);
	return r < 0 ? r : 0;
}

static int visit_node(gva link, void *ctx, struct err *err)
{
	struct sysctls *s = ctx;
	const struct sysctl_fields *f = s->f;
	struct peek peek = peek_at(s->view, err);
	gva node = field_object(link, &f->node);
	gva header = peek_object(&peek, node, &f->node_header);
	gva nodes, table, root;
	uint64_t i;
	int r;

	if (!header.v)
		return partial_add(&s->partial, peek.first ? peek.first :
				   fail(err, -EBADMSG, node, "sysctl without a table"), err);
	nodes = peek_object(&peek, header, &f->nodes);
	table = peek_object(&peek, header, &f->table);
	root = peek_object(&peek, header, &f->header_root);
	i = (node.v - nodes.v) / f->node_size.size_bytes;
	r = peek.first;
	if (r >= 0 && (!table.v || !root.v || node.v < nodes.v || i >= TABLE_MAX ||
		       (node.v - nodes.v) % f->node_size.size_bytes))
		r = fail(err, -EBADMSG, header, "a table of sysctls contradicts itself");
	if (r >= 0)
		r = look_at_root(s, root, err);
	if (r >= 0)
		r = look_at_entry(s, header, gva_add(table, i * f->table_size.size_bytes), err);
	return partial_add(&s->partial, r, err);
}

/* All directories, from that of a set on. */
static int look_at_set(struct sysctls *s, gva set, const char *before, struct err *err)
{
	gva seen;
	int r;

	r = field_ptr(s->view, set, &s->f->set_seen, &seen, err);
	if (r >= 0) {
		judge(s, before[0] ? before : "/", "ctl_table_set.is_seen", set,
		      field_at(set, &s->f->set_seen), seen);
		r = add_directory(s, field_at(set, &s->f->set_dir), "", "", err);
	}
	if (r < 0)
		return partial_add(&s->partial, r, err);
	snprintf(s->todo.v[s->todo.n - 1].path, PATH_BYTES, "%s", before);
	while (r >= 0 && s->todo.n) {
		s->now = s->todo.v[--s->todo.n];
		r = rbtree_walk(s->kernel, s->view, field_at(s->now.at, &s->f->root),
				SYSCTLS_MAX, visit_node, s, err);
		r = partial_add(&s->partial, r, err);
	}
	return r;
}

/* A set that lies in an object of the kernel's image, where this kernel has one. */
static int look_at_symbol(struct sysctls *s, const char *name, const struct field *field,
			  struct err *err)
{
	gva at = symbols_lookup(s->kernel->symbols, name);

	if (!at.v || !field->there)
		return 0;
	return look_at_set(s, field_at(at, field), "", err);
}

static int look_at_nets(struct sysctls *s, struct err *err)
{
	struct nets nets = {0};
	char before[48];
	int r;

	if (!s->f->net_set.there)
		return 0;
	r = nets_read(s->kernel, s->view, &nets, err);
	if (r == -ENOENT)
		r = 0;
	r = partial_add(&s->partial, r, err);
	for (size_t i = 0; i < nets.list.n && r >= 0; i++) {
		before[0] = '\0';
		if (i)
			snprintf(before, sizeof(before), "net:[%u] ", nets.list.v[i].inode);
		r = look_at_set(s, field_at(nets.list.v[i].at, &s->f->net_set), before, err);
	}
	check_covered(s->run, "network namespaces", nets.list.n);
	nets_free(&nets);
	return r;
}

static int look_at_all(struct sysctls *s, struct err *err)
{
	gva root;
	int r;

	r = kernel_symbol(s->kernel, "sysctl_table_root", &root, err);
	if (r >= 0)
		r = look_at_set(s, field_at(root, &s->f->default_set), "", err);
	if (r >= 0)
		r = look_at_symbol(s, "init_user_ns", &s->f->user_set, err);
	if (r >= 0)
		r = look_at_symbol(s, "init_ipc_ns", &s->f->ipc_set, err);
	if (r >= 0)
		r = look_at_symbol(s, "init_ipc_ns", &s->f->mq_set, err);
	return r < 0 ? r : look_at_nets(s, err);
}

static int sysctl_handlers_run(struct check_run *run, struct err *err)
{
	struct sysctls s = { .run = run, .kernel = check_kernel(run), .view = check_view(run) };
	int r;

	s.partial = partial_of(s.view);
	r = types_layout(s.kernel->types, &sysctl_layout, (const void **)&s.f, err);
	if (r >= 0)
		r = check_owners(run, &s.owners, err);
	if (r >= 0)
		r = look_at_all(&s, err);
	check_covered(run, "sysctls", s.entries);
	vec_free(&s.todo);
	map_free(&s.seen);
	map_free(&s.good);
	owners_close(&s.owners);
	return partial_end(&s.partial, r, err);
}

CHECK(sysctl_handlers,
	.id = "sysctl-handlers",
	.group = GROUP_POINTERS,
	.title = "A file of /proc/sys leads to foreign code",
	.proves = "The handler of every file of /proc/sys, in every network namespace and in the "
		  "first user and IPC namespace, is a function of the kernel, or, where it is not "
		  "in the kernel's own tables, of a listed module.",
	.techniques = TECHNIQUES("T1014", "T1574.013"),
	.fuel_max = 40000,
	.run = sysctl_handlers_run);
