/* SPDX-License-Identifier: Apache-2.0 */
#include "check/module_foreign.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "reference/baseline.h"

#define TEXT "text"

struct foreign_fields {
	struct field jumps, jumps_n, static_calls, static_calls_n, mcount, mcount_n;
	struct field node, id;
};

static const struct member foreign_members[] = {
	MEMBER_OPTIONAL(struct foreign_fields, jumps, "module.jump_entries"),
	MEMBER_OPTIONAL(struct foreign_fields, jumps_n, "module.num_jump_entries"),
	MEMBER_OPTIONAL(struct foreign_fields, static_calls, "module.static_call_sites"),
	MEMBER_OPTIONAL(struct foreign_fields, static_calls_n, "module.num_static_call_sites"),
	MEMBER_OPTIONAL(struct foreign_fields, mcount, "module.ftrace_callsites"),
	MEMBER_OPTIONAL(struct foreign_fields, mcount_n, "module.num_ftrace_callsites"),
	MEMBER_OPTIONAL(struct foreign_fields, node, "module.mkobj.kobj.sd"),
	MEMBER_OPTIONAL(struct foreign_fields, id, "kernfs_node.id"),
};
LAYOUT(foreign_layout, struct foreign_fields, foreign_members);

struct foreign {
	struct module_compare *compare;
	const struct kernel *kernel;
	struct view *view;
	const struct module_info *module;
	const struct foreign_fields *f;
	struct module_reference made;	/* as it should be, as far as it says so itself */
};

static void foreign_free(struct foreign *foreign)
{
	shipped_free(&foreign->made.shipped);
	sites_free(&foreign->made.sites);
}

static int add_part(struct foreign *foreign, const char *name, gva at, uint64_t n, unsigned flags,
		    struct err *err)
{
	struct shipped_part *part = shipped_add(&foreign->made.shipped, name, at, n, flags);

	return part ? view_read(foreign->view, at, part->bytes, n, err) :
		      err_set(err, -ENOMEM, "no memory for a module's code");
}

/* One of its tables, which lies in its own memory. */
static int add_table(struct foreign *foreign, enum shipped_table table, const struct field *at,
		     const struct field *count, unsigned entry_bytes, struct err *err)
{
	const struct module_info *module = foreign->module;
	const struct module_area *area;
	enum module_area_kind kind;
	gva from = { 0 };
	uint64_t n = 0;
	int r;

	if (!at->there || !count->there)
		return 0;
	r = field_read(foreign->view, module->at, count, &n, err);
	if (r >= 0)
		r = field_ptr(foreign->view, module->at, at, &from, err);
	if (r < 0 || !n || !from.v)
		return r;
	if (!module_has(module, from, &kind))
		return fail(err, -EBADMSG, from, "a table of the module is outside of it");
	area = &module->area[kind];
	if (n > (area->size_bytes - (from.v - area->at.v)) / entry_bytes || kind == MODULE_TEXT)
		return fail(err, -EBADMSG, from, "a table of the module of %llu entries",
			    (unsigned long long)n);
	foreign->made.shipped.table[table] = (struct shipped_range){ from, n * entry_bytes };
	return add_part(foreign, shipped_table_name(table), from, n * entry_bytes, 0, err);
}

static int make(struct foreign *foreign, struct patcher *patcher, struct err *err)
{
	const struct module_area *text = &foreign->module->area[MODULE_TEXT];
	const struct foreign_fields *f = foreign->f;
	struct shipped *shipped = &foreign->made.shipped;
	int r;

	r = add_part(foreign, TEXT, text->at, text->size_bytes, PART_EXEC, err);
	if (r >= 0)
		r = add_table(foreign, TABLE_JUMPS, &f->jumps, &f->jumps_n, 16, err);
	if (r >= 0)
		r = add_table(foreign, TABLE_STATIC_CALLS, &f->static_calls, &f->static_calls_n, 8,
			      err);
	if (r >= 0)
		r = add_table(foreign, TABLE_MCOUNT, &f->mcount, &f->mcount_n, 8, err);
	if (r >= 0)
		r = shipped_sort(shipped, err);
	if (r >= 0)
		r = patch_without_kprobes(foreign->kernel, foreign->view, shipped, err);
	if (r >= 0)
		r = patch_all(patcher, foreign->view, shipped, &foreign->made.sites, err);
	return r;
}

