/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "check/check.h"
#include "linux/cred.h"
#include "linux/path.h"
#include "linux/task_exec.h"

/*
 * Rights are given in few ways, and each leaves traces. The rules here hold for every program,
 * whatever its name:
 *
 * - Each process has credentials of its own, and its threads share them (copy_creds()). What a
 *   task acts with for a while within a system call (override_creds()) is no process's own.
 * - Whoever changes the real user ID also counts under the new one (set_user(),
 *   set_cred_ucounts()), and sets of capabilities stay within each other (cap_capset(),
 *   cap_bprm_creds_from_file()): a write into memory, or commit_creds() of what was made by
 *   hand, does not care.
 * - A process that an unprivileged one forked is unprivileged, until it executes a program
 *   that is setuid or has capabilities. How many programs were executed since is counted. A
 *   parent counts as unprivileged here only if it was so when it forked: it runs the program
 *   that it ran then, is dumpable (who drops rights is not, any more), and takes no orphans.
 *   Who executed two programs may have been raised by the first one (as pkexec and doas do).
 */
struct credentials {
	struct check_run *run;
	const struct kernel *kernel;
	struct view *view;
	struct holders holders;
	struct map owners;	/* struct cred → place of the oldest process that has it */
	struct cred initial;	/* those of the kernel itself */
};

static void tell_cred(struct finding *finding, const char *what, const struct cred *cred)
{
	char text[256];

	snprintf(text, sizeof(text), "UID %u, EUID %u, saved %u, file system %u, permitted %#"
		 PRIx64 ", effective %#" PRIx64, cred->uid, cred->euid, cred->suid, cred->fsuid,
		 cred->caps.permitted, cred->caps.effective);
	finding_evidence(finding, what, cred->at, NULL, NULL, text);
}

static void tell_holder(const struct credentials *c, struct finding *finding, const char *what,
			const struct holder *holder)
{
	char exe[PATH_BYTES_MAX], text[PATH_BYTES_MAX + 128];
	struct task task = {0};

	if (task_read(c->kernel, c->view, holder->at, &task, NULL) < 0 ||
	    task_exe(c->kernel, c->view, &task, exe, sizeof(exe), NULL) < 0)
		snprintf(exe, sizeof(exe), "%s",
			 holder->kernel_thread ? "kernel thread" : "no program");
	snprintf(text, sizeof(text), "PID %d, TGID %d, '%s', %s", holder->pid, holder->tgid,
		 holder->comm, exe);
	finding_evidence(finding, what, holder->at, NULL, NULL, text);
}

/* The finding about a task; what is told about it first gives the title. */
static struct finding *accuse(const struct credentials *c, const struct holder *holder,
			      const struct cred *cred, const char *title)
{
	struct finding *finding;

	finding = check_finding(c->run, SEVERITY_HIGH, "task", holder->at, "%d", holder->pid);
	if (!finding->evidence.n) {
		finding_title(finding, "Task '%s' %s", holder->comm, title);
		tell_holder(c, finding, "task", holder);
		if (cred)
			tell_cred(finding, "credentials", cred);
	}
	return finding;
}

/* --- whose they are --- */

static int note_owners(struct credentials *c, struct err *err)
{
	for (size_t i = 0; i < c->holders.n; i++) {
		const struct holder *holder = &c->holders.v[i];
		uint32_t other;

		if (!holder->real.v)
			continue;
		if (map_get(&c->owners, holder->real.v, &other) &&
		    c->holders.v[other].start_ns <= holder->start_ns)
			continue;
		if (map_put(&c->owners, holder->real.v, (uint32_t)i) < 0)
			return err_set(err, -ENOMEM, "no memory for credentials");
	}
	return 0;
}

static const struct holder *owner_of_cred(const struct credentials *c, gva cred)
{
	uint32_t i;

	return map_get(&c->owners, cred.v, &i) ? &c->holders.v[i] : NULL;
}

static void tell_taken(const struct credentials *c, const struct holder *holder,
		       const struct cred *cred, gva taken, const char *what)
{
	const struct holder *owner = owner_of_cred(c, taken);
	struct finding *finding;

	if (taken.v == c->initial.at.v) {
		finding = accuse(c, holder, cred, "has the kernel's own credentials");
		finding_evidence(finding, what, taken, "init_cred", "credentials of its own",
				 "those that the kernel began with");
	} else if (owner) {
		finding = accuse(c, holder, cred, "has the credentials of another process");
		finding_evidence(finding, what, taken, NULL, "credentials of its own",
				 "those of another process");
		tell_holder(c, finding, "whose they are", owner);
	}
}

