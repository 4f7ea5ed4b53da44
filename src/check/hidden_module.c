/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "check/check.h"
#include "check/code.h"
#include "linux/exec.h"
#include "linux/execmem.h"
#include "linux/module_scan.h"

/* Searches for the struct of a module that only its code gave away: each reads much. */
#define SCANS_MAX 4u

/* Runs of code without an owner that are told one by one. */
#define UNOWNED_MAX 64u

struct hidden {
	struct check_run *run;
	const struct kernel *kernel;
	struct view *view;
	struct owners *owners;
	const struct modules *modules;
	struct exec_ranges exec;
	unsigned scans;
	bool flux;		/* the kernel is loading or unloading something */
};

static const char *shown_name(const struct module_info *module, char *buf, size_t size)
{
	if (module->name[0])
		snprintf(buf, size, "%s", module->name);
	else
		snprintf(buf, size, "(no name) at %#" PRIx64, module->at.v);
	return buf;
}

/* The finding about a module: one, however many facts speak against it. */
static struct finding *module_finding(struct hidden *hidden, const struct module_info *module,
				      const char *title)
{
	char name[MODULE_NAME_MAX + 32];
	struct finding *finding;

	finding = check_finding(hidden->run, SEVERITY_CRITICAL, "module", module->at, "%s",
				shown_name(module, name, sizeof(name)));
	if (title)
		finding_title(finding, "%s", title);
	finding_owner(finding, "module %s", name);
	return finding;
}

static bool has_memory(const struct module_info *module)
{
	return module->size_bytes > 0;
}

/*
 * What may be missing while a module is loaded or unloaded: from sysfs until shortly before
 * its init function runs, and once its exit function ended (kernel/module/main.c,
 * load_module() and free_module()). From the list and the tree nothing may be missing
 * before it is missing from both.
 */
static void check_ways(struct hidden *hidden, const struct module_info *module)
{
	static const struct {
		unsigned by;
		const char *where, *title;
	} ways[] = {
		{ MODULE_BY_LIST, "the list of modules",
		  "Module that is hidden from the list of modules" },
		{ MODULE_BY_TREE, "the tree of module addresses",
		  "Module that is hidden from the tree of module addresses" },
		{ MODULE_BY_SYSFS, "/sys/module", "Module that is hidden from /sys/module" },
	};
	unsigned missing = MODULE_BY_ALL & ~module->found_by & hidden->modules->walked;
	bool first = true;

	if (!has_memory(module))
		missing &= ~(unsigned)MODULE_BY_TREE;
	if (missing & MODULE_BY_SYSFS && module->found_by & MODULE_BY_LIST &&
	    module->state != MODULE_LIVE) {
		missing &= ~(unsigned)MODULE_BY_SYSFS;
		if (module->state != MODULE_UNFORMED)
			check_inconclusive(hidden->run, "module %s is just being %s", module->name,
					   module->state == MODULE_COMING ? "loaded" : "unloaded");
	}
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		struct finding *finding;

		if (!(missing & ways[i].by))
			continue;
		finding = module_finding(hidden, module, first ? ways[i].title : NULL);
		finding_evidence(finding, "struct module", module->at, NULL, ways[i].where,
				 "it is not there");
		first = false;
	}
}

/* Executable bytes within [start, start + size). */
static uint64_t exec_bytes(const struct exec_ranges *exec, gva start, uint64_t size)
{
	size_t low = 0, high = exec->list.n;
	uint64_t sum = 0;

	/* The first range that ends behind @start. */
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		const struct exec_range *range = &exec->list.v[mid];

		if (range->start.v + (range->size_bytes - 1) < start.v)
			low = mid + 1;
		else
			high = mid;
	}
	for (; low < exec->list.n && exec->list.v[low].start.v < start.v + size; low++) {
		const struct exec_range *range = &exec->list.v[low];
		uint64_t from = range->start.v > start.v ? range->start.v : start.v;
		uint64_t end = range->start.v + range->size_bytes;

		sum += (end < start.v + size ? end : start.v + size) - from;
	}
	return sum;
}

static bool is_printable(const char *name)
{
	if (!*name)
		return false;
	for (; *name; name++)
		if (*name <= ' ' || *name > '~' || *name == '/')
			return false;
	return true;
}

/*
 * /proc/modules leaves out what is unformed. Code becomes executable a moment before a module that
 * is loaded is formed (complete_formation()); it has its init code then. One that is unloaded
 * has given up its last reference, and waits, perhaps for those who patch code (free_module(),
 * text_mutex). Neither has an entry in sysfs. On a busy host these moments may last.
 */
