/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_REPORT_REPORT_H
#define HVSM_REPORT_REPORT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "check/sweep.h"
#include "keeper/keeper.h"
#include "linux/kernel.h"
#include "reference/reference.h"
#include "report/identity.h"

/*
 * What one sweep found out about one guest, for a person (text) or a program (JSON,
 * "hvsm.report/1", docs/hvsm.report.1.schema.json). A report only points at its parts, which
 * must outlive it, and never reads the guest.
 */
struct report {
	const struct identity *guest;
	const struct kernel *kernel;
	const struct sweep *sweep;
	const struct reference_source *reference;	/* what it was compared with; NULL: none */
	const struct keeper_agent *agent;	/* NULL: no copy of it at hand, so not covered */
};

/* The report as JSON; a new reference, NULL: no memory. */
json_t *report_json(const struct report *report);

/* {os, release, banner, build_id, text_base, paging_levels, symbols}; as report_json(). */
json_t *report_kernel_json(const struct kernel *kernel);

/* What the agent is, by all that its checks saw; there must be one (@report->agent). */
enum keeper_state report_agent_state(const struct report *report);

/**
 * report_assurance - what stands behind the verdict
 *
 * ASSURANCE_REFERENCE where all of the kernel's and its modules' code and constants were
 * compared with what the distribution shipped; the least of what the checks stand on where
 * that is a baseline; ASSURANCE_NONE where a part was not compared, or not all of it was seen.
 */
enum assurance report_assurance(const struct report *report);

#endif
