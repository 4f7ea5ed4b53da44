/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/hash.h"
#include "base/limits.h"
#include "check/agent.h"
#include "check/code_page.h"
#include "check/process.h"
#include "check/text_relocations.h"
#include "keeper/keeper.h"
#include "keeper/measured.h"
#include "keeper/page_digests.h"
#include "keeper/patience.h"
#include "linux/cpu.h"

/*
 * What runs is what was measured: each page of a file that a process may execute and that is in
 * memory, against the digest that the agent made of that page of the file. Pages are found as the
 * processor finds them, through the page tables of the process.
 */

#define FUEL_MAX      VIEW_FUEL_SWEEP
#define PAGES_TOLD    4u	/* of one process, with evidence */
#define JUDGED_MAX    4096u	/* pages of one process that are looked at once more */
#define JUDGED_ALL_MAX (16u * JUDGED_MAX)

/*
 * The agent is told of what is executed, and looks at what it has mapped 50 ms and a second later;
 * what processes load after that it finds in slow rounds (agent/process.c). So it is waited for a
 * few of its periods, and what is not measured after some rounds was not measured. In between
 * nobody can say.
 */
#define PERIODS_GIVEN 3u
#define LOOKS_A_PERIOD 4u
#define PERIODS_WAIT  6u	/* … of the host's time */
#define PERIOD_MAX_MS 5000u	/* whatever the agent says that its period is */
#define NS_PER_MS     1000000ull

struct code_look {
	struct process_walk *walk;
	struct page_digests *pages;
	const struct measured *measured;
	const struct keeper_agent *agent;
	struct patience *patience;
	struct space_kind {
		bool isolated;		/* page-table isolation: the processor uses another root */
		bool no_execute;	/* pages may be without the right to be executed */
	} kind;
	VEC(struct code_file *) files;
	struct map index;		/* inode → place in @files */
	struct uprobes uprobes;
	bool has_uprobes;
	struct map *waiting;		/* files that the agent is waited for, by file_key() */
	bool again;			/* it was waited for */
	uint32_t judged;
	uint64_t processes, resident, verified, compiled, probed, unmeasured;
	uint64_t fresh;			/* files of processes that the agent may measure soon */
	uint64_t late;			/* … that it has not measured yet */
};

struct code_area {
	struct vma vma;
	struct code_file *file;
	bool unmeasured;	/* that is decided, or will be */
};

/* One process while its pages are looked at. */
struct process_look {
	struct code_look *look;
	const struct task *task;
	struct space space;
	VEC(struct code_area) areas;	/* ascending */
	size_t next;			/* the first that does not end before where we are */
	unsigned runtime;
	struct process_seen *seen;
	uint64_t resident, verified;
	uint32_t judged;
	unsigned told;
};

/* --- files --- */

/* The same whatever somebody does to its times. */
static uint64_t file_key(const struct code_file *file)
{
	const uint64_t key[] = { file->info.device, file->info.number };

	return hash_bytes(key, sizeof(key), hash_secret()) | 1;
}

/* The last measurement of the inode of this device, as it was with other times or another size. */
static const struct measured_file *measured_before(const struct measured *measured,
						   const struct inode_info *info)
{
	const struct measured_file *file = measured_inode(measured, info->number);

	for (uint32_t n = 0; file && n < MEASURED_SAME_MAX; n++, file = file->older_inode)
		if (file->inode == info->number && file->device == info->device)
			return file;
	return NULL;
}

static int file_of(struct code_look *look, const struct program *program, struct code_file **ret,
		   struct err *err)
{
	struct code_file *file, **slot;
	struct measured_key key;
	uint32_t i;
	int r;

