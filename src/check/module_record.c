/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "check/check.h"
#include "guest/list.h"
#include "linux/module.h"
#include "linux/peek.h"

/*
 * What a module's own record says must agree with itself, and what else the kernel keeps of
 * modules must lead to one that it lists. A module that rewrites its record to look like
 * another, or like nothing, has to rewrite all of this; one that leaves the list is still in
 * those that few people know.
 *
 * Only of modules that live: until then, and once they go, parts of this are not there.
 */

#define TAINT_UNSIGNED	(1u << 13)	/* TAINT_UNSIGNED_MODULE, include/linux/panic.h */
#define SYM_BYTES	24u		/* Elf64_Sym */
#define SYM_VALUE_AT	8u

struct fields {
	struct field kobj_name, kallsyms, symtab, num_symtab, sig_ok;
	struct field bug_link, tp_link, tp_module, btf_link, btf_module;
};

static const struct member members[] = {
	MEMBER_OPTIONAL(struct fields, kobj_name, "module.mkobj.kobj.name"),
	MEMBER_OPTIONAL(struct fields, kallsyms, "module.kallsyms"),
	MEMBER_OPTIONAL(struct fields, symtab, "mod_kallsyms.symtab"),
	MEMBER_OPTIONAL(struct fields, num_symtab, "mod_kallsyms.num_symtab"),
	MEMBER_OPTIONAL(struct fields, sig_ok, "module.sig_ok"),
	MEMBER_OPTIONAL(struct fields, bug_link, "module.bug_list"),
	MEMBER_OPTIONAL(struct fields, tp_link, "tp_module.list"),
	MEMBER_OPTIONAL(struct fields, tp_module, "tp_module.mod"),
	MEMBER_OPTIONAL(struct fields, btf_link, "btf_module.list"),
	MEMBER_OPTIONAL(struct fields, btf_module, "btf_module.module"),
};
LAYOUT(layout, struct fields, members);

/* What one of the other lists leads to. */
struct entry {
	gva module, link;
	const char *list;
};

struct scan {
	struct check_run *run;
	const struct kernel *kernel;
	struct view *view;
	const struct fields *f;
	struct modules modules;

	/* of the list that is being walked */
	const char *list;
	const struct field *link, *module;	/* @module NULL: the link is in the module itself */
	VEC(struct entry) entries;
};

static struct finding *report(struct scan *scan, gva at, const char *name, const char *title)
{
	struct finding *finding;

	finding = check_finding(scan->run, SEVERITY_CRITICAL, "module", at, "%s",
				name[0] ? name : "(no name)");
	finding_title(finding, "%s", title);
	finding_owner(finding, "module %s", name[0] ? name : "(no name)");
	return finding;
}

/* --- lists of which one of the entries is every module, or some --- */

static int visit_entry(gva link, void *ctx, struct err *err)
{
	struct scan *scan = ctx;
	gva at = field_object(link, scan->link);
	struct entry *entry;
	int r = 0;

	if (scan->module)
		r = field_ptr(scan->view, at, scan->module, &at, err);
	if (r < 0)
		return r;
	entry = vec_add(&scan->entries);
	if (!entry)
		return -ENOMEM;
	*entry = (struct entry){ at, link, scan->list };
	return 0;
}

/*
 * These lists were read before that of the modules: one that was loaded meanwhile is in the
 * latter only, and one that was unloaded lives no more, or its memory is gone.
 */
static int judge_entry(struct scan *scan, const struct entry *entry)
{
	const struct module_info *listed = modules_find(&scan->modules, entry->module);
	struct module_info module = { 0 };
	struct finding *finding;
	int r;

	if (listed && listed->found_by & MODULE_BY_LIST)
		return 0;
	r = module_read(scan->kernel, scan->view, entry->module, false, &module, NULL);
	if (r < 0 || module.state != MODULE_LIVE) {
		check_inconclusive(scan->run, "%s: a module that is not in the list, or goes",
				   entry->list);
	} else {
		finding = report(scan, entry->module, module.name,
				 "Module that the kernel knows and does not list");
		finding_evidence(finding, entry->list, entry->link, NULL, "a listed module",
				 "another one");
	}
	module_free(&module);
	return r == -ESRCH || r == -ELOOP || r == -ENOMEM ? r : 0;
}

static int read_list(struct scan *scan, const char *symbol, const char *what,
		      const struct field *link, const struct field *module, struct err *err)
{
	gva head = symbols_lookup(scan->kernel->symbols, symbol);
	int r;

	if (!head.v || !link->there || (module && !module->there))
		return 0;
	scan->list = what;
	scan->link = link;
	scan->module = module;
	r = list_walk(scan->view, head, MODULES_MAX, visit_entry, scan, err);
	if (r < 0)
		wrap(err, r, "%s", what);
	if (r == -EBADMSG || r == -EFAULT) {
		check_inconclusive(scan->run, "%s", err->text);
		r = 0;
	}
	return r;
}

static int read_lists(struct scan *scan, struct err *err)
{
	const struct fields *f = scan->f;
	int r;

	r = read_list(scan, "module_bug_list", "tables of BUG() of modules", &f->bug_link, NULL,
		       err);
	if (r >= 0)
		r = read_list(scan, "tracepoint_module_list", "modules with tracepoints",
			       &f->tp_link, &f->tp_module, err);
	if (r >= 0)
		r = read_list(scan, "btf_modules", "types of modules", &f->btf_link,
			       &f->btf_module, err);
	check_covered(scan->run, "entries of other lists", scan->entries.n);
	return r;
}

/* --- the record --- */

