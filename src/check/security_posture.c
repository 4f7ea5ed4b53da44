/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "check/check.h"
#include "reference/baseline.h"

/*
 * Switches of what protects the kernel. What was off since boot is how the system is set up;
 * what an earlier sweep of this boot saw on, and is off now, was turned off. Most go one way
 * only, so that no administrator did it: high. SELinux, AppArmor and audit can be turned off by
 * one, which is worth knowing all the same: medium.
 *
 * Without a record there is the kernel's command line: what it turns on, and cannot be turned
 * off, is on.
 */
#define COMMAND_LINE_BYTES 2048u	/* COMMAND_LINE_SIZE of x86 */

struct switch_of {
	const char *name;	/* of the variable; "struct.member" where it is a struct */
	size_t member;		/* … which of posture_fields that is; MEMBER_NONE */
	const char *what;
	uint32_t size_bytes;
	bool one_way;

	/* How far it is on. */
	unsigned (*level)(uint64_t value);
	unsigned levels;
};

struct posture_fields {
	struct field initialized, enforcing;
};

static const struct member posture_members[] = {
	MEMBER_OPTIONAL(struct posture_fields, initialized, "selinux_state.initialized"),
	MEMBER_OPTIONAL(struct posture_fields, enforcing, "selinux_state.enforcing"),
};
LAYOUT(posture_layout, struct posture_fields, posture_members);

#define MEMBER_NONE SIZE_MAX

static unsigned is_set(uint64_t value)
{
	return value != 0;
}

static unsigned is_one(uint64_t value)
{
	return value == 1;
}

static unsigned is_three(uint64_t value)
{
	return value == 3;
}

/* APPARMOR_COMPLAIN (1) and APPARMOR_UNCONFINED (3) let everything pass. */
static unsigned is_enforcing(uint64_t value)
{
	return value != 1 && value != 3;
}

static const struct switch_of switches[] = {
	{ "kernel_locked_down", MEMBER_NONE, "lockdown", 4, true, is_set, 1 },
	{ "sig_enforce", MEMBER_NONE, "signatures of modules are enforced", 1, true, is_set, 1 },
	{ "modules_disabled", MEMBER_NONE, "no more modules", 4, true, is_set, 1 },
	{ "kexec_load_disabled", MEMBER_NONE, "no other kernel", 4, true, is_set, 1 },
	/* 2 may be taken back, 1 may not. */
	{ "sysctl_unprivileged_bpf_disabled", MEMBER_NONE,
	  "no BPF for unprivileged users, for good", 4, true, is_one, 1 },
	{ "ptrace_scope", MEMBER_NONE, "nobody is traced (Yama)", 4, true, is_three, 1 },
	{ "audit_initialized", MEMBER_NONE, "audit, as such", 4, true, is_one, 1 },
	{ "apparmor_enabled", MEMBER_NONE, "AppArmor, as such", 4, true, is_set, 1 },
	{ "apparmor_initialized", MEMBER_NONE, "AppArmor, as such", 4, true, is_set, 1 },
	{ "selinux_state.initialized", offsetof(struct posture_fields, initialized),
	  "SELinux, as such", 1, true, is_set, 1 },
	{ "selinux_state.enforcing", offsetof(struct posture_fields, enforcing), "SELinux", 1,
	  false, is_set, 1 },
	{ "aa_g_profile_mode", MEMBER_NONE, "AppArmor", 4, false, is_enforcing, 1 },
	{ "audit_enabled", MEMBER_NONE, "audit", 4, false, is_set, 1 },
};

struct posture {
	struct check_run *run;
	struct view *view;
	const struct kernel *kernel;
	const struct posture_fields *f;
	char command_line[COMMAND_LINE_BYTES];
};

static void tell(const struct posture *posture, const struct switch_of *of, gva at,
		 uint64_t value, const char *expected)
{
	struct finding *finding;
	char text[32];

	finding = check_finding(posture->run, of->one_way ? SEVERITY_HIGH : SEVERITY_MEDIUM,
				"switch", at, "%s", of->name);
	finding_title(finding, "Turned off since boot: %s", of->what);
	snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	finding_evidence(finding, of->what, at, of->name, expected, text);
}

/* Was it on before? One entry for each level that was seen, so that it can go on rising. */
static int compare(const struct posture *posture, const struct switch_of *of, gva at,
		   uint64_t value, struct err *err)
{
	struct baseline *baseline = check_baseline(posture->run);
	unsigned level = of->level(value);
	char item[96];
	int r;

	for (unsigned i = 1; i <= of->levels; i++) {
		snprintf(item, sizeof(item), "switch %s at %u", of->name, i);
		r = baseline_compare(baseline, item, "on", 2, NULL, err);
		if (r < 0)
			return r;
		if (i <= level)
			continue;
		if (r == BASELINE_NEW)
			baseline_drop(baseline, item);
		else
			tell(posture, of, at, value, "on, as an earlier sweep saw it");
	}
	return 0;
}

