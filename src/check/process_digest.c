/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "check/agent.h"
#include "check/process.h"
#include "keeper/keeper.h"
#include "keeper/measured.h"
#include "linux/inode.h"
#include "linux/task_exec.h"
#include "linux/vma.h"
#include "reference/trust.h"

/*
 * Does somebody vouch for what runs? Every file that the agent in the guest measured, whether it
 * runs now or did once, against the digests that the host trusts; and for the report, which
 * process runs what. What the agent has not measured is told by process-code.
 */

#define FUEL_MAX   VIEW_FUEL_SWEEP
#define PIDS_TOLD  8u	/* of those that run one file */
#define SCRIPTS_MAX 1024u	/* that arguments of processes are compared with */
#define DIGEST_HEX (2 * AGENT_DIGEST_BYTES + 1)

/* Periods of the agent after which it has measured what runs (as process-code has it). */
#define PERIODS_GIVEN 3u
#define PERIOD_MAX_MS 5000u
#define NS_PER_MS     1000000ull
#define NS_PER_S      1000000000u

/* What is known of one record of the agent's log. */
struct verdict {
	const struct measured_file *file;
	const struct trust_known *known;	/* NULL: nobody vouches for it */
	uint32_t users;				/* processes that run it */
	char pids[PIDS_TOLD][TASK_COMM_BYTES + 16];
};

struct digest_look {
	struct process_walk *walk;
	const struct keeper_agent *agent;
	const struct measured *measured;
	struct trust *trust;	/* NULL: nothing is trusted */
	VEC(const struct measured_file *) scripts;	/* the newest, newest first */
	VEC(struct verdict) verdicts;
	struct map index;	/* address of a measured file → place in @verdicts */
	uint8_t own[AGENT_DIGEST_BYTES];	/* the host's copy of the agent */
	bool has_own;
	uint64_t processes, unmeasured;
};

/* One process while its files are looked at. */
struct process_look {
	struct digest_look *look;
	const struct task *task;
	struct process_seen *seen;
	struct vma_space space;
	const struct measured_file *program;
};

static bool is_own(const struct digest_look *look, const struct measured_file *file)
{
	return look->has_own && !memcmp(file->sha256, look->own, sizeof(look->own));
}

/* What is known of a record; asked once. 0, or an errno. */
static int verdict_of(struct digest_look *look, const struct measured_file *file,
		      struct verdict **ret, struct err *err)
{
	const struct trust_known *known = NULL;
	struct verdict *verdict;
	uint64_t key = (uintptr_t)file;	/* numbers of records begin anew with each agent */
	uint32_t i;
	int r = 0;

	if (map_get(&look->index, key, &i)) {
		*ret = &look->verdicts.v[i];
		return 0;
	}
	if (look->trust)
		r = trust_find(look->trust, file->sha256, &known, err);
	if (r < 0)
		return r;
	verdict = vec_add(&look->verdicts);
	if (!verdict)
		return -ENOMEM;
	verdict->file = file;
	verdict->known = known;
	*ret = verdict;
	r = map_put(&look->index, key, (uint32_t)look->verdicts.n - 1);
	return r < 0 ? r : 0;
}

/* --- who runs what --- */

static int use_file(struct process_look *process, const struct measured_file *file,
		    struct err *err);

/* Given to an interpreter, or executed and no program: no part of it may be code. */
static bool is_script(const struct measured_file *file)
{
	return file->reason == AGENT_SCRIPT || (file->reason == AGENT_EXEC && !file->segments);
}

/* The newest script that was run under a path; NULL: none. */
static const struct measured_file *script_at(const struct digest_look *look, const char *path)
{
	for (size_t i = 0; i < look->scripts.n; i++)
		if (!strcmp(look->scripts.v[i]->path, path))
			return look->scripts.v[i];
	return NULL;
}

/*
 * The script that an interpreter was given: by its arguments, which the process can change: they
 * add to what is known of it, and take nothing away. That a script was run is told either way.
 */
