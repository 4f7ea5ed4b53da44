/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_CHECK_MODULE_FOREIGN_H
#define HVSM_CHECK_MODULE_FOREIGN_H

#include "check/module_compare.h"

/**
 * module_foreign - look at the code of a module that the reference lacks
 *
 * Where the module's own tables say that the kernel patches it (jump labels, static calls,
 * calls of ftrace), the code must be as the kernel's structures say; all other bytes must be
 * what they were in the first sweep that saw the module, if there is a baseline. A module that
 * is unloaded and loaded again is another one: sysfs numbers its directories.
 *
 * Return: ASSURANCE_BASELINE (compared with what was recorded), ASSURANCE_NONE (nothing is
 *         recorded yet, or nothing can be), -EBADMSG (tables that cannot be), -ELOOP, -ENOMEM,
 *         or as view_read().
 */
nodiscard int module_foreign(struct module_compare *compare, struct patcher *patcher,
			     const struct module_info *module, struct err *err);

#endif