/* /sys/module shows the name of the kobject, /proc/modules the module's own: they are one. */
static void check_name(struct scan *scan, const struct module_info *module, struct peek *peek)
{
	gva at = peek_object(peek, module->at, &scan->f->kobj_name);
	struct finding *finding;
	char name[MODULE_NAME_MAX];

	if (!at.v || !(module->found_by & MODULE_BY_SYSFS))
		return;
	if (view_string(scan->view, at, name, sizeof(name), NULL) < 0)
		snprintf(name, sizeof(name), "unreadable or too long");
	else if (!strcmp(name, module->name))
		return;
	finding = report(scan, module->at, module->name, "Module that changed its name");
	finding_evidence(finding, "name in /sys/module", at, NULL, module->name, name);
}

/* One that is not validly signed is marked so when it is loaded (load_module()). */
static void check_taint(struct scan *scan, const struct module_info *module, struct peek *peek)
{
	struct finding *finding;
	char found[48];

	if (!scan->f->sig_ok.there || peek_u64(peek, module->at, &scan->f->sig_ok) ||
	    peek->first < 0 || module->taints & TAINT_UNSIGNED)
		return;
	finding = report(scan, module->at, module->name, "Module that reset its taint");
	snprintf(found, sizeof(found), "%#" PRIx64 " '%s'", module->taints, module->taint);
	finding_evidence(finding, "taints of a module without a valid signature", module->at, NULL,
			 "E", found);
}

/* Is a symbol there: a name, and a place in the module, absolute, or undefined? */
static bool is_symbol(struct scan *scan, gva symtab, uint64_t i, struct peek *peek)
{
	uint8_t symbol[SYM_BYTES];
	int r;

	r = view_read(scan->view, gva_add(symtab, i * SYM_BYTES), symbol, sizeof(symbol),
		      peek->first ? NULL : peek->err);
	if (r < 0)
		peek_failed(peek, r);
	for (size_t j = 0; j < sizeof(symbol); j++)
		if (symbol[j])
			return true;
	return r < 0;
}

/*
 * The first entry of a symbol table is empty. Behind it are all that lie in the module's
 * memory, its struct among them (add_kallsyms()), so there is at least one. A kernel whose own data
 * is not in its symbol table (CONFIG_KALLSYMS_ALL) keeps functions only: hvsm does not know it.
 */
static void check_symbols(struct scan *scan, const struct module_info *module,
			  struct peek *peek)
{
	const struct fields *f = scan->f;
	struct finding *finding;
	gva table, symtab;
	char found[64];
	uint64_t n;

	if (!f->kallsyms.there || !f->symtab.there || !f->num_symtab.there)
		return;
	table = peek_object(peek, module->at, &f->kallsyms);
	if (peek->first < 0)
		return;
	symtab = table.v ? peek_object(peek, table, &f->symtab) : table;
	n = table.v ? peek_u64(peek, table, &f->num_symtab) : 0;
	if (peek->first < 0)
		return;
	if (symtab.v && n > 1 && n <= MODULE_SYMBOLS_MAX && is_symbol(scan, symtab, 1, peek) &&
	    is_symbol(scan, symtab, n - 1, peek))
		return;
	finding = report(scan, module->at, module->name, "Module that wiped its symbol table");
	snprintf(found, sizeof(found), "%s, %" PRIu64 " symbols", symtab.v ? "a table" : "no table",
		 n);
	finding_evidence(finding, "symbol table of the module", symtab, NULL,
			 "its functions and objects", found);
}

static int check_record(struct scan *scan, const struct module_info *module, struct err *err)
{
	struct peek peek = peek_at(scan->view, err);

	if (module->state != MODULE_LIVE || module->error || module->refcount < 0)
		return 0;
	check_name(scan, module, &peek);
	check_taint(scan, module, &peek);
	check_symbols(scan, module, &peek);
	if (peek.r < 0)
		return peek.r;
	if (peek.first < 0)
		check_inconclusive(scan->run, "module %s: %s", module->name, err->text);
	return 0;
}

static int scan_all(struct scan *scan, struct err *err)
{
	int r;

	r = types_layout(scan->kernel->types, &layout, (const void **)&scan->f, err);
	if (r >= 0)
		r = read_lists(scan, err);
	if (r < 0)
		return r;
	r = modules_read(scan->kernel, scan->view, MODULE_BY_ALL, &scan->modules, err);
	/* What a list that breaks off does not lead to would look hidden. */
	if (r < 0 && (!(scan->modules.walked & MODULE_BY_LIST) || (r != -EBADMSG && r != -EFAULT)))
		return r;
	if (r < 0)
		check_inconclusive(scan->run, "%s", err->text);
	else if (!scan->modules.list.n)
		check_note(scan->run, "no module is loaded");
	r = 0;
	for (size_t i = 0; r >= 0 && i < scan->modules.list.n; i++)
		r = check_record(scan, &scan->modules.list.v[i], err);
	for (size_t i = 0; r >= 0 && i < scan->entries.n; i++)
		r = judge_entry(scan, &scan->entries.v[i]);
	check_covered(scan->run, "modules", scan->modules.list.n);
	return r;
}

static int module_record_run(struct check_run *run, struct err *err)
{
	struct scan scan = { .run = run, .kernel = check_kernel(run), .view = check_view(run) };
	int r;

	r = scan_all(&scan, err);
	modules_free(&scan.modules);
	vec_free(&scan.entries);
	return r;
}

CHECK(module_record,
	.id = "module-record",
	.group = GROUP_HIDDEN,
	.title = "Module whose own record was forged",
	.proves = "Every live module has its name in /sys/module, its symbols, and the taint of "
		  "its signature; and what else the kernel keeps of modules, tables of BUG(), "
		  "tracepoints and types, leads to modules that are listed.",
	.techniques = TECHNIQUES("T1014", "T1036", "T1070"),
	.fuel_max = 60000,
	.run = module_record_run);
