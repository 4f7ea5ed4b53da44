/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "guest/list.h"
#include "linux/hook.h"

/*
 * Buses and their drivers (drivers/base/bus.c), and disks by the inodes of block devices
 * (block/bdev.c, fs/block_dev.c up to 5.10): each with its queue and its scheduler.
 */
struct driver_fields {
	struct field list, entry, subsys, bus, drivers, kset_kobj, driver_kobj, driver;
	struct field bus_name, driver_name;
	struct field inodes, inode_link, vfs_inode, disk, disk_name, queue, elevator, type;
};

static const struct member driver_members[] = {
	MEMBER(struct driver_fields, list, "kset.list"),
	MEMBER(struct driver_fields, entry, "kobject.entry"),
	MEMBER(struct driver_fields, kset_kobj, "kset.kobj"),
	MEMBER(struct driver_fields, subsys, "subsys_private.subsys"),
	MEMBER(struct driver_fields, bus, "subsys_private.bus"),
	MEMBER(struct driver_fields, drivers, "subsys_private.drivers_kset"),
	MEMBER(struct driver_fields, driver_kobj, "driver_private.kobj"),
	MEMBER(struct driver_fields, driver, "driver_private.driver"),
	MEMBER(struct driver_fields, bus_name, "bus_type.name"),
	MEMBER(struct driver_fields, driver_name, "device_driver.name"),
	MEMBER(struct driver_fields, inodes, "super_block.s_inodes"),
	MEMBER(struct driver_fields, inode_link, "inode.i_sb_list"),
	MEMBER(struct driver_fields, vfs_inode, "bdev_inode.vfs_inode"),
	MEMBER(struct driver_fields, disk, "bdev_inode.bdev.bd_disk"),
	MEMBER(struct driver_fields, disk_name, "gendisk.disk_name"),
	MEMBER(struct driver_fields, queue, "gendisk.queue"),
	MEMBER(struct driver_fields, elevator, "request_queue.elevator"),
	MEMBER(struct driver_fields, type, "elevator_queue.type"),
};
LAYOUT(driver_layout, struct driver_fields, driver_members);

/* What a driver is part of, by its bus. */
static const struct part {
	const char *bus;
	const char *type;
	const char *driver;	/* the struct device_driver within it */
} parts[] = {
	{ "pci_bus_type", "pci_driver", "pci_driver.driver" },
	{ "platform_bus_type", "platform_driver", "platform_driver.driver" },
	{ "serio_bus", "serio_driver", "serio_driver.driver" },
	{ "hid_bus_type", "hid_driver", "hid_driver.driver" },
	{ "i2c_bus_type", "i2c_driver", "i2c_driver.driver" },
	{ "pnp_bus_type", "pnp_driver", "pnp_driver.drv" },
};

struct drivers {
	struct hook_walk *walk;
	const struct driver_fields *f;
	gva bus;
	struct map disks;
};

static void print_text(const struct drivers *drivers, gva at, const struct field *name,
		      const char *what, char *buf, size_t size)
{
	char text[64] = "?";
	gva from = field_at(at, name);
	int r = 0;

	if (!name->element_bytes)
		r = field_ptr(drivers->walk->view, at, name, &from, NULL);
	if (r >= 0 && view_string(drivers->walk->view, from, text, sizeof(text), NULL) < 0)
		snprintf(text, sizeof(text), "?");
	snprintf(buf, size, "%s %s", what, text);
}

static void print_bus(const struct hook_object *object, char *buf, size_t size)
{
	const struct drivers *drivers = object->ctx;

	print_text(drivers, object->at, &drivers->f->bus_name, "bus", buf, size);
}

static void print_driver(const struct hook_object *object, char *buf, size_t size)
{
	const struct drivers *drivers = object->ctx;

	print_text(drivers, object->at, &drivers->f->driver_name, "driver", buf, size);
}

static void print_disk(const struct hook_object *object, char *buf, size_t size)
{
	const struct drivers *drivers = object->ctx;

	print_text(drivers, object->at, &drivers->f->disk_name, "disk", buf, size);
}

static int visit_driver(gva link, void *ctx, struct err *err)
{
	struct drivers *drivers = ctx;
	const struct driver_fields *f = drivers->f;
	struct hook_walk *walk = drivers->walk;
	const struct kernel *kernel = walk->kernel;
	gva private = field_object(field_object(link, &f->entry), &f->driver_kobj);
	struct hook_object object = {
		.mechanism = "driver", .print = print_driver, .ctx = drivers
	};
	int r = field_ptr(walk->view, private, &f->driver, &object.at, err);

	if (r < 0 || !object.at.v)
		return partial_add(&walk->partial, r, err);
	walk->objects++;
	r = hook_table(walk, &object, "device_driver", object.at, err);
	for (size_t i = 0; i < ARRAY_SIZE(parts) && r >= 0; i++) {
		struct field within;

		if (symbols_lookup(kernel->symbols, parts[i].bus).v != drivers->bus.v ||
		    types_field(kernel->types, parts[i].driver, &within, NULL) < 0)
			continue;
		r = hook_table(walk, &object, parts[i].type, field_object(object.at, &within),
			       err);
	}
	return r;
}