static int read_switch(const struct posture *posture, const struct switch_of *of, gva *at,
		       uint64_t *value, struct err *err)
{
	const struct symbols *symbols = posture->kernel->symbols;
	struct field field = { .there = true, .size_bytes = of->size_bytes };

	if (of->member == MEMBER_NONE) {
		*at = symbols_lookup(symbols, of->name);
	} else {
		memcpy(&field, (const char *)posture->f + of->member, sizeof(field));
		*at = symbols_lookup(symbols, "selinux_state");
	}
	if (!at->v || !field.there)
		return -ENOENT;
	*at = field_at(*at, &field);
	return view_uint(posture->view, *at, field.size_bytes, value, err);
}

static int look_at(const struct posture *posture, const struct switch_of *of, struct err *err)
{
	uint64_t value;
	gva at;
	int r = read_switch(posture, of, &at, &value, err);

	if (r == -ENOENT)
		return 0;	/* this kernel has it not */
	if (r >= 0 && check_baseline(posture->run))
		r = compare(posture, of, at, value, err);
	if (r >= 0)
		check_covered(posture->run, "switches", 1);
	return r < 0 ? wrap(err, r, "%s", of->name) : 0;
}

/* --- the command line --- */

static int read_command_line(struct posture *posture, struct err *err)
{
	gva at = symbols_lookup(posture->kernel->symbols, "saved_command_line"), line;
	int r;

	if (!at.v)
		return 0;
	r = view_ptr(posture->view, at, &line, err);
	if (r < 0 || !line.v)
		return r;
	r = view_string(posture->view, line, posture->command_line,
			sizeof(posture->command_line), err);
	return r < 0 ? wrap(err, r, "the command line") : 0;
}

/* Is a word in it, that ends there? */
static bool has_word(const struct posture *posture, const char *word)
{
	const char *line = posture->command_line;
	size_t n = strlen(word);

	for (const char *at = line; (at = strstr(at, word)); at += n)
		if ((at == line || at[-1] == ' ') && (!at[n] || at[n] == ' '))
			return true;
	return false;
}

static int judge_command_line(const struct posture *posture, struct err *err)
{
	static const struct {
		const char *word;
		const char *name;
	} all[] = {
		{ "lockdown=integrity", "kernel_locked_down" },
		{ "lockdown=confidentiality", "kernel_locked_down" },
		{ "module.sig_enforce", "sig_enforce" },
		{ "module.sig_enforce=1", "sig_enforce" },
		{ "module.sig_enforce=Y", "sig_enforce" },
	};
	char expected[64];
	uint64_t value;
	gva at;
	int r;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		const struct switch_of *of = switches;

		while (strcmp(of->name, all[i].name) != 0)
			of++;
		if (!has_word(posture, all[i].word))
			continue;
		r = read_switch(posture, of, &at, &value, err);
		if (r == -ENOENT)
			continue;
		if (r < 0)
			return r;
		snprintf(expected, sizeof(expected), "on: %s", all[i].word);
		if (!of->level(value))
			tell(posture, of, at, value, expected);
	}
	return 0;
}

static int security_posture_run(struct check_run *run, struct err *err)
{
	struct posture posture = {
		.run = run, .view = check_view(run), .kernel = check_kernel(run),
	};
	int r;

	/* Until PID 1 is made the kernel sets what it began with otherwise. */
	if (!posture.kernel->boot.first_task.v) {
		check_not_covered(run, "the guest has just begun to boot");
		return 0;
	}
	r = types_layout(posture.kernel->types, &posture_layout, (const void **)&posture.f, err);
	for (size_t i = 0; i < sizeof(switches) / sizeof(switches[0]) && r >= 0; i++)
		r = look_at(&posture, &switches[i], err);
	if (r >= 0)
		r = read_command_line(&posture, err);
	if (r >= 0)
		r = judge_command_line(&posture, err);
	if (!check_baseline(run))
		check_not_covered(run, "nothing is recorded of this boot: only what the command "
				  "line turns on was looked at");
	return r;
}

CHECK(security_posture,
	.id = "security-posture",
	.group = GROUP_PRIVILEGE,
	.title = "A protection was turned off since boot",
	.proves = "Lockdown, signatures of modules, audit, SELinux, AppArmor, and what forbids "
		  "modules, other kernels, BPF and tracing for good are on where an earlier sweep "
		  "of this boot saw them on, or the command line turns them on for good.",
	.techniques = TECHNIQUES("T1562.001", "T1562.012", "T1553.006"),
	.fuel_max = 1000,
	.run = security_posture_run);