static int use_script(struct process_look *process, struct err *err)
{
	const struct digest_look *look = process->look;
	struct task_args args;
	int r = task_args(look->walk->kernel, look->walk->view, process->task, &args, NULL);

	for (size_t at = 0; r >= 0 && at < args.bytes; at += strnlen(args.text + at,
								     args.bytes - at) + 1) {
		const struct measured_file *file;
		char path[PATH_BYTES_MAX];

		snprintf(path, sizeof(path), "%.*s", (int)(args.bytes - at), args.text + at);
		file = *path == '/' ? script_at(look, path) : NULL;
		if (file)
			return use_file(process, file, err);
	}
	return 0;
}

static int collect_scripts(struct digest_look *look)
{
	for (size_t i = look->measured->files.n; i > 0 && look->scripts.n < SCRIPTS_MAX; i--) {
		const struct measured_file *file = look->measured->files.v[i - 1], **slot;

		if (!is_script(file))
			continue;
		slot = vec_add(&look->scripts);
		if (!slot)
			return -ENOMEM;
		*slot = file;
	}
	return 0;
}

/* The measurement of a file; NULL: none. */
static int find_measured(struct digest_look *look, const struct program *program,
			 const struct measured_file **ret, struct err *err)
{
	struct inode_info info;
	struct measured_key key;
	int r = inode_read(look->walk->kernel, look->walk->view, program->inode, &info, err);

	if (r < 0)
		return r;
	key = (struct measured_key){
		.device = info.device, .inode = info.number, .size_bytes = info.size_bytes,
		.mtime_ns = info.mtime_ns, .ctime_ns = info.ctime_ns,
	};
	*ret = measured_find(look->measured, &key);
	return 0;
}

static int use_file(struct process_look *process, const struct measured_file *file,
		    struct err *err)
{
	struct digest_look *look = process->look;
	const struct task *task = process->task;
	struct verdict *verdict;
	char who[sizeof(verdict->pids[0])];
	int r = verdict_of(look, file, &verdict, err);

	if (r < 0)
		return r;
	if (!verdict->known && !is_own(look, file))
		process->seen->marks |= PROCESS_UNKNOWN;
	snprintf(who, sizeof(who), "%d %s", task->pid, task->comm);
	/* A file has several areas in one process. */
	if (verdict->users && verdict->users <= PIDS_TOLD &&
	    !strcmp(verdict->pids[verdict->users - 1], who))
		return 0;
	if (verdict->users < PIDS_TOLD)
		strcpy(verdict->pids[verdict->users], who);
	verdict->users++;
	return 0;
}

static int visit_vma(const struct vma *vma, void *ctx, struct err *err)
{
	struct process_look *process = ctx;
	struct digest_look *look = process->look;
	const struct measured_file *file;
	const struct program *program;
	int r;

	if (!(vma->flags & VMA_EXEC) || !vma->file.v || vma_is_special(look->walk->kernel, vma))
		return 0;
	r = programs_get(&look->walk->programs, vma->file, &program, err);
	if (r < 0 || !program_is_regular(program))
		return r < 0 ? r : 0;
	r = find_measured(look, program, &file, err);
	if (r < 0 || !file)
		return r;
	if (vma->start <= process->space.code_start && process->space.code_start < vma->end)
		process->program = file;
	return use_file(process, file, err);
}

/* A program that was not measured; process-code tells of it, and waits for the agent. */
static void miss(struct process_look *process)
{
	const struct keeper_agent *agent = process->look->agent;
	uint64_t period_ms = agent->period_ms < PERIOD_MAX_MS ? agent->period_ms : PERIOD_MAX_MS;
	uint64_t given_ns = PERIODS_GIVEN * period_ms * NS_PER_MS;

	process->look->unmeasured++;
	if (agent->heartbeat_ns > given_ns &&
	    process->task->start_ns < agent->heartbeat_ns - given_ns)
		check_inconclusive(process->look->walk->run, "PID %d: its program was not "
				   "measured", process->task->pid);
}

