/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/map.h"
#include "check/process.h"
#include "linux/dcache.h"
#include "linux/page_cache.h"
#include "linux/peek.h"
#include "linux/vma.h"

/*
 * The dynamic linker loads what the environment (ld.so(8): LD_PRELOAD, LD_AUDIT) and
 * /etc/ld.so.preload name into a program, in front of its own libraries. Packages do so with
 * libraries in system directories (jemalloc, libfakeroot, libstdbuf); intruders, with ones that
 * anybody could have put there.
 */

#define FUEL_MAX	(VIEW_FUEL_SWEEP / 2)
#define ENVIRONMENT_MAX	(64u << 10)	/* bytes looked through of one process; 2 KiB are usual */
#define PARTS_MAX	64u		/* libraries of one variable */

static const char *const variables[] = { "LD_PRELOAD=", "LD_AUDIT=", "LD_LIBRARY_PATH=" };
enum { LIBRARY_PATH = 2 };

struct preload_fields {
	struct field fs, root_dentry, inode, size;
};

static const struct member preload_members[] = {
	MEMBER(struct preload_fields, fs, "task_struct.fs"),
	MEMBER(struct preload_fields, root_dentry, "fs_struct.root.dentry"),
	MEMBER(struct preload_fields, inode, "dentry.d_inode"),
	MEMBER(struct preload_fields, size, "inode.i_size"),
};
LAYOUT(preload_layout, struct preload_fields, preload_members);

struct preload {
	struct process_walk *walk;
	const struct preload_fields *f;
	struct map roots;	/* directories in which etc/ld.so.preload was looked for */
	uint64_t processes, environments, named, absent, roots_n;
	char environment[ENVIRONMENT_MAX + 1];
};

/* A library that something names, and what is known of it. */
struct library {
	struct process_walk *walk;
	const char *path;
	const char *name;	/* its last part */
	const struct program *mapped;	/* what is mapped under this name; NULL: nothing */
};

/* --- a library --- */

static int visit_vma(const struct vma *vma, void *ctx, struct err *err)
{
	struct library *library = ctx;
	const struct program *program;
	size_t len = strlen(library->name);
	int r;

	if (!vma->file.v || library->mapped)
		return 0;
	r = programs_get(&library->walk->programs, vma->file, &program, err);
	if (r >= 0 && !strncmp(program->name, library->name, len) &&
	    (!program->name[len] || program->deleted || program->memory))
		library->mapped = program;
	return r;
}

/* Why nobody's package put it there; NULL: one may have. */
static const char *why_bad(const struct library *library)
{
	const struct program *mapped = library->mapped;
	const char *path = mapped && !mapped->memory ? mapped->path : library->path;
	enum place place = mapped ? mapped->place : place_of(path);

	if (mapped && mapped->memory)
		return "it is in memory only";
	if (mapped && mapped->deleted && place != PLACE_SYSTEM)
		return "it was deleted";
	if (mapped && program_is_regular(mapped) && mapped->mode & 2)
		return "anybody may write to it";
	if (path[0] != '/')
		return NULL;		/* searched for in the system's directories */
	if (place == PLACE_TEMP || place == PLACE_HOME)
		return place == PLACE_TEMP ? "it is in a temporary directory" :
					     "it is in a home directory";
	return path_is_hidden(path) ? "its path is hidden" : NULL;
}

static void tell_library(struct finding *finding, const char *where, const struct library *library,
			 const char *why)
{
	finding_evidence(finding, where, gva_of(0), NULL, "a library in a system directory",
			 library->path);
	finding_evidence(finding, "why", gva_of(0), NULL, NULL, why);
	if (library->mapped)
		finding_evidence(finding, "mapped", library->mapped->inode, NULL, NULL,
				 library->mapped->path);
}

/* --- the environment --- */

/*
 * A path of libraries is bad where anybody may plant one: a temporary directory itself, or a
 * hidden one in it. Programs that unpack themselves have directories of their own there.
 */
static const char *why_bad_path(const char *path)
{
	static const char *const everybodys[] = {
		"/tmp", "/tmp/", "/var/tmp", "/var/tmp/", "/dev/shm", "/dev/shm/", NULL
	};

	if (name_matches(path, everybodys))
		return "anybody may put a library there";
	if (place_of(path) == PLACE_TEMP && path_is_hidden(path) &&
	    strncmp(path, "/tmp/.mount_", 12) != 0)	/* where AppImages are mounted */
		return "its path is hidden in a temporary directory";
	return NULL;
}

