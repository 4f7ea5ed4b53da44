/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_MONITOR_POLICY_H
#define HVSM_MONITOR_POLICY_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/vec.h"
#include "monitor/config.h"

/*
 * What follows from a report: which findings are allowed, how bad the others are, what the
 * verdict is then, and what is to be done. Nothing here touches a guest or a file; reaction.h
 * does. What a scanner reports is hostile: a report that is not in the form of hvsm.report/1 is
 * refused as a whole.
 *
 * A report may be of some checks only, so what is known of a guest is put together from several
 * (struct policy_memory). Nothing is ever taken out of a report: policy_apply() adds to it.
 */
#define FINDING_ID_TEXT 17u	/* 16 hex digits, terminated */

struct policy_finding {
	char id[FINDING_ID_TEXT];
	const char *check;		/* the report's */
	enum severity severity;		/* as configured; what the check says is in the report */
	const struct config_allow *allowed;	/* by this rule; NULL: by none */
	const struct config_allow *expired;	/* it would be, had this rule not expired */
	const json_t *json;		/* the report's */
};

/* What the report says of one check, with what is allowed left out. */
struct policy_check {
	const char *id;			/* the report's */
	enum verdict verdict;
	bool silent;			/* not covered: nothing is over by it */
};

struct policy_outcome {
	enum verdict verdict;	/* of this report; see policy_verdict() for the guest's */
	VEC(struct policy_finding) findings;
	VEC(struct policy_check) checks;
};

/**
 * policy_apply - judge a report
 * @guest:  what holds for the guest
 * @report: hvsm.report/1; "policy" is added to it and to each finding (docs/json.md). It must
 *          outlive @ret.
 * @now_s:  since 1970
 * @ret:    policy_outcome_free() on success
 *
 * A check whose findings are all allowed is clean only where it has seen everything.
 *
 * Return: 0, -EBADMSG (not hvsm.report/1), -ELOOP (REPORT_FINDINGS_MAX), -ENOMEM.
 */
nodiscard int policy_apply(const struct guest_config *guest, json_t *report, int64_t now_s,
			   struct policy_outcome *ret, struct err *err);
void policy_outcome_free(struct policy_outcome *outcome);

struct policy_known_check {
	uint64_t check;		/* hash of its id */
	enum verdict verdict;	/* when it ran last */
};

/* A reaction to a finding that is still open, or, where finding is 0, to a verdict. Hashes. */
struct policy_done {
	uint64_t reaction;
	uint64_t finding;
	uint64_t check;		/* of the finding; or the verdict from which it holds */
	uint64_t by;		/* the finding that it was carried out for: one counts for all */
};

/* A finding that was allowed when it was reported last. Hashes. */
struct policy_allowed {
	uint64_t finding;
	uint64_t check;
};

/* What was reported of one guest so far, and reacted to. Start with {0}. */
struct policy_memory {
	VEC(struct policy_known_check) checks;
	VEC(struct policy_done) done;
	VEC(struct policy_allowed) allowed;	/* by the finding's hash */
};

void policy_memory_free(struct policy_memory *memory);

/* The guest's verdict, of what each check said when it ran last; no check: inconclusive. */
enum verdict policy_verdict(const struct policy_memory *memory);

/* A check is switched off: how it ended last counts no more. */
void policy_forget(struct policy_memory *memory, const char *check);

/* Was a finding, by its id, allowed when it was reported last? Not where it never was. */
bool policy_is_allowed(const struct policy_memory *memory, const char *finding);

/* How bad a check's findings of @severity are, as configured. */
enum severity policy_severity(const struct guest_config *guest, const char *check,
			      enum severity severity);

/* Carry out this, because of that. */
struct policy_decision {
	const struct config_reaction *reaction;
	char finding[FINDING_ID_TEXT];	/* "": it is the verdict */
	const json_t *json;		/* the finding, of the report; NULL: it is the verdict */
};

struct policy_decisions {
	VEC(struct policy_decision) list;
};

/**
 * policy_decide - which reactions to carry out now
 * @memory:  of this guest; learns of the report, and that what is in @ret was done
 * @outcome: of policy_apply()
 * @ret:     in the order of the guest's reactions and the report's findings; vec_free() its list
 *
 * A finding that stays open is reacted to once; closed (its check ran and did not find it any
 * more), or allowed, and found again it is a new one. A verdict is reacted to once until it is
 * better than what the reaction is to. Of what touches the guest there is one decision at most
 * for each reaction, whatever was found; of others, REACTIONS_ASKED_MAX: the rest is decided with
 * the next report.
 *
 * Return: 0, -ENOMEM (nothing counts as done that was not).
 */
nodiscard int policy_decide(struct policy_memory *memory, const struct config *config,
			    const struct guest_config *guest,
			    const struct policy_outcome *outcome, struct policy_decisions *ret);

/*
 * It could not be carried out: the next report with the same finding, or verdict, decides anew; or
 * with any other that it was to be done for at the same time.
 */
void policy_undone(struct policy_memory *memory, const char *reaction, const char *finding);

#endif
