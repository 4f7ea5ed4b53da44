/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/module.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "guest/list.h"

/* One struct module_layout (≤ 6.3). */
struct block_fields {
	struct field base, size, text_size, ro_size, ro_after_init_size;
};

struct module_fields {
	struct field state, list, name, version, srcversion, init, exit, taints, refcount, users,
		args;
	struct field user_link, user;

	struct block_fields core, start;	/* ≤ 6.3; "start" is init_layout */

	struct field mem, mem_base, mem_size;		/* 6.4+ */
	struct field mem_kind[MODULE_AREAS];
};

#define M(name, what)	  MEMBER(struct module_fields, name, what)
#define M_MAYBE(name, what) MEMBER_OPTIONAL(struct module_fields, name, what)

static const struct member module_members[] = {
	M(state, "module.state"),
	M(list, "module.list"),
	M(name, "module.name"),
	M_MAYBE(version, "module.version"),
	M_MAYBE(srcversion, "module.srcversion"),
	M(init, "module.init"),
	M_MAYBE(exit, "module.exit"),
	M(taints, "module.taints"),
	M_MAYBE(refcount, "module.refcnt.counter"),
	M_MAYBE(users, "module.source_list"),
	M(args, "module.args"),
	M_MAYBE(user_link, "module_use.source_list"),
	M_MAYBE(user, "module_use.source"),

	/* Until ac3b43283923 (6.4) replaced module_layout with module_memory. */
	M_MAYBE(core.base, "module.core_layout.base"),
	M_MAYBE(core.size, "module.core_layout.size"),
	M_MAYBE(core.text_size, "module.core_layout.text_size"),
	M_MAYBE(core.ro_size, "module.core_layout.ro_size"),
	M_MAYBE(core.ro_after_init_size, "module.core_layout.ro_after_init_size"),
	M_MAYBE(start.base, "module.init_layout.base"),
	M_MAYBE(start.size, "module.init_layout.size"),
	M_MAYBE(start.text_size, "module.init_layout.text_size"),
	M_MAYBE(start.ro_size, "module.init_layout.ro_size"),
	M_MAYBE(start.ro_after_init_size, "module.init_layout.ro_after_init_size"),

	M_MAYBE(mem, "module.mem"),
	M_MAYBE(mem_base, "module_memory.base"),
	M_MAYBE(mem_size, "module_memory.size"),
	M_MAYBE(mem_kind[MODULE_TEXT], "enum mod_mem_type.MOD_TEXT"),
	M_MAYBE(mem_kind[MODULE_DATA], "enum mod_mem_type.MOD_DATA"),
	M_MAYBE(mem_kind[MODULE_RODATA], "enum mod_mem_type.MOD_RODATA"),
	M_MAYBE(mem_kind[MODULE_RO_AFTER_INIT], "enum mod_mem_type.MOD_RO_AFTER_INIT"),
	M_MAYBE(mem_kind[MODULE_INIT_TEXT], "enum mod_mem_type.MOD_INIT_TEXT"),
	M_MAYBE(mem_kind[MODULE_INIT_DATA], "enum mod_mem_type.MOD_INIT_DATA"),
	M_MAYBE(mem_kind[MODULE_INIT_RODATA], "enum mod_mem_type.MOD_INIT_RODATA"),
};
LAYOUT(module_layout, struct module_fields, module_members);

/* A kernel without sysfs lacks these. */
struct set_fields {
	struct field set_list, entry, kobject_module;
};

static const struct member set_members[] = {
	MEMBER_OPTIONAL(struct set_fields, set_list, "kset.list"),
	MEMBER_OPTIONAL(struct set_fields, entry, "module_kobject.kobj.entry"),
	MEMBER_OPTIONAL(struct set_fields, kobject_module, "module_kobject.mod"),
};
LAYOUT(set_layout, struct set_fields, set_members);

const char *module_state_name(enum module_state state)
{
	static const char *const names[] = {
		[MODULE_LIVE] = "Live",		[MODULE_COMING] = "Loading",
		[MODULE_GOING] = "Unloading",	[MODULE_UNFORMED] = "Unformed",
		[MODULE_ODD] = "Odd",
	};

	return names[state];
}

const char *module_area_name(enum module_area_kind kind)
{
	static const char *const names[MODULE_AREAS] = {
		[MODULE_TEXT] = "text",		    [MODULE_DATA] = "data",
		[MODULE_RODATA] = "rodata",	    [MODULE_RO_AFTER_INIT] = "ro_after_init",
		[MODULE_INIT_TEXT] = "init text",   [MODULE_INIT_DATA] = "init data",
		[MODULE_INIT_RODATA] = "init rodata",
	};

	return names[kind];
}

/* The first error of a module is kept, and the reading of it goes on. */
static void note(struct module_info *module, int r)
{
	if (r < 0 && !module->error)
		module->error = r;
}

