/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_REFERENCE_MODULE_REFERENCE_H
#define HVSM_REFERENCE_MODULE_REFERENCE_H

#include "linux/module.h"
#include "reference/kernel_image.h"
#include "reference/patch.h"
#include "reference/reference.h"

/*
 * The modules of a guest as they were shipped: fetched, laid out, relocated and patched once,
 * and kept with the reference until they are unloaded.
 */
struct module_references;

enum module_standing {
	STANDING_SHIPPED,	/* it is in the reference: compare it */
	STANDING_LACKED,	/* the reference has no such module */
	STANDING_OTHER,		/* it has one of this name, of which this is another build */
	STANDING_MISFIT,	/* it says that it is one of the reference, and cannot be */
	STANDING_UNKNOWN,	/* what is needed to tell could not be read */
};

struct module_reference {
	gva at;				/* its struct module */
	gva base;			/* of its text */
	char name[MODULE_NAME_MAX];
	enum module_standing standing;
	char why[192];			/* unless it is shipped: for a person */

	/*
	 * Shipped, but its build ID is not the reference's, although it has the same layout: where
	 * it is equal but for a little more than that, that note was forged, and all of it is told.
	 */
	bool doubtful;

	struct shipped shipped;		/* as it should be; if it is shipped */
	struct sites sites;
};

/**
 * module_references_of - the modules of the guest
 * @modules: as they are now; only those that are alive are looked for
 * @ret:     belongs to @reference; what it gives out lives until this is called again, or
 *           module_reference_drop()
 *
 * Return: 0 (what is wrong with one module is said there), -ENOENT (a kernel that exports
 *         nothing), -EBADMSG (a damaged kernel), -ELOOP (fuel spent), -ESRCH, -ENOMEM.
 */
nodiscard int module_references_of(struct reference *reference, const struct kernel *kernel,
				   struct view *view, const struct kernel_image *image,
				   const struct modules *modules,
				   struct module_references **ret, struct err *err);

/* What is kept of this module, or NULL: it is not alive. */
const struct module_reference *module_reference_find(const struct module_references *references,
						     const struct module_info *module);

/*
 * Work it out again next time: it was not what the guest has, and what went into it (where
 * other modules lie, which way a key is) may have changed since.
 */
void module_reference_drop(struct module_references *references,
			   const struct module_reference *reference);

#endif