/* What the report says of its program. */
static int describe(struct process_look *process, struct err *err)
{
	struct digest_look *look = process->look;
	struct process_seen *seen = process->seen;
	const struct program *exe;
	struct verdict *verdict;
	int r = programs_get(&look->walk->programs, process->space.exe, &exe, err);

	if (r < 0)
		return r;
	if (!process->program && program_is_regular(exe))
		r = find_measured(look, exe, &process->program, err);
	if (r < 0)
		return r;
	free(seen->path);
	seen->path = strdup(exe->path);
	if (!seen->path)
		return -ENOMEM;
	if (exe->deleted && !exe->memory)
		seen->marks |= PROCESS_MODIFIED_DISK;
	if (!process->program) {
		miss(process);
		return 0;
	}
	seen->has_digest = true;
	memcpy(seen->digest, process->program->sha256, sizeof(seen->digest));
	r = verdict_of(look, process->program, &verdict, err);
	if (r < 0)
		return r;
	free(seen->package);
	seen->package = NULL;
	if (is_own(look, process->program))
		seen->package = strdup("hvsm-agent");
	else if (verdict->known)
		seen->package = strdup(verdict->known->by);
	return 0;
}

static int visit_process(struct process_walk *walk, const struct task *task, void *ctx,
			 struct err *err)
{
	struct process_look process = { .look = ctx, .task = task };
	int r;

	process.look->walk = walk;
	if (!task->mm.v || task->kernel_thread)
		return 0;
	r = vma_space(walk->kernel, walk->view, task->mm, &process.space, err);
	if (r < 0 || !process.space.exe.v)	/* it is just ending */
		return r;
	process.seen = check_process(walk->run, task);
	process.seen->listed = true;
	process.look->processes++;
	r = vma_walk(walk->kernel, walk->view, task->mm, visit_vma, &process, err);
	if (r >= 0)
		r = use_script(&process, err);
	return r < 0 ? r : describe(&process, err);
}

/*
 * The agent's program, which the keeper proved, is the host's own copy. What the guest says that
 * it measured of that file does not count.
 */
static void find_own(struct digest_look *look, const struct keeper *keeper)
{
	const struct build *build = keeper_build(keeper);

	if (!build)
		return;
	crypto_hash_sha256(look->own, build->file.data, build->file.size);
	look->has_own = true;
}

/* --- what nobody vouches for --- */

static const char *title_of(const struct measured_file *file)
{
	if (is_script(file))
		return "A script was run that nobody vouches for";
	switch (file->reason) {
	case AGENT_MAPPED:
		return "A library was mapped that nobody vouches for";
	case AGENT_MODULE:
		return "A kernel module was loaded that nobody vouches for";
	default:
		return "A program was executed that nobody vouches for";
	}
}

static void tell(struct check_run *run, const struct verdict *verdict)
{
	const struct measured_file *file = verdict->file;
	char digest[DIGEST_HEX], text[256];
	struct finding *finding;

	sodium_bin2hex(digest, sizeof(digest), file->sha256, sizeof(file->sha256));
	finding = check_finding(run, SEVERITY_MEDIUM, "file", gva_of(0), "%s", file->path);
	finding_title(finding, "%s", title_of(file));
	snprintf(text, sizeof(text), "SHA-256 %s, inode %" PRIu64 ", %" PRIu64 " bytes", digest,
		 file->inode, file->size_bytes);
	finding_evidence(finding, measured_reason_name(file->reason), gva_of(0), NULL,
			 "a digest in the trust store", text);
	for (uint32_t i = 0; i < verdict->users && i < PIDS_TOLD; i++)
		finding_evidence(finding, "runs in process", gva_of(0), NULL, NULL,
				 verdict->pids[i]);
	if (verdict->users > PIDS_TOLD) {
		snprintf(text, sizeof(text), "%" PRIu32 " more", verdict->users - PIDS_TOLD);
		finding_evidence(finding, "runs in processes", gva_of(0), NULL, NULL, text);
	}
}

/* Of a module that the guest has no file of, the checks of modules know more. */
static bool is_program(const struct measured_failure *failure)
{
	return failure->reason == AGENT_EXEC || failure->reason == AGENT_SCRIPT ||
	       (failure->reason == AGENT_MODULE && failure->error != ENOENT);
}