static uint64_t number(struct view *view, struct module_info *module, gva at,
		       const struct field *field, struct err *err)
{
	uint64_t value = 0;
	int r;

	if (!field->there)
		return 0;
	r = field_read(view, at, field, &value, module->error ? NULL : err);
	note(module, r);
	return value;
}

static int bad_area(uint64_t base, uint64_t size)
{
	uint64_t end;

	return !gva_is_kernel(gva_of(base)) || base & GUEST_PAGE_MASK || size > MODULE_AREA_MAX ||
	       __builtin_add_overflow(base, size, &end);
}

static void set_area(struct module_info *module, struct module_area *area, uint64_t base,
		     uint64_t size, struct err *err)
{
	if (!size)
		return;
	if (bad_area(base, size)) {
		note(module, fail(module->error ? NULL : err, -EBADMSG, module->at,
				  "module memory at %#llx of %#llx bytes",
				  (unsigned long long)base, (unsigned long long)size));
		return;
	}
	*area = (struct module_area){ gva_of(base), size };
	module->size_bytes += size;
}

/* One block, divided by the sums of the sizes of its parts (≤ 6.3, module_layout). */
static void read_block(struct view *view, const struct block_fields *f, bool is_init,
		       struct module_info *module, struct err *err)
{
	static const enum module_area_kind kinds[2][4] = {
		{ MODULE_TEXT, MODULE_RODATA, MODULE_RO_AFTER_INIT, MODULE_DATA },
		{ MODULE_INIT_TEXT, MODULE_INIT_RODATA, MODULE_AREAS, MODULE_INIT_DATA },
	};
	uint64_t base = number(view, module, module->at, &f->base, err);
	uint64_t from = 0, ends[4];

	ends[0] = number(view, module, module->at, &f->text_size, err);
	ends[1] = number(view, module, module->at, &f->ro_size, err);
	ends[2] = number(view, module, module->at, &f->ro_after_init_size, err);
	ends[3] = number(view, module, module->at, &f->size, err);
	set_area(module, &module->block[is_init], base, ends[3], err);
	if (!module->block[is_init].size_bytes)
		return;

	for (unsigned i = 0; i < 4; i++) {
		enum module_area_kind kind = kinds[is_init][i];

		/* Init parts have nothing that is read-only later: its end is left at 0. */
		if (kind == MODULE_AREAS || ends[i] == from)
			continue;
		if (ends[i] < from || ends[i] > ends[3]) {
			note(module, fail(module->error ? NULL : err, -EBADMSG, module->at,
					  "parts of module memory that overlap"));
			return;
		}
		module->area[kind].at = gva_of(base + from);
		module->area[kind].size_bytes = ends[i] - from;
		from = ends[i];
	}
}

/* A block for each kind (6.4+, module_memory). */
static void read_blocks(struct view *view, const struct module_fields *f,
			struct module_info *module, struct err *err)
{
	for (unsigned kind = 0; kind < MODULE_AREAS; kind++) {
		uint64_t i = f->mem_kind[kind].at, base, size;
		gva at = field_at(module->at, &f->mem);

		if (!f->mem_kind[kind].there || !f->mem.element_bytes ||
		    i >= f->mem.size_bytes / f->mem.element_bytes)
			continue;
		at = gva_add(at, i * f->mem.element_bytes);
		base = number(view, module, at, &f->mem_base, err);
		size = number(view, module, at, &f->mem_size, err);
		set_area(module, &module->area[kind], base, size, err);
	}
}

/*
 * kernel/panic.c, taint_flags: the letters that /proc/modules prints for the flags that a
 * module can have; the numbers of the flags are ABI.
 */
static void name_taints(struct module_info *module)
{
	static const char letters[] = "PFSRMBUDAWCIOELKXTNJ";
	size_t n = 0;

	for (unsigned bit = 0; bit < sizeof(letters) - 1 && n < MODULE_TAINT_MAX - 1; bit++)
		if (module->taints >> bit & 1)
			module->taint[n++] = letters[bit];
	module->taint[n] = '\0';
}

static void read_text(struct view *view, struct module_info *module, const struct field *field,
		      char *buf, size_t size, struct err *err)
{
	gva text = { number(view, module, module->at, field, err) };

	if (text.v)
		note(module, view_string(view, text, buf, size, module->error ? NULL : err));
}

struct use_walk {
	struct view *view;
	const struct module_fields *f;
	struct module_info *module;
};

static int visit_user(gva link, void *ctx, struct err *err)
{
	struct use_walk *walk = ctx;
	gva *user = vec_add(&walk->module->used_by);

	if (!user)
		return -ENOMEM;
	return field_ptr(walk->view, field_object(link, &walk->f->user_link), &walk->f->user,
			 user, err);
}