static int judge_part(struct preload *preload, const struct task *task, size_t variable,
		      const char *part, struct err *err)
{
	const char *slash = strrchr(part, '/');
	struct library library = { preload->walk, part, slash ? slash + 1 : part, NULL };
	struct finding *finding;
	const char *why;
	char what[32];
	int r = 0;

	if (variable != LIBRARY_PATH && library.name[0])
		r = vma_walk(preload->walk->kernel, preload->walk->view, task->mm, visit_vma,
			     &library, err);
	if (r < 0)
		return r;
	why = variable == LIBRARY_PATH ? why_bad_path(part) : why_bad(&library);
	if (!why)
		return 0;
	snprintf(what, sizeof(what), "%.*s", (int)strlen(variables[variable]) - 1,
		 variables[variable]);
	finding = process_finding(preload->walk, library.mapped ? SEVERITY_HIGH : SEVERITY_MEDIUM,
				  task, what);
	finding_title(finding, variable == LIBRARY_PATH ?
		      "Process takes libraries from where anybody may put some" :
		      "Process was given a library that no package put there");
	tell_library(finding, what, &library, why);
	return 0;
}

/* @value: "lib.so:/tmp/other.so"; it is taken apart. */
static int judge_value(struct preload *preload, const struct task *task, size_t variable,
		       char *value, struct err *err)
{
	const char *between = variable == 0 ? ": \t" : ":;";
	char *rest = NULL;
	unsigned n = 0;
	int r = 0;

	preload->named += variable != LIBRARY_PATH;
	for (char *part = strtok_r(value, between, &rest); r >= 0 && part;
	     part = strtok_r(NULL, between, &rest)) {
		if (n++ == PARTS_MAX) {
			check_inconclusive(preload->walk->run, "PID %d preloads over %u libraries",
					   task->pid, PARTS_MAX);
			break;
		}
		r = judge_part(preload, task, variable, part, err);
	}
	return r;
}

/* Copy what is resident; zeros stand for what is not. Returns the bytes that were there. */
static int read_environment(struct preload *preload, const struct task *task, uint64_t from,
			    size_t bytes, struct err *err)
{
	size_t there = 0;

	for (size_t at = 0; at < bytes;) {
		size_t n = GUEST_PAGE_SIZE - ((from + at) & GUEST_PAGE_MASK);
		int r;

		n = n > bytes - at ? bytes - at : n;
		r = view_read_space(preload->walk->view, task->space, gva_of(from + at),
				    preload->environment + at, n, err);
		if (r == -ELOOP || r == -ESRCH)
			return r;
		if (r < 0)
			memset(preload->environment + at, 0, n);
		else
			there += n;
		at += n;
	}
	preload->environment[bytes] = '\0';
	return (int)there;
}

static int judge_environment(struct preload *preload, const struct task *task, struct err *err)
{
	struct vma_space space;
	size_t bytes;
	int r;

	r = vma_space(preload->walk->kernel, preload->walk->view, task->mm, &space, err);
	if (r < 0 || space.env_start >= space.env_end)
		return r;
	bytes = space.env_end - space.env_start > ENVIRONMENT_MAX ?
			ENVIRONMENT_MAX : (size_t)(space.env_end - space.env_start);
	r = read_environment(preload, task, space.env_start, bytes, err);
	if (r < 0)
		return r;
	preload->environments += r > 0;
	preload->absent += (size_t)r < bytes || bytes < space.env_end - space.env_start;
	for (size_t at = 0; r >= 0 && at < bytes;) {
		char *entry = preload->environment + at;

		at += strlen(entry) + 1;
		if (strncmp(entry, "LD_", 3) != 0)
			continue;
		for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(variables); i++) {
			size_t len = strlen(variables[i]);

			if (!strncmp(entry, variables[i], len) && entry[len])
				r = judge_value(preload, task, i, entry + len, err);
		}
	}
	return r;
}

/* --- /etc/ld.so.preload --- */

static void report_file(struct preload *preload, const struct task *task, gva inode,
			enum severity severity, const struct library *library, const char *why)
{
	static const char path[] = "/etc/ld.so.preload";
	struct finding *finding;

	if (task->tgid == 1)
		finding = check_finding(preload->walk->run, severity, "file", inode, "%s", path);
	else
		finding = check_finding(preload->walk->run, severity, "file", inode,
					"%s of PID %d", path, task->tgid);
	finding_title(finding, "Every program that is started is given a library");
	tell_library(finding, path, library, why);
}

