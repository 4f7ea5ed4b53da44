/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_CHECK_CHECK_H
#define HVSM_CHECK_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/vec.h"
#include "check/finding.h"
#include "check/joined.h"
#include "guest/view.h"
#include "linux/kernel.h"

struct owners;		/* linux/owner.h */
struct reference;	/* reference/reference.h */
struct baseline;	/* reference/baseline.h */
struct keeper;		/* keeper/keeper.h */
struct trust;		/* reference/trust.h */

/*
 * A check compares what the guest's memory says in one place with what it says in another,
 * and ends clean, with findings, or inconclusive. It is one file: CHECK() puts it into the
 * table from which the command line, the documentation and the reports are made.
 *
 * A check is pure: guest in, findings out. It opens no file and prints nothing. It need not
 * care for races: a check that ended in anything but clean is run again on fresh memory, and
 * only what persists is reported (sweep.h).
 */
struct check_run;

enum check_group {
	GROUP_CODE,
	GROUP_POINTERS,
	GROUP_HIDDEN,
	GROUP_PRIVILEGE,
	GROUP_PROCESSES,
	GROUP_AGENT,
};

struct check {
	const char *id;			/* the name on the command line: "syscall-table" */
	enum check_group group;
	const char *title;		/* what a finding of it is: one line */
	const char *proves;		/* what *clean* means; for `hvsm checks` and docs */
	const char *const *techniques;	/* MITRE ATT&CK ids, NULL at the end */
	uint64_t fuel_max;		/* pages that one run may fetch */

	/*
	 * What it looks at is attacked so much more than what others do that it may cost so many
	 * times what they cost and run as often; 0: once.
	 */
	uint8_t worth;

	/*
	 * Return: 0 (the run says the rest), or a negative errno with @err set: the check is
	 * then inconclusive for that reason, whatever it found before stays a finding.
	 */
	int (*run)(struct check_run *run, struct err *err);
};

#define TECHNIQUES(...) ((const char *const[]){ __VA_ARGS__, NULL })

/*
 * CHECK(syscall_table, .id = "syscall-table", .title = "…", …, .run = syscall_table_run); puts
 * a pointer to the check into the linker section that checks_all() reads.
 */
#define CHECK(name, ...)                                                             \
	static const struct check check_##name = { __VA_ARGS__ };                    \
	static const struct check *const check_##name##_entry                        \
		__attribute__((used, retain, section("hvsm_checks"))) = &check_##name

/**
 * checks_all - every check, sorted by group and id
 * @n: receives their number
 * Return: a table that lives as long as the program.
 */
const struct check *const *checks_all(size_t *n);

/* The check with this id, or NULL. */
const struct check *check_by_id(const char *id);

const char *group_name(enum check_group group);

enum check_state {
	CHECK_CLEAN,
	CHECK_FINDING,
	CHECK_INCONCLUSIVE,
	CHECK_NOT_COVERED,	/* what it needs is not at hand: it says nothing of the guest */
};

const char *check_state_name(enum check_state state);

/* How much a check looked at: {"entries", 450}. */
struct covered {
	const char *what;	/* a literal */
	uint64_t count;
};

/* What stands behind *clean*. */
enum assurance {
	ASSURANCE_NONE,		/* the guest was compared with itself */
	ASSURANCE_BASELINE,	/* … with what it was in an earlier sweep of this boot */
	ASSURANCE_REFERENCE,	/* … with what the distribution shipped */
};

/* "none", "baseline", "reference". */
const char *assurance_name(enum assurance assurance);

/* What there is to compare a guest with, besides itself; NULL where there is none. */
struct check_sources {
	struct reference *reference;
	struct baseline *baseline;
	struct keeper *keeper;	/* of the agent in the guest */
	struct trust *trust;	/* known-good programs */
};

/* What the checks of one sweep have in common, as long as the view is of one instant. */
struct check_shared {
	struct owners *owners;	/* NULL: nobody asked for them yet */
	uint64_t refreshes;	/* of the view, when they were collected */
};

