/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "linux/hooks_registry.h"
#include "linux/task_each.h"

/*
 * Terminals (drivers/tty/tty_io.c, tty_ldisc.c): drivers, line disciplines, and the terminals
 * themselves, which have operations and a discipline of their own: what is typed goes through it.
 * Those of the drivers' arrays, and of every session, since pseudo-terminals are in no array.
 */
#define LDISCS_MAX 64u		/* NR_LDISCS is 31 */

struct tty_fields {
	struct field name, driver, ldisc, link, port, ops;
	struct field num, ttys, ports;
	struct field signal, session;
};

static const struct member tty_members[] = {
	MEMBER(struct tty_fields, name, "tty_struct.name"),
	MEMBER(struct tty_fields, driver, "tty_struct.driver"),
	MEMBER(struct tty_fields, ldisc, "tty_struct.ldisc"),
	MEMBER(struct tty_fields, link, "tty_struct.link"),
	MEMBER(struct tty_fields, port, "tty_struct.port"),
	MEMBER(struct tty_fields, ops, "tty_ldisc.ops"),
	MEMBER(struct tty_fields, num, "tty_driver.num"),
	MEMBER(struct tty_fields, ttys, "tty_driver.ttys"),
	MEMBER(struct tty_fields, ports, "tty_driver.ports"),
	MEMBER(struct tty_fields, signal, "task_struct.signal"),
	MEMBER(struct tty_fields, session, "signal_struct.tty"),
};
LAYOUT(tty_layout, struct tty_fields, tty_members);

struct ttys {
	struct hook_walk *walk;
	const struct tty_fields *f;
	struct map seen;
	bool other;		/* the other end of a pseudo-terminal: it has the same name */
};

static void print_tty(const struct hook_object *object, char *buf, size_t size)
{
	const struct ttys *ttys = object->ctx;
	char name[65] = "";

	if (view_string(ttys->walk->view, field_at(object->at, &ttys->f->name), name, sizeof(name),
			NULL) < 0)
		name[0] = '\0';
	snprintf(buf, size, "terminal %s%s", name, ttys->other ? " (master)" : "");
}

static int visit_one(struct ttys *ttys, gva at, struct err *err)
{
	struct hook_walk *walk = ttys->walk;
	struct hook_object object = {
		.mechanism = "terminal", .at = at, .print = print_tty, .ctx = ttys,
	};
	gva ldisc, ops = gva_of(0), port;
	int r = hook_members(walk, &object, "tty_struct", err);

	if (r < 0)
		return r;
	r = field_ptr(walk->view, at, &ttys->f->ldisc, &ldisc, err);
	if (r >= 0 && ldisc.v)
		r = field_ptr(walk->view, ldisc, &ttys->f->ops, &ops, err);
	if (r >= 0)
		r = field_ptr(walk->view, at, &ttys->f->port, &port, err);
	if (r < 0)
		return partial_add(&walk->partial, r, err);
	r = hook_table(walk, &object, "tty_ldisc_ops", ops, err);
	if (r < 0 || !port.v)
		return r;
	object.at = port;
	/* print_tty() would look for the name in the port. */
	object.print = NULL;
	object.text = "port of a terminal";
	return hook_members(walk, &object, "tty_port", err);
}

/* A terminal, and the other end of a pseudo-terminal. */
static int visit_tty(struct ttys *ttys, gva at, struct err *err)
{
	gva link;
	int r;

	if (!at.v)
		return 0;
	r = map_put(&ttys->seen, at.v, 1);
	if (r)
		return r < 0 ? r : 0;
	ttys->other = false;
	r = visit_one(ttys, at, err);
	if (r < 0)
		return r;
	r = field_ptr(ttys->walk->view, at, &ttys->f->link, &link, err);
	if (r < 0 || !link.v)
		return partial_add(&ttys->walk->partial, r, err);
	r = map_put(&ttys->seen, link.v, 1);
	if (r)
		return r < 0 ? r : 0;
	ttys->other = true;
	return visit_one(ttys, link, err);
}