	if (map_get(&look->index, program->inode.v, &i)) {
		*ret = look->files.v[i];
		return 0;
	}
	file = calloc(1, sizeof(*file));
	slot = file ? vec_add(&look->files) : NULL;
	if (!slot) {
		free(file);
		return -ENOMEM;
	}
	*slot = file;
	file->program = program;
	r = inode_read(look->walk->kernel, look->walk->view, program->inode, &file->info, err);
	if (r < 0)
		return r;
	key = (struct measured_key){
		.device = file->info.device, .inode = file->info.number,
		.size_bytes = file->info.size_bytes, .mtime_ns = file->info.mtime_ns,
		.ctime_ns = file->info.ctime_ns,
	};
	file->measured = measured_find(look->measured, &key);
	if (!file->measured)
		file->before = measured_before(look->measured, &file->info);
	*ret = file;
	r = map_put(&look->index, program->inode.v, (uint32_t)look->files.n - 1);
	return r < 0 ? r : 0;
}

/*
 * Code that a known compiler made in memory is in files without a name, too, where it is written
 * through one mapping and run through another (.NET, libffi): process-memory looks at those.
 */
static bool is_made_here(const struct process_look *process, const struct program *program)
{
	return program->memory && process->runtime & (RUNTIME_ANY | RUNTIME_FFI);
}

static int visit_vma(const struct vma *vma, void *ctx, struct err *err)
{
	struct process_look *process = ctx;
	struct code_look *look = process->look;
	const struct program *program;
	struct code_area *area;
	int r;

	if (!(vma->flags & VMA_EXEC) || !vma->file.v || vma_is_special(look->walk->kernel, vma))
		return 0;
	r = programs_get(&look->walk->programs, vma->file, &program, err);
	if (r < 0 || !program_is_regular(program))
		return r < 0 ? r : 0;
	process->runtime |= program->runtime;
	area = vec_add(&process->areas);
	if (!area)
		return -ENOMEM;
	area->vma = *vma;
	process->seen->executable += (vma->end - vma->start) >> GUEST_PAGE_SHIFT;
	return file_of(look, program, &area->file, err);
}

/* --- pages --- */

static void tell_unmeasured(struct process_look *process, struct code_file *file,
			    const struct vma *vma)
{
	struct check_run *run = process->look->walk->run;
	const struct task *task = process->task;
	char text[VMA_TEXT_BYTES + 96], area[VMA_TEXT_BYTES];
	struct finding *finding;

	if (file->told)
		return;
	file->told = true;
	process->look->unmeasured++;
	finding = check_finding(run, SEVERITY_LOW, "file", file->program->inode, "unmeasured %s",
				file->program->path);
	finding_title(finding, "%s", file->measured ?
		      "Process may execute a part of a file that is not code there" :
		      "Process runs a file that the agent in the guest has not measured");
	snprintf(text, sizeof(text), "PID %d, '%s', %s", task->pid, task->comm,
		 vma_print(vma, area));
	finding_evidence(finding, "process", task->at, NULL, NULL, text);
	snprintf(text, sizeof(text), "inode %" PRIu64 " of device %#" PRIx64 ", %" PRIu64 " bytes",
		 file->info.number, file->info.device, file->info.size_bytes);
	finding_evidence(finding, file->program->path, file->program->inode, NULL, "measured",
			 text);
}

static uint32_t period_of(const struct keeper_agent *agent)
{
	return agent->period_ms < PERIOD_MAX_MS ? agent->period_ms : PERIOD_MAX_MS;
}

static uint64_t given_ns(const struct keeper_agent *agent)
{
	return PERIODS_GIVEN * period_of(agent) * NS_PER_MS;
}

