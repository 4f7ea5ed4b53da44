/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/map.h"
#include "guest/paging.h"
#include "keeper/look.h"
#include "linux/page_cache.h"
#include "linux/task_each.h"

/*
 * An agent is known by what it has mapped: the build ID in its first page, or its first page of
 * code. What it is called says nothing, but that somebody wants to be taken for one.
 */

#define AGENT_COMM "hvsm-agent"
#define PF_EXITING 4u	/* include/linux/sched.h */

struct find_fields {
	struct field inode, size;
};

static const struct member find_members[] = {
	MEMBER(struct find_fields, inode, "file.f_inode"),
	MEMBER(struct find_fields, size, "inode.i_size"),
};
LAYOUT(find_layout, struct find_fields, find_members);

struct find {
	struct look *look;
	const struct find_fields *f;
	struct map programs;	/* inodes of programs → may it be an agent? */
	struct map others;	/* inodes whose mappings are no agent's */
	const struct task *task;
	struct claim claim;	/* of the task; no build: none */
	bool absent;		/* a page that would tell is not there, in this process */
	uint8_t page[GUEST_PAGE_SIZE];
};

void claims_free(struct claims *claims)
{
	vec_free(&claims->all);
	vec_free(&claims->namesakes);
}

/* Is the page at @at, in the process, the one that a build has at @page of its range? */
static int has_code(struct find *find, const struct build *build,
		    const struct build_range *range, const struct vma *vma, struct err *err)
{
	uint64_t linked = range->start + (vma->page * GUEST_PAGE_SIZE - range->offset);
	uint32_t where;
	int r;

	r = view_read_space(find->look->view, find->task->space, gva_of(vma->start), find->page,
			    sizeof(find->page), err);
	find->absent |= r == -EFAULT;
	if (r < 0)
		return r == -EFAULT ? 0 : r;
	return build_compare(build, range, linked, vma->start - linked, find->page, &where);
}

static int has_id(struct find *find, const struct build *build, const struct vma *vma,
		  uint64_t bias, struct err *err)
{
	uint8_t id[sizeof(build->id_bytes)];
	int r;

	if (vma->end - vma->start < GUEST_PAGE_SIZE || bias + build->id_at < vma->start ||
	    bias + build->id_at + build->id_size > vma->end)
		return 0;
	r = view_read_space(find->look->view, find->task->space, gva_of(bias + build->id_at), id,
			    build->id_size, err);
	find->absent |= r == -EFAULT;
	if (r < 0)
		return r == -EFAULT ? 0 : r;
	return !memcmp(id, build->id_bytes, build->id_size);
}

/* Does an area map this range of a build's file? */
static bool is_range(const struct build_range *range, const struct vma *vma)
{
	uint64_t offset;

	if (__builtin_mul_overflow(vma->page, (uint64_t)GUEST_PAGE_SIZE, &offset))
		return false;
	return offset >= range->offset && offset - range->offset < range->end - range->start;
}

static int try_build(struct find *find, const struct build *build, const struct vma *vma,
		     struct err *err)
{
	int r;

	for (size_t i = 0; i < build->ranges.n; i++) {
		const struct build_range *range = &build->ranges.v[i];
		uint64_t linked, bias;

		if ((range->kind != BUILD_CODE && range->kind != BUILD_CONST) ||
		    !is_range(range, vma))
			continue;
		linked = range->start + (vma->page * GUEST_PAGE_SIZE - range->offset);
		bias = vma->start - linked;
		r = range->kind == BUILD_CONST ? has_id(find, build, vma, bias, err) :
		    vma->flags & VMA_EXEC ? has_code(find, build, range, vma, err) : 0;
		if (r < 0)
			return r;
		if (!r)
			continue;
		find->claim.task = *find->task;
		find->claim.build = build;
		find->claim.bias = bias;
		find->claim.by_id |= range->kind == BUILD_CONST;
		find->claim.by_code |= range->kind == BUILD_CODE;
	}
	return 0;
}

/*
 * A library that a hundred processes have mapped is looked at once for each of its areas that
 * could be an agent's: by inode and place in the file.
 */
static int visit_vma(const struct vma *vma, void *ctx, struct err *err)
{
	const struct builds *builds;
	struct find *find = ctx;
	uint64_t key;
	gva inode;
	int r;

	if (!vma->file.v || vma->flags & VMA_WRITE)
		return 0;
	r = field_ptr(find->look->view, vma->file, &find->f->inode, &inode, err);
	if (r < 0)
		return r;
	key = inode.v ^ vma->page << 48 ^ vma->page >> 16 ^ (vma->flags & VMA_EXEC);
	if (!key || map_get(&find->others, key, NULL))
		return 0;
	builds = find->look->builds;
	find->absent = false;
	for (size_t i = 0; i < builds->all.n && r >= 0; i++) {
		const struct build *before = find->claim.build;

		/* What was found first tells the build; the rest is for the proof. */
		if (!before || before == builds->all.v[i])
			r = try_build(find, builds->all.v[i], vma, err);
	}
	if (r >= 0 && !find->claim.build && !find->absent)
		r = map_put(&find->others, key, 1);
	return r < 0 ? r : 0;
}

/* Does its anchor say that it runs as an agent? Who was one before is asked no more. */
static int read_magic(struct find *find, struct err *err)
{
	struct claim *claim = &find->claim;
	uint64_t magic = 0;
	int r = view_read_space(find->look->view, claim->task.space,
				gva_of(claim->bias + claim->build->anchor), &magic, sizeof(magic),
				err);

	claim->runs = magic == AGENT_MAGIC;
	return r == -EFAULT ? 0 : r;
}