static bool is_changing(const struct module_info *module)
{
	return !(module->found_by & MODULE_BY_SYSFS) &&
	       (module->area[MODULE_INIT_TEXT].size_bytes || module->refcount < 0);
}

static void check_self(struct hidden *hidden, const struct module_info *module)
{
	const struct module_area *text = &module->area[MODULE_TEXT];
	uint64_t executable = exec_bytes(&hidden->exec, text->at, text->size_bytes);
	struct finding *finding;
	char found[96];

	if (!is_printable(module->name)) {
		finding = module_finding(hidden, module, "Module whose name was wiped");
		finding_evidence(finding, "name of the module", module->at, NULL, "a name",
				 module->name);
	}
	if (module->state == MODULE_UNFORMED && executable && is_changing(module)) {
		check_inconclusive(hidden->run, "module %s is just being loaded or unloaded",
				   module->name);
	} else if (module->state == MODULE_ODD ||
		   (module->state == MODULE_UNFORMED && executable)) {
		finding = module_finding(hidden, module, "Module that is hidden by its state");
		finding_evidence(finding, "state of the module", module->at, NULL, "Live",
				 module_state_name(module->state));
	}
	/* Freed before it lives; what is left to name as such would own other code. */
	if (module->state == MODULE_LIVE && (module->area[MODULE_INIT_TEXT].size_bytes ||
					     module->block[1].size_bytes))
		check_inconclusive(hidden->run, "module %s still has its init code",
				   module->name);
	/* A module whose text reaches further than its code would own other code. */
	if (module->state == MODULE_LIVE && executable < text->size_bytes) {
		finding = module_finding(hidden, module, "Module that claims more than its code");
		snprintf(found, sizeof(found), "%#" PRIx64 " of %#" PRIx64 " bytes are executable",
			 executable, text->size_bytes);
		finding_evidence(finding, "text of the module", text->at, NULL,
				 "all of it executable", found);
	}
	if (module->error)
		check_inconclusive(hidden->run, "module %s at %#" PRIx64 " cannot be read",
				   module->name, module->at.v);
}

/*
 * The memory that holds a module's text is all of one block that was given out, so that no
 * module can be made to own its neighbour.
 */
static int check_memory(struct hidden *hidden, const struct module_info *module, struct err *err)
{
	const struct module_area *area = module->block[0].size_bytes ? &module->block[0] :
								       &module->area[MODULE_TEXT];
	struct execmem_block block = { gva_of(0), 0 };
	struct finding *finding;
	char expected[64], found[64];
	int r;

	if (!area->size_bytes)
		return 0;
	r = execmem_at(hidden->kernel, hidden->view, area->at, &block, err);
	if (r == -ENOTSUP)
		return 0;
	if (r < 0 && r != -ENOENT)
		return r;
	if (block.start.v == area->at.v &&
	    block.size_bytes == ((area->size_bytes + GUEST_PAGE_MASK) & ~GUEST_PAGE_MASK))
		return 0;
	finding = module_finding(hidden, module, "Module that claims more than its memory");
	snprintf(expected, sizeof(expected), "%#" PRIx64 "+%#" PRIx64, block.start.v,
		 block.size_bytes);
	snprintf(found, sizeof(found), "%#" PRIx64 "+%#" PRIx64, area->at.v, area->size_bytes);
	finding_evidence(finding, "memory of the module", area->at, NULL,
			 r < 0 ? "memory that was given out" : expected, found);
	return 0;
}

/* --- the tree's nodes, each against the module that it names --- */

static bool is_area(const struct module_info *module, gva start, uint64_t size)
{
	for (unsigned i = 0; i < MODULE_AREAS; i++)
		if (module->area[i].at.v == start.v && module->area[i].size_bytes == size)
			return true;
	return (module->block[0].at.v == start.v && module->block[0].size_bytes == size) ||
	       (module->block[1].at.v == start.v && module->block[1].size_bytes == size);
}

static unsigned areas_of(const struct module_info *module)
{
	unsigned blocks = 0, areas = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(module->block); i++)
		blocks += module->block[i].size_bytes > 0;
	for (unsigned i = 0; i < MODULE_AREAS; i++)
		areas += module->area[i].size_bytes > 0;
	return blocks ? blocks : areas;
}

