/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/module_scan.h"

#include <string.h>

#include "base/limits.h"
#include "guest/list.h"

#define SPACE_END	0xffffffffff000000ull	/* MODULES_END */
#define HUGE_BYTES	(2ull << 20)
#define STRUCT_ALIGN	64u	/* struct module is ____cacheline_aligned */
#define TRIES_MAX	4096u	/* pointers into the code that might stand in a struct module */
#define MUTEX_FLAGS	7ull	/* of mutex.owner; the rest is the task */
#define WORK_PENDING	1ull	/* WORK_STRUCT_PENDING_BIT of work_struct.data */
#define POOLS_PER_CPU	2u	/* NR_STD_WORKER_POOLS */
#define IDEM_HEADS	256u	/* 1 << IDEM_HASH_BITS */

static gva space_start(const struct kernel *kernel)
{
	return gva_of((kernel->end.v + (HUGE_BYTES - 1)) & ~(HUGE_BYTES - 1));
}

bool module_space_has(const struct kernel *kernel, gva at)
{
	return at.v >= space_start(kernel).v && at.v < SPACE_END;
}

struct scan_fields {
	struct field text;	/* core_layout.base, or mem[] */
	struct field text_kind, area_base;
};

static const struct member scan_members[] = {
	MEMBER(struct scan_fields, text, "module.mem|module.core_layout.base"),
	MEMBER_OPTIONAL(struct scan_fields, text_kind, "enum mod_mem_type.MOD_TEXT"),
	MEMBER_OPTIONAL(struct scan_fields, area_base, "module_memory.base"),
};
LAYOUT(scan_layout, struct scan_fields, scan_members);

struct scan {
	const struct kernel *kernel;
	struct view *view;
	gva code;
	uint64_t code_bytes;
	uint64_t text_at;	/* offset in struct module of where its text is */
	struct module_info *ret;
	uint64_t pages;
	uint32_t tries;
};

/* Is this struct module one, and does it lie where it says? */
static bool is_module(const struct scan *scan, const struct module_info *module)
{
	const struct module_area *text = &module->area[MODULE_TEXT];
	enum module_area_kind kind;

	return !module->error && text->size_bytes &&
	       text->at.v - scan->code.v < scan->code_bytes &&
	       text->size_bytes <= scan->code_bytes - (text->at.v - scan->code.v) &&
	       module_has(module, module->at, &kind) && kind == MODULE_DATA;
}

static int try_struct(struct scan *scan, gva at)
{
	struct module_info module = { 0 };

	if (scan->tries++ == TRIES_MAX)
		return -ELOOP;
	if (module_read(scan->kernel, scan->view, at, false, &module, NULL) >= 0 &&
	    is_module(scan, &module)) {
		*scan->ret = module;
		return 1;
	}
	module_free(&module);
	return 0;
}

static int scan_page(struct scan *scan, gva at)
{
	uint64_t words[GUEST_PAGE_SIZE / sizeof(uint64_t)];

	/* What cannot be read holds no name for the code; that there is code is known anyway. */
	if (view_read(scan->view, at, words, sizeof(words), NULL) < 0)
		return 0;
	for (size_t i = 0; i < GUEST_PAGE_SIZE / sizeof(uint64_t); i++) {
		gva from = gva_add(at, i * sizeof(uint64_t) - scan->text_at);
		int r;

		if (words[i] - scan->code.v >= scan->code_bytes || from.v % STRUCT_ALIGN)
			continue;
		r = try_struct(scan, from);
		if (r)
			return r;
	}
	return 0;
}

static int scan_extent(const struct extent *extent, void *ctx, struct err *err)
{
	struct scan *scan = ctx;
	int r = 0;

	if (extent->rights & MAP_EXEC)
		return 0;
	for (uint64_t i = 0; i < extent->size_bytes && !r; i += GUEST_PAGE_SIZE) {
		if (++scan->pages > MODULE_SCAN_PAGES_MAX)
			return err_set(err, -ELOOP, "over %u pages of module data",
				       MODULE_SCAN_PAGES_MAX);
		r = scan_page(scan, gva_add(extent->start, i));
	}
	if (r < 0)
		return err_set(err, r, "over %u pointers into the code", TRIES_MAX);
	return r ? -EEXIST : 0;		/* ends the walk: found */
}

int module_scan(const struct kernel *kernel, struct view *view, gva code, uint64_t code_bytes,
		struct module_info *ret, struct err *err)
{
	struct scan scan = { kernel, view, code, code_bytes, 0, ret, 0, 0 };
	gva from = space_start(kernel);
	const struct scan_fields *f;
	int r;

