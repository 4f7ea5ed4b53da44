/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "check/module_compare.h"
#include "check/module_foreign.h"
#include "reference/self_image.h"

/* What one run of the check knows, and what became of the modules. */
struct checking {
	struct module_compare compare;
	struct patcher *patcher;
	struct self_image self;		/* without a reference: the patcher is its own */
	struct module_references *references;	/* NULL: there is no reference */
	const struct modules *modules;
	uint32_t shipped, lacked;
	char names[160];	/* of those that the reference lacks: "evil (OE), nvidia (POE)" */
};

static void checking_close(struct checking *checking)
{
	explainer_close(&checking->compare.explainer);
	owners_close(&checking->compare.owners);
	self_image_free(&checking->self);
}

static void add_name(struct checking *checking, const struct module_info *module)
{
	size_t have = strlen(checking->names);
	char name[MODULE_NAME_MAX + MODULE_TAINT_MAX + 8];

	snprintf(name, sizeof(name), "%s%s (%s)", have ? ", " : "", module->name,
		 module->taint[0] ? module->taint : "no taint");
	if (have + strlen(name) + 5 < sizeof(checking->names))
		strcpy(checking->names + have, name);
	else if (have < 3 || strcmp(checking->names + have - 3, "…"))
		strcpy(checking->names + have, " …");
}

/* A module that says that it is one of the reference, but does not even have its sections. */
static void tell_misfit(struct checking *checking, const struct module_info *module,
			const struct module_reference *reference)
{
	struct finding *finding;

	finding = check_finding(checking->compare.run, SEVERITY_CRITICAL, "module", module->at,
				"%s", module->name);
	finding_title(finding, "Module is not what was shipped under its name");
	finding_owner(finding, "module %s", module->name);
	finding_evidence(finding, "sections", module->at, NULL, "those of the module's file",
			 reference->why);
}

/* What is left of the init part is freed at once: as long as it is there, it is not compared. */
static bool is_settled(const struct module_info *module)
{
	return module->state == MODULE_LIVE && !module->area[MODULE_INIT_TEXT].size_bytes;
}

/* Nothing that was shipped to compare it with: who it is, is said. */
static int check_lacked(struct checking *checking, const struct module_info *module, bool other,
			struct err *err)
{
	struct check_run *run = checking->compare.run;
	int r;

	checking->lacked++;
	add_name(checking, module);
	/* A module of someone else may bear the same name; the distribution's own may not. */
	if (other && !module->taint[0])
		check_inconclusive(run, "module %s is another build than the reference's, although "
				   "the kernel takes it for its own", module->name);
	r = module_foreign(&checking->compare, checking->patcher, module, err);
	check_stands_on(run, r < 0 ? ASSURANCE_NONE : (enum assurance)r);
	if (r == -EBADMSG || r == -EFAULT) {
		check_inconclusive(run, "module %s: %s", module->name, err->text);
		r = 0;
	}
	return r < 0 ? r : 0;
}

static int check_shipped(struct checking *checking, const struct module_info *module,
			 const struct module_reference *reference, struct err *err)
{
	int r = module_compare(&checking->compare, module, reference, err);

	if (r == MODULE_OTHER)
		return check_lacked(checking, module, true, err);
	checking->shipped++;
	check_stands_on(checking->compare.run, ASSURANCE_REFERENCE);
	if (r != MODULE_SAME)
		module_reference_drop(checking->references, reference);
	return r < 0 ? r : 0;
}

static int check_module(struct checking *checking, const struct module_info *module,
			struct err *err)
{
	struct check_run *run = checking->compare.run;
	const struct module_reference *reference;