/* The agent did not measure a file, or that part of it: has it had the time? */
static int judge_unmeasured(struct process_look *process, struct code_area *area)
{
	struct code_look *look = process->look;
	const struct code_file *file = area->file;
	const uint64_t what[] = {
		process->task->at.v, process->task->start_ns, file->info.device,
		file->info.number, file->info.size_bytes, file->info.mtime_ns,
		file->measured != NULL,
	};
	uint64_t since, now = look->agent->heartbeat_ns;
	int r;

	process->seen->marks |= PROCESS_UNMEASURED;
	if (area->unmeasured)
		return 0;
	area->unmeasured = true;
	r = patience_since(look->patience, what, sizeof(what), now, &since);
	if (r < 0)
		return r;
	if (now - since >= patience_rounds_ns(look->agent->round_ns)) {
		tell_unmeasured(process, area->file, &area->vma);
		return 0;
	}
	/* Who changes its times, or starts it anew again and again, does not gain any. */
	if (now - since >= given_ns(look->agent) ||
	    (look->again && map_get(look->waiting, file_key(file), NULL))) {
		look->late++;
		return 0;
	}
	look->fresh++;
	r = look->again ? 0 : map_put(look->waiting, file_key(file), 1);
	return r < 0 ? r : 0;
}

static void tell_modified(struct process_look *process, const struct code_page *page)
{
	struct finding *finding;

	finding = process_finding(process->look->walk, SEVERITY_HIGH, process->task,
				  "modified code");
	if (process->told++ < PAGES_TOLD)
		code_page_evidence(page, finding);
}

/* Of no ELF file, in a process that makes code (code_page.c): asked once for each file. */
static int is_compiled(const struct process_look *process, struct code_file *file,
		       struct err *err)
{
	enum text_relocations relocations;
	int r;

	if (!(process->runtime & RUNTIME_ANY))
		return 0;
	if (!file->asked) {
		r = text_relocations_of(process->look->walk->kernel, process->look->walk->view,
					file->program->inode, &relocations, err);
		if (r < 0)
			return r;
		file->asked = true;
		file->no_elf = relocations == TEXT_RELOCATIONS_NO_ELF;
	}
	return file->no_elf;
}

/* A page that is not what was measured. */
static int judge(struct process_look *process, const struct code_area *area, uint64_t at,
		 gpa frame, struct err *err)
{
	struct code_look *look = process->look;
	struct code_page page = {
		.walk = look->walk, .task = process->task, .file = area->file, .vma = &area->vma,
		.space = process->space, .runtime = process->runtime, .at = at,
		.number = area->vma.page + ((at - area->vma.start) >> GUEST_PAGE_SHIFT),
		.frame = frame,
	};
	int r;

	r = is_compiled(process, area->file, err);
	if (r) {
		look->compiled += r > 0;
		return r < 0 ? r : 0;
	}
	if (process->judged++ >= JUDGED_MAX || look->judged++ >= JUDGED_ALL_MAX) {
		check_inconclusive(look->walk->run, "more pages differ than are looked at");
		return 0;
	}
	if (!look->has_uprobes) {
		r = uprobes_read(look->walk->kernel, look->walk->view, &look->uprobes, err);
		if (r < 0)
			return r;
		look->has_uprobes = true;
	}
	r = code_page_judge(&page, &look->uprobes, err);
	switch (r) {
	case PAGE_PROBED:
		look->probed++;
		process->verified++;
		break;
	case PAGE_EQUAL:
		process->verified++;
		break;
	case PAGE_GONE:
		process->resident--;
		break;
	case PAGE_CHANGING:
		process->seen->marks |= PROCESS_UNMEASURED;
		check_inconclusive(look->walk->run, "PID %d: a page of '%s' differs from what was "
				   "measured, and the file has changed meanwhile",
				   process->task->pid, area->file->program->name);
		break;
	case PAGE_COMPILED:
		look->compiled++;
		break;
	case PAGE_RELOCATED:
		check_inconclusive(look->walk->run, "PID %d: '%s' has its code changed when it is "
				   "loaded, so that nobody can say what it must be",
				   process->task->pid, area->file->program->name);
		break;
	case PAGE_MODIFIED:
		process->seen->marks |= PROCESS_MODIFIED_MEMORY;
		tell_modified(process, &page);
		break;
	default:
		return r;
	}
	return 0;
}