static int visit_ports(struct hook_walk *walk, gva ports, uint64_t n, struct err *err)
{
	struct hook_object object = { .mechanism = "terminal", .text = "port of a terminal" };
	int r = 0;

	for (uint64_t i = 0; ports.v && i < n && r >= 0; i++) {
		r = view_ptr(walk->view, gva_add(ports, i * 8), &object.at, err);
		if (r >= 0 && object.at.v)
			r = hook_members(walk, &object, "tty_port", err);
	}
	return r;
}

static int visit_driver(struct hook_walk *walk, const struct hook_object *object, struct err *err)
{
	struct ttys ttys = { .walk = walk };
	uint64_t num;
	gva array, ports, tty;
	int r = types_layout(walk->kernel->types, &tty_layout, (const void **)&ttys.f, err);

	if (r < 0)
		return r;
	r = field_read(walk->view, object->at, &ttys.f->num, &num, err);
	if (r >= 0)
		r = field_ptr(walk->view, object->at, &ttys.f->ttys, &array, err);
	if (r >= 0)
		r = field_ptr(walk->view, object->at, &ttys.f->ports, &ports, err);
	/* Those of pseudo-terminals may be a million, but have no array. */
	if (r >= 0 && (array.v || ports.v) && num > REGISTERED_MAX)
		r = err_set(err, -EBADMSG, "a driver of %llu terminals", (unsigned long long)num);
	for (uint64_t i = 0; r >= 0 && array.v && i < num; i++) {
		r = view_ptr(walk->view, gva_add(array, i * 8), &tty, err);
		if (r >= 0)
			r = visit_tty(&ttys, tty, err);
	}
	if (r >= 0)
		r = visit_ports(walk, ports, num, err);
	map_free(&ttys.seen);
	return partial_add(&walk->partial, r, err);
}

static int visit_session(struct ttys *ttys, const struct task *task, struct err *err)
{
	struct view *view = ttys->walk->view;
	gva signal, tty;
	int r = field_ptr(view, task->at, &ttys->f->signal, &signal, err);

	if (r < 0 || !signal.v)
		return r;
	r = field_ptr(view, signal, &ttys->f->session, &tty, err);
	return r < 0 ? r : visit_tty(ttys, tty, err);
}

static int walk_sessions(struct hook_walk *walk, struct err *err)
{
	struct ttys ttys = { .walk = walk };
	struct tasks tasks = {0};
	int r = types_layout(walk->kernel->types, &tty_layout, (const void **)&ttys.f, err);

	if (r < 0)
		return r;
	r = partial_add(&walk->partial, task_list(walk->kernel, walk->view, &tasks, err), err);
	for (size_t i = 0; i < tasks.n && r >= 0; i++)
		if (!tasks.v[i].kernel_thread)
			r = partial_add(&walk->partial, visit_session(&ttys, &tasks.v[i], err),
					err);
	tasks_free(&tasks);
	map_free(&ttys.seen);
	return r;
}

static int walk_disciplines(struct hook_walk *walk, struct err *err)
{
	struct hook_object object = {
		.mechanism = "line discipline", .text = "line discipline", .registered = true
	};
	struct symbol symbol;
	uint64_t bytes;
	gva head, at;
	int r = kernel_symbol(walk->kernel, "tty_ldiscs", &head, err);

	if (r < 0)
		return r;
	r = symbols_at(walk->kernel->symbols, head, &symbol, &bytes);
	for (uint32_t i = 0; r >= 0 && i < bytes / 8 && i < LDISCS_MAX; i++) {
		object.at = gva_add(head, i * 8ull);
		r = view_ptr(walk->view, object.at, &at, err);
		if (r < 0 || !at.v)
			continue;
		walk->objects++;
		r = hook_table(walk, &object, "tty_ldisc_ops", at, err);
	}
	return partial_add(&walk->partial, r, err);
}

static const struct registry drivers[] = {
	{
		.mechanism = "terminal driver", .symbol = "tty_drivers", .type = "tty_driver",
		.link = "tty_driver.tty_drivers", .name = "tty_driver.driver_name",
		.more = visit_driver,
	},
};

static int walk_tty(struct hook_walk *walk, struct err *err)
{
	int r = registry_walk(walk, drivers, ARRAY_SIZE(drivers), err);

	if (r >= 0)
		r = walk_disciplines(walk, err);
	return r < 0 ? r : walk_sessions(walk, err);
}

const struct hook_source hooks_tty = { .id = "tty", .walk = walk_tty };
