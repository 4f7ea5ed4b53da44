/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/module_reference.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "linux/module_symbols.h"
#include "reference/exports.h"
#include "reference/ko.h"
#include "reference/module_tables.h"

struct kept {
	struct module_reference is;
	struct ko *ko;		/* if it is shipped: for what it exports */
	uint64_t sections_at;	/* of its areas, all of them: another load of it has others */
	bool seen;		/* it is still loaded */
	bool ready;		/* relocated and patched */
};

struct module_references {
	struct exports *exports;
	VEC(struct kept *) list;
};

/* What the functions below work on. */
struct update {
	struct module_references *references;
	struct reference *reference;
	const struct kernel *kernel;
	struct view *view;
	const struct kernel_image *image;
	const struct modules *modules;
};

static void kept_free(struct kept *kept)
{
	ko_close(&kept->ko);
	shipped_free(&kept->is.shipped);
	sites_free(&kept->is.sites);
	free(kept);
}

static void references_free(void *state)
{
	struct module_references *references = state;

	for (size_t i = 0; i < references->list.n; i++)
		kept_free(references->list.v[i]);
	vec_free(&references->list);
	exports_free(&references->exports);
	free(references);
}

/* Where all parts of it lie, in one number. */
static uint64_t areas_of(const struct module_info *module)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < MODULE_AREAS; i++)
		sum = (sum * 31 + module->area[i].at.v) * 31 + module->area[i].size_bytes;
	return sum;
}

static bool is_of(const struct kept *kept, const struct module_info *module)
{
	return kept->is.at.v == module->at.v && kept->sections_at == areas_of(module) &&
	       !strcmp(kept->is.name, module->name);
}

static struct kept *find(const struct module_references *references,
			 const struct module_info *module)
{
	for (size_t i = 0; i < references->list.n; i++)
		if (is_of(references->list.v[i], module))
			return references->list.v[i];
	return NULL;
}

const struct module_reference *module_reference_find(const struct module_references *references,
						     const struct module_info *module)
{
	const struct kept *kept = find(references, module);

	return kept ? &kept->is : NULL;
}

static void remove_at(struct module_references *references, size_t i)
{
	kept_free(references->list.v[i]);
	references->list.v[i] = references->list.v[--references->list.n];
}

void module_reference_drop(struct module_references *references,
			   const struct module_reference *reference)
{
	for (size_t i = 0; i < references->list.n; i++)
		if (&references->list.v[i]->is == reference) {
			remove_at(references, i);
			return;
		}
}

/* Errors that end the whole, and do not say anything of one module. */
static bool is_fatal(const struct update *u, int r)
{
	return r == -ENOMEM || r == -ESRCH || (r == -ELOOP && !view_fuel(u->view));
}

static void set_standing(struct kept *kept, enum module_standing standing, const char *why)
{
	kept->is.standing = standing;
	snprintf(kept->is.why, sizeof(kept->is.why), "%s", why);
}

/* --- fetched and laid out --- */

static int fetch(const struct update *u, struct kept *kept, const char *build_id, struct err *err)
{
	cleanup(blob_free) struct blob file = { NULL, 0 };
	int r;

	r = reference_module(u->reference, kept->is.name, build_id, &file, err);
	if (r == -ENOENT && build_id[0]) {
		kept->is.doubtful = true;
		r = reference_module(u->reference, kept->is.name, NULL, &file, err);
	}
	if (r == -ENOENT) {
		set_standing(kept, STANDING_LACKED, "the reference has no such module");
		return 0;
	}
	if (r >= 0)
		r = ko_open(&file, &kept->ko, err);
	return r < 0 ? wrap(err, r, "module %s of the reference", kept->is.name) : 0;
}

static int place(struct kept *kept, struct ko_place *at, struct err *err)
{
	int r = ko_place(kept->ko, at, err);

	/* What the guest lists may be as false as the build ID that it shows. */
	if (r == -EBADMSG && kept->is.doubtful && at->sections) {
		at->sections = NULL;
		r = ko_place(kept->ko, at, NULL);
	}
	if (r != -EBADMSG)
		return r;
	if (kept->is.doubtful)
		set_standing(kept, STANDING_OTHER, "it is another build than the reference's");
	else
		set_standing(kept, STANDING_MISFIT, err->text);
	return 0;
}

static int lay_out(const struct update *u, struct kept *kept, const struct module_info *module,
		   struct err *err)
{
	struct module_sections sections = { 0 };
	struct ko_place at;
	char build_id[41] = "";
	int r;

	r = ko_place_read(u->kernel, u->view, module, &at, err);
	if (r >= 0)
		r = module_sections_read(u->kernel, u->view, module, &sections, err);
	if (r >= 0) {
		at.sections = &sections;
		r = module_build_id(u->view, module, &sections, build_id, err);
	}
	/* A kernel that says nothing of them lays them out by its rules all the same. */
	if (r == -ENOENT)
		r = 0;
	if (r >= 0)
		r = fetch(u, kept, build_id, err);
	if (r >= 0 && kept->ko)
		r = place(kept, &at, err);
	module_sections_free(&sections);
	return r;
}