static void read_details(struct view *view, const struct module_fields *f,
			 struct module_info *module, struct err *err)
{
	struct use_walk walk = { view, f, module };

	read_text(view, module, &f->version, module->version, sizeof(module->version), err);
	read_text(view, module, &f->srcversion, module->srcversion, sizeof(module->srcversion),
		  err);
	read_text(view, module, &f->args, module->args, sizeof(module->args), err);

	/* Set up after the module got into the list: not before it is formed. */
	if (f->users.there && f->user.there && f->user_link.there &&
	    module->state != MODULE_UNFORMED)
		note(module, list_walk(view, field_at(module->at, &f->users), MODULES_MAX,
				       visit_user, &walk, module->error ? NULL : err));
}

static void read_name(struct view *view, const struct module_fields *f,
		      struct module_info *module, struct err *err)
{
	size_t size = f->name.size_bytes;

	if (size > sizeof(module->name))
		size = sizeof(module->name);
	note(module, view_read(view, field_at(module->at, &f->name), module->name, size,
			       module->error ? NULL : err));
	module->name[sizeof(module->name) - 1] = '\0';
}

int module_read(const struct kernel *kernel, struct view *view, gva at, bool details,
		struct module_info *ret, struct err *err)
{
	const struct module_fields *f;
	uint64_t state;
	int r;

	ret->at = at;
	r = types_layout(kernel->types, &module_layout, (const void **)&f, err);
	if (r >= 0 && (!gva_is_kernel(at) || at.v % sizeof(uint64_t)))
		r = fail(err, -EBADMSG, at, "no place for a struct module");
	if (r < 0) {
		note(ret, r);
		return r;
	}

	read_name(view, f, ret, err);
	state = number(view, ret, at, &f->state, err);
	ret->state = state < MODULE_ODD ? (enum module_state)state : MODULE_ODD;
	if (f->mem.there) {
		read_blocks(view, f, ret, err);
	} else {
		read_block(view, &f->core, false, ret, err);
		read_block(view, &f->start, true, ret, err);
	}
	ret->taints = number(view, ret, at, &f->taints, err);
	name_taints(ret);
	/* MODULE_REF_BASE is 1 (kernel/module/main.c); what is left is what people see. */
	ret->refcount = f->refcount.there ?
		(int64_t)(int32_t)number(view, ret, at, &f->refcount, err) - 1 : 0;
	ret->permanent = f->exit.there && number(view, ret, at, &f->init, err) &&
			 !number(view, ret, at, &f->exit, err);
	if (details)
		read_details(view, f, ret, err);
	return ret->error;
}

void module_free(struct module_info *module)
{
	vec_free(&module->used_by);
}

void modules_free(struct modules *modules)
{
	for (size_t i = 0; i < modules->list.n; i++)
		module_free(&modules->list.v[i]);
	vec_free(&modules->list);
	free(modules->by_address);
	modules->by_address = NULL;
}

bool module_has(const struct module_info *module, gva at, enum module_area_kind *kind)
{
	for (unsigned i = 0; i < MODULE_AREAS; i++) {
		const struct module_area *area = &module->area[i];

		if (at.v - area->at.v < area->size_bytes) {
			if (kind)
				*kind = (enum module_area_kind)i;
			return true;
		}
	}
	return false;
}