static int look_at_page(struct process_look *process, struct code_area *area, uint64_t at,
			gpa frame, struct err *err)
{
	uint64_t number = area->vma.page + ((at - area->vma.start) >> GUEST_PAGE_SHIFT);
	uint8_t digest[AGENT_DIGEST_BYTES];
	const uint8_t *expected;
	bool known;
	int r;

	process->resident++;
	if (is_made_here(process, area->file->program)) {
		process->look->compiled++;
		return 0;
	}
	if (!area->file->measured && !area->file->before)
		return judge_unmeasured(process, area);
	r = page_digests_get(process->look->pages, process->look->walk->view, frame,
			     digest, err);
	if (r < 0)
		return r;
	if (!area->file->measured) {
		expected = measured_digest(area->file->before, number);
		if (!expected || memcmp(expected, digest, sizeof(digest)) != 0)
			return judge_unmeasured(process, area);
		process->verified++;
		return 0;
	}
	if (code_page_is_measured(area->file, number, digest, &known)) {
		process->verified++;
		return 0;
	}
	return known ? judge(process, area, at, frame, err) : judge_unmeasured(process, area);
}

/* A run of pages that the process may execute; its areas are passed through alongside. */
static int visit_frames(const struct frames *frames, void *ctx, struct err *err)
{
	struct process_look *process = ctx;
	uint64_t at = frames->start.v, end = at + frames->size_bytes;
	int r;

	while (at < end) {
		struct code_area *area;

		while (process->next < process->areas.n &&
		       process->areas.v[process->next].vma.end <= at)
			process->next++;
		if (process->next == process->areas.n)
			return 0;
		area = &process->areas.v[process->next];
		if (at < area->vma.start) {
			at = area->vma.start;
			continue;
		}
		r = look_at_page(process, area, at, gpa_add(frames->at, at - frames->start.v),
				 err);
		if (r < 0)
			return r;
		at += GUEST_PAGE_SIZE;
	}
	return 0;
}

/* --- processes --- */

static int look_at_process(struct process_look *process, struct err *err)
{
	struct view *view = process->look->walk->view;
	uint64_t last = (process->space.levels == 5 ? 1ull << 56 : 1ull << 47) - 1;
	unsigned want = MAP_USER | (process->look->kind.no_execute ? MAP_EXEC : 0);
	int r;

	r = vma_walk(process->look->walk->kernel, view, process->task->mm, visit_vma, process, err);
	if (r < 0 || !process->areas.n)
		return r;
	return view_walk_frames(view, process->space, gva_of(0), gva_of(last), want, gpa_of(0),
				gpa_of(UINT64_MAX), visit_frames, process, err);
}

static int visit_process(struct process_walk *walk, const struct task *task, void *ctx,
			 struct err *err)
{
	struct process_look process = { .look = ctx, .task = task };
	int r;

	process.look->walk = walk;
	if (!task->mm.v || task->kernel_thread)
		return 0;
	if (!task->space.root.v)
		return fail(err, -EFAULT, task->mm, "page table of PID %d", task->pid);
	process.space = cpu_user_space(task->space, process.look->kind.isolated);
	process.seen = check_process(walk->run, task);
	process.seen->marks = 0;	/* of an earlier look in the same run */
	process.seen->executable = 0;
	r = look_at_process(&process, err);
	vec_free(&process.areas);
	process.seen->resident = process.resident;
	process.seen->verified = process.verified;
	process.look->processes++;
	process.look->resident += process.resident;
	process.look->verified += process.verified;
	return r;
}

static void look_free(struct code_look *look)
{
	for (size_t i = 0; i < look->files.n; i++)
		free(look->files.v[i]);
	vec_free(&look->files);
	map_free(&look->index);
	uprobes_free(&look->uprobes);
}

static int look_at_all(struct check_run *run, struct code_look *look, struct err *err)
{
	struct cpu_features features;
	int r;

	r = cpu_features_read(check_kernel(run), check_view(run), &features, err);
	if (r < 0)
		return r;
	look->kind.isolated = cpu_has(&features, CPU_PTI);
	look->kind.no_execute = cpu_has(&features, CPU_NX);
	page_digests_begin(look->pages);
	return process_each(run, visit_process, look, err);
}

