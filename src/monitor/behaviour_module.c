/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/vec.h"
#include "linux/module.h"
#include "monitor/behaviour_part.h"
#include "report/encode.h"

/*
 * Kernel modules. What is loaded goes to one end of the list, and what is unloaded leaves its
 * name: while both ends and that name stay, the list is not read, but once a second.
 */

#define READ_AGAIN_NS 1000000000ull

struct known_module {
	gva at;
	char name[MODULE_NAME_MAX];
	char taint[MODULE_TAINT_MAX];
	uint64_t size_bytes;
};

struct known_modules {
	VEC(struct known_module) v;
	struct map by_address;	/* place in @v, + 1 */
};

struct signature {
	uint64_t ends[2];
	char unloaded[MODULE_NAME_MAX];
};

struct part_modules {
	struct known_modules was, now;
	struct signature signature, signature_was;
	bool unformed;		/* one was being set up: its state changes, its place does not */
	uint64_t read_ns;	/* when the list was read */
};

static void known_free(struct known_modules *known)
{
	vec_free(&known->v);
	map_free(&known->by_address);
	*known = (struct known_modules){0};
}

static int known_add(struct known_modules *known, const struct known_module *module)
{
	struct known_module *slot = vec_add(&known->v);

	if (!slot)
		return -ENOMEM;
	*slot = *module;
	return map_put(&known->by_address, module->at.v, (uint32_t)known->v.n) < 0 ? -ENOMEM : 0;
}

static const struct known_module *known_find(const struct known_modules *known,
					     const struct known_module *module)
{
	const struct known_module *found;
	uint32_t place;

	if (!map_get(&known->by_address, module->at.v, &place))
		return NULL;
	found = &known->v.v[place - 1];
	return !strcmp(found->name, module->name) ? found : NULL;
}

static void *modules_open(void)
{
	return calloc(1, sizeof(struct part_modules));
}

static void modules_forget(void *ctx)
{
	struct part_modules *part = ctx;

	known_free(&part->was);
	known_free(&part->now);
	*part = (struct part_modules){0};
}

static void modules_close(void *ctx)
{
	modules_forget(ctx);
	free(ctx);
}

static size_t modules_count(const void *ctx)
{
	const struct part_modules *part = ctx;

	return part->was.v.n;
}

static int read_signature(const struct glance *glance, struct signature *ret, struct err *err)
{
	struct signature new = {0};
	gva head, name;
	int r;

	r = kernel_symbol(glance->kernel, "modules", &head, err);
	if (r >= 0)
		r = view_read(glance->view, head, new.ends, sizeof(new.ends), err);
	/* An array of characters, or a struct that begins with it (99bd9956551b, 6.0). */
	name = symbols_lookup(glance->kernel->symbols, "last_unloaded_module");
	if (r >= 0 && name.v)
		r = view_read(glance->view, name, new.unloaded, sizeof(new.unloaded), err);
	new.unloaded[sizeof(new.unloaded) - 1] = '\0';
	if (r >= 0)
		*ret = new;
	return r;
}

static int read_list(struct part_modules *part, const struct glance *glance, struct err *err)
{
	struct modules modules = {0};
	int r, bad = 0;

	part->unformed = false;
	r = modules_read(glance->kernel, glance->view, MODULE_BY_LIST, &modules, err);
	for (size_t i = 0; i < modules.list.n && bad >= 0; i++) {
		const struct module_info *module = &modules.list.v[i];
		struct known_module known = { .at = module->at, .size_bytes = module->size_bytes };

		/* As /proc/modules does it. */
		if (module->state == MODULE_UNFORMED) {
			part->unformed = true;
			continue;
		}
		memcpy(known.name, module->name, sizeof(known.name));
		memcpy(known.taint, module->taint, sizeof(known.taint));
		bad = known_add(&part->now, &known);
	}
	modules_free(&modules);
	return bad < 0 ? bad : r;
}

static int modules_read_part(void *ctx, const struct glance *glance, struct err *err)
{
	struct part_modules *part = ctx;
	int r = read_signature(glance, &part->signature, err);

	known_free(&part->now);
	if (r < 0)
		return r;
	if (!glance->first && !part->unformed && glance->mono_ns - part->read_ns < READ_AGAIN_NS &&
	    !memcmp(&part->signature, &part->signature_was, sizeof(part->signature)))
		return READ_SAME;
	part->read_ns = glance->mono_ns;
	return read_list(part, glance, err);
}

static void tell_module(const struct glance *glance, enum event_kind kind,
			const struct known_module *module)
{
	if (!glance_wants(glance, kind))
		return;
	glance_tell(glance, kind,
		  json_pack("{s:o, s:o, s:o, s:o, s:b}",
			    "name", encode_text(module->name),
			    "at", encode_address_or_null(module->at),
			    "size_bytes", module->size_bytes ?
				encode_count(module->size_bytes) : json_null(),
			    "taint", encode_text_or_null(module->taint),
			    "brief", !module->at.v));
}

static bool has_name(const struct known_modules *known, const char *name)
{
	for (size_t i = 0; i < known->v.n; i++)
		if (!strcmp(known->v.v[i].name, name))
			return true;
	return false;
}

/* The kernel says that one was unloaded which no look has seen. */
static void compare_brief(const struct glance *glance, const struct part_modules *part)
{
	const char *name = part->signature.unloaded;
	struct known_module brief = {0};

	if (glance->first || !*name || !strcmp(name, part->signature_was.unloaded) ||
	    has_name(&part->was, name))
		return;
	memcpy(brief.name, name, sizeof(brief.name));
	tell_module(glance, EVENT_MODULE_LOAD, &brief);
	tell_module(glance, EVENT_MODULE_UNLOAD, &brief);
}

static int modules_compare(void *ctx, const struct glance *glance, bool complete, struct err *err)
{
	struct part_modules *part = ctx;
	int r = 0;

	(void)err;
	for (size_t i = 0; i < part->now.v.n; i++)
		if (!known_find(&part->was, &part->now.v.v[i]))
			tell_module(glance, EVENT_MODULE_LOAD, &part->now.v.v[i]);
	for (size_t i = 0; i < part->was.v.n && r >= 0; i++) {
		const struct known_module *was = &part->was.v.v[i];

		if (known_find(&part->now, was))
			continue;
		if (complete)
			tell_module(glance, EVENT_MODULE_UNLOAD, was);
		else
			r = known_add(&part->now, was);
	}
	if (r < 0)
		return r;
	if (complete) {
		compare_brief(glance, part);
		part->signature_was = part->signature;
	}
	known_free(&part->was);
	part->was = part->now;
	part->now = (struct known_modules){0};
	return 0;
}

const struct part behaviour_modules = {
	.name = "modules",
	.kinds = EVENT_BIT(EVENT_MODULE_LOAD) | EVENT_BIT(EVENT_MODULE_UNLOAD),
	.open = modules_open,
	.close = modules_close,
	.read = modules_read_part,
	.compare = modules_compare,
	.forget = modules_forget,
	.count_name = "modules",
	.count = modules_count,
};
