/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "check/check.h"
#include "linux/cred.h"
#include "linux/peek.h"

/*
 * Filters of system calls (kernel/seccomp.c) are inherited and can be added to, but never
 * removed: mode, filter, their number and the flag that leads there on each system call come
 * and stay together. A task without one, while an older child of its parent has the parent's,
 * lost it: the parent had that filter when it forked the older one, and so had it when it
 * forked the task.
 */
#define FILTERS_MAX	4096u		/* MAX_INSNS_PER_PATH: 32768 instructions, 5 for each */
#define WORK_SECCOMP	0x1u		/* SYSCALL_WORK_BIT_SECCOMP (3136b93c3fb2, 5.11) */
#define TIF_SECCOMP	(1u << 8)	/* thread_info.flags before that */
#define MODE_STRICT	1u
#define MODE_FILTER	2u
#define MODE_DEAD	3u		/* it is being killed */

struct seccomp_fields {
	struct field mode, count, filter, prev, work, flags;
};

static const struct member seccomp_members[] = {
	MEMBER(struct seccomp_fields, mode, "task_struct.seccomp.mode"),
	MEMBER_OPTIONAL(struct seccomp_fields, count, "task_struct.seccomp.filter_count"),
	MEMBER(struct seccomp_fields, filter, "task_struct.seccomp.filter"),
	MEMBER(struct seccomp_fields, prev, "seccomp_filter.prev"),
	MEMBER_OPTIONAL(struct seccomp_fields, work, "task_struct.thread_info.syscall_work"),
	MEMBER(struct seccomp_fields, flags, "task_struct.thread_info.flags"),
};
LAYOUT(seccomp_layout, struct seccomp_fields, seccomp_members);

struct seccomp {
	struct check_run *run;
	const struct kernel *kernel;
	struct view *view;
	const struct seccomp_fields *f;
	struct holders holders;
	struct facts *facts;	/* by holder */
	struct map oldest;	/* filter that a child has of its parent → that child */
	uint64_t filtered;
};

struct facts {
	bool unknown;		/* could not be read: not judged */
	uint32_t mode, count;
	bool flag;		/* a system call looks at the above */
	gva filter;
};

static struct finding *accuse(const struct seccomp *s, const struct holder *holder,
			      const char *title)
{
	struct finding *finding;
	char text[96];

	finding = check_finding(s->run, SEVERITY_HIGH, "task", holder->at, "%d", holder->pid);
	if (!finding->evidence.n) {
		finding_title(finding, "Task '%s' %s", holder->comm, title);
		snprintf(text, sizeof(text), "PID %d, TGID %d, '%s'", holder->pid, holder->tgid,
			 holder->comm);
		finding_evidence(finding, "task", holder->at, NULL, NULL, text);
	}
	return finding;
}

static int read_facts(const struct seccomp *s, const struct holder *holder, struct facts *ret,
		      struct err *err)
{
	struct peek peek = peek_at(s->view, err);
	const struct seccomp_fields *f = s->f;
	struct facts facts = {0};

	facts.mode = peek_u32(&peek, holder->at, &f->mode);
	facts.count = peek_u32(&peek, holder->at, &f->count);
	facts.filter = peek_object(&peek, holder->at, &f->filter);
	if (f->work.there)
		facts.flag = peek_u64(&peek, holder->at, &f->work) & WORK_SECCOMP;
	else
		facts.flag = peek_u64(&peek, holder->at, &f->flags) & TIF_SECCOMP;
	if (peek.first < 0)
		return wrap(err, peek.first, "seccomp of PID %d", holder->pid);
	*ret = facts;
	return 0;
}

static void judge_state(const struct seccomp *s, const struct holder *holder,
			const struct facts *facts)
{
	bool is_on = facts->mode == MODE_STRICT || facts->mode == MODE_FILTER ||
		     facts->mode == MODE_DEAD;
	struct finding *finding;
	char text[96];

	if (is_on == facts->flag && (facts->mode != MODE_FILTER || facts->filter.v) &&
	    (facts->mode || (!facts->filter.v && !facts->count)))
		return;
	finding = accuse(s, holder, "has lost its filter of system calls");
	snprintf(text, sizeof(text), "mode %u, %s, %u filters, %s", facts->mode,
		 facts->filter.v ? "a filter" : "no filter", facts->count,
		 facts->flag ? "in force" : "not in force");
	finding_evidence(finding, "task_struct.seccomp", field_at(holder->at, &s->f->mode), NULL,
			 "all of them, or none", text);
}

/* 1: @filter is among those of @facts; 0: it is not; or what kept us from seeing that. */
static int has_filter(const struct seccomp *s, const struct facts *facts, gva filter,
		      struct err *err)
{
	struct peek peek = peek_at(s->view, err);
	gva at = facts->filter;

	for (unsigned i = 0; i < FILTERS_MAX && at.v; i++) {
		if (at.v == filter.v)
			return 1;
		at = peek_object(&peek, at, &s->f->prev);
	}
	if (peek.first < 0)
		return wrap(err, peek.first, "filters of system calls");
	return at.v ? fail(err, -ELOOP, at, "over %u filters of system calls", FILTERS_MAX) : 0;
}