/*
 * Within a system call a task may act with what belongs to a file's opener, even for long; but
 * sleeping so, until something comes from outside, is no work of the kernel's.
 */
static bool is_subjective_taken(const struct credentials *c, const struct holder *holder)
{
	const struct holder *owner = owner_of_cred(c, holder->subjective);

	if (holder->subjective.v == holder->real.v || !holder->subjective.v ||
	    holder->kernel_thread || holder->ending || holder->state != 'S')
		return false;
	return holder->subjective.v == c->initial.at.v ||
	       (owner && owner->leader.v != holder->leader.v);
}

static void judge_owner(const struct credentials *c, const struct holder *holder,
			const struct cred *cred)
{
	const struct holder *owner = owner_of_cred(c, holder->real);
	struct cred subjective;

	/* All threads of a process have them: told once, of the first one. */
	if (holder->real.v == c->initial.at.v || (owner && owner->leader.v != holder->leader.v)) {
		if (holder->at.v == holder->leader.v ||
		    !holders_find(&c->holders, holder->leader) ||
		    holders_find(&c->holders, holder->leader)->real.v != holder->real.v)
			tell_taken(c, holder, cred, holder->real, "task_struct.real_cred");
	} else if (is_subjective_taken(c, holder) &&
		   cred_read(c->kernel, c->view, holder->subjective, &subjective, NULL) >= 0 &&
		   cred_is_privileged(&subjective) && !cred_is_privileged(cred)) {
		tell_taken(c, holder, cred, holder->subjective, "task_struct.cred");
	}
}

/* --- what they say --- */

static void tell_mismatch(const struct credentials *c, const struct holder *holder,
			  const struct cred *cred, const char *what, uint32_t expected,
			  uint32_t found)
{
	struct finding *finding = accuse(c, holder, cred, "has credentials changed in place");
	char was[32], is[32];

	snprintf(was, sizeof(was), "UID %u", expected);
	snprintf(is, sizeof(is), "UID %u", found);
	finding_evidence(finding, what, cred->at, NULL, was, is);
}

static void tell_caps(const struct credentials *c, const struct holder *holder,
		      const struct cred *cred, const char *what, uint64_t within, uint64_t caps)
{
	struct finding *finding = accuse(c, holder, cred, "has credentials changed in place");
	char was[64], is[32];

	snprintf(was, sizeof(was), "none but %#" PRIx64, within);
	snprintf(is, sizeof(is), "%#" PRIx64, caps);
	finding_evidence(finding, what, cred->at, NULL, was, is);
}

/*
 * Until a55d07294f1e (5.17) ucounts followed the effective user ID.
 */
static void judge_content(const struct credentials *c, const struct holder *holder,
			  const struct cred *cred)
{
	const struct task_caps *caps = &cred->caps;

	if (cred->user_uid != cred->uid)
		tell_mismatch(c, holder, cred, "cred.uid, and the user it counts under",
			      cred->user_uid, cred->uid);
	if (cred->has_ucounts && cred->ucounts_uid != cred->uid &&
	    cred->ucounts_uid != cred->euid)
		tell_mismatch(c, holder, cred, "cred.uid, and its ucounts", cred->ucounts_uid,
			      cred->uid);
	if (cred->has_ucounts && cred->ucounts_ns.v != cred->user_ns.v)
		finding_evidence(accuse(c, holder, cred, "has credentials changed in place"),
				 "cred.user_ns", cred->user_ns, NULL,
				 "the user namespace of its ucounts", "another one");
	if (caps->effective & ~caps->permitted)
		tell_caps(c, holder, cred, "effective capabilities, beyond permitted ones",
			  caps->permitted, caps->effective);
	if (caps->ambient & ~(caps->permitted & caps->inheritable))
		tell_caps(c, holder, cred, "ambient capabilities, beyond inheritable ones",
			  caps->permitted & caps->inheritable, caps->ambient);
}

/* --- where they come from --- */

/* Was the parent unprivileged when it forked the task? See above. */
static bool has_plain_parent(const struct credentials *c, const struct holder *holder,
			     const struct holder **parent, struct cred *cred)
{
	const struct holder *by = holders_find(&c->holders, holder->parent);

	if (!by || by->kernel_thread || by->ending || !by->dumpable ||
	    !holders_forked(by, holder) ||
	    cred_read(c->kernel, c->view, by->real, cred, NULL) < 0)
		return false;
	*parent = by;
	return !cred_is_privileged(cred) && cred->user_ns.v == c->initial.user_ns.v;
}

