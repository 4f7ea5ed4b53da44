/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/limits.h"
#include "check/process.h"
#include "linux/peek.h"
#include "linux/vma.h"

/*
 * Who traces a process (ptrace(2)) reads and writes its memory. Debuggers do so, and are only
 * counted. It is a finding where the tracer came from outside to what guards the system, has
 * neither root's nor the process's own user ID, or is a program that nobody installed.
 */

#define FUEL_MAX	(VIEW_FUEL_SWEEP / 4)
#define ANCESTORS_MAX	64u		/* of the tracee; sessions are ten deep */

/* What asks for passwords, holds keys, or starts the rest. */
static const char *const guarded[] = {
	"systemd", "init", "sshd", "sshd-session", "sshd-auth", "login", "agetty", "getty", "su",
	"sudo", "doas", "pkexec", "passwd", "polkitd", "systemd-logind", "dbus-daemon",
	"dbus-broker*", "ssh-agent", "gpg-agent", "gnome-keyring-d*", "kwalletd*", "sssd*",
	"auditd", "rsyslogd", "systemd-journald", "hvsm-agent", "crond", "cron", NULL
};

struct tracing_fields {
	struct field ptrace, tracer, parent;
};

static const struct member tracing_members[] = {
	MEMBER(struct tracing_fields, ptrace, "task_struct.ptrace"),
	MEMBER(struct tracing_fields, tracer, "task_struct.parent"),
	MEMBER(struct tracing_fields, parent, "task_struct.real_parent"),
};
LAYOUT(tracing_layout, struct tracing_fields, tracing_members);

struct tracing_counts {
	uint64_t threads, traced;
};

struct tracing {
	struct process_walk *walk;
	const struct tracing_fields *f;
	const struct task *task;
	struct task tracer;
	const struct program *program;		/* of the tracee; NULL: none */
	const struct program *tracer_program;	/* of the tracer; NULL: none */
};

static int program_of(struct process_walk *walk, const struct task *task,
		      const struct program **ret, struct err *err)
{
	struct vma_space space;
	int r;

	*ret = NULL;
	if (!task->mm.v)
		return 0;
	r = vma_space(walk->kernel, walk->view, task->mm, &space, err);
	if (r >= 0 && space.exe.v)
		r = programs_get(&walk->programs, space.exe, ret, err);
	return r;
}

/* Did the tracer, or one that it is a thread of, start the process, or start who did? */
static int is_ancestor(const struct tracing *tracing, struct err *err)
{
	gva at = tracing->task->at, leader;
	struct task task;
	int r;

	for (unsigned n = 0; n < ANCESTORS_MAX; n++) {
		r = field_ptr(tracing->walk->view, at, &tracing->f->parent, &at, err);
		if (r >= 0)
			r = task_read(tracing->walk->kernel, tracing->walk->view, at, &task, err);
		if (r < 0)
			return r;
		leader = task.leader.v ? task.leader : at;
		if (leader.v == tracing->tracer.leader.v)
			return 1;
		if (task.pid <= 1)
			return 0;
	}
	return 0;
}

/* Why it is a finding; NULL: it is none. */
static int judge(const struct tracing *tracing, const char **why, struct err *err)
{
	const struct program *tracer = tracing->tracer_program;
	const struct task *task = tracing->task;
	bool guards = task->tgid == 1 ||
		      (tracing->program && tracing->program->place == PLACE_SYSTEM &&
		       name_matches(tracing->program->name, guarded));
	int r;

	*why = NULL;
	if (tracer && (tracer->memory || tracer->place == PLACE_TEMP))
		*why = "the tracer is a program that was not installed";
	else if (tracing->tracer.euid && tracing->tracer.euid != task->uid)
		*why = "the tracer is another user, and not root";
	if (*why || !guards)
		return 0;
	r = is_ancestor(tracing, err);
	if (r == 0)
		*why = "the process guards the system, and the tracer did not start it";
	return r < 0 ? r : 0;
}

static void report(const struct tracing *tracing, const char *why)
{
	const struct task *tracer = &tracing->tracer;
	char text[PATH_BYTES_MAX + 128];
	struct finding *finding;

	finding = process_finding(tracing->walk, SEVERITY_MEDIUM, tracing->task, "tracer");
	finding_title(finding, "Process is traced: %s", why);
	snprintf(text, sizeof(text), "PID %d '%s', EUID %u, %s", tracer->tgid, tracer->comm,
		 tracer->euid,
		 tracing->tracer_program ? tracing->tracer_program->path : "no program");
	finding_evidence(finding, "tracer", tracer->at, NULL, "none, or a debugger", text);
	finding_owner(finding, "PID %d '%s'", tracer->tgid, tracer->comm);
}

static int visit_thread(struct process_walk *walk, const struct task *task, void *ctx,
			struct err *err)
{
	struct tracing tracing = { .walk = walk, .task = task };
	struct tracing_counts *counts = ctx;
	uint64_t ptrace;
	const char *why;
	gva at;
	int r;

	r = types_layout(walk->kernel->types, &tracing_layout, (const void **)&tracing.f, err);
	if (r >= 0)
		r = field_read(walk->view, task->at, &tracing.f->ptrace, &ptrace, err);
	if (r < 0)
		return r;
	counts->threads++;
	if (!ptrace || task->exit_state)
		return 0;
	counts->traced++;
	r = field_ptr(walk->view, task->at, &tracing.f->tracer, &at, err);
	if (r >= 0)
		r = task_read(walk->kernel, walk->view, at, &tracing.tracer, err);
	if (r >= 0)
		r = program_of(walk, task, &tracing.program, err);
	if (r >= 0)
		r = program_of(walk, &tracing.tracer, &tracing.tracer_program, err);
	if (r >= 0)
		r = judge(&tracing, &why, err);
	if (r >= 0 && why)
		report(&tracing, why);
	return r;
}

static int process_tracing_run(struct check_run *run, struct err *err)
{
	struct tracing_counts counts = { 0 };
	int r = process_each_thread(run, visit_thread, &counts, err);

	check_covered(run, "threads", counts.threads);
	check_covered(run, "traced threads", counts.traced);
	return r;
}

CHECK(process_tracing,
	.id = "process-tracing",
	.group = GROUP_PROCESSES,
	.title = "Process is traced by one that should not",
	.proves = "No process is traced by a program of a temporary directory or of memory, or by "
		  "another user than root; what guards the system (init, sshd, login, agents of "
		  "keys) is traced by nobody who did not start it (docs/processes.md).",
	.techniques = TECHNIQUES("T1055.008", "T1056"),
	.fuel_max = FUEL_MAX,
	.run = process_tracing_run);