static void check_node(struct hidden *hidden, const struct module_node *node,
		       uint64_t struct_bytes, unsigned *nodes)
{
	const struct module_info *module = modules_find(hidden->modules, node->module);
	struct finding *finding;
	char found[96];

	if (!module)
		return;
	nodes[module - hidden->modules->list.v]++;
	if (node->node.v - module->at.v < struct_bytes && node->copies == 3 &&
	    is_area(module, node->start, node->size_bytes))
		return;
	finding = module_finding(hidden, module, "Module with a forged node in the address tree");
	snprintf(found, sizeof(found), "%#" PRIx64 "+%#" PRIx64 " in tree%s%s", node->start.v,
		 node->size_bytes, node->copies & 1 ? " 0" : "", node->copies & 2 ? " 1" : "");
	finding_evidence(finding, "node of the address tree", node->node, NULL,
			 "in the module, for one of its areas, in both trees", found);
}

static int check_tree(struct hidden *hidden, struct err *err)
{
	struct module_nodes list = { 0 };
	cleanup(freep) unsigned *nodes = NULL;
	struct field module_size;
	int r;

	if (!(hidden->modules->walked & MODULE_BY_TREE))
		return 0;
	nodes = calloc(hidden->modules->list.n + 1, sizeof(*nodes));
	if (!nodes)
		return -ENOMEM;
	r = types_field(hidden->kernel->types, "module", &module_size, err);
	if (r >= 0)
		r = module_nodes_read(hidden->kernel, hidden->view, &list, err);
	for (size_t i = 0; r >= 0 && i < list.list.n; i++)
		check_node(hidden, &list.list.v[i], module_size.size_bytes, nodes);
	for (size_t i = 0; r >= 0 && i < hidden->modules->list.n; i++) {
		const struct module_info *module = &hidden->modules->list.v[i];
		struct finding *finding;

		if (!nodes[i] || nodes[i] >= areas_of(module))
			continue;
		finding = module_finding(hidden, module,
					 "Module with memory that is not in the address tree");
		finding_evidence(finding, "struct module", module->at, NULL,
				 "a node for each of its areas", "some are not there");
	}
	check_covered(hidden->run, "tree nodes", list.list.n);
	module_nodes_free(&list);
	return r;
}

/* --- code that is there, whatever the lists say --- */

/* Does one of the modules that are missing from some list own this code? */
static const struct module_info *known_module(const struct hidden *hidden, gva at)
{
	for (size_t i = 0; i < hidden->modules->list.n; i++)
		if (module_has(&hidden->modules->list.v[i], at, NULL))
			return &hidden->modules->list.v[i];
	return NULL;
}

static void describe_range(const struct hidden *hidden, struct finding *finding,
			   const struct exec_range *range)
{
	char found[96];

	snprintf(found, sizeof(found), "%" PRIu64 " KiB, executable%s", range->size_bytes >> 10,
		 range->rights & MAP_WRITE ? " and writable" : "");
	finding_evidence(finding, "memory in the module space", range->start, NULL,
			 "code of a listed module, BPF, ftrace or kprobes", found);
	code_evidence_bytes(hidden->run, hidden->owners, finding, "code there", range->start);
}

/*
 * Nobody holds a module that is not listed yet or was taken off the list: it has no reference
 * count yet, or none any more. It is made in one piece with its init code, before it is listed
 * (load_module(), where its text may be executable from the start: execmem's caches); when it
 * is off the list it is unformed, and its memory goes (free_module()).
 */
static bool is_in_flight(const struct module_info *module)
{
	if (module->refcount >= 0)
		return false;
	return module->state == MODULE_UNFORMED ||
	       (module->state == MODULE_LIVE && (module->area[MODULE_INIT_TEXT].size_bytes ||
						 module->block[1].size_bytes));
}

