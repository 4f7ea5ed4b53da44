/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_REPORT_VERDICT_H
#define HVSM_REPORT_VERDICT_H

#include "check/sweep.h"

/* What a sweep says about a guest, in one word. */
enum verdict {
	VERDICT_CLEAN,		/* every check that ran ended clean */
	VERDICT_INCONCLUSIVE,	/* no finding, but something could not be seen */
	VERDICT_SUSPICIOUS,	/* findings, none above medium */
	VERDICT_COMPROMISED,	/* a finding of severity high or critical */
};

/**
 * verdict_of - judge a sweep
 * A sweep in which no check ran, or none had what it needs, has seen nothing: it is
 * inconclusive, not clean.
 */
enum verdict verdict_of(const struct sweep *sweep);

/* "clean", "inconclusive", "suspicious", "compromised". */
const char *verdict_name(enum verdict verdict);

/*
 * What a program ends with. A target that could not be scanned weighs less than findings in
 * another one, and more than one that is inconclusive: see exit_status_worse().
 */
enum exit_status {
	EXIT_CLEAN = 0,
	EXIT_FINDINGS = 1,
	EXIT_UNSCANNED = 2,	/* usage, or a target that could not be scanned */
	EXIT_INCONCLUSIVE = 3,
};

enum exit_status verdict_exit_status(enum verdict verdict);

/* The status for two targets: 1 (findings) before 2 before 3 before 0. */
enum exit_status exit_status_worse(enum exit_status a, enum exit_status b);

#endif