	r = types_layout(kernel->types, &scan_layout, (const void **)&f, err);
	if (r < 0)
		return r;
	scan.text_at = f->text.at;
	if (f->area_base.there)
		scan.text_at += (uint64_t)f->text_kind.at * f->text.element_bytes +
				f->area_base.at;
	r = view_walk(view, kernel->space, from, gva_of(SPACE_END - 1), 0, scan_extent, &scan,
		      err);
	if (r == -EEXIST)
		return 0;
	return r < 0 ? r : err_set(err, -ENOENT, "no struct module describes this code");
}

/* --- loading and unloading --- */

struct flux_fields {
	struct field owner, work, pool, workers, node, function;
};

static const struct member flux_members[] = {
	MEMBER(struct flux_fields, owner, "mutex.owner.counter"),
	MEMBER(struct flux_fields, work, "work_struct.data.counter"),
	MEMBER(struct flux_fields, pool, "worker_pool"),
	MEMBER(struct flux_fields, workers, "worker_pool.workers"),
	MEMBER(struct flux_fields, node, "worker.node"),
	MEMBER(struct flux_fields, function, "worker.current_func"),
};
LAYOUT(flux_layout, struct flux_fields, flux_members);

struct worker_walk {
	struct view *view;
	const struct flux_fields *f;
	gva function;
	bool busy;
};

static int visit_worker(gva link, void *ctx, struct err *err)
{
	struct worker_walk *walk = ctx;
	gva function;
	int r;

	r = field_ptr(walk->view, field_object(link, &walk->f->node), &walk->f->function,
		      &function, err);
	if (r >= 0 && function.v == walk->function.v)
		walk->busy = true;
	return r;
}

/* Does a worker of the system's own queues run @function? */
static int is_running(const struct kernel *kernel, struct view *view,
		      const struct flux_fields *f, gva function, struct err *err)
{
	gva pools = symbols_lookup(kernel->symbols, "cpu_worker_pools");
	struct worker_walk walk = { view, f, function, false };
	int r = 0;

	if (!pools.v)
		return 0;
	for (uint32_t cpu = 0; cpu < kernel->cpus && r >= 0 && !walk.busy; cpu++)
		for (unsigned i = 0; i < POOLS_PER_CPU && r >= 0; i++) {
			gva pool = gva_add(kernel_per_cpu(kernel, pools, cpu),
					   (uint64_t)i * f->pool.size_bytes);

			r = list_walk(view, field_at(pool, &f->workers), WORKERS_MAX,
				      visit_worker, &walk, err);
		}
	return r < 0 ? r : walk.busy;
}

/*
 * From 6.5 on the kernel knows which modules finit_module(2) is loading, so that a second request
 * for the same one waits (kernel/module/main.c, idempotent()): any entry is a load under way.
 */
static int is_loading(const struct kernel *kernel, struct view *view, struct err *err)
{
	gva hash = symbols_lookup(kernel->symbols, "idem_hash");
	uint64_t heads[IDEM_HEADS];
	int r;

	if (!hash.v)
		return 0;
	r = view_read(view, hash, heads, sizeof(heads), err);
	for (size_t i = 0; i < IDEM_HEADS && r >= 0; i++)
		if (heads[i])
			return 1;
	return r;
}

int module_in_flux(const struct kernel *kernel, struct view *view, struct err *err)
{
	gva mutex = symbols_lookup(kernel->symbols, "module_mutex");
	gva list = symbols_lookup(kernel->symbols, "init_free_list");
	gva work = symbols_lookup(kernel->symbols, "init_free_wq");
	gva function = symbols_lookup(kernel->symbols, "do_free_init");
	const struct flux_fields *f;
	uint64_t value = 0;
	int r;

	r = types_layout(kernel->types, &flux_layout, (const void **)&f, err);
	if (r >= 0 && mutex.v) {
		r = field_read(view, mutex, &f->owner, &value, err);
		if (r >= 0 && value & ~MUTEX_FLAGS)
			return 1;
	}
	if (r >= 0 && list.v) {
		r = view_u64(view, list, &value, err);
		if (r >= 0 && value)
			return 1;
	}
	if (r >= 0 && work.v) {
		r = field_read(view, work, &f->work, &value, err);
		if (r >= 0 && value & WORK_PENDING)
			return 1;
	}
	if (r >= 0 && function.v)
		r = is_running(kernel, view, f, function, err);
	return r ? r : is_loading(kernel, view, err);
}