const struct module_info *modules_find(const struct modules *modules, gva at)
{
	size_t low = 0, high = modules->by_address ? modules->list.n : 0;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		const struct module_info *module = &modules->list.v[modules->by_address[mid]];

		if (module->at.v == at.v)
			return module;
		if (module->at.v < at.v)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

/* Where a module was met, and in which order. */
struct sight {
	gva at;
	unsigned by;
	uint32_t order;
	uint32_t rank;		/* by address */
};

struct sights {
	VEC(struct sight) list;
	struct view *view;
	const struct module_fields *module;
	const struct set_fields *set;
	unsigned by;
};

static int add_sight(struct sights *sights, gva at)
{
	struct sight *sight = vec_add(&sights->list);

	if (!sight)
		return -ENOMEM;
	*sight = (struct sight){ at, sights->by, (uint32_t)sights->list.n, 0 };
	return 0;
}

static int visit_module(gva link, void *ctx, struct err *err)
{
	struct sights *sights = ctx;

	(void)err;
	return add_sight(sights, field_object(link, &sights->module->list));
}

static int visit_kobject(gva link, void *ctx, struct err *err)
{
	struct sights *sights = ctx;
	gva at;
	int r;

	r = field_ptr(sights->view, field_object(link, &sights->set->entry),
		      &sights->set->kobject_module, &at, err);
	/* A built-in module has an entry, for its parameters, but no struct module. */
	return r >= 0 && at.v ? add_sight(sights, at) : r;
}

static int by_list(const struct kernel *kernel, struct sights *sights, struct err *err)
{
	gva head = symbols_lookup(kernel->symbols, "modules");

	sights->by = MODULE_BY_LIST;
	if (!head.v)
		return -ENOENT;
	return list_walk(sights->view, head, MODULES_MAX, visit_module, sights, err);
}

static int by_sysfs(const struct kernel *kernel, struct sights *sights, struct err *err)
{
	const struct set_fields *f = sights->set;
	gva set = symbols_lookup(kernel->symbols, "module_kset");
	int r;

	sights->by = MODULE_BY_SYSFS;
	if (!set.v || !f->set_list.there || !f->entry.there || !f->kobject_module.there)
		return -ENOENT;
	r = view_ptr(sights->view, set, &set, err);
	if (r < 0)
		return r;
	if (!set.v)
		return -ENOENT;		/* not made yet: booting */
	return list_walk(sights->view, field_at(set, &f->set_list), MODULE_KOBJECTS_MAX,
			 visit_kobject, sights, err);
}

static int by_tree(const struct kernel *kernel, struct sights *sights, struct err *err)
{
	struct module_nodes nodes = { 0 };
	int r;

	sights->by = MODULE_BY_TREE;
	r = module_nodes_read(kernel, sights->view, &nodes, err);
	for (size_t i = 0; i < nodes.list.n; i++)
		if (add_sight(sights, nodes.list.v[i].module) < 0)
			r = -ENOMEM;
	module_nodes_free(&nodes);
	return r;
}

static int by_address(const void *a, const void *b)
{
	const struct sight *x = a, *y = b;

	if (x->at.v != y->at.v)
		return x->at.v < y->at.v ? -1 : 1;
	return (x->order > y->order) - (x->order < y->order);
}

static int by_order(const void *a, const void *b)
{
	const struct sight *x = a, *y = b;

	return (x->order > y->order) - (x->order < y->order);
}

/* One sight per module, with all ways that led to it, in the order of the first of them. */
static void merge_sights(struct sights *sights)
{
	struct sight *v = sights->list.v;
	size_t n = 0;

	if (!sights->list.n)
		return;
	qsort(v, sights->list.n, sizeof(*v), by_address);
	for (size_t i = 0; i < sights->list.n; i++) {
		if (n && v[n - 1].at.v == v[i].at.v) {
			v[n - 1].by |= v[i].by;
			continue;
		}
		v[n] = v[i];
		v[n].rank = (uint32_t)n;
		n++;
	}
	sights->list.n = n;
	qsort(v, n, sizeof(*v), by_order);
}

static int read_sights(const struct kernel *kernel, struct view *view, bool details,
		       const struct sights *sights, struct modules *ret, struct err *err)
{
	size_t n = sights->list.n < MODULES_MAX ? sights->list.n : MODULES_MAX;
	int r = 0, bad;

	ret->by_address = calloc(n ? n : 1, sizeof(*ret->by_address));
	if (!ret->by_address)
		return -ENOMEM;
	if (sights->list.n > MODULES_MAX)
		return err_set(err, -ELOOP, "over %u modules", MODULES_MAX);
	for (size_t i = 0; i < n; i++) {
		const struct sight *sight = &sights->list.v[i];
		struct module_info *module = vec_add(&ret->list);

		if (!module)
			return -ENOMEM;
		ret->by_address[sight->rank] = (uint32_t)i;
		bad = module_read(kernel, view, sight->at, details, module, r < 0 ? NULL : err);
		module->found_by = sight->by;
		if (bad < 0 && !r)
			r = bad;
	}
	return r;
}

int modules_read(const struct kernel *kernel, struct view *view, unsigned by,
		 struct modules *ret, struct err *err)
{
	static const struct way {
		unsigned by;
		int (*walk)(const struct kernel *kernel, struct sights *sights, struct err *err);
	} ways[] = {
		{ MODULE_BY_LIST, by_list },
		{ MODULE_BY_TREE, by_tree },
		{ MODULE_BY_SYSFS, by_sysfs },
	};
	struct sights sights = { .view = view };
	int r, bad;

	r = types_layout(kernel->types, &module_layout, (const void **)&sights.module, err);
	if (r >= 0)
		r = types_layout(kernel->types, &set_layout, (const void **)&sights.set, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		if (!(by & ways[i].by))
			continue;
		bad = ways[i].walk(kernel, &sights, r < 0 ? NULL : err);
		if (!bad)
			ret->walked |= ways[i].by;
		else if (bad != -ENOENT && !r)
			r = bad;
	}
	merge_sights(&sights);
	bad = read_sights(kernel, view, by & MODULE_DETAILS, &sights, ret, r < 0 ? NULL : err);
	vec_free(&sights.list);
	return r < 0 ? r : bad;
}