/* A number that no other module of this boot has had; 0: there is none. */
static uint64_t load_id(const struct foreign *foreign)
{
	const struct foreign_fields *f = foreign->f;
	gva node = { 0 };
	uint64_t id = 0;

	if (!f->node.there || !f->id.there ||
	    field_ptr(foreign->view, foreign->module->at, &f->node, &node, NULL) < 0 || !node.v ||
	    field_read(foreign->view, node, &f->id, &id, NULL) < 0)
		return 0;
	return id;
}

/* Which way these are changes at any time, and was compared already. */
static bool is_changing(const struct site *site)
{
	return site->kind == TABLE_JUMPS || site->kind == TABLE_STATIC_CALLS;
}

static bool is_blank(const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (bytes[i])
			return false;
	return true;
}

/* Show what differs from what was recorded: the text is made that, but for what may change. */
static int show(struct foreign *foreign, const struct blob *was, struct err *err)
{
	struct shipped_part *part = (struct shipped_part *)(uintptr_t)
		shipped_part(&foreign->made.shipped, foreign->module->area[MODULE_TEXT].at);

	for (size_t i = 0; i < foreign->made.sites.list.n; i++) {
		const struct site *site = &foreign->made.sites.list.v[i];
		uint64_t at = site->at.v - part->at.v;

		/* What was no such place then is not to become one now. */
		if (is_changing(site) && is_blank(was->data + at, site->size_bytes))
			memcpy(was->data + at, part->bytes + at, site->size_bytes);
	}
	memcpy(part->bytes, was->data, part->size_bytes);
	return module_compare_code(foreign->compare, foreign->module, &foreign->made, err);
}

static int compare_record(struct foreign *foreign, struct err *err)
{
	const struct module_area *text = &foreign->module->area[MODULE_TEXT];
	struct baseline *baseline = check_baseline(foreign->compare->run);
	cleanup(freep) uint8_t *item = malloc(text->size_bytes);
	cleanup(blob_free) struct blob was = { NULL, 0 };
	uint64_t id = load_id(foreign);
	char name[MODULE_NAME_MAX + 48];
	int r;

	if (!baseline || !id || text->size_bytes > BASELINE_ITEM_MAX)
		return ASSURANCE_NONE;
	if (!item)
		return err_set(err, -ENOMEM, "no memory for a module's code");
	memcpy(item, shipped_at(&foreign->made.shipped, text->at, text->size_bytes),
	       text->size_bytes);
	for (size_t i = 0; i < foreign->made.sites.list.n; i++) {
		const struct site *site = &foreign->made.sites.list.v[i];

		if (is_changing(site))
			memset(item + (site->at.v - text->at.v), 0, site->size_bytes);
	}
	snprintf(name, sizeof(name), "module %s %" PRIx64 " text", foreign->module->name, id);
	r = baseline_compare(baseline, name, item, text->size_bytes, &was, err);
	if (r == BASELINE_DIFFERS && was.size != text->size_bytes)
		return err_set(err, -EBADMSG, "the baseline of module %s is of another size",
			       foreign->module->name);
	if (r == BASELINE_DIFFERS)
		r = show(foreign, &was, err);
	else if (r == BASELINE_NEW)
		return ASSURANCE_NONE;
	return r < 0 ? r : ASSURANCE_BASELINE;
}

int module_foreign(struct module_compare *compare, struct patcher *patcher,
		   const struct module_info *module, struct err *err)
{
	cleanup(foreign_free) struct foreign foreign = {
		.compare = compare, .kernel = check_kernel(compare->run),
		.view = check_view(compare->run), .module = module,
	};
	int r;

	if (!module->area[MODULE_TEXT].size_bytes)
		return ASSURANCE_NONE;
	r = types_layout(foreign.kernel->types, &foreign_layout, (const void **)&foreign.f, err);
	if (r >= 0)
		r = make(&foreign, patcher, err);
	if (r >= 0)
		r = module_compare_code(compare, module, &foreign.made, err);
	/* What is not as its own tables say is told, and not recorded. */
	if (r < 0 || r != MODULE_SAME)
		return r < 0 ? r : ASSURANCE_NONE;
	return compare_record(&foreign, err);
}