static int check_range(struct hidden *hidden, const struct exec_range *range, struct err *err)
{
	const struct module_info *known = known_module(hidden, range->start);
	struct module_info module = { 0 };
	struct finding *finding;
	struct owner owner;
	int r = -ENOENT;

	/* Whoever stands behind the break of a list that cannot be walked owns it. */
	if (!(hidden->modules->walked & MODULE_BY_LIST))
		return 0;
	if (known && !(known->found_by & MODULE_BY_LIST)) {
		describe_range(hidden, module_finding(hidden, known, NULL), range);
		return 0;
	}
	if (hidden->scans++ < SCANS_MAX)
		r = module_scan(hidden->kernel, hidden->view, range->start, range->size_bytes,
				&module, err);
	if (r >= 0 && is_in_flight(&module)) {
		check_inconclusive(hidden->run, "module %s is just being loaded or unloaded",
				   module.name);
	} else if (r >= 0 && (module.state == MODULE_LIVE || !hidden->flux)) {
		finding = module_finding(hidden, &module, "Module that is in no list");
		finding_evidence(finding, "struct module", module.at, NULL,
				 "the list, the tree of addresses and /sys/module",
				 "it is in none of them; its code gave it away");
		describe_range(hidden, finding, range);
	} else if (hidden->flux) {
		check_inconclusive(hidden->run, "a module is just being loaded or unloaded");
	} else {
		finding = check_finding(hidden->run, SEVERITY_CRITICAL, "module-code",
					range->start, "code at %#" PRIx64, range->start.v);
		finding_title(finding, "Code in the module space that no one owns");
		exec_describe(hidden->owners, range, &owner);
		finding_owner(finding, "%s", owner.text);
		describe_range(hidden, finding, range);
	}
	module_free(&module);
	return r == -ESRCH || r == -ENOMEM ? r : 0;
}

/* Who corrupts what tells of loading and unloading gets no excuse from it. */
static void ask_flux(struct hidden *hidden)
{
	struct err why = { 0 };
	int r = module_in_flux(hidden->kernel, hidden->view, &why);

	hidden->flux = r > 0;
	if (r < 0)
		check_inconclusive(hidden->run, "whether modules are being loaded: %s", why.text);
}

static int check_code(struct hidden *hidden, struct err *err)
{
	uint64_t bytes = 0;
	unsigned unowned = 0;
	int r = 0;

	for (size_t i = 0; i < hidden->exec.list.n && r >= 0; i++) {
		const struct exec_range *range = &hidden->exec.list.v[i];

		if (!module_space_has(hidden->kernel, range->start))
			continue;
		bytes += range->size_bytes;
		if (range->kind != OWNER_NONE || exec_is_unsure(&hidden->exec))
			continue;
		if (!unowned++)
			ask_flux(hidden);
		if (unowned > UNOWNED_MAX) {
			check_inconclusive(hidden->run, "more code without an owner than is told");
			break;
		}
		r = check_range(hidden, range, err);
	}
	check_covered(hidden->run, "KiB of module code", bytes >> 10);
	return r;
}

/* What a list that lies ends is that one look, and no other. */
static int first(int r, int now)
{
	return r < 0 ? r : now;
}

static int check_all(struct hidden *hidden, struct err *err)
{
	int r;

	hidden->modules = owners_modules(hidden->owners);
	if (!(hidden->modules->walked & MODULE_BY_LIST))
		check_inconclusive(hidden->run, "the list of modules cannot be walked to its end");
	else if (owners_modules_error(hidden->owners))
		check_inconclusive(hidden->run, "not all modules could be read");

	r = exec_read(hidden->kernel, hidden->view, hidden->owners, &hidden->exec, err);
	if (r < 0)
		return r;
	if (hidden->exec.owners_error)
		check_inconclusive(hidden->run, "owners of code: %s", hidden->exec.why.text);
	for (size_t i = 0; i < hidden->modules->list.n; i++) {
		check_ways(hidden, &hidden->modules->list.v[i]);
		check_self(hidden, &hidden->modules->list.v[i]);
		r = first(r, check_memory(hidden, &hidden->modules->list.v[i],
					  r < 0 ? NULL : err));
	}
	check_covered(hidden->run, "modules", hidden->modules->list.n);
	r = first(r, check_tree(hidden, r < 0 ? NULL : err));
	return first(r, check_code(hidden, r < 0 ? NULL : err));
}

static int hidden_module_run(struct check_run *run, struct err *err)
{
	struct hidden hidden = {
		.run = run, .kernel = check_kernel(run), .view = check_view(run),
	};
	int r;

	r = check_owners(run, &hidden.owners, err);
	if (r >= 0)
		r = check_all(&hidden, err);
	exec_free(&hidden.exec);
	owners_close(&hidden.owners);
	return r;
}

CHECK(hidden_module,
	.id = "hidden-module",
	.group = GROUP_HIDDEN,
	.title = "Module that is hidden",
	.proves = "Every module is in the list, the address tree and /sys/module alike, under a "
		  "name; and every executable page of the module space belongs to one of them, or "
		  "to BPF, ftrace or kprobes.",
	.techniques = TECHNIQUES("T1014", "T1547.006", "T1564"),
	.fuel_max = 100000,
	.run = hidden_module_run);
