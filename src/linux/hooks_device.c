/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "guest/list.h"
#include "linux/hooks_registry.h"

/*
 * Devices: what a character device's number leads to (drivers/base/map.c, fs/char_dev.c), those
 * of the misc major, and what the kernel takes input with and writes its log to.
 */

/* --- input: each device has a list of those who want its events (drivers/input/input.c) --- */

struct input_fields {
	struct field handles, node, handler;
};

static const struct member input_members[] = {
	MEMBER(struct input_fields, handles, "input_dev.h_list"),
	MEMBER(struct input_fields, node, "input_handle.d_node"),
	MEMBER(struct input_fields, handler, "input_handle.handler"),
};
LAYOUT(input_layout, struct input_fields, input_members);

struct input {
	struct hook_walk *walk;
	const struct input_fields *f;
};

/* Not only those that are in the list of handlers. */
static int visit_handle(gva link, void *ctx, struct err *err)
{
	struct input *input = ctx;
	struct hook_object object = {
		.mechanism = "input handler", .text = "handler of an input device",
		.registered = true,
	};
	gva handler;
	int r;

	object.at = field_object(link, &input->f->node);
	r = hook_members(input->walk, &object, "input_handle", err);
	if (r < 0)
		return r;
	r = field_ptr(input->walk->view, object.at, &input->f->handler, &handler, err);
	if (r < 0)
		return partial_add(&input->walk->partial, r, err);
	return hook_table(input->walk, &object, "input_handler", handler, err);
}

static int visit_handles(struct hook_walk *walk, const struct hook_object *object,
			 struct err *err)
{
	struct input input = { .walk = walk };
	int r = types_layout(walk->kernel->types, &input_layout, (const void **)&input.f, err);

	if (r < 0)
		return r;
	return partial_add(&walk->partial,
			   list_walk(walk->view, field_at(object->at, &input.f->handles),
				     REGISTERED_MAX, visit_handle, &input, err), err);
}

static const struct registry registries[] = {
	{
		.mechanism = "misc device", .symbol = "misc_list", .type = "miscdevice",
		.link = "miscdevice.list", .name = "miscdevice.name",
	}, {
		.mechanism = "input handler", .symbol = "input_handler_list",
		.type = "input_handler", .link = "input_handler.node",
		.name = "input_handler.name", .is_table = true, .registered = true,
	}, {
		.mechanism = "input device", .symbol = "input_dev_list", .type = "input_dev",
		.link = "input_dev.node", .name = "input_dev.name", .more = visit_handles,
	}, {
		.mechanism = "console", .symbol = "console_drivers", .how = REGISTRY_CHAIN,
		.type = "console", .link = "console.next", .name = "console.name",
		.registered = true,
	}, {
		.mechanism = "console", .symbol = "console_list", .how = REGISTRY_HLIST,
		.type = "console", .link = "console.node", .name = "console.name",
		.registered = true,
	}, {
		.mechanism = "random number generator", .symbol = "rng_list", .type = "hwrng",
		.link = "hwrng.list", .name = "hwrng.name",
	},
};

/* --- numbers of character devices --- */

#define MEM_MAJOR  1u		/* include/uapi/linux/major.h */
#define MISC_MAJOR 10u

struct number_fields {
	struct field probes, next, dev, get, lock, data;
};

static const struct member number_members[] = {
	MEMBER(struct number_fields, probes, "kobj_map.probes"),
	MEMBER(struct number_fields, next, "probe.next"),
	MEMBER(struct number_fields, dev, "probe.dev"),
	MEMBER(struct number_fields, get, "probe.get"),
	MEMBER(struct number_fields, lock, "probe.lock"),
	MEMBER(struct number_fields, data, "probe.data"),
};
LAYOUT(number_layout, struct number_fields, number_members);

static bool is_cdev(const struct kernel *kernel, gva get)
{
	struct symbol symbol;

	return symbols_at(kernel->symbols, get, &symbol, NULL) >= 0 && symbol.at.v == get.v &&
	       !strcmp(symbol.name, "exact_match");
}

static int visit_number(struct hook_walk *walk, const struct number_fields *f, gva probe,
			struct err *err)
{
	char text[48];
	struct hook_object object = {
		.mechanism = "character device", .at = probe, .text = text
	};
	struct view *view = walk->view;
	uint64_t dev;
	gva get, data;
	int r = field_read(view, probe, &f->dev, &dev, err);

	if (r >= 0)
		r = field_ptr(view, probe, &f->get, &get, err);
	if (r >= 0)
		r = field_ptr(view, probe, &f->data, &data, err);
	if (r < 0)
		return r;
	/* Memory and misc devices are built in (drivers/char/mem.c, misc.c). */
	if (dev >> 20 == MEM_MAJOR || dev >> 20 == MISC_MAJOR)
		object.home = walk->kernel->text;
	snprintf(text, sizeof(text), "character device %u:%u", (unsigned)(dev >> 20),
		 (unsigned)(dev & 0xfffff));
	r = hook_members(walk, &object, "probe", err);
	/* cdev_add() has it so; base_probe() asks for a module. */
	if (r < 0 || !is_cdev(walk->kernel, get))
		return r;
	object.at = data;
	return hook_members(walk, &object, "cdev", err);
}

static int walk_numbers(struct hook_walk *walk, struct err *err)
{
	const struct number_fields *f;
	uint32_t left = REGISTERED_MAX;
	gva map, head, probe;
	int r = types_layout(walk->kernel->types, &number_layout, (const void **)&f, err);

	if (r >= 0)
		r = kernel_symbol(walk->kernel, "cdev_map", &head, err);
	if (r >= 0)
		r = view_ptr(walk->view, head, &map, err);
	for (uint32_t i = 0; r >= 0 && i < f->probes.size_bytes / sizeof(uint64_t); i++) {
		r = view_ptr(walk->view, gva_add(field_at(map, &f->probes), i * 8), &probe, err);
		while (r >= 0 && probe.v) {
			if (!left--)
				return err_set(err, -ELOOP, "over %u numbers of devices",
					       REGISTERED_MAX);
			r = visit_number(walk, f, probe, err);
			if (r >= 0)
				r = field_ptr(walk->view, probe, &f->next, &probe, err);
		}
	}
	return r;
}

static int walk_devices(struct hook_walk *walk, struct err *err)
{
	int r = partial_add(&walk->partial, walk_numbers(walk, err), err);

	return r < 0 ? r : registry_walk(walk, registries, ARRAY_SIZE(registries), err);
}

const struct hook_source hooks_device = { .id = "device", .walk = walk_devices };