/* The parent that forked a task, in the program that it still runs; NULL: nobody can tell. */
static const struct holder *parent_of(const struct seccomp *s, const struct holder *holder,
				      const struct facts **facts)
{
	const struct holder *parent = holders_find(&s->holders, holder->parent);

	if (!parent || parent->kernel_thread || parent->adopts || holder->ending ||
	    holder->at.v != holder->leader.v)
		return NULL;
	*facts = &s->facts[parent - s->holders.v];
	return (*facts)->filter.v ? parent : NULL;
}

/*
 * The oldest child of each parent that has one of its filters: the latest that it has, of which
 * the others follow.
 */
static int note_heirs(struct seccomp *s, struct err *err)
{
	for (size_t i = 0; i < s->holders.n; i++) {
		const struct holder *holder = &s->holders.v[i], *parent;
		const struct facts *facts = NULL;
		uint32_t other;
		int r;

		/* What cannot be followed here is told where the task itself is judged. */
		parent = parent_of(s, holder, &facts);
		r = parent ? has_filter(s, &s->facts[i], facts->filter, err) : 0;
		if (r == -ESRCH)
			return r;
		if (r <= 0)
			continue;
		if (map_get(&s->oldest, parent->at.v, &other) &&
		    s->holders.v[other].start_ns <= holder->start_ns)
			continue;
		if (map_put(&s->oldest, parent->at.v, (uint32_t)i) < 0)
			return err_set(err, -ENOMEM, "no memory for filters");
	}
	return 0;
}

static int judge_origin(const struct seccomp *s, const struct holder *holder,
			const struct facts *own, struct err *err)
{
	const struct facts *facts = NULL;
	const struct holder *parent = parent_of(s, holder, &facts), *older;
	struct finding *finding;
	char text[96];
	uint32_t i;
	int r;

	if (!parent)
		return 0;
	r = has_filter(s, own, facts->filter, err);
	if (r || !map_get(&s->oldest, parent->at.v, &i))
		return r < 0 ? r : 0;
	older = &s->holders.v[i];
	if (older->start_ns >= holder->start_ns)
		return 0;
	finding = accuse(s, holder, "has lost the filter of system calls of its parent");
	snprintf(text, sizeof(text), "PID %d '%s'", parent->pid, parent->comm);
	finding_evidence(finding, "parent, with a filter", parent->at, NULL, NULL, text);
	snprintf(text, sizeof(text), "PID %d '%s'", older->pid, older->comm);
	finding_evidence(finding, "older child, with that filter", older->at, NULL, NULL, text);
	finding_evidence(finding, "task_struct.seccomp.filter",
			 field_at(holder->at, &s->f->filter), NULL, "the filter of its parent",
			 own->filter.v ? "others" : "none");
	return 0;
}

static int judge_all(struct seccomp *s, struct err *err)
{
	int r = 0;

	for (size_t i = 0; i < s->holders.n; i++) {
		r = read_facts(s, &s->holders.v[i], &s->facts[i], err);
		if (r == -ESRCH || r == -ELOOP)
			return r;
		if (r < 0) {
			check_inconclusive(s->run, "%s", err->text);
			s->facts[i].unknown = true;
		}
		s->filtered += s->facts[i].mode != 0;
	}
	r = note_heirs(s, err);
	for (size_t i = 0; i < s->holders.n && r >= 0; i++) {
		const struct holder *holder = &s->holders.v[i];

		/* Who ends gives its filters back first. */
		if (holder->ending || s->facts[i].unknown)
			continue;
		judge_state(s, holder, &s->facts[i]);
		r = judge_origin(s, holder, &s->facts[i], err);
		if (r < 0 && r != -ESRCH) {
			check_inconclusive(s->run, "%s", err->text);
			r = 0;
		}
	}
	check_covered(s->run, "tasks", s->holders.n);
	check_covered(s->run, "tasks with a filter", s->filtered);
	return r;
}

static int seccomp_run(struct check_run *run, struct err *err)
{
	struct seccomp s = { .run = run, .kernel = check_kernel(run), .view = check_view(run) };
	int r;

	r = types_layout(s.kernel->types, &seccomp_layout, (const void **)&s.f, err);
	if (r == -ENOENT) {
		check_note(run, "this kernel has no seccomp");
		return 0;
	}
	if (r >= 0)
		r = holders_list(s.kernel, s.view, &s.holders, err);
	if (r < 0 && r != -ESRCH && r != -ELOOP && r != -ENOENT && r != -ENOMEM) {
		check_inconclusive(run, "%s", err->text);
		r = 0;
	}
	if (r >= 0) {
		s.facts = calloc(s.holders.n + 1, sizeof(*s.facts));
		r = s.facts ? judge_all(&s, err) : err_set(err, -ENOMEM, "no memory for tasks");
	}
	free(s.facts);
	map_free(&s.oldest);
	holders_free(&s.holders);
	return r;
}

CHECK(seccomp,
	.id = "seccomp",
	.group = GROUP_PRIVILEGE,
	.title = "A task has lost its filter of system calls",
	.proves = "What each task says of its filter of system calls is in force or not there at "
		  "all, and no task lacks a filter that an older child of its parent has of it.",
	.techniques = TECHNIQUES("T1014", "T1562.001"),
	.fuel_max = 40000,
	.run = seccomp_run);