/* Until the agent has had the time that it is given. */
static int wait_for_agent(struct check_run *run, struct keeper *keeper, struct err *err)
{
	uint64_t begin = keeper_agent(keeper)->heartbeat_ns;
	int r;

	for (uint32_t i = 0; i < PERIODS_WAIT * LOOKS_A_PERIOD; i++) {
		usleep(period_of(keeper_agent(keeper)) * 1000 / LOOKS_A_PERIOD);
		view_refresh(check_view(run));
		r = keeper_look(keeper, check_kernel(run), check_view(run), err);
		if (r < 0 || !keeper_measured(keeper))
			return r;
		if (keeper_agent(keeper)->heartbeat_ns - begin >= given_ns(keeper_agent(keeper)))
			return 0;
	}
	check_inconclusive(run, "the agent did not come to measure all that runs");
	return 0;
}

static int look(struct check_run *run, struct keeper *keeper, struct code_look *look,
		struct map *waiting, bool again, struct err *err)
{
	*look = (struct code_look){
		.pages = keeper_pages(keeper), .measured = keeper_measured(keeper),
		.agent = keeper_agent(keeper), .patience = keeper_patience(keeper),
		.waiting = waiting, .again = again,
	};
	return look_at_all(run, look, err);
}

/*
 * What the agent has not measured yet is looked at again when it has had the time; in an image
 * that time will never come. A file that is new in the second look is for the next sweep.
 */
static int look_twice(struct check_run *run, struct keeper *keeper, struct code_look *code,
		      struct err *err)
{
	bool live = ram_is_live(view_ram(check_view(run)));
	cleanup(map_free) struct map waiting = { 0 };
	int r = look(run, keeper, code, &waiting, false, err);

	if (r >= 0 && code->fresh && live && code->agent->state == KEEPER_TRUSTED) {
		r = wait_for_agent(run, keeper, err);
		if (r >= 0 && !keeper_measured(keeper))
			check_inconclusive(run, "the agent was not to be believed any more, when "
					   "it was waited for to measure all files that run");
		if (r < 0 || !keeper_measured(keeper))
			return r;
		look_free(code);
		r = look(run, keeper, code, &waiting, true, err);
	}
	if (r < 0 || !(code->late || (code->fresh && !live)))
		return r;
	if (code->agent->state == KEEPER_TRUSTED)
		check_inconclusive(run, "the agent has not measured yet all files that run");
	else
		check_note(run, "the agent has not measured yet all files that run");
	return r;
}

static int process_code_run(struct check_run *run, struct err *err)
{
	struct keeper *keeper = check_keeper(run);
	struct code_look code = { 0 };
	const struct measured *measured;
	int r = agent_measured(run, &measured, err);

	if (r < 0 || !measured)
		return r;
	r = look_twice(run, keeper, &code, err);
	check_covered(run, "processes", code.processes);
	check_covered(run, "pages of code in memory", code.resident);
	check_covered(run, "as they were measured", code.verified);
	check_covered(run, "files", code.files.n);
	check_covered(run, "files that were not measured", code.unmeasured);
	check_covered(run, "pages with breakpoints of uprobes", code.probed);
	check_covered(run, "pages made by known compilers", code.compiled);
	look_free(&code);
	return r;
}

CHECK(process_code,
	.id = "process-code",
	.group = GROUP_PROCESSES,
	.title = "Process runs code that is not what was measured",
	.proves = "Each page of a file that a process may execute and that is in memory equals the "
		  "page of that file that the agent in the guest measured, but for breakpoints of "
		  "uprobes that the kernel knows of (docs/processes.md). Without an agent it is "
		  "not covered.",
	.techniques = TECHNIQUES("T1055", "T1055.008", "T1055.009", "T1574"),
	.fuel_max = FUEL_MAX,
	.run = process_code_run);