struct check_result {
	const struct check *check;
	struct check_shared *shared;	/* given to the check; NULL: it shares nothing */
	const struct check_sources *sources;	/* given to the check; NULL: none */
	enum check_state state;
	char reason[224];	/* why it is inconclusive, or a remark; "" where there is none */
	char note[224];		/* the remark while it runs; see check_note() */
	VEC(struct covered) covered;
	VEC(struct finding *) findings;
	struct process_table processes;	/* what the last run said of them; see check_process() */
	uint64_t duration_ns, cpu_ns;	/* of all its runs; a busy host changes cpu_ns little */
	uint32_t repeats;	/* runs beyond the first */
	uint32_t quiet_runs;	/* … of which so many in a row, the newest included, were quiet */
	bool incomplete;	/* something could not be seen: what was not found may be there */
	bool final;		/* another run would say the same: something is not there */
	bool spent;		/* the run took all its fuel */
	bool quiet;		/* see check_quiet() */

	/* The least that check_stands_on() said, where it said something. */
	enum assurance assurance;
	bool has_assurance;
};

/* What a check has at hand. */
struct view *check_view(struct check_run *run);
const struct kernel *check_kernel(struct check_run *run);

/**
 * check_owners - who owns code, as collected for this run or an earlier one of the same instant
 * @ret: to be given to owners_close()
 *
 * Return: as owners_open().
 */
nodiscard int check_owners(struct check_run *run, struct owners **ret, struct err *err);

/* What was shipped of this kernel, and what was recorded of this boot; NULL: not at hand. */
struct reference *check_reference(struct check_run *run);
struct baseline *check_baseline(struct check_run *run);

/* The measure agent as seen from outside, and the programs that are known; NULL: not at hand. */
struct keeper *check_keeper(struct check_run *run);
struct trust *check_trust(struct check_run *run);

/**
 * check_finding - report something
 * @severity: how bad
 * @kind:     of object: "syscall"; copied
 * @at:       of the object; 0: none
 * @name:     of the object, printf style; stable over sweeps: no addresses of heap objects
 *            whose place changes, no counters
 *
 * The title is the check's own until finding_title() sets another. One object is reported
 * once per run and check: a second finding of the same kind and name is the first again.
 *
 * Return: the finding, owned by the run; never NULL (on lack of memory, or beyond
 *         FINDINGS_MAX, one that is dropped, and the check ends inconclusive).
 */
struct finding *check_finding(struct check_run *run, enum severity severity, const char *kind,
			      gva at, const char *name, ...) printf_like(5, 6);

/**
 * check_process - for processes[] of the report: what this run comes to know of a process
 * @task: its first thread
 *
 * A mark is one more way to say what a finding, or an inconclusive end, says of the process; it
 * makes none.
 *
 * Return: to be filled in, owned by the run; never NULL (on lack of memory one that is dropped,
 *         and the check ends inconclusive).
 */
struct process_seen *check_process(struct check_run *run, const struct task *task);

/* Add to what was covered; @what is a literal, the same @what adds up. */
void check_covered(struct check_run *run, const char *what, uint64_t count);

/**
 * check_note - a remark on what the check did not have to look at
 * "this kernel has no ia32_sys_call_table". A check that is clean, covered nothing and does not
 * say why is inconclusive.
 */
void check_note(struct check_run *run, const char *fmt, ...) printf_like(2, 3);

/**
 * check_not_covered - what the check, or a part of it, needs is not at hand
 * "no reference of this build": nobody's fault, and no doubt about the guest. A check that
 * covered nothing else is then CHECK_NOT_COVERED; otherwise this is its remark.
 */
void check_not_covered(struct check_run *run, const char *fmt, ...) printf_like(2, 3);

/**
 * check_quiet - nobody was in the middle of an update of what this run looks at
 * Because a running kernel never writes it, or as its locks say. What all runs of a sweep found
 * that were quiet and saw everything is no update in flight, and told without a longer wait.
 */
void check_quiet(struct check_run *run);

/* What a part of the check was compared with; the least of all parts counts. */
void check_stands_on(struct check_run *run, enum assurance assurance);

/**
 * check_inconclusive - part of what the check is to look at could not be seen
 * The check goes on; it cannot become clean any more. The first reason is kept.
 */
void check_inconclusive(struct check_run *run, const char *fmt, ...) printf_like(2, 3);

#endif
