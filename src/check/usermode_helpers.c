/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "check/check.h"
#include "guest/list.h"
#include "linux/peek.h"

/*
 * Programs that the kernel itself starts, as root, from a path that can be written: with a
 * path to a program of their own attackers become root, or come back. A path is foreign where
 *
 * - it lies where anybody may write, or that is not kept: /tmp, /var/tmp, /dev, /proc,
 *   /run/user, /run/lock, or in a hidden directory or file (".x");
 * - it is not absolute, so that it depends on what the kernel's directory is;
 * - except for core dumps, which applications take care of wherever they are installed, it is
 *   outside of the directories that systems keep programs in;
 * - it should load modules, and is named neither as programs that do so nor as one that does
 *   nothing (/bin/true, /bin/false), which is how people turn this off.
 *
 * An empty path, and a core pattern that names a file, start nothing.
 */
#define HELPER_BYTES	4096u		/* the longest: PATH_MAX, of a control group hierarchy */
#define HIERARCHIES_MAX	256u		/* one for each controller, and named ones */

struct helper {
	const char *symbol;
	const char *what;
	bool pattern;		/* a program only behind a '|' */
	bool modprobe;
};

/* Of these only the first two are there on every kernel. */
static const struct helper helpers[] = {
	{ "modprobe_path", "loads modules", false, true },
	{ "core_pattern", "takes core dumps", true, false },
	{ "uevent_helper", "is told of devices", false, false },
	{ "poweroff_cmd", "turns the machine off", false, false },
	{ "reboot_cmd", "reboots the machine", false, false },
	{ "mce_helper", "is told of machine checks", false, false },
};

static const char *const volatile_places[] = {
	"/tmp", "/var/tmp", "/dev", "/proc", "/sys", "/run/user", "/run/lock", "/run/shm",
	"/var/run/user", "/var/lock",
};

static const char *const program_places[] = {
	"/sbin", "/bin", "/usr", "/lib", "/lib64", "/opt", "/etc", "/nix", "/gnu", "/snap",
	"/run/current-system", "/run/booted-system", "/var/lib", "/system", "/vendor",
};

static const char *const modprobes[] = {
	"modprobe", "kmod", "busybox", "toybox", "true", "false", "nologin",
};

static bool is_below(const char *path, const char *place)
{
	size_t n = strlen(place);

	return !strncmp(path, place, n) && path[n] == '/';
}

static bool is_in(const char *path, const char *const *places, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (is_below(path, places[i]))
			return true;
	return false;
}

/* Why the program is foreign; NULL: it is not. */
static const char *foreign(const struct helper *helper, const char *path)
{
	const char *name = strrchr(path, '/');

	if (path[0] != '/')
		return "an absolute path";
	if (strstr(path, "/.") || strstr(path, "//"))
		return "a plain path, and nothing hidden";
	if (is_in(path, volatile_places, sizeof(volatile_places) / sizeof(char *)))
		return "a program where not everybody may write";
	if (!helper->pattern && !is_in(path, program_places,
				       sizeof(program_places) / sizeof(char *)))
		return "a program where systems keep programs";
	for (size_t i = 0; helper->modprobe && i < sizeof(modprobes) / sizeof(char *); i++)
		if (!strcmp(name + 1, modprobes[i]))
			return NULL;
	return helper->modprobe ? "modprobe, or a program that does nothing" : NULL;
}

static void judge(struct check_run *run, const struct helper *helper, gva at, const char *name,
		  const char *value)
{
	const char *path = value, *expected;
	char program[HELPER_BYTES];
	struct finding *finding;

	if (helper->pattern) {
		if (value[0] != '|')
			return;
		path = value + 1 + strspn(value + 1, " ");
	}
	/* A pattern has arguments behind the program. */
	snprintf(program, sizeof(program), "%s", path);
	if (helper->pattern)
		program[strcspn(program, " ")] = '\0';
	expected = program[0] ? foreign(helper, program) : NULL;
	if (!expected)
		return;
	finding = check_finding(run, SEVERITY_HIGH, "helper", at, "%s", name);
	finding_title(finding, "The kernel starts a foreign program that %s", helper->what);
	finding_evidence(finding, name, at, helper->symbol, expected, value);
}