/* What ran and could not be measured may be anything; one of them is told by its name. */
static void judge_failures(struct check_run *run, const struct measured *measured)
{
	const struct measured_failure *newest = NULL;
	uint64_t n = 0;

	for (size_t i = 0; i < measured->failures.n; i++) {
		if (!is_program(&measured->failures.v[i]))
			continue;
		newest = &measured->failures.v[i];
		n++;
	}
	if (newest)
		check_inconclusive(run, "%" PRIu64 " files were run that could not be measured, "
				   "the last %" PRIu64 " s after the guest's boot: '%s' (error %u)",
				   n, newest->time_ns / NS_PER_S, newest->path, newest->error);
}

/*
 * What ran when events were lost, and has ended, nobody will know: agent-log tells of that for
 * good. What runs still is measured in the agent's next round, and is known from then on.
 */
static void judge_lost(struct check_run *run, const struct digest_look *look)
{
	const struct measured *measured = look->measured;

	if (!measured->lost)
		return;
	if (look->agent->complete_ns <= measured->lost_last_ns ||
	    look->agent->complete_ns > look->agent->heartbeat_ns)
		check_inconclusive(run, "%" PRIu64 " events were lost: what runs since then is "
				   "not all measured yet", measured->lost);
	else
		check_note(run, "what ran only when events were lost is not known (agent-log)");
}

/* All that was measured in this boot, also what has ended. */
static int judge_all(struct check_run *run, struct digest_look *look, struct err *err)
{
	uint64_t known = 0;

	for (size_t i = 0; i < look->measured->files.n; i++) {
		const struct measured_file *file = look->measured->files.v[i];
		struct verdict *verdict;
		int r = verdict_of(look, file, &verdict, err);

		if (r < 0)
			return r;
		if (verdict->known || is_own(look, file))
			known++;
		else
			tell(run, verdict);
	}
	check_covered(run, "processes", look->processes);
	check_covered(run, "of them not measured yet", look->unmeasured);
	check_covered(run, "files that were run", look->measured->files.n);
	check_covered(run, "of them known", known);
	judge_failures(run, look->measured);
	if (look->measured->full)
		check_inconclusive(run, "the agent's log is full: what ran later is not known");
	judge_lost(run, look);
	return 0;
}

static int look_at_all(struct check_run *run, struct digest_look *look, struct err *err)
{
	int r = collect_scripts(look);

	if (r >= 0)
		r = process_each(run, visit_process, look, err);
	if (r < 0)
		return r;
	if (look->trust)
		return judge_all(run, look, err);
	check_not_covered(run, "no program is trusted yet (`hvsm trust add`)");
	return 0;
}

static int process_digest_run(struct check_run *run, struct err *err)
{
	struct keeper *keeper = check_keeper(run);
	struct trust *trust = check_trust(run);
	struct digest_look look = {0};
	int r = agent_measured(run, &look.measured, err);

	if (r < 0 || !look.measured)
		return r;
	look.agent = keeper_agent(keeper);
	find_own(&look, keeper);
	r = trust ? trust_is_empty(trust, err) : 1;
	if (r == 0)
		look.trust = trust;
	if (r >= 0)
		r = look_at_all(run, &look, err);
	vec_free(&look.scripts);
	vec_free(&look.verdicts);
	map_free(&look.index);
	return r;
}

CHECK(process_digest,
	.id = "process-digest",
	.group = GROUP_PROCESSES,
	.title = "A program was executed that nobody vouches for",
	.proves = "Every program, library, script and module that the agent in the guest measured "
		  "in this boot has a digest that the host trusts (`hvsm trust`, "
		  "docs/processes.md). Without an agent, or where nothing is trusted, it is not "
		  "covered.",
	.techniques = TECHNIQUES("T1204.002", "T1554", "T1036.005", "T1547.006"),
	.fuel_max = FUEL_MAX,
	.run = process_digest_run);
