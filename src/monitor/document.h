/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_MONITOR_DOCUMENT_H
#define HVSM_MONITOR_DOCUMENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "check/finding.h"
#include "report/cursor.h"
#include "report/verdict.h"

struct control;
struct picture_guest;

/*
 * What control knows, as JSON (docs/json.md): for the command line's socket and for HTTP. Each
 * function gives a new reference; NULL: @err says why, or memory ran out.
 */
json_t *document_status(const struct control *control, struct err *err);
json_t *document_guests(const struct control *control, struct err *err);
json_t *document_incidents(const struct control *control);

/* One guest, by its place in the picture, with the result of each check. */
json_t *document_guest(const struct control *control, size_t n, struct err *err);

enum document_state {
	DOCUMENT_OPEN,
	DOCUMENT_CLOSED,
	DOCUMENT_ALL,
};

/* What to list. */
struct document_query {
	const char *guest;	/* its key, or what it was called; NULL: all */
	const char *key;	/* its key, if that is known: then @guest is not looked at */
	const char *severity;	/* as the check said; NULL: all */
	enum document_state state;
	bool newest;		/* the newest first, else records by id, findings by guest */
	uint64_t after;		/* the oldest first: later ones; findings: leave out so many */
	struct cursor before;	/* the newest first: those before; .seq 0: all */
	uint64_t limit;		/* items at most */
};

/*
 * A page has "next", the "after" or "before" of the next one, or null. Of the newest findings it
 * may have fewer items than the limit, and a next page all the same: those that do not fit are
 * looked at as well.
 */
json_t *document_findings(const struct control *control, const struct document_query *query,
			  struct err *err);
json_t *document_reports(const struct control *control, const struct document_query *query,
			 struct err *err);

/* All that is open, for the socket; @guest: its key; NULL: of all. */
json_t *document_open_findings(const struct control *control, const char *guest,
			       struct err *err);

/* How many guests have that name, UUID, target or key; @ret: the place of one of them. */
size_t document_find(const struct control *control, const char *name, size_t *ret);

/* What is open in one guest. */
struct document_open {
	uint64_t n[SEVERITY_CRITICAL + 1];	/* as bad as the policy has it, not allowed */
	uint64_t all, allowed;			/* the sum of these; those that are allowed */
	enum verdict verdict;			/* by what is not allowed */
};

/**
 * document_open - count what is open
 * @ret: one for each guest of the picture, in its order; free()
 *
 * Return: 0, or as ledger_each_finding().
 */
nodiscard int document_open(const struct control *control, struct document_open **ret,
			    struct err *err);

/*
 * By what is open and not allowed, and by what the policy makes of how the checks ended when they
 * ran last; false: none ran. What is open may be of before control was started anew.
 */
bool document_verdict(const struct control *control, const struct picture_guest *guest,
		      const struct document_open *open, enum verdict *ret);

#endif