/* By its size, or the build ID in its first page, as far as that is in memory. */
static int is_suspect(struct find *find, gva inode, struct err *err)
{
	const struct builds *builds = find->look->builds;
	struct view *view = find->look->view;
	uint64_t size;
	int r = field_read(view, inode, &find->f->size, &size, err);

	for (size_t i = 0; i < builds->all.n && r >= 0; i++)
		if (builds->all.v[i]->file.size == size)
			return 1;
	if (r >= 0)
		r = page_cache_read(find->look->kernel, view, inode, 0, find->page, err);
	if (r < 0)
		return r == -ELOOP || r == -ESRCH ? r : 1;
	for (size_t i = 0; i < builds->all.n; i++) {
		const struct build *build = builds->all.v[i];
		const struct build_range *range = &build->ranges.v[0];
		uint64_t at = range->offset + (build->id_at - range->start);

		if (build->id_at >= range->end || at > GUEST_PAGE_SIZE - build->id_size ||
		    !memcmp(find->page + at, build->id_bytes, build->id_size))
			return 1;
	}
	return 0;
}

/*
 * Who runs another program is no agent, whatever he has mapped besides: most processes need not
 * be looked at any further. Return: 1 (may be), 0, or an error.
 */
static int may_be_agent(struct find *find, const struct task *task, struct err *err)
{
	struct vma_space space;
	uint32_t known;
	gva inode;
	int r;

	r = vma_space(find->look->kernel, find->look->view, task->mm, &space, err);
	if (r < 0 || !space.exe.v)
		return r < 0 ? r : 1;
	r = field_ptr(find->look->view, space.exe, &find->f->inode, &inode, err);
	if (r < 0)
		return r;
	if (map_get(&find->programs, inode.v, &known))
		return (int)known;
	r = is_suspect(find, inode, err);
	if (r >= 0 && inode.v && map_put(&find->programs, inode.v, (uint32_t)r) < 0)
		return -ENOMEM;
	return r;
}

static int look_at(struct find *find, const struct task *task, struct claims *claims,
		   struct err *err)
{
	struct task *namesake;
	struct claim *slot;
	int r;

	find->task = task;
	find->claim = (struct claim){0};
	r = may_be_agent(find, task, err);
	if (r > 0)
		r = vma_walk(find->look->kernel, find->look->view, task->mm, visit_vma, find, err);
	if (r >= 0 && find->claim.build)
		r = read_magic(find, err);
	if (r < 0)
		return wrap(err, r, "PID %d", task->pid);
	if (find->claim.build) {
		slot = vec_add(&claims->all);
		if (slot)
			*slot = find->claim;
		return slot ? 0 : -ENOMEM;
	}
	if (strcmp(task->comm, AGENT_COMM) || claims->namesakes.n == AGENT_LOOKALIKES_MAX)
		return 0;
	namesake = vec_add(&claims->namesakes);
	if (namesake)
		*namesake = *task;
	return namesake ? 0 : -ENOMEM;
}

/* One that was an agent, and has nothing of it mapped by now. */
static int add_known(struct look *look, const struct task *task, const struct build *known,
		     uint64_t bias, struct claims *claims)
{
	struct claim *slot;

	for (size_t i = 0; i < claims->all.n; i++)
		if (claims->all.v[i].task.at.v == task->at.v) {
			claims->all.v[i].runs = true;
			return 0;
		}
	slot = vec_add(&claims->all);
	if (!slot)
		return -ENOMEM;
	*slot = (struct claim){
		.task = *task, .build = known ? known : look->builds->all.v[0], .bias = bias,
		.runs = true,
	};
	return 0;
}

/*
 * Does a process run, and in which thread? Where the leader ended alone, one that runs on stands
 * for it. Return: 1, 0 (a kernel thread; it ends, or has ended), or an error.
 */
static int take_live(const struct look *look, struct task *task, struct err *err)
{
	bool ends = task->exit_state || task->flags & PF_EXITING;
	struct task other = *task;
	int r;

	if (task->kernel_thread)
		return 0;
	if (task->mm.v && !ends)
		return 1;
	r = task_is_ending(look->kernel, look->view, task, err);
	if (r)
		return r < 0 ? r : 0;
	other.mm = gva_of(0);
	r = task_adopt_memory(look->kernel, look->view, &other, err);
	if (r < 0 || !other.mm.v)
		return r;
	*task = other;
	task->at = other.live;
	return 1;
}

int find_claims(struct look *look, int32_t known_pid, uint64_t known_ns,
		const struct build *known, uint64_t known_bias, struct claims *ret,
		struct err *err)
{
	cleanup(freep) struct find *find = calloc(1, sizeof(*find));
	struct tasks tasks = {0};
	int r;

	if (!find)
		return err_set(err, -ENOMEM, "no memory for a keeper");
	find->look = look;
	r = types_layout(look->kernel->types, &find_layout, (const void **)&find->f, err);
	if (r >= 0)
		r = look_partial(look, KEEPER_PRESENCE,
				 task_list(look->kernel, look->view, &tasks, err), err);
	for (size_t i = 0; r >= 0 && i < tasks.n; i++) {
		struct task *task = &tasks.v[i];
		int lives = take_live(look, task, err);

		if (lives <= 0) {
			r = look_partial(look, KEEPER_PRESENCE, lives, err);
			continue;
		}
		look->agent->processes++;
		r = look_partial(look, KEEPER_PRESENCE, look_at(find, task, ret, err), err);
		if (r >= 0 && known_ns && task->pid == known_pid && task->start_ns == known_ns)
			r = add_known(look, task, known, known_bias, ret);
	}
	tasks_free(&tasks);
	map_free(&find->others);
	map_free(&find->programs);
	return r;
}