	if (module->error) {
		check_inconclusive(run, "module %s could not be read", module->name);
		return 0;
	}
	if (!is_settled(module))
		check_inconclusive(run, "module %s is just being loaded or unloaded", module->name);
	if (!checking->references)
		return check_lacked(checking, module, false, err);
	reference = module_reference_find(checking->references, module);
	if (!reference) {
		check_inconclusive(run, "the module at %#" PRIx64 " cannot be compared",
				   module->at.v);
		return 0;
	}
	switch (reference->standing) {
	case STANDING_SHIPPED:
		return check_shipped(checking, module, reference, err);
	case STANDING_MISFIT:
		tell_misfit(checking, module, reference);
		checking->shipped++;
		break;
	case STANDING_LACKED:
	case STANDING_OTHER:
		return check_lacked(checking, module, reference->standing == STANDING_OTHER, err);
	default:
		check_inconclusive(run, "module %s: %s", module->name, reference->why);
	}
	return 0;
}

/* What of the guest decides how modules are patched: by the reference, or by its own account. */
static int find_patcher(struct checking *checking, const struct kernel_image **image,
			struct err *err)
{
	struct check_run *run = checking->compare.run;
	int r;

	if (!check_reference(run)) {
		r = self_image_make(check_kernel(run), check_view(run), &checking->self, err);
		checking->patcher = checking->self.patcher;
		return r;
	}
	r = kernel_image_of(check_reference(run), check_kernel(run), check_view(run), image, err);
	if (r >= 0)
		checking->patcher = (*image)->patcher;
	return r;
}

static int checking_open(struct checking *checking, struct check_run *run, struct err *err)
{
	const struct kernel *kernel = check_kernel(run);
	const struct kernel_image *image = NULL;
	struct view *view = check_view(run);
	int r;

	checking->compare.run = run;
	r = find_patcher(checking, &image, err);
	if (r >= 0)
		r = check_owners(run, &checking->compare.owners, err);
	if (r < 0)
		return r;
	checking->modules = owners_modules(checking->compare.owners);
	r = owners_modules_error(checking->compare.owners);
	if (r < 0)
		check_inconclusive(run, "the modules cannot be listed completely");
	r = explainer_open(checking->patcher, view, checking->compare.owners,
			   &checking->compare.explainer, err);
	if (r >= 0 && image)
		r = module_references_of(check_reference(run), kernel, view, image,
					 checking->modules, &checking->references, err);
	return r;
}

static void sum_up(struct checking *checking)
{
	struct check_run *run = checking->compare.run;

	check_covered(run, "modules", checking->shipped);
	check_covered(run, "KiB of code", checking->compare.code_bytes >> 10);
	check_covered(run, "KiB of constants", checking->compare.constant_bytes >> 10);
	check_covered(run, "bytes patched since load", checking->compare.explained);
	check_covered(run, "modules by their own account", checking->lacked);
	if (checking->lacked && checking->references)
		check_note(run, "the reference lacks %" PRIu32 " of the modules: %s",
			   checking->lacked, checking->names);
	if (checking->modules->list.n)
		return;
	check_stands_on(run, checking->references ? ASSURANCE_REFERENCE : ASSURANCE_BASELINE);
	check_note(run, "no module is loaded");
}

static int module_code_run(struct check_run *run, struct err *err)
{
	cleanup(checking_close) struct checking checking = { 0 };
	int r;

	if (!check_reference(run) && !check_baseline(run)) {
		check_not_covered(run, "there is no reference of the modules of this kernel, and "
				  "no record of this boot");
		return 0;
	}
	r = checking_open(&checking, run, err);
	for (size_t i = 0; r >= 0 && i < checking.modules->list.n; i++)
		r = check_module(&checking, &checking.modules->list.v[i], err);
	if (r >= 0)
		sum_up(&checking);
	return r;
}

CHECK(module_code,
	.id = "module-code",
	.group = GROUP_CODE,
	.title = "Code or constants of a module are not what was shipped",
	.proves = "The code, the constants and the kernel's tables of every loaded module are, "
		  "byte by byte, what the distribution's package holds, laid out, relocated and "
		  "patched as the kernel does it; nothing lies between or behind them. A module "
		  "that the package lacks is named, and its code is what it was in the first "
		  "sweep that saw it.",
	.techniques = TECHNIQUES("T1014", "T1547.006"),
	.fuel_max = 120000,
	.run = module_code_run);