static int look_at(struct check_run *run, const struct helper *helper, struct err *err)
{
	gva at = symbols_lookup(check_kernel(run)->symbols, helper->symbol);
	char value[256];		/* none of them has more */
	uint64_t size = 0;
	struct symbol symbol;
	int r;

	if (!at.v || symbols_at(check_kernel(run)->symbols, at, &symbol, &size) < 0)
		return 0;
	if (size > sizeof(value))
		size = sizeof(value);
	r = view_string(check_view(run), at, value, size, err);
	if (r < 0)
		return wrap(err, r, "%s", helper->symbol);
	judge(run, helper, at, helper->symbol, value);
	check_covered(run, "helpers", 1);
	return 0;
}

/* --- of control groups, before version 2 --- */

struct cgroup_fields {
	struct field list, agent, name, id;
};

static const struct member cgroup_members[] = {
	MEMBER(struct cgroup_fields, list, "cgroup_root.root_list"),
	MEMBER(struct cgroup_fields, agent, "cgroup_root.release_agent_path"),
	MEMBER(struct cgroup_fields, name, "cgroup_root.name"),
	MEMBER(struct cgroup_fields, id, "cgroup_root.hierarchy_id"),
};
LAYOUT(cgroup_layout, struct cgroup_fields, cgroup_members);

struct hierarchies {
	struct check_run *run;
	const struct cgroup_fields *f;
};

static int look_at_hierarchy(gva link, void *ctx, struct err *err)
{
	static const struct helper agent = {
		"release_agent", "is told of empty control groups", false, false,
	};
	const struct hierarchies *h = ctx;
	struct view *view = check_view(h->run);
	gva root = field_object(link, &h->f->list), at = field_at(root, &h->f->agent);
	char value[HELPER_BYTES], name[128], title[64];
	uint64_t id;
	int r;

	r = view_string(view, at, value, sizeof(value), err);
	if (r >= 0)
		r = view_string(view, field_at(root, &h->f->name), title, sizeof(title), err);
	if (r >= 0)
		r = field_read(view, root, &h->f->id, &id, err);
	if (r < 0)
		return wrap(err, r, "control group hierarchy");
	if (title[0])
		snprintf(name, sizeof(name), "release_agent of %s", title);
	else
		snprintf(name, sizeof(name), "release_agent of hierarchy %u", (unsigned)id);
	judge(h->run, &agent, at, name, value);
	check_covered(h->run, "helpers", 1);
	return 0;
}

static int look_at_hierarchies(struct check_run *run, struct err *err)
{
	struct hierarchies h = { .run = run };
	gva roots = symbols_lookup(check_kernel(run)->symbols, "cgroup_roots");
	int r;

	r = types_layout(check_kernel(run)->types, &cgroup_layout, (const void **)&h.f, err);
	if (r == -ENOENT || !roots.v)
		return 0;
	if (r >= 0)
		r = list_walk(check_view(run), roots, HIERARCHIES_MAX, look_at_hierarchy, &h,
			      err);
	return r < 0 ? wrap(err, r, "control groups") : 0;
}

static int usermode_helpers_run(struct check_run *run, struct err *err)
{
	int r = 0;

	for (size_t i = 0; i < sizeof(helpers) / sizeof(helpers[0]); i++) {
		r = look_at(run, &helpers[i], err);
		if (r == -ESRCH || r == -ELOOP)
			return r;
		if (r < 0)
			check_inconclusive(run, "%s", err->text);
	}
	return look_at_hierarchies(run, err);
}

CHECK(usermode_helpers,
	.id = "usermode-helpers",
	.group = GROUP_PRIVILEGE,
	.title = "The kernel starts a foreign program",
	.proves = "The programs that the kernel starts by itself, to load modules, to take core "
		  "dumps, for devices, to turn the machine off, and for empty control groups, are "
		  "where systems keep programs, and not where anybody may write.",
	.techniques = TECHNIQUES("T1546", "T1611", "T1068"),
	.fuel_max = 1000,
	.run = usermode_helpers_run);