static int visit_bus(gva link, void *ctx, struct err *err)
{
	struct drivers *drivers = ctx;
	const struct driver_fields *f = drivers->f;
	struct hook_walk *walk = drivers->walk;
	gva kset = field_object(field_object(link, &f->entry), &f->kset_kobj);
	gva private = field_object(kset, &f->subsys), set;
	struct hook_object object = { .mechanism = "bus", .print = print_bus, .ctx = drivers };
	int r = field_ptr(walk->view, private, &f->bus, &object.at, err);

	if (r >= 0)
		r = field_ptr(walk->view, private, &f->drivers, &set, err);
	if (r < 0 || !object.at.v)
		return partial_add(&walk->partial, r, err);
	walk->objects++;
	drivers->bus = object.at;
	r = hook_table(walk, &object, "bus_type", object.at, err);
	if (r < 0 || !set.v)
		return r;
	return partial_add(&walk->partial,
			   list_walk(walk->view, field_at(set, &f->list), REGISTERED_MAX,
				     visit_driver, drivers, err), err);
}

static int visit_disk(struct drivers *drivers, gva disk, struct err *err)
{
	const struct driver_fields *f = drivers->f;
	struct hook_walk *walk = drivers->walk;
	struct hook_object object = {
		.mechanism = "disk", .at = disk, .print = print_disk, .ctx = drivers
	};
	gva queue, elevator = gva_of(0), type = gva_of(0);
	int r = hook_members(walk, &object, "gendisk", err);

	if (r < 0)
		return r;
	r = field_ptr(walk->view, disk, &f->queue, &queue, err);
	if (r < 0 || !queue.v)
		return r;
	r = field_ptr(walk->view, queue, &f->elevator, &elevator, err);
	if (r >= 0 && elevator.v)
		r = field_ptr(walk->view, elevator, &f->type, &type, err);
	if (r >= 0)
		r = hook_table(walk, &object, "elevator_type", type, err);
	if (r < 0)
		return r;
	object.at = queue;
	object.print = NULL;
	object.text = "queue of a disk";
	return hook_members(walk, &object, "request_queue", err);
}

static int visit_inode(gva link, void *ctx, struct err *err)
{
	struct drivers *drivers = ctx;
	const struct driver_fields *f = drivers->f;
	gva inode = field_object(link, &f->inode_link), disk;
	int r = field_ptr(drivers->walk->view, field_object(inode, &f->vfs_inode), &f->disk, &disk,
			  err);

	if (r >= 0 && disk.v) {
		r = map_put(&drivers->disks, disk.v, 1);
		if (r)
			return r < 0 ? r : 0;
		r = visit_disk(drivers, disk, err);
	}
	return partial_add(&drivers->walk->partial, r, err);
}

static int walk_disks(struct drivers *drivers, struct err *err)
{
	struct hook_walk *walk = drivers->walk;
	gva symbol = symbols_lookup(walk->kernel->symbols, "blockdev_superblock"), sb;
	int r;

	if (!symbol.v)
		return 0;
	r = view_ptr(walk->view, symbol, &sb, err);
	if (r >= 0 && sb.v)
		r = list_walk(walk->view, field_at(sb, &drivers->f->inodes), REGISTERED_MAX,
			      visit_inode, drivers, err);
	return partial_add(&walk->partial, r, err);
}

static int walk_drivers(struct hook_walk *walk, struct err *err)
{
	struct drivers drivers = { .walk = walk };
	gva symbol, set;
	int r = types_layout(walk->kernel->types, &driver_layout, (const void **)&drivers.f, err);

	if (r >= 0)
		r = kernel_symbol(walk->kernel, "bus_kset", &symbol, err);
	if (r < 0)
		return r;
	r = view_ptr(walk->view, symbol, &set, err);
	if (r >= 0)
		r = list_walk(walk->view, field_at(set, &drivers.f->list), REGISTERED_MAX,
			      visit_bus, &drivers, err);
	r = partial_add(&walk->partial, r, err);
	if (r >= 0)
		r = walk_disks(&drivers, err);
	map_free(&drivers.disks);
	return r;
}

const struct hook_source hooks_driver = { .id = "driver", .walk = walk_drivers };
