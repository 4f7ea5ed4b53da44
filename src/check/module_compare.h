/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_CHECK_MODULE_COMPARE_H
#define HVSM_CHECK_MODULE_COMPARE_H

#include "check/check.h"
#include "check/difference.h"
#include "reference/module_reference.h"

/* What comparing modules needs, and how much of them it compared. */
struct module_compare {
	struct check_run *run;
	struct owners *owners;
	struct explainer *explainer;
	uint64_t code_bytes, constant_bytes;	/* compared */
	uint64_t explained;			/* bytes that differ, with a reason */
};

enum module_comparison {
	MODULE_SAME,	/* or is being patched: then the run is inconclusive */
	MODULE_DIFFERS,	/* which was reported */
	MODULE_OTHER,	/* a doubtful one that is another build indeed: nothing was reported */
};

/**
 * module_compare - hold a module against what was shipped of it, and report what differs
 *
 * Its code; its constants, with the tables that the kernel sorts or fills in when it loads a
 * module; and that there is nothing between them and behind them. What a module writes to
 * (.data, .bss, what is constant from init on) and what was freed after init is not compared.
 *
 * Return: enum module_comparison, -ENOMEM, or as view_read().
 */
nodiscard int module_compare(struct module_compare *compare, const struct module_info *module,
			     const struct module_reference *reference, struct err *err);

/* The same of the parts that are code, and of nothing else: what the caller made of them. */
nodiscard int module_compare_code(struct module_compare *compare, const struct module_info *module,
				  const struct module_reference *reference, struct err *err);

#endif