/* Names are separated by white space and colons; what follows a # is a remark. */
static void judge_list(struct preload *preload, const struct task *task, gva inode, char *text)
{
	static const char between[] = " \t\n\r:";
	char *lines = NULL;
	unsigned n = 0;

	for (char *line = strtok_r(text, "\n", &lines); line; line = strtok_r(NULL, "\n", &lines)) {
		char *rest = NULL, *remark = strchr(line, '#');

		if (remark)
			*remark = '\0';
		for (char *part = strtok_r(line, between, &rest); part && n < PARTS_MAX;
		     part = strtok_r(NULL, between, &rest), n++) {
			struct library library = { preload->walk, part, part, NULL };
			const char *why = why_bad(&library);

			report_file(preload, task, inode, why ? SEVERITY_HIGH : SEVERITY_LOW,
				    &library, why ? why : "the file is there");
		}
	}
}

static int judge_file(struct preload *preload, const struct task *task, gva dentry,
		      struct err *err)
{
	struct view *view = preload->walk->view;
	char text[GUEST_PAGE_SIZE + 1];
	uint64_t size;
	gva inode;
	int r;

	r = field_ptr(view, dentry, &preload->f->inode, &inode, err);
	if (r >= 0)
		r = field_read(view, inode, &preload->f->size, &size, err);
	if (r < 0 || !size)
		return r;
	r = page_cache_read(preload->walk->kernel, view, inode, 0, (uint8_t *)text, err);
	if (r == -ENOENT) {
		/* Whoever starts a program reads it: it was put there and nobody did yet. */
		check_inconclusive(preload->walk->run, "/etc/ld.so.preload is there, but what it "
				   "says is not in memory");
		return 0;
	}
	if (r < 0)
		return r;
	text[size < GUEST_PAGE_SIZE ? size : GUEST_PAGE_SIZE] = '\0';
	judge_list(preload, task, inode, text);
	return 0;
}

/* As the process sees it: containers have one of their own. */
static int look_for_file(struct preload *preload, const struct task *task, struct err *err)
{
	const struct kernel *kernel = preload->walk->kernel;
	struct view *view = preload->walk->view;
	gva fs, root, dentry;
	int r;

	r = field_ptr(view, task->live, &preload->f->fs, &fs, err);
	if (r < 0 || !fs.v)
		return r;
	r = field_ptr(view, fs, &preload->f->root_dentry, &root, err);
	if (r < 0 || map_get(&preload->roots, root.v, NULL))
		return r;
	r = map_put(&preload->roots, root.v, 0);
	if (r < 0)
		return r;
	preload->roots_n++;
	r = dcache_find(kernel, view, root, "etc", &dentry, err);
	if (r >= 0)
		r = dcache_find(kernel, view, dentry, "ld.so.preload", &dentry, err);
	if (r >= 0)
		r = judge_file(preload, task, dentry, err);
	return r == -ENOENT ? 0 : r;
}

static int visit_process(struct process_walk *walk, const struct task *task, void *ctx,
			 struct err *err)
{
	struct preload *preload = ctx;
	int r;

	if (!task->mm.v || task->kernel_thread || !task->space.root.v)
		return 0;
	preload->walk = walk;
	preload->processes++;
	r = types_layout(walk->kernel->types, &preload_layout, (const void **)&preload->f, err);
	if (r >= 0)
		r = judge_environment(preload, task, err);
	return r < 0 ? r : look_for_file(preload, task, err);
}

static int process_preload_run(struct check_run *run, struct err *err)
{
	cleanup(freep) struct preload *preload = calloc(1, sizeof(*preload));
	int r;

	if (!preload)
		return -ENOMEM;
	r = process_each(run, visit_process, preload, err);
	check_covered(run, "processes", preload->processes);
	check_covered(run, "environments", preload->environments);
	check_covered(run, "that preload", preload->named);
	check_covered(run, "roots of files", preload->roots_n);
	if (preload->absent)
		check_note(run, "parts of %llu environments are not in memory",
			   (unsigned long long)preload->absent);
	map_free(&preload->roots);
	return r;
}

CHECK(process_preload,
	.id = "process-preload",
	.group = GROUP_PROCESSES,
	.title = "Process was given a library that no package put there",
	.proves = "No process has a library of a temporary, home or hidden directory, or one that "
		  "was deleted or that anybody may write to, in LD_PRELOAD or LD_AUDIT, as far as "
		  "its environment is in memory; none searches for libraries where anybody may put "
		  "them; there is no /etc/ld.so.preload (docs/processes.md).",
	.techniques = TECHNIQUES("T1574.006"),
	.fuel_max = FUEL_MAX,
	.run = process_preload_run);