static int add(const struct update *u, const struct module_info *module, struct err *err)
{
	struct kept *kept = calloc(1, sizeof(*kept)), **slot;
	int r;

	slot = kept ? vec_add(&u->references->list) : NULL;
	if (!slot) {
		free(kept);
		return err_set(err, -ENOMEM, "no memory for modules");
	}
	*slot = kept;
	kept->is.at = module->at;
	kept->is.base = module->area[MODULE_TEXT].at;
	kept->sections_at = areas_of(module);
	kept->seen = true;
	snprintf(kept->is.name, sizeof(kept->is.name), "%s", module->name);
	r = lay_out(u, kept, module, err);
	if (r < 0 && is_fatal(u, r)) {
		u->references->list.n--;
		kept_free(kept);
		return r;
	}
	if (r < 0)
		set_standing(kept, STANDING_UNKNOWN, err->text);
	return 0;
}

/* --- relocated and patched --- */

/* A module that the reference lacks may export as well: what its own symbol table says. */
static int resolve_foreign(const struct update *u, const struct module_info *module,
			   const char *name, gva *ret)
{
	struct module_symbols *symbols = NULL;
	int r = -ENOENT;

	if (module_symbols_read(u->kernel, u->view, module, &symbols, NULL) < 0)
		return -ENOENT;
	for (size_t i = 0; i < module_symbols_count(symbols) && r < 0; i++) {
		struct module_symbol symbol = module_symbols_get(symbols, i);

		if (!strcmp(symbol.name, name)) {
			*ret = symbol.at;
			r = 0;
		}
	}
	module_symbols_free(&symbols);
	return r;
}

static int resolve(const char *name, gva *ret, void *ctx, struct err *err)
{
	const struct update *u = ctx;

	if (exports_find(u->references->exports, name, ret) >= 0)
		return 0;
	for (size_t i = 0; i < u->references->list.n; i++) {
		const struct kept *kept = u->references->list.v[i];

		if (kept->ko && kept->is.standing == STANDING_SHIPPED &&
		    ko_export(kept->ko, name, ret) >= 0)
			return 0;
	}
	for (size_t i = 0; i < u->references->list.n; i++) {
		const struct kept *kept = u->references->list.v[i];
		const struct module_info *module = modules_find(u->modules, kept->is.at);

		if ((kept->is.standing == STANDING_LACKED ||
		     kept->is.standing == STANDING_OTHER) && module &&
		    resolve_foreign(u, module, name, ret) >= 0)
			return 0;
	}
	return err_set(err, -ENOENT, "no one exports %s", name);
}

static int prepare(const struct update *u, struct kept *kept, struct err *err)
{
	struct shipped *shipped = &kept->is.shipped;
	int r;

	r = ko_load(kept->ko, resolve, (void *)(uintptr_t)u, shipped, err);
	if (r >= 0)
		r = module_tables_settle(u->kernel, u->view, &u->image->shipped,
					 kernel_image_symbols(u->image), shipped, err);
	if (r >= 0)
		r = patch_all(u->image->patcher, u->view, shipped, &kept->is.sites, err);
	if (r < 0 && is_fatal(u, r))
		return r;
	if (r >= 0)
		r = ko_shrink(kept->ko);
	if (r < 0) {
		wrap(err, r, "module %s", kept->is.name);
		set_standing(kept, kept->is.doubtful ? STANDING_OTHER : STANDING_UNKNOWN,
			     err->text);
	}
	kept->ready = r >= 0;
	return 0;
}

/* Is it what it will be the next time? */
static bool is_certain(const struct module_reference *module)
{
	return (module->standing == STANDING_SHIPPED && !module->doubtful) ||
	       module->standing == STANDING_LACKED;
}

/* Forget what is not loaded any more, and what could not be told last time. */
static void forget(const struct update *u)
{
	struct module_references *references = u->references;

	for (size_t i = 0; i < references->list.n; i++)
		references->list.v[i]->seen = false;
	for (size_t i = 0; i < u->modules->list.n; i++) {
		struct kept *kept = find(references, &u->modules->list.v[i]);

		if (kept && u->modules->list.v[i].state == MODULE_LIVE)
			kept->seen = true;
	}
	for (size_t i = references->list.n; i-- > 0;)
		if (!references->list.v[i]->seen || !is_certain(&references->list.v[i]->is))
			remove_at(references, i);
}

static int update_all(const struct update *u, struct err *err)
{
	int r = 0;

	forget(u);
	for (size_t i = 0; i < u->modules->list.n && r >= 0; i++) {
		const struct module_info *module = &u->modules->list.v[i];

		if (module->state == MODULE_LIVE && !module->error && module->name[0] &&
		    !find(u->references, module))
			r = add(u, module, err);
	}
	/* Only now all exports are known. */
	for (size_t i = 0; i < u->references->list.n && r >= 0; i++) {
		struct kept *kept = u->references->list.v[i];

		if (kept->is.standing == STANDING_SHIPPED && !kept->ready)
			r = prepare(u, kept, err);
	}
	return r;
}

int module_references_of(struct reference *reference, const struct kernel *kernel,
			 struct view *view, const struct kernel_image *image,
			 const struct modules *modules, struct module_references **ret,
			 struct err *err)
{
	struct reference_kept *state = reference_kept(reference, KEEP_MODULES);
	struct err own = { 0 };
	struct update u = {
		.reference = reference, .kernel = kernel, .view = view, .image = image,
		.modules = modules,
	};
	int r = 0;

	if (!state->state) {
		state->state = calloc(1, sizeof(struct module_references));
		if (!state->state)
			return err_set(err, -ENOMEM, "no memory for modules");
		state->free = references_free;
	}
	u.references = state->state;
	if (!u.references->exports)
		r = exports_read(image, &u.references->exports, err);
	if (r >= 0)
		r = update_all(&u, err ? err : &own);
	if (r >= 0)
		*ret = u.references;
	return r;
}