static void tell_raised(const struct credentials *c, const struct holder *holder,
			const struct cred *cred, const struct holder *parent,
			const struct cred *by, const char *why)
{
	struct finding *finding = accuse(c, holder, cred, "was raised without a legitimate way");

	tell_holder(c, finding, "forked by", parent);
	tell_cred(finding, "credentials of its parent", by);
	finding_evidence(finding, "way", gva_of(0), NULL, NULL, why);
}

static void judge_origin(const struct credentials *c, const struct holder *holder,
			 const struct cred *cred)
{
	const struct holder *parent;
	uint64_t programs = holder->self_exec - holder->parent_exec;
	struct raiser raiser;
	struct cred by;

	if (holder->kernel_thread || holder->ending || cred->user_ns.v != c->initial.user_ns.v ||
	    !cred_is_privileged(cred) || !has_plain_parent(c, holder, &parent, &by))
		return;
	if (!programs)
		tell_raised(c, holder, cred, parent, &by,
			    "it has executed no program since it was forked");
	else if (cred->group_info.v == c->initial.group_info.v &&
		 by.group_info.v != c->initial.group_info.v)
		tell_raised(c, holder, cred, parent, &by,
			    "its groups are those that the kernel began with");
	/* Capabilities alone may be those of the file, which cannot be seen from here. */
	else if (programs == 1 && cred_is_root(cred) &&
		 cred_raiser(c->kernel, c->view, holder, &raiser, NULL) >= 0 &&
		 !raiser.setuid_root && !raiser.unclear)
		tell_raised(c, holder, cred, parent, &by,
			    "the one program that it has executed is not setuid");
}

/* --- all of them --- */

static int judge(const struct credentials *c, const struct holder *holder, struct err *err)
{
	const struct holder *owner = owner_of_cred(c, holder->real);
	struct cred cred;
	int r;

	if (!holder->real.v)
		return fail(err, -EBADMSG, holder->at, "PID %d has no credentials", holder->pid);
	r = cred_read(c->kernel, c->view, holder->real, &cred, err);
	if (r < 0)
		return wrap(err, r, "PID %d", holder->pid);
	judge_owner(c, holder, &cred);
	/* What several threads share is judged once. */
	if (holder->at.v == holder->leader.v)
		judge_origin(c, holder, &cred);
	if (owner == holder && holder->real.v != c->initial.at.v)
		judge_content(c, holder, &cred);
	return 0;
}

static int read_initial(struct credentials *c, struct err *err)
{
	struct field field;
	gva init, cred;
	int r;

	r = kernel_symbol(c->kernel, "init_task", &init, err);
	if (r >= 0)
		r = types_field(c->kernel->types, "task_struct.real_cred", &field, err);
	if (r >= 0)
		r = field_ptr(c->view, init, &field, &cred, err);
	if (r >= 0)
		r = cred_read(c->kernel, c->view, cred, &c->initial, err);
	return r < 0 ? wrap(err, r, "the kernel's own credentials") : 0;
}

static int judge_all(struct credentials *c, struct err *err)
{
	int r = note_owners(c, err);

	for (size_t i = 0; i < c->holders.n && r >= 0; i++) {
		r = judge(c, &c->holders.v[i], err);
		if (r < 0 && r != -ESRCH && r != -ELOOP && r != -ENOENT) {
			check_inconclusive(c->run, "%s", err->text);
			r = 0;
		}
	}
	check_covered(c->run, "tasks", c->holders.n);
	check_covered(c->run, "credentials", c->owners.n);
	return r;
}

static int credentials_run(struct check_run *run, struct err *err)
{
	struct credentials c = {
		.run = run, .kernel = check_kernel(run), .view = check_view(run),
	};
	int r = read_initial(&c, err);

	if (r >= 0) {
		r = holders_list(c.kernel, c.view, &c.holders, err);
		if (r < 0 && r != -ESRCH && r != -ELOOP && r != -ENOENT && r != -ENOMEM) {
			check_inconclusive(run, "%s", err->text);
			r = 0;
		}
	}
	if (r >= 0)
		r = judge_all(&c, err);
	map_free(&c.owners);
	holders_free(&c.holders);
	return r;
}

CHECK(credentials,
	.id = "credentials",
	.group = GROUP_PRIVILEGE,
	.title = "Credentials that were taken, changed in place, or raised",
	.proves = "Every process has credentials of its own; they count under the user that they "
		  "name, their capabilities lie within each other; and who was forked by an "
		  "unprivileged process is unprivileged, unless it executed a setuid program.",
	.techniques = TECHNIQUES("T1014", "T1068", "T1548"),
	.fuel_max = 40000,
	.run = credentials_run);
